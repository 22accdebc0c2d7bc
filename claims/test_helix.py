"""The positional embeddings form a helix in their three leading principal components.

The post shows it in a figure and gives no numbers: every number here is this project's way of
making the figure exact. Whether each bound was set before the tensors were looked at was not kept,
so all count as set after. Rows 1 .. 1022 are measured; row 0 sits under ``<|endoftext|>`` in every
prompt and row 1023 was never trained.
"""

import pytest

from gpt2_helix.judging.claim import Measured, Subject
from gpt2_helix.measure import helix


@pytest.mark.claim(
    "helix.three-components",
    statement="helix",
    post="Introduction: A mystery about previous-token heads",
    needs="P",
    tolerance={"explained": ">= 0.85"},
    set="after",
    why="What lies outside three components cannot be seen in the figure. Three components of a "
    "random walk hold 0.83 of its variance (6/pi^2 times 1 + 1/4 + 1/9), so a curve that is no "
    "more than smooth falls short.",
    refuted_by=["gaussian-rows", "random-walk", "sinusoidal", "random-weights", "minilm"],
)
def test_three_components(subject: Subject, measured: Measured) -> None:
    """Three principal components hold most of the variance over positions."""
    found = subject.measure(helix.shape)
    assert measured(explained=found.explained, explained_all_rows=found.explained_all_rows)


@pytest.mark.claim(
    "helix.circle",
    statement="helix",
    post="Introduction: A mystery about previous-token heads",
    needs="P",
    tolerance={
        "turns": ">= 2",
        "one_sign": ">= 0.99",
        "variance_ratio": "<= 1.5",
        "same_frequency": "== 1",
        "off_quarter_period": "<= 0.05",
    },
    set="after",
    why="One turn could be an arc; two cannot. A hundredth of the steps may go astray, as single "
    "rows are noisy. A random walk's pair has variances as 9 to 4, half as much again as the "
    "bound. A circle's lag is a quarter of a period; a twentieth off is 18 degrees.",
    refuted_by=["shuffled-rows", "gaussian-rows", "random-walk", "sinusoidal", "random-weights"],
)
def test_circle(subject: Subject, measured: Measured) -> None:
    """Two of the three components go round and round together, and never turn back."""
    found = subject.measure(helix.shape)
    assert measured(
        turns=found.turns,
        one_sign=found.one_sign,
        variance_ratio=found.variance_ratio,
        same_frequency=found.same_frequency,
        off_quarter_period=abs(found.lag - 0.25),
    )


@pytest.mark.claim(
    "helix.axis",
    statement="helix",
    post="Introduction: A mystery about previous-token heads",
    needs="P",
    tolerance={"climb": ">= 0.95"},
    set="after",
    why="A rank correlation of 0.95 leaves room for a flat end, not for a turn back: a full sine "
    "wave reaches 0.8 at most.",
    refuted_by=["shuffled-rows", "gaussian-rows", "random-weights", "minilm"],
)
def test_axis(subject: Subject, measured: Measured) -> None:
    """The remaining component climbs with position."""
    found = subject.measure(helix.shape)
    assert measured(climb=found.climb)


@pytest.mark.claim(
    "helix.not-phantom",
    statement="helix",
    post="Introduction: A mystery about previous-token heads",
    needs="P",
    tolerance={"p_value": "<= 0.01"},
    set="after",
    why="PCA makes curves that look like oscillations out of anything smooth (Shinn, PNAS 2023): "
    "the shape must be more of a helix than random walks and phase-randomised copies of itself. "
    "One in a hundred that does as well could be chance; 999 of each allow p = 0.001.",
    refuted_by=[
        "random-walk",
        "phase-randomised",
        "shuffled-rows",
        "gaussian-rows",
        "random-weights",
        "minilm",
    ],
)
def test_not_phantom(subject: Subject, measured: Measured) -> None:
    """The shape is not what PCA makes of any smooth random curve."""
    found = subject.measure(helix.phantom)
    if found.phase_randomised_best is not None:
        measured(phase_randomised_best=found.phase_randomised_best)
    assert measured(
        p_value=found.p_value,
        steady_climb=found.steady_climb,
        random_walk_best=found.random_walk_best,
    )


@pytest.mark.claim(
    "helix.neighbours",
    statement="helix",
    post="Introduction: A mystery about previous-token heads",
    needs="P",
    tolerance={"adjacent_neighbour": ">= 0.99"},
    set="after",
    why="If the three components say where a token is, the nearest point is the next position; "
    "one in a hundred may be off where a row is noisy.",
    refuted_by=["shuffled-rows", "gaussian-rows", "random-walk", "random-weights", "minilm"],
)
def test_neighbours(subject: Subject, measured: Measured) -> None:
    """Along the curve, the nearest neighbour of a position is an adjacent one."""
    found = subject.measure(helix.shape)
    assert measured(adjacent_neighbour=found.adjacent_neighbour)

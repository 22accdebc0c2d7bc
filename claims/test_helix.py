"""The positional embeddings form a helix in their three leading principal components.

The post shows it in a figure and gives no numbers: every number here is this project's way of
making the figure exact. Rows 1 .. 1022 are measured; row 0 sits under ``<|endoftext|>`` in every
prompt and row 1023 was never trained.
"""

import pytest

from gpt2_helix.measure import helix
from gpt2_helix.subjects import Subject
from gpt2_helix.verdicts import Measured

EXPLAINED = 0.85


@pytest.mark.claim(
    "helix.three-components",
    post="Introduction: A mystery about previous-token heads, the figure of the helix",
    needs="P",
    tolerance={"explained": f">= {EXPLAINED}"},
    why="What lies outside three components cannot be seen in the figure. Three components of a "
    "random walk hold 0.83 of its variance (6/pi^2 times 1 + 1/4 + 1/9), so a curve that is no "
    "more than smooth falls short.",
    refuted_by=["gaussian-rows", "random-walk", "sinusoidal", "random-weights", "minilm"],
)
def test_three_components(subject: Subject, measured: Measured) -> None:
    """Three principal components hold most of the variance over positions."""
    found = subject.measure(helix.shape)
    measured(explained=found.explained, explained_all_rows=found.explained_all_rows)
    assert found.explained >= EXPLAINED


TURNS = 2
ONE_SIGN = 0.99
VARIANCE_RATIO = 1.5
OFF_QUARTER = 0.05


@pytest.mark.claim(
    "helix.circle",
    post="Introduction: A mystery about previous-token heads, the figure of the helix",
    needs="P",
    tolerance={
        "turns": f">= {TURNS}",
        "one_sign": f">= {ONE_SIGN}",
        "variance_ratio": f"<= {VARIANCE_RATIO}",
        "same_frequency": "== 1",
        "off_quarter_period": f"<= {OFF_QUARTER}",
    },
    why="One turn could be an arc; two cannot. A hundredth of the steps may go astray, as single "
    "rows are noisy. A random walk's pair has variances as 9 to 4, half as much again as the "
    "bound. A circle's lag is a quarter of a period; a twentieth off is 18 degrees.",
    refuted_by=["shuffled-rows", "gaussian-rows", "random-walk", "sinusoidal", "random-weights"],
)
def test_circle(subject: Subject, measured: Measured) -> None:
    """Two of the three components go round and round together, and never turn back."""
    found = subject.measure(helix.shape)
    measured(
        turns=found.turns,
        one_sign=found.one_sign,
        variance_ratio=found.variance_ratio,
        same_frequency=found.same_frequency,
        off_quarter_period=abs(found.lag - 0.25),
    )
    assert found.turns >= TURNS
    assert found.one_sign >= ONE_SIGN
    assert found.variance_ratio <= VARIANCE_RATIO
    assert found.same_frequency
    assert abs(found.lag - 0.25) <= OFF_QUARTER


CLIMB = 0.95


@pytest.mark.claim(
    "helix.axis",
    post="Introduction: A mystery about previous-token heads, the figure of the helix",
    needs="P",
    tolerance={"climb": f">= {CLIMB}"},
    why="A rank correlation of 0.95 leaves room for a flat end, not for a turn back: a full sine "
    "wave reaches 0.8 at most.",
    refuted_by=["shuffled-rows", "gaussian-rows", "random-weights", "minilm"],
)
def test_axis(subject: Subject, measured: Measured) -> None:
    """The remaining component climbs with position."""
    found = subject.measure(helix.shape)
    measured(climb=found.climb)
    assert found.climb >= CLIMB


P_VALUE = 0.01


@pytest.mark.claim(
    "helix.not-phantom",
    post="Introduction: A mystery about previous-token heads, the figure of the helix",
    needs="P",
    tolerance={"p_value": f"<= {P_VALUE}"},
    why="PCA makes curves that look like oscillations out of anything smooth (Shinn, PNAS 2023): "
    "the shape must beat every one of 99 random walks and 99 phase-randomised copies of itself, "
    "the fewest that allow p = 0.01.",
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
    measured(
        p_value=found.p_value,
        steady_climb=found.steady_climb,
        random_walk_best=found.random_walk_best,
    )
    if found.phase_randomised_best is not None:
        measured(phase_randomised_best=found.phase_randomised_best)
    assert found.p_value <= P_VALUE


ADJACENT = 0.99


@pytest.mark.claim(
    "helix.neighbours",
    post="Introduction: A mystery about previous-token heads, the figure of the helix",
    needs="P",
    tolerance={"adjacent_neighbour": f">= {ADJACENT}"},
    why="If the three components say where a token is, the nearest point is the next position; "
    "one in a hundred may be off where a row is noisy.",
    refuted_by=["shuffled-rows", "gaussian-rows", "random-walk", "random-weights", "minilm"],
)
def test_neighbours(subject: Subject, measured: Measured) -> None:
    """Along the curve, the nearest neighbour of a position is an adjacent one."""
    found = subject.measure(helix.shape)
    measured(adjacent_neighbour=found.adjacent_neighbour)
    assert found.adjacent_neighbour >= ADJACENT

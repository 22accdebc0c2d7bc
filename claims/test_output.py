"""Averaging positions in small groups leaves the output as it was; in large ones it does not.

None of the tolerances was tuned on GPT-2: its full checkpoint was out of reach when they were set.
Each group size is compared with intact positions on the same windows of text. Intervals are over
windows, so a number whose interval holds its bound leaves a claim undecided.
"""

import pytest

from gpt2_helix.judging.claim import Measured, Subject
from gpt2_helix.measure import output

pytestmark = pytest.mark.whole_model
SMALL = (5, 10, 20)


@pytest.mark.claim(
    "output.unchanged-to-20",
    statement="unchanged",
    post="Introduction: A mystery about previous-token heads",
    needs="F",
    tolerance={
        "loss_change_5": "<= 0.05",
        "loss_change_10": "<= 0.1",
        "loss_change_20": "<= 0.2",
        "same_top_5": ">= 0.85",
        "same_top_10": ">= 0.85",
        "same_top_20": ">= 0.8",
    },
    set="before",
    why="Pre-registered: a change of loss of a twentieth to a fifth of a nat a token, and the same "
    "first choice for more than four tokens in five, is what hardly changed can mean where "
    "doctoring to the same extent at random would cost several nats.",
    refuted_by=["shuffled-rows", "exact-positions", "untrained"],
)
def test_unchanged_to_20(subject: Subject, measured: Measured) -> None:
    """In groups of 5, 10 and 20, loss and first choice stay nearly what they were."""
    found = subject.measure(output.on_text)
    assert measured(
        **{f"loss_change_{k}": found.loss_change[f"average-{k}"] for k in SMALL},
        **{f"same_top_{k}": found.same_top[f"average-{k}"] for k in SMALL},
        kl={k: found.kl[f"average-{k}"] for k in SMALL},
        loss_intact=found.loss,
    )


@pytest.mark.claim(
    "output.breaks-by-100",
    statement="breaks",
    post="Introduction: A mystery about previous-token heads",
    needs="F",
    presumes={"loss_change_20": "<= 0.2", "same_top_20": ">= 0.8"},
    tolerance={
        "loss_change_100": "> 0.2",
        "over_five_times_20": ">= 0",
        "more_at_50_than_20": "> 0",
    },
    set="before",
    why="Pre-registered: a break is a change of loss at 100 beyond what is allowed at 20, and five "
    "times what is found there; at 50 it must be on its way. Both comparisons are differences in "
    "nats, as a ratio means nothing where the change at 20 is about zero. What is broken at 20 "
    "cannot break by 100, so the bounds of output.unchanged-to-20 at 20 are presumed.",
    refuted_by=["no-positions", "shuffled-rows", "exact-positions", "untrained"],
)
def test_breaks_by_100(subject: Subject, measured: Measured) -> None:
    """In groups of 100 the loss is far above what it is at 20, and at 50 above it too."""
    found = subject.measure(output.on_text)
    assert measured(
        loss_change_20=found.loss_change["average-20"],
        same_top_20=found.same_top["average-20"],
        loss_change_100=found.loss_change["average-100"],
        over_five_times_20=found.over_five_times_20,
        more_at_50_than_20=found.more_at_50_than_20,
        kl={k: found.kl[f"average-{k}"] for k in (20, 50, 100)},
    )

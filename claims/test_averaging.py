"""Averaging positional embeddings in groups: what it does to them."""

from itertools import pairwise

import pytest

from gpt2_helix.judging.claim import Measured, Subject
from gpt2_helix.measure import averaging


@pytest.mark.claim(
    "averaging.identical-within-group",
    statement=None,  # A check of the method.
    post="Introduction: A mystery about previous-token heads",
    needs="P",
    tolerance={
        "rows_beyond_count": "== 0",
        "spread_within_group": "== 0",
        "mean_moved": "<= 1e-6",
        "row_0_moved": "== 0",
    },
    set="before",
    why="Rows of a group are copies, so they are equal to the last bit and their number is a "
    "count; a mean is kept up to the rounding of float32, some 1e-7 of the largest entry. This "
    "holds for any matrix that is averaged rightly: what can fail is the averaging.",
    refuted_by=["one-row", "groups-one-too-large", "means-across-borders"],
)
def test_identical_within_group(subject: Subject, measured: Measured) -> None:
    """Doctored rows of a group are one and the same, and there are as many as groups."""
    found = subject.measure(averaging.grouping)
    assert measured(
        rows_beyond_count=max(found.rows_beyond_count.values(), key=abs),
        spread_within_group=max(found.spread_within_group.values()),
        mean_moved=max(found.mean_moved.values()),
        row_0_moved=max(found.row_0_moved.values()),
    )


@pytest.mark.claim(
    "averaging.stays-on-the-helix",
    statement="averaging",
    post="Introduction: A mystery about previous-token heads",
    needs="P",
    tolerance={"distance_at_10": "<= 0.05", "least_growth": "> 1"},
    set="after",
    why="Ten steps of a helix of three turns span an arc of 0.18, whose mean lies 0.0014 of the "
    "radius inside it; a twentieth of the radius is where the eye would see the mean off the "
    "curve. An arc's mean moves inward with the square of the group size, so every larger size "
    "must lie further off.",
    refuted_by=["shuffled-rows", "gaussian-rows", "random-weights", "minilm"],
)
def test_stays_on_the_helix(subject: Subject, measured: Measured) -> None:
    """Means of ten lie on the curve; of more, ever further inside it."""
    distance = subject.measure(averaging.distance_from_curve).mean_distance
    least_growth = min(
        distance[f"average-{b}"] / distance[f"average-{a}"] for a, b in pairwise([10, 20, 50, 100])
    )
    assert measured(
        distance_at_10=distance["average-10"],
        least_growth=least_growth,
        distance_at_20=distance["average-20"],
        distance_at_50=distance["average-50"],
        distance_at_100=distance["average-100"],
    )

"""What averaging in groups does to W_pos itself, and where the averages lie."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.judging.errors import MissingInputError
from gpt2_helix.measure import helix

DOCTORINGS = ("average-5", "average-10", "average-20", "average-50", "average-100")
Doctor = Callable[[Positions, str, int], Positions]
"""``doctoring.doctor``, or a broken one: a matrix, the doctoring's name, the groups' offset."""


@dataclass(frozen=True)
class Grouping:
    """What doctoring leaves of W_pos, by doctoring; each is the worst of the offsets tried."""

    # Distinct rows found minus those expected: row 0 and one a group.
    rows_beyond_count: dict[str, int]
    spread_within_group: dict[str, float]  # Largest difference between two rows of one group.
    # Largest difference between a group's mean before and after, over the largest absolute entry
    # of W_pos, to six decimals (smaller differences are rounding, and vary by machine).
    mean_moved: dict[str, float]
    row_0_moved: dict[str, float]  # Largest change of row 0.


@dataclass(frozen=True)
class Distance:
    """How far the group means lie from the curve, over its radius."""

    # By doctoring: mean over groups of the distance, in the three leading components, between a
    # group's mean and the line through that group's own intact points, over the radius of the
    # turning pair.
    mean_distance: dict[str, float]


def grouping(
    W_pos: Positions, doctor: Doctor, *, doctorings: Sequence[str] = DOCTORINGS
) -> Grouping:
    """Average W_pos in groups of each size, at the first, middle and last offset, and compare."""
    looks = {
        name: [_look(W_pos, doctor, name, k, offset) for offset in sorted({0, k // 2, k - 1})]
        for name, k in _sizes(doctorings).items()
    }
    # The row counts can err both ways, hence the largest in absolute value.
    return Grouping(
        rows_beyond_count={k: max((o[0] for o in os), key=abs) for k, os in looks.items()},
        spread_within_group={k: max(o[1] for o in os) for k, os in looks.items()},
        mean_moved={k: round(max(o[2] for o in os), 6) for k, os in looks.items()},
        row_0_moved={k: max(o[3] for o in os) for k, os in looks.items()},
    )


def distance_from_curve(W_pos: Positions, *, doctorings: Sequence[str] = DOCTORINGS) -> Distance:
    """Measure how far the means of groups lie from the curve they average.

    ``MissingInputError`` if the largest group does not fit between the two ends.
    """
    sizes = _sizes(doctorings)
    largest = max(sizes.values())
    if len(W_pos) < largest + 2:
        raise MissingInputError([f"{largest + 2} positions"], "the position matrix")
    curve = helix.principal_curve(W_pos).scores[1:-1]
    _, pair, _ = helix.split(curve)
    radius = float(np.sqrt(pair.var(axis=0).sum()))
    return Distance({name: _mean_distance(curve, k) / radius for name, k in sizes.items()})


def _sizes(doctorings: Sequence[str]) -> dict[str, int]:
    """Group sizes of the doctorings that average in groups."""
    sizes = {name: doctoring.group_size(name) for name in doctorings}
    return {name: k for name, k in sizes.items() if k is not None and k > 1}


def _look(
    W_pos: Positions, doctor: Doctor, name: str, group_size: int, offset: int
) -> tuple[int, float, float, float]:
    doctored = doctor(W_pos, name, offset)
    groups = groups_by_definition(len(W_pos), group_size, offset)
    distinct = len({row.tobytes() for row in doctored})
    spread = max(float(np.ptp(doctored[g], axis=0).max()) for g in groups)
    moved = max(
        float(np.abs(doctored[g].mean(0, np.float64) - W_pos[g].mean(0, np.float64)).max())
        for g in groups
    )
    return (
        distinct - (1 + len(groups)),
        spread,
        moved / float(np.abs(W_pos).max()),
        float(np.abs(doctored[0] - W_pos[0]).max()),
    )


def groups_by_definition(n_positions: int, group_size: int, offset: int) -> list[list[int]]:
    """Positions 1 .. n-1 gathered by ``(position - 1 - offset) // group_size``.

    Written independently of the doctoring that it checks, so that an error in one shows.
    """
    groups: dict[int, list[int]] = {}
    for position in range(1, n_positions):
        groups.setdefault((position - 1 - offset) // group_size, []).append(position)
    return list(groups.values())


def _mean_distance(curve: Float[np.ndarray, "position 3"], group_size: int) -> float:
    """Mean distance of each full group's mean to the polyline through the group's points."""
    whole = len(curve) // group_size * group_size
    distances = []
    for points in curve[:whole].reshape(-1, group_size, 3):
        starts, segments = points[:-1], np.diff(points, axis=0)
        to_mean = points.mean(axis=0) - starts
        along = (to_mean * segments).sum(axis=1) / (segments**2).sum(axis=1)
        nearest = np.clip(along, 0, 1)[:, None] * segments
        distances.append(np.linalg.norm(to_mean - nearest, axis=1).min())
    return float(np.mean(distances))

"""Whether W_pos is a learned parameter or a table that a formula gives."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gpt2_helix.doctoring import Positions
from gpt2_helix.judging.errors import NothingToMeasureError

GOLDEN = (5**0.5 - 1) / 2
GRID_PARTS = 16
NOISE = 6
"""Decimals; below them a perfect fit leaves only rounding, which differs by machine."""
REFINEMENTS = 20
"""Golden-section steps; the bracket, half a turn wide, shrinks to 0.00003 of a turn."""


@dataclass(frozen=True)
class Learned:
    """What kind of matrix W_pos is."""

    positions: int
    d_model: int
    # Share of the variance over positions that is left when each column is fitted by the best
    # single sinusoid, of any frequency, amplitude and phase, plus a constant: 0 for a sinusoid
    # table (Vaswani et al. 2017) of any base, scale or order of columns.
    beyond_sinusoids: float
    # Euclidean norms; the two ends are left out of every geometric measurement.
    first_row_norm: float
    last_row_norm: float
    median_row_norm: float


def learned(W_pos: Positions) -> Learned:
    """Measure how far W_pos is from any table of sinusoids."""
    norms = np.linalg.norm(W_pos, axis=1)
    return Learned(
        positions=W_pos.shape[0],
        d_model=W_pos.shape[1],
        beyond_sinusoids=_beyond_sinusoids(W_pos[1:-1]),
        first_row_norm=float(norms[0]),
        last_row_norm=float(norms[-1]),
        median_row_norm=float(np.median(norms)),
    )


def _beyond_sinusoids(rows: Positions) -> float:
    """Variance that the best sinusoid for each column leaves, over all variance.

    The frequency is searched on a grid, for all columns at once, and then refined column by
    column. The grid goes on far below one turn: a sinusoid table has columns so slow that they
    look like straight lines.
    """
    if (rows == rows[0]).all():
        raise NothingToMeasureError("W_pos: expected rows that differ, found all rows equal")
    centred = rows - rows.mean(axis=0, dtype=np.float64)
    total = float((centred**2).sum())
    grid = np.concatenate([np.geomspace(0.01, 0.5, 60), np.arange(0.75, len(rows) / 2, 0.25)])
    on_grid = np.concatenate(
        [_explained(centred, turns) for turns in np.array_split(grid, GRID_PARTS)]
    )
    best = on_grid.argmax(axis=0).clip(1, len(grid) - 2)
    low, high = grid[best - 1], grid[best + 1]
    for _ in range(REFINEMENTS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        rising = _explained(centred, right, own=True) > _explained(centred, left, own=True)
        low, high = np.where(rising, left, low), np.where(rising, high, right)
    explained = _explained(centred, (low + high) / 2, own=True)
    left = 1 - float(np.maximum(on_grid.max(axis=0), explained).sum()) / total
    return round(left, NOISE)


def _explained(
    centred: Float[np.ndarray, "row d_model"],
    turns: Float[np.ndarray, " frequency"],
    *,
    own: bool = False,
) -> Float[np.ndarray, "..."]:
    """Sum of squares that cos and sin of so many turns explain of a column, by least squares.

    Shape (frequency, d_model); with ``own``, each column has one frequency of its own, and the
    shape is (d_model,).
    """
    angle = 2 * np.pi * np.arange(len(centred))[:, None] * turns / len(centred)
    cos, sin = np.cos(angle), np.sin(angle)
    cos -= cos.mean(axis=0)
    sin -= sin.mean(axis=0)
    cc, ss, cs = (np.einsum("rf,rf->f", a, b) for a, b in ((cos, cos), (sin, sin), (cos, sin)))
    if own:
        c, s = (np.einsum("rd,rd->d", wave, centred) for wave in (cos, sin))
    else:
        c, s = cos.T @ centred, sin.T @ centred
        cc, ss, cs = cc[:, None], ss[:, None], cs[:, None]
    explained: Float[np.ndarray, ...] = c**2 * ss - 2 * c * s * cs + s**2 * cc
    return explained / (cc * ss - cs**2)

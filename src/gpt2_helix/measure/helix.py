"""The shape of the positional embeddings in their three leading principal components.

Row 0 and the last row are left out: the one sits under ``<|endoftext|>`` in every prompt, the
other was never trained.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from types import ModuleType

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from gpt2_helix.doctoring import Positions
from gpt2_helix.judging.errors import NothingToMeasureError
from gpt2_helix.measure import statistics
from gpt2_helix.measure.statistics import Estimate, spearman
from gpt2_helix.models.config import LEAST_POSITIONS, LEAST_WIDTH

Curve = Float[np.ndarray, "position 3"]
Null = Callable[[int], Curve]
"""Draws the leading components of a surrogate from its seed."""

SURROGATES = 999
"""Surrogates in each null: the fewest with which a rank test can reach p = 0.001
(1/p - 1; Theiler et al., Physica D 58, 1992)."""
BEATEN = 20
"""A null is left when this many of its surrogates have done as well as W_pos (Besag and Clifford,
Biometrika 78, 1991): of 999, the p-value is then above 0.01 with its whole interval."""
DECIMALS = 4
"""Of the statistic of a surrogate, which is computed in float32."""
RANDOM_WALKS: dict[str, list[float]] = json.loads(
    files("gpt2_helix.measure").joinpath("random_walks.json").read_text(encoding="utf-8")
)
"""The statistic of ``phantom`` for random walks by shape and seed. It depends on nothing else, so
for the shape of GPT-2 small it is a table, as critical values are; a test draws some again."""


@dataclass(frozen=True)
class PrincipalCurve:
    """W_pos seen along its three leading principal components."""

    # Coordinates of every position, the two ends included though they had no say in where the
    # components lie. Each component's sign is such that its largest loading is positive.
    scores: Curve
    explained: Float[np.ndarray, "3"]  # Share of the variance of rows 1 .. n-2, by component.


@dataclass(frozen=True)
class Shape:
    """How much of a helix the three leading components are."""

    explained: float  # Share of the variance of rows 1 .. n-2 in three components.
    explained_all_rows: float  # The same of all rows.
    axis: int  # Which component (0, 1, 2) follows position best; the others are the turning pair.
    climb: float  # Absolute Spearman correlation of the axis with position.
    turns: float  # Full turns that the pair makes about its mean, counted by angle.
    one_sign: float  # Share of the steps in angle that go the same way round.
    variance_ratio: float  # Larger over smaller variance of the pair.
    same_frequency: bool  # Whether the strongest Fourier harmonic of both is the same.
    lag: float  # How far apart the pair is there, in periods, 0 .. 0.5; a circle has 0.25.
    # Share of positions whose nearest neighbour in the three components is an adjacent one.
    adjacent_neighbour: float


@dataclass(frozen=True)
class Phantom:
    """W_pos against what PCA makes of smooth random curves."""

    steady_climb: float  # The statistic of W_pos; see ``phantom``.
    # Against the null that comes closer; n is how many of its surrogates were drawn. Random walks
    # come first, and copies with random phases only if these did not do as well ``BEATEN`` times.
    p_value: Estimate
    # The largest statistic among the surrogates drawn; None if none were.
    random_walk_best: float
    phase_randomised_best: float | None
    surrogates: int  # How many each null has.


def principal_curve(W_pos: Positions) -> PrincipalCurve:
    """Project W_pos on the three leading principal components of its rows 1 .. n-2.

    ``NothingToMeasureError`` if all of these rows are equal; ``ValueError`` if there are too few
    rows or columns for three components, or a number is not finite.
    """
    if W_pos.ndim != 2 or (np.array(W_pos.shape) < (LEAST_POSITIONS, LEAST_WIDTH)).any():
        raise ValueError(
            f"W_pos: expected a matrix of {LEAST_POSITIONS} x {LEAST_WIDTH} or larger, "
            f"found shape {W_pos.shape}"
        )
    if not (finite := np.isfinite(W_pos)).all():
        raise ValueError(f"W_pos: expected finite numbers, found {(~finite).sum()} that are not")
    rows = W_pos[1:-1].astype(np.float64)
    if (rows == rows[0]).all():
        raise NothingToMeasureError("W_pos: expected rows that differ, found all rows equal")
    centre = rows.mean(axis=0)
    rows -= centre
    variances, loadings, total = _leading(rows)
    return PrincipalCurve((W_pos - centre) @ loadings, variances / total)


def shape(W_pos: Positions) -> Shape:
    """Measure the curve that rows 1 .. n-2 draw in their three leading components."""
    whole = principal_curve(W_pos)
    curve = whole.scores[1:-1]
    axis, pair, climb = split(curve)
    steps = _angle_steps(pair)
    spectrum = np.fft.rfft(pair - pair.mean(axis=0), axis=0)
    first, second = np.abs(spectrum).argmax(axis=0)
    lag = abs(np.angle(spectrum[first, 0] * spectrum[first, 1].conj())) / (2 * np.pi)
    smaller, larger = np.sort(pair.var(axis=0))
    return Shape(
        explained=float(whole.explained.sum()),
        explained_all_rows=_explained_by_three(W_pos),
        axis=axis,
        climb=climb,
        turns=float(abs(steps.sum()) / (2 * np.pi)),
        one_sign=float(max((steps > 0).mean(), (steps < 0).mean())),
        variance_ratio=float(larger / smaller),
        same_frequency=bool(first == second),
        lag=float(lag),
        adjacent_neighbour=_adjacent_neighbour(curve),
    )


def phantom(W_pos: Positions, *, surrogates: int = SURROGATES) -> Phantom:
    """Test the shape against smooth random curves: Shinn's phantom oscillations (PNAS 2023).

    The statistic is ``steady_climb``: the net turning of the pair over its total turning (1 when
    it never turns back), times the absolute Spearman correlation of the axis with position.
    It is 1 for every helix, however many turns it makes. It cannot be for the principal
    components of a random walk, which are Lissajous curves of half a period, one and one and a
    half: their pair turns back. It cannot be for surrogates that keep each column's power
    spectrum and draw its phases at random either: two of their components do make a circle, but
    nothing then climbs, as the Spearman correlation of a full sine wave with position is at most
    about 0.8.

    It was chosen by what it does to models that are no GPT-2. Two candidates were dropped there:
    the power in one rotating phasor, since a single phasor between one turn and one and a half
    fits the random walk (0.82 of it), and net turns times the climb, since MiniLM's 87 turns
    outdo everything while nothing climbs. They were not dropped blindly: GPT-2 small stood beside
    the others when they were tried, and fell short of the random walks in the first and beat them
    in the second. What speaks for this statistic is the reason above, not that GPT-2 passes it.
    """
    rows = W_pos[1:-1]
    statistic = steady_climb(principal_curve(W_pos).scores[1:-1])
    p_value, walk_best = _rank(statistic, partial(_random_walk_climb, *rows.shape), surrogates)
    phase_best = None
    if p_value.mean <= BEATEN / (surrogates + 1):
        _, copy = nulls(rows)
        of_copies, phase_best = _rank(statistic, lambda i: surrogate_climb(copy(i)), surrogates)
        p_value = max(p_value, of_copies, key=lambda found: found.mean)
    return Phantom(statistic, p_value, walk_best, phase_best, surrogates)


def nulls(rows: Positions) -> tuple[Null, Null]:
    """What draws the curves of the surrogates of ``phantom``.

    A random walk of the shape of these rows; and a copy of them with random phases.
    """
    n_rows, d_model = rows.shape
    return (
        partial(_random_walk_curve, n_rows, d_model),
        partial(_phase_randomised_curve, _amplitudes(rows), n_rows),
    )


@contextmanager
def side_by_side() -> Iterator[ThreadPoolExecutor]:
    """A thread for each core to draw surrogates in, and none besides for linear algebra.

    scipy brings a BLAS of its own, which can only be limited once it is loaded: with threads that
    wait for each other a surrogate takes several times as long.
    """
    import scipy.sparse.linalg  # noqa: F401

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        yield pool


def split(curve: Curve) -> tuple[int, Float[np.ndarray, "position 2"], float]:
    """Which component follows position best, the other two, and its absolute correlation."""
    position = np.arange(len(curve), dtype=np.float64)
    climbs = [abs(spearman(curve[:, j], position)) for j in range(3)]
    axis = int(np.argmax(climbs))
    return axis, np.delete(curve, axis, axis=1), climbs[axis]


def random_walk(n_rows: int, d_model: int, seed: int) -> Positions:
    """Sum independent Gaussian steps along the rows."""
    rows = np.random.default_rng([0, seed]).standard_normal((n_rows, d_model))
    return np.cumsum(rows, axis=0, out=rows)


def randomise_phases(rows: Positions, seed: int) -> Positions:
    """Keep each column's power spectrum and draw its phases at random, column by column."""
    amplitudes = _amplitudes(rows)
    spectrum = amplitudes * np.exp(1j * _random_phases(amplitudes.shape, seed))
    return rows.mean(axis=0) + np.fft.irfft(spectrum, n=len(rows), axis=0)


def _amplitudes(rows: Positions) -> Float[np.ndarray, "harmonic d_model"]:
    """Amplitudes of the harmonics of each column, without those that have no phase to draw.

    These are the mean and, for an even number of rows, the highest harmonic, which in a smooth
    curve is rounding.
    """
    amplitudes = np.abs(np.fft.rfft(rows.astype(np.float64), axis=0))
    amplitudes[0] = 0
    if len(rows) % 2 == 0:
        amplitudes[-1] = 0
    return amplitudes


def _random_phases(shape: tuple[int, ...], seed: int) -> Float[np.ndarray, "harmonic d_model"]:
    phases = np.random.default_rng([1, seed]).random(shape, dtype=np.float32)
    return phases * np.float32(2 * np.pi)


def _angle_steps(pair: Float[np.ndarray, "position 2"]) -> Float[np.ndarray, "step"]:
    centred = pair - pair.mean(axis=0)
    z = centred[:, 0] + 1j * centred[:, 1]
    return np.angle(z[1:] * z[:-1].conj())


def steady_climb(curve: Curve) -> float:
    """Net turning of the pair over its total turning, times the climb of the axis, 0 .. 1."""
    _, pair, climb = split(curve)
    steps = _angle_steps(pair)
    return float(abs(steps.sum()) / np.abs(steps).sum() * climb)


def surrogate_climb(curve: Curve) -> float:
    """``steady_climb`` of a surrogate, to as many decimals as float32 allows."""
    return round(steady_climb(curve), DECIMALS)


def _adjacent_neighbour(curve: Curve) -> float:
    from scipy.spatial import KDTree  # Not above: claims on a record need not wait for it.

    nearest = np.asarray(KDTree(curve).query(curve, k=2)[1])
    return float((np.abs(nearest[:, 1] - np.arange(len(curve))) == 1).mean())


def _leading(
    centred: Float[np.ndarray, "row d_model"],
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "d_model 3"], float]:
    """Three leading variances (as sums of squares), their loadings, and the total variance.

    By Lanczos, as three are wanted of hundreds; the fixed start makes it repeatable. Of rows in
    float32 the covariance, which takes most of the time, is computed in float32. Signs are such
    that the largest loading of each component is positive.
    """
    from scipy.sparse.linalg import eigsh  # Nor for this.

    covariance = (centred.T @ centred).astype(np.float64)
    variances, loadings = eigsh(covariance, k=3, v0=np.ones(len(covariance)))
    largest = np.take_along_axis(loadings, np.abs(loadings).argmax(axis=0)[None], axis=0)
    loadings = loadings * np.sign(largest)
    return variances[::-1], loadings[:, ::-1], float(np.trace(covariance))


def _explained_by_three(rows: Positions) -> float:
    variances, _, total = _leading(rows - rows.mean(axis=0, dtype=np.float64))
    return float(variances.sum() / total)


@cache
def _random_walk_climb(n_rows: int, d_model: int, seed: int) -> float:
    known = RANDOM_WALKS.get(f"{n_rows} x {d_model}", [])
    if seed < len(known):
        return known[seed]
    return surrogate_climb(_random_walk_curve(n_rows, d_model, seed))


def _random_walk_curve(n_rows: int, d_model: int, seed: int) -> Curve:
    walk = random_walk(n_rows, d_model, seed)
    walk -= walk.mean(axis=0)
    curve: Curve = walk @ _leading(walk.astype(np.float32))[1]
    return curve


def _phase_randomised_curve(
    amplitudes: Float[np.ndarray, "harmonic d_model"], n_rows: int, seed: int
) -> Curve:
    """The leading components of a surrogate, which are the same in time and in frequency.

    The rows of the surrogate and their Fourier coefficients differ by a rotation, so only the
    three leading components have to be brought back to time.
    """
    phases = _random_phases(amplitudes.shape, seed)
    # Real and imaginary parts; in float32 both waves and covariance take a half to a third as long.
    parts = np.stack([np.cos(phases), np.sin(phases)])
    parts *= amplitudes.astype(np.float32)
    loadings = _leading(parts.reshape(-1, parts.shape[2]))[1]
    real, imaginary = parts @ loadings
    curve: Curve = np.fft.irfft(real + 1j * imaginary, n=n_rows, axis=0)
    return curve


def _rank(
    statistic: float, climb: Callable[[int], float], surrogates: int
) -> tuple[Estimate, float]:
    """p-value of the statistic among surrogates, and the largest of those drawn.

    ``climb`` gives the statistic of the surrogate of a seed. They are drawn as many at a time as
    there are cores, and judged in order: how many cores there are changes nothing.
    """
    best, beaten = -np.inf, 0
    at_a_time = os.cpu_count() or 1
    with side_by_side() as pool:
        for first in range(0, surrogates, at_a_time):
            seeds = range(first, min(first + at_a_time, surrogates))
            for seed, surrogate in zip(seeds, pool.map(climb, seeds), strict=True):
                best = max(best, surrogate)
                beaten += surrogate >= statistic
                if beaten == BEATEN:
                    return statistics.p_value(beaten, seed + 1, stopped=True), best
    return statistics.p_value(beaten, surrogates), best


class _Callable(ModuleType):
    """Makes the module callable: ``helix(W_pos)`` is ``helix.shape(W_pos)``."""

    def __call__(self, W_pos: ArrayLike) -> Shape:
        return shape(np.asarray(W_pos, dtype=float))


sys.modules[__name__].__class__ = _Callable

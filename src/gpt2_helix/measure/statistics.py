"""What a number is worth: estimates with 95 % intervals, and the rank correlation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from jaxtyping import Float, Num

from gpt2_helix.judging.claim import rounded
from gpt2_helix.judging.errors import NothingToMeasureError

RESAMPLES = 2000
SEED = 20230810
BOOTSTRAP: Final = "bootstrap"
JACKKNIFE: Final = "jackknife"
WILSON: Final = "wilson"
EXACT: Final = "exact"


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval."""

    mean: float  # The number: a mean over what was sampled, or a statistic of such means.
    low: float
    high: float
    method: str | None = None  # Name of the method of the interval; see the functions here.
    n: int | None = None  # Independent units sampled.


ByHead = dict[str, Estimate]


def bootstrap(
    statistic: Callable[..., Any],
    *samples: Num[np.ndarray, " unit"],
    digits: int | None = None,
) -> Estimate:
    """Estimate a statistic of samples; several are resampled together, unit by unit.

    Percentiles over ``RESAMPLES`` samples with replacement (Efron and Tibshirani 1993). The
    statistic takes ``axis`` too if it can be taken along one. ``digits`` are significant ones to
    keep; None for all.
    """
    from scipy import stats  # Not above: claims on a record need not wait for it.

    value = float(statistic(*samples))
    low = high = value
    if any(np.ptp(sample) for sample in samples):
        low, high = stats.bootstrap(
            samples,
            statistic,
            n_resamples=RESAMPLES,
            method="percentile",
            paired=len(samples) > 1,
            rng=np.random.default_rng(SEED),
        ).confidence_interval
    return _estimate(value, low, high, BOOTSTRAP, len(samples[0]), digits)


def jackknife(
    value: float, left_out: Float[np.ndarray, " unit"], digits: int | None = None
) -> Estimate:
    """Estimate a number from what it is without each unit in turn (Tukey 1958).

    ``NothingToMeasureError`` if there is one unit alone.
    """
    from scipy.special import stdtrit  # Not above: claims on a record need not wait for it.

    if (n := len(left_out)) < 2:
        raise NothingToMeasureError("expected an interval over several units, found one unit")
    error = np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum())
    reach = float(stdtrit(n - 1, 0.975) * error)
    return _estimate(value, value - reach, value + reach, JACKKNIFE, n, digits)


def jackknifed(statistic: Callable[..., Any], *samples: Num[np.ndarray, " unit"]) -> Estimate:
    """Estimate a statistic of samples of a few units; those of one unit are left out together."""
    without = [
        statistic(*(np.delete(sample, unit) for sample in samples))
        for unit in range(len(samples[0]))
    ]
    return jackknife(float(statistic(*samples)), np.array(without))


def share(some: int, n: int) -> Estimate:
    """Estimate a share from ``some`` of ``n``, with Wilson's interval (1927).

    It takes the ``n`` as independent. Queries that stand side by side in a text are not, so an
    interval over queries is narrower than it should be.
    """
    return _proportion(some / n, some, n, WILSON)


def p_value(beaten: int, surrogates: int, *, stopped: bool = False) -> Estimate:
    """Estimate the p-value of a rank test: ``beaten`` of the surrogates drawn do as well.

    If all that were planned were drawn, the p-value counts the observed among them, as a rank does
    (Theiler et al., Physica D 58, 1992). If drawing ``stopped`` at the surrogate that brought
    ``beaten`` to a number chosen before, it is their share (Besag and Clifford, Biometrika 78,
    1991). The interval is Clopper and Pearson's (1934), exact for all that were planned; after a
    stop its low end is exact still, and its high end on the safe side.
    """
    value = beaten / surrogates if stopped else (beaten + 1) / (surrogates + 1)
    return _proportion(value, beaten, surrogates, EXACT)


def ratio(some: Any, whole: Any, axis: int = -1) -> Any:
    """What some are of the whole, summed over units; a statistic for ``bootstrap``."""
    return some.sum(axis=axis) / whole.sum(axis=axis)


def spearman(some: Float[np.ndarray, " n"], others: Float[np.ndarray, " n"]) -> float:
    """Spearman correlation; equal values share their mean rank.

    As ``scipy.stats.spearmanr``, whose import takes as long as judging a claim.
    """
    return float(np.corrcoef(_ranks(some), _ranks(others))[0, 1])


def _ranks(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Float[np.ndarray, " n"] = (counts.cumsum() - (counts - 1) / 2)[inverse]
    return ranks


def _proportion(value: float, some: int, n: int, method: Literal["wilson", "exact"]) -> Estimate:
    from scipy.stats import binomtest  # Not above: claims on a record need not wait for it.

    low, high = binomtest(some, n).proportion_ci(method=method)
    return _estimate(value, low, high, method, n, None)


def _estimate(
    value: float, low: float, high: float, method: str, n: int, digits: int | None
) -> Estimate:
    mean, low, high = (
        float(number) if digits is None else rounded(number, digits)
        for number in (value, low, high)
    )
    return Estimate(mean, low, high, method, n)

"""What a number is worth: estimates with 95 % intervals, and the rank correlation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from jaxtyping import Float, Num

from gpt2_helix.judging.claim import rounded

RESAMPLES = 2000
SEED = 20230810
BOOTSTRAP: Final = "bootstrap"
JACKKNIFE: Final = "jackknife"


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval."""

    mean: float  # The number: a mean over what was sampled, or a statistic of such means.
    low: float
    high: float
    method: str | None = None  # ``bootstrap`` or ``jackknife``; see the functions here.
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


def jackknife(value: float, left_out: Float[np.ndarray, " unit"], digits: int) -> Estimate:
    """Estimate a number from what it is without each unit in turn (Tukey 1958)."""
    from scipy.special import stdtrit  # Not above: claims on a record need not wait for it.

    n = len(left_out)
    error = np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum())
    reach = float(stdtrit(n - 1, 0.975) * error)
    return _estimate(value, value - reach, value + reach, JACKKNIFE, n, digits)


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


def _estimate(
    value: float, low: float, high: float, method: str, n: int, digits: int | None
) -> Estimate:
    mean, low, high = (
        float(number) if digits is None else rounded(number, digits)
        for number in (value, low, high)
    )
    return Estimate(mean, low, high, method, n)

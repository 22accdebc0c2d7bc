"""What averaging positions does to next-token distributions on text."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.parameters import PARAMETERS

if TYPE_CHECKING:
    import gpt2_helix.models.runner  # not at run time: it imports torch, which is slow

DOCTORINGS = PARAMETERS.output.doctorings
SEED = 20230810
RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A mean over windows, and its 95 % bootstrap interval over them (percentiles)."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class OnText:
    """Text under every doctoring.

    Results are keyed by doctoring; all are compared with ``intact``.

    Attributes
    ----------
    n_windows, n_tokens
        Windows, and tokens in each.
    loss
        Mean next-token loss on intact positions, nats.
    kl
        KL(intact || doctored) of next-token distributions, nats.
    loss_change
        Doctored minus intact loss, nats.
    same_top
        Share of positions with the same most probable token.
    """

    n_windows: int
    n_tokens: int
    loss: Estimate
    kl: dict[str, Estimate]
    loss_change: dict[str, Estimate]
    same_top: dict[str, Estimate]


def on_text(
    runner: "gpt2_helix.models.runner.Runner",
    W_pos: Positions,
    windows: Int[np.ndarray, "window token"],
) -> OnText:
    """Run windows of text under every doctoring at once."""
    from gpt2_helix.models import on_text  # Not above: it imports torch, which is slow.

    spoilt = [name for name in DOCTORINGS if name != doctoring.INTACT]
    tables = doctoring.doctor_all(W_pos, [doctoring.INTACT, *spoilt])
    names = list(tables)
    length = windows.shape[1]
    found = on_text.window_statistics(
        runner, windows, runner.tables([W[:length] for W in tables.values()])
    )
    loss = np.stack([w.loss for w in found])
    return OnText(
        n_windows=len(windows),
        n_tokens=length,
        loss=_estimate(loss[:, 0]),
        kl=_by_name(names, np.stack([w.kl for w in found])),
        loss_change=_by_name(names, loss - loss[:, :1]),
        same_top=_by_name(names, np.stack([w.same_top for w in found])),
    )


def _by_name(
    names: list[str], values: Float[np.ndarray, "window doctoring"]
) -> dict[str, Estimate]:
    return {name: _estimate(values[:, i]) for i, name in enumerate(names) if i > 0}


def _estimate(values: Float[np.ndarray, " window"]) -> Estimate:
    mean = float(values.mean())
    if np.ptp(values) == 0:
        return Estimate(mean, mean, mean)
    from scipy.stats import bootstrap  # Not above: most claims need not wait for it.

    interval = bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high))

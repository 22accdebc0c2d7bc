"""What averaging positions does to next-token distributions on text, and to attention there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import bootstrap

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.parameters import PARAMETERS
from gpt2_helix.subjects.config import Head

if TYPE_CHECKING:
    import gpt2_helix.runner  # not at run time: it brings torch, which other claims do without

GROUP_SIZES: list[int] = PARAMETERS["output"]["group_sizes"]
ATTENTION_OF = ("intact", "10")
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

    A doctoring is named by its group size, ``all`` (one group), ``shuffled`` (rows 1 .. in random
    order) or ``zeroed``; all are compared with ``intact``.

    Attributes
    ----------
    n_windows, n_tokens
        Windows, and tokens in each.
    loss
        Mean next-token loss on intact positions, nats.
    kl
        KL(intact || doctored) of next-token distributions, nats.
    loss_change
        Doctored less intact loss, nats.
    same_top
        Share of positions with the same most probable token.
    previous_token
        For ``intact`` and ``10``: mean attention to the previous token, layer by head, the first
        token left out.
    """

    n_windows: int
    n_tokens: int
    loss: Estimate
    kl: dict[str, Estimate]
    loss_change: dict[str, Estimate]
    same_top: dict[str, Estimate]
    previous_token: dict[str, list[list[float]]]


@dataclass(frozen=True)
class MainHeads:
    """Mean attention to the previous token, the first token left out.

    Attributes
    ----------
    intact, doctored
        By head; doctored is in groups of ten.
    best_other
        The largest, intact, of all other heads.
    """

    intact: dict[str, float]
    doctored: dict[str, float]
    best_other: float


def on_text(
    runner: "gpt2_helix.runner.Runner",
    W_pos: Positions,
    windows: Int[np.ndarray, "window position"],
) -> OnText:
    """Run windows of text under every doctoring at once."""
    tables = doctorings(W_pos)
    names = list(tables)
    length = windows.shape[1]
    found = runner.windows(
        windows,
        runner.tables([W[:length] for W in tables.values()]),
        [names.index(name) for name in ATTENTION_OF],
    )
    loss = np.stack([w.loss for w in found])
    previous = np.mean([w.previous_token for w in found], axis=0)
    return OnText(
        n_windows=len(windows),
        n_tokens=length,
        loss=_estimate(loss[:, 0]),
        kl=_by_name(names, np.stack([w.kl for w in found])),
        loss_change=_by_name(names, loss - loss[:, :1]),
        same_top=_by_name(names, np.stack([w.same_top for w in found])),
        previous_token=dict(zip(ATTENTION_OF, previous.tolist(), strict=True)),
    )


def previous_token(on_text: OnText, main_heads: Sequence[Head]) -> MainHeads:
    """Read the main heads' attention from what was measured on text."""
    intact, doctored = (np.array(on_text.previous_token[name]) for name in ("intact", "10"))
    others = intact.copy()
    for head in main_heads:
        others[head.layer, head.head] = -np.inf
    return MainHeads(
        {str(head): float(intact[head.layer, head.head]) for head in main_heads},
        {str(head): float(doctored[head.layer, head.head]) for head in main_heads},
        float(others.max()),
    )


def doctorings(W_pos: Positions) -> Mapping[str, Positions]:
    """Every doctoring that text is run under, ``intact`` first; row 0 is the same in all."""
    rows = np.random.default_rng(SEED).permutation(np.arange(1, len(W_pos)))
    zeroed = np.zeros_like(W_pos)
    zeroed[0] = W_pos[0]
    return {
        "intact": W_pos,
        **{str(k): doctoring.average_in_groups(W_pos, k) for k in GROUP_SIZES},
        "all": doctoring.average_in_groups(W_pos, len(W_pos)),
        "shuffled": W_pos[[0, *rows]],
        "zeroed": zeroed,
    }


def _by_name(
    names: list[str], values: Float[np.ndarray, "window doctoring"]
) -> dict[str, Estimate]:
    return {name: _estimate(values[:, i]) for i, name in enumerate(names) if i > 0}


def _estimate(values: Float[np.ndarray, " window"]) -> Estimate:
    mean = float(values.mean())
    if np.ptp(values) == 0:
        return Estimate(mean, mean, mean)
    interval = bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high))

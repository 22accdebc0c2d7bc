"""What averaging positions does to next-token distributions on text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.measure.statistics import Estimate, bootstrap

if TYPE_CHECKING:
    import gpt2_helix.models.on_text
    import gpt2_helix.models.runner  # not at run time: it imports torch, which is slow

DOCTORINGS = ("intact", "average-5", "average-10", "average-20", "average-50", "average-100")
"""What claims ask for; ``BESIDE`` is recorded and drawn with it."""
BESIDE = ("average-2", "average-200", "average-all", "shuffled", "zeroed")


@dataclass(frozen=True)
class OnText:
    """Text under every doctoring, by its name; all are compared with ``intact``."""

    n_windows: int
    n_tokens: int  # In each window.
    loss: Estimate  # Mean next-token loss on intact positions, nats.
    kl: dict[str, Estimate]  # KL(intact || doctored) of next-token distributions, nats.
    loss_change: dict[str, Estimate]  # Doctored minus intact loss, nats.
    same_top: dict[str, Estimate]  # Share of positions with the same most probable token.
    # Of changes of loss in the same windows: at 100 minus five times that at 20, and at 50 minus
    # that at 20, in nats.
    over_five_times_20: Estimate
    more_at_50_than_20: Estimate


@dataclass(frozen=True)
class Beside:
    """Text under other doctorings, by name; as of ``OnText``."""

    kl: dict[str, Estimate]
    loss_change: dict[str, Estimate]
    same_top: dict[str, Estimate]


def on_text(
    runner: "gpt2_helix.models.runner.Runner",
    W_pos: Positions,
    windows: Int[np.ndarray, "window token"],
    *,
    doctorings: Sequence[str] = DOCTORINGS,
) -> OnText:
    """Run windows of text under every doctoring at once."""
    names, found = _run(runner, W_pos, windows, doctorings)
    loss = np.stack([w.loss for w in found])
    change = loss - loss[:, :1]
    at_20, at_50, at_100 = (change[:, names.index(f"average-{k}")] for k in (20, 50, 100))
    return OnText(
        n_windows=len(windows),
        n_tokens=windows.shape[1],
        loss=_mean(loss[:, 0]),
        kl=_by_name(names, np.stack([w.kl for w in found])),
        loss_change=_by_name(names, change),
        same_top=_by_name(names, np.stack([w.same_top for w in found])),
        over_five_times_20=_mean(at_100 - 5 * at_20),
        more_at_50_than_20=_mean(at_50 - at_20),
    )


def beside(
    runner: "gpt2_helix.models.runner.Runner",
    W_pos: Positions,
    windows: Int[np.ndarray, "window token"],
    *,
    beside: Sequence[str] = BESIDE,
) -> Beside:
    """Run windows of text under doctorings that no claim asks for, and compare them with intact."""
    names, found = _run(runner, W_pos, windows, beside)
    loss = np.stack([w.loss for w in found])
    return Beside(
        kl=_by_name(names, np.stack([w.kl for w in found])),
        loss_change=_by_name(names, loss - loss[:, :1]),
        same_top=_by_name(names, np.stack([w.same_top for w in found])),
    )


def _run(
    runner: "gpt2_helix.models.runner.Runner",
    W_pos: Positions,
    windows: Int[np.ndarray, "window token"],
    doctorings: Sequence[str],
) -> "tuple[list[str], list[gpt2_helix.models.on_text.WindowStatistics]]":
    """Names of the doctorings, intact first, and each window under all of them."""
    from gpt2_helix.models import on_text  # Not above: it imports torch, which is slow.

    spoilt = [name for name in doctorings if name != doctoring.INTACT]
    tables = doctoring.doctor_all(W_pos, [doctoring.INTACT, *spoilt])
    fed = runner.tables([W[: windows.shape[1]] for W in tables.values()])
    return list(tables), on_text.window_statistics(runner, windows, fed)


def _by_name(
    names: list[str], values: Float[np.ndarray, "window doctoring"]
) -> dict[str, Estimate]:
    return {name: _mean(values[:, i]) for i, name in enumerate(names) if i > 0}


def _mean(values: Float[np.ndarray, " window"]) -> Estimate:
    found = bootstrap(np.mean, values)
    return Estimate(found.mean, found.low, found.high)  # How it was made is the same for all.

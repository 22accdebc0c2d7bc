"""What early layers make of positions, and whether later heads need anything else.

The *extended positional embedding* of a position at a layer is what enters that layer there on
average, whatever the tokens: the mean over draws of the residual stream, through attention alone
(see ``attention_only``). The rest of the stream is its *content*. The main previous-token heads are
fed one without the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.judging.claim import rounded
from gpt2_helix.judging.errors import DegenerateModelError
from gpt2_helix.measure.attention_only import (
    DIGITS,
    NOTHING_TO_KEEP,
    ByHead,
    Interval,
    Window,
    by_head,
    kept,
    over_draws,
    window_of,
)
from gpt2_helix.models.config import Head
from gpt2_helix.models.heads import to_previous
from gpt2_helix.models.readings import Readings
from gpt2_helix.parameters import PARAMETERS

_CHOSEN = PARAMETERS.extended

Entering = dict[int, Float[np.ndarray, "pair token d_model"]]
"""By layer, the residual stream that enters it, a mean over each pair of draws."""


@dataclass(frozen=True)
class Fed:
    """Attention of the main heads to the previous token, by head and by what they are fed.

    Attributes
    ----------
    whole, from_extended, from_content
        The whole residual stream, its extended positional embeddings alone, its content alone.
    kept_from_extended, kept_from_content
        The same over the whole.
    kept_from_extended_interval, kept_from_content_interval
        95% intervals over pairs of draws.
    """

    whole: ByHead
    from_extended: ByHead
    from_content: ByHead
    kept_from_extended: ByHead
    kept_from_extended_interval: dict[str, Interval]
    kept_from_content: ByHead
    kept_from_content_interval: dict[str, Interval]


@dataclass(frozen=True)
class Averaged:
    """Attention of the main heads fed extended positional embeddings alone, by doctoring.

    Attributes
    ----------
    attention
        Doctoring, then head.
    kept, kept_interval
        Sum over the heads, doctored over intact; the same draws in both.
    """

    attention: dict[str, ByHead]
    kept: dict[str, float]
    kept_interval: dict[str, Interval]


def fed(W_pos: Positions, attention_alone: Readings, main_heads: Sequence[Head]) -> Fed:
    """Measure the main heads fed extended positional embeddings alone, and content alone.

    Raises
    ------
    DegenerateModelError
        If one of them gives the previous token nothing when it is fed everything.
    """
    window = window_of(W_pos)
    intact = attention_alone.doctored(doctoring.INTACT, main_heads)
    draws = window.mean(intact.previous)
    whole = draws.mean(axis=0)
    if not whole.all():
        raise DegenerateModelError(NOTHING_TO_KEEP)
    extended, left_out = read_means(attention_alone, main_heads, intact.entering, window)
    whole_left_out = (draws.sum(axis=0) - draws) / (len(draws) - 1)
    embeddings = {layer: of_layer.mean(axis=0) for layer, of_layer in intact.entering.items()}
    without = {layer: mean - mean.mean(axis=0) for layer, mean in embeddings.items()}
    of_content = window.mean(attention_alone.read(W_pos, main_heads, without=without).previous)
    content = of_content.mean(axis=0)
    return Fed(
        by_head(main_heads, whole),
        by_head(main_heads, extended),
        by_head(main_heads, content),
        by_head(main_heads, extended / whole),
        {
            str(head): _jackknife(extended[i] / whole[i], left_out[:, i] / whole_left_out[:, i])
            for i, head in enumerate(main_heads)
        },
        by_head(main_heads, content / whole),
        {
            str(head): over_draws(kept, of_content[:, i], draws[:, i])
            for i, head in enumerate(main_heads)
        },
    )


def averaged(W_pos: Positions, attention_alone: Readings, main_heads: Sequence[Head]) -> Averaged:
    """Measure the main heads fed the extended positional embeddings of averaged positions.

    Raises
    ------
    DegenerateModelError
        If those of intact positions give the previous token nothing.
    """
    window = window_of(W_pos)
    entering = attention_alone.doctored(doctoring.INTACT, main_heads).entering
    intact, intact_left_out = read_means(attention_alone, main_heads, entering, window)
    if not intact.sum():
        raise DegenerateModelError(NOTHING_TO_KEEP)
    attention: dict[str, ByHead] = {}
    share: dict[str, float] = {}
    kept_interval: dict[str, Interval] = {}
    for name in _CHOSEN.doctorings:
        entering = attention_alone.doctored(name, main_heads).entering
        found, left_out = read_means(attention_alone, main_heads, entering, window)
        attention[name] = by_head(main_heads, found)
        share[name] = rounded(found.sum() / intact.sum(), DIGITS)
        kept_interval[name] = _jackknife(
            share[name], left_out.sum(axis=1) / intact_left_out.sum(axis=1)
        )
    return Averaged(attention, share, kept_interval)


def read_means(
    attention_alone: Readings, heads: Sequence[Head], entering: Entering, window: Window
) -> tuple[Float[np.ndarray, " head"], Float[np.ndarray, "pair head"]]:
    """Attention of heads fed the mean over all draws, and over all but one pair in turn.

    What leaving out each pair changes shows how much the mean depends on the draws.
    """
    found = []
    for head in heads:
        pairs, block = entering[head.layer], attention_alone.block(head.layer)
        total = pairs.sum(axis=0, dtype=np.float64)
        means = [total / len(pairs), *((total - pair) / (len(pairs) - 1) for pair in pairs)]
        previous = [to_previous(block.pattern(mean, [head.head])[0]) for mean in means]
        found.append(window.mean(np.stack(previous)))
    by_mean = np.stack(found, axis=1)
    return by_mean[0], by_mean[1:]


def _jackknife(value: float, left_out: Float[np.ndarray, " pair"]) -> Interval:
    """95% interval from what a number is without each pair of draws in turn (Tukey 1958)."""
    from scipy.special import stdtrit  # Not above: claims on a record need not wait for it.

    n = len(left_out)
    error = np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum())
    reach = float(stdtrit(n - 1, 0.975) * error)
    return rounded(value - reach, DIGITS), rounded(value + reach, DIGITS)

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
    TOKENS,
    ByHead,
    Interval,
    by_head,
    kept,
    over_draws,
    window_of,
)
from gpt2_helix.models.attention_alone import AttentionAlone, Window
from gpt2_helix.models.config import Head
from gpt2_helix.parameters import PARAMETERS

_CHOSEN = PARAMETERS.extended
N_DRAWS = _CHOSEN.draws
N_DRAWS_OF_CONTENT = _CHOSEN.draws_of_content

Parts = dict[int, Float[np.ndarray, "part position d_model"]]
"""By layer, means of the residual stream over equal parts of the draws."""


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
        95% intervals over draws.
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


def fed(W_pos: Positions, attention_alone: AttentionAlone, main_heads: Sequence[Head]) -> Fed:
    """Measure the main heads fed extended positional embeddings alone, and content alone.

    Raises
    ------
    DegenerateModelError
        If one of them gives the previous token nothing when it is fed everything.
    """
    window = window_of(W_pos)
    intact = attention_alone.doctored(doctoring.INTACT, main_heads, TOKENS, N_DRAWS_OF_CONTENT)
    draws = window.mean(intact.previous)
    whole = draws.mean(axis=0)
    if not whole.all():
        raise DegenerateModelError(NOTHING_TO_KEEP)
    parts = attention_alone.doctored(doctoring.INTACT, main_heads, TOKENS, N_DRAWS).entering
    embeddings = {layer: of_layer.mean(axis=0) for layer, of_layer in parts.items()}
    extended, left_out = read_means(attention_alone, main_heads, parts, window)
    # As many draws are left out of the whole, in proportion.
    n_parts = len(left_out)
    whole_parts = draws.reshape(n_parts, -1, len(main_heads)).mean(axis=1)
    whole_left_out = (whole_parts.sum(axis=0) - whole_parts) / (n_parts - 1)
    of_content = window.mean(
        attention_alone.changed(
            main_heads,
            TOKENS,
            N_DRAWS_OF_CONTENT,
            without={layer: mean - mean.mean(axis=0) for layer, mean in embeddings.items()},
        )
    )
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


def averaged(
    W_pos: Positions, attention_alone: AttentionAlone, main_heads: Sequence[Head]
) -> Averaged:
    """Measure the main heads fed the extended positional embeddings of averaged positions.

    Raises
    ------
    DegenerateModelError
        If those of intact positions give the previous token nothing.
    """
    window = window_of(W_pos)
    parts = attention_alone.doctored(doctoring.INTACT, main_heads, TOKENS, N_DRAWS).entering
    intact, intact_left_out = read_means(attention_alone, main_heads, parts, window)
    if not intact.sum():
        raise DegenerateModelError(NOTHING_TO_KEEP)
    attention: dict[str, ByHead] = {}
    share: dict[str, float] = {}
    kept_interval: dict[str, Interval] = {}
    for name in _CHOSEN.doctorings:
        parts = attention_alone.doctored(name, main_heads, TOKENS, N_DRAWS).entering
        found, left_out = read_means(attention_alone, main_heads, parts, window)
        attention[name] = by_head(main_heads, found)
        share[name] = rounded(found.sum() / intact.sum(), DIGITS)
        kept_interval[name] = _jackknife(
            share[name], left_out.sum(axis=1) / intact_left_out.sum(axis=1)
        )
    return Averaged(attention, share, kept_interval)


def read_means(
    attention_alone: AttentionAlone, heads: Sequence[Head], parts: Parts, window: Window
) -> tuple[Float[np.ndarray, " head"], Float[np.ndarray, "part head"]]:
    """Attention of heads fed the mean over all draws, and over all but one part in turn.

    What leaving out each part changes shows how much the mean depends on the draws.
    """
    streams = {
        layer: np.concatenate(
            [of_layer.mean(axis=0)[None], (of_layer.sum(axis=0) - of_layer) / (len(of_layer) - 1)]
        )
        for layer, of_layer in parts.items()
    }
    found = window.mean(
        np.hstack(
            [attention_alone.read(streams[head.layer], head.layer, [head.head]) for head in heads]
        )
    )
    return found[0], found[1:]


def _jackknife(value: float, left_out: Float[np.ndarray, " part"]) -> Interval:
    """95% interval from what a number is without each part of the draws (Tukey 1958)."""
    from scipy.special import stdtrit  # Not above: claims on a record need not wait for it.

    n = len(left_out)
    error = np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum())
    reach = float(stdtrit(n - 1, 0.975) * error)
    return rounded(value - reach, DIGITS), rounded(value + reach, DIGITS)

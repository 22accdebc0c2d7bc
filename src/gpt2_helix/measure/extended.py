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

from gpt2_helix.doctoring import INTACT
from gpt2_helix.judging.errors import NothingToMeasureError
from gpt2_helix.measure.attention_only import DIGITS, NOTHING_TO_KEEP, by_head, kept
from gpt2_helix.measure.statistics import ByHead, Estimate, jackknife
from gpt2_helix.models.config import Head
from gpt2_helix.models.heads import to_previous
from gpt2_helix.models.readings import Readings

DOCTORINGS = ("average-5", "average-10", "average-20", "average-100")

Entering = dict[int, Float[np.ndarray, "pair token d_model"]]
"""By layer, the residual stream that enters it, a mean over each pair of draws."""


@dataclass(frozen=True)
class Fed:
    """Attention of the main heads to the previous token, by head and by what they are fed."""

    whole: dict[str, float]  # The whole residual stream.
    from_extended: dict[str, float]  # Its extended positional embeddings alone.
    from_content: dict[str, float]  # Its content alone.
    kept_from_extended: ByHead  # The same over the whole, as is the next.
    kept_from_content: ByHead


@dataclass(frozen=True)
class Averaged:
    """Attention of the main heads fed extended positional embeddings alone, by doctoring."""

    attention: dict[str, dict[str, float]]  # Doctoring, then head.
    kept: dict[str, Estimate]  # Sum over the heads, doctored over intact; the same draws in both.


def fed(attention_alone: Readings, main_heads: Sequence[Head]) -> Fed:
    """Measure the main heads fed extended positional embeddings alone, and content alone.

    ``NothingToMeasureError`` if one of them, fed everything, gives the previous token nothing.
    """
    intact = attention_alone.doctored(INTACT, main_heads)
    draws = attention_alone.mean(intact.previous)
    whole = draws.mean(axis=0)
    if not whole.all():
        raise NothingToMeasureError(NOTHING_TO_KEEP)
    extended, left_out = read_means(attention_alone, main_heads, intact.entering)
    whole_left_out = (draws.sum(axis=0) - draws) / (len(draws) - 1)
    embeddings = {layer: stream.mean(axis=0) for layer, stream in intact.entering.items()}
    without = {layer: mean - mean.mean(axis=0) for layer, mean in embeddings.items()}
    only = attention_alone.read(attention_alone.W_pos, main_heads, without=without)
    content = attention_alone.mean(only.previous)
    return Fed(
        by_head(main_heads, whole),
        by_head(main_heads, extended),
        by_head(main_heads, content.mean(axis=0)),
        {
            str(head): jackknife(
                extended[i] / whole[i], left_out[:, i] / whole_left_out[:, i], DIGITS
            )
            for i, head in enumerate(main_heads)
        },
        kept(main_heads, content, draws),
    )


def fed_averaged(
    attention_alone: Readings,
    main_heads: Sequence[Head],
    *,
    doctorings: Sequence[str] = DOCTORINGS,
) -> Averaged:
    """Measure the main heads fed the extended positional embeddings of averaged positions.

    ``NothingToMeasureError`` if those of intact positions give the previous token nothing.
    """
    found, left_out = {}, {}
    for name in (INTACT, *doctorings):
        entering = attention_alone.doctored(name, main_heads).entering
        found[name], left_out[name] = read_means(attention_alone, main_heads, entering)
    whole, whole_left_out = found[INTACT].sum(), left_out[INTACT].sum(axis=1)
    if not whole:
        raise NothingToMeasureError(NOTHING_TO_KEEP)
    return Averaged(
        {name: by_head(main_heads, found[name]) for name in doctorings},
        {
            name: jackknife(
                found[name].sum() / whole, left_out[name].sum(axis=1) / whole_left_out, DIGITS
            )
            for name in doctorings
        },
    )


def read_means(
    attention_alone: Readings, heads: Sequence[Head], entering: Entering
) -> tuple[Float[np.ndarray, " head"], Float[np.ndarray, "pair head"]]:
    """Attention of heads fed the mean over all draws, and over all but one pair in turn.

    What leaving out each pair changes shows how much the mean depends on the draws.
    """
    found = []
    for head in heads:
        pairs, block = entering[head.layer], attention_alone.block(head.layer)
        total = pairs.sum(axis=0, dtype=np.float64)
        fed = [total / len(pairs), *((total - pair) / (len(pairs) - 1) for pair in pairs)]
        previous = [to_previous(block.pattern(mean, [head.head])[0]) for mean in fed]
        found.append(attention_alone.mean(np.stack(previous)))
    by_mean = np.stack(found, axis=1)
    return by_mean[0], by_mean[1:]

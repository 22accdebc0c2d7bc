"""What early layers make of positions, and whether later heads need anything else.

The *extended positional embedding* of a position at a layer is what enters that layer there on
average, whatever the tokens: the mean over draws of the residual stream, through attention alone
(see ``attention_only``). The rest of the stream is its *content*. The main previous-token heads are
fed one without the other.

A mean over few draws keeps something of their tokens, which flatters it. So what heads do when they
are fed it is corrected for its bias, by a jackknife over pairs of draws (Quenouille 1956), which
gives the intervals too (Tukey 1958).
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
from gpt2_helix.models.heads import profile
from gpt2_helix.models.readings import Reading, Readings

DOCTORINGS = ("average-5", "average-10", "average-20", "average-100")

ByMean = Float[np.ndarray, "fed head offset"]
"""Attention by offset of heads fed the mean over all draws, and over all but one pair in turn."""


@dataclass(frozen=True)
class Fed:
    """Attention of the main heads at -1, by head and by what they are fed."""

    whole: dict[str, float]  # The whole residual stream.
    from_extended: ByHead  # Its extended positional embeddings alone.
    from_content: dict[str, float]  # Its content alone.
    kept_from_extended: ByHead  # The same over the whole, as is the next.
    kept_from_content: ByHead
    # Fed extended positional embeddings alone, attention by offset behind the query, 0 .. 12.
    profile: dict[str, list[Estimate]]


@dataclass(frozen=True)
class Averaged:
    """The main heads fed extended positional embeddings alone, by doctoring and then by head."""

    attention: dict[str, ByHead]  # At -1.
    kept: dict[str, ByHead]  # Doctored over intact; the same draws in both.
    profile: dict[str, dict[str, list[Estimate]]]  # By offset behind the query, 0 .. 12.


def fed(attention_alone: Readings, main_heads: Sequence[Head]) -> Fed:
    """Measure the main heads fed extended positional embeddings alone, and content alone.

    ``NothingToMeasureError`` if one of them, fed everything, gives the previous position nothing.
    """
    intact = attention_alone.doctored(INTACT, main_heads)
    draws = attention_alone.mean(intact.previous)
    whole = draws.mean(axis=0)
    if not whole.all():
        raise NothingToMeasureError(NOTHING_TO_KEEP)
    extended = read_means(attention_alone, main_heads, intact)
    left_out = (draws.sum(axis=0) - draws) / (len(draws) - 1)
    embeddings = {layer: stream.mean(axis=0) for layer, stream in intact.entering.items()}
    without = {layer: mean - mean.mean(axis=0) for layer, mean in embeddings.items()}
    only = attention_alone.read(attention_alone.W_pos, main_heads, without=without)
    content = attention_alone.mean(only.previous)
    return Fed(
        by_head(main_heads, whole),
        _at_previous(main_heads, extended),
        by_head(main_heads, content.mean(axis=0)),
        _ratios(main_heads, extended[..., 1], np.concatenate([whole[None], left_out])),
        kept(main_heads, content, draws),
        _profiles(main_heads, extended),
    )


def fed_averaged(
    attention_alone: Readings,
    main_heads: Sequence[Head],
    *,
    doctorings: Sequence[str] = DOCTORINGS,
) -> Averaged:
    """Measure the main heads fed the extended positional embeddings of averaged positions.

    ``NothingToMeasureError`` if those of intact positions give one of them nothing at -1.
    """
    found = {
        name: read_means(attention_alone, main_heads, attention_alone.doctored(name, main_heads))
        for name in (INTACT, *doctorings)
    }
    whole = found[INTACT][..., 1]
    if not whole.all():
        raise NothingToMeasureError(NOTHING_TO_KEEP)
    return Averaged(
        {name: _at_previous(main_heads, some) for name, some in found.items()},
        {name: _ratios(main_heads, found[name][..., 1], whole) for name in doctorings},
        {name: _profiles(main_heads, some) for name, some in found.items()},
    )


def read_means(attention_alone: Readings, heads: Sequence[Head], reading: Reading) -> ByMean:
    """Attention of heads fed the mean over all draws, and over all but one pair in turn.

    What leaving out each pair changes shows how much the mean depends on the draws.
    """
    found = []
    for head in heads:
        pairs = reading.entering[head.layer]
        total = pairs.sum(axis=0, dtype=np.float64)
        means = [total / len(pairs), *((total - pair) / (len(pairs) - 1) for pair in pairs)]
        patterns = (attention_alone.pattern(head, mean, reading.rows) for mean in means)
        found.append([profile(pattern, attention_alone.queries) for pattern in patterns])
    return np.stack(found, axis=1)


def _corrected(by_mean: Float[np.ndarray, " fed"]) -> Estimate:
    """Estimate from what a mean over all draws gives, and means over all but one pair in turn."""
    found, left_out = by_mean[0], by_mean[1:]
    n = len(left_out)
    return jackknife(float(n * found - (n - 1) * left_out.mean()), left_out, DIGITS)


def _at_previous(heads: Sequence[Head], by_mean: ByMean) -> ByHead:
    return {str(head): _corrected(by_mean[:, i, 1]) for i, head in enumerate(heads)}


def _ratios(
    heads: Sequence[Head],
    some: Float[np.ndarray, "fed head"],
    whole: Float[np.ndarray, "fed head"],
) -> ByHead:
    return {str(head): _corrected(some[:, i] / whole[:, i]) for i, head in enumerate(heads)}


def _profiles(heads: Sequence[Head], by_mean: ByMean) -> dict[str, list[Estimate]]:
    return {
        str(head): [_corrected(given) for given in by_mean[:, i].T] for i, head in enumerate(heads)
    }

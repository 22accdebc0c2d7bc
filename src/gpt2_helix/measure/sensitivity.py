"""What is recorded beside the claims on attention alone, and judged by none.

How much their numbers lean on the choices made: group sizes in small steps, every head, and
tokens of another size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gpt2_helix import doctoring
from gpt2_helix.judging.claim import rounded
from gpt2_helix.judging.errors import NothingToMeasureError
from gpt2_helix.measure import attention_only, extended
from gpt2_helix.measure.attention_only import DIGITS, NOTHING_TO_KEEP, by_head, intact, means
from gpt2_helix.measure.statistics import ByHead
from gpt2_helix.models.config import Head
from gpt2_helix.models.readings import Readings, Tokens

GROUP_SIZES = (2, 3, 5, 7, 10, 20, 30, 50, 70, 100, 200, 300)
DOCTORINGS = attention_only.DOCTORINGS


@dataclass(frozen=True)
class Sweep:
    """Attention of the main heads at -1, against group size."""

    attention: dict[int, ByHead]  # Group size, then head; 1 is intact.
    half_lost_at: dict[str, float | None]  # By head; see the function of this name.


@dataclass(frozen=True)
class EveryHead:
    """Attention of every head at -1."""

    attention: dict[str, dict[str, float]]  # Doctoring (``zeroed``: no positions), then head.
    raw: dict[str, float]  # By head, fed W_pos as it is.


@dataclass(frozen=True)
class OtherTokens:
    """Attention of the main heads at -1 with other random tokens, by their kind."""

    intact: dict[str, ByHead]
    averaged: dict[str, attention_only.Averaged]


@dataclass(frozen=True)
class RepeatedToken:
    """Extended positional embeddings as the post's author made them.

    One random token stands at all positions. The residual stream minus its mean over positions is
    averaged over tokens, and the mean over positions and tokens is added back before a head reads
    it: which is the mean over tokens.
    """

    attention: dict[str, float]  # Of the main heads, fed these alone, by head.
    kept: dict[str, float]  # The same over the whole, as in ``extended.Fed``.


def sweep(
    attention_alone: Readings,
    main_heads: Sequence[Head],
    *,
    group_sizes: Sequence[int] = GROUP_SIZES,
) -> Sweep:
    """Measure the main heads on positions averaged in groups of many sizes."""
    names = {1: doctoring.INTACT, **{size: f"average-{size}" for size in group_sizes}}
    names[len(attention_alone.W_pos)] = doctoring.AVERAGE_ALL
    draws = {
        size: attention_alone.mean(attention_alone.doctored(name, main_heads).previous)
        for size, name in names.items()
    }
    return Sweep(
        {size: means(main_heads, found) for size, found in draws.items()},
        {
            str(head): half_lost_at(
                list(draws), [float(found.mean(axis=0)[i]) for found in draws.values()]
            )
            for i, head in enumerate(main_heads)
        },
    )


def half_lost_at(sizes: Sequence[int], attention: Sequence[float]) -> float | None:
    """Group size at which attention first falls to half of what it is at the first size.

    Interpolated over the logarithm of the size; None if it never falls so far, or is nothing at
    first.
    """
    half = attention[0] / 2
    below = [i for i, found in enumerate(attention) if found <= half]
    if not below or not attention[0]:
        return None
    after = below[0]
    share = (attention[after - 1] - half) / (attention[after - 1] - attention[after])
    low, high = np.log(sizes[after - 1]), np.log(sizes[after])
    return rounded(np.exp(low + share * (high - low)), DIGITS)


def every_head(attention_alone: Readings, *, doctorings: Sequence[str] = DOCTORINGS) -> EveryHead:
    """Measure every head under every doctoring, and fed W_pos alone."""
    heads = attention_alone.heads
    draws = {
        name: attention_alone.mean(attention_alone.every_head(name))
        for name in (doctoring.INTACT, *doctorings)
    }
    return EveryHead(
        {name: by_head(heads, found.mean(axis=0)) for name, found in draws.items()},
        attention_only.raw(attention_alone, heads, attention_alone.W_pos),
    )


def other_tokens(
    attention_alone: Readings,
    main_heads: Sequence[Head],
    random_tokens: Tokens,
    *,
    token_stds: Sequence[float] = (0.05, 0.1, 0.2),
    common_mean_norm: float = 2.0,
) -> OtherTokens:
    """Measure the main heads with louder and quieter tokens, and with a vector common to all."""
    kinds = {f"std {std:g}": replace(random_tokens, std=std) for std in token_stds}
    kinds["common mean"] = replace(random_tokens, mean_norm=common_mean_norm)
    on = {kind: attention_alone.fed(tokens) for kind, tokens in kinds.items()}
    return OtherTokens(
        {kind: means(main_heads, intact(alone, main_heads)) for kind, alone in on.items()},
        {kind: attention_only.averaged(alone, main_heads) for kind, alone in on.items()},
    )


def repeated_token(
    attention_alone: Readings, main_heads: Sequence[Head], random_tokens: Tokens
) -> RepeatedToken:
    """Measure the main heads fed extended positional embeddings made with repeated tokens.

    ``NothingToMeasureError`` if one of them, fed everything, gives the previous position nothing.
    """
    whole = intact(attention_alone, main_heads).mean(axis=0)
    if not whole.all():
        raise NothingToMeasureError(NOTHING_TO_KEEP)
    repeated = attention_alone.fed(replace(random_tokens, repeated=True))
    reading = repeated.doctored(doctoring.INTACT, main_heads)
    found = extended.read_means(attention_alone, main_heads, reading)[0, :, 1]
    return RepeatedToken(by_head(main_heads, found), by_head(main_heads, found / whole))

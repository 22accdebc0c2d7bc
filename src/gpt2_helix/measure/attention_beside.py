"""What is recorded beside the claims on attention alone, and judged by none.

How much their numbers lean on the choices made: group sizes in small steps, every head, and
tokens of another size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.judging.claim import rounded
from gpt2_helix.measure import attention_only, extended
from gpt2_helix.measure.attention_only import (
    DIGITS,
    TOKENS,
    ByHead,
    Interval,
    by_head,
    intervals,
    window_of,
)
from gpt2_helix.models.config import Head
from gpt2_helix.models.readings import Readings, Tokens
from gpt2_helix.parameters import PARAMETERS

_CHOSEN = PARAMETERS.attention_beside


@dataclass(frozen=True)
class Sweep:
    """Attention of the main heads to the previous token, against group size.

    Attributes
    ----------
    attention, interval
        Group size, then head; 1 is intact.
    half_lost_at
        By head, the group size at which half of the intact attention is lost; see below.
    """

    attention: dict[int, ByHead]
    interval: dict[int, dict[str, Interval]]
    half_lost_at: dict[str, float | None]


@dataclass(frozen=True)
class EveryHead:
    """Attention of every head to the previous token.

    Attributes
    ----------
    attention
        Doctoring, then head; ``zeroed`` is without positions.
    raw
        By head, fed W_pos as it is.
    """

    attention: dict[str, ByHead]
    raw: ByHead


@dataclass(frozen=True)
class OtherTokens:
    """The main heads with other random tokens.

    Attributes
    ----------
    intact, interval
        Kind of tokens, then head: attention to the previous token on intact positions.
    averaged
        Kind of tokens: the same on averaged positions.
    """

    intact: dict[str, ByHead]
    interval: dict[str, dict[str, Interval]]
    averaged: dict[str, attention_only.Averaged]


@dataclass(frozen=True)
class RepeatedToken:
    """Extended positional embeddings as the post's author made them.

    One random token stands at all positions. The residual stream minus its mean over positions is
    averaged over tokens, and the mean over positions and tokens is added back before a head reads
    it: which is the mean over tokens.

    Attributes
    ----------
    attention
        Of the main heads, fed these alone, by head.
    kept
        The same over the whole, as in ``extended.Fed``.
    """

    attention: ByHead
    kept: ByHead


def sweep(W_pos: Positions, attention_alone: Readings, main_heads: Sequence[Head]) -> Sweep:
    """Measure the main heads on positions averaged in groups of many sizes."""
    window = window_of(W_pos)
    names = {size: f"average-{size}" for size in (1, *_CHOSEN.group_sizes)}
    names |= {1: doctoring.INTACT, len(W_pos): doctoring.AVERAGE_ALL}
    draws = {
        size: attention_only.attention(attention_alone, name, main_heads, window)
        for size, name in names.items()
    }
    attention = {size: found.mean(axis=0) for size, found in draws.items()}
    return Sweep(
        {size: by_head(main_heads, found) for size, found in attention.items()},
        {size: intervals(main_heads, found) for size, found in draws.items()},
        {
            str(head): half_lost_at(list(draws), [float(a[i]) for a in attention.values()])
            for i, head in enumerate(main_heads)
        },
    )


def half_lost_at(sizes: Sequence[int], attention: Sequence[float]) -> float | None:
    """Group size at which attention first falls to half of what it is at the first size.

    Returns
    -------
    Interpolated over the logarithm of the size; None if it never falls so far, or is nothing
    to begin with.
    """
    half = attention[0] / 2
    below = [i for i, found in enumerate(attention) if found <= half]
    if not below or not attention[0]:
        return None
    after = below[0]
    share = (attention[after - 1] - half) / (attention[after - 1] - attention[after])
    low, high = np.log(sizes[after - 1]), np.log(sizes[after])
    return rounded(np.exp(low + share * (high - low)), DIGITS)


def every_head(W_pos: Positions, attention_alone: Readings) -> EveryHead:
    """Measure every head under every doctoring, and fed W_pos alone."""
    window, heads = window_of(W_pos), attention_alone.heads
    draws = {
        name: window.mean(attention_alone.every_head(name))
        for name in (doctoring.INTACT, *_CHOSEN.doctorings)
    }
    return EveryHead(
        {name: by_head(heads, found.mean(axis=0)) for name, found in draws.items()},
        attention_only.raw(attention_alone, heads, window, W_pos),
    )


def other_tokens(
    W_pos: Positions, attention_alone: Readings, main_heads: Sequence[Head]
) -> OtherTokens:
    """Measure the main heads with louder and quieter tokens, and with a vector common to all."""
    kinds = {f"std {std:g}": Tokens(std) for std in _CHOSEN.token_stds}
    kinds["common mean"] = replace(TOKENS, mean_norm=_CHOSEN.common_mean_norm)
    window = window_of(W_pos)
    on = {kind: attention_alone.fed(tokens) for kind, tokens in kinds.items()}
    draws = {
        kind: attention_only.attention(readings, doctoring.INTACT, main_heads, window)
        for kind, readings in on.items()
    }
    return OtherTokens(
        {kind: by_head(main_heads, found.mean(axis=0)) for kind, found in draws.items()},
        {kind: intervals(main_heads, found) for kind, found in draws.items()},
        {
            kind: attention_only.averaged(W_pos, readings, main_heads)
            for kind, readings in on.items()
        },
    )


def repeated_token(
    W_pos: Positions, attention_alone: Readings, main_heads: Sequence[Head]
) -> RepeatedToken:
    """Measure the main heads fed extended positional embeddings made with repeated tokens."""
    window = window_of(W_pos)
    repeated = attention_alone.fed(replace(TOKENS, repeated=True))
    entering = repeated.doctored(doctoring.INTACT, main_heads).entering
    found, _ = extended.read_means(attention_alone, main_heads, entering, window)
    draws = attention_only.attention(attention_alone, doctoring.INTACT, main_heads, window)
    return RepeatedToken(
        by_head(main_heads, found), by_head(main_heads, found / draws.mean(axis=0))
    )

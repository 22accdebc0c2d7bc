"""Where heads look through all layers of attention, without MLPs and without text.

Position vectors plus random token vectors go through the attention blocks of the model, and heads
are read on the way; see ``models.readings``. What a head does there comes from positions and
attention alone. *Attention* without more words is attention at -1: to the position just behind the
query. A head may give that position much and its own more, so it stands beside the *profile*:
attention by offset behind the query, what rests on position 0 apart.

Numbers are means over draws of tokens, with 95 % intervals by a bootstrap over pairs of draws, to
four digits: sums in float32 differ between machines in the eighth, and the sixth would not hold.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from gpt2_helix.doctoring import INTACT, Positions
from gpt2_helix.judging.claim import rounded
from gpt2_helix.judging.errors import NothingToMeasureError
from gpt2_helix.measure.statistics import ByHead, Estimate, bootstrap, ratio
from gpt2_helix.models.config import Head
from gpt2_helix.models.heads import to_previous
from gpt2_helix.models.readings import Reading, Readings

DIGITS = 4
WITHOUT_POSITIONS = "zeroed"
"""The floor: what heads do where there is nothing to tell positions by, but for position 0."""
DOCTORINGS = (
    "average-5", "average-10", "average-20", "average-50", "average-100", "average-all",
    WITHOUT_POSITIONS,
)  # fmt: skip
NEAR, FALLS_TO = 3, 6
"""Offsets behind the query that are near it, and to which a head that looks near falls off."""
NOTHING_TO_KEEP = "a main head gives the previous position nothing: there is nothing to keep"

Draws = Float[np.ndarray, "pair head"]
"""A mean over queries and over each antithetic pair of draws, or over one window of text."""
Profile = dict[str, list[float]]
"""By head, mean attention to the position 0, 1, .. 12 behind the query."""


@dataclass(frozen=True)
class MainHeads:
    """Where the main previous-token heads look on intact positions, by head."""

    attention: ByHead  # Attention at -1; mean over queries and draws.
    raw: dict[str, float]  # What the same head gives when it is fed W_pos as it is.
    positions: int  # Fed: as many as the claims ask for, or as the model has.
    profile: dict[str, list[Estimate]]  # Attention by offset behind the query, 0 .. 12.
    first: ByHead  # Attention to position 0.
    # Of what is not on position 0, how much stands on the query and the three behind it.
    near: ByHead
    # Least fall of attention from one offset to the next, from -1 to -6, over attention at -1.
    least_fall: ByHead
    # Share of queries that give the previous position more than any other but position 0, as in
    # ``heads``; neighbouring queries are not independent, so intervals are over pairs of draws.
    share: ByHead
    share_of_others: ByHead  # The same, the query's own position left out.

    @property
    def peak(self) -> dict[str, int]:
        """How far behind the query most attention goes, of the offsets measured."""
        return {
            head: max(range(len(found)), key=lambda n: found[n].mean)
            for head, found in self.profile.items()
        }

    @property
    def raw_over_attention(self) -> dict[str, Estimate]:
        """What raw positions give, over attention; infinite if that is nothing."""

        def over(head: str, at: float) -> float:
            return self.raw[head] / at if at else math.inf

        return {
            head: Estimate(over(head, at.mean), over(head, at.high), over(head, at.low))
            for head, at in self.attention.items()
        }


@dataclass(frozen=True)
class AllHeads:
    """Attention of every head, through attention alone; intact positions."""

    attention: ByHead

    @property
    def rank(self) -> dict[str, int]:
        """Place of each head in the order of attention; 1 is the most."""
        in_order = sorted(self.attention, key=lambda head: -self.attention[head].mean)
        return {head: place for place, head in enumerate(in_order, 1)}


@dataclass(frozen=True)
class Averaged:
    """Where the main heads look on averaged positions, by doctoring and then by head."""

    attention: dict[str, ByHead]
    kept: dict[str, ByHead]  # Doctored over intact; the same draws in both.
    profile: dict[str, Profile]
    first: dict[str, dict[str, float]]  # Attention to position 0.


def main_heads(attention_alone: Readings, main_heads: Sequence[Head]) -> MainHeads:
    """Measure the main heads on intact positions, and on W_pos alone."""
    found = attention_alone.doctored(INTACT, main_heads)
    return MainHeads(
        means(main_heads, attention_alone.mean(found.previous)),
        raw(attention_alone, main_heads, attention_alone.W_pos),
        attention_alone.positions,
        {
            str(head): [bootstrap(np.mean, given, digits=DIGITS) for given in by_offset]
            for head, by_offset in zip(main_heads, found.profile.transpose(1, 2, 0), strict=True)
        },
        means(main_heads, found.first),
        _of_profile(main_heads, found, _near),
        _of_profile(main_heads, found, _least_fall),
        means(main_heads, found.share),
        means(main_heads, found.share_of_others),
    )


def all_heads(attention_alone: Readings) -> AllHeads:
    """Measure every head on intact positions."""
    draws = attention_alone.mean(attention_alone.every_head(INTACT))
    return AllHeads(means(attention_alone.heads, draws))


def averaged(
    attention_alone: Readings,
    main_heads: Sequence[Head],
    *,
    doctorings: Sequence[str] = DOCTORINGS,
) -> Averaged:
    """Measure the main heads on averaged positions.

    ``NothingToMeasureError`` if one of them gives the previous position nothing on intact ones.
    """
    whole = intact(attention_alone, main_heads)
    if not whole.any(axis=0).all():
        raise NothingToMeasureError(NOTHING_TO_KEEP)
    found = {name: attention_alone.doctored(name, main_heads) for name in doctorings}
    draws = {name: attention_alone.mean(seen.previous) for name, seen in found.items()}
    return Averaged(
        {name: means(main_heads, some) for name, some in draws.items()},
        {name: kept(main_heads, some, whole) for name, some in draws.items()},
        {name: profile(main_heads, seen.profile.mean(axis=0)) for name, seen in found.items()},
        {name: by_head(main_heads, seen.first.mean(axis=0)) for name, seen in found.items()},
    )


def intact(attention_alone: Readings, heads: Sequence[Head]) -> Draws:
    """Attention on intact positions, pair by pair."""
    return attention_alone.mean(attention_alone.doctored(INTACT, heads).previous)


def raw(attention_alone: Readings, heads: Sequence[Head], W_pos: Positions) -> dict[str, float]:
    """Attention to the previous position of heads that are fed W_pos as it is."""
    fed = W_pos[: attention_alone.positions]
    previous = np.stack([to_previous(attention_alone.pattern(head, fed, fed)) for head in heads])
    return by_head(heads, attention_alone.mean(previous))


def means(heads: Sequence[Head], draws: Draws) -> ByHead:
    """Estimate the mean over draws, by head."""
    each = zip(heads, draws.T, strict=True)
    return {str(head): bootstrap(np.mean, found, digits=DIGITS) for head, found in each}


def kept(heads: Sequence[Head], some: Draws, whole: Draws) -> ByHead:
    """Estimate what is kept of the whole, by head; the same draws in both."""
    each = zip(heads, some.T, whole.T, strict=True)
    return {str(head): bootstrap(ratio, found, of, digits=DIGITS) for head, found, of in each}


def by_head(heads: Sequence[Head], values: Float[np.ndarray, " head"]) -> dict[str, float]:
    """Numbers by head."""
    return {str(h): rounded(value, DIGITS) for h, value in zip(heads, values.tolist(), strict=True)}


def profile(heads: Sequence[Head], values: Float[np.ndarray, "head offset"]) -> Profile:
    """Attention by offset behind the query, by head."""
    each = zip(heads, values.tolist(), strict=True)
    return {str(head): [rounded(given, DIGITS) for given in found] for head, found in each}


def _of_profile(heads: Sequence[Head], found: Reading, statistic: Any) -> ByHead:
    """Estimate a statistic of each head's attention to position 0 and to each offset."""
    samples = np.concatenate([found.first[..., None], found.profile], axis=-1)
    each = zip(heads, samples.transpose(1, 2, 0), strict=True)
    return {str(head): bootstrap(statistic, *some, digits=DIGITS) for head, some in each}


def _near(first: Any, *by_offset: Any, axis: int = -1) -> Any:
    """Of what is not on position 0, how much stands near the query; 0 if there is nothing."""
    near = sum(given.mean(axis=axis) for given in by_offset[: NEAR + 1])
    elsewhere = 1 - first.mean(axis=axis)
    return _over(near, elsewhere)


def _least_fall(first: Any, *by_offset: Any, axis: int = -1) -> Any:
    """Least fall from one offset to the next, over attention at -1; 0 if that is nothing."""
    given = np.stack([some.mean(axis=axis) for some in by_offset[1 : FALLS_TO + 1]])
    least = (given[:-1] - given[1:]).min(axis=0)
    return _over(least, given[0])


def _over(some: Any, whole: Any) -> Any:
    """Some over the whole; 0 where that is nothing."""
    return some * (whole > 0) / np.where(whole > 0, whole, 1)

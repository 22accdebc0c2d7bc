"""Attention to the previous token through all layers of attention, without MLPs and without text.

Position vectors plus random token vectors go through the attention blocks of the model, and heads
are read on the way; see ``models.readings``. What a head finds there comes from positions and
attention alone. Numbers are means over draws of tokens, with 95 % intervals over pairs of draws, to
four digits: sums in float32 differ between machines in the eighth, and the sixth would not hold.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gpt2_helix.doctoring import INTACT, Positions
from gpt2_helix.judging.claim import rounded
from gpt2_helix.judging.errors import NothingToMeasureError
from gpt2_helix.measure.statistics import ByHead, Estimate, bootstrap, ratio
from gpt2_helix.models.config import Head
from gpt2_helix.models.heads import to_previous
from gpt2_helix.models.interventions import silence
from gpt2_helix.models.readings import Readings

DIGITS = 4
DOCTORINGS = (
    "average-5", "average-10", "average-20", "average-50", "average-100", "average-all",
)  # fmt: skip
NOTHING_TO_KEEP = "a main head gives the previous token nothing: there is nothing to keep"

Draws = Float[np.ndarray, "pair head"]
"""A mean over queries and over each antithetic pair of draws, or over one window of text."""


@dataclass(frozen=True)
class MainHeads:
    """Attention of the main previous-token heads to the previous token, by head."""

    attention: ByHead  # Through attention alone; mean over queries and draws.
    raw: dict[str, float]  # What the same head gives when it is fed W_pos as it is.
    positions: int  # Fed: as many as the claims ask for, or as the model has.

    @property
    def times_raw(self) -> dict[str, float]:
        """Attention over what raw positions give, by head."""
        # A sharp head can give raw positions nothing that a float can hold.
        least = sys.float_info.min
        return {h: found.mean / max(self.raw[h], least) for h, found in self.attention.items()}


@dataclass(frozen=True)
class AllHeads:
    """Attention to the previous token of every head, through attention alone; intact positions."""

    attention: ByHead

    @property
    def rank(self) -> dict[str, int]:
        """Place of each head in the order of attention; 1 is the most."""
        in_order = sorted(self.attention, key=lambda head: -self.attention[head].mean)
        return {head: place for place, head in enumerate(in_order, 1)}


@dataclass(frozen=True)
class Averaged:
    """What is left of the main heads' attention, by doctoring."""

    attention: dict[str, ByHead]  # Doctoring, then head.
    kept: dict[str, Estimate]  # Sum over the heads, doctored over intact; the same draws in both.


@dataclass(frozen=True)
class WithoutLayer0:
    """What is left of the main heads' attention with the heads of layer 0 silenced, by head."""

    kept: ByHead  # Silenced over intact; the same draws in both.


def main_heads(attention_alone: Readings, main_heads: Sequence[Head]) -> MainHeads:
    """Measure the main heads on intact positions, and on W_pos alone."""
    return MainHeads(
        means(main_heads, intact(attention_alone, main_heads)),
        raw(attention_alone, main_heads, attention_alone.W_pos),
        attention_alone.positions,
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

    ``NothingToMeasureError`` if they give the previous token nothing on intact positions.
    """
    whole = intact(attention_alone, main_heads)
    if not whole.any():
        raise NothingToMeasureError(NOTHING_TO_KEEP)
    draws = {
        name: attention_alone.mean(attention_alone.doctored(name, main_heads).previous)
        for name in doctorings
    }
    return Averaged(
        {name: means(main_heads, found) for name, found in draws.items()},
        {
            name: bootstrap(ratio, found.sum(axis=1), whole.sum(axis=1), digits=DIGITS)
            for name, found in draws.items()
        },
    )


def first_layer(attention_alone: Readings, main_heads: Sequence[Head]) -> WithoutLayer0:
    """Measure the main heads with the heads of layer 0 silenced.

    ``NothingToMeasureError`` if one of them gives the previous token nothing on intact positions.
    """
    whole = intact(attention_alone, main_heads)
    if not whole.any(axis=0).all():
        raise NothingToMeasureError(NOTHING_TO_KEEP)
    without = attention_alone.read(attention_alone.W_pos, main_heads, hooks=[silence(0)])
    return WithoutLayer0(kept(main_heads, attention_alone.mean(without.previous), whole))


def intact(attention_alone: Readings, heads: Sequence[Head]) -> Draws:
    """Attention to the previous token on intact positions, pair by pair."""
    return attention_alone.mean(attention_alone.doctored(INTACT, heads).previous)


def raw(attention_alone: Readings, heads: Sequence[Head], W_pos: Positions) -> dict[str, float]:
    """Attention to the previous position of heads that are fed W_pos as it is."""
    fed = W_pos[: attention_alone.positions]
    patterns = [attention_alone.block(head.layer).pattern(fed, [head.head])[0] for head in heads]
    previous = np.stack([to_previous(pattern) for pattern in patterns])
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

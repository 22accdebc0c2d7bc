"""Attention to the previous token through all layers of attention, without MLPs and without text.

Position vectors plus random token vectors go through the attention blocks of the model, and heads
are read on the way; see ``models.readings``. What a head finds there comes from positions and
attention alone. Numbers are means over draws of tokens, with 95% intervals over pairs of draws, to
four digits: sums in float32 differ between machines in the eighth, and the sixth would not hold.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.judging.claim import rounded
from gpt2_helix.judging.errors import DegenerateModelError, MissingInputError
from gpt2_helix.models.config import Head
from gpt2_helix.models.heads import to_previous
from gpt2_helix.models.interventions import silence
from gpt2_helix.models.readings import SEED, Readings, Tokens
from gpt2_helix.parameters import PARAMETERS

_CHOSEN = PARAMETERS.attention_only
TOKENS = Tokens(_CHOSEN.token_std)
RESAMPLES = 1000
DIGITS = 4
NOTHING_TO_KEEP = "a main head gives the previous token nothing: there is nothing to keep"

ByHead = dict[str, float]
Interval = tuple[float, float]
Draws = Float[np.ndarray, "pair head"]
"""A mean over each antithetic pair of draws, or a single window of text."""


@dataclass(frozen=True)
class Window:
    """Queries ``first_query .. positions - 1``, over which attention is averaged."""

    positions: int
    first_query: int

    def mean(self, previous: Float[np.ndarray, "*pair query"]) -> Float[np.ndarray, "*pair"]:
        """Mean over the queries of the window."""
        return previous[..., self.first_query : self.positions].mean(axis=-1, dtype=np.float64)


@dataclass(frozen=True)
class MainHeads:
    """Attention of the main previous-token heads to the previous token, by head.

    Attributes
    ----------
    attention, interval
        Through attention alone; mean over queries and draws.
    raw
        What the same head gives when it is fed W_pos as it is.
    positions
        Positions fed: as many as the claims ask for, or as the model has.
    """

    attention: ByHead
    interval: dict[str, Interval]
    raw: ByHead
    positions: int

    @property
    def times_raw(self) -> ByHead:
        """Attention over what raw positions give, by head."""
        # A sharp head can give raw positions nothing that a float can hold.
        least = sys.float_info.min
        return {head: found / max(self.raw[head], least) for head, found in self.attention.items()}


@dataclass(frozen=True)
class AllHeads:
    """Attention to the previous token of every head, through attention alone; intact positions."""

    attention: ByHead
    interval: dict[str, Interval]

    @property
    def rank(self) -> dict[str, int]:
        """Place of each head in the order of attention; 1 is the most."""
        in_order = sorted(self.attention, key=lambda head: -self.attention[head])
        return {head: place for place, head in enumerate(in_order, 1)}


@dataclass(frozen=True)
class Averaged:
    """What is left of the main heads' attention, by doctoring.

    Attributes
    ----------
    attention, interval
        Doctoring, then head.
    kept, kept_interval
        Sum over the heads, doctored over intact; the same draws in both.
    """

    attention: dict[str, ByHead]
    interval: dict[str, dict[str, Interval]]
    kept: dict[str, float]
    kept_interval: dict[str, Interval]


@dataclass(frozen=True)
class WithoutLayer0:
    """What is left of the main heads' attention with the heads of layer 0 silenced, by head.

    Attributes
    ----------
    kept, kept_interval
        Silenced over intact; the same draws in both.
    """

    kept: ByHead
    kept_interval: dict[str, Interval]


def main_heads(
    W_pos: Positions, attention_alone: Readings, main_heads: Sequence[Head]
) -> MainHeads:
    """Measure the main heads on intact positions, and on W_pos alone."""
    window = window_of(W_pos)
    draws = attention(attention_alone, doctoring.INTACT, main_heads, window)
    return MainHeads(
        by_head(main_heads, draws.mean(axis=0)),
        intervals(main_heads, draws),
        raw(attention_alone, main_heads, window, W_pos),
        window.positions,
    )


def all_heads(W_pos: Positions, attention_alone: Readings) -> AllHeads:
    """Measure every head on intact positions."""
    heads = attention_alone.heads
    draws = window_of(W_pos).mean(attention_alone.every_head(doctoring.INTACT))
    return AllHeads(by_head(heads, draws.mean(axis=0)), intervals(heads, draws))


def averaged(W_pos: Positions, attention_alone: Readings, main_heads: Sequence[Head]) -> Averaged:
    """Measure the main heads on averaged positions.

    Raises
    ------
    DegenerateModelError
        If they give the previous token nothing on intact positions.
    """
    window = window_of(W_pos)
    intact = attention(attention_alone, doctoring.INTACT, main_heads, window)
    if not intact.any():
        raise DegenerateModelError(NOTHING_TO_KEEP)
    draws = {
        name: attention(attention_alone, name, main_heads, window) for name in _CHOSEN.doctorings
    }
    return Averaged(
        {name: by_head(main_heads, found.mean(axis=0)) for name, found in draws.items()},
        {name: intervals(main_heads, found) for name, found in draws.items()},
        {name: kept(found, intact) for name, found in draws.items()},
        {name: over_draws(kept, found, intact) for name, found in draws.items()},
    )


def first_layer(
    W_pos: Positions, attention_alone: Readings, main_heads: Sequence[Head]
) -> WithoutLayer0:
    """Measure the main heads with the heads of layer 0 silenced.

    Raises
    ------
    DegenerateModelError
        If one of them gives the previous token nothing on intact positions.
    """
    window = window_of(W_pos)
    intact = attention(attention_alone, doctoring.INTACT, main_heads, window)
    if not intact.any(axis=0).all():
        raise DegenerateModelError(NOTHING_TO_KEEP)
    silenced = window.mean(attention_alone.read(W_pos, main_heads, hooks=[silence(0)]).previous)
    pairs = list(zip(main_heads, silenced.T, intact.T, strict=True))
    return WithoutLayer0(
        {str(head): kept(without, whole) for head, without, whole in pairs},
        {str(head): over_draws(kept, without, whole) for head, without, whole in pairs},
    )


def window_of(W_pos: Positions) -> Window:
    """The claims' window, or what the model has of it.

    Raises
    ------
    MissingInputError
        If the model has too few positions.
    """
    if len(W_pos) < _CHOSEN.least_positions:
        raise MissingInputError([f"{_CHOSEN.least_positions} positions"], "the position matrix")
    return Window(min(_CHOSEN.positions, len(W_pos)), _CHOSEN.first_query)


def attention(attention_alone: Readings, name: str, heads: Sequence[Head], window: Window) -> Draws:
    """Attention to the previous token under the doctoring of this name, pair by pair."""
    return window.mean(attention_alone.doctored(name, heads).previous)


def raw(
    attention_alone: Readings, heads: Sequence[Head], window: Window, W_pos: Positions
) -> ByHead:
    """Attention to the previous position of heads that are fed W_pos as it is."""
    fed = W_pos[: window.positions]
    patterns = [attention_alone.block(head.layer).pattern(fed, [head.head])[0] for head in heads]
    return by_head(heads, window.mean(np.stack([to_previous(seen) for seen in patterns])))


def by_head(heads: Sequence[Head], values: Float[np.ndarray, " head"]) -> ByHead:
    """Numbers by head."""
    return {
        str(head): rounded(value, DIGITS)
        for head, value in zip(heads, values.tolist(), strict=True)
    }


def intervals(heads: Sequence[Head], draws: Draws) -> dict[str, Interval]:
    """Interval of the mean over pairs of draws, by head."""
    return {
        str(head): over_draws(lambda some: float(some.mean()), of_head)
        for head, of_head in zip(heads, draws.T, strict=True)
    }


def over_draws(
    statistic: Callable[..., float], *draws: Float[np.ndarray, "pair *head"]
) -> Interval:
    """95% bootstrap interval of a statistic of draws; several arrays are resampled together.

    Percentiles over ``RESAMPLES`` samples with replacement (Efron & Tibshirani 1993), of whole
    pairs of draws: the two of a pair are not independent.
    """
    n_draws = len(draws[0])
    samples = np.random.default_rng(SEED).integers(0, n_draws, (RESAMPLES, n_draws))
    found = [statistic(*(array[sample] for array in draws)) for sample in samples]
    low, high = np.percentile(found, [2.5, 97.5])
    return rounded(low, DIGITS), rounded(high, DIGITS)


def kept(some: Float[np.ndarray, "pair *head"], intact: Float[np.ndarray, "pair *head"]) -> float:
    """Attention in all, over what it is intact."""
    return rounded(some.sum() / intact.sum(), DIGITS)

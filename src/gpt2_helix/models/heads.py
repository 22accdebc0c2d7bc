"""Where attention heads look: the one place where queries meet keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float

OFFSETS = 13
"""Of a profile: the query's own position and the twelve behind it."""


@dataclass(frozen=True, eq=False)
class AttentionBlock:
    """``ln_1`` and ``c_attn`` of one block: what decides where its heads look."""

    ln_weight: Float[np.ndarray, " d_model"]
    ln_bias: Float[np.ndarray, " d_model"]
    # Columns are queries, keys and values of all heads, in this order.
    weight: Float[np.ndarray, "d_model qkv"]
    bias: Float[np.ndarray, " qkv"]
    n_head: int
    epsilon: float  # Added to the variance by LayerNorm.
    divisor: float  # Of products of queries and keys.
    causal: bool = True  # Whether a position sees only itself and those before it.
    window: int | None = None  # Latest positions that it sees, itself included; None for all.
    added: Float[np.ndarray, " d_model"] | None = None  # To what enters.

    def pattern(
        self,
        residual: Float[np.ndarray, "position d_model"],
        heads: Sequence[int],
        *,
        causal: bool = True,
    ) -> Float[np.ndarray, "head query key"]:
        """Attention patterns of some heads, fed this residual stream; rows sum to 1.

        Sums are taken in its precision. ``causal`` keeps the causal mask, if the model has one.
        """
        from scipy.special import softmax  # Not above: claims on a record need not wait for it.

        query, key = self.query_key(residual, heads)
        seen = mask(len(residual), self.window, causal=causal and self.causal)
        weights: Float[np.ndarray, "head query key"]
        weights = softmax(scores(query, key, seen.astype(query.dtype)), axis=-1)
        return weights

    def query_key(
        self, residual: Float[np.ndarray, "position d_model"], heads: Sequence[int]
    ) -> tuple[
        Float[np.ndarray, "head position d_head"], Float[np.ndarray, "head position d_head"]
    ]:
        """Queries, divided, and keys of some heads."""
        x = residual if self.added is None else residual + self.added
        x = x - x.mean(axis=-1, keepdims=True)
        x /= np.sqrt((x**2).mean(axis=-1, keepdims=True) + self.epsilon)
        x = x * self.ln_weight + self.ln_bias
        d_model = len(self.ln_weight)
        columns = np.arange(d_model).reshape(self.n_head, -1)[list(heads)]
        query, key = (
            (x @ self.weight[:, own.ravel()] + self.bias[own.ravel()])
            .reshape(len(x), *columns.shape)
            .swapaxes(0, 1)
            for own in (columns, columns + d_model)
        )
        return query / query.dtype.type(self.divisor), key


def scores(query: Any, key: Any, mask: Any) -> Any:
    """What each query gives each key before the softmax; arrays of numpy or tensors of torch.

    Shapes are (..., query, d_head), divided, (..., key, d_head), and (query, key) as ``mask`` has.
    """
    return query @ key.swapaxes(-1, -2) + mask


@cache
def mask(
    n: int, window: int | None = None, *, causal: bool = True
) -> Float[np.ndarray, "query key"]:
    """0 where one of ``n`` positions sees another, minus infinity where it does not.

    It does not see later positions, unless ``causal`` is false, nor those before its window.
    """
    behind = np.arange(n)[:, None] - np.arange(n)
    unseen = ((behind < 0) & causal) | (behind >= (window or n))
    return np.where(unseen, -np.inf, 0).astype(np.float32)


def to_previous(pattern: Float[np.ndarray, "*head query key"]) -> Float[np.ndarray, "*head query"]:
    """What each query gives the position before it; that of query 0 is NaN."""
    return to_offset(pattern, 1)


def to_offset(
    pattern: Float[np.ndarray, "*head query key"], behind: int
) -> Float[np.ndarray, "*head query"]:
    """What each query gives the position this far behind it; NaN where there is none."""
    found = np.full(pattern.shape[:-1], np.nan, pattern.dtype)
    found[..., behind:] = np.diagonal(pattern, -behind, axis1=-2, axis2=-1)
    return found


def profile(
    pattern: Float[np.ndarray, "*head query key"], queries: slice
) -> Float[np.ndarray, "*head offset"]:
    """Mean over queries of what they give the position 0, 1, .. 12 behind them.

    At each offset the mean is over those queries that have a position so far behind.
    """
    seen = [to_offset(pattern, behind)[..., queries] for behind in range(OFFSETS)]
    return np.asarray(np.nanmean(np.stack(seen, axis=-2), axis=-1, dtype=np.float64))


def nearest(
    pattern: Float[np.ndarray, "*head query key"], queries: slice
) -> Float[np.ndarray, "*head with_and_without_itself=2"]:
    """Share of queries that give the previous position more than any other key but position 0.

    First the query itself counts as another key, as in ``measure.heads``; then it is left out.
    """
    at = np.arange(pattern.shape[-1])[queries]
    rows = np.arange(len(at))
    others = pattern[..., queries, :].copy()
    previous = others[..., rows, at - 1]
    others[..., rows, at - 1] = -1
    others[..., 0] = -1
    with_itself = previous > others.max(axis=-1)
    others[..., rows, at] = -1
    without = previous > others.max(axis=-1)
    return np.stack([with_itself.mean(axis=-1), without.mean(axis=-1)], axis=-1)

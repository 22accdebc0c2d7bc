"""A transformer with its MLPs taken out: attention blocks and biases, nothing else.

It needs no token embedding. What enters is position vectors plus random token vectors, the *draws*:
Gaussian, independent at every position, each draw from its own seed. Every block adds its attention
of the residual stream and the output bias of its MLP, whose matrices are not needed.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float
from numpy.typing import DTypeLike

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.models.attention import AttentionBlock, Block
from gpt2_helix.models.config import Head

Result = TypeVar("Result")

SEED = 20230810
"""Of the draws; the day the post appeared."""
BATCH = 4
"""Draws that share a matrix product: larger ones gain no speed and cost memory."""

MOST_THREADS = 4
"""Each works on a batch of its own, so results do not depend on how many there are."""

Stream = Float[np.ndarray, "draw position d_model"]
_NOTHING: Mapping[int, Float[np.ndarray, "position d_model"]] = MappingProxyType({})


@dataclass(frozen=True)
class Window:
    """The positions that are fed, ``0 .. positions - 1``, and the first that is a query.

    Attention to the previous token is averaged over queries ``first_query .. positions - 1``.
    """

    positions: int
    first_query: int


@dataclass(frozen=True)
class Tokens:
    """Random vectors in place of token embeddings.

    Attributes
    ----------
    std
        Standard deviation of each coordinate.
    mean_norm
        Norm of a vector in a fixed random direction that is added to every token.
    repeated
        Whether a draw has one vector at all positions, instead of one at each.
    """

    std: float
    mean_norm: float = 0.0
    repeated: bool = False

    def draw(
        self, number: int, positions: int, d_model: int
    ) -> Float[np.ndarray, "position d_model"]:
        """Token vectors of one draw, the same for the same number."""
        rng = np.random.default_rng([SEED, number])
        shape = (1 if self.repeated else positions, d_model)
        vectors = self.std * rng.standard_normal(shape, dtype=np.float32)
        if self.mean_norm:
            common = np.random.default_rng(SEED).standard_normal(d_model, dtype=np.float32)
            vectors += common * (self.mean_norm / np.linalg.norm(common))
        return np.broadcast_to(vectors, (positions, d_model))


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Random tokens of the model's own; the first position always holds the same.

    Attributes
    ----------
    W_E
        Token embedding.
    first
        Token at position 0.
    """

    W_E: Float[np.ndarray, "token d_model"]
    first: int

    def draw(
        self, number: int, positions: int, d_model: int
    ) -> Float[np.ndarray, "position d_model"]:
        """Embeddings of one draw, the same for the same number."""
        tokens = np.random.default_rng([SEED, number]).integers(0, len(self.W_E), positions)
        tokens[0] = self.first
        return self.W_E[tokens]


AnyTokens = Tokens | Vocabulary


class AttentionAlone:
    """The attention blocks of a model, one after the other.

    Parameters
    ----------
    W_pos
        Positional embedding matrix.
    n_layer, n_head
        Layers, and heads in each.
    block
        Gives the block of a layer.
    dtype
        What is computed in. In float32 sums differ between machines in the seventh digit, and the
        means over queries and draws that are recorded in the eighth.
    """

    def __init__(
        self,
        W_pos: Positions,
        n_layer: int,
        n_head: int,
        block: Callable[[int], Block],
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.W_pos = W_pos
        self.heads = [Head(layer, head) for layer in range(n_layer) for head in range(n_head)]
        self._block = block
        self._dtype = dtype
        self._measured: dict[tuple[object, ...], Any] = {}
        self._masks: dict[tuple[int, int | None], Float[np.ndarray, "query key"]] = {}

    def intact(
        self, heads: Sequence[Head], window: Window, tokens: AnyTokens, n_draws: int
    ) -> Float[np.ndarray, "draw head"]:
        """``previous`` on the model's own positions; measured once, as many compare with it."""
        return self.doctored(doctoring.INTACT, heads, window, tokens, n_draws)

    def doctored(
        self, name: str, heads: Sequence[Head], window: Window, tokens: AnyTokens, n_draws: int
    ) -> Float[np.ndarray, "draw head"]:
        """``previous`` on the model's positions under the doctoring of this name; measured once."""
        key = (name, tuple(heads), window, tokens, n_draws)
        if key not in self._measured:
            table = doctoring.doctor(self.W_pos, name)
            self._measured[key] = self.previous(table, heads, window, tokens, n_draws)
        found: Float[np.ndarray, "draw head"] = self._measured[key]
        return found

    def intact_residual(
        self,
        layers: Sequence[int],
        window: Window,
        tokens: AnyTokens,
        n_draws: int,
        n_parts: int,
    ) -> dict[int, Float[np.ndarray, "part position d_model"]]:
        """``mean_residual`` on the model's own positions, which is measured once."""
        key = (tuple(layers), window, tokens, n_draws, n_parts)
        if key not in self._measured:
            self._measured[key] = self.mean_residual(
                self.W_pos, layers, window, tokens, n_draws, n_parts
            )
        found: dict[int, Float[np.ndarray, "part position d_model"]] = self._measured[key]
        return found

    def previous(
        self,
        W_pos: Positions,
        heads: Sequence[Head],
        window: Window,
        tokens: AnyTokens,
        n_draws: int,
        *,
        silent_layers: Sequence[int] = (),
        without: Mapping[int, Float[np.ndarray, "position d_model"]] = _NOTHING,
    ) -> Float[np.ndarray, "draw head"]:
        """Attention to the previous token, averaged over queries.

        Parameters
        ----------
        W_pos
            Position vectors to feed, doctored or not.
        heads
            Heads to read; layers above the last of them are not computed.
        window, tokens, n_draws
            What is fed, and how often.
        silent_layers
            Layers whose heads write nothing; their biases stay.
        without
            By layer, what is subtracted from the residual stream where heads read it; the stream
            itself goes on unchanged.
        """

        def of_batch(numbers: Sequence[int]) -> Float[np.ndarray, "draw head"]:
            found = np.empty((len(numbers), len(heads)))
            stream = self._entering(W_pos, numbers, window, tokens)
            last = max(head.layer for head in heads)
            for layer in range(last + 1):
                at = [i for i, head in enumerate(heads) if head.layer == layer]
                read = [heads[i].head for i in at]
                apart = layer == last or layer in silent_layers or layer in without
                if at and apart:
                    seen = stream - without[layer] if layer in without else stream
                    found[:, at] = self.read(seen, layer, read, window)
                if layer in silent_layers:
                    stream = stream + self._biases(layer)
                elif layer < last:
                    stream, previous = self._through(stream, layer, window)
                    if at and not apart:
                        found[:, at] = previous[:, read]
            return found

        return np.concatenate(list(self._in_batches(of_batch, n_draws, heads)))

    def mean_residual(
        self,
        W_pos: Positions,
        layers: Sequence[int],
        window: Window,
        tokens: AnyTokens,
        n_draws: int,
        n_parts: int,
    ) -> dict[int, Float[np.ndarray, "part position d_model"]]:
        """Mean over draws of the residual stream that enters each of some layers.

        Returns
        -------
        By layer, the mean over each of ``n_parts`` equal parts of the draws, in order.
        """

        def of_batch(numbers: Sequence[int]) -> list[Float[np.ndarray, "position d_model"]]:
            stream = self._entering(W_pos, numbers, window, tokens)
            streams = enumerate(self.streams(stream, max(layers)))
            return [entering.sum(axis=0) for layer, entering in streams if layer in layers]

        per_part, left = divmod(n_draws, n_parts)
        if left or per_part % BATCH:
            raise ValueError(
                f"n_draws: expected a multiple of {n_parts} x {BATCH}, found {n_draws}"
            )
        shape = (n_parts, window.positions, self.W_pos.shape[1])
        means = {layer: np.zeros(shape) for layer in sorted(layers)}
        for batch, sums in enumerate(self._in_batches(of_batch, n_draws, layers)):
            for mean, of_layer in zip(means.values(), sums, strict=True):
                mean[batch * BATCH // per_part] += of_layer / per_part
        return means

    def streams(self, entering: Stream, last: int) -> Iterator[Stream]:
        """Residual stream that enters each of the layers ``0 .. last``."""
        stream = self._cast(entering)
        for layer in range(last):
            yield stream
            stream, _ = self._through(stream, layer)
        yield stream

    def read(
        self, stream: Stream, layer: int, heads: Sequence[int], window: Window
    ) -> Float[np.ndarray, "draw head"]:
        """Attention to the previous token of some heads of a layer, fed this residual stream."""
        query = np.arange(window.first_query, window.positions)
        columns = [
            pattern[:, query, query - 1].mean(axis=1, dtype=np.float64)
            for pattern in self.patterns(stream, layer, heads)
        ]
        return np.stack(columns, axis=1)

    def patterns(
        self, stream: Stream, layer: int, heads: Sequence[int]
    ) -> Iterator[Float[np.ndarray, "draw query key"]]:
        """Attention pattern of each of some heads of a layer, fed this residual stream."""
        attention = self._block(layer).attention
        normed = self._normed(self._cast(stream), attention)
        d_model = stream.shape[-1]
        d_head = d_model // attention.n_head
        for head in heads:
            own = slice(head * d_head, (head + 1) * d_head)
            query, key = (
                normed @ self._cast(attention.weight[:, part:][:, own])
                + self._cast(attention.bias[part:][own])
                for part in (0, d_model)
            )
            query *= attention.scale / np.sqrt(d_head)
            weights, total = self._weights(attention, query, key)
            yield weights / total[..., None]

    def _through(
        self, stream: Stream, layer: int, window: Window | None = None
    ) -> tuple[Stream, Float[np.ndarray, "draw head"]]:
        """The stream after a layer, and attention to the previous token of all of its heads."""
        block = self._block(layer)
        attention = block.attention
        n_draws, n, d_model = stream.shape
        d_head = d_model // attention.n_head
        qkv = self._normed(stream, attention).reshape(-1, d_model) @ self._cast(attention.weight)
        qkv += self._cast(attention.bias)
        qkv[:, :d_model] *= attention.scale / np.sqrt(d_head)
        parts = qkv.reshape(n_draws, n, 3, attention.n_head, d_head).transpose(0, 2, 3, 1, 4)
        previous = np.empty((n_draws, attention.n_head))
        mixed = np.empty_like(stream)
        for draw, (query, key, value) in enumerate(parts):
            weights, total = self._weights(attention, query, key)
            if window:
                at = np.arange(window.first_query, window.positions)
                seen = weights[:, at, at - 1] / total[:, at]
                previous[draw] = seen.mean(axis=1, dtype=np.float64)
            by_head = mixed[draw].reshape(n, attention.n_head, d_head).swapaxes(0, 1)
            np.divide(weights @ value, total[..., None], out=by_head)
        leaving = (mixed.reshape(-1, d_model) @ self._cast(block.W_out)).reshape(stream.shape)
        leaving += stream
        leaving += self._biases(layer)
        return leaving, previous

    def _biases(self, layer: int) -> Float[np.ndarray, " d_model"]:
        block = self._block(layer)
        return self._cast(block.b_out + block.mlp_bias)

    def _weights(
        self,
        attention: AttentionBlock,
        query: Float[np.ndarray, "*head n d"],
        key: Float[np.ndarray, "*head n d"],
    ) -> tuple[Float[np.ndarray, "*head n n"], Float[np.ndarray, "*head n"]]:
        """Causal softmax before it is divided, and what to divide it by."""
        weights = query @ key.swapaxes(-1, -2)
        weights += self._mask(attention, weights.shape[-1])
        weights -= weights.max(axis=-1, keepdims=True)
        np.exp(weights, out=weights)
        return weights, weights.sum(axis=-1)

    def _mask(self, attention: AttentionBlock, n: int) -> Float[np.ndarray, "query key"]:
        """What to add to scores so that no query sees a key that it must not see."""
        kind = (n, attention.window)
        if kind not in self._masks:
            self._masks[kind] = self._cast(np.where(attention.unseen(n), -np.inf, 0.0))
        return self._masks[kind]

    def _normed(self, stream: Stream, attention: AttentionBlock) -> Stream:
        centred = stream - stream.mean(axis=-1, keepdims=True)
        variance = np.einsum("...d,...d->...", centred, centred) / stream.shape[-1]
        centred /= np.sqrt(variance + attention.epsilon)[..., None]
        centred *= self._cast(attention.ln_weight)
        centred += self._cast(attention.ln_bias)
        return centred

    def _entering(
        self, W_pos: Positions, numbers: Sequence[int], window: Window, tokens: AnyTokens
    ) -> Stream:
        n = window.positions
        drawn = [tokens.draw(number, n, W_pos.shape[1]) for number in numbers]
        return self._cast(W_pos[:n] + np.stack(drawn))

    def _cast(self, array: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        return array.astype(self._dtype, copy=False)

    def _in_batches(
        self, work: Callable[[Sequence[int]], Result], n_draws: int, needs: Sequence[int | Head]
    ) -> Iterator[Result]:
        """Results of some draws at a time, in their order, computed side by side."""
        last = max(n.layer if isinstance(n, Head) else n for n in needs)
        for layer in range(last + 1):
            self._block(layer)  # Read here: a missing tensor is then found before any work.
        batches = [range(i, min(i + BATCH, n_draws)) for i in range(0, n_draws, BATCH)]
        with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS)) as pool:
            yield from pool.map(work, batches)

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

import numpy as np
from jaxtyping import Float
from numpy.typing import DTypeLike

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.models.attention import AttentionBlock, Block
from gpt2_helix.models.config import Head

SEED = 20230810
"""Of the draws; the day the post appeared."""
BATCH = 4
"""Draws that share a matrix product: larger ones gain no speed and cost memory."""

QUERIES = 75
"""Queries whose attention is computed at once: what they see then fits the processor's cache."""

MOST_THREADS = 4
"""Each works on a batch of its own, so results do not depend on how many there are."""

Stream = Float[np.ndarray, "draw token d_model"]
Previous = Float[np.ndarray, "draw head query"]
"""Attention of each query to the position before it; that of query 0 is NaN."""

NOTHING: Mapping[int, Float[np.ndarray, "token d_model"]] = MappingProxyType({})


@dataclass(frozen=True)
class Window:
    """Queries ``first_query .. positions - 1``, over which attention is averaged."""

    positions: int
    first_query: int

    def mean(self, previous: Float[np.ndarray, "*draw query"]) -> Float[np.ndarray, "*draw"]:
        """Mean over the queries of the window."""
        return previous[..., self.first_query : self.positions].mean(axis=-1, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Found:
    """What heads do, and what they are fed, over some draws of tokens.

    Attributes
    ----------
    previous
        Attention to the previous token, of the heads that were asked for.
    entering
        By layer of these heads, the mean residual stream that enters it: one mean over each
        ``AttentionAlone.part`` draws, in order.
    """

    previous: Previous
    entering: dict[int, Float[np.ndarray, "part token d_model"]]


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

    def draw(self, number: int, positions: int, d_model: int) -> Float[np.ndarray, "token d_model"]:
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

    W_E: Float[np.ndarray, "d_vocab d_model"]
    first: int

    def draw(self, number: int, positions: int, d_model: int) -> Float[np.ndarray, "token d_model"]:
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
    positions
        How many positions are fed, from the first on; as a position sees none that follows, the
        first of them show what fewer would.
    n_layer, n_head
        Layers, and heads in each.
    block
        Gives the block of a layer.
    dtype
        What is computed in. In float32 sums differ between machines in the seventh digit, and the
        means over queries and draws that are recorded in the eighth.
    """

    part = 16
    """Draws that share a mean residual stream; how many are asked for is a multiple of it."""

    def __init__(
        self,
        W_pos: Positions,
        positions: int,
        n_layer: int,
        n_head: int,
        block: Callable[[int], Block],
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.W_pos = W_pos
        self.positions = min(positions, len(W_pos))
        self.heads = [Head(layer, head) for layer in range(n_layer) for head in range(n_head)]
        self.block = block
        self._dtype = dtype
        self._found: dict[tuple[str, tuple[Head, ...], AnyTokens], Found] = {}
        self._masks: dict[int | None, Float[np.ndarray, "query key"]] = {}

    def doctored(self, name: str, heads: Sequence[Head], tokens: AnyTokens, n_draws: int) -> Found:
        """Run the model on its positions under the doctoring of this name.

        What was run before, of more heads or fewer draws, is not run again.

        Parameters
        ----------
        name
            Of the doctoring; see ``doctoring.doctor``.
        heads
            Heads to read; layers above the last of them are not computed.
        tokens, n_draws
            What is fed beside positions, and how often.

        Raises
        ------
        ValueError
            If ``n_draws`` is not a multiple of ``part``.
        """
        if n_draws % self.part:
            raise ValueError(f"n_draws: expected a multiple of {self.part}, found {n_draws}")
        key = (name, tuple(heads), tokens)
        for (its_name, its_heads, its_tokens), found in self._found.items():
            of_all = (its_name, its_tokens) == (name, tokens) and set(heads) <= set(its_heads)
            if of_all and len(found.previous) >= n_draws:
                at = [its_heads.index(head) for head in heads]
                return Found(
                    found.previous[:n_draws, at],
                    {h.layer: found.entering[h.layer][: n_draws // self.part] for h in heads},
                )
        known = self._found.get(key)
        have = len(known.previous) if known else 0
        table = doctoring.doctor(self.W_pos, name)
        more = self._run(table, heads, tokens, range(have, n_draws))
        self._found[key] = _one_after_the_other(known, more) if known else more
        return self._found[key]

    def changed(
        self,
        heads: Sequence[Head],
        tokens: AnyTokens,
        n_draws: int,
        *,
        silent_layers: Sequence[int] = (),
        without: Mapping[int, Float[np.ndarray, "token d_model"]] = NOTHING,
    ) -> Previous:
        """Attention to the previous token, on intact positions, in a model that is changed.

        Parameters
        ----------
        heads, tokens, n_draws
            As for ``doctored``.
        silent_layers
            Layers whose heads write nothing; their biases stay.
        without
            By layer, what is subtracted from the residual stream where heads read it; the stream
            itself goes on unchanged.
        """
        draws = range(n_draws)
        return self._run(self.W_pos, heads, tokens, draws, silent_layers, without).previous

    def _run(
        self,
        W_pos: Positions,
        heads: Sequence[Head],
        tokens: AnyTokens,
        draws: range,
        silent_layers: Sequence[int] = (),
        without: Mapping[int, Float[np.ndarray, "token d_model"]] = NOTHING,
    ) -> Found:
        layers = sorted({head.layer for head in heads})

        def of_batch(
            numbers: Sequence[int],
        ) -> tuple[Previous, list[Float[np.ndarray, "token d_model"]]]:
            previous = np.empty((len(numbers), len(heads), self.positions), self._dtype)
            sums = []
            stream = self._entering(W_pos, numbers, tokens)
            for layer in range(layers[-1] + 1):
                at = [i for i, head in enumerate(heads) if head.layer == layer]
                own = [heads[i].head for i in at]
                if at:
                    sums.append(stream.sum(axis=0))
                apart = layer == layers[-1] or layer in silent_layers or layer in without
                if at and apart:
                    seen = stream - without[layer] if layer in without else stream
                    previous[:, at] = self.read(seen, layer, own)
                if layer in silent_layers:
                    stream = stream + self._biases(layer)
                elif layer < layers[-1]:
                    stream, of_all = self._through(stream, layer)
                    if at and not apart:
                        previous[:, at] = of_all[:, own]
            return previous, sums

        for layer in range(layers[-1] + 1):
            self.block(layer)  # Read here: a missing tensor is then found before any work.
        batches = [draws[i : i + BATCH] for i in range(0, len(draws), BATCH)]
        shape = (-(-len(draws) // self.part), self.positions, W_pos.shape[1])
        entering = {layer: np.zeros(shape) for layer in layers}
        found = []
        with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS)) as pool:
            for batch, (previous, sums) in enumerate(pool.map(of_batch, batches)):
                found.append(previous)
                for parts, of_layer in zip(entering.values(), sums, strict=True):
                    parts[batch * BATCH // self.part] += of_layer / self.part
        return Found(np.concatenate(found), entering)

    def streams(self, entering: Stream, last: int) -> Iterator[Stream]:
        """Residual stream that enters each of the layers ``0 .. last``."""
        stream = self._cast(entering)
        for layer in range(last):
            yield stream
            stream, _ = self._through(stream, layer)
        yield stream

    def read(self, stream: Stream, layer: int, heads: Sequence[int]) -> Previous:
        """Attention to the previous token of some heads of a layer, fed this residual stream."""
        patterns = self.patterns(stream, layer, heads)
        return np.stack([_to_previous(pattern) for pattern in patterns], axis=1)

    def patterns(
        self, stream: Stream, layer: int, heads: Sequence[int]
    ) -> Iterator[Float[np.ndarray, "draw query key"]]:
        """Attention pattern of each of some heads of a layer, fed this residual stream."""
        attention = self.block(layer).attention
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

    def _through(self, stream: Stream, layer: int) -> tuple[Stream, Previous]:
        """The stream after a layer, and attention to the previous token of all of its heads."""
        block = self.block(layer)
        attention = block.attention
        n_draws, n, d_model = stream.shape
        d_head = d_model // attention.n_head
        qkv = self._normed(stream, attention).reshape(-1, d_model) @ self._cast(attention.weight)
        qkv += self._cast(attention.bias)
        qkv[:, :d_model] *= attention.scale / np.sqrt(d_head)
        parts = qkv.reshape(n_draws, n, 3, attention.n_head, d_head).transpose(0, 2, 3, 1, 4)
        previous = np.empty((n_draws, attention.n_head, n), self._dtype)
        mixed = np.empty_like(stream)
        for draw, (query, key, value) in enumerate(parts):
            for first in range(0, n, QUERIES):
                some, seen = slice(first, first + QUERIES), slice(0, first + QUERIES)
                weights, total = self._weights(attention, query[:, some], key[:, seen])
                previous[draw, :, some] = _to_previous(weights) / total
                by_head = mixed[draw, some].reshape(-1, attention.n_head, d_head).swapaxes(0, 1)
                np.divide(weights @ value[:, seen], total[..., None], out=by_head)
        leaving = (mixed.reshape(-1, d_model) @ self._cast(block.W_out)).reshape(stream.shape)
        leaving += stream
        leaving += self._biases(layer)
        return leaving, previous

    def _biases(self, layer: int) -> Float[np.ndarray, " d_model"]:
        block = self.block(layer)
        return self._cast(block.b_out + block.mlp_bias)

    def _weights(
        self,
        attention: AttentionBlock,
        query: Float[np.ndarray, "*head query d"],
        key: Float[np.ndarray, "*head key d"],
    ) -> tuple[Float[np.ndarray, "*head query key"], Float[np.ndarray, "*head query"]]:
        """Causal softmax before it is divided, and what to divide it by.

        The queries are the last of the positions that the keys are of.
        """
        weights = query @ key.swapaxes(-1, -2)
        n_queries, n_keys = weights.shape[-2:]
        weights += self._mask(attention)[n_keys - n_queries : n_keys, :n_keys]
        weights -= weights.max(axis=-1, keepdims=True)
        np.exp(weights, out=weights)
        return weights, weights.sum(axis=-1)

    def _mask(self, attention: AttentionBlock) -> Float[np.ndarray, "query key"]:
        """What to add to scores so that no query sees a key that it must not see."""
        if attention.window not in self._masks:
            unseen = attention.unseen(self.positions)
            self._masks[attention.window] = self._cast(np.where(unseen, -np.inf, 0.0))
        return self._masks[attention.window]

    def _normed(self, stream: Stream, attention: AttentionBlock) -> Stream:
        centred = stream - stream.mean(axis=-1, keepdims=True)
        variance = np.einsum("...d,...d->...", centred, centred) / stream.shape[-1]
        centred /= np.sqrt(variance + attention.epsilon)[..., None]
        centred *= self._cast(attention.ln_weight)
        centred += self._cast(attention.ln_bias)
        return centred

    def _entering(self, W_pos: Positions, numbers: Sequence[int], tokens: AnyTokens) -> Stream:
        n = self.positions
        drawn = [tokens.draw(number, n, W_pos.shape[1]) for number in numbers]
        return self._cast(W_pos[:n] + np.stack(drawn))

    def _cast(self, array: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        return array.astype(self._dtype, copy=False)


def _to_previous(
    weights: Float[np.ndarray, "*head query key"],
) -> Float[np.ndarray, "*head query"]:
    """What each query gives to the position before it; the queries are the last positions."""
    n_queries, n_keys = weights.shape[-2:]
    query = np.arange(n_keys - n_queries, n_keys)
    found = weights[..., query - query[0], query - 1]
    found[..., query == 0] = np.nan
    return found


def _one_after_the_other(first: Found, then: Found) -> Found:
    return Found(
        np.concatenate([first.previous, then.previous]),
        {
            layer: np.concatenate([parts, then.entering[layer]])
            for layer, parts in first.entering.items()
        },
    )

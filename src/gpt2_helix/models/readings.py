"""What heads read in a model that is run on many draws of tokens, under each doctoring.

Through *attention alone* (the model with its MLPs taken out) the draws are random vectors, Gaussian
and independent at every position, in antithetic pairs: each draw, then the same with its sign
turned (Hammersley and Morton 1956). What is odd in the tokens cancels within a pair, so few pairs
tell as much as many draws. On the *whole model* the draws are windows of text.
"""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.models.config import Head
from gpt2_helix.models.heads import OFFSETS, AttentionBlock, nearest, profile, to_previous

if TYPE_CHECKING:
    from torch import Tensor

    # Not at run time: these import torch, which what reads records does not wait for.
    from gpt2_helix.models.interventions import Hook
    from gpt2_helix.models.runner import Runner

SEED = 20230810
"""Of the draws; the day the post appeared."""

Vectors = Float[np.ndarray, "draw token d_model"]
ByLayer = Mapping[int, Float[np.ndarray, "token d_model"]]
NOTHING: ByLayer = MappingProxyType({})
Pattern = Float[np.ndarray, "query key"]
Rule = Callable[[Positions], Pattern]
"""How a head attends by position vectors alone, whatever its weights: their rows to a pattern."""


@dataclass(frozen=True)
class Tokens:
    """Random vectors in place of token embeddings."""

    std: float  # Of each coordinate.
    mean_norm: float = 0.0  # Of a vector, in a fixed random direction, added to every token.
    repeated: bool = False  # Whether a draw has one vector at all positions.

    def draw(self, n_draws: int, positions: int, d_model: int) -> Vectors:
        """Make an even number of draws: in turn one, and the same with its sign turned."""
        shape = (n_draws // 2, 1 if self.repeated else positions, d_model)
        half = self.std * np.random.default_rng(SEED).standard_normal(shape, dtype=np.float32)
        both = np.stack([half, -half], axis=1).reshape(-1, *shape[1:])
        if self.mean_norm:
            common = np.random.default_rng([SEED, 1]).standard_normal(d_model, dtype=np.float32)
            both += common * (self.mean_norm / np.linalg.norm(common))
        return np.broadcast_to(both, (len(both), positions, d_model))


@dataclass(frozen=True, eq=False, repr=False)
class Reading:
    """What some heads do, and what enters their layers; means over each pair of draws.

    All but ``previous`` are means over the queries too.
    """

    rows: Positions  # The position vectors that were fed.
    # Attention of each query to the position before it; that of query 0 is NaN.
    previous: Float[np.ndarray, "pair head query"]
    profile: Float[np.ndarray, "pair head offset=13"]  # Attention at 0 .. 12 behind the query.
    first: Float[np.ndarray, "pair head"]  # Attention to position 0.
    # Share of queries that give the previous position more than any other but position 0.
    share: Float[np.ndarray, "pair head"]
    share_of_others: Float[np.ndarray, "pair head"]  # The same, the query's own position left out.
    # By layer, the residual stream that enters it.
    entering: dict[int, Float[np.ndarray, "pair token d_model"]]


@dataclass(frozen=True, eq=False, repr=False)
class Readings:
    """A model and the tokens that it is run on."""

    runner: "Runner"
    block: Callable[[int], AttentionBlock]  # Of a layer, by which heads are read.
    W_pos: Positions
    tokens: Vectors | Int[np.ndarray, "draw token"]  # Or windows of text.
    queries: slice  # Over which attention is averaged.
    pair: int = 2  # Draws in a row that belong together: means are taken over these first.
    doctor: Callable[..., Positions] = doctoring.doctor
    # Heads that attend by a rule: their pattern is this one wherever they are read, and in the run.
    rules: Mapping[Head, Rule] = field(default_factory=dict)
    # By the sha256 of the rows and by heads: copies that doctor otherwise share what is the same.
    _known: dict[tuple[bytes, tuple[Head, ...]], Reading] = field(default_factory=dict)
    _every: dict[str, Float[np.ndarray, "pair head query"]] = field(default_factory=dict)
    _written: dict[int, Float[np.ndarray, "head d_head"]] = field(default_factory=dict)

    @property
    def positions(self) -> int:
        """Positions that are fed, from the first on."""
        return self.tokens.shape[1]

    @property
    def heads(self) -> list[Head]:
        """Every head of the model."""
        config = self.runner.config
        return [
            Head(layer, head) for layer in range(config.n_layer) for head in range(config.n_head)
        ]

    def mean(self, previous: Float[np.ndarray, "*pair query"]) -> Float[np.ndarray, "*pair"]:
        """Mean over the queries."""
        return previous[..., self.queries].mean(axis=-1, dtype=np.float64)

    def fed(self, tokens: Tokens, positions: int | None = None) -> "Readings":
        """The same model on other random vectors, and on other positions from the first on."""
        n = positions or self.positions
        drawn = tokens.draw(len(self.tokens), n, self.W_pos.shape[1])
        return self._on(drawn, slice(self.queries.start, n if positions else self.queries.stop))

    def few(self, pairs: int) -> "Readings":
        """The same model on the first pairs of draws alone."""
        return self._on(self.tokens[: pairs * self.pair], self.queries)

    def _on(self, tokens: Vectors | Int[np.ndarray, "draw token"], queries: slice) -> "Readings":
        return replace(self, tokens=tokens, queries=queries, _known={}, _every={}, _written={})

    def doctoring_by(self, doctor: Callable[..., Positions]) -> "Readings":
        """The same, with positions doctored otherwise."""
        return replace(self, doctor=doctor, _every={})

    def over(self, queries: slice) -> "Readings":
        """The same run, averaged over other queries."""
        return replace(self, queries=queries, _known={})

    def doctored(self, name: str, heads: Sequence[Head]) -> Reading:
        """Read heads on positions under the doctoring of this name; each is run once."""
        rows = self.doctor(self.W_pos, name)
        key = sha256(rows.tobytes()).digest(), tuple(heads)
        if key not in self._known:
            self._known[key] = self.read(rows, heads)
        return self._known[key]

    def every_head(self, name: str) -> Float[np.ndarray, "pair head query"]:
        """``previous`` of all ``heads`` under the doctoring of this name; each is run once."""
        if name not in self._every:
            # What enters all layers is not kept: at GPT-2's width it would take 200 MB.
            rows = self.doctor(self.W_pos, name)
            self._every[name], _ = self._look(rows, self.heads, to_previous)
        return self._every[name]

    def read(
        self,
        W_pos: Positions,
        heads: Sequence[Head],
        hooks: Sequence["Hook"] = (),
        without: ByLayer = NOTHING,
    ) -> Reading:
        """Run the model on these positions, and read heads on the way.

        Layers above the last of the heads are not run. ``without`` is, by layer, what is taken
        from the residual stream where heads read it; the stream itself goes on unchanged.
        """

        def closely(pattern: Float[np.ndarray, "head query key"]) -> Float[np.ndarray, "head n"]:
            first = pattern[:, self.queries, :1].mean(axis=1, dtype=np.float64)
            parts = profile(pattern, self.queries), first, nearest(pattern, self.queries)
            return np.concatenate([to_previous(pattern), *parts], axis=1)

        seen, entering = self._look(W_pos, heads, closely, hooks, without)
        previous, near, others = np.split(seen, [self.positions, self.positions + OFFSETS], axis=-1)
        first, share, of_others = np.moveaxis(others, -1, 0)
        rows = W_pos[: self.positions]
        return Reading(rows, previous, near, first, share, of_others, entering)

    def pattern(
        self, head: Head, fed: Float[np.ndarray, "token d_model"], rows: Positions
    ) -> Pattern:
        """How a head attends when it is fed this, by its rule for these rows if it has one."""
        if rule := self.rules.get(head):
            return rule(rows)
        return self.block(head.layer).pattern(fed, [head.head])[0]

    def _look(
        self,
        W_pos: Positions,
        heads: Sequence[Head],
        look: Callable[[Float[np.ndarray, "head query key"]], Float[np.ndarray, "head *rest"]],
        hooks: Sequence["Hook"] = (),
        without: ByLayer = NOTHING,
    ) -> tuple[
        Float[np.ndarray, "pair head *rest"], dict[int, Float[np.ndarray, "pair token d_model"]]
    ]:
        """What is seen in the pattern of each head, and what enters their layers."""
        layers = sorted({head.layer for head in heads})
        blocks = {layer: self.block(layer) for layer in layers}  # What is missing is found first.
        rows = W_pos[: self.positions]
        streams = self.runner.streams(
            W_pos, self.tokens, layers, [*self._by_rule(rows, layers[-1]), *hooks]
        )
        found: dict[int, Any] = {}
        for layer, stream in streams.items():
            at = [i for i, head in enumerate(heads) if head.layer == layer]
            less = without.get(layer)
            fed = stream if less is None else stream - less.astype(np.float32)
            ruled = {
                n: self.rules[heads[i]](rows if less is None else rows - less)
                for n, i in enumerate(at)
                if heads[i] in self.rules
            }

            def one(
                stream: Float[np.ndarray, "token d_model"],
                block: AttentionBlock = blocks[layer],
                own: Sequence[int] = tuple(heads[i].head for i in at),
                ruled: Mapping[int, Pattern] = ruled,
            ) -> Float[np.ndarray, "head *rest"]:
                pattern = block.pattern(stream, own)
                for n, instead in ruled.items():
                    pattern[n] = instead
                return look(pattern)

            with ThreadPoolExecutor(os.cpu_count()) as pool:
                seen = self._by_pair(np.stack(list(pool.map(one, fed))))
            found |= {i: seen[:, n] for n, i in enumerate(at)}
        means = {layer: self._by_pair(stream) for layer, stream in streams.items()}
        return np.stack([found[i] for i in range(len(heads))], axis=1), means

    def _by_rule(self, rows: Positions, last: int) -> list["Hook"]:
        """What makes heads below the last layer attend by their rules."""
        if not self.rules:
            return []
        from gpt2_helix.models.interventions import replace_pattern

        n_head = self.runner.config.n_head
        return [
            hook
            for head, rule in self.rules.items()
            if head.layer < last
            for hook in replace_pattern(head, rule(rows), n_head)
        ]

    def previous(
        self,
        W_pos: Positions,
        heads: Sequence[Head],
        hooks: Sequence["Hook"] = (),
        without: ByLayer = NOTHING,
    ) -> Float[np.ndarray, "pair head query"]:
        """``previous`` alone of what ``read`` reads.

        Heads that all attend by rules do so whatever the draw, so nothing is run for them.
        """
        if not all(head in self.rules for head in heads):
            return self._look(W_pos, heads, to_previous, hooks, without)[0]
        rows, pairs = W_pos[: self.positions], len(self.tokens) // self.pair
        fed = (rows - without.get(head.layer, np.zeros_like(rows)) for head in heads)
        found = [to_previous(self.rules[head](own)) for head, own in zip(heads, fed, strict=True)]
        return np.stack([np.stack(found)] * pairs).astype(np.float32)

    def entering(
        self, W_pos: Positions, layers: Collection[int], hooks: Sequence["Hook"] = ()
    ) -> dict[int, Float[np.ndarray, "pair token d_model"]]:
        """Run the model on these positions, and read no head: what enters some layers."""
        streams = self.runner.streams(W_pos, self.tokens, layers, hooks)
        return {layer: self._by_pair(stream) for layer, stream in streams.items()}

    def mean_z(self, layer: int) -> Float[np.ndarray, "head d_head"]:
        """What each head of a layer, not the last, writes before the output projection.

        The mean over draws and all positions but 0, on intact positions; each layer is run once.
        """
        if layer not in self._written:
            from gpt2_helix.models.interventions import watch_z

            batches: list[Tensor] = []
            self.runner.streams(self.W_pos, self.tokens, [layer + 1], [watch_z(layer, batches)])
            sums = np.stack([z[:, 1:].double().sum(dim=(0, 1)).numpy() for z in batches])
            self._written[layer] = sums.sum(axis=0) / (len(self.tokens) * (self.positions - 1))
        return self._written[layer]

    def _by_pair(self, values: Float[np.ndarray, "draw *rest"]) -> Float[np.ndarray, "pair *rest"]:
        return values.reshape(-1, self.pair, *values.shape[1:]).mean(axis=1)

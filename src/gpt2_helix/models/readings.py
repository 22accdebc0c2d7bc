"""What heads read in a model that is run on many draws of tokens, under each doctoring.

Through *attention alone* (the model with its MLPs taken out) the draws are random vectors, Gaussian
and independent at every position, in antithetic pairs: each draw, then the same with its sign
turned (Hammersley and Morton 1956). What is odd in the tokens cancels within a pair, so few pairs
tell as much as many draws. On the *whole model* the draws are windows of text.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.models.config import Head
from gpt2_helix.models.heads import AttentionBlock, to_previous

if TYPE_CHECKING:
    # Not at run time: these import torch, which what reads records does not wait for.
    from gpt2_helix.models.interventions import Hook
    from gpt2_helix.models.runner import Runner

SEED = 20230810
"""Of the draws; the day the post appeared."""

Vectors = Float[np.ndarray, "draw token d_model"]
ByLayer = Mapping[int, Float[np.ndarray, "token d_model"]]
NOTHING: ByLayer = MappingProxyType({})


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
    """What some heads do, and what enters their layers; means over each pair of draws."""

    # Attention of each query to the position before it; that of query 0 is NaN.
    previous: Float[np.ndarray, "pair head query"]
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
    _known: dict[tuple[str, tuple[Head, ...]], Reading] = field(default_factory=dict)
    _every: dict[str, Float[np.ndarray, "pair head query"]] = field(default_factory=dict)

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

    def fed(self, tokens: Tokens) -> "Readings":
        """The same model on other random vectors."""
        n_draws, positions = self.tokens.shape[:2]
        drawn = tokens.draw(n_draws, positions, self.W_pos.shape[1])
        return replace(self, tokens=drawn, _known={}, _every={})

    def doctored(self, name: str, heads: Sequence[Head]) -> Reading:
        """Read heads on positions under the doctoring of this name; each is run once."""
        key = name, tuple(heads)
        if key not in self._known:
            self._known[key] = self.read(doctoring.doctor(self.W_pos, name), heads)
        return self._known[key]

    def every_head(self, name: str) -> Float[np.ndarray, "pair head query"]:
        """``previous`` of all ``heads`` under the doctoring of this name; each is run once."""
        if name not in self._every:
            # What enters all layers is not kept: at GPT-2's width it would take 200 MB.
            table = doctoring.doctor(self.W_pos, name)
            self._every[name] = self.read(table, self.heads).previous
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
        layers = sorted({head.layer for head in heads})
        blocks = {layer: self.block(layer) for layer in layers}  # What is missing is found first.
        streams = self.runner.streams(W_pos, self.tokens, layers, hooks)
        previous = np.empty((len(self.tokens), len(heads), self.positions), np.float32)
        for layer, stream in streams.items():
            at = [i for i, head in enumerate(heads) if head.layer == layer]
            own = [heads[i].head for i in at]
            fed = stream - without[layer].astype(np.float32) if layer in without else stream
            look = partial(blocks[layer].pattern, heads=own)
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                for draw, pattern in enumerate(pool.map(look, fed)):
                    previous[draw, at] = to_previous(pattern)
        means = {layer: self._by_pair(stream) for layer, stream in streams.items()}
        return Reading(self._by_pair(previous), means)

    def _by_pair(self, values: Float[np.ndarray, "draw *rest"]) -> Float[np.ndarray, "pair *rest"]:
        return values.reshape(-1, self.pair, *values.shape[1:]).mean(axis=1)

"""A transformer's configuration and tensors, all or some of them, and what they make."""

from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gpt2_helix import texts
from gpt2_helix.doctoring import Positions
from gpt2_helix.judging.errors import InputError, MissingInputError
from gpt2_helix.models import gpt2
from gpt2_helix.models.architectures import ADDED, W_POS
from gpt2_helix.models.config import Config
from gpt2_helix.models.heads import AttentionBlock
from gpt2_helix.weights.tensors import Array, ByName, sha256_of_tensor

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from gpt2_helix.models.runner import Runner


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A transformer, complete or not; errors as for ``tensor`` if its positions are not sound."""

    name: str  # What errors call it.
    config: Config
    tensors: ByName  # By GPT-2's names, in its layouts; see architecture.AsGPT2.
    # sha256 of files it comes from, and of all tensors of what may be GPT-2 small.
    digests: Mapping[str, str] = field(default_factory=dict)
    file: Callable[[str], Path | None] = lambda name: None  # Path of another file, if it has it.
    commit: str | None = None  # Of the hub repository that it comes from.
    # Bytes of weights that came from the hub in this run, and all that there are.
    received: Callable[[], tuple[int, int] | None] = lambda: None
    own_tokenizer: "Tokenizer | None" = None  # Instead of what its files hold.
    # The model that this is a copy of, if only their positions differ.
    elsewhere: "Model | None" = None
    read: dict[str, str] = field(default_factory=dict, init=False)  # sha256 of tensors read.
    _blocks: dict[int, AttentionBlock] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if not self.missing([W_POS]):
            _ = self.W_pos

    def with_tensors(self, changed: ByName, config: Config | None = None) -> "Model":
        """Copy the model with some tensors, and its configuration, replaced."""
        tensors = ChainMap(dict(changed), self.tensors)  # type: ignore[arg-type]
        config = config or self.config
        return replace(self, config=config, tensors=tensors, digests={}, elsewhere=None)

    def with_positions(self, rows: Positions) -> "Model":
        """Copy the model with another position matrix; the two share what runs them."""
        return replace(self.with_tensors({W_POS: rows}), elsewhere=self)

    @cached_property
    def W_pos(self) -> Positions:  # noqa: N802
        """Positional embedding matrix, shape (n_positions, d_model)."""
        return self.tensor(W_POS, (self.config.n_positions, self.config.n_embd))

    def attention(self, layer: int) -> AttentionBlock:
        """``ln_1`` and ``c_attn`` of a block.

        ``MissingInputError`` if a tensor of it is not there, or it normalises after attention.
        """
        if layer in self._blocks:
            return self._blocks[layer]
        config, d = self.config, self.config.n_embd
        if not config.normed_first:
            raise MissingInputError(["a LayerNorm before attention"], self.name)
        shapes = {
            f"h.{layer}.ln_1.weight": (d,),
            f"h.{layer}.ln_1.bias": (d,),
            f"h.{layer}.attn.c_attn.weight": (d, 3 * d),
            f"h.{layer}.attn.c_attn.bias": (3 * d,),
        }
        if missing := self.missing(list(shapes)):
            raise MissingInputError(missing, self.name)
        ln_weight, ln_bias, weight, bias = (self.tensor(n, shape) for n, shape in shapes.items())
        self._blocks[layer] = AttentionBlock(
            ln_weight,
            ln_bias,
            weight,
            bias,
            config.n_head,
            config.layer_norm_epsilon,
            config.divisor(layer),
            causal=config.architecture.causal,
            window=config.windows[layer] if config.windows else None,
            added=self.tensor(ADDED, (d,)) if layer == 0 and ADDED in self.tensors else None,
        )
        return self._blocks[layer]

    @cached_property
    def runner(self) -> "Runner":
        """The model, ready to be run; positions are put in from outside.

        ``MissingInputError`` names all tensors that are not there, or the activation function if
        nobody knows it.
        """
        if self.elsewhere:
            return self.elsewhere.runner
        if not self.config.architecture.causal or not self.config.normed_first:
            raise MissingInputError(["a causal model that normalises first"], self.name)
        shapes = gpt2.shapes(self.config)
        if missing := self.missing(list(shapes)):
            raise MissingInputError(missing, self.name)
        # Here, not above: claims that run no model need not wait for torch.
        from transformers.activations import ACT2FN

        from gpt2_helix.models.runner import Runner

        if self.config.activation not in ACT2FN:
            known = f"an activation function that transformers has ({self.config.activation!r:.40})"
            raise MissingInputError([known], self.name)
        return Runner(self.config, {n: self.tensor(n, shape) for n, shape in shapes.items()})

    @cached_property
    def without_mlps(self) -> "Runner":
        """The attention of the model alone, ready to be run; see ``gpt2.without_mlps``.

        ``MissingInputError`` if its positions see later ones, or its first block lacks a tensor;
        what ``reached`` lacks is zero.
        """
        if self.elsewhere:
            return self.elsewhere.without_mlps
        if not self.config.architecture.causal:
            raise MissingInputError(["a causal model"], self.name)
        self.attention(0)
        from gpt2_helix.models.runner import Runner  # Not above: it imports torch, which is slow.

        small = gpt2.without_mlps(self.config)
        weights = {
            name: self.tensor(name, shape)
            if gpt2.KEPT_WITHOUT_MLPS.fullmatch(name) and not self.missing([name])
            else np.zeros(shape, np.float32)
            for name, shape in gpt2.shapes(small).items()
        }
        return Runner(small, weights)

    def reached(self, layer: int) -> AttentionBlock:
        """The attention block of a layer that attention alone gets to.

        ``MissingInputError`` if the block, or one below it, lacks a tensor.
        """
        shapes = gpt2.shapes(replace(self.config, n_layer=layer))
        if missing := self.missing([n for n in shapes if gpt2.KEPT_WITHOUT_MLPS.fullmatch(n)]):
            raise MissingInputError(missing, self.name)
        return self.attention(layer)

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """What turns text into tokens of this model."""
        tokenizer = self.own_tokenizer or texts.tokenizer(self.file, self.name)
        if tokenizer.get_vocab_size() > self.config.vocab_size:
            raise InputError(
                f"{self.name}: expected a tokenizer of at most {self.config.vocab_size} tokens, "
                f"the rows of wte.weight, found {tokenizer.get_vocab_size()}"
            )
        return tokenizer

    def missing(self, names: list[str]) -> list[str]:
        """Which tensors the model does not hold, of those that these are made of."""
        sources = self.config.architecture.sources
        return [its for name in names if name not in self.tensors for its in sources(name)]

    def tensor(self, name: str, shape: tuple[int, ...]) -> Array:
        """Read a tensor.

        ``MissingInputError`` if the model does not hold it, ``InputError`` if it has another shape
        or a number that is not finite.
        """
        if missing := self.missing([name]):
            raise MissingInputError(missing, self.name)
        tensor = self.tensors[name]
        if tensor.shape != shape:
            raise InputError(
                f"{self.name}: expected {name} of shape {shape} as in config.json, "
                f"found {tensor.shape}"
            )
        if not (finite := np.isfinite(tensor)).all():
            raise InputError(
                f"{self.name}: expected {name} to hold finite numbers, "
                f"found {(~finite).sum()} of {tensor.size} that are NaN or infinite"
            )
        digest = sha256_of_tensor(tensor)
        if (before := self.digests.get(name, digest)) != digest:
            raise InputError(
                f"{self.name}: expected {name} with sha256 {before}, as when it was opened, "
                f"found {digest}"
            )
        self.read[name] = digest
        return tensor

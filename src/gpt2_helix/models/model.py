"""A model with all or some of its tensors, and how it is measured."""

import inspect
from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from jaxtyping import Int
from threadpoolctl import threadpool_limits

from gpt2_helix import doctoring, texts
from gpt2_helix.doctoring import Positions
from gpt2_helix.judging.claim import Found, Subject
from gpt2_helix.judging.errors import MissingInputError, SubjectError
from gpt2_helix.models import gpt2
from gpt2_helix.models.architecture import ADDED, W_POS
from gpt2_helix.models.config import (
    LOCAL_HEADS_OF_GPT2_SMALL,
    MAIN_HEADS_OF_GPT2_SMALL,
    Config,
    Head,
    chosen_heads,
)
from gpt2_helix.models.heads import AttentionBlock
from gpt2_helix.models.readings import Readings, Tokens
from gpt2_helix.parameters import PARAMETERS
from gpt2_helix.weights.pins import HUB_MODELS
from gpt2_helix.weights.tensors import Array, sha256_of_tensor

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from gpt2_helix.models.runner import Runner
    from gpt2_helix.published.attention import PreviousToken

Result = TypeVar("Result")


class Model(Subject):
    """A model under test; ``claim.Subject`` says what a claim sees of it.

    Parameters
    ----------
    name
        As the user gave it.
    config
        Its sizes. GPT-2 small, known by the digest of its positions, gets the heads that the post
        names; those of another model are the ones that its configuration names, or are found.
    tensors
        Tensors by GPT-2's names, in its layouts; see ``architecture.AsGPT2``.
    digests
        sha256 of the files they come from.
    material
        Text to run through it.
    file
        Path of another file of the model by its name, such as ``vocab.json``, if it has one.
    commit
        Commit of the hub repository that they come from.

    Raises
    ------
    SubjectError
        If the position matrix does not have the shape that the configuration gives, or holds a
        number that is not finite.
    """

    def __init__(
        self,
        name: str,
        config: Config,
        tensors: Mapping[str, Array],
        digests: dict[str, str],
        material: texts.Material | None = None,
        file: Callable[[str], Path | None] = lambda name: None,
        commit: str | None = None,
    ) -> None:
        self.name = name
        self.config = config
        self.tensors = tensors
        self.material = material or texts.Material()
        self.file = file
        self.digests: dict[str, str] = dict(digests)
        self.commit = commit
        self.doctor = doctoring.doctor
        self.published_heads: PreviousToken | None = None
        self.find_heads: Callable[[str], Found] | None = None
        """Finds the heads that a field of the configuration would name."""
        self.found: dict[str, Found] = {}
        """Heads that were found, by that field; broken copies share them."""
        self.read: dict[str, str] = {}
        """sha256 of every tensor that was read."""
        self._blocks: dict[int, AttentionBlock] = {}
        self._measured: dict[Callable[..., Any], Any] = {}
        self._otherwise: Model | None = None
        """The model that this one is a copy of, if only their positions differ."""
        if not self.missing([W_POS]):
            _ = self.W_pos
            self.digests |= self.read
            if self.read[W_POS] == HUB_MODELS["gpt2"].W_pos_sha256:
                self.config = replace(
                    config,
                    previous_token_heads=config.previous_token_heads or MAIN_HEADS_OF_GPT2_SMALL,
                    heads_looking_back=config.heads_looking_back or LOCAL_HEADS_OF_GPT2_SMALL,
                )

    def broken(
        self, changed: Mapping[str, Array] | None = None, config: Config | None = None
    ) -> "Model":
        """Copy the model with some tensors, or its configuration, replaced; the rest is shared.

        Heads that nobody named are those of the model itself: on a copy others would be found.
        """
        tensors = ChainMap({**(changed or {})}, self.tensors)  # type: ignore[arg-type]
        copy = Model(
            self.name,
            config or self.config,
            tensors,
            digests={},
            material=self.material,
            file=self.file,
            commit=self.commit,
        )
        for made in ("tokenizer", "windows"):  # Those of models by formula are set from outside.
            if made in self.__dict__:
                setattr(copy, made, getattr(self, made))
        copy.share_found_heads(self)
        return copy

    def share_found_heads(self, intact: "Model") -> None:
        """Use the heads that are found, or will be, on the model that this is a copy of."""
        self.find_heads, self.found = intact.find_heads, intact.found

    @cached_property
    def W_pos(self) -> Positions:  # noqa: N802
        """Positional embedding matrix, shape (n_positions, d_model)."""
        return self.tensor(W_POS, (self.config.n_positions, self.config.n_embd))

    def with_positions(self, rows: Positions) -> "Model":
        """Copy the model with another position matrix; see ``broken``."""
        copy = self.broken({W_POS: rows})
        copy._otherwise = self
        return copy

    def attention(self, layer: int) -> AttentionBlock:
        """``ln_1`` and ``c_attn`` of a block.

        Raises
        ------
        MissingInputError
            If the block, or a tensor of it, is not there, or it normalises after attention.
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
        block = AttentionBlock(
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
        self._blocks[layer] = block
        return block

    @cached_property
    def attention_alone(self) -> Readings:
        """The model with its MLPs taken out, on random vectors in place of tokens.

        Raises
        ------
        MissingInputError
            If its positions see later ones, or its first block lacks a tensor.
        """
        if self._otherwise:
            return self._otherwise.attention_alone.at(self.W_pos)
        config = self.config
        if not config.architecture.causal:
            raise MissingInputError(["a causal model"], self.name)
        self._reached(0)
        small = gpt2.without_mlps(config)
        weights = {
            name: self.tensor(name, shape)
            if gpt2.is_kept_without_mlps(name) and not self.missing([name])
            else np.zeros(shape, np.float32)
            for name, shape in gpt2.shapes(small).items()
        }
        from gpt2_helix.models.runner import Runner  # Not above: it imports torch, which is slow.

        chosen = PARAMETERS.attention_only
        positions = min(chosen.positions, config.n_positions)
        tokens = Tokens(chosen.token_std).draw(chosen.draws, positions, config.n_embd)
        return Readings(Runner(small, weights), self._reached, self.W_pos, tokens)

    def _reached(self, layer: int) -> AttentionBlock:
        """The attention block of a layer that attention alone gets to.

        Raises
        ------
        MissingInputError
            If the block, or one below it, lacks a tensor.
        """
        shapes = gpt2.shapes(replace(self.config, n_layer=layer))
        if missing := self.missing([n for n in shapes if gpt2.is_kept_without_mlps(n)]):
            raise MissingInputError(missing, self.name)
        return self.attention(layer)

    @property
    def published(self) -> "PreviousToken":
        """What others published of the attention of all heads of the whole model.

        Raises
        ------
        MissingInputError
            If nothing is: it is known for GPT-2 small alone, and its broken copies.
        """
        if self.published_heads is None:
            raise MissingInputError(["published attention of all its heads"], self.name)
        return self.published_heads

    @cached_property
    def runner(self) -> "Runner":
        """The model, ready to be run.

        Raises
        ------
        MissingInputError
            If a tensor is not there; names all that are not. If nobody knows the activation
            function.
        """
        if self._otherwise:  # It is run with positions from outside.
            return self._otherwise.runner
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
    def whole_model(self) -> Readings:
        """The model on as many windows of text as attention alone is fed draws of vectors.

        Raises
        ------
        MissingInputError
            As ``runner``.
        """
        chosen = PARAMETERS.attention_only
        positions = min(chosen.positions, self.config.n_positions)
        corpus = texts.read_texts(self.material.corpus)
        windows = texts.windows(self.tokenizer, corpus, chosen.draws, positions)
        return Readings(self.runner, self.attention, self.W_pos, windows, pair=1)

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """What turns text into tokens of this model."""
        tokenizer = texts.tokenizer(self.file, self.name)
        if tokenizer.get_vocab_size() > self.config.vocab_size:
            raise SubjectError(
                f"{self.name}: expected a tokenizer of at most {self.config.vocab_size} tokens, "
                f"the rows of wte.weight, found {tokenizer.get_vocab_size()}"
            )
        return tokenizer

    @cached_property
    def windows(self) -> Int[np.ndarray, "window token"]:
        """Windows of text, as tokens."""
        length = min(texts.WINDOW, self.config.n_positions)
        corpus = texts.read_texts(self.material.corpus)
        return texts.windows(self.tokenizer, corpus, self.material.n_windows, length)

    @cached_property
    def prompt(self) -> texts.RepetitionPrompt:
        """The prompt that asks to repeat."""
        if self.material.prompt is None:
            return texts.generated_prompt(self.tokenizer, self.config.n_positions)
        return texts.prompt_from_file(self.tokenizer, self.config.n_positions, self.material.prompt)

    @property
    def main_heads(self) -> tuple[Head, ...]:
        """The main previous-token heads; see ``_heads``."""
        return self._heads("previous_token_heads")

    @property
    def heads_looking_back(self) -> tuple[Head, ...]:
        """The heads of layer 0 that look just behind; see ``_heads``."""
        return self._heads("heads_looking_back")

    def _heads(self, name: str) -> tuple[Head, ...]:
        """Heads that the configuration names, or else those that were found.

        Raises
        ------
        MissingInputError
            If it names none and they cannot be found.
        """
        named: tuple[Head, ...] = getattr(self.config, name)
        if named:
            return named
        causal = self.config.architecture.causal
        if self.find_heads is None or not causal:
            why = "" if causal else " (heads are found in causal models alone)"
            raise MissingInputError([f"{name} in config.json{why}"], self.name)
        if name not in self.found:
            self.found[name] = self.find_heads(name)
        return chosen_heads(self.found[name])

    def missing(self, names: list[str]) -> list[str]:
        """Which tensors the model does not hold, of those that these are made of."""
        sources = self.config.architecture.sources
        return [its for name in names if name not in self.tensors for its in sources(name)]

    def tensor(self, name: str, shape: tuple[int, ...]) -> Array:
        """Read a tensor.

        Raises
        ------
        MissingInputError
            If the model does not hold it.
        SubjectError
            If it has another shape, or a number that is not finite.
        """
        if missing := self.missing([name]):
            raise MissingInputError(missing, self.name)
        tensor = self.tensors[name]
        if tensor.shape != shape:
            raise SubjectError(
                f"{self.name}: expected {name} of shape {shape} as in config.json, "
                f"found {tensor.shape}"
            )
        if not (finite := np.isfinite(tensor)).all():
            raise SubjectError(
                f"{self.name}: expected {name} to hold finite numbers, "
                f"found {(~finite).sum()} of {tensor.size} that are NaN or infinite"
            )
        self.read[name] = sha256_of_tensor(tensor)
        return tensor

    def measure(self, measurement: Callable[..., Result]) -> Result:
        """Call a measurement with the attributes that its parameters name, once."""
        if measurement not in self._measured:
            needed = inspect.signature(measurement).parameters
            arguments = [getattr(self, name) for name in needed]
            # One thread for numpy: sums are then the same on every machine, and matrices this
            # small gain nothing from more. torch has threads of its own.
            with threadpool_limits(1, user_api="blas"):
                self._measured[measurement] = measurement(*arguments)
        result: Result = self._measured[measurement]
        return result

"""A model under test: one that can be measured now, or one that was measured before."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from jaxtyping import Int
from threadpoolctl import threadpool_limits

from gpt2_helix import records, texts
from gpt2_helix.doctoring import Positions
from gpt2_helix.subjects import gpt2
from gpt2_helix.subjects.attention import AttentionBlock
from gpt2_helix.subjects.config import Config, Head
from gpt2_helix.subjects.errors import MissingTensorError, SubjectError
from gpt2_helix.subjects.tensors import Array, sha256_of_tensor

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from gpt2_helix.measure.output import OnText
    from gpt2_helix.runner import Runner

Result = TypeVar("Result")


class Subject(Protocol):
    """What a claim is told of a model.

    Attributes
    ----------
    name
        As the user gave it.
    digests
        File or tensor name to hexadecimal sha256.
    recorded_on
        Day of the measurements when they are read back; None when they are made now.
    commit
        Of the repository that it was read from; None if it is from none, or that is not known.
    """

    name: str
    digests: dict[str, str]
    recorded_on: str | None
    commit: str | None

    def measure(self, measurement: Callable[..., Result]) -> Result:
        """Result of a function of ``gpt2_helix.measure`` on this subject; the same every time.

        Raises
        ------
        MissingTensorError
            If the subject does not hold what the measurement needs.
        """


class LiveSubject:
    """A model whose tensors are at hand, all or some of them.

    Parameters
    ----------
    name
        As the user gave it.
    config
        Its sizes.
    tensors
        Tensors by their Hugging Face names; the architecture's prefix may stand before them.
    digests
        sha256 of the files they come from.
    material
        Text to run through it.
    file
        Path of another file of the model by its name, such as ``vocab.json``, if it has one.
    commit
        Of the repository on the hub that they come from.

    Raises
    ------
    SubjectError
        If the position matrix has not the shape that the configuration gives, or holds a number
        that is not finite.
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
        self.digests = dict(digests)
        self.recorded_on: str | None = None
        self.commit = commit
        self.read: dict[str, str] = {}
        """sha256 of every tensor that was asked for."""
        self._blocks: dict[int, AttentionBlock] = {}
        self._measured: dict[Callable[..., Any], Any] = {}
        name_of_W_pos = config.architecture.W_pos
        if not self.missing([name_of_W_pos]):
            _ = self.W_pos
            self.digests |= self.read

    @cached_property
    def W_pos(self) -> Positions:  # noqa: N802
        """Positional embedding matrix, shape (n_positions, d_model)."""
        shape = (self.config.n_positions, self.config.n_embd)
        return self.tensor(self.config.architecture.W_pos, shape)

    def attention(self, layer: int) -> AttentionBlock:
        """``ln_1`` and ``c_attn`` of a block.

        Raises
        ------
        MissingTensorError
            If the block, or a tensor of it, is not there.
        """
        if layer in self._blocks:
            return self._blocks[layer]
        d = self.config.n_embd
        shapes = {
            f"h.{layer}.ln_1.weight": (d,),
            f"h.{layer}.ln_1.bias": (d,),
            f"h.{layer}.attn.c_attn.weight": (d, 3 * d),
            f"h.{layer}.attn.c_attn.bias": (3 * d,),
        }
        if missing := self.missing(list(shapes)):
            raise MissingTensorError(missing, self.name)
        ln_weight, ln_bias, weight, bias = (self.tensor(n, shape) for n, shape in shapes.items())
        block = AttentionBlock(
            ln_weight,
            ln_bias,
            weight,
            bias,
            self.config.n_head,
            self.config.layer_norm_epsilon,
            1 / (layer + 1) if self.config.scores_over_layer else 1.0,
        )
        self._blocks[layer] = block
        return block

    @cached_property
    def runner(self) -> "Runner":
        """The model, ready to be run.

        Raises
        ------
        MissingTensorError
            If a tensor is not there; names all that are not.
        """
        if self.config.model_type != "gpt2":
            raise MissingTensorError([f"a GPT-2 (it is a {self.config.model_type})"], self.name)
        shapes = gpt2.shapes(self.config)
        if missing := self.missing(list(shapes)):
            raise MissingTensorError(missing, self.name)
        # Here, not above: claims that run no model are judged without waiting for torch.
        from gpt2_helix.runner import Runner

        return Runner(self.config, {n: self.tensor(n, shape) for n, shape in shapes.items()})

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
    def windows(self) -> Int[np.ndarray, "window position"]:
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

    @cached_property
    def on_text(self) -> "OnText":
        """What ``measure.output.on_text`` finds: text is run once for all that ask."""
        from gpt2_helix.measure import output

        return self.measure(output.on_text)

    @property
    def main_heads(self) -> tuple[Head, ...]:
        """The heads said to be the main previous-token heads; see ``_heads_said``."""
        return self._heads_said("previous_token_heads")

    @property
    def heads_looking_back(self) -> tuple[Head, ...]:
        """The heads of layer 0 said to look just behind; see ``_heads_said``."""
        return self._heads_said("heads_looking_back")

    def _heads_said(self, what: str) -> tuple[Head, ...]:
        """Heads that the configuration names, or ``MissingTensorError`` where it names none."""
        heads: tuple[Head, ...] = getattr(self.config, what)
        if not heads:
            raise MissingTensorError([f"{what} in config.json"], self.name)
        return heads

    def missing(self, names: list[str]) -> list[str]:
        """Which of these tensors the subject does not hold."""
        return [name for name in names if self._stored_name(name) is None]

    def tensor(self, name: str, shape: tuple[int, ...]) -> Array:
        """Read a tensor of this shape, all of it finite, or say what is wrong with it."""
        stored = self._stored_name(name)
        if stored is None:
            raise MissingTensorError([name], self.name)
        tensor = self.tensors[stored]
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
        """Call a measurement with what its parameters name; see ``Subject.measure``."""
        if measurement not in self._measured:
            needed = inspect.signature(measurement).parameters
            arguments = [getattr(self, name) for name in needed]
            # One thread for what runs no model: sums then come out the same on every machine, and
            # matrices this small gain nothing from more (on busy cores, threads that wait cost
            # much).
            with nullcontext() if "runner" in needed else threadpool_limits(1):
                self._measured[measurement] = measurement(*arguments)
        result: Result = self._measured[measurement]
        return result

    def _stored_name(self, name: str) -> str | None:
        prefixed = self.config.architecture.prefix + name
        return next((n for n in (name, prefixed) if n in self.tensors), None)


class RecordedSubject:
    """A model that was measured before: its results are read back from ``data/``.

    Parameters
    ----------
    name
        As the user gave it.
    folder
        Where ``records.write`` put them.
    control
        Name of the broken copy to read the results of; None for the subject itself.
    """

    def __init__(self, name: str, folder: Path, control: str | None = None) -> None:
        self.name = name
        self.folder = folder
        self._control = control
        self.digests = records.weights(folder)
        self.recorded_on: str | None = records.date(folder)
        self.commit: str | None = None

    def control(self, name: str) -> "RecordedSubject":
        """The results recorded of a broken copy."""
        return RecordedSubject(f"control:{name}", self.folder, name)

    def measure(self, measurement: Callable[..., Result]) -> Result:
        """Read a result back; see ``Subject.measure``."""
        kind: type[Result] = measurement.__annotations__["return"]
        return records.read(self.folder, measurement, kind, self._control)

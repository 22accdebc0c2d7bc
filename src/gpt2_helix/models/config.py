"""A model's configuration, in one vocabulary whatever the architecture."""

import json
import reprlib
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import StrictInt, TypeAdapter, ValidationError

from gpt2_helix.judging.claim import Found
from gpt2_helix.judging.errors import InputError
from gpt2_helix.models.architectures import ARCHITECTURES, Architecture
from gpt2_helix.weights.tensors import without_twins


class Head(NamedTuple):
    """An attention head, written L0H3 for layer 0, head 3."""

    layer: int
    head: int

    def __str__(self) -> str:
        return f"L{self.layer}H{self.head}"


def head_named(name: str) -> Head:
    """The head that is written so."""
    return Head(*map(int, name[1:].split("H")))


def chosen_heads(found: Found) -> tuple[Head, ...]:
    """The heads that were found where nobody named them."""
    return tuple(map(head_named, found.chosen))


HEADS = ("previous_token_heads", "heads_looking_back")
"""Fields of ``Config`` that name heads."""
MAIN_HEADS_OF_GPT2_SMALL = (Head(2, 2), Head(3, 3), Head(4, 11))
"""Its main previous-token heads, which the post names."""
LOCAL_HEADS_OF_GPT2_SMALL = (Head(0, 3), Head(0, 4), Head(0, 7))
"""The heads of its layer 0 that the kernel claims are about."""
HEADS_OF_GPT2_SMALL = dict(
    zip(HEADS, (MAIN_HEADS_OF_GPT2_SMALL, LOCAL_HEADS_OF_GPT2_SMALL), strict=True)
)

_PAIRS = TypeAdapter(list[tuple[StrictInt, StrictInt]])
LARGEST = 2**20  # Bytes of a config.json.
TOO_MANY = 100_000
"""Of layers, heads, dimensions or positions; a size is believed before any tensor is seen."""
LARGEST_VOCABULARY = 2**24
LEAST_POSITIONS, LEAST_WIDTH = 6, 4
"""Three components take four rows, which lie between the two ends, and four dimensions."""


@dataclass(frozen=True)
class Config:
    """Sizes of a transformer with learned absolute positions."""

    model_type: str  # Key of ``ARCHITECTURES``.
    n_layer: int
    n_head: int  # In each layer.
    n_embd: int  # Width of the residual stream.
    n_positions: int
    layer_norm_epsilon: float  # Added to the variance.
    vocab_size: int
    n_inner: int  # Width of the MLP.
    activation: str  # Of the MLP.
    # The main previous-token heads, and the heads of layer 0 that look just behind by positions
    # alone, as config.json names them; empty if it does not, and they are found by measurement.
    previous_token_heads: tuple[Head, ...]
    heads_looking_back: tuple[Head, ...]
    # Whether attention scores of the n-th block are divided by n, as Stanford's GPT-2 does.
    scores_over_layer: bool = False
    scaled: bool = True  # Whether they are divided by the square root of d_head, as usual.
    tied: bool = True  # Whether the unembedding is the token embedding.
    normed_first: bool = True  # Whether LayerNorm comes before attention and MLP, or after.
    # By block, how many of the latest positions a position sees, itself included; None for all.
    windows: tuple[int | None, ...] = ()

    @property
    def architecture(self) -> Architecture:
        """Where this architecture keeps what GPT-2 has."""
        return ARCHITECTURES[self.model_type]

    def divisor(self, layer: int) -> float:
        """What products of queries and keys are divided by before the softmax."""
        root = (self.n_embd // self.n_head) ** 0.5 if self.scaled else 1.0
        return root * (layer + 1 if self.scores_over_layer else 1)


def read_config(path: Path) -> Config:
    """Read a Hugging Face ``config.json``.

    ``InputError`` if there is no such file, it is no JSON object, its architecture has no learned
    absolute positions, a size is not a positive number, or a name stands twice.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{path}: expected a regular file, found another kind")
        if found.st_size > LARGEST:
            raise InputError(f"{path}: expected at most {LARGEST} bytes, found {found.st_size}")
        text = path.read_text(encoding="utf-8")
        declared = json.loads(text, object_pairs_hook=without_twins)
    except FileNotFoundError:
        raise InputError(f"{path.parent}: expected a config.json, found none") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON, found something else ({error})") from None
    if not isinstance(declared, dict):
        raise InputError(f"{path}: expected a JSON object, found {type(declared).__name__}")
    return config_from(declared, str(path))


def config_from(declared: Mapping[str, Any], path: str) -> Config:
    """Understand the fields of a ``config.json``; ``path`` is what errors call it."""
    kind = declared.get("model_type")
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise InputError(
            f"{path}: expected a model_type with learned absolute positions ({known}), "
            f"found {reprlib.repr(kind)}, which has none that this project can read"
        )
    architecture = ARCHITECTURES[kind]
    keys = architecture.keys
    n_layer, n_head, n_embd, n_positions = (
        _positive(declared, keys[size], int, path)
        for size in ("n_layer", "n_head", "n_embd", "n_positions")
    )
    for size, found, least in (
        ("n_positions", n_positions, LEAST_POSITIONS),
        ("n_embd", n_embd, LEAST_WIDTH),
    ):
        if found < least:
            raise InputError(f"{path}: expected {keys[size]} to be {least} or more, found {found}")
    if n_embd % n_head:
        raise InputError(
            f"{path}: expected {keys['n_embd']} to be a multiple of {keys['n_head']}, "
            f"found {n_embd} and {n_head}"
        )
    if declared.get(keys["n_inner"]) is None:
        declared = {**declared, keys["n_inner"]: 4 * n_embd}
    epsilon = keys.get("layer_norm_epsilon")
    flag = partial(_flag, declared, path=path)
    return Config(
        kind,
        n_layer,
        n_head,
        n_embd,
        n_positions,
        layer_norm_epsilon=_positive(declared, epsilon, float, path) if epsilon else 1e-5,
        vocab_size=_positive(
            {"vocab_size": 50257, **declared}, "vocab_size", int, path, LARGEST_VOCABULARY
        ),
        n_inner=_positive(declared, keys["n_inner"], int, path),
        activation=str(declared.get(keys["activation"], architecture.activation)),
        previous_token_heads=_heads(declared, "previous_token_heads", n_layer, n_head, path),
        heads_looking_back=_heads(declared, "heads_looking_back", n_layer, n_head, path),
        scores_over_layer=flag("scale_attn_by_inverse_layer_idx", otherwise=False),
        scaled=architecture.scaled and flag("scale_attn_weights", otherwise=True),
        tied=flag("tie_word_embeddings", otherwise=True),
        normed_first=flag("do_layer_norm_before", otherwise=True),
        windows=_windows(declared, n_layer, path) if kind == "gpt_neo" else (),
    )


def _windows(declared: Mapping[str, Any], n_layer: int, path: str) -> tuple[int | None, ...]:
    """GPT-Neo's attention, block by block: to all positions, or to the latest few."""
    size = _positive({"window_size": 256, **declared}, "window_size", int, path)
    try:
        kinds = declared.get("attention_layers") or [
            kind
            for kinds, times in declared["attention_types"]
            for kind in kinds * min(times, n_layer + 1)
        ]
        windows = tuple({"global": None, "local": size}[kind] for kind in kinds)
    except (KeyError, TypeError, ValueError):
        windows = ()
    if len(windows) != n_layer:
        raise InputError(
            f"{path}: expected attention_types of {n_layer} layers in all, such as "
            f"[[['global', 'local'], {n_layer // 2}]], "
            f"found {reprlib.repr(declared.get('attention_types'))}"
        )
    return windows


def _heads(
    declared: Mapping[str, Any], key: str, n_layer: int, n_head: int, path: str
) -> tuple[Head, ...]:
    found = declared.get(key, ())
    try:
        heads = _PAIRS.validate_python(found)
    except ValidationError:
        heads = [(-1, -1)]
    sound = all(0 <= layer < n_layer and 0 <= head < n_head for layer, head in heads)
    if not sound or len(set(heads)) < len(heads):
        raise InputError(
            f"{path}: expected {key} as different pairs of a layer below {n_layer} and a head "
            f"below {n_head}, found {reprlib.repr(found)}"
        )
    return tuple(Head(*head) for head in heads)


def _flag(declared: Mapping[str, Any], key: str, path: str, *, otherwise: bool) -> bool:
    found = declared.get(key)
    if not isinstance(found, bool | None):
        raise InputError(f"{path}: expected {key} to be true or false, found {reprlib.repr(found)}")
    return otherwise if found is None else found


def _positive(
    declared: Mapping[str, Any], key: str, kind: type, path: str, limit: int = TOO_MANY
) -> Any:
    found: Any = declared.get(key)
    number = isinstance(found, int | kind) and not isinstance(found, bool)
    if not number or not 0 < found < limit:
        raise InputError(
            f"{path}: expected {key} to be a positive {kind.__name__} below {limit}, "
            f"found {reprlib.repr(found)}"
        )
    return found

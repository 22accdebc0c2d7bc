"""A model's configuration, in one vocabulary whatever the architecture."""

import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gpt2_helix.errors import SubjectError


class Head(NamedTuple):
    """An attention head, written L0H3 for layer 0, head 3."""

    layer: int
    head: int

    def __str__(self) -> str:
        return f"L{self.layer}H{self.head}"


MAIN_HEADS_OF_GPT2_SMALL = (Head(2, 2), Head(3, 3), Head(4, 11))
"""Its main previous-token heads, which the post names."""
LOCAL_HEADS_OF_GPT2_SMALL = (Head(0, 3), Head(0, 4), Head(0, 7))
"""The heads of its layer 0 that the kernel claims are about."""


@dataclass(frozen=True)
class Architecture:
    """How an architecture with learned absolute positions names things.

    Attributes
    ----------
    prefix
        What may stand before every tensor name, depending on the class that saved the file.
    W_pos
        Name of the position matrix.
    keys
        Names in config.json of n_layer, n_head, n_embd, n_positions and the LayerNorm epsilon;
        None for an epsilon that is always 1e-5.
    padding
        Rows that the stored matrix has before that of the first position.
    """

    prefix: str
    W_pos: str
    keys: tuple[str, str, str, str, str | None]
    padding: int = 0

    @property
    def stored_W_pos(self) -> tuple[str, str]:  # noqa: N802
        """Names that the position matrix can have in a file."""
        return self.W_pos, self.prefix + self.W_pos


ARCHITECTURES = {
    "gpt2": Architecture(
        "transformer.",
        "wpe.weight",
        ("n_layer", "n_head", "n_embd", "n_positions", "layer_norm_epsilon"),
    ),
    "bert": Architecture(
        "bert.",
        "embeddings.position_embeddings.weight",
        (
            "num_hidden_layers",
            "num_attention_heads",
            "hidden_size",
            "max_position_embeddings",
            "layer_norm_eps",
        ),
    ),
    "opt": Architecture(
        "model.",
        "decoder.embed_positions.weight",
        (
            "num_hidden_layers",
            "num_attention_heads",
            "hidden_size",
            "max_position_embeddings",
            None,
        ),
        padding=2,
    ),
    "gpt_neo": Architecture(
        "transformer.",
        "wpe.weight",
        (
            "num_layers",
            "num_heads",
            "hidden_size",
            "max_position_embeddings",
            "layer_norm_epsilon",
        ),
    ),
}
LARGEST = 2**20
"""Bytes of a config.json."""
TOO_MANY = 100_000
"""Of layers, heads, dimensions or positions; a size is believed before any tensor is seen."""


@dataclass(frozen=True)
class Config:
    """Sizes of a transformer with learned absolute positions.

    Attributes
    ----------
    model_type
        Key of ``ARCHITECTURES``.
    n_layer, n_head, n_embd, n_positions
        Blocks, heads a block, width of the residual stream, positions.
    layer_norm_epsilon
        Added to the variance in LayerNorm.
    vocab_size, n_inner
        Rows of the token embedding, and width of the MLP.
    activation
        Name of the MLP's activation function.
    previous_token_heads, heads_looking_back
        The main previous-token heads, and the heads of layer 0 that look just behind by positions
        alone: from fields of these names in config.json; empty if it has none.
    scores_over_layer
        Whether attention scores of the n-th block are divided by n, as Stanford's GPT-2 does.
    """

    model_type: str
    n_layer: int
    n_head: int
    n_embd: int
    n_positions: int
    layer_norm_epsilon: float
    vocab_size: int
    n_inner: int
    activation: str
    previous_token_heads: tuple[Head, ...]
    heads_looking_back: tuple[Head, ...]
    scores_over_layer: bool

    @property
    def architecture(self) -> Architecture:
        """How this architecture names its tensors."""
        return ARCHITECTURES[self.model_type]


def read_config(path: Path) -> Config:
    """Read a Hugging Face ``config.json``.

    Raises
    ------
    SubjectError
        If there is no such file, it is no JSON object, its architecture has no learned absolute
        positions, or a size is not a positive number.
    """
    try:
        if (size := path.stat().st_size) > LARGEST:
            raise SubjectError(f"{path}: expected at most {LARGEST} bytes, found {size}")
        declared = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SubjectError(f"{path.parent}: expected a config.json, found none") from None
    except (OSError, ValueError, RecursionError) as error:
        raise SubjectError(f"{path}: expected JSON, found something else ({error})") from None
    if not isinstance(declared, dict):
        raise SubjectError(f"{path}: expected a JSON object, found {type(declared).__name__}")
    return config_from(declared, str(path))


def config_from(declared: Mapping[str, Any], path: str) -> Config:
    """Understand the fields of a ``config.json``; ``path`` is what errors call it."""
    kind = declared.get("model_type")
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise SubjectError(
            f"{path}: expected a model_type with learned absolute positions ({known}), "
            f"found {reprlib.repr(kind)}, which has none that this project can read"
        )
    keys = ARCHITECTURES[kind].keys
    n_layer, n_head, n_embd, n_positions = (
        _positive(declared, str(key), int, path) for key in keys[:4]
    )
    if n_embd % n_head:
        raise SubjectError(
            f"{path}: expected {keys[2]} to be a multiple of {keys[1]}, found {n_embd} and {n_head}"
        )
    width = 4 * n_embd if declared.get("n_inner") is None else declared["n_inner"]
    return Config(
        kind,
        n_layer,
        n_head,
        n_embd,
        n_positions,
        layer_norm_epsilon=(_positive(declared, keys[4], float, path) if keys[4] else 1e-5),
        vocab_size=_positive({"vocab_size": 50257, **declared}, "vocab_size", int, path),
        n_inner=_positive({"n_inner": width}, "n_inner", int, path),
        activation=str(declared.get("activation_function", "gelu_new")),
        scores_over_layer=declared.get("scale_attn_by_inverse_layer_idx") is True,
        previous_token_heads=_heads(declared, "previous_token_heads", n_layer, n_head, path),
        heads_looking_back=_heads(declared, "heads_looking_back", n_layer, n_head, path),
    )


def _heads(
    declared: Mapping[str, Any], key: str, n_layer: int, n_head: int, path: str
) -> tuple[Head, ...]:
    found = declared.get(key, ())
    try:
        heads = tuple(Head(*map(int, head)) for head in found)
    except (TypeError, ValueError):
        heads = (Head(-1, -1),)
    if any(not (0 <= h.layer < n_layer and 0 <= h.head < n_head) for h in heads):
        raise SubjectError(
            f"{path}: expected {key} as pairs of a layer below {n_layer} and a head below "
            f"{n_head}, found {found!r}"
        )
    return heads


def _positive(declared: Mapping[str, Any], key: str, kind: type, path: str) -> Any:
    found: Any = declared.get(key)
    number = isinstance(found, int | kind) and not isinstance(found, bool)
    if not number or not 0 < found < TOO_MANY:
        raise SubjectError(
            f"{path}: expected {key} to be a positive {kind.__name__} below {TOO_MANY}, "
            f"found {reprlib.repr(found)}"
        )
    return found

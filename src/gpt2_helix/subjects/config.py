"""A model's configuration, in one vocabulary whatever the architecture."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpt2_helix.subjects.errors import SubjectError


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
        Names in config.json of n_layer, n_head, n_embd, n_positions and the LayerNorm epsilon.
    """

    prefix: str
    W_pos: str
    keys: tuple[str, str, str, str, str]


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
}


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
    """

    model_type: str
    n_layer: int
    n_head: int
    n_embd: int
    n_positions: int
    layer_norm_epsilon: float

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
        declared = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SubjectError(f"{path.parent}: expected a config.json, found none") from None
    except (OSError, ValueError) as error:
        raise SubjectError(f"{path}: expected JSON, found something else ({error})") from None
    if not isinstance(declared, dict):
        raise SubjectError(f"{path}: expected a JSON object, found {type(declared).__name__}")
    kind = declared.get("model_type")
    if kind not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise SubjectError(
            f"{path}: expected a model_type with learned absolute positions ({known}), "
            f"found {kind!r}, which has none that this project can read"
        )
    keys = ARCHITECTURES[kind].keys
    n_layer, n_head, n_embd, n_positions = (_positive(declared, key, int, path) for key in keys[:4])
    if n_embd % n_head:
        raise SubjectError(
            f"{path}: expected {keys[2]} to be a multiple of {keys[1]}, found {n_embd} and {n_head}"
        )
    epsilon = _positive(declared, keys[4], float, path)
    return Config(kind, n_layer, n_head, n_embd, n_positions, epsilon)


def _positive(declared: dict[str, Any], key: str, kind: type, path: Path) -> Any:
    found: Any = declared.get(key)
    number = isinstance(found, int | kind) and not isinstance(found, bool)
    if not number or not 0 < found < 10**9:
        raise SubjectError(
            f"{path}: expected {key} to be a positive {kind.__name__}, found {found!r}"
        )
    return found

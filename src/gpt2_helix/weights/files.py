"""Files of weights: what they are called, and how each kind is opened."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from gpt2_helix.judging.errors import SubjectError
from gpt2_helix.weights.checkpoint import CheckpointFile, CheckpointInPart
from gpt2_helix.weights.tensors import WEIGHTS, Array, SafetensorsFile, SafetensorsInPart

CHECKPOINT = "pytorch_model.bin"
KINDS: dict[str, Callable[[Path], Mapping[str, Array]]] = {
    WEIGHTS: SafetensorsFile,
    CHECKPOINT: CheckpointFile,
}
"""Name of a file of weights to what opens it; the first that a model has is read."""

Part = SafetensorsInPart | CheckpointInPart
PARTS: dict[str, Callable[[BinaryIO, str], Part]] = {
    WEIGHTS: SafetensorsInPart,
    CHECKPOINT: CheckpointInPart,
}
"""Name of a file of weights to what reads single tensors of one that is not here."""


def open_weights(path: Path) -> Mapping[str, Array]:
    """Open a file that has one of these names; see ``SafetensorsFile`` and ``CheckpointFile``."""
    return KINDS[path.name](path)


def weights_in(folder: Path) -> Path:
    """The file of weights of a folder.

    Raises
    ------
    SubjectError
        If it has none.
    """
    for name in KINDS:
        if (folder / name).is_file():
            return folder / name
    raise SubjectError(f"{folder}: expected a {' or a '.join(KINDS)}, found none")

"""Files of weights: what they are called, and how each kind is opened."""

from collections.abc import Callable
from io import IOBase
from pathlib import Path
from weakref import finalize

from gpt2_helix.judging.errors import InputError
from gpt2_helix.weights.checkpoint import CheckpointFile
from gpt2_helix.weights.tensors import WEIGHTS, SafetensorsFile, Tensors

CHECKPOINT = "pytorch_model.bin"
KINDS: dict[str, Callable[[IOBase, str], Tensors]] = {
    WEIGHTS: SafetensorsFile,
    CHECKPOINT: CheckpointFile,
}
"""Name of a file of weights to what opens it, here or in ranges; the first that a model has is
read."""


def open_weights(path: Path) -> Tensors:
    """Open a file that has one of these names; ``InputError`` if it is not sound."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: expected a file of weights, found {error.strerror}") from None
    try:
        tensors = KINDS[path.name](file, str(path))
    except InputError:
        file.close()
        raise
    finalize(tensors, file.close)  # It is open as long as anybody may ask for a tensor.
    return tensors


def weights_in(folder: Path) -> Path:
    """The file of weights of a folder; ``InputError`` if it has none."""
    for name in KINDS:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder}: expected a {' or a '.join(KINDS)}, found none")

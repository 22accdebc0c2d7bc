"""Tensors by name: from a safetensors file, or made up."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open

from gpt2_helix.errors import SubjectError
from gpt2_helix.weights.header import LENGTH_BYTES, HeaderError, header_length, parse_header

Array = Float[np.ndarray, "..."]
KINDS = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
"""Numbers that are read, by their name in a header."""
WEIGHTS = "model.safetensors"
PICKLE = "pytorch_model.bin"


class SafetensorsFile(Mapping[str, Array]):
    """The tensors of one safetensors file, each read when asked for, as float32 or wider.

    Nothing is unpickled, and the header is checked before any tensor is read.

    Raises
    ------
    SubjectError
        If the file is not there, cut short, not in the safetensors format, or its header lies.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            found = only_a_pickle() if (path.parent / PICKLE).is_file() else "none"
            raise SubjectError(f"{path.parent}: expected a {path.name}, found {found}")
        size = path.stat().st_size
        try:
            with path.open("rb") as file:
                length = header_length(file.read(LENGTH_BYTES), size)
                self._names = frozenset(parse_header(file.read(length), size))
            self._file = safe_open(path, framework="numpy")
        except (HeaderError, SafetensorError, OSError) as error:
            raise SubjectError(
                f"{path}: expected a whole safetensors file, found {size} bytes "
                f"that are none ({error})"
            ) from None

    def __getitem__(self, name: str) -> Array:
        if name not in self._names:
            raise KeyError(name)
        kind = self._file.get_slice(name).get_dtype()
        if kind not in KINDS:
            raise SubjectError(f"{self.path}: expected {name} as F16, F32 or F64, found {kind}")
        tensor = self._file.get_tensor(name)
        return tensor.astype(np.float32) if kind == "F16" else tensor

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names))

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names


def only_a_pickle() -> str:
    """Why what was found instead of a safetensors file is not read."""
    return f"only {PICKLE}, a pickle: reading one can run any code in it, so that none is read"


def sha256_of_file(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_tensor(tensor: Array) -> str:
    """Hexadecimal sha256 of a tensor's values as little-endian float32, row after row."""
    return hashlib.sha256(np.ascontiguousarray(tensor, dtype="<f4").tobytes()).hexdigest()

"""Tensors by name: from a safetensors file, or made up."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open

from gpt2_helix.subjects.errors import SubjectError

Array = Float[np.ndarray, "..."]


class SafetensorsFile(Mapping[str, Array]):
    """The tensors of one safetensors file, each read when asked for, as float32 or wider.

    Nothing is unpickled, and the library checks the header before any tensor is read.

    Raises
    ------
    SubjectError
        If the file is not there, cut short or not in the safetensors format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise SubjectError(f"{path.parent}: expected a {path.name}, found none")
        try:
            self._file = safe_open(path, framework="numpy")
        except (SafetensorError, OSError) as error:
            raise SubjectError(
                f"{path}: expected a whole safetensors file, found {path.stat().st_size} bytes "
                f"that are none ({error})"
            ) from None
        self._names = frozenset(self._file.keys())

    def __getitem__(self, name: str) -> Array:
        if name not in self._names:
            raise KeyError(name)
        kind = self._file.get_slice(name).get_dtype()
        if kind not in ("F16", "F32", "F64"):
            raise SubjectError(f"{self.path}: expected {name} as F16, F32 or F64, found {kind}")
        tensor = self._file.get_tensor(name)
        return tensor.astype(np.float32) if kind == "F16" else tensor

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names))

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names


def sha256_of_file(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_tensor(tensor: Array) -> str:
    """Hexadecimal sha256 of a tensor's values as little-endian float32, row after row."""
    return hashlib.sha256(np.ascontiguousarray(tensor, dtype="<f4").tobytes()).hexdigest()

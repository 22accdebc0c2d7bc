"""Tensors by name: from a safetensors file, checked before any of it is used."""

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from safetensors import SafetensorError, safe_open

from gpt2_helix.judging.errors import SubjectError

Array = Float[np.ndarray, "..."]
WEIGHTS = "model.safetensors"
BFLOAT16 = "BF16"
DTYPES = {"F16": "<f2", BFLOAT16: "<u2", "F32": "<f4", "F64": "<f8"}
"""Numbers that are read: their names in a header, and what numpy reads them as."""
LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header, as a little-endian integer."""
LARGEST_HEADER = 2**24
"""Bytes of a header that is received; it takes about a hundred for each tensor."""


class Tensors(Mapping[str, Array]):
    """Tensors that are read when asked for; no number is read to say which there are.

    Attributes
    ----------
    stored
        What is known of each before it is read, its ``shape`` at least, by name.
    """

    stored: Mapping[str, Any]

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored)

    def __len__(self) -> int:
        return len(self.stored)

    def __contains__(self, name: object) -> bool:
        return name in self.stored


class Place(NamedTuple):
    """What a tensor is, and where in its file it begins."""

    kind: str
    shape: tuple[int, ...]
    start: int


class SafetensorsFile(Tensors):
    """The tensors of one safetensors file, each read when asked for, as float32 or wider.

    The header is checked by the safetensors library, which refuses tensors that overlap, leave
    gaps, end beyond the file, or are larger or smaller than their shapes. Of two tensors of one
    name it takes the last; that is refused here.

    Parameters
    ----------
    path
        The file.
    where
        What errors call it; its path by default.

    Raises
    ------
    SubjectError
        If the file is cut short, not in the safetensors format, or its header is false.
    """

    def __init__(self, path: Path, where: str | None = None) -> None:
        self._path, self._where = path, where or str(path)
        try:
            with safe_open(path, framework="numpy"), path.open("rb") as file:
                length = int.from_bytes(file.read(LENGTH_BYTES), "little")
                header = json.loads(file.read(length), object_pairs_hook=_without_twins)
        except (SafetensorError, OSError, ValueError, RecursionError) as error:
            found = str(error).partition("\n")[0]
            raise SubjectError(
                f"{self._where}: expected a whole safetensors file, found another ({found:.160})"
            ) from None
        header.pop("__metadata__", None)
        data = LENGTH_BYTES + length
        self.stored = {
            name: Place(entry["dtype"], tuple(entry["shape"]), data + entry["data_offsets"][0])
            for name, entry in sorted(header.items())
        }

    def __getitem__(self, name: str) -> Array:
        kind, shape, start = self.stored[name]
        if kind not in DTYPES:
            *most, last = DTYPES
            known = f"{', '.join(most)} or {last}"
            raise SubjectError(f"{self._where}: expected {name} as {known}, found {kind}")
        dtype = np.dtype(DTYPES[kind])
        numbers = self._read(start, math.prod(shape) * dtype.itemsize).view(dtype).reshape(shape)
        if kind == BFLOAT16:  # numpy lacks it: it is the upper half of a float32.
            return (numbers.astype("<u4") << 16).view("<f4")
        return numbers.astype(np.promote_types(dtype, np.float32), copy=False)

    def _read(self, start: int, size: int) -> UInt8[np.ndarray, " byte"]:
        return np.fromfile(self._path, np.uint8, size, offset=start)


class SafetensorsInPart(SafetensorsFile):
    """The tensors of a safetensors file that is read in ranges: its header, and what is asked for.

    The header is written to a sparse file of the same size, so that what checks a whole file
    checks it.

    Parameters
    ----------
    file
        The file, open for reading and able to seek.
    where
        What errors call it; they are those of ``SafetensorsFile``.
    """

    def __init__(self, file: BinaryIO, where: str) -> None:
        self._file = file
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        start = file.read(LENGTH_BYTES)
        length = int.from_bytes(start, "little")
        room = max(min(LARGEST_HEADER, size - LENGTH_BYTES), 0)
        if not 0 < length <= room:
            raise SubjectError(f"{where}: expected a header of 1 to {room} bytes, found {length}")
        with tempfile.NamedTemporaryFile() as sparse:
            sparse.write(start + file.read(length))
            sparse.truncate(size)
            sparse.flush()
            super().__init__(Path(sparse.name), where)

    def _read(self, start: int, size: int) -> UInt8[np.ndarray, " byte"]:
        self._file.seek(start)
        return np.frombuffer(bytearray(self._file.read(size)), np.uint8)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twin!r:.80} stands twice in its header")
    return found


def sha256_of_file(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_tensor(tensor: Array) -> str:
    """Hexadecimal sha256 of a tensor's values as little-endian float32, row after row."""
    return hashlib.sha256(np.ascontiguousarray(tensor, dtype="<f4").tobytes()).hexdigest()

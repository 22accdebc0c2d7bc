"""Tensors by name: from a safetensors file, checked before any of it is used."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Generic, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open

from gpt2_helix.judging.errors import SubjectError

Array = Float[np.ndarray, "..."]
Entry = TypeVar("Entry")
BFLOAT16 = "BF16"
KINDS = ("F16", BFLOAT16, "F32", "F64")
"""Numbers that are read, by their names in a header."""
WEIGHTS = "model.safetensors"
LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header, as a little-endian integer."""

LARGEST_HEADER = 2**24
"""Bytes of a header that is received; it takes about a hundred for each tensor."""


class Place(NamedTuple):
    """What a tensor is and which bytes of its file it takes: ``start`` to before ``stop``."""

    kind: str
    shape: tuple[int, ...]
    start: int
    stop: int


class Tensors(Mapping[str, Array], Generic[Entry]):
    """Tensors that are read when asked for; no number is read to say which there are.

    Attributes
    ----------
    stored
        What is known of each before it is read, by name.
    """

    stored: Mapping[str, Entry]

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored)

    def __len__(self) -> int:
        return len(self.stored)

    def __contains__(self, name: object) -> bool:
        return name in self.stored


class SafetensorsFile(Tensors[Place]):
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
            self._file = safe_open(path, framework="numpy")
            with path.open("rb") as file:
                length = int.from_bytes(file.read(LENGTH_BYTES), "little")
                header = json.loads(file.read(length), object_pairs_hook=_without_twins)
        except (SafetensorError, OSError, ValueError, RecursionError) as error:
            found = str(error).partition("\n")[0]
            raise SubjectError(
                f"{self._where}: expected a whole safetensors file, found another ({found:.160})"
            ) from None
        header.pop("__metadata__", None)
        self.stored = {
            name: _place(entry, LENGTH_BYTES + length) for name, entry in sorted(header.items())
        }

    def __getitem__(self, name: str) -> Array:
        if (kind := self.stored[name].kind) not in KINDS:
            known = f"{', '.join(KINDS[:-1])} or {KINDS[-1]}"
            raise SubjectError(f"{self._where}: expected {name} as {known}, found {kind}")
        if kind == BFLOAT16:
            return self._widened(self.stored[name])
        tensor = self._file.get_tensor(name)
        return tensor.astype(np.float32) if kind == "F16" else tensor

    def _widened(self, place: Place) -> Array:
        """Read bfloat16, which numpy lacks: it is the upper half of a float32."""
        count = (place.stop - place.start) // 2
        upper = np.fromfile(self._path, "<u2", count, offset=place.start)
        return (upper.astype("<u4") << 16).view("<f4").reshape(place.shape)


class SafetensorsInPart(Tensors[Place]):
    """The tensors of a safetensors file that is read in ranges: its header, and what is asked for.

    Both are written where they belong into a sparse file of the same size, so that what checks
    and reads a whole file does so here.

    Parameters
    ----------
    file
        The file, open for reading and able to seek.
    where
        What errors call it; they are those of ``SafetensorsFile``.
    """

    def __init__(self, file: BinaryIO, where: str) -> None:
        self._file, self._where = file, where
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        start = file.read(LENGTH_BYTES)
        length = int.from_bytes(start, "little")
        room = max(min(LARGEST_HEADER, size - LENGTH_BYTES), 0)
        if not 0 < length <= room:
            raise SubjectError(f"{where}: expected a header of 1 to {room} bytes, found {length}")
        self._header, self._size = start + file.read(length), size
        with self._sparse_file() as sparse:
            self.stored = sparse.stored

    def __getitem__(self, name: str) -> Array:
        place = self.stored[name]
        self._file.seek(place.start)
        with self._sparse_file(place.start, self._file.read(place.stop - place.start)) as sparse:
            return sparse[name]

    @contextmanager
    def _sparse_file(self, start: int = 0, content: bytes = b"") -> Iterator[SafetensorsFile]:
        with tempfile.NamedTemporaryFile() as file:
            file.write(self._header)
            file.truncate(self._size)
            file.seek(start or len(self._header))
            file.write(content)
            file.flush()
            yield SafetensorsFile(Path(file.name), self._where)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twin!r:.80} stands twice in its header")
    return found


def _place(entry: Mapping[str, Any], data: int) -> Place:
    start, stop = entry["data_offsets"]
    return Place(entry["dtype"], tuple(entry["shape"]), data + start, data + stop)


def sha256_of_file(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_tensor(tensor: Array) -> str:
    """Hexadecimal sha256 of a tensor's values as little-endian float32, row after row."""
    return hashlib.sha256(np.ascontiguousarray(tensor, dtype="<f4").tobytes()).hexdigest()

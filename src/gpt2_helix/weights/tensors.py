"""Tensors by name: from a safetensors file, checked before any of it is used."""

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from io import IOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open

from gpt2_helix.judging.errors import InputError

Array = Float[np.ndarray, "..."]
if TYPE_CHECKING:
    ByName = Mapping[str, Array]
else:  # Where types are checked as the code runs, no tensor is read for it.
    ByName = Mapping
WEIGHTS = "model.safetensors"
BFLOAT16 = "BF16"
DTYPES = {"F16": "<f2", BFLOAT16: "<u2", "F32": "<f4", "F64": "<f8"}
"""Numbers that are read: their names in a header, and what numpy reads them as."""
LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header, as a little-endian integer."""
LARGEST_HEADER = 2**24
"""Bytes of a header that is received; it takes about a hundred for each tensor."""


class Tensors(ByName):
    """Tensors that are read when asked for; no number is read to say which there are."""

    stored: Mapping[str, Any]
    """What is known of each before it is read, by name: in a file its ``shape`` at least."""

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
    gaps, end beyond the file, or are larger or smaller than their shapes. It wants a whole file on
    disk: the header is written to a sparse one of the same size, so that no more than the header
    is received of a file that is read in ranges. Of two tensors of one name the library takes the
    last; that is refused here. ``where`` is what errors call the file: ``InputError`` if it is
    cut short, not in the safetensors format, or its header is false.
    """

    def __init__(self, file: IOBase, where: str) -> None:
        self._file, self._where = file, where
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        start = file.read(LENGTH_BYTES)
        length = int.from_bytes(start, "little")
        room = max(min(LARGEST_HEADER, size - LENGTH_BYTES), 0)
        try:
            if not 0 < length <= room:
                raise ValueError(f"a header of {length} bytes, not of 1 to {room}")
            header = file.read(length)
            with tempfile.NamedTemporaryFile() as sparse:
                sparse.write(start + header)
                sparse.truncate(size)
                sparse.flush()
                with safe_open(sparse.name, framework="numpy"):
                    entries = json.loads(header, object_pairs_hook=without_twins)
        except (SafetensorError, OSError, ValueError, RecursionError) as error:
            found = str(error).partition("\n")[0]
            raise InputError(
                f"{where}: expected a whole safetensors file, found another ({found:.160})"
            ) from None
        entries.pop("__metadata__", None)
        data = LENGTH_BYTES + length
        self.stored = {
            name: Place(entry["dtype"], tuple(entry["shape"]), data + entry["data_offsets"][0])
            for name, entry in sorted(entries.items())
        }

    def __getitem__(self, name: str) -> Array:
        kind, shape, start = self.stored[name]
        if kind not in DTYPES:
            *most, last = DTYPES
            known = f"{', '.join(most)} or {last}"
            raise InputError(f"{self._where}: expected {name} as {known}, found {kind}")
        dtype = np.dtype(DTYPES[kind])
        self._file.seek(start)
        stored = bytearray(self._file.read(math.prod(shape) * dtype.itemsize))
        numbers = np.frombuffer(stored, dtype).reshape(shape)
        if kind == BFLOAT16:  # numpy lacks it: it is the upper half of a float32.
            return np.asarray(numbers.astype("<u4") << 16, "<u4").view("<f4")
        return numbers.astype(np.promote_types(dtype, np.float32), copy=False)


def without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a JSON object; ``ValueError`` if a name stands twice, of which json takes the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twin!r:.80} stands twice")
    return found


def sha256_of_file(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_tensor(tensor: Array) -> str:
    """Hexadecimal sha256 of a tensor's values as little-endian float32, row after row.

    Of values that float32 would round it is that of their float64: another tensor has another
    digest, however little it differs.
    """
    narrow = np.ascontiguousarray(tensor, dtype="<f4")
    exact = tensor.dtype.itemsize <= narrow.itemsize or np.array_equal(narrow, tensor)
    kept = narrow if exact else np.ascontiguousarray(tensor, dtype="<f8")
    return hashlib.sha256(kept.tobytes()).hexdigest()


def sha256_of_each(tensors: ByName, names: Iterable[str]) -> dict[str, str]:
    """``sha256_of_tensor`` of some tensors, by name; each is read for it."""
    return {name: sha256_of_tensor(tensors[name]) for name in names}

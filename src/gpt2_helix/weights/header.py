"""The header of a safetensors file, checked before a byte of any tensor is read.

The safetensors library checks a header too, but only of a file that is there as a whole, and of
two entries under one name it silently takes the last.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

LENGTH_BYTES = 8
"""The file begins with the length of its header, as a little-endian integer."""
LARGEST_HEADER = 2**20
"""Bytes; a header takes about a hundred for each tensor, and no GPT-2 has a thousand tensors."""
WIDTHS = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
}
"""Bytes of one number, by type."""


class HeaderError(ValueError):
    """Bytes that are no safetensors header, or one that lies: what was expected and found."""


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies in its file, and what it is.

    Attributes
    ----------
    dtype, shape
        Key of ``WIDTHS``; sizes.
    start, stop
        Its bytes in the file.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def header_length(first: bytes, file_size: int) -> int:
    """Length of the header, from the first bytes of a file.

    Raises
    ------
    HeaderError
        If the file cannot hold it, or it is longer than ``LARGEST_HEADER``.
    """
    length = int.from_bytes(first[:LENGTH_BYTES], "little")
    room = min(LARGEST_HEADER, file_size - LENGTH_BYTES)
    if len(first) < LENGTH_BYTES or not 0 < length <= room:
        raise HeaderError(f"expected a header of 1 to {max(room, 0)} bytes, found {length}")
    return length


def parse_header(text: bytes, file_size: int) -> dict[str, Entry]:
    """Read a header into one entry for each tensor.

    Parameters
    ----------
    text
        The header without its length.
    file_size
        Bytes of the whole file.

    Raises
    ------
    HeaderError
        If it is no JSON object, names a tensor twice, or gives one a type, a shape or offsets that
        cannot be. Tensors must follow one another without gap or overlap and fill the file.
    """
    try:
        declared = json.loads(text.decode(), object_pairs_hook=_without_twins)
    except HeaderError:
        raise
    except (ValueError, RecursionError) as error:
        raise HeaderError(f"expected a header in JSON, found {type(error).__name__}") from None
    if not isinstance(declared, dict):
        raise HeaderError(f"expected a JSON object, found {type(declared).__name__}")
    declared.pop("__metadata__", None)
    data = LENGTH_BYTES + len(text)
    entries = {name: _entry(name, found, data) for name, found in declared.items()}
    end = data
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != end:
            raise HeaderError(f"expected {name!r:.80} at byte {end}, found it at {entry.start}")
        end = entry.stop
    if end != file_size:
        raise HeaderError(f"expected tensors up to byte {file_size}, found them up to {end}")
    return entries


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise HeaderError(f"expected names that differ, found {twin!r:.80} twice")
    return found


def _entry(name: str, found: Any, data: int) -> Entry:
    what = f"expected of {name!r:.80}"
    if not isinstance(found, dict):
        raise HeaderError(f"{what} an object, found {type(found).__name__}")
    dtype: Any = found.get("dtype")
    shape: Any = found.get("shape")
    offsets: Any = found.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in WIDTHS:
        raise HeaderError(f"{what} a known dtype, found {dtype!r:.80}")
    if not _are_counts(shape):
        raise HeaderError(f"{what} a shape, found {shape!r:.80}")
    if not _are_counts(offsets) or len(offsets) != 2:
        raise HeaderError(f"{what} two data_offsets, found {offsets!r:.80}")
    start, stop = offsets
    if stop - start != (size := WIDTHS[dtype] * math.prod(shape)):
        raise HeaderError(f"{what} {size} bytes for {dtype} {shape!r:.80}, found {stop - start}")
    return Entry(dtype, tuple(shape), data + start, data + stop)


def _are_counts(found: Any) -> bool:
    """Whether this is a list of a few integers that can be sizes; true and false are none."""
    return (
        isinstance(found, list)
        and len(found) <= 8
        and all(type(n) is int and 0 <= n < 2**63 for n in found)
    )

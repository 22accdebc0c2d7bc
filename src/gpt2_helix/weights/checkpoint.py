"""Tensors by name from a PyTorch checkpoint (``pytorch_model.bin``), without running any of it.

A checkpoint is a pickle in a zip archive, and a pickle can call any function. PyTorch's
``weights_only`` unpickler knows how to rebuild tensors and refuses everything else.
"""

import io
import os
import pickletools
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO, IOBase
from typing import TYPE_CHECKING, Any

import numpy as np

from gpt2_helix.judging.errors import InputError
from gpt2_helix.weights.tensors import Array, Tensors

if TYPE_CHECKING:
    from torch import Tensor

DIRECTORY_BYTES = 2**15
"""About what the directory at the end of an archive takes."""
LARGEST_PICKLE = 2**24
"""Bytes; names and shapes of a thousand tensors take a tenth of a million."""


class CheckpointFile(Tensors):
    """The tensors of one checkpoint, each read when asked for, as float32 or float64.

    Names, types and shapes come from the pickle. It is loaded from an archive in memory that has
    no numbers in it, with ``map_location="meta"``; what PyTorch then calls a storage's offset tells
    which record of the real archive the numbers are in. So of a file that is read in ranges no
    more is received than that record. ``where`` is what errors call the file: ``InputError`` if
    it is no zip archive of tensors by name, or its pickle calls anything.
    """

    def __init__(self, file: IOBase, where: str) -> None:
        import torch

        self._where = where
        with _refusing(where):
            # A zip archive is read from its end, in small steps: this reads ahead.
            file.seek(max(file.seek(0, os.SEEK_END) - DIRECTORY_BYTES, 0))
            file.read(DIRECTORY_BYTES)
            if not zipfile.is_zipfile(file):
                raise ValueError("a file that is no zip archive, as PyTorch wrote before 1.6")
            self._archive = zipfile.ZipFile(file)
            empty, self._records = self._without_numbers()
            self.stored = _by_name(torch.load(empty, weights_only=True, map_location="meta"))

    def __getitem__(self, name: str) -> Array:
        import torch

        tensor = self.stored[name]
        if not tensor.is_floating_point():
            raise InputError(
                f"{self._where}: {name}: expected floating-point numbers, found {tensor.dtype}"
            )
        storage = tensor.untyped_storage()
        with _refusing(self._where):
            record = self._records[storage._checkpoint_offset or 0]
            # PyTorch compresses nothing: what is read is no more than the archive holds.
            if not record.compress_size == record.file_size == storage.nbytes():
                raise ValueError(f"{record.file_size} bytes for {name}, not {storage.nbytes()}")
            numbers = bytearray(self._archive.read(record))  # zipfile compares its checksum.
            # Several tensors may share a storage, each with its part of it.
            found = torch.frombuffer(numbers, dtype=tensor.dtype).as_strided(
                tensor.shape, tensor.stride(), tensor.storage_offset()
            )
        wide = torch.float64 if tensor.dtype == torch.float64 else torch.float32
        return np.asarray(found.to(wide))

    def _without_numbers(self) -> tuple[BytesIO, dict[int, zipfile.ZipInfo]]:
        """The archive with its pickle and empty records, and each offset in it to the real one."""
        empty = io.BytesIO()
        kept: dict[str, zipfile.ZipInfo] = {}
        with zipfile.ZipFile(empty, "w") as archive:
            for record in self._archive.infolist():
                _, _, name = record.filename.partition("/")
                if name.startswith("data/"):
                    archive.writestr(record.filename, b"")
                    kept[record.filename] = record
                elif name in ("data.pkl", "version", "byteorder"):
                    if record.file_size > LARGEST_PICKLE:
                        raise ValueError(f"{name} has {record.file_size} bytes")
                    content = self._archive.read(record)
                    if name == "data.pkl":
                        _check_numbers(content)
                    archive.writestr(record.filename, content)
        with zipfile.ZipFile(empty) as archive:
            # A record begins after a header of 30 bytes and its name.
            offsets = {
                record.header_offset + 30 + len(record.filename.encode()): kept[record.filename]
                for record in archive.infolist()
                if record.filename in kept
            }
        empty.seek(0)
        return empty, offsets


def _by_name(loaded: Any) -> "dict[str, Tensor]":
    import torch

    if not isinstance(loaded, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor)
        for name, tensor in loaded.items()
    ):
        raise ValueError(f"a {type(loaded).__name__} of something else")
    for name, tensor in loaded.items():
        # A sparse tensor has no storage, and one without numbers none in the archive; others are
        # views that turn the sign of what is stored.
        if tensor.layout != torch.strided or tensor.is_neg():
            raise ValueError(f"{name:.80}, which is not stored as it is")
        if tensor.untyped_storage()._checkpoint_offset is None and tensor.numel():
            raise ValueError(f"{name:.80} without numbers, as on the device meta")
    return dict(loaded)


def _check_numbers(pickled: bytes) -> None:
    """Refuse a pickle with a negative number: sizes, strides and offsets have none.

    PyTorch refuses a negative stride, but on the device ``meta`` it takes it for another.
    """
    for _, number, _ in pickletools.genops(pickled):
        if isinstance(number, int) and number < 0:
            raise ValueError(f"a stride, size or offset of {number}")


@contextmanager
def _refusing(where: str) -> Iterator[None]:
    """Turn whatever a checkpoint of unknown origin makes PyTorch raise into one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch warns of pickles that it goes on to refuse.
            yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        # PyTorch gives its reason after lines of advice.
        found = next((line for line in said if "nsupported" in line), said[0])
        raise InputError(
            f"{where}: expected a PyTorch checkpoint of tensors by name, found {found:.160}"
        ) from None

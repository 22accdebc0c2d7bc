"""Digests of files that are remembered, so that a large file is not read for them on every run.

A file's version is its path, its size, and when its content and its entry in the file system last
changed. No copy keeps the last of these, so a file that is carried to another machine is digested
again. Beside huggingface_hub's caches there is a note for each large file that was ever digested;
it counts only for the version that it names.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, cast

from huggingface_hub import constants

from gpt2_helix.judging.errors import InputError
from gpt2_helix.judging.files import write_json
from gpt2_helix.weights.tensors import Tensors, sha256_of_each, sha256_of_file

Noted = TypeVar("Noted", str, dict[str, str])

CACHE = Path(constants.HF_ASSETS_CACHE) / "gpt2-helix"
LARGE = 2**24
"""Bytes; less is read in a hundredth of a second."""


def sha256_of_version(path: Path) -> str:
    """Hexadecimal sha256 of a file; its bytes are read once for each version of it."""
    return _noted(path, "", str, lambda: sha256_of_file(path))


def sha256_of_tensors(path: Path, tensors: Tensors, names: Iterable[str]) -> dict[str, str]:
    """The sha256 of some tensors of a file, which are read once for each version of it.

    Of GPT-2 small's 117 MB without MLPs and tokens it takes 0.3 s once, of all its 548 MB about
    1.3 s, on a processor that knows SHA-256; after that no more than reading a note of 15 kB.
    """
    wanted = sorted(names)
    kind = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()
    return _noted(path, kind, dict, lambda: sha256_of_each(tensors, wanted))


def _noted(path: Path, kind: str, like: type, digest: Callable[[], Noted]) -> Noted:
    """What is noted of this version of a large file, or else is made and noted."""
    path = path.resolve()
    found = path.stat()
    if found.st_size < LARGE:
        return digest()
    version = [str(path), found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    name = hashlib.sha256(os.fsencode(path) + kind.encode()).hexdigest()
    note = CACHE / "digests" / f"{name}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        noted = json.loads(note.read_text(encoding="utf-8"))
        if noted["version"] == version and isinstance(noted["sha256"], like):
            return cast(Noted, noted["sha256"])
    made = digest()
    with suppress(OSError, InputError, ValueError):  # Where it cannot be written, it is not noted.
        note.parent.mkdir(parents=True, exist_ok=True)
        write_json(note, {"version": version, "sha256": made})
    return made

"""Digests of files that are remembered, so that a large file is not read for them on every run.

A file's version is its path, its size, and when its content and its entry in the file system last
changed. No copy keeps the last of these, so a file that is carried to another machine is digested
again. Beside huggingface_hub's caches there is a note for each large file that was ever digested;
it counts only for the version that it names.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from huggingface_hub import constants

from gpt2_helix.weights.tensors import sha256_of_file

CACHE = Path(constants.HF_ASSETS_CACHE) / "gpt2-helix"
LARGE = 2**24
"""Bytes; less is read in a hundredth of a second."""


def sha256_of_version(path: Path) -> str:
    """Hexadecimal sha256 of a file; its bytes are read once for each version of it."""
    path = path.resolve()
    found = path.stat()
    if found.st_size < LARGE:
        return sha256_of_file(path)
    version = [str(path), found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    note = CACHE / "digests" / f"{hashlib.sha256(str(path).encode()).hexdigest()}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        noted = json.loads(note.read_text(encoding="utf-8"))
        if noted["version"] == version:
            return str(noted["sha256"])
    sha256 = sha256_of_file(path)
    with suppress(OSError):  # Where nothing can be written, nothing is remembered.
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"version": version, "sha256": sha256}), encoding="utf-8")
    return sha256

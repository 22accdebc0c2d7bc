"""A large file is read once for its digest; a changed one is read again."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from gpt2_helix.weights import versions
from gpt2_helix.weights.tensors import sha256_of_file
from gpt2_helix.weights.versions import LARGE, sha256_of_version


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(versions, "CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


@pytest.mark.usefixtures("cache")
def test_a_version_is_digested_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def spy(path: Path) -> str:
        read.append(path)
        return sha256_of_file(path)

    monkeypatch.setattr(versions, "sha256_of_file", spy)
    path, other = tmp_path / "file", tmp_path / "other"
    first = write(path, bytes(LARGE))
    assert [sha256_of_version(path) for _ in range(3)] == [first] * 3
    assert read == [path]
    # As much content, of the same time: only the file system knows that it is another.
    before = path.stat()
    second = write(path, b"x" * LARGE)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert sha256_of_version(path) == second
    shutil.copy2(path, other)
    assert sha256_of_version(other) == second
    assert read == [path, path, other]


def test_a_note_that_is_spoilt_or_cannot_be_written_does_no_harm(
    tmp_path: Path, cache: Path
) -> None:
    path = tmp_path / "file"
    digest = write(path, bytes(LARGE))
    sha256_of_version(path)
    (note,) = (cache / "digests").iterdir()
    for spoilt in ("", "[]", '{"version": 1}', "{"):
        note.write_text(spoilt)
        assert sha256_of_version(path) == digest
    note.unlink()
    (cache / "digests").rmdir()
    (cache / "digests").write_text("no folder")
    assert sha256_of_version(path) == digest

"""Files are written whole or not at all."""

import errno
from pathlib import Path

import pytest

from gpt2_helix.judging import files
from gpt2_helix.judging.errors import InputError


def test_a_file_on_a_full_disk_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "README.md"
    files.write_text(path, "what was here")

    def full(self: Path, text: str, **_: object) -> int:
        with self.open("w") as file:
            file.write(text[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        with pytest.raises(InputError, match=r"README.md: expected to write a file, found No spa"):
            files.write_text(path, "something else")
    assert path.read_text() == "what was here"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    link.symlink_to(path)
    files.write_json(link, {"a": 1})
    assert link.is_symlink()
    assert path.read_text() == '{\n "a": 1\n}\n'


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    for path in (Path("/dev/null"), tmp_path):
        with pytest.raises(InputError, match=f"--report: expected a file, found {path}, which is"):
            files.check_file("--report", path)
    with pytest.raises(InputError, match="--report: expected a file in a folder, found"):
        files.check_file("--report", tmp_path / "none/file")
    files.check_file("--report", tmp_path / "file")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--into: expected a folder that can be written to"):
        files.check_folder("--into", tmp_path / "file/folder")
    files.check_folder("--into", tmp_path / "some/folder")

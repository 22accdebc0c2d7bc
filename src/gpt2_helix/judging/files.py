"""Files that are written whole or not at all, and refused early where they could not be."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from gpt2_helix.judging.errors import InputError

LONGEST, LONGEST_PART = 4096, 255
"""Bytes of a path, and of a name in it, on the file systems that are common."""


def check_name(option: str, text: str) -> None:
    """Refuse what can be no name, nor a path: nothing, or what no file system or page can hold."""
    sound = text and "\0" not in text and len(os.fsencode(text)) < LONGEST
    if not sound or max(map(len, os.fsencode(text).split(b"/"))) > LONGEST_PART:
        raise InputError(f"{option}: expected a name or a path, found {text!r:.80}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{option}: expected a name in UTF-8, found {text!r:.80}") from None


def given_path(text: str) -> Path:
    """Make a path of what an option was given; the empty one would be the current folder."""
    try:
        check_name("it", text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("it: ")) from None
    return Path(text)


def write_text(path: Path, text: str) -> None:
    """Write a file beside its place and move it there; ``InputError`` if it cannot be.

    A link is followed, so that the file that it names is replaced.
    """
    place = path.resolve()
    partial = place.with_name(f".{place.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(place)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"{path}: expected to write a file, found {error.strerror}") from None


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def check_folder(option: str, folder: Path) -> None:
    """Refuse a folder that cannot be made or written to, before what it is for is computed."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise InputError(f"{option}: expected a folder that can be written to, found {there}")


def check_file(option: str, file: Path) -> None:
    """Refuse a file that cannot be written or replaced, before what it is for is computed."""
    if file.exists() and not file.is_file():
        raise InputError(f"{option}: expected a file, found {file}, which is none")
    if not file.parent.is_dir():
        raise InputError(f"{option}: expected a file in a folder, found {file}")
    check_folder(option, file.parent)


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it is in; ``InputError`` if that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: expected to make a folder, found {error.strerror}") from None

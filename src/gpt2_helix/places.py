"""Where the claims and the records are: in a checkout, or in an installed package's own copy."""

import os
from pathlib import Path

from gpt2_helix.judging.errors import SubjectError

_COPY = Path(__file__).with_name("_checkout")
ROOT = _COPY if _COPY.is_dir() else Path(__file__).parents[2]
CLAIMS = ROOT / "claims"
DATA = ROOT / "data"


def check_folder(option: str, folder: Path) -> None:
    """Refuse a folder that cannot be made or written to, before what it is for is computed.

    Raises
    ------
    SubjectError
        If the nearest of its parents that is there, or itself, is a file or read-only.
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise SubjectError(f"{option}: expected a folder that can be written to, found {there}")

"""Functions that are claims, found by the ``claim`` marker of pytest."""

import runpy
from pathlib import Path

from gpt2_helix.judging.claim import Assess, Claim


def declared(folder: Path) -> list[tuple[Path, Assess, Claim]]:
    """Every claim of a folder: its file, its function and its terms, in order."""
    return [
        (path, function, claim)
        for path in sorted(folder.glob("test_*.py"))
        for function in runpy.run_path(str(path)).values()
        if (claim := claim_of(function)) is not None
    ]


def claim_of(function: object) -> Claim | None:
    """The terms that a function declares with the ``claim`` marker, if it carries one."""
    for mark in getattr(function, "pytestmark", ()):
        if mark.name == "claim":
            return Claim(*mark.args, **mark.kwargs)
    return None

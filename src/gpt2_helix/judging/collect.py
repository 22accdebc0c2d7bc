"""Functions that are claims, found by the ``claim`` marker of pytest."""

import importlib.util
from pathlib import Path

from gpt2_helix.judging.claim import Assess, Claim


def declared(folder: Path) -> list[tuple[Path, Assess, Claim]]:
    """Every claim of a folder: its file, its function and its terms, in order."""
    found = []
    for path in sorted(folder.glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"declared_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for function in vars(module).values():
            if (claim := claim_of(function)) is not None:
                found.append((path, function, claim))
    return found


def claim_of(function: object) -> Claim | None:
    """The terms that a function declares with the ``claim`` marker, if it carries one."""
    for mark in getattr(function, "pytestmark", ()):
        if mark.name == "claim":
            return Claim(*mark.args, **mark.kwargs)
    return None

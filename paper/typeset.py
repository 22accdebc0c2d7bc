"""Compile the paper: ``python paper/typeset.py``."""

import json
import sys
from hashlib import sha256
from pathlib import Path

import typst

from gpt2_helix.judging.collect import declared
from gpt2_helix.models.shipped import SEEDS
from gpt2_helix.weights.pins import HUB_MODELS

SUBJECT = "gpt2"


def typeset(root: Path) -> bytes:
    """The paper as PDF, the same bytes every time.

    Typst reads the data itself; what it cannot see, such as which files there are, it is told.

    Parameters
    ----------
    root
        A checkout.

    Raises
    ------
    typst.TypstError
        If a number is not where the paper looks for it; names the key.
    """
    told = {
        "declared": [claim.id for _, _, claim in declared(root / "claims")],
        "seeds": SEEDS,
        "others": _names(root / "data/verdicts", but=SUBJECT),
        "figures": _names(root / "paper/figures"),
        "records": {
            of: _digests(root / "data" / of)
            for of in (SUBJECT, *(f"published/{name}" for name in _folders(root)))
        },
        "repository": [HUB_MODELS[SUBJECT].repo, HUB_MODELS[SUBJECT].revision],
    }
    paper = typst.compile(
        root / "paper/main.typ",
        root=root,
        font_paths=[],
        ignore_system_fonts=True,
        sys_inputs={name: json.dumps(value) for name, value in told.items()},
        timestamp=0,
    )
    assert isinstance(paper, bytes)
    return paper


def _names(folder: Path, but: str = "") -> list[str]:
    """Names of the JSON files in a folder."""
    return sorted(path.stem for path in folder.glob("*.json") if path.stem != but)


def _digests(folder: Path) -> dict[str, str]:
    """Sha256 of each record in a folder, by its name."""
    read = {name: (folder / f"{name}.json").read_bytes() for name in _names(folder)}
    return {name: sha256(content).hexdigest() for name, content in read.items()}


def _folders(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "data/published").iterdir() if path.is_dir())


def main() -> int:
    """Write the paper beside its source; 1 with what Typst says if it cannot be built."""
    here = Path(__file__).parent
    try:
        paper = typeset(here.parent)
    except typst.TypstError as error:
        print(f"paper: {error.message}\n{error.diagnostic}", file=sys.stderr)
        return 1
    (here / "gpt2-helix.pdf").write_bytes(paper)
    print("paper/gpt2-helix.pdf")
    return 0


if __name__ == "__main__":
    sys.exit(main())

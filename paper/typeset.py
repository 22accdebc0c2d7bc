"""Compile the paper: ``python paper/typeset.py``."""

import json
import sys
from pathlib import Path

import typst

from gpt2_helix.judging.collect import declared
from gpt2_helix.models.shipped import SEEDS
from gpt2_helix.suite.recorded import RECORDED
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
    data = root / "data"
    recorded = [family for family in RECORDED if _measured(data / SUBJECT / f"{family}.json")]
    told = {
        "recorded": recorded,
        "unrecorded": [f for f in RECORDED if f not in recorded],
        "declared": [claim.id for _, _, claim in declared(root / "claims")],
        "seeds": SEEDS,
        "others": sorted(p.stem for p in (data / "verdicts").glob("*.json") if p.stem != SUBJECT),
        "repository": [HUB_MODELS[SUBJECT].repo, HUB_MODELS[SUBJECT].revision[:8]],
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


def _measured(path: Path) -> bool:
    return path.exists() and bool(json.loads(path.read_text(encoding="utf-8"))["measured"])


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

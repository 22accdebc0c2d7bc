"""What all figures share: where data are read, how files are written, colours and captions."""

import csv
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from gpt2_helix.doctoring import group_size

mpl.use("agg")

FIGURES = Path(__file__).parent
DATA = FIGURES.parent / "data"
SUBJECT = "gpt2"

CURVE, MEANS = "#c8382d", "#2260a8"
"""Red and blue that differ in lightness too, so that grey print and colour-blind eyes tell them
apart."""
LINES = (("#000000", "-"), ("#0072b2", "--"), ("#d55e00", "-."))
"""Three kinds of line that differ in colour (Okabe and Ito's) and in dashes."""
MARKERS = "osD^vX"
"""One for each step of a ``ramp``."""

mpl.rcParams |= {
    "font.size": 9,
    "figure.dpi": 150,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "gpt2-helix",
}


def ramp(steps: int) -> list[Any]:
    """Colours from dark to light, in an order that survives grey print and colour blindness."""
    return list(mpl.colormaps["viridis"](np.linspace(0, 0.88, steps)))


def label(doctoring: str) -> str:
    """A doctoring as an axis names it: its group size if it has one."""
    size = group_size(doctoring)
    return doctoring.removeprefix("average-") if size is None else str(size)


def read_table(subject: str, name: str) -> dict[str, Float[np.ndarray, " row"]]:
    """Columns of a recorded table, by name."""
    with (DATA / subject / name).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {column: np.array([float(row[column]) for row in rows]) for column in rows[0]}


def read_curve(
    subject: str, table: str = "curve.csv", prefix: str = ""
) -> Float[np.ndarray, "position 3"]:
    """Coordinates of positions in the three leading components."""
    columns = read_table(subject, table)
    return np.stack([columns[f"{prefix}pc{j}"] for j in (1, 2, 3)], axis=1)


def read_record(subject: str, family: str) -> dict[str, Any]:
    """What is recorded of a family of measurements."""
    content: dict[str, Any] = json.loads(
        (DATA / subject / f"{family}.json").read_text(encoding="utf-8")
    )
    return content


def is_recorded(subject: str, family: str) -> bool:
    """Whether a family of measurements was ever made."""
    path = DATA / subject / f"{family}.json"
    return path.exists() and bool(read_record(subject, family)["measured"])


def run(
    script: str,
    draw: Callable[..., tuple[Figure, str]],
    needs: Sequence[str],
    claims: Sequence[str],
    subjects: Sequence[str] = (SUBJECT,),
) -> None:
    """Draw a figure and write it beside its script, the same bytes every time.

    The SVG, for the paper, is bare; the PNG carries its caption. A JSON file of the same name has
    the caption, or says why the figure is not drawn, for the paper and the report to read.

    Parameters
    ----------
    script
        Path of the script.
    draw
        Takes the subjects, gives the figure and what is seen in it.
    needs
        Families of measurements; where one was never made, nothing is drawn.
    claims
        What the figure is evidence for, by identifier.
    subjects
        What is drawn; the figure is filed under the first.
    """
    stem = FIGURES / Path(script).stem
    about: dict[str, Any] = {"subject": subjects[0], "claims": list(claims)}
    missing = [
        f"{family} on {subject}"
        for subject in subjects
        for family in needs
        if not is_recorded(subject, family)
    ]
    if missing:
        about |= {"drawn": False, "why": f"not measured: {', '.join(missing)}"}
        for kind in ("svg", "png"):
            stem.with_suffix(f".{kind}").unlink(missing_ok=True)
        print(f"{stem.name}: not drawn, {about['why']}", file=sys.stderr)
    else:
        sha256 = {s: read_record(s, needs[0])["weights"]["wpe.weight"] for s in subjects}
        figure, seen = draw(*subjects)
        digests = "; ".join(f"{s}, wpe.weight sha256 {sha256[s][:12]}" for s in subjects)
        caption = f"{seen}\n{digests}"
        about |= {
            "drawn": True,
            "W_pos_sha256": sha256[subjects[0]],
            "caption": " ".join(caption.split("\n")),
        }
        bare = {"Date": None, "Creator": None, "Description": about["caption"]}
        figure.savefig(stem.with_suffix(".svg"), metadata=bare, bbox_inches="tight")
        # So that what reads this file changes with the picture.
        svg = stem.with_suffix(".svg").read_bytes()
        about["svg_sha256"] = hashlib.sha256(svg).hexdigest()
        figure.text(0.5, 0.0, caption, ha="center", va="top", fontsize=7)
        figure.savefig(stem.with_suffix(".png"), metadata={"Software": None}, bbox_inches="tight")
        print(stem.name, file=sys.stderr)
    text = json.dumps(about, indent=1, ensure_ascii=False) + "\n"
    stem.with_suffix(".json").write_text(text, encoding="utf-8")

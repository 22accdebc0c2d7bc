"""What all figures share: where data are read, how files are written, colours and captions."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

mpl.use("agg")

FIGURES = Path(__file__).parent
DATA = FIGURES.parent / "data"
CURVE, MEANS = "#c8382d", "#2260a8"
"""Red and blue that differ in lightness too, so that grey print and colour-blind eyes tell them
apart."""

mpl.rcParams |= {
    "font.size": 9,
    "figure.dpi": 150,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "gpt2-helix",
}


def read_curve(subject: str) -> Float[np.ndarray, "position 3"]:
    """Coordinates of every position in the three leading components; row = position."""
    with (DATA / subject / "curve.csv").open(newline="", encoding="utf-8") as file:
        return np.array([[float(r[f"pc{j}"]) for j in (1, 2, 3)] for r in csv.DictReader(file)])


def read_record(subject: str, family: str) -> dict[str, Any]:
    """What is recorded of a family of measurements."""
    content: dict[str, Any] = json.loads(
        (DATA / subject / f"{family}.json").read_text(encoding="utf-8")
    )
    return content


def caption(figure: Figure, subject: str, text: str) -> None:
    """Put a line under a figure: what is seen, of which subject, from which weights."""
    sha256 = read_record(subject, "helix")["weights"]["wpe.weight"]
    line = f"{text}\n{subject}, wpe.weight sha256 {sha256[:12]}"
    figure.text(0.5, 0.0, line, ha="center", va="top", fontsize=7)


def write(figure: Figure, script: str) -> None:
    """Write a figure beside its script, as SVG and PNG, the same bytes every time."""
    for kind, metadata in (("svg", {"Date": None, "Creator": None}), ("png", {"Software": None})):
        path = FIGURES / f"{Path(script).stem}.{kind}"
        figure.savefig(path, metadata=metadata, bbox_inches="tight")
        print(path.relative_to(FIGURES.parent), file=sys.stderr)

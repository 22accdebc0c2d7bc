"""What all figures share: how data are read, colours, and what a caption says of their origin."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float

from gpt2_helix.doctoring import group_size

mpl.use("agg")

FIGURES = Path(__file__).parent
DATA = FIGURES.parent / "data"
SUBJECT = "gpt2"
PUBLISHED = "published/pictures"
"""What others published of the same model."""

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


def strongest(family: str) -> str:
    """The subject if the family was measured on it, and otherwise what others published of it."""
    return SUBJECT if is_recorded(SUBJECT, family) else PUBLISHED


def positions(record: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Name and sha256 of the position matrix, the first tensor that a record names.

    Two times None for a record of no tensors, such as what others published.
    """
    tensors = ((n, sha256) for n, sha256 in record["weights"].items() if n != "config.json")
    return next(tensors, (None, None))


def origin(subject: str, record: Mapping[str, Any]) -> str:
    """What a record was made from, for a caption."""
    name, sha256 = positions(record)
    if sha256 is not None:
        return f"{subject}, {name} sha256 {sha256[:12]}"
    source = record.get("source")
    if source is None:
        return subject
    return f"{source['repository']}, {source['path']} at commit {source['commit'][:8]}"

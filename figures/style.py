"""What all figures share: how data are read, colours and sizes, and where the data come from."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gpt2_helix.doctoring import group_size

mpl.use("agg")

FIGURES = Path(__file__).parent
DATA = FIGURES.parent / "data"
SUBJECT = "gpt2"
PUBLISHED = "published/pictures"
"""What others published of the same model."""

WIDTH, HALF = 6.69, 3.3
"""Inches: the width of the paper's text, 17 cm, and of a figure that stands beside another."""
SMALL = 7
"""Points: the smallest text, at the width at which a figure is printed."""

CURVE, MEANS = "#c8382d", "#2260a8"
"""Red and blue that differ in lightness too, so that grey print and colour-blind eyes tell them
apart."""
HEADS = ("#0072b2", "#d55e00", "#009e73")
"""The main heads, in the order of their layers, in every figure; of Okabe and Ito's colours."""
MARKS = "oDs"
"""A mark for each of the main heads, beside its colour."""
OTHER, GREY, LIMIT = "#cc79a7", "0.45", "#a3201c"
"""A head of layer 0 that is no main head; what is beside the point; the bound of a claim."""
LINES = (("#000000", "-"), ("#0072b2", "--"), ("#d55e00", "-."))
"""Three kinds of line that differ in colour and in dashes."""
DASHES = {
    "intact": "-",
    "average-10": (0, (5, 1.5)),
    "average-20": (0, (4, 1.5, 1, 1.5)),
    "average-100": (0, (1.2, 1.5)),
}
"""What was done to positions, where the colour says which head it is."""
MARKERS = "osD^vX"
"""One for each step of a ``ramp``."""

mpl.rcParams |= {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "figure.dpi": 150,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "gpt2-helix",
}


class Drawn(NamedTuple):
    """A figure, and what it says to those who see it and to those who do not."""

    figure: Figure
    caption: str  # Begins with what was found.
    alt: str  # What is to be seen, with the numbers that matter.


def ramp(steps: int) -> list[Any]:
    """Colours from dark to light, in an order that survives grey print and colour blindness."""
    return list(mpl.colormaps["viridis"](np.linspace(0, 0.8, steps)))


def looks(heads: Iterable[str]) -> list[tuple[str, str, str]]:
    """Main heads, each with its colour and its mark."""
    return list(zip(heads, HEADS, MARKS, strict=False))


def label(doctoring: str) -> str:
    """A doctoring as an axis names it: its group size if it has one."""
    if doctoring == "zeroed":
        return "no positions"
    size = group_size(doctoring)
    return doctoring.removeprefix("average-") if size is None else str(size)


def shown(values: Iterable[float], form: str = ".2f") -> str:
    """Numbers by their ends, as words have them: ``0.15 to 0.25``; in ``%`` if that is asked."""
    scale, form, unit = (100, form[:-1] + "f", " %") if form.endswith("%") else (1, form, "")
    numbers = sorted(values)
    ends = dict.fromkeys(f"{scale * number:{form}}" for number in (numbers[0], numbers[-1]))
    return " to ".join(ends) + unit


def means(found: Mapping[str, Mapping[str, float]]) -> list[float]:
    """The estimates themselves, without their intervals."""
    return [of["mean"] for of in found.values()]


def estimates(
    axes: Axes,
    at: Sequence[float],
    found: Sequence[Mapping[str, float]],
    *,
    lying: bool = False,
    **look: Any,
) -> None:
    """Draw estimates with their intervals, upright or lying: ``at`` is on the other axis."""
    mean, low, high = (np.array([of[end] for of in found]) for end in ("mean", "low", "high"))
    ends = np.stack([mean - low, high - mean])
    look = {"ls": "none", "elinewidth": 0.9, "zorder": 3, **look}
    if lying:
        axes.errorbar(mean, at, xerr=ends, **look)
    else:
        axes.errorbar(at, mean, yerr=ends, **look)


def by_group_size(axes: Axes, sizes: Sequence[int], one_group: int | None = None) -> None:
    """Make the x axis one of group sizes; ``one_group`` is where all positions share a group."""
    axes.set(xscale="log", xlabel="group size (positions)")
    axes.set_xticks(sizes, ["all" if size == one_group else str(size) for size in sizes])
    axes.minorticks_off()


def bounded(axes: Axes, limit: float, says: str, *, left: bool = False) -> None:
    """Draw the bound of a claim across; say above its right end, or below its left, what it is."""
    axes.axhline(limit, color=LIMIT, ls="--", lw=0.9, zorder=1)
    x, away, vertical, horizontal = (
        (0.03, -2, "top", "left") if left else (0.99, 1, "bottom", "right")
    )
    axes.annotate(
        says, (x, limit), (0, away), axes.get_yaxis_transform(), "offset points", color=LIMIT,
        fontsize=SMALL, va=vertical, ha=horizontal,
    )  # fmt: skip


def label_ends(axes: Axes, names: Mapping[str, tuple[float, Any]], gap: float = 0.075) -> None:
    """Name lines where they end, at the right, by height and colour.

    Names stand at least ``gap`` apart, as a share of the height, so that none covers another.
    Limits of the axes must be set before.
    """
    place = (axes.transScale + axes.transLimits).transform
    rows = sorted((float(place((1, y))[1]), name, colour) for name, (y, colour) in names.items())
    heights = [height for height, *_ in rows]
    for _ in range(100):
        for i, (low, high) in enumerate(pairwise(heights)):
            if (short := gap - (high - low)) > 1e-9:
                heights[i], heights[i + 1] = low - short / 2, high + short / 2
        heights[0] = max(heights[0], 0.0)
    for height, (_, name, colour) in zip(heights, rows, strict=True):
        axes.text(
            1.02,
            height,
            name,
            color=colour,
            fontsize=SMALL,
            va="center",
            transform=axes.transAxes,
        )


def bound(claim: str, name: str) -> float:
    """The bound of a claim on what it names, as the verdicts have it; ``KeyError`` if none."""
    path = DATA / f"verdicts/{SUBJECT}.json"
    claims = json.loads(path.read_text(encoding="utf-8"))["claims"]
    tolerance = {c["id"]: c["tolerance"] for c in claims}
    return float(tolerance[claim][name].split()[1])


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
    """What a record was made from."""
    name, sha256 = positions(record)
    if sha256 is not None:
        return f"{subject}, {name} sha256 {sha256[:12]}"
    source = record.get("source")
    if source is None:
        return subject
    return f"{source['repository']}, {source['path']} at commit {source['commit'][:8]}"

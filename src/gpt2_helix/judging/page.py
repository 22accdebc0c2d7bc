"""A report as one HTML page, and what a notebook shows of it."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2

from gpt2_helix.judging import wording
from gpt2_helix.judging.claim import VERDICTS, Number, labelled, shown
from gpt2_helix.judging.files import make_folder, write_text
from gpt2_helix.judging.report import Report
from gpt2_helix.judging.suite import Figure, Words

WIDTH, HEIGHT = 340, 46
"""Of the line that a number is drawn on, in pixels."""


@dataclass(frozen=True)
class NumberLine:
    """Where things stand on the line that shows a number beside its bound, in pixels."""

    number: float
    limit: float  # The number of the bound.
    left: float  # The part of the line that keeps the bound, and its width.
    width: float
    anchor: str  # On which side of the number its text stands.


def write(folder: Path, report: Report, words: Words, figures: Sequence[Figure]) -> Path:
    """Write ``index.html``, which needs nothing beside it; the folder is made if need be."""
    make_folder(folder)
    path = folder / "index.html"
    text = _template().render(report=report, words=words, whole=True, figures=figures)
    write_text(path, text)
    return path


def notebook(report: Report, words: Words) -> str:
    """Make the HTML that a notebook shows: statements, and the claims folded away."""
    return _template().render(report=report, words=words, whole=False)


def number_line(value: Number, bound: str) -> NumberLine:
    """Lay out a number and its bound on a line."""
    comparison, limit = bound.split()[0], float(bound.split()[1])
    # Zero is shown too, unless that would put the two on top of each other.
    apart = abs(value - limit)
    if apart < 0.15 * max(abs(value), abs(limit)):
        room = 1.5 * apart or 1.0
        low, high = min(value, limit) - room, max(value, limit) + room
    else:
        low, high = min(0.0, value, limit), max(value, limit, 0.0)
        room = 0.12 * (high - low) or 1.0
        low, high = low - room, high + room

    def x(number: float) -> float:
        return round(10 + (WIDTH - 20) * (number - low) / (high - low), 1)

    kept = {"=": (limit, limit), ">": (limit, high), "<": (low, limit)}[comparison[0]]
    left, right = x(kept[0]) - (comparison == "=="), x(kept[1]) + (comparison == "==")
    # Towards the middle, where there is room for the text.
    anchor = "start" if x(value) < WIDTH / 2 else "end"
    return NumberLine(x(value), x(limit), left, round(right - left, 1), anchor)


@cache
def _template() -> jinja2.Template:
    here = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    here.filters["together"] = wording.together
    here.globals |= {
        "wording": wording,
        "meanings": VERDICTS,
        "labelled": labelled,
        "told": shown,
        "number_line": number_line,
        "base64": lambda path: base64.b64encode(path.read_bytes()).decode(),
        "line_width": WIDTH,
        "line_height": HEIGHT,
    }
    return here.get_template("page.html.jinja")

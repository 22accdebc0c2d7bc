"""The rows of a survey as a table, and as a figure: against training step, or side by side."""

import csv
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

ABOUT = ("subject", "group", "step", "commit", "W_pos_sha256", "error")
STEP = re.compile(r"[@-](?:[A-Za-z]+[-_])?(\d+)$")
VERDICT = " verdict"
BOUNDED = re.compile(r"(.+) \(([<>=]+ \S+)\)")
FAR = 20
"""An axis is logarithmic where a number is this many times the bound, and above one."""


@dataclass(frozen=True)
class Row:
    """What was found on one subject.

    Attributes
    ----------
    subject
        As the user gave it.
    commit
        Of the hub repository that it comes from.
    W_pos_sha256
        Hexadecimal sha256 of its position matrix as little-endian float32.
    verdicts
        Claim to its verdict on the subject alone.
    numbers
        ``claim: number`` to what was measured, and to the bound that it must keep, if any.
    error
        Why nothing was measured, in one line.
    """

    subject: str
    commit: str | None
    W_pos_sha256: str | None
    verdicts: dict[str, str]
    numbers: dict[str, tuple[float, str | None]]
    error: str | None

    @property
    def step(self) -> int | None:
        """Training step that the revision's name ends with, such as ``@checkpoint-100``."""
        found = STEP.search(self.subject) if "@" in self.subject else None
        return int(found[1]) if found else None

    @property
    def group(self) -> str:
        """The subject without its revision: one line of the figure."""
        return self.subject.partition("@")[0] if self.step is not None else self.subject

    def of_claims(self, claims: Container[str]) -> "Row":
        """The row with what was found for these claims alone."""
        return replace(
            self,
            verdicts={claim: found for claim, found in self.verdicts.items() if claim in claims},
            numbers={
                name: found
                for name, found in self.numbers.items()
                if name.partition(":")[0] in claims
            },
        )


def write_table(rows: Sequence[Row], path: Path) -> None:
    """Write one line a row: what it is, then verdict and numbers of each claim, with bounds."""
    verdicts = list(dict.fromkeys(name for row in rows for name in row.verdicts))
    numbers = dict.fromkeys(
        (name, bound) for row in rows for name, (_, bound) in row.numbers.items()
    )
    columns = {name: f"{name} ({bound})" if bound else name for name, bound in numbers}
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        header = [*ABOUT, *(name + VERDICT for name in verdicts), *columns.values()]
        table = csv.DictWriter(file, header, restval="", lineterminator="\n")
        table.writeheader()
        for row in rows:
            about = {name: getattr(row, name) for name in ABOUT}
            told = {name + VERDICT: verdict for name, verdict in row.verdicts.items()}
            values = {columns[name]: value for name, (value, _) in row.numbers.items()}
            table.writerow({**about, **told, **values})
    partial.replace(path)


def read_table(path: Path) -> list[Row]:
    """Rows that ``write_table`` wrote."""
    rows = []
    with path.open(newline="", encoding="utf-8") as file:
        for found in csv.DictReader(file):
            about = {name: found.pop(name) or None for name in ABOUT}
            cells = {column: cell for column, cell in found.items() if cell}
            verdicts = {c.removesuffix(VERDICT): v for c, v in cells.items() if c.endswith(VERDICT)}
            numbers: dict[str, tuple[float, str | None]] = {}
            for column, cell in cells.items():
                if not column.endswith(VERDICT):
                    bounded = BOUNDED.fullmatch(column)
                    name, bound = bounded.groups() if bounded else (column, None)
                    numbers[name] = float(cell), bound
            named = {name: about[name] for name in ("commit", "W_pos_sha256", "error")}
            rows.append(Row(about["subject"] or "", **named, verdicts=verdicts, numbers=numbers))
    return rows


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write the figure, if there is a number to draw."""
    if figure := figure_of(rows):
        figure.savefig(path, metadata={"Date": None})


def figure_of(rows: Sequence[Row]) -> Figure | None:
    """Draw each claim's first bounded number: against step, a line a group, or side by side.

    Side by side, a dot is filled where the claim is confirmed on the model itself.

    Returns
    -------
    None if no row holds a bounded number.
    """
    panels: dict[str, str] = {}
    for row in rows:
        for name, (_, bound) in row.numbers.items():
            claim = name.partition(":")[0]
            if bound and not any(shown.startswith(f"{claim}:") for shown in panels):
                panels[name] = bound
    if not panels:
        return None
    groups = list(dict.fromkeys(row.group for row in rows))
    by_step = any(row.step is not None for row in rows)
    across = min(3 if by_step else 5, len(panels))
    down = -(-len(panels) // across)
    size = (
        (3.4 * across, 2.6 * down) if by_step else (1.7 * across, (0.2 * len(groups) + 0.9) * down)
    )
    figure = Figure(figsize=size, layout="constrained")
    for at, (name, bound) in enumerate(panels.items()):
        first = figure.axes[at - at % across] if at % across and not by_step else None
        axes = figure.add_subplot(down, across, at + 1, sharey=first)
        axes.tick_params(labelsize=7)
        shown = [row for row in rows if name in row.numbers]
        if by_step:
            _against_step(axes, shown, name, groups)
            axes.axhline(float(bound.split()[1]), color="0.6", lw=0.8, ls="--")
        else:
            _side_by_side(axes, shown, name, groups, float(bound.split()[1]))
            axes.tick_params(labelleft=first is None)
        claim, _, number = name.partition(": ")
        axes.set_title(f"{claim}\n{number}, {bound}", fontsize=7)
    if by_step and len(groups) > 1:
        figure.axes[0].legend(frameon=False, fontsize=6)
    return figure


def _against_step(axes: Axes, rows: Sequence[Row], name: str, groups: Sequence[str]) -> None:
    for group in groups:
        own = sorted((row.step or 0, row.numbers[name][0]) for row in rows if row.group == group)
        if own:
            axes.plot(*zip(*own, strict=True), "o-", ms=3, lw=1, label=group)
    axes.set_xscale("symlog", linthresh=100)
    axes.set_xlabel("training step", fontsize=7)


def _side_by_side(
    axes: Axes, rows: Sequence[Row], name: str, groups: Sequence[str], bound: float
) -> None:
    claim = name.partition(":")[0]
    values = [row.numbers[name][0] for row in rows]
    for row, value in zip(rows, values, strict=True):
        filled = "full" if row.verdicts[claim] == "confirmed" else "none"
        at = groups.index(row.group)
        axes.plot(value, at, "o", ms=4, c="C0", fillstyle=filled, clip_on=False)
    axes.axvline(bound, color="0.6", lw=0.8, ls="--")
    if max(map(abs, values)) > FAR * max(abs(bound), 1):
        axes.set_xscale("log" if min(values) > 0 else "symlog")
        axes.locator_params("x", numticks=4)
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks(range(len(groups)), groups)
    axes.set_ylim(len(groups) - 0.5, -0.5)

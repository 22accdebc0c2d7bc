"""The rows of a survey as a figure: against training step, or side by side."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from gpt2_helix.survey_rows import Row

WIDEST = 30
"""Letters of a line above the narrower panels."""
LONGEST = 32
"""Letters of a subject's name."""
FAR = 20
"""An axis is logarithmic where a number is this many times the bound, and above one."""


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write the figure, if there is a number to draw."""
    if figure := figure_of(rows):
        figure.savefig(path, metadata={"Date": None})


def figure_of(rows: Sequence[Row]) -> Figure | None:
    """Draw each claim's first bounded number, if there is any: against step, or side by side.

    Against step there is a line for each group. Side by side, a dot is filled where the claim holds
    of the model itself.
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
    named = max(len(_shown(group)) for group in groups)
    size = (
        (3.4 * across, 2.6 * down)
        if by_step
        else (1.7 * across + 0.06 * named, (0.2 * len(groups) + 0.9) * down)
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
        wide = WIDEST * (2 if by_step else 1)
        told = [*textwrap.wrap(claim, wide), *textwrap.wrap(f"{number}, {bound}", wide)]
        axes.set_title("\n".join(told), fontsize=7)
    if by_step and len(groups) > 1:
        figure.axes[0].legend(frameon=False, fontsize=6)
    return figure


def _shown(group: str) -> str:
    """A name that leaves room for the axes: of a long one, such as a path, the end."""
    return group if len(group) <= LONGEST else f"\N{HORIZONTAL ELLIPSIS}{group[-LONGEST:]}"


def _against_step(axes: Axes, rows: Sequence[Row], name: str, groups: Sequence[str]) -> None:
    for group in groups:
        own = sorted((row.step or 0, row.numbers[name][0]) for row in rows if row.group == group)
        if own:
            axes.plot(*zip(*own, strict=True), "o-", ms=3, lw=1, label=_shown(group))
    axes.set_xscale("symlog", linthresh=100)
    axes.set_xlabel("training step", fontsize=7)


def _side_by_side(
    axes: Axes, rows: Sequence[Row], name: str, groups: Sequence[str], bound: float
) -> None:
    claim = name.partition(":")[0]
    values = [row.numbers[name][0] for row in rows]
    for row, value in zip(rows, values, strict=True):
        filled = "full" if row.verdicts[claim] in {"confirmed", "described"} else "none"
        at = groups.index(row.group)
        axes.plot(value, at, "o", ms=4, c="C0", fillstyle=filled, clip_on=False)
    axes.axvline(bound, color="0.6", lw=0.8, ls="--")
    if max(map(abs, values)) > FAR * max(abs(bound), 1):
        axes.set_xscale("log" if min(values) > 0 else "symlog")
        axes.locator_params("x", numticks=4)
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks(range(len(groups)), map(_shown, groups))
    axes.set_ylim(len(groups) - 0.5, -0.5)

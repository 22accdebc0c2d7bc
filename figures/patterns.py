"""Attention patterns of the main previous-token heads on text, intact and doctored."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

import style

NEEDS = ("patterns",)
CLAIMS = ("heads.main-previous-token", "heads.survive-averaging")
SUBJECTS = (style.strongest("patterns"),)


def draw(subject: str) -> tuple[Figure, str]:
    """Draw a square for each head, each row under another doctoring."""
    record = style.read_record(subject, "patterns")
    patterns = record["measured"]["of_main_heads"]["by_doctoring"]
    heads = list(patterns["intact"])
    first = 151 if "source" in record else 0
    figure, grid = plt.subplots(
        len(patterns),
        len(heads),
        figsize=(2.4 * len(heads), 2.3 * len(patterns)),
        layout="constrained",
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for (name, by_head), all_axes in zip(patterns.items(), grid, strict=True):
        for head, axes in zip(heads, all_axes, strict=True):
            drawn = show(axes, by_head[head])
            axes.set_title(f"{head}, {name}")
            ticks = range(0, len(by_head[head]), 10)
            axes.set_xticks(ticks, [str(first + i) for i in ticks])
            axes.set_yticks(ticks, [str(first + i) for i in ticks])
        all_axes[0].set_ylabel("from position")
    for axes in grid[-1]:
        axes.set_xlabel("to position")
    figure.colorbar(drawn, ax=grid, label="attention", shrink=0.6)
    n = len(next(iter(patterns["intact"].values())))
    where = f"the first {n} tokens of the text."
    if "source" in record:
        where = f"positions {first} to {first + n - 1} of the author's text; groups begin at ticks."
    return figure, (
        f"Attention patterns on {where}\nA head that attends to the previous token shows a line "
        "just below the diagonal."
    )


def show(axes: Axes, pattern: list[list[float]]) -> AxesImage:
    """Show one pattern, which is recorded up to the diagonal; nothing is beyond it."""
    seen = np.full((len(pattern), len(pattern)), np.nan)
    for i, row in enumerate(pattern):
        seen[i, : i + 1] = row
    return axes.imshow(seen, vmin=0, vmax=1, cmap="viridis", origin="upper")

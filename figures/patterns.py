"""Attention patterns of the main previous-token heads on text, intact and doctored."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

import style

NEEDS = ("patterns",)
CLAIMS = ("heads.main-previous-token", "heads.survive-averaging")


def draw(subject: str) -> tuple[Figure, str]:
    """Draw a square for each head, each row under another doctoring."""
    record = style.read_record(subject, "patterns")
    patterns, chosen = record["measured"]["of_main_heads"]["by_doctoring"], record["parameters"]
    heads = list(patterns["intact"])
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
        all_axes[0].set_ylabel("from position")
    for axes in grid[-1]:
        axes.set_xlabel("to position")
    figure.colorbar(drawn, ax=grid, label="attention", shrink=0.6)
    return figure, (
        f"Attention patterns on the first {chosen['positions']} tokens of the text. A head that "
        "attends to the previous token\nshows a line just below the diagonal."
    )


def show(axes: Axes, pattern: list[list[float]]) -> AxesImage:
    """Show one pattern, which is recorded up to the diagonal; nothing is beyond it."""
    seen = np.full((len(pattern), len(pattern)), np.nan)
    for i, row in enumerate(pattern):
        seen[i, : i + 1] = row
    return axes.imshow(seen, vmin=0, vmax=1, cmap="viridis", origin="upper")

"""Attention patterns of the main previous-token heads on text, intact and doctored."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

import style


def draw(subject: str) -> tuple[Figure, str]:
    """Draw a square for each head, intact above and doctored below."""
    record = style.read_record(subject, "patterns")
    patterns, chosen = record["measured"]["of_main_heads"], record["parameters"]
    heads = list(patterns["intact"])
    figure, grid = plt.subplots(
        2,
        len(heads),
        figsize=(2.4 * len(heads), 4.6),
        layout="constrained",
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    rows = {"intact": "intact", "doctored": f"groups of {chosen['group_size']}"}
    for (name, title), all_axes in zip(rows.items(), grid, strict=True):
        for head, axes in zip(heads, all_axes, strict=True):
            drawn = show(axes, patterns[name][head])
            axes.set_title(f"{head}, {title}")
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


if __name__ == "__main__":
    style.run(
        __file__,
        draw,
        needs=["patterns"],
        claims=["heads.main-previous-token", "heads.survive-averaging"],
    )

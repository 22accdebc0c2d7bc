"""Attention patterns of the main previous-token heads on text, intact and doctored."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

import style

NEEDS = ("patterns",)
CLAIMS = ("heads.main-previous-token", "heads.survive-averaging")
SUBJECTS = (style.strongest("patterns"),)


def draw(subject: str) -> style.Drawn:
    """Draw a square for each head, each row under another doctoring."""
    record = style.read_record(subject, "patterns")
    patterns = record["measured"]["of_main_heads"]["by_doctoring"]
    heads = style.looks(patterns["intact"])
    first = 151 if "source" in record else 0
    figure, grid = plt.subplots(
        len(patterns), len(heads), figsize=(2.2 * len(heads), 2.0 * len(patterns)),
        layout="constrained", sharex=True, sharey=True, squeeze=False,
    )  # fmt: skip
    for (name, by_head), all_axes in zip(patterns.items(), grid, strict=True):
        for (head, colour, _), axes in zip(heads, all_axes, strict=True):
            drawn = show(axes, by_head[head])
            size = style.label(name)
            said = "intact" if name == "intact" else f"groups of {size}" if size.isdigit() else size
            axes.set_title(f"{head}, {said}", color=colour)
            ticks = range(0, len(by_head[head]), 10)
            axes.set_xticks(ticks, [str(first + i) for i in ticks])
            axes.set_yticks(ticks, [str(first + i) for i in ticks])
        all_axes[0].set_ylabel("from position")
    for axes in grid[-1]:
        axes.set_xlabel("to position")
    figure.colorbar(drawn, ax=grid, label="attention", shrink=0.6)
    n = len(next(iter(patterns["intact"].values())))
    where = f"the first {n} tokens of the text"
    if "source" in record:
        where = f"positions {first} to {first + n - 1} of the author's text; groups begin at ticks"
    just_behind = {
        name: [sum(row[-2] for row in by_head[head][1:]) / (n - 1) for head, *_ in heads]
        for name, by_head in patterns.items()
    }
    means = "; ".join(
        f"{name}: {', '.join(f'{m:.2f}' for m in of)}" for name, of in just_behind.items()
    )
    return style.Drawn(
        figure,
        "In the whole model the main heads attend to the token before, a line just below the "
        f"diagonal, and averaging in groups of ten leaves it where it is. Shown: {where}.",
        f"A square for each head, rows from one position to others before it, under each "
        f"doctoring: a line just below the diagonal in all of them. Mean attention on it, "
        f"{', '.join(head for head, *_ in heads)}: {means}.",
    )


def show(axes: Axes, pattern: list[list[float]]) -> AxesImage:
    """Show one pattern, which is recorded up to the diagonal; nothing is beyond it."""
    seen = np.full((len(pattern), len(pattern)), np.nan)
    for i, row in enumerate(pattern):
        seen[i, : i + 1] = row
    return axes.imshow(seen, vmin=0, vmax=1, cmap="viridis", origin="upper")

"""The three leading components, each against position."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

import style

NEEDS = ("helix",)
CLAIMS = ("helix.circle", "helix.axis")


def draw(subject: str) -> tuple[Figure, str]:
    """Draw rows 1 .. n-2, and the two ends as points apart."""
    record = style.read_record(subject, "helix")["measured"]["shape"]
    curve = style.read_curve(subject)
    position = np.arange(len(curve))
    up = record["axis"]
    figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    axes.axhline(0, color="0.85", lw=0.8, zorder=0)
    for j, (colour, dashes) in enumerate(style.LINES):
        what = "climbs" if j == up else "turns"
        axes.plot(
            position[1:-1],
            curve[1:-1, j],
            color=colour,
            ls=dashes,
            lw=1.1,
            label=f"component {j + 1} ({what})",
        )
        axes.plot(position[[0, -1]], curve[[0, -1], j], "o", color=colour, ms=4, mfc="white")
    axes.set(xlabel="position", ylabel="coordinate", xlim=(-12, len(curve) + 11))
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure, (
        f"Circles: rows 0 and {len(curve) - 1}, which had no say in where the components lie. "
        f"The two\ncomponents that turn are {record['lag']:.3f} of a period apart and their "
        f"variances are as {record['variance_ratio']:.2f} to 1."
    )

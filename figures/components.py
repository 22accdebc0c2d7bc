"""The three leading components, each against position."""

import matplotlib.pyplot as plt
import numpy as np

import style

NEEDS = ("helix",)
CLAIMS = ("helix.circle", "helix.axis")


def draw(subject: str) -> style.Drawn:
    """Draw rows 1 .. n-2, and the two ends as points apart."""
    record = style.read_record(subject, "helix")["measured"]["shape"]
    curve = style.read_curve(subject)
    position = np.arange(len(curve))
    up = record["axis"]
    figure, axes = plt.subplots(figsize=(4.6, 2.5), layout="constrained")
    axes.axhline(0, color="0.85", lw=0.8, zorder=0)
    ends = {}
    for j, (colour, dashes) in enumerate(style.LINES):
        what = "climbs" if j == up else "turns"
        axes.plot(
            position[1:-1],
            curve[1:-1, j],
            color=colour,
            ls=dashes,
            lw=1.1,
        )
        ends[f"component {j + 1} ({what})"] = (curve[-40, j], colour)
        axes.plot(position[[0, -1]], curve[[0, -1], j], "o", color=colour, ms=4, mfc="white")
    axes.set(xlabel="position", ylabel="coordinate", xlim=(-12, len(curve) + 11))
    style.label_ends(axes, ends)
    return style.Drawn(
        figure,
        f"Two components turn, {record['lag']:.2f} of a period apart and of like variance "
        f"({record['variance_ratio']:.2f} to 1), and one climbs. Circles: rows 0 and "
        f"{len(curve) - 1}, which had no say in where the components lie.",
        f"Three components against position: two waves of {record['turns']:.1f} periods, a quarter "
        "of a period apart, and one line that climbs almost steadily.",
    )

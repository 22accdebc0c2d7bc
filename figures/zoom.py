"""A stretch of the curve and the means of its groups of ten."""

import matplotlib.pyplot as plt
import numpy as np

import style
from gpt2_helix.doctoring import average_in_groups

NEEDS = ("helix", "averaging")
CLAIMS = ("averaging.stays-on-the-helix",)
GROUP_SIZE = 10
STRETCH = slice(401, 601)


def draw(subject: str) -> style.Drawn:
    """Draw 200 positions in the turning pair, and against position in the one that climbs."""
    record = style.read_record(subject, "helix")["measured"]["shape"]
    distance = style.read_record(subject, "averaging")["measured"]["distance_from_curve"]
    curve = style.read_curve(subject)
    # A projection is linear, so the mean of projected rows is the projection of their mean.
    means = average_in_groups(curve, GROUP_SIZE)[STRETCH][::GROUP_SIZE]
    intact = curve[STRETCH]
    position = np.arange(len(curve))[STRETCH]
    middle = position[::GROUP_SIZE] + (GROUP_SIZE - 1) / 2
    up = record["axis"]
    across = [j for j in range(3) if j != up]
    figure, (plane, climb) = plt.subplots(1, 2, figsize=(4.6, 2.3), layout="constrained")
    for axes, x, y, mean_x, mean_y in (
        (
            plane,
            intact[:, across[0]],
            intact[:, across[1]],
            means[:, across[0]],
            means[:, across[1]],
        ),
        (climb, position, intact[:, up], middle, means[:, up]),
    ):
        axes.plot(x, y, color=style.CURVE, lw=1.2, label="intact positions")
        axes.plot(
            mean_x, mean_y, "o", color=style.MEANS, ms=4, label=f"means of {GROUP_SIZE} positions"
        )
    plane.set(
        xlabel=f"component {across[0] + 1}", ylabel=f"component {across[1] + 1}", aspect="equal"
    )
    climb.legend(loc="lower right", borderpad=0)
    climb.set(xlabel="position", ylabel=f"component {up + 1}")
    off = distance["mean_distance"][f"average-{GROUP_SIZE}"]
    far = distance["mean_distance"]["average-100"]
    return style.Drawn(
        figure,
        f"Means of {GROUP_SIZE} neighbours stay on the helix: over the whole curve they lie "
        f"{100 * off:.2f} % of its radius off it, means of 100 {100 * far:.0f} %. Positions "
        f"{position[0]} to {position[-1]} are shown.",
        f"A stretch of the curve in two panels, with a dot for the mean of every {GROUP_SIZE} "
        f"positions; the dots lie on the line, {100 * off:.2f} % of the radius off it.",
    )

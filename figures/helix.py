"""The positional embeddings in their three leading principal components, coloured by position."""

from typing import cast

import matplotlib.pyplot as plt
import numpy as np
from mpl_toolkits.mplot3d import Axes3D

import style

NEEDS = ("helix",)
CLAIMS = ("helix.three-components", "helix.circle", "helix.axis", "helix.neighbours")
VIEW = {"elev": 18, "azim": -58}


def draw(subject: str) -> style.Drawn:
    """Draw rows 1 .. n-2; the axis that climbs stands upright."""
    record = style.read_record(subject, "helix")["measured"]["shape"]
    curve = style.read_curve(subject)[1:-1]
    up = record["axis"]
    across = [j for j in range(3) if j != up]
    figure = plt.figure(figsize=(3.6, 3.2))
    axes = cast(Axes3D, figure.add_axes((0.0, 0.02, 0.8, 0.96), projection="3d"))
    axes.view_init(**VIEW)
    axes.set_box_aspect((1, 1, 0.9), zoom=0.95)
    points = axes.scatter(
        curve[:, across[0]],
        curve[:, across[1]],
        curve[:, up],
        c=np.arange(1, len(curve) + 1),
        cmap="viridis",
        s=3,
        depthshade=False,
        linewidths=0,
    )
    axes.set_xlabel(f"component {across[0] + 1}", labelpad=-4)
    axes.set_ylabel(f"component {across[1] + 1}", labelpad=-4)
    axes.set_zlabel(f"component {up + 1}", labelpad=-4)
    bar = figure.add_axes((0.93, 0.25, 0.025, 0.5))
    figure.colorbar(points, cax=bar, label="position")
    axes.tick_params(pad=-2)
    held = f"{100 * record['explained']:.0f} %"
    return style.Drawn(
        figure,
        f"The position vectors form a helix: two components make {record['turns']:.1f} turns while "
        f"a third climbs (rank correlation {record['climb']:.2f} with position). The three hold "
        f"{held} of the variance of rows 1 to {len(curve)}.",
        f"A curve in three principal components, coloured by position from 1 to {len(curve)}: it "
        f"winds about one axis {record['turns']:.1f} times and climbs along it.",
    )

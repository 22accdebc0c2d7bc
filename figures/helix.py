"""The positional embeddings in their three leading principal components, coloured by position."""

from typing import cast

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D

import style

NEEDS = ("helix",)
CLAIMS = ("helix.three-components", "helix.circle", "helix.axis", "helix.neighbours")
VIEW = {"elev": 18, "azim": -58}


def draw(subject: str) -> tuple[Figure, str]:
    """Draw rows 1 .. n-2; the axis that climbs stands upright."""
    record = style.read_record(subject, "helix")["measured"]["shape"]
    curve = style.read_curve(subject)[1:-1]
    up = record["axis"]
    across = [j for j in range(3) if j != up]
    figure = plt.figure(figsize=(5.2, 4.6))
    axes = cast(Axes3D, figure.add_axes((0.0, 0.05, 0.86, 0.95), projection="3d"))
    axes.view_init(**VIEW)
    axes.set_box_aspect((1, 1, 0.9), zoom=0.95)
    points = axes.scatter(
        curve[:, across[0]],
        curve[:, across[1]],
        curve[:, up],
        c=np.arange(1, len(curve) + 1),
        cmap="viridis",
        s=5,
        depthshade=False,
        linewidths=0,
    )
    axes.set_xlabel(f"component {across[0] + 1}")
    axes.set_ylabel(f"component {across[1] + 1}")
    axes.set_zlabel(f"component {up + 1}")
    bar = figure.add_axes((0.93, 0.25, 0.025, 0.5))
    figure.colorbar(points, cax=bar, label="position")
    return figure, (
        f"Rows 1 to {len(curve)} of W_pos. Three components hold {record['explained']:.1%} of "
        f"their variance;\ntwo of them make {record['turns']:.2f} turns while the third climbs "
        f"(Spearman {record['climb']:.3f})."
    )

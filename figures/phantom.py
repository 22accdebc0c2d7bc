"""The curve beside what PCA makes of smooth random curves, and the statistic of all of them."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

import style
from gpt2_helix.measure.helix import split

NEEDS = ("helix",)
CLAIMS = ("helix.not-phantom",)


def draw(subject: str) -> style.Drawn:
    """Draw W_pos and the surrogate of each null that comes closest to it."""
    record = style.read_record(subject, "helix")["measured"]["phantom"]
    statistics = style.read_table(subject, "surrogates.csv")
    walks, phases = statistics["random_walk"], statistics["phase_randomised"]
    curves = {
        "positions": (style.read_curve(subject)[1:-1], record["steady_climb"]),
        f"closest of {len(walks)}\nrandom walks": (
            style.read_curve(subject, "surrogate_curves.csv", "walk_"),
            walks.max(),
        ),
        f"closest of {len(phases)}\nphase-randomised": (
            style.read_curve(subject, "surrogate_curves.csv", "phase_"),
            phases.max(),
        ),
    }
    figure, axes = plt.subplot_mosaic(
        [[f"pair {n}" for n in curves], [f"axis {n}" for n in curves], ["all"] * 3],
        figsize=(4.6, 4.4),
        height_ratios=[2.3, 1.3, 1.1],
        layout="constrained",
    )
    for name, (curve, statistic) in curves.items():
        plane = axes[f"pair {name}"]
        _draw_curve(curve, plane, axes[f"axis {name}"])
        plane.set_title(f"{name}\nstatistic {statistic:.3f}")
    first = next(iter(curves))
    axes[f"pair {first}"].set_ylabel("the two that turn")
    axes[f"axis {first}"].set_ylabel("the one that climbs")
    strip = axes["all"]
    for height, (values, marker, colour) in enumerate(
        ((walks, "|", style.LINES[1][0]), (phases, "|", style.LINES[2][0]))
    ):
        strip.plot(values, np.full(len(values), -height), marker, color=colour, ms=11, mew=0.8)
    strip.axvline(record["steady_climb"], color="black", lw=1.6)
    strip.annotate(
        "positions",
        (record["steady_climb"], 0.7),
        xytext=(-3, 0),
        ha="right",
        textcoords="offset points",
        fontsize=style.SMALL,
    )
    strip.set(
        xlim=(-0.02, 1.06),
        ylim=(-1.6, 1.0),
        xlabel="statistic: how steadily the pair turns times how steadily the axis climbs",
    )
    strip.set_yticks([0, -1], ["random walks", "phase-randomised"])
    beaten = f"{walks.max():.2f} of {len(walks)} random walks, {phases.max():.2f} of {len(phases)}"
    return style.Drawn(
        figure,
        "The helix is not what principal components make of any smooth random curve: how steadily "
        f"it turns and climbs is {record['steady_climb']:.2f}; the best is {beaten} copies with "
        f"random phases (p = {record['p_value']['mean']:.2g}). Colour is position.",
        f"Above, the positions beside the random walk and the phase-randomised copy that come "
        "closest: only the positions make a round spiral with a straight axis. Below, the "
        f"statistic of all: positions {record['steady_climb']:.2f}, the best {beaten} "
        "phase-randomised copies.",
    )


def _draw_curve(curve: NDArray[np.float64], plane: Axes, climb: Axes) -> None:
    axis, pair, _ = split(curve)
    pair = pair - pair.mean(axis=0)
    position = np.arange(1, len(curve) + 1)
    points: dict[str, Any] = {
        "c": position,
        "cmap": "viridis",
        "s": 3,
        "linewidths": 0,
        "rasterized": True,
    }
    plane.scatter(pair[:, 0], pair[:, 1], **points)
    plane.plot(0, 0, "+", color="black", ms=6)
    plane.set_box_aspect(1)
    plane.set(xticks=[], yticks=[])
    climb.scatter(position, curve[:, axis], **points)
    climb.set(xlabel="position", yticks=[])

"""The whole argument in one row: positions, attention by offset, what is kept, what is rebuilt."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

import attention_only
import profiles
import style
from gpt2_helix.doctoring import average_in_groups

NEEDS = ("helix", "attention_only", "kernels", "sensitivity", "cause", "rebuilt")
CLAIMS = (
    "helix.circle",
    "averaging.stays-on-the-helix",
    "attention-only.near",
    "attention-only.survives-averaging",
    "attention-only.breaks-by-100",
    "cause.causal-mask",
    "cause.one-head",
    "cause.rebuilt",
)
TURN, TILT = -0.9, 0.35
"""How the helix is turned about its axis, and tilted to the eye."""
LOCAL = "L0H4"
"""The head of layer 0 that is shown."""
NAMED = ("intact", "groups of 10", "groups of 100")
BELOW: dict[str, Any] = {
    "loc": "upper center",
    "bbox_to_anchor": (0.5, -0.12),
    "borderpad": 0,
    "labelspacing": 0.2,
    "handlelength": 1.6,
}
REBUILT = ("average-5", "average-10", "average-20", "average-50", "average-100")


def draw(subject: str) -> style.Drawn:
    """Draw four panels: the helix, two heads by offset, what is kept, what is rebuilt."""
    figure, panels = plt.subplot_mosaic(
        "abcd;aecd",
        figsize=(6.66, 2.7),
        width_ratios=[1.1, 1.1, 1.3, 1.15],
        layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.02, wspace=0.02),
    )
    _helix(panels["a"], subject)
    published = _near(panels["b"], subject)
    _in_layer_0(panels["e"], subject)
    _kept(panels["c"], subject)
    _rebuilt(panels["d"], subject)
    titles = {
        "a": "positions: a helix",
        "b": "attention: near",
        "c": "kept to 20, lost by 100",
        "d": "rebuilt",
    }
    for letter, says in titles.items():
        panels[letter].set_title(f"$\\bf{{{letter}}}$  {says}", loc="left")
    return style.Drawn(figure, *_words(subject, published))


def _helix(axes: Axes, subject: str) -> None:
    curve = style.read_curve(subject)
    up = style.read_record(subject, "helix")["measured"]["shape"]["axis"]
    axes.plot(*_seen(curve[1:-1], up), color=style.CURVE, lw=0.7, zorder=1)
    for size, colour, mark, ms in ((10, style.MEANS, "o", 2), (100, "black", "D", 3.4)):
        # A projection is linear, so the mean of projected rows is the projection of their mean.
        means = average_in_groups(curve[:-1], size)[1::size]
        axes.plot(*_seen(means, up), mark, color=colour, ms=ms, mew=0, label=f"means of {size}")
    axes.set(xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")
    axes.spines[:].set_visible(False)
    axes.set_xlabel(f"components {', '.join(str(j + 1) for j in range(3) if j != up)}")
    axes.set_ylabel(f"component {up + 1}", labelpad=1)
    axes.legend(**BELOW)


def _seen(rows: Float[np.ndarray, "row 3"], up: int) -> Float[np.ndarray, "2 row"]:
    """Rows as the eye sees them: turned about the axis that climbs, and tilted."""
    x, y = (rows[:, j] for j in range(3) if j != up)
    side, depth = x * np.cos(TURN) - y * np.sin(TURN), x * np.sin(TURN) + y * np.cos(TURN)
    return np.stack([side, rows[:, up] * np.cos(TILT) - depth * np.sin(TILT)])


def _near(axes: Axes, subject: str) -> float:
    """The last main head by offset; what the whole model gives -1, as published."""
    found = style.read_record(subject, "attention_only")["measured"]
    given = {"intact": found["main_heads"]["profile"], **found["averaged"]["profile"]}
    head, colour, _ = style.looks(given["intact"])[-1]
    for name in ("intact", "average-10", "average-100"):
        profiles.line(axes, name, given[name][head][:11], colour)
    pictures = style.read_record(profiles.PICTURES, "heads")["measured"]["profiles"]["by_offset"]
    published: list[float] = pictures["intact"][head][:11]
    axes.plot([-n for n in range(11)], published, color=style.GREY, lw=0.9)
    said: dict[str, Any] = {"fontsize": style.SMALL, "va": "top"}
    axes.text(-10, 1.02, "whole model,\nas published", color=style.GREY, **said)
    axes.text(-10, 0.52, f"{head},\nattention alone", color=colour, **said)
    axes.set(ylim=(0, 1.05), yticks=[0, 0.5, 1])
    axes.set_xticks([-10, -5, 0], [])
    axes.set_ylabel("attention", labelpad=1)
    return published[1]


def _in_layer_0(axes: Axes, subject: str) -> None:
    kernel = style.read_record(subject, "kernels")["measured"]["local_heads"]["kernel"][LOCAL]
    for name in ("intact", "average-10", "average-100"):
        profiles.line(axes, name, kernel[name][:11], style.OTHER)
    said = f"{LOCAL}, fed\npositions alone"
    axes.text(-10, 0.41, said, color=style.OTHER, fontsize=style.SMALL, va="top")
    axes.set(
        ylim=(0, 0.42), yticks=[0, 0.2, 0.4], xlabel="offset from the query", xticks=[-10, -5, 0]
    )
    axes.set_ylabel("attention", labelpad=1)
    named = [line for line in profiles.key() if line.get_label() in NAMED]
    axes.legend(handles=named, **{**BELOW, "bbox_to_anchor": (0.5, -0.45)})


def _kept(axes: Axes, subject: str) -> None:
    ends = attention_only.lines(axes, subject, left=True)
    beside = style.read_record(subject, "cause")["measured"]["beside"]["kept"]
    first, key = _leading(subject), []
    for name, mark, says in (
        (f"average-20, {first} held", "v", f"{first} held"),
        ("average-20, no mask in layer 0", "X", "no causal mask"),
    ):
        look: dict[str, Any] = {"marker": mark, "mfc": "white", "ms": 4.5}
        for place, (head, colour, _) in enumerate(style.looks(beside[name])):
            at = [20 * 1.12 ** (place - 1)]
            style.estimates(axes, at, [beside[name][head]], color=colour, **look)
        key.append(Line2D([], [], color="black", ls="none", label=says, **look))
    axes.legend(handles=key, **{**BELOW, "bbox_to_anchor": (0.5, -0.2)})
    axes.set_ylabel("attention at -1 kept", labelpad=1)
    axes.set_xticks([1, 10, 100], ["1", "10", "100"])
    style.label_ends(axes, ends, gap=0.06)


def _rebuilt(axes: Axes, subject: str) -> None:
    share = style.read_record(subject, "rebuilt")["measured"]["by_layer"]["share"]
    ends = {}
    for name, colour, mark in zip(REBUILT, style.ramp(len(REBUILT)), style.MARKERS, strict=False):
        found = list(share[name].values())
        layers = range(1, len(found) + 1)
        axes.plot([0, *layers], [0, *(of["mean"] for of in found)], color=colour)
        style.estimates(axes, layers, found, color=colour, marker=mark)
        ends[style.label(name)] = (found[-1]["mean"], colour)
    axes.set(xlabel="entering layer", ylim=(-0.03, 1.12), xticks=[0, *layers], xlim=(-0.2, 4.2))
    axes.set_ylabel("share rebuilt", labelpad=1)
    style.label_ends(axes, ends)
    axes.text(1.02, 1.0, "groups of", transform=axes.transAxes, fontsize=style.SMALL)


def _leading(subject: str) -> str:
    """The head of layer 0 whose holding costs the main heads most."""
    return next(iter(style.read_record(subject, "cause")["measured"]["costs"]["cost"]))


def _words(subject: str, published: float) -> tuple[str, str]:
    """Caption and alt text."""

    def measured(family: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = style.read_record(subject, family)["measured"]
        return found

    explained, turns = (measured("helix")["shape"][name] for name in ("explained", "turns"))
    kept, beside = measured("attention_only")["averaged"]["kept"], measured("cause")["beside"]
    at_20, at_100 = (style.shown(style.means(kept[f"average-{n}"])) for n in (20, 100))
    share = measured("rebuilt")["by_layer"]["share"]
    rebuilt, lost = (style.shown(style.means(share[f"average-{n}"])) for n in (20, 100))
    first = _leading(subject)
    held, unmasked = (
        style.shown(style.means(beside["kept"][f"average-20, {edit}"]))
        for edit in (f"{first} held", "no mask in layer 0")
    )
    head, given = list(measured("attention_only")["main_heads"]["profile"].items())[-1]
    near = ", ".join(f"{of['mean']:.2f}" for of in given[:3])
    return (
        "Layer 0 rebuilds what averaging takes from the positions, and the main heads keep looking "
        f"just behind. a, the positions are a helix ({100 * explained:.0f} % of the variance, "
        f"{turns:.1f} turns); means of 10 stay on it, means of 100 do not. b, through attention "
        f"alone {head} looks near, not at the token before, where the whole model gives "
        f"{published:.2f}; below, {LOCAL} of layer 0, fed positions alone. c, in groups of 20 the "
        f"heads keep {at_20}, in groups of 100 {at_100}; open marks: {first} of layer 0 held "
        f"({held}), or no causal mask in layer 0 "
        f"({unmasked}); short lines: no positions. d, of what told positions of a group apart, "
        f"{rebuilt} is back from layer 1 on in groups of 20, {lost} in groups of 100. "
        "Attention alone and random token vectors in b to d; bars are 95 % intervals.",
        f"Four panels. a: a helix of {turns:.1f} turns with means of 10 on it and means of 100 off "
        f"it. b: attention of {head} by offset, {near} at 0, -1, -2 through attention alone, "
        f"{published:.2f} at -1 in the whole model; groups of 10 change little. c: attention "
        f"at -1 kept against group size, {at_20} at 20 and {at_100} at 100, but {held} with "
        f"{first} held and {unmasked} without the causal mask. d: share rebuilt by layer, from 0 "
        f"entering layer 0 to {rebuilt} in groups of 20.",
    )

"""How much of what averaging took from the positions is there again entering each layer."""

from collections.abc import Mapping
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

import style

NEEDS = ("rebuilt", "cause")
CLAIMS = ("cause.rebuilt", "cause.one-head")
SIZES = ("average-5", "average-10", "average-20", "average-50", "average-100", "average-all")
ALL = 300
"""Where one group of all stands on the axis."""


def draw(subject: str) -> style.Drawn:
    """Draw share and likeness against group size, one line a layer, and what is held at 20."""
    found = style.read_record(subject, "rebuilt")["measured"]["by_layer"]
    first = next(iter(style.read_record(subject, "cause")["measured"]["costs"]["cost"]))
    figure, (share, likeness) = plt.subplots(1, 2, figsize=(6.6, 2.9), layout="constrained")
    edits = {f"average-20, {first} held": "v", "average-20, no mask in layer 0": "x"}
    for axes, name in ((share, "share"), (likeness, "likeness")):
        ends = _lines(axes, found[name])
        for edit, mark in edits.items():
            # Where next to nothing is there, there is nothing to be like.
            if name == "share" or mark == "v":
                _edit(axes, found[name][edit], mark, edit.removeprefix("average-20, "))
        style.by_group_size(axes, [5, 10, 20, 50, 100, ALL], ALL)
        axes.set(xlim=(4, ALL * 1.2 if name == "share" else 140), ylim=(-0.05, 1.12))
        style.label_ends(axes, ends)
        limit = style.bound("cause.rebuilt", f"{name}_20")
        style.bounded(axes, limit, f"bound: {limit:g}", left=name == "likeness")
    share.set_ylabel("share rebuilt (slope on intact)")
    likeness.set_ylabel("likeness (correlation with intact)")
    return style.Drawn(figure, *_words(found, first))


def _lines(axes: Axes, found: Mapping[str, Any]) -> dict[str, tuple[float, Any]]:
    """Draw one line a layer; return where each ends, and its colour."""
    layers = list(found["average-20"])
    ends = {}
    for i, (layer, colour) in enumerate(zip(layers, style.ramp(len(layers)), strict=True)):
        sizes = [
            s for s in SIZES if layer in found.get(s, {}) and (s != "average-all" or _all(found))
        ]
        # Apart by a little, so that intervals can be told from each other.
        at = [
            (ALL if s == "average-all" else int(style.label(s))) * 1.03 ** (i - 1.5) for s in sizes
        ]
        given = [found[s][layer] for s in sizes]
        style.estimates(axes, at, given, color=colour, marker=style.MARKERS[i])
        axes.plot(at, [of["mean"] for of in given], color=colour)
        ends[f"entering layer {layer}"] = (given[-1]["mean"], colour)
    return ends


def _all(found: Mapping[str, Any]) -> bool:
    """Whether one group of all is to be shown: a likeness of next to nothing means nothing."""
    return (
        "average-all" in found
        and len(found["average-all"]) == len(found["average-20"])
        and (max(of["high"] - of["low"] for of in found["average-all"].values()) < 0.2)
    )


def _edit(axes: Axes, found: Mapping[str, Any], mark: str, said: str) -> None:
    for i, (of, colour) in enumerate(zip(found.values(), style.ramp(len(found)), strict=True)):
        at = [20 * 1.03 ** (i - 1.5)]
        style.estimates(axes, at, [of], color=colour, marker=mark, mfc="white", ms=5)
    middle = sum(style.means(found)) / len(found)
    axes.text(24, middle, said, fontsize=style.SMALL, va="center")


def _words(found: Mapping[str, Any], first: str) -> tuple[str, str]:
    share, likeness = found["share"], found["likeness"]
    at = {name: style.shown(style.means(of)) for name, of in share.items()}
    alike = {name: style.shown(style.means(of)) for name, of in likeness.items()}
    held, unmasked = at[f"average-20, {first} held"], at["average-20, no mask in layer 0"]
    return (
        f"Averaged in groups of 20, {at['average-20']} of what told positions of a group apart is "
        f"there again entering layers 1 to {len(share['average-20'])}, and it is like what was "
        f"there ({alike['average-20']}); in groups of 100 it is not ({alike['average-100']}). With "
        f"{first} held {held} comes back, without the causal mask of layer 0 {unmasked}. Entering "
        "layer 0 nothing is there, by construction. Attention alone, random token vectors; bars "
        "are 95 % intervals by jackknife over pairs of draws.",
        f"Two panels against group size, one line a layer. Left, share rebuilt: {at['average-5']} "
        f"in groups of 5, {at['average-20']} of 20, {at['average-100']} of 100; open marks at 20 "
        f"show {held} with {first} held and {unmasked} without the causal mask. Right, likeness: "
        f"{alike['average-20']} at 20, {alike['average-100']} at 100.",
    )

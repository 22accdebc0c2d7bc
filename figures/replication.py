"""What the post says of GPT-2 small, on a model trained here that repeats words."""

from typing import Any

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

import style
from gpt2_helix.doctoring import group_size
from gpt2_helix.models.shipped import SEEDS

NEEDS = ("output", "repetition")
CLAIMS = (
    "output.unchanged-to-20",
    "output.breaks-by-100",
    "repetition.first-word",
    "repetition.survives-averaging",
)
SUBJECTS = (*SEEDS["mini"], *SEEDS["text"])
LOOKS = (("mini", "#0072b2", "o"), ("text", "#d55e00", "s"))
"""Recipes, each with a colour and a mark."""


def draw(*subjects: str) -> style.Drawn:
    """Draw, for every seed, what averaging does to the loss and to repeating words."""
    figure, (loss, words) = plt.subplots(1, 2, figsize=(6.6, 2.5), layout="constrained")
    ends = {}
    cost: dict[str, list[dict[str, float]]] = {}
    repeated: dict[str, list[dict[str, float]]] = {}
    for recipe, colour, mark in LOOKS:
        seeds = [subject for subject in SEEDS[recipe] if subject in subjects]
        of = {"color": colour, "marker": mark}
        cost[recipe], repeated[recipe] = [], []
        for seed in seeds:
            cost[recipe].append(_loss(loss, seed, of))
            if recipe == "mini":
                repeated[recipe].append(_words(words, seed, of))
        ends[recipe] = (max(found["100"] for found in cost[recipe]), colour)
    loss.set(xlabel="group size (positions)", ylabel="loss change on text (nats)")
    loss.set_ylim(bottom=-0.03)
    style.label_ends(loss, {f"{name}, 3 seeds": end for name, end in ends.items()})
    words.set(xlabel="group size (positions)", ylabel="probability of the first word")
    words.set_ylim(-0.03, 1.08)
    limit = style.bound("repetition.first-word", "probability")
    style.bounded(words, limit, f"bound: {limit:g}")
    of_mini, of_text = (style.shown(found["20"] for found in cost[recipe]) for recipe, *_ in LOOKS)
    intact, averaged = (
        style.shown((found[size] for found in repeated["mini"]), ".3f") for size in ("1", "5")
    )
    return style.Drawn(
        figure,
        "The models trained here do not share GPT-2 small's way with positions. mini repeats words "
        f"on exact positions alone: it gives the first word {intact} intact and {averaged} in "
        f"groups of 5, and groups of 20 cost it {of_mini} nats a token. text costs {of_text} nats "
        "there. Three seeds each; bars are 95 % intervals over windows of text; the worse of two "
        "orders of the words.",
        "Two panels against group size. Left, loss change: at once and flat for mini "
        f"({of_mini} nats in groups of 20), slowly growing for text ({of_text}). Right, mini's "
        f"probability of the first word: {intact} intact, {averaged} from groups of 5 on.",
    )


def _loss(axes: Axes, subject: str, look: dict[str, Any]) -> dict[str, float]:
    """Draw the loss change by group size; return it."""
    change = style.read_record(subject, "output")["measured"]["on_text"]["loss_change"]
    by_size = {size: change[name] for name in change if (size := group_size(name))}
    axes.plot(list(by_size), [of["mean"] for of in by_size.values()], color=look["color"], lw=0.8)
    style.estimates(axes, list(by_size), list(by_size.values()), **look)
    _sizes(axes, list(by_size))
    return {str(size): of["mean"] for size, of in by_size.items()}


def _words(axes: Axes, subject: str, look: dict[str, Any]) -> dict[str, float]:
    """Draw the probability of the first word in the worse order; return it by group size."""
    found = style.read_record(subject, "repetition")["measured"]["first_word"]["probability"]
    names = list(next(iter(found.values())))
    lower = {style.label(name): min(of[name] for of in found.values()) for name in names}
    axes.plot([*map(int, lower)], list(lower.values()), lw=0.8, **look)
    _sizes(axes, [*map(int, lower)])
    return lower


def _sizes(axes: Axes, sizes: list[int]) -> None:
    style.by_group_size(axes, sizes)
    axes.set_xlim(min(sizes) * 0.85, max(sizes) * 1.15)

"""What the post says of GPT-2 small, on models trained here: positions, output, repetition."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import style
from gpt2_helix.doctoring import INTACT, group_size
from gpt2_helix.measure.heads import AVERAGED
from gpt2_helix.models.shipped import SEEDS

NEEDS = ("output", "repetition", "heads")
CLAIMS = (
    "output.unchanged-to-20",
    "output.breaks-by-100",
    "repetition.first-word",
    "repetition.survives-averaging",
    "heads.main-previous-token",
    "heads.survive-averaging",
)
SUBJECTS = SEEDS["mini"]


def draw(*subjects: str) -> tuple[Figure, str]:
    """Draw the first seed's curve, and for every seed what averaging does."""
    figure, ((curve, loss), (repetition, heads)) = plt.subplots(
        2, 2, figsize=(7.6, 5.6), layout="constrained"
    )
    scores = style.read_curve(subjects[0])
    for j, (colour, dashes) in enumerate(style.LINES):
        curve.plot(scores[:, j], ls=dashes, color=colour, lw=0.6, label=f"component {j + 1}")
    curve.set(xlabel="position", ylabel=f"score, {subjects[0]}")
    curve.legend(frameon=False, fontsize=7)
    for subject, (colour, dashes), marker in zip(
        subjects, style.LINES, style.MARKERS, strict=False
    ):
        look = {"color": colour, "ls": dashes, "marker": marker, "ms": 4, "label": subject}
        _behaviour(subject, look, loss, repetition, heads)
    loss.set(xlabel="group size", ylabel="loss change (nats)")
    loss.set_ylim(bottom=min(0, loss.get_ylim()[0]))
    repetition.set(xlabel="group size (1 is intact)", ylabel="probability of the first word")
    repetition.set_ylim(-0.03, 1.03)
    heads.set(ylabel="attention to the previous token")
    heads.set_ylim(0, 1)
    for axes in (loss, repetition, heads):
        axes.legend(frameon=False, fontsize=7)
    return figure, (
        "Three components of the positions of the first seed; loss on text and probability of the "
        "first of two words (the worse order\nof apple and orange) against the size of the groups; "
        "attention of the main head to the previous token, intact and in groups of 10."
    )


def _behaviour(
    subject: str, look: dict[str, Any], loss: Axes, repetition: Axes, heads: Axes
) -> None:
    output = style.read_record(subject, "output")["measured"]
    change = output["on_text"]["loss_change"]
    by_size = {size: change[name] for name in change if (size := group_size(name))}
    means = [found["mean"] for found in by_size.values()]
    errors = [
        [found["mean"] - found["low"] for found in by_size.values()],
        [found["high"] - found["mean"] for found in by_size.values()],
    ]
    loss.errorbar(list(by_size), means, errors, capsize=2, **look)
    found = style.read_record(subject, "repetition")["measured"]["first_word"]
    lower = np.min([list(by_name.values()) for by_name in found["probability"].values()], axis=0)
    tried = [int(style.label(name)) for name in found["others"]]
    repetition.plot(tried, lower, **look)
    for axes, sizes in ((loss, list(by_size)), (repetition, tried)):
        axes.set_xscale("log")
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
    measured = style.read_record(subject, "heads")["measured"]
    attention = measured["all_heads"]["attention"]
    for head in measured["main_heads"]["attention"]:
        named = {**look, "label": f"{subject} {head}"}
        values = [attention[doctoring][head] for doctoring in (INTACT, AVERAGED)]
        heads.plot(["intact", "groups of 10"], values, **named)

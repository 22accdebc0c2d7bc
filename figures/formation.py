"""When the curve forms: the shape of W_pos and what averaging it costs, against the step."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

import style
from gpt2_helix.models.shipped import SEEDS

PANELS = (
    ("explained", "variance in three components"),
    ("neighbour_correlation", "correlation of neighbours"),
    ("climb", "climb (rank correlation)"),
    ("loss_change_10", "loss change, groups of 10 (nats)"),
    ("loss_change_100", "loss change, groups of 100 (nats)"),
    ("previous_token", "attention to the previous token"),
)
BESIDE = "mini"
BOUNDED = ("explained", "neighbour_correlation", "climb")
TALLEST = 2
"""A level more than this many times as high as the seeds get is not drawn but said."""

NEEDS = ("helix", "output", "heads")
CLAIMS = ("helix.three-components", "output.unchanged-to-20")
SUBJECTS = (*SEEDS["text"], BESIDE)


def draw(*subjects: str) -> tuple[Figure, str]:
    """Draw one panel a measure: the seeds, their mean and their range, and one other model."""
    *seeds, beside = subjects
    ends = _ends(beside)
    figure, axes_of = plt.subplots(2, 3, figsize=(8.4, 4.9), layout="constrained")
    tables = {seed: _read(seed) for seed in seeds}
    steps = tables[seeds[0]]["step"]
    for axes, (measure, label) in zip(axes_of.flat, PANELS, strict=True):
        found = np.array([tables[seed][measure] for seed in seeds])
        colour, dashes = style.LINES[0]
        axes.fill_between(steps, found.min(0), found.max(0), color=colour, alpha=0.2, lw=0)
        name = f"{', '.join(seeds)}: mean and range"
        axes.plot(steps, found.mean(0), color=colour, ls=dashes, marker=".", ms=3, label=name)
        if measure in ends:
            colour, dashes = style.LINES[2]
            if ends[measure] <= TALLEST * found.max():
                axes.axhline(
                    ends[measure], color=colour, ls=dashes, lw=1.2, label=f"{beside} at its end"
                )
            else:
                text = f"{beside}: {ends[measure]:.2f}, off the scale"
                axes.text(0.03, 0.95, text, color=colour, transform=axes.transAxes, va="top")
        axes.set(xlabel="step", ylabel=label)
        if measure in BOUNDED:
            axes.set_ylim(-0.03, 1.03)
    handles, names = axes_of[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=2, frameon=False, fontsize=8)
    return figure, (
        "The shape of W_pos, what averaging it costs on held-out text, and the attention of the "
        "head that attends most to the previous token,\n"
        f"measured while {len(seeds)} seeds are trained on text alone; {beside}, which learned to "
        "repeat, as it is at its end."
    )


def _read(subject: str) -> np.ndarray:
    """Stages of a model by column; one column, of heads, is text."""
    path = style.DATA / subject / "formation.csv"
    return np.genfromtxt(path, delimiter=",", names=True, dtype=None, encoding="utf-8")


def _ends(subject: str) -> dict[str, float]:
    """What a finished model reaches, by measure, where its records have it."""
    shape = style.read_record(subject, "helix")["measured"]["shape"]
    change = style.read_record(subject, "output")["measured"]["on_text"]["loss_change"]
    attention = style.read_record(subject, "heads")["measured"]["all_heads"]["attention"]
    return {
        "explained": shape["explained"],
        "climb": shape["climb"],
        "loss_change_10": change["average-10"]["mean"],
        "loss_change_100": change["average-100"]["mean"],
        "previous_token": max(attention["intact"].values()),
    }

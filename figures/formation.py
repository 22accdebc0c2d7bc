"""When the curve forms: the shape of W_pos and what averaging it costs, against the step."""

import matplotlib.pyplot as plt
import numpy as np

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


def draw(*subjects: str) -> style.Drawn:
    """Draw one panel a measure: the seeds, their mean and their range, and one other model."""
    *seeds, beside = subjects
    ends = _ends(beside)
    figure, axes_of = plt.subplots(2, 3, figsize=(6.6, 4.0), layout="constrained")
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
                axes.text(
                    0.04, 0.97, f"{beside}: {ends[measure]:.2f},\noff the scale", color=colour,
                    fontsize=style.SMALL, transform=axes.transAxes, va="top",
                )  # fmt: skip
        axes.set(xlabel="step", ylabel=label)
        if measure in BOUNDED:
            axes.set_ylim(-0.03, 1.03)
    handles, names = axes_of[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=2, frameon=False)
    ended = {
        measure: style.shown(float(tables[seed][measure][-1]) for seed in seeds)
        for measure in ("explained", "climb", "loss_change_100")
    }
    return style.Drawn(
        figure,
        f"Trained on text alone, {len(seeds)} seeds of a small model come to positions that climb "
        f"(rank correlation {ended['climb']}) and of which three components hold "
        f"{ended['explained']}; averaging them in groups of 100 costs {ended['loss_change_100']} "
        f"nats. Mean and range over seeds; {beside}, which learned to repeat, as it is at its end.",
        "Six panels against the training step: variance in three components, correlation of "
        f"neighbours, climb, loss change in groups of 10 and of 100, attention to the previous "
        f"token. At the end: {ended['explained']} of the variance, climb {ended['climb']}, loss "
        f"change {ended['loss_change_100']} nats in groups of 100.",
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

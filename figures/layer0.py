"""What layer 0 does with positions, in GPT-2 small and in the models trained here."""

from typing import Any

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

import style

NEEDS = ("layer_0",)
SUBJECTS = ("gpt2", "mini", "text")
CLAIMS = ("cause.first-layer", "cause.rebuilt")
ENTERING = {"1": "layer 0\nas it is", "1, no mask in layer 0": "without\nits mask"}
WITHIN = {"average-20": "20", "average-100": "100"}
ALONE, TEXT = ("o", "#0072b2", "attention alone, random tokens"), ("s", "#d55e00", "whole, on text")


def draw(*subjects: str) -> style.Drawn:
    """Draw the spread around layer 0, and within groups of averaged positions after it."""
    figure, rows = plt.subplots(2, len(subjects), figsize=(6.6, 4.0), layout="constrained")
    for column, subject in enumerate(subjects):
        spread, within = rows[0][column], rows[1][column]
        spread.set_title("GPT-2 small" if subject == "gpt2" else subject)
        for found, look in _found(subject):
            _spread(spread, found, look)
            _within(within, found, look)
        spread.set(xticks=range(2), xticklabels=list(ENTERING.values()), xlim=(-0.5, 1.5))
        spread.set_yscale("log")
        spread.set(ylim=(0.3, 200), yticks=(1, 10), yticklabels=("1", "10"))
        spread.axhline(1, color="0.8", lw=0.8, zorder=0)
        within.set(
            xticks=range(2), xticklabels=WITHIN.values(), xlim=(-0.5, 1.5), ylim=(-0.15, 1.15),
            xlabel="group size (positions)",
        )  # fmt: skip
    rows[0][0].set_ylabel("variance over positions after\nlayer 0, of that before it")
    rows[1][0].set_ylabel("variance within groups,\nthere again after layer 0")
    rows[0][0].legend(*rows[0][-1].get_legend_handles_labels(), loc="upper right")
    return style.Drawn(figure, *_words(subjects))


def _found(subject: str) -> list[tuple[dict[str, Any], tuple[str, str, str]]]:
    """What was measured through attention alone, and on text where that was."""
    found = [(style.read_record(subject, "layer_0")["measured"]["spread"], ALONE)]
    if style.is_recorded(subject, "attention_whole"):
        whole = style.read_record(subject, "attention_whole")["measured"]["spread"]
        found.append((whole, TEXT))
    return found


def _spread(axes: Axes, found: dict[str, Any], look: tuple[str, str, str]) -> None:
    mark, colour, name = look
    at = [place + (0.12 if look is TEXT else -0.12) for place in range(len(ENTERING))]
    before = found["intact"]["0"]["mean"]
    given = [
        {end: found["intact"][entering][end] / before for end in ("mean", "low", "high")}
        for entering in ENTERING
    ]
    style.estimates(axes, at, given, color=colour, marker=mark, label=name)


def _within(axes: Axes, found: dict[str, Any], look: tuple[str, str, str]) -> None:
    mark, colour, _ = look
    at = [place + (0.12 if look is TEXT else -0.12) for place in range(len(WITHIN))]
    axes.plot(at, [_again(found, name) for name in WITHIN], ls="none", color=colour, marker=mark)


def _again(found: dict[str, Any], name: str) -> float:
    """Variance within groups entering layer 1, averaged over intact."""
    again: float = found["within_averaged"][name]["mean"] / found["within_intact"][name]["mean"]
    return again


def _words(subjects: tuple[str, ...]) -> tuple[str, str]:
    """Caption and alt text."""
    told = []
    for subject in subjects:
        found, _ = _found(subject)[0]
        before, after, unmasked = (found["intact"][at]["mean"] for at in ("0", *ENTERING))
        name = "GPT-2 small" if subject == "gpt2" else subject
        told.append(
            f"in {name} to {after / before:.2g} times what it was ({unmasked / before:.2g} without "
            f"the mask), and within groups of 20 {_again(found, 'average-20'):.2g} is there again"
        )
    said = "; ".join(told)
    return (
        "What layer 0 does with positions differs from model to model. Through attention alone it "
        f"brings the variance over positions {said}. Above, variance over positions of the mean "
        "stream entering layer 1, of that entering layer 0, with 95 % intervals by jackknife; "
        "below, of the variance within groups on intact positions, what is there on averaged ones. "
        "On text the whole model is run, MLP of layer 0 and all.",
        f"Dots in two rows for three models. Variance over positions after layer 0: {said}.",
    )

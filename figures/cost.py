"""What averaging positions costs, against the share of the context that a group spans."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import style
from gpt2_helix.doctoring import group_size
from gpt2_helix.models.shipped import SEEDS, SHIPPED

NEEDS = ("output",)
CLAIMS = ("output.unchanged-to-20", "output.breaks-by-100")
SUBJECTS = SHIPPED

ALONE = "attention_only"
"""Family of what attention does without MLPs; of GPT-2 small too, which was not run whole."""


def draw(*subjects: str) -> tuple[Figure, str]:
    """Draw one line a recipe, with the range of its seeds; GPT-2 small where it can be compared."""
    models = {recipe: [s for s in seeds if s in subjects] for recipe, seeds in SEEDS.items()}
    compared = {style.SUBJECT: [style.SUBJECT], **models}
    compared = {
        name: [s for s in some if style.is_recorded(s, ALONE)] for name, some in compared.items()
    }
    n_panels = 3 if compared[style.SUBJECT] else 2
    figure, (change, same, *others) = plt.subplots(
        1, n_panels, figsize=(2.9 * n_panels, 3), layout="constrained"
    )
    looks = dict(zip(compared, (style.LINES[1], style.LINES[2], style.LINES[0]), strict=False))
    for recipe, seeds in models.items():
        found = [style.read_record(seed, "output")["measured"]["on_text"] for seed in seeds]
        length = found[0]["n_tokens"]
        for axes, key in ((change, "loss_change"), (same, "same_top")):
            by_seed = [{k: v["mean"] for k, v in on_text[key].items()} for on_text in found]
            _line(axes, recipe, by_seed, length, looks[recipe])
    for axes in others:
        for name, seeds in compared.items():
            if seeds:
                length = style.read_record(seeds[0], "positions")["measured"]["learned"][
                    "positions"
                ]
                found = [style.read_record(s, ALONE)["measured"]["averaged"]["kept"] for s in seeds]
                kept = [{k: share["mean"] for k, share in of.items()} for of in found]
                _line(axes, name, kept, length, looks[name])
        axes.set_ylabel("kept attention to the previous token")
    for axes in (change, same, *others):
        axes.set_xscale("log")
        axes.set_xlabel("group size over context length")
        axes.legend(frameon=False, fontsize=8)
    change.set_ylabel("loss change (nats)")
    same.set_ylabel("same first choice (share)")
    for axes in (same, *others):
        axes.set_ylim(0, 1.03)
    alone = (
        "; where only attention is run, the share of the main heads' attention to the previous "
        "token that is kept"
    )
    return figure, (
        "What averaging positions in groups does to the loss on text and to the most probable next "
        f"token{alone if others else ''},\nagainst the size of a group as a share of the context; "
        "mean and range over seeds."
    )


def _line(
    axes: Axes,
    name: str,
    by_seed: Sequence[Mapping[str, float]],
    length: int,
    look: tuple[str, str],
) -> None:
    sizes = {d: size for d in by_seed[0] if (size := group_size(d)) is not None}
    found = np.array([[values[d] for d in sizes] for values in by_seed])
    spans = np.array(list(sizes.values())) / length
    colour, dashes = look
    axes.fill_between(spans, found.min(0), found.max(0), color=colour, alpha=0.2, lw=0)
    label = name if len(by_seed) == 1 else f"{name}, {len(by_seed)} seeds"
    axes.plot(spans, found.mean(0), color=colour, ls=dashes, marker="o", ms=4, label=label)

"""What the main heads find in extended positional embeddings, and what in the content."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

import style

NEEDS = (
    "extended",
    "attention_only",
)
CLAIMS = ("extended.enough",)

BARS = (
    ("whole", "whole stream", "#404040"),
    ("from_extended", "extended positional embeddings alone", "#0072b2"),
    ("from_content", "content alone", "#d55e00"),
)


def draw(subject: str) -> tuple[Figure, str]:
    """Draw a group of bars a head, with intervals, and what raw positions give as a line."""
    fed = style.read_record(subject, "extended")["measured"]["fed"]
    main = style.read_record(subject, "attention_only")["measured"]["main_heads"]
    heads = list(fed["whole"])
    at = np.arange(len(heads))
    figure, axes = plt.subplots(figsize=(4.8, 3.2), layout="constrained")
    for place, (name, label, colour) in enumerate(BARS):
        height = np.array([fed[name][head] for head in heads])
        if name == "whole":
            found, unit = main["attention"], np.ones(len(heads))
        else:
            found, unit = fed[f"kept_{name}"], np.array([fed["whole"][head] for head in heads])
        ends = np.array([[found[head][end] for head in heads] for end in ("low", "high")]) * unit
        axes.bar(
            at + 0.26 * (place - 1),
            height,
            0.24,
            color=colour,
            label=label,
            yerr=np.abs(ends - height),
            error_kw={"lw": 0.8, "capsize": 2},
        )
    for x, head in zip(at, heads, strict=True):
        line = axes.hlines(main["raw"][head], x - 0.4, x + 0.4, color="black", ls=":", lw=1.2)
    line.set_label("raw positions alone")
    axes.set_xticks(at, heads)
    axes.set_ylabel("attention to the previous token")
    axes.set_ylim(0, 1.5 * max(fed["whole"].values()))
    axes.legend(frameon=False, fontsize=7.5, loc="upper left")
    shares = ", ".join(f"{head} {fed['kept_from_extended'][head]['mean']:.0%}" for head in heads)
    return figure, (
        f"Of the whole, fed extended positional embeddings alone: {shares}.\n"
        "Error bars: 95% intervals over pairs of draws of tokens."
    )

"""Attention of every head to the previous token: averaged in groups of ten against intact."""

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

import style
from gpt2_helix.doctoring import INTACT
from gpt2_helix.measure.heads import AVERAGED

NEEDS = ("heads",)
CLAIMS = ("heads.main-previous-token", "heads.survive-averaging")
SUBJECTS = (style.strongest("heads"),)
CHANGED = 0.015
"""Heads that change by more are named."""
Bounds = Float[np.ndarray, "bound=3 head"]
"""Lower bound, value and upper bound."""


def draw(subject: str) -> tuple[Figure, str]:
    """Draw a dot for each head: averaged against intact, and the change against intact."""
    main = style.read_record(subject, "heads")["measured"]["main_heads"]["attention"]
    names, intact, averaged, how = _numbers(subject)
    change = np.stack([averaged[0] - intact[2], averaged[1] - intact[1], averaged[2] - intact[0]])
    figure, (both, changes) = plt.subplots(1, 2, figsize=(7.4, 3.6), layout="constrained")
    both.axline((0, 0), slope=1, color="0.75", lw=0.8, zorder=0)
    changes.axhline(0, color="0.75", lw=0.8, zorder=0)
    is_main = np.isin(names, list(main))
    for axes, y in ((both, averaged), (changes, change)):
        for shown, colour, size in ((~is_main, style.MEANS, 2.5), (is_main, style.CURVE, 4)):
            axes.errorbar(
                intact[1, shown],
                y[1, shown],
                np.abs(y[::2, shown] - y[1, shown]),
                np.abs(intact[::2, shown] - intact[1, shown]),
                "o",
                ms=size,
                color=colour,
                elinewidth=0.5,
            )
        for i in np.flatnonzero(is_main | ((np.abs(change[1]) > CHANGED) & (axes is changes))):
            axes.annotate(
                names[i],
                (intact[1, i], y[1, i]),
                (-4, 4) if axes is both else (4, -9),
                textcoords="offset points",
                ha="right" if axes is both else "left",
                fontsize=8,
            )
        axes.set(xlabel="attention to the previous token, intact", xlim=(-0.02, 1.02))
    both.set(ylabel="averaged in groups of ten", ylim=(-0.02, 1.02))
    changes.set(ylabel="averaged minus intact", xlim=(-0.02, 1.15))
    each = ", ".join(
        f"{n} {intact[1, i]:.3f} and {averaged[1, i]:.3f}" for i, n in enumerate(names) if n in main
    )
    return figure, (
        f"All {len(names)} heads of GPT-2 small on text, intact and averaged: {each}.\n{how}"
    )


def _numbers(subject: str) -> tuple[list[str], Bounds, Bounds, str]:
    """Names of the heads, their attention intact and averaged, and how it was measured."""
    if not style.is_recorded(subject, "published"):
        found = style.read_record(subject, "heads")["measured"]["all_heads"]["attention"]
        intact, averaged = (np.tile(list(found[d].values()), (3, 1)) for d in (INTACT, AVERAGED))
        return list(found[INTACT]), intact, averaged, "Means over queries from the eleventh on."
    windows = style.read_record(subject, "published")["measured"]["windows"]["by_doctoring"]
    intact, averaged = (
        np.array([list(windows[d][f"attention{of}"].values()) for of in ("_low", "", "_high")])
        for d in (INTACT, AVERAGED)
    )
    return (
        list(windows[INTACT]["attention"]),
        intact,
        averaged,
        ("Means over 49 queries on the author's pictures; bars are the bounds of their colours."),
    )

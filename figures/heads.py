"""Attention of every head to the previous token: averaged in groups of ten against intact."""

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float

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


def draw(subject: str) -> style.Drawn:
    """Draw a dot for each head: averaged against intact, and the change against intact."""
    main = style.read_record(subject, "heads")["measured"]["main_heads"]["attention"]
    names, intact, averaged, how = _numbers(subject)
    change = np.stack([averaged[0] - intact[2], averaged[1] - intact[1], averaged[2] - intact[0]])
    figure, (both, changes) = plt.subplots(1, 2, figsize=(6.6, 3.0), layout="constrained")
    both.axline((0, 0), slope=1, color="0.75", lw=0.8, zorder=0)
    changes.axhline(0, color="0.75", lw=0.8, zorder=0)
    looks = {head: (colour, mark) for head, colour, mark in style.looks(main)}
    rest = ("0.55", ".")
    for axes, y in ((both, averaged), (changes, change)):
        for i, name in enumerate(names):
            colour, mark = looks.get(name, rest)
            axes.errorbar(
                intact[1, i], y[1, i], np.abs(y[::2, [i]] - y[1, i]),
                np.abs(intact[::2, [i]] - intact[1, i]), mark, color=colour, elinewidth=0.5,
                zorder=3 if name in looks else 2,
            )  # fmt: skip
            if name in looks or (axes is changes and abs(change[1, i]) > CHANGED):
                axes.annotate(
                    name, (intact[1, i], y[1, i]), (-4, 4) if axes is both else (4, -9),
                    textcoords="offset points", ha="right" if axes is both else "left",
                    fontsize=style.SMALL, color=looks.get(name, ("black",))[0],
                )  # fmt: skip
        axes.set(xlabel="attention to the previous token, intact", xlim=(-0.02, 1.03))
    both.set(ylabel="averaged in groups of ten", ylim=(-0.02, 1.03))
    changes.set(ylabel="averaged minus intact", xlim=(-0.02, 1.18))
    kept = style.shown((averaged[1, i] / intact[1, i] for i in map(names.index, main)), ".1%")
    least = names[int(change[1].argmin())]
    fell = f"{least}, {intact[1, names.index(least)]:.2f} to {averaged[1, names.index(least)]:.2f}"
    return style.Drawn(
        figure,
        f"In the whole model on text, groups of ten change little for the main heads: they keep "
        f"{kept} of their attention to the previous token. Of all {len(names)} heads, most is lost "
        f"by {fell}. {how}",
        f"Two scatters of all {len(names)} heads, averaged against intact and the change against "
        f"intact. The main heads {', '.join(main)} lie on the diagonal ({kept} kept); the largest "
        f"loss is that of {fell}.",
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

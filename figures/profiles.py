"""Where the main heads look, by offset: through attention alone, and in the whole model."""

from collections.abc import Mapping, Sequence

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

import style

NEEDS = ("attention_only", "extended")
CLAIMS = ("attention-only.near", "attention-only.not-previous", "extended.survives-averaging")
SHOWN = ("intact", "average-10", "average-20", "average-100")
PICTURES = "published/pictures"
ROWS = ("attention alone", "fed extended\npositions alone", "whole model\n(author's pictures)")


def draw(subject: str) -> style.Drawn:
    """Draw a column for each head and a row for each way to measure it."""
    alone = style.read_record(subject, "attention_only")["measured"]
    fed = style.read_record(subject, "extended")["measured"]["fed_averaged"]["profile"]
    pictures = style.read_record(PICTURES, "heads")["measured"]["profiles"]["by_offset"]
    profiles = {"intact": alone["main_heads"]["profile"], **alone["averaged"]["profile"]}
    heads = style.looks(profiles["intact"])
    figure, grid = plt.subplots(
        3, len(heads), figsize=(6.6, 5.0), sharex=True, sharey="row", squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for column, (head, colour, _) in enumerate(heads):
        for axes, found in zip(grid[:, column], (profiles, fed, pictures), strict=True):
            for name in (*SHOWN, "zeroed"):
                if head in found.get(name, {}):
                    line(axes, name, found[name][head], colour)
        grid[0, column].set_title(head, color=colour, fontweight="bold")
        grid[-1, column].set_xlabel("offset from the query (tokens)")
    for axes, said in zip(grid[:, 0], ROWS, strict=True):
        axes.set_ylabel(said)
        axes.set_ylim(bottom=0)
        axes.set_xticks(range(-12, 1, 3))
    figure.supylabel("attention", fontsize=8)
    figure.legend(handles=key(), loc="outside upper center", ncols=5)
    at = {head: [of["mean"] for of in profiles["intact"][head][:3]] for head, *_ in heads}
    published = [pictures["intact"][head][1] for head, *_ in heads]
    return style.Drawn(
        figure,
        "Through attention alone the main heads look near: most goes to the query itself "
        f"({style.shown(given[0] for given in at.values())}), less to the position just behind "
        f"({style.shown(given[1] for given in at.values())}) and less at each step further. The "
        "whole model, in the author's pictures, gives that position "
        f"{style.shown(published)}. Averaging in groups of 10 hardly moves any of it. "
        "Shaded: 95 % intervals over pairs of draws of tokens, where they were measured.",
        "Nine panels, three heads by three ways to measure them, attention against offset from 0 "
        "to -12. Attention alone falls off from the query itself: "
        + "; ".join(
            f"{head} {', '.join(f'{given:.2f}' for given in given_at)} at 0, -1, -2"
            for head, given_at in at.items()
        )
        + f". The author's pictures peak at -1, with {style.shown(published)}.",
    )


def line(axes: Axes, name: str, found: Sequence[float | Mapping[str, float]], colour: str) -> None:
    """Draw a profile; a number may be an estimate, with its interval."""
    offsets = [-n for n in range(len(found))]
    look = {"color": style.GREY, "lw": 0.8} if name == "zeroed" else {"color": colour}
    values = [of["mean"] if isinstance(of, Mapping) else of for of in found]
    estimated = [of for of in found if isinstance(of, Mapping)]
    if estimated and name == "intact":
        low, high = ([of[end] for of in estimated] for end in ("low", "high"))
        axes.fill_between(offsets, low, high, color=colour, alpha=0.25, lw=0)
    axes.plot(offsets, values, ls=style.DASHES.get(name, "-"), **look)


def key() -> list[Line2D]:
    """What the dashes mean, whatever the colour."""
    names = {name: f"groups of {style.label(name)}" for name in SHOWN} | {"intact": "intact"}
    lines = [Line2D([], [], color="black", ls=style.DASHES[n], label=names[n]) for n in SHOWN]
    return [*lines, Line2D([], [], color=style.GREY, lw=0.8, label="no positions")]

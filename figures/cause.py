"""What the main heads keep of attention at -1 when one thing on the way there is changed."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from matplotlib import pyplot as plt
from matplotlib.lines import Line2D

import style

NEEDS = ("cause", "attention_only", "kernels")
CLAIMS = (
    "cause.first-layer",
    "cause.causal-mask",
    "cause.plain-average",
    "cause.one-head",
    "cause.local-heads-idle",
    "cause.components",
    "cause.direct-path",
)
Kept = Mapping[str, Any]
"""By head; an estimate, or a number where draws were few."""


class Row(NamedTuple):
    """An intervention: what it is in plain words, what is kept, and the claim that bounds it."""

    says: str
    kept: Kept
    bound: tuple[str, str] | None = None  # Claim and what it names.


def draw(subject: str) -> style.Drawn:
    """Draw one row an intervention, one mark a head, with intervals."""
    found = style.read_record(subject, "cause")["measured"]
    groups = rows(subject)
    floor = style.read_record(subject, "attention_only")["measured"]["averaged"]["kept"]["zeroed"]
    heads = style.looks(found["first_layer"]["kept"])
    n = sum(len(of) + 1 for of in groups.values())
    figure, axes = plt.subplots(figsize=(6.6, 0.185 * n + 0.5), layout="constrained")
    least, most = min(style.means(floor)), max(style.means(floor))
    axes.axvspan(least, most, color="0.88", lw=0, zorder=0)
    axes.axvline(0.75, color=style.LIMIT, ls="--", lw=0.9, zorder=1)
    axes.axvline(1, color="0.75", lw=0.8, zorder=0)
    at, ticks = 0.0, {}
    for group, of in groups.items():
        axes.text(
            -0.01, at, group, transform=axes.get_yaxis_transform(), ha="right", va="center",
            fontweight="bold", fontsize=style.SMALL + 0.5,
        )  # fmt: skip
        for row in of:
            at += 1
            ticks[at] = row.says
            _row(axes, at, row, heads)
        at += 1.15
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.tick_params(axis="y", length=0)
    axes.set(ylim=(at - 0.4, -1.2), xlabel="attention at -1 kept (of intact)")
    axes.set_xlim(left=-0.03)
    said: dict[str, Any] = {"fontsize": style.SMALL, "ha": "center"}
    axes.text(0.75, -1.3, "works: 0.75", color=style.LIMIT, **said)
    axes.text((least + most) / 2, -1.3, "no positions", color=style.GREY, **said)
    handles = [
        Line2D([], [], color=colour, marker=mark, ls="none", label=head)
        for head, colour, mark in heads
    ]
    handles += [Line2D([], [], color=style.LIMIT, marker="|", ls="none", label="bound of a claim")]
    figure.legend(handles=handles, loc="outside upper right", ncols=4)
    return style.Drawn(figure, *_words(found))


def leading(found: Mapping[str, Any]) -> list[str]:
    """Heads of layer 0, the one whose holding costs the main heads most first."""
    return list(found["costs"]["cost"])


def rows(subject: str) -> dict[str, list[Row]]:
    """All interventions, in groups, in plain words."""
    found = style.read_record(subject, "cause")["measured"]
    kernels = style.read_record(subject, "kernels")["measured"]["local_heads"]["kernel"]
    local, (first, second, *_) = ", ".join(kernels), leading(found)
    beside, layers = found["beside"]["kept"], found["other_layers"]["kept"]

    def row(says: str, name: str, claim: str, bound: str = "kept") -> Row:
        return Row(says, found[name]["kept"], (f"cause.{claim}", bound))

    return {
        "heads of a layer silenced": [
            row("layer 0", "first_layer", "first-layer"),
            *(Row(f"layer {n}", layers[n]) for n in layers if n != "0"),
        ],
        "heads of layer 0 held at their mean": [
            Row(f"{first}, which costs most", found["one_head"]["kept"]),
            Row(f"{second}, which comes next", found["costs"]["kept"][second]),
            Row(f"all but {first}", beside[f"only {first} live in layer 0"]),
            row(
                f"{local}, which look just behind", "local_heads", "local-heads-idle", "local_held"
            ),
            row("all but those", "all_but_local_heads", "local-heads-idle", "others_held"),
        ],
        "attention made a plain average of the past": [
            row(f"that of {first}", "plain_average", "plain-average"),
            Row("that of all heads of layer 0", beside["plain average in layer 0"]),
        ],
        "causal mask taken out": [
            row("of layer 0", "causal_mask", "causal-mask"),
            Row("of layer 1", beside["no mask in layer 1"]),
        ],
        "position vectors": [
            row("on their 3 leading components", "three_components", "components", "on_3"),
            Row("on 6", beside["6 components"]),
            row("on 10", "ten_components", "components", "on_10"),
            Row("without the 3", beside["without 3 components"]),
            Row("without the 10", beside["without 10 components"]),
            row("out of what the heads read", "direct_path", "direct-path"),
        ],
        "averaged in groups of 20": [
            Row("and nothing else", beside["average-20"]),
            Row(f"and {first} held", beside[f"average-20, {first} held"]),
            Row(f"and {local} held", beside[f"average-20, {local} held"]),
            Row("and no causal mask in layer 0", beside["average-20, no mask in layer 0"]),
        ],
    }


def _row(axes: Any, at: float, row: Row, heads: list[tuple[str, str, str]]) -> None:
    axes.axhline(at, color="0.93", lw=0.7, zorder=0)
    for place, (head, colour, mark) in enumerate(heads):
        y, kept = at + 0.22 * (place - 1), row.kept[head]
        if isinstance(kept, Mapping):
            style.estimates(axes, [y], [kept], lying=True, color=colour, marker=mark)
        else:
            axes.plot(kept, y, mark, color=colour, mfc="white", zorder=3)
    if row.bound:
        limit = style.bound(*row.bound)
        axes.plot([limit] * 2, [at - 0.42, at + 0.42], color=style.LIMIT, lw=2, zorder=2)


def _words(found: Mapping[str, Any]) -> tuple[str, str]:
    """Caption and alt text."""
    first = leading(found)[0]

    def kept(name: str, form: str = ".2f") -> str:
        return style.shown(style.means(found[name]["kept"]), form)

    cost = found["one_head"]["cost"]["mean"]
    return (
        "What the main heads live on is layer 0, its causal mask, and in it mostly one head. On "
        "intact positions, but for the last four rows: with layer 0 silenced the main heads keep "
        f"{kept('first_layer')} of their attention just behind, without its mask "
        f"{kept('causal_mask')}; {first} held costs them {cost:.2f} on average, but "
        f"as a plain average of the past it serves ({kept('plain_average')}). "
        "Attention alone, random token vectors; bars are 95 % intervals over pairs of draws, open "
        "marks are from few draws. Grey: what no positions leave.",
        "A row for each intervention, a mark for each of the three main heads, by the share of "
        f"attention at -1 that it keeps. Lowest: layer 0 silenced ({kept('first_layer')}), no "
        f"causal mask in layer 0 ({kept('causal_mask')}), all heads of layer 0 held but those that "
        f"look just behind ({kept('all_but_local_heads')}). {first} held: {kept('one_head')}. "
        f"Near 1: heads that look just behind held ({kept('local_heads')}), ten components "
        f"({kept('ten_components')}).",
    )

"""What the main heads keep of attention at -1 through attention alone, against group size."""

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

import style

NEEDS = ("attention_only", "sensitivity")
CLAIMS = ("attention-only.survives-averaging", "attention-only.breaks-by-100")
RIVALS = {
    "looking-back": "rival: by position, exactly",
    "relative-bias": "rival: by distance alone",
}
"""Controls that attend as much and then fail, each on one side."""


def draw(subject: str) -> style.Drawn:
    """Draw one line a head, with intervals, and what two rivals keep."""
    record = style.read_record(subject, "attention_only")
    kept = record["measured"]["averaged"]["kept"]
    figure, axes = plt.subplots(figsize=(4.6, 2.9), layout="constrained")
    ends = lines(axes, subject)
    # One head of a rival stands for all three, which hardly differ.
    head = list(ends)[-1]
    for control, said in RIVALS.items():
        found = record["controls"][control]["averaged"]["kept"]
        sizes = [size for size in found if size not in ("zeroed", "average-all")]
        at = [1, *map(int, map(style.label, sizes))]
        values = [1, *(found[size][head]["mean"] for size in sizes)]
        axes.plot(at, values, ls=":", marker=".", color=style.GREY, zorder=1)
        ends[said] = (values[-1], style.GREY)
    axes.set_ylabel("attention at -1 kept (of intact)")
    style.label_ends(axes, ends)
    at_20, at_100 = (style.means(kept[f"average-{size}"]) for size in (20, 100))
    floor = style.shown(style.means(kept["zeroed"]))
    return style.Drawn(
        figure,
        f"Averaged in groups of 20, the main heads keep {style.shown(at_20)} of their attention "
        f"just behind; in groups of 100, {style.shown(at_100)}. Through attention alone, with "
        "random token vectors; each head is judged by itself. Bars are 95 % intervals over pairs "
        "of draws; thin lines at the right, what no positions leave; dotted, two rivals that must "
        "fail.",
        f"Three lines, one a head, against group size from 1 to all: near 1 up to groups of 20 "
        f"({style.shown(at_20)}), then falling below three quarters by 100 "
        f"({style.shown(at_100)}) towards what no positions leave ({floor}).",
    )


def lines(axes: Axes, subject: str, *, left: bool = False) -> dict[str, tuple[float, str]]:
    """Draw one line a head and the bound, named at the left or right; return where lines end."""
    main = style.read_record(subject, "attention_only")
    kept = main["measured"]["averaged"]["kept"]
    positions = main["measured"]["main_heads"]["positions"]
    sweep = style.read_record(subject, "sensitivity")["measured"]["sweep"]["attention"]
    small = [size for size in sweep if int(size) < positions]
    averaged = [name for name in kept if name not in ("zeroed", "average-all")]
    sizes = [*(int(style.label(name)) for name in averaged), positions]
    ends = {}
    for head, colour, mark in style.looks(kept["average-all"]):
        whole = sweep["1"][head]["mean"]
        last = kept["average-all"][head]["mean"]
        values = [*(sweep[size][head]["mean"] / whole for size in small), last]
        axes.plot([*map(int, small), positions], values, color=colour)
        found = [kept[name][head] for name in (*averaged, "average-all")]
        style.estimates(axes, sizes, found, color=colour, marker=mark)
        floor = kept["zeroed"][head]["mean"]
        axes.plot([positions * 0.75, positions * 1.33], [floor] * 2, color=colour, lw=0.8)
        ends[head] = (last, colour)
    style.by_group_size(axes, [1, *sizes], positions)
    axes.set(xlim=(0.9, positions * 1.4), ylim=(0, 1.2))
    works = style.bound("attention-only.survives-averaging", "kept_20")
    style.bounded(axes, works, "works" if left else f"works: {works:g}", left=left)
    return ends

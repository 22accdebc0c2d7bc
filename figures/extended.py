"""What the main heads find in extended positional embeddings, and what in the content."""

from typing import Any

import matplotlib.pyplot as plt

import style

NEEDS = ("extended", "attention_only")
CLAIMS = ("extended.enough", "extended.survives-averaging")
FED = {
    "whole": "everything",
    "from_extended": "extended\npositions alone",
    "from_content": "content\nalone",
    "raw": "position\nvectors",
}
SIZES = ("average-5", "average-10", "average-20", "average-100")


def draw(subject: str) -> style.Drawn:
    """Draw what each head gives by what it is fed, and what is kept on averaged positions."""
    record = style.read_record(subject, "extended")["measured"]
    fed, kept = record["fed"], record["fed_averaged"]["kept"]
    main = style.read_record(subject, "attention_only")["measured"]["main_heads"]
    figure, (by_fed, by_size) = plt.subplots(1, 2, figsize=(6.6, 2.5), layout="constrained")
    ends = {}
    for place, (head, colour, mark) in enumerate(style.looks(fed["whole"])):
        at = [n + 0.18 * (place - 1) for n in range(len(FED))]
        look: dict[str, Any] = {"color": colour, "marker": mark}
        style.estimates(
            by_fed, at[:2], [main["attention"][head], fed["from_extended"][head]], **look
        )
        by_fed.plot(at[2:], [fed["from_content"][head], main["raw"][head]], ls="none", **look)
        found = [kept[name][head] for name in SIZES]
        sizes = [int(style.label(name)) for name in SIZES]
        by_size.plot([1, *sizes], [1, *(of["mean"] for of in found)], color=colour)
        style.estimates(by_size, sizes, found, **look)
        ends[head] = (found[-1]["mean"], colour)
    by_fed.set_xticks(range(len(FED)), FED.values())
    by_fed.set(ylabel="attention at -1", ylim=(0, None))
    style.by_group_size(by_size, [1, *sizes])
    by_size.set(ylabel="kept, fed extended positions", ylim=(0, 1.15))
    limit = style.bound("extended.survives-averaging", "kept_20")
    style.bounded(by_size, limit, f"works: {limit:g}", left=True)
    style.label_ends(by_size, ends)
    enough = style.shown(style.means(fed["kept_from_extended"]))
    content = style.shown(style.means(fed["kept_from_content"]))
    at_20, at_100 = (style.shown(style.means(kept[f"average-{n}"])) for n in (20, 100))
    return style.Drawn(
        figure,
        "Extended positional embeddings are enough: fed these alone the main heads give "
        f"{enough} of what they give fed everything, fed the content alone {content}. It survives "
        f"averaging in groups of 20 ({at_20} kept) and not of 100 ({at_100}). Attention alone, "
        "random token vectors; bars are 95 % intervals over pairs of draws.",
        f"Left, attention at -1 of three heads by what they are fed: most of it from extended "
        f"positions ({enough} of the whole), next to nothing from content or raw position vectors. "
        f"Right, what is kept of it against group size: {at_20} at 20, {at_100} at 100.",
    )

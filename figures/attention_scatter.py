"""The order of the heads: attention alone against the whole model, one point a head."""

import matplotlib.pyplot as plt

import style
from gpt2_helix.measure.agreement import whole_model
from gpt2_helix.suite.published import published_heads

NEEDS = ("agreement", "attention_only")
CLAIMS = ("attention-only.published",)
TITLES = {
    "intact": "author's pictures",
    "averaged": "pictures, groups of ten",
    "scores": "scores of a notebook",
}


def draw(subject: str) -> style.Drawn:
    """Draw a panel for each comparison, both axes logarithmic."""
    found = style.read_record(subject, "agreement")["measured"]
    order, without = found["rank_correlation"], found["order_without_positions"]["no_positions"]
    published = whole_model(published_heads(style.DATA / "published"))
    main = style.read_record(subject, "attention_only")["measured"]["main_heads"]["attention"]
    figure, panels = plt.subplots(
        1, len(TITLES), figsize=(6.6, 2.6), sharey=True, layout="constrained"
    )
    for axes, (name, title) in zip(panels, TITLES.items(), strict=True):
        alone, whole = order["attention"][name], published[name]
        rest = [head for head in alone if head not in main]
        look = {"ms": 2.5, "color": "0.55", "mew": 0}
        axes.plot([alone[h] for h in rest], [whole[h] for h in rest], "o", **look)
        for place, (head, colour, mark) in enumerate(style.looks(main)):
            axes.plot(alone[head], whole[head], mark, ms=5, color=colour)
            axes.annotate(
                head, (alone[head], whole[head]), (-5, -9 if place == 1 else 2),
                textcoords="offset points",
                ha="right", fontsize=style.SMALL, color=colour, fontweight="bold",
                bbox={"fc": "white", "ec": "none", "alpha": 0.75, "pad": 0.3},
            )  # fmt: skip
        rho, low, high = (order["correlation"][name][end] for end in ("mean", "low", "high"))
        axes.set(xscale="log", yscale="log", xlabel="attention at -1, attention alone")
        axes.set_title(f"{title}\n{rho:.2f} [{low:.2f}, {high:.2f}]")
    panels[0].set_ylabel("attention at -1, whole model")
    found_of, floor_of = (
        style.shown(of[name] for name in TITLES)
        for of in ({n: c["mean"] for n, c in order["correlation"].items()}, without)
    )
    bound = style.bound("attention-only.published", "rank_correlation_intact")
    return style.Drawn(
        figure,
        f"Attention alone puts all {len(published['intact'])} heads in much the order that they "
        f"have in the whole model: rank correlation {found_of} (the claim asks for {bound:g}), "
        f"where no positions give {floor_of}. One point a head; the order agrees, the amounts do "
        "not. Above each panel: Spearman's correlation and its 95 % interval over heads.",
        f"Three scatters of heads on logarithmic axes, attention alone against the whole model: "
        f"clouds along a rising line, rank correlation {found_of}; the main heads "
        f"{', '.join(main)} stand near the top right.",
    )

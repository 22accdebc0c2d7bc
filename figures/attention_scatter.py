"""Attention alone against the whole model, one point a head."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

import style
from gpt2_helix.measure.agreement import whole_model
from gpt2_helix.models.config import MAIN_HEADS_OF_GPT2_SMALL
from gpt2_helix.suite.published import published_heads

NEEDS = ("agreement",)
CLAIMS = ("attention-only.published",)

TITLES = {
    "intact": "pictures, intact",
    "averaged": "pictures, averaged in tens",
    "notebook": "notebook, layers 0, 2, 4, 5",
}


def draw(subject: str) -> tuple[Figure, str]:
    """Draw a panel for each comparison, both axes logarithmic."""
    found = style.read_record(subject, "agreement")["measured"]["rank_correlation"]
    published = whole_model(published_heads(style.DATA / "published"))
    main = [str(head) for head in MAIN_HEADS_OF_GPT2_SMALL]
    figure, axes = plt.subplots(1, len(TITLES), figsize=(7.2, 2.9), layout="constrained")
    for panel, (name, title) in zip(axes, TITLES.items(), strict=True):
        alone, whole = found["attention"][name], published[name]
        rest = [head for head in alone if head not in main]
        panel.plot(
            [alone[h] for h in rest], [whole[h] for h in rest], "o", ms=3, color="0.45", mew=0
        )
        for head in main:
            if head in alone:
                panel.plot(alone[head], whole[head], "D", ms=5, color="#d55e00")
                panel.annotate(
                    head,
                    (alone[head], whole[head]),
                    xytext=(-5, 3),
                    textcoords="offset points",
                    ha="right",
                    fontsize=7,
                    bbox={"fc": "white", "ec": "none", "alpha": 0.7, "pad": 0.5},
                )
        rho, low, high = (found["correlation"][name][end] for end in ("mean", "low", "high"))
        panel.set(xscale="log", yscale="log", xlabel="attention alone")
        panel.set_title(f"{title}\nrank correlation {rho:.2f} [{low:.2f}, {high:.2f}]", fontsize=8)
    axes[0].set_ylabel("whole model, on text")
    return figure, (
        "Attention to the previous token, one point a head: through attention alone with random "
        "tokens, and in the whole model as published.\nSpearman's correlation with its 95% "
        "interval over pairs of draws of tokens."
    )

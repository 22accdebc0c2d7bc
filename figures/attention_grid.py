"""All heads: attention to the previous token, attention alone beside the whole model."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import style
from gpt2_helix.models.config import MAIN_HEADS_OF_GPT2_SMALL
from gpt2_helix.suite.published import published_heads

NEEDS = ("agreement",)
CLAIMS = ("attention-only.published",)


def draw(subject: str) -> tuple[Figure, str]:
    """Draw two grids of heads, one row a layer, each with its own scale."""
    found = style.read_record(subject, "agreement")["measured"]["rank_correlation"]
    published = published_heads(style.DATA / "published")
    alone = [found["attention"]["intact"][head] for head in published.heads]
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.5), layout="constrained")
    for panel, values, title in (
        (axes[0], np.array(alone), "attention alone, random tokens"),
        (axes[1], published.intact, "whole model, on text (published)"),
    ):
        image = panel.imshow(values.reshape(12, 12), cmap="viridis", vmin=0)
        for layer, head in MAIN_HEADS_OF_GPT2_SMALL:
            panel.add_patch(
                Rectangle((head - 0.5, layer - 0.5), 1, 1, fill=False, ec="#d55e00", lw=1.6)
            )
        panel.set(xlabel="head", ylabel="layer")
        panel.set_title(title, fontsize=9)
        panel.set_xticks(range(12))
        panel.set_yticks(range(12))
        panel.tick_params(labelsize=7)
        figure.colorbar(image, ax=panel, shrink=0.8, label="attention to the previous token")
    return figure, (
        "Mean attention to the previous token, positions 152 to 200. Right: measured on the "
        "pictures that the post's author published.\nFramed: the main previous-token heads that "
        "the post names. Each grid has its own scale."
    )

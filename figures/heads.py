"""Attention of every head to the previous token, intact and doctored in groups of ten."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import style

NEEDS = ("output",)
CLAIMS = ("heads.main-previous-token", "heads.survive-averaging")


def draw(subject: str) -> tuple[Figure, str]:
    """Draw two maps, layer by head, the main previous-token heads framed."""
    record = style.read_record(subject, "output")["measured"]
    maps = record["on_text"]["previous_token"]
    main = record["previous_token"]["intact"]
    figure, all_axes = plt.subplots(1, 2, figsize=(7.4, 3.6), layout="constrained")
    titles = {"intact": "intact", "average-10": "groups of 10"}
    for axes, (name, title) in zip(all_axes, titles.items(), strict=True):
        seen = np.array(maps[name])
        drawn = axes.imshow(seen, vmin=0, vmax=1, cmap="viridis", origin="upper")
        for head in main:
            layer, index = (int(part) for part in head.removeprefix("L").split("H"))
            frame = Rectangle((index - 0.5, layer - 0.5), 1, 1, fill=False, ec="#d55e00", lw=2)
            axes.add_patch(frame)
        axes.set(xlabel="head", ylabel="layer", title=title)
        axes.set_xticks(range(seen.shape[1]))
        axes.set_yticks(range(seen.shape[0]))
    figure.colorbar(drawn, ax=all_axes, label="attention to the previous token", shrink=0.8)
    doctored = record["previous_token"]["doctored"]
    each = ", ".join(f"{h} {main[h]:.2f} and {doctored[h]:.2f}" for h in main)
    return figure, f"Mean on text, the first token left out. Framed, intact and doctored: {each}."

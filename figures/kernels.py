"""Layer-0 attention fed positions alone, against distance, with and without the causal mask."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

import style

NEEDS = ("kernels",)
CLAIMS = ("kernels.local-heads", "kernels.causal-mask")


def draw(subject: str) -> tuple[Figure, str]:
    """Draw one line a group size: with the mask above, without it below, one column a head."""
    record = style.read_record(subject, "kernels")["measured"]["local_heads"]
    heads = list(record["kernel"])
    figure, axes = plt.subplots(
        2, len(heads), figsize=(7.2, 4.8), sharex="row", sharey="row", layout="constrained"
    )
    for column, head in enumerate(heads):
        for row, kernel in enumerate((record["kernel"], record["kernel_without_mask"])):
            for (name, seen), colour, marker in zip(
                kernel[head].items(), style.ramp(len(kernel[head])), style.MARKERS, strict=True
            ):
                behind = (
                    -np.arange(len(seen)) if row == 0 else np.arange(len(seen)) - len(seen) // 2
                )
                look = {"color": colour, "lw": 1, "ms": 3, "label": style.label(name)}
                axes[row, column].plot(behind, seen, f"-{marker}", **look)
        axes[0, column].set_title(head, fontsize=9)
        axes[0, column].set_xticks([-10, -5, 0])
        axes[1, column].set_xlabel("offset from the query")
        axes[1, column].axvline(0, color="0.8", lw=0.8, zorder=0)
    axes[0, 0].set_ylabel("attention, causal mask on")
    axes[1, 0].set_ylabel("attention, mask off")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        title="positions averaged in groups of",
        loc="outside upper center",
        ncols=6,
        frameon=False,
        fontsize=8,
        title_fontsize=8,
    )
    offset = record["offset_without_mask"]
    shown = max(
        sum(seen) for kernels in record["kernel_without_mask"].values() for seen in kernels.values()
    )
    return figure, (
        "Mean attention at each offset; negative is behind the query. Without the mask at most "
        f"{shown:.1%} of it falls on\nthe offsets shown: the heads look "
        + ", ".join(f"{offset[head]:.0f}" for head in heads)
        + f" tokens ahead on average ({', '.join(heads)}, intact positions)."
    )

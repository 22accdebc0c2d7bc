"""Layer-0 attention fed positions alone, against distance, with and without the causal mask."""

import matplotlib.pyplot as plt
import numpy as np

import style

NEEDS = ("kernels",)
CLAIMS = ("kernels.local-heads", "kernels.causal-mask")


def draw(subject: str) -> style.Drawn:
    """Draw one line a group size: with the mask above, without it below, one column a head."""
    record = style.read_record(subject, "kernels")["measured"]["local_heads"]
    heads = list(record["kernel"])
    figure, axes = plt.subplots(
        2, len(heads), figsize=(6.6, 4.0), sharex="row", sharey="row", squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for column, head in enumerate(heads):
        for row, kernel in enumerate((record["kernel"], record["kernel_without_mask"])):
            for (name, seen), colour, marker in zip(
                kernel[head].items(), style.ramp(len(kernel[head])), style.MARKERS, strict=True
            ):
                behind = (
                    -np.arange(len(seen)) if row == 0 else np.arange(len(seen)) - len(seen) // 2
                )
                said = "intact" if name == "intact" else style.label(name)
                look = {"color": colour, "lw": 1, "ms": 3, "label": said}
                axes[row, column].plot(behind, seen, f"-{marker}", **look)
        axes[0, column].set_title(head)
        axes[0, column].set_xticks([-10, -5, 0])
        axes[0, column].set_ylim(bottom=0)
        axes[1, column].set_ylim(bottom=0)
        axes[1, column].set_xlabel("offset from the query (tokens)")
        axes[1, column].axvline(0, color="0.8", lw=0.8, zorder=0)
    axes[0, 0].set_ylabel("attention, causal mask on")
    axes[1, 0].set_ylabel("attention, mask off")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, title="positions averaged in groups of", ncols=len(labels),
                  loc="outside upper center", title_fontsize=style.SMALL)  # fmt: skip
    offset = [record["offset_without_mask"][head] for head in heads]
    back = [record["look_back"][head] for head in heads]
    intact, at_100 = (
        style.shown((of[name] for of in back), ".1f") for name in ("intact", "average-100")
    )
    shown = max(
        sum(seen) for kernels in record["kernel_without_mask"].values() for seen in kernels.values()
    )
    ahead = style.shown(offset, ".0f")
    return style.Drawn(
        figure,
        f"Heads of layer 0 that look just behind ({', '.join(heads)}) fall off with distance, and "
        "the causal mask is what keeps them behind: fed positions alone they look back "
        f"{intact} tokens on average, in groups of 100 {at_100}; without the mask {ahead} tokens "
        f"ahead. At most {100 * shown:.1f} % of their attention without it is on the offsets shown "
        "below.",
        f"Two rows of {len(heads)} panels, attention against offset. With the mask, it falls off "
        f"from the query back over about ten tokens and flattens as groups grow (mean look-back "
        f"{intact} tokens intact, {at_100} in groups of 100). Without it, almost none of it is "
        f"near the query: it looks {ahead} tokens ahead.",
    )

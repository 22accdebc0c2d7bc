"""Probability of the first word of the pair, against the size of the groups."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

import style

NEEDS = ("repetition",)
CLAIMS = ("repetition.first-word", "repetition.survives-averaging", "repetition.same-group")


def draw(subject: str) -> tuple[Figure, str]:
    """Draw both orders, each offset a small mark, and how other pairs fare."""
    found = style.read_record(subject, "repetition")["measured"]["first_word"]
    figure, axes = plt.subplots(figsize=(4.8, 3.4), layout="constrained")
    sizes = [int(style.label(name)) for name in found["others"]]
    for (pair, by_name), (colour, dashes), marker in zip(
        found["probability"].items(), style.LINES, style.MARKERS, strict=False
    ):
        axes.plot(sizes, by_name.values(), marker, ls=dashes, color=colour, ms=5, label=pair)
        for name, offsets in found["by_offset"][pair].items():
            axes.plot(
                [int(style.label(name))] * len(offsets), offsets, "_", color=colour, ms=9, alpha=0.4
            )
    mean = [rate["mean"] for rate in found["others"].values()]
    axes.plot(sizes, mean, ":", color="0.45", lw=1.4, label="mean of other pairs")
    axes.axhline(0.99, color="0.7", lw=0.8)
    axes.set(
        xscale="log", xlabel="group size (1 is intact)", ylabel="probability of the first word"
    )
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_ylim(-0.03, 1.03)
    axes.legend(frameon=False, fontsize=8)
    n = found["others"]["intact"]["n"]
    return figure, (
        f"The first word stands at position {found['first_word_at']} of {found['n_tokens']}. "
        f"Dashes are other offsets of the groups;\ndotted is the mean over {n} other pairs, "
        "each order counted. The thin line is at 0.99."
    )

"""Probability of the first word of the pair, against the size of the groups."""

import matplotlib.pyplot as plt

import style

NEEDS = ("repetition",)
CLAIMS = ("repetition.first-word", "repetition.survives-averaging", "repetition.same-group")


def draw(subject: str) -> style.Drawn:
    """Draw both orders, each offset a small mark, and how other pairs fare."""
    measured = style.read_record(subject, "repetition")["measured"]
    found, others = measured["first_word"], measured["other_pairs"]["rate"]
    figure, axes = plt.subplots(figsize=(4.4, 2.8), layout="constrained")
    sizes = [int(style.label(name)) for name in others]
    for (pair, by_name), (colour, dashes), marker in zip(
        found["probability"].items(), style.LINES, style.MARKERS, strict=False
    ):
        axes.plot(sizes, by_name.values(), marker, ls=dashes, color=colour, ms=5, label=pair)
        for name, offsets in found["by_offset"][pair].items():
            axes.plot(
                [int(style.label(name))] * len(offsets), offsets, "_", color=colour, ms=9, alpha=0.4
            )
    mean = [rate["mean"] for rate in others.values()]
    axes.plot(sizes, mean, ":", color="0.45", lw=1.4, label="mean of other pairs")
    limit = style.bound("repetition.first-word", "probability")
    style.bounded(axes, limit, f"bound: {limit:g}", left=True)
    axes.set(xscale="log", xlabel="group size (positions)", ylabel="probability of the first word")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_ylim(-0.03, 1.03)
    axes.legend(loc="center right")
    by_name = found["probability"].values()
    intact, averaged = (
        style.shown((of[name] for of in by_name), ".3f") for name in ("intact", "average-20")
    )
    return style.Drawn(
        figure,
        f"Asked to repeat two words, the model gives the first {intact} intact and {averaged} in "
        f"groups of 20. The first word stands at position {found['first_word_at']} of "
        f"{found['n_tokens']}. Dashes: other offsets of the groups; dotted: mean over "
        f"{others['intact']['n']} other pairs, each order counted.",
        f"Probability of the first word against group size, one line an order: {intact} intact, "
        f"{averaged} in groups of 20; the bound is drawn at {limit:g}.",
    )

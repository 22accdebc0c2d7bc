"""Attention to the previous token through attention alone, against the size of the groups."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

import style
from gpt2_helix.suite.control_lists import WITHOUT_ORDER

NEEDS = (
    "attention_only",
    "sensitivity",
)
CLAIMS = (
    "attention-only.previous-token",
    "attention-only.survives-averaging",
    "attention-only.breaks-by-100",
)


def draw(subject: str) -> tuple[Figure, str]:
    """Draw one panel a head: its attention by group size, and what is left of it otherwise."""
    sweep = style.read_record(subject, "sensitivity")["measured"]["sweep"]
    record = style.read_record(subject, "attention_only")
    main = record["measured"]["main_heads"]
    heads = list(main["attention"])
    sizes = [int(size) for size in sweep["attention"]]
    figure, axes = plt.subplots(
        1, len(heads), figsize=(7.2, 2.8), sharey=True, squeeze=False, layout="constrained"
    )
    for panel, head, (colour, _) in zip(axes[0], heads, style.LINES, strict=True):
        found = [by_head[head] for by_head in sweep["attention"].values()]
        seen, low, high = ([of[end] for of in found] for end in ("mean", "low", "high"))
        panel.fill_between(sizes, low, high, color=colour, alpha=0.2, lw=0)
        panel.plot(sizes, seen, "-o", color=colour, ms=3, lw=1.2)
        broken = [
            record["controls"][name]["main_heads"]["attention"][head]["mean"]
            for name in WITHOUT_ORDER
        ]
        panel.axhspan(
            min(broken),
            max(broken),
            fc="none",
            ec="0.75",
            hatch="////",
            lw=0,
            label="broken positions",
        )
        panel.axhline(main["raw"][head], color="0.35", ls=":", lw=1.4, label="raw positions alone")
        if half := sweep["half_lost_at"][head]:
            at = (half, main["attention"][head]["mean"] / 2)
            panel.plot(*at, "x", color="black", ms=6)
            panel.annotate(
                f"half lost at {half:.0f}",
                at,
                xytext=(-4, -3),
                textcoords="offset points",
                ha="right",
                va="top",
                fontsize=7,
            )
        panel.set(xscale="log", title=head, xlabel="group size")
        panel.set_xticks([1, 10, 100, sizes[-1]], ["1", "10", "100", "all"])
        panel.minorticks_off()
    axes[0, 0].set_ylabel("attention to the previous token")
    axes[0, 0].set_ylim(0, 1.35 * max(found["mean"] for found in main["attention"].values()))
    axes[0, 0].legend(frameon=False, fontsize=7, loc="upper right")
    kept = record["measured"]["averaged"]["kept"]
    return figure, (
        "Through attention alone, position vectors averaged in groups, random token vectors; bands "
        "are 95% intervals over pairs of draws.\nKept of the sum over the heads: "
        + ", ".join(f"{share['mean']:.0%} at {style.label(name)}" for name, share in kept.items())
        + ".\nHatched: positions shuffled, reversed, removed, Gaussian, a random walk, sinusoids."
    )

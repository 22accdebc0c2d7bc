"""What averaging positions does to the output on text, against the size of the groups."""

import matplotlib.pyplot as plt

import style
from gpt2_helix.doctoring import group_size

NEEDS = ("output",)
CLAIMS = ("output.unchanged-to-20", "output.breaks-by-100")
PANELS = (
    ("loss_change", "loss change (nats)"),
    ("kl", "KL, intact to doctored (nats)"),
    ("same_top", "same top token (share)"),
)


def draw(subject: str) -> style.Drawn:
    """Draw one panel a measure, group sizes as a line and the ways to spoil positions beside it."""
    measured = style.read_record(subject, "output")["measured"]
    found = measured["on_text"]
    figure, all_axes = plt.subplots(1, 3, figsize=(6.6, 2.7), layout="constrained")
    colour, _ = style.LINES[1]
    for axes, (measure, label) in zip(all_axes, PANELS, strict=True):
        by_name = found[measure] | measured["beside"][measure]
        sizes = sorted(filter(group_size, by_name), key=lambda name: group_size(name) or 0)
        names = [*sizes, *(name for name in by_name if name not in sizes)]
        means = [by_name[name]["mean"] for name in names]
        errors = [
            [by_name[name]["mean"] - by_name[name]["low"] for name in names],
            [by_name[name]["high"] - by_name[name]["mean"] for name in names],
        ]
        axes.errorbar(range(len(names)), means, errors, fmt="o", color=colour, ms=4, capsize=2)
        axes.plot(range(len(sizes)), means[: len(sizes)], color=colour, lw=1)
        axes.set_xticks(range(len(names)), map(style.label, names), rotation=60)
        axes.set(xlabel="group size, or what was done", ylabel=label)
        if measure != "same_top":
            lowest = min(by_name[name]["low"] for name in names)
            axes.set_yscale("symlog", linthresh=0.01)
            axes.set_ylim(min(lowest, 0) - 0.005, 2 * max(means))
    change = {name: found["loss_change"][f"average-{name}"]["mean"] for name in (20, 100)}
    numbers = (
        f"{change[20]:.3f} nats a token in groups of 20 and {change[100]:.3f} in groups of 100"
    )
    return style.Drawn(
        figure,
        f"Averaging positions changes the loss on text by {numbers}, of "
        f"{found['loss']['mean']:.2f} intact. {found['n_windows']} windows of {found['n_tokens']} "
        "tokens; bars are 95 % bootstrap intervals over windows.",
        "Three panels, loss change, divergence and share of the same first choice, against group "
        f"size and beside it shuffled and absent positions: the loss changes by {numbers}.",
    )

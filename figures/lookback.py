"""How far behind the query the layer-0 heads look, against the size of the groups averaged."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

import style

NEEDS = ("kernels",)
CLAIMS = ("kernels.averaging",)


def draw(subject: str) -> tuple[Figure, str]:
    """Draw one line a head, beside what a head would do that sees a group as one."""
    look_back = style.read_record(subject, "kernels")["measured"]["local_heads"]["look_back"]
    figure, axes = plt.subplots(figsize=(4.6, 3.4), layout="constrained")
    for (head, by_name), (colour, dashes), marker in zip(
        look_back.items(), style.LINES, style.MARKERS, strict=False
    ):
        sizes = [int(style.label(name)) for name in by_name]
        axes.plot(
            sizes, by_name.values(), marker, ls=dashes, color=colour, ms=4.5, lw=1.2, label=head
        )
    # Equal attention to all of one's own group so far: r/2 at place r, on average (k - 1)/4.
    even = np.array(sizes[1:])
    axes.plot(even, (even - 1) / 4, ":", color="0.45", lw=1.4, label="own group alone, evenly")
    axes.set(xscale="log", yscale="log", xlabel="group size", ylabel="mean look-back (tokens)")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8)
    furthest = {name: max(by_head[name] for by_head in look_back.values()) for name in by_name}
    at = ", ".join(f"{tokens:.1f} at {style.label(name)}" for name, tokens in furthest.items())
    return figure, f"Of the head that looks furthest, in tokens by group size:\n{at}."

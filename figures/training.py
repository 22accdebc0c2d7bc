"""How training went: what the models trained here could do, against the number of steps."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

import style
from gpt2_helix.models.shipped import SEEDS

NEEDS = ("helix",)
CLAIMS = ("repetition.first-word",)
SUBJECTS = SEEDS["mini"]
PANELS = (
    ("text_loss", "loss on held-out text (nats)"),
    ("copying", "random strings copied (share)"),
    ("first_word", "probability of the first word"),
)


def draw(*subjects: str) -> tuple[Figure, str]:
    """Draw one panel a measure and one line a seed."""
    figure, all_axes = plt.subplots(1, 3, figsize=(8.4, 2.8), layout="constrained")
    for subject, (colour, dashes) in zip(subjects, style.LINES, strict=False):
        curve = style.read_table(subject, "model/training.csv")
        for axes, (measure, label) in zip(all_axes, PANELS, strict=True):
            axes.plot(curve["step"], curve[measure], ls=dashes, color=colour, label=subject)
            axes.set(xlabel="step", ylabel=label)
    for axes in all_axes[1:]:
        axes.set_ylim(-0.03, 1.03)
    all_axes[0].legend(frameon=False, fontsize=8)
    return figure, (
        "Training of each seed, looked at on text that is never trained on, on the second half "
        "of random strings said twice,\nand on the repetition prompt with other pairs of words."
    )

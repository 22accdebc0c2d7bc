"""Every model that is here side by side: the shape of positions, and the kernels of layer 0."""

from matplotlib.figure import Figure

import style
from gpt2_helix.survey_figure import figure_of
from gpt2_helix.survey_rows import read_table

NEEDS = ("helix", "kernels")
CLAIMS = (
    "helix.three-components",
    "helix.axis",
    "helix.not-phantom",
    "kernels.local-heads",
    "kernels.averaging",
)
"""As many as can be read in one row; the table beside it has more."""


def draw(subject: str) -> tuple[Figure, str]:
    """Draw the survey of models."""
    rows = read_table(style.DATA / "survey.csv")
    figure = figure_of([row.of_claims(CLAIMS) for row in rows])
    assert figure
    return figure, (
        "The number that each claim bounds first, on each model; the dashed line is its bound. A "
        "dot is filled where the claim is confirmed\non the model itself, its controls left out; "
        "no dot: blocked. Written by gpt2-helix survey."
    )

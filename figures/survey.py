"""Every model that is here side by side: the shape of positions, and the kernels of layer 0."""

from dataclasses import replace

from matplotlib.figure import Figure

import style
from gpt2_helix.survey_figure import figure_of
from gpt2_helix.survey_rows import Row, read_table

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
    figure = figure_of(list(map(_of_claims, read_table(style.DATA / "survey.csv"))))
    assert figure
    return figure, (
        "The number that each claim bounds first, on each model; the dashed line is its bound. A "
        "dot is filled where the claim is confirmed\non the model itself, its controls left out; "
        "no dot: blocked. Written by gpt2-helix survey."
    )


def _of_claims(row: Row) -> Row:
    """The row with what was found for these claims alone."""
    verdicts = {claim: found for claim, found in row.verdicts.items() if claim in CLAIMS}
    numbers = {
        name: found for name, found in row.numbers.items() if name.partition(":")[0] in CLAIMS
    }
    return replace(row, verdicts=verdicts, numbers=numbers)

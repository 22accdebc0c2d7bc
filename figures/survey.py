"""Every model that is here side by side: the shape of its positions."""

from dataclasses import replace

import style
from gpt2_helix.survey_figure import figure_of
from gpt2_helix.survey_rows import Row, read_table

NEEDS = ("helix",)
CLAIMS = (
    "helix.three-components",
    "helix.axis",
    "helix.not-phantom",
    "helix.neighbours",
)
"""As many as can be read in one row; the table beside it has more."""


def draw(subject: str) -> style.Drawn:
    """Draw the survey of models."""
    rows = list(map(_of_claims, read_table(style.DATA / "survey.csv")))
    figure = figure_of(rows)
    assert figure
    figure.set_size_inches(6.6, figure.get_size_inches()[1])
    holds = [row.group for row in rows if set(row.verdicts.values()) <= {"confirmed", "described"}]
    named = ", ".join(holds) or "none"
    return style.Drawn(
        figure,
        f"Of {len(rows)} models, all of these claims hold on: {named}. The number that each claim "
        "bounds first, on each model; the dashed line is its bound. A dot is filled where the "
        "claim holds on the model itself, its controls left out; no dot: blocked. Written "
        "by gpt2-helix survey.",
        f"A row for each of {len(rows)} models and a panel for each of {len(CLAIMS)} claims, a dot "
        f"for the number found beside the bound. All claims hold on: {named}.",
    )


def _of_claims(row: Row) -> Row:
    """The row with what was found for these claims alone."""
    verdicts = {claim: found for claim, found in row.verdicts.items() if claim in CLAIMS}
    numbers = {
        name: found for name, found in row.numbers.items() if name.partition(":")[0] in CLAIMS
    }
    return replace(row, verdicts=verdicts, numbers=numbers)

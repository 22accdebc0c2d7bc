"""The main previous-token heads, and whether they keep working when positions are averaged.

Which heads these are is the post's word for GPT-2 small: L2H2, L3H3 and L4H11. A model built for
testing names its own in its configuration. None of the tolerances was tuned on GPT-2.
"""

import pytest

from gpt2_helix.claim import Measured, Subject
from gpt2_helix.measure import output


@pytest.mark.claim(
    "heads.main-previous-token",
    statement="previous-token",
    post="Introduction: A mystery about previous-token heads",
    needs="F",
    tolerance={"previous_token": ">= 0.5", "lead": "> 0"},
    why="Pre-registered: a previous-token head gives the previous token half of its attention or "
    "more; to be the main ones they must stand before all others.",
    refuted_by=["untrained"],
)
def test_main_previous_token(subject: Subject, measured: Measured) -> None:
    """L2H2, L3H3 and L4H11 attend to the previous token on text, more than any other head."""
    found = subject.measure(output.previous_token)
    lead = min(found.intact.values()) - found.best_other
    assert measured(previous_token=found.intact, lead=lead)


@pytest.mark.claim(
    "heads.survive-averaging",
    statement="previous-token",
    post="Introduction: A mystery about previous-token heads",
    needs="F",
    tolerance={"intact": ">= 0.5", "kept": ">= 0.8"},
    why="Pre-registered: four fifths of what it was is a head that still does its work; and it "
    "must have done it.",
    refuted_by=["exact-positions", "untrained"],
)
def test_survive_averaging(subject: Subject, measured: Measured) -> None:
    """Doctored in groups of ten, the three keep most of their attention to the previous token."""
    found = subject.measure(output.previous_token)
    kept = {head: found.doctored[head] / found.intact[head] for head in found.intact}
    assert measured(intact=found.intact, kept=kept)

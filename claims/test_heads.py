"""The main previous-token heads, and whether they keep working when positions are averaged.

Which heads these are is the post's word for GPT-2 small: L2H2, L3H3 and L4H11. A model built for
testing names its own in its configuration. None of the tolerances was tuned on GPT-2.
"""

import pytest

from gpt2_helix.measure import output
from gpt2_helix.subjects import Subject
from gpt2_helix.verdicts import Measured

ATTENDS = 0.5


@pytest.mark.claim(
    "heads.main-previous-token",
    post="The figures of attention patterns, intact and averaged",
    needs="F",
    tolerance={"previous_token": f">= {ATTENDS}", "lead": "> 0"},
    why="Pre-registered: a previous-token head gives the previous token half of its attention or "
    "more; to be the main ones they must stand before all others.",
    refuted_by=["untrained"],
)
def test_main_previous_token(subject: Subject, measured: Measured) -> None:
    """L2H2, L3H3 and L4H11 attend to the previous token on text, more than any other head."""
    found = subject.measure(output.previous_token)
    lead = min(found.intact.values()) - found.best_other
    measured(previous_token=found.intact, lead=lead)
    assert all(attention >= ATTENDS for attention in found.intact.values())
    assert lead > 0


KEPT = 0.8


@pytest.mark.claim(
    "heads.survive-averaging",
    post="The experiment with averaged embeddings",
    needs="F",
    tolerance={"intact": f">= {ATTENDS}", "kept": f">= {KEPT}"},
    why="Pre-registered: four fifths of what it was is a head that still does its work; and it "
    "must have done it.",
    refuted_by=["exact-positions", "untrained"],
)
def test_survive_averaging(subject: Subject, measured: Measured) -> None:
    """Doctored in groups of ten, the three keep most of their attention to the previous token."""
    found = subject.measure(output.previous_token)
    kept = {head: found.doctored[head] / found.intact[head] for head in found.intact}
    measured(intact=found.intact, kept=kept)
    assert all(attention >= ATTENDS for attention in found.intact.values())
    assert all(share >= KEPT for share in kept.values())

"""Whether the main previous-token heads live on extended positional embeddings.

The extended positional embedding of a position is what early layers make of it whatever the tokens:
the mean of the residual stream over draws of random tokens, through attention alone. The bounds
were set after exploring GPT-2 small, so on that model they describe; on every other model they
test.

Where nobody named the heads of a model, they are those with most attention to the previous token
when they are fed everything. That settles no bound here: a tenth must still be reached, and finding
does not feed extended embeddings or content alone.
"""

import pytest

from gpt2_helix.judging.claim import Measured, Subject
from gpt2_helix.measure import attention_only, extended
from gpt2_helix.suite.control_lists import BREAK_ATTENTION_ALONE

ATTENDS = {"attention": ">= 0.1"}
WHY_ATTENDS = "A tenth is what these heads stay below when they are fed raw positions."
EXPLORED = "Set after exploring GPT-2 small."


@pytest.mark.claim(
    "extended.enough",
    statement="extended",
    post="Concept: extended positional embeddings",
    needs="A",
    tolerance={"from_extended": ">= 0.5", "from_content": "<= 0.25", **ATTENDS},
    why=f"{WHY_ATTENDS} Most of it is more than half. {EXPLORED}",
    refuted_by=BREAK_ATTENTION_ALONE,
)
def test_enough(subject: Subject, measured: Measured) -> None:
    """Fed extended positional embeddings alone each keeps most of it; fed content alone, little."""
    assert measured(attention=subject.measure(attention_only.main_heads).attention)
    found = subject.measure(extended.fed)
    assert measured(from_extended=found.kept_from_extended, from_content=found.kept_from_content)


@pytest.mark.claim(
    "extended.survives-averaging",
    statement="extended",
    post="Early previous-token heads: how do they work?",
    needs="A",
    tolerance={
        "kept_20": ">= 0.85",
        "kept_10": ">= 0.85",
        "kept_5": ">= 0.85",
        "kept_100": "<= 0.75",
        **ATTENDS,
    },
    why=f"{WHY_ATTENDS} {EXPLORED}",
    refuted_by=BREAK_ATTENTION_ALONE,
)
def test_survives_averaging(subject: Subject, measured: Measured) -> None:
    """Extended positional embeddings of positions averaged in groups up to 20 serve as well."""
    assert measured(attention=subject.measure(attention_only.main_heads).attention)
    kept = subject.measure(extended.fed_averaged).kept
    assert measured(**{f"kept_{k}": kept[f"average-{k}"] for k in (5, 10, 20, 100)})

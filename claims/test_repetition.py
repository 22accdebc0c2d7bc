"""Asked to repeat a pair of words, the model is sure of the first, doctored or not.

The prompt is twenty exchanges in which a random string of words is repeated, then the pair's own;
it ends on the opening quote of the answer. A variant of a word counts as the word: its plural, or
a prefix of three letters or more. None of the tolerances was tuned on GPT-2.
"""

import pytest

from gpt2_helix.judging.claim import Measured, Subject
from gpt2_helix.measure import repetition

pytestmark = pytest.mark.whole_model


@pytest.mark.claim(
    "repetition.first-word",
    statement="repeats",
    post="Introduction: A mystery about previous-token heads",
    needs="F",
    tolerance={"probability": "> 0.99"},
    set="before",
    why="The post's own number.",
    refuted_by=["shuffled-rows", "untrained"],
)
def test_first_word(subject: Subject, measured: Measured) -> None:
    """Asked for "apple orange" it says apple, asked for "orange apple" it says orange."""
    assert measured(probability=subject.measure(repetition.intact))


SMALL = ("average-5", "average-10", "average-20")


@pytest.mark.claim(
    "repetition.survives-averaging",
    statement="repeats",
    post="Introduction: A mystery about previous-token heads",
    needs="F",
    presumes={"intact": "> 0.99"},
    tolerance={"probability": "> 0.99"},
    set="before",
    why="The post's own number, which the intact model must reach. A model that finds the word "
    "before by its position could not tell which of two words in one group came first.",
    refuted_by=["shuffled-rows", "exact-positions", "untrained"],
)
def test_survives_averaging(subject: Subject, measured: Measured) -> None:
    """Doctored in groups of 5, 10 and 20 it is as sure, in the worse of the two orders."""
    assert measured(intact=min(subject.measure(repetition.intact).values()))
    found = subject.measure(repetition.first_word)
    assert measured(probability={k: repetition.lower_of_orders(found)[k] for k in SMALL})


@pytest.mark.claim(
    "repetition.same-group",
    statement="repeats",
    post="Introduction: A mystery about previous-token heads",
    needs="F",
    presumes={"intact": "> 0.99"},
    tolerance={
        "rows_equal": "== 1",
        "border_effect": "<= 0.01",
        "lowest_at_any_offset": "> 0.99",
    },
    set="before",
    why="Only two words with one and the same doctored row put the argument to the test; that the "
    "rows are equal follows from where the prompt puts the words, and is checked. If the "
    "model is sure at every offset, a border between the words can make no more difference than "
    "the hundredth that being sure leaves.",
    refuted_by=["shuffled-rows", "exact-positions", "untrained"],
)
def test_same_group(subject: Subject, measured: Measured) -> None:
    """Both words share a row, and it makes no difference whether a border falls between them."""
    assert measured(intact=min(subject.measure(repetition.intact).values()))
    found = subject.measure(repetition.first_word)
    border_effect = repetition.border_effect(found)
    lowest = min(
        p for by_size in found.by_offset.values() for offsets in by_size.values() for p in offsets
    )
    assert measured(
        rows_equal=found.rows_equal,
        border_effect=border_effect,
        lowest_at_any_offset=lowest,
        first_word_at=found.first_word_at,
    )

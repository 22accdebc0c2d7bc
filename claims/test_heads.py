"""The main previous-token heads, and whether they keep working when positions are averaged.

Which heads these are is the post's word for GPT-2 small: L2H2, L3H3 and L4H11. Another model names
its own in its configuration; where it names none, they are found through attention alone, on random
tokens. That settles no bound here: what they do in the whole model, on text, and where they stand
there among all heads, finding does not look at. Where the whole model is not available, the claims
are judged on what others published of GPT-2 small: pictures of its attention on one text.

The first version of these claims asked for a mean attention of 0.5, more than that of any other
head. It was replaced after the author's pictures had been measured, and before GPT-2 small was run
on any text here. On the pictures, L3H3 gives about half of its attention to tokens that they do not
show, ``<|endoftext|>`` or those before the window, so its mean says little about what it does with
the rest; and the post calls these heads the main ones, not the strongest. So on the pictures the
bounds describe. They test on other models, on the exact patterns of a notebook that others
published (``--subject published:notebook``), and on GPT-2 small once it is run.
"""

import pytest

from gpt2_helix.judging.claim import Measured, Subject
from gpt2_helix.measure import heads


@pytest.mark.claim(
    "heads.main-previous-token",
    statement="previous-token",
    post="Introduction: A mystery about previous-token heads",
    needs="D",
    tolerance={"share": ">= 0.5", "in_first_tenth": "== 1"},
    why="A previous-token head prefers the previous token for most queries, <|endoftext|> aside, "
    "where heads rest; the main ones are among the first tenth of all heads in this, and there is "
    "always room for those that are named. Set after the author's pictures were measured.",
    refuted_by=["shuffled-rows", "untrained"],
    refuted_by_published=["heads-in-random-order"],
)
def test_main_previous_token(subject: Subject, measured: Measured) -> None:
    """For most queries L2H2, L3H3 and L4H11 prefer the previous token, as few other heads do."""
    found = subject.measure(heads.main_heads)
    places = max(len(found.rank), found.n_heads // 10)
    in_first_tenth = {head: rank <= places for head, rank in found.rank.items()}
    assert measured(
        share=found.share,
        in_first_tenth=in_first_tenth,
        rank=found.rank,
        heads=found.n_heads,
        attention=found.attention,
    )


@pytest.mark.claim(
    "heads.survive-averaging",
    statement="previous-token",
    post="Introduction: A mystery about previous-token heads",
    needs="D",
    tolerance={"kept_share": ">= 0.8", "kept_attention": ">= 0.8", "share": ">= 0.5"},
    why="A head that keeps four fifths of what it did still does its work; and it must have done "
    "it. Set after the author's pictures were measured.",
    refuted_by=["shuffled-rows", "exact-positions", "untrained"],
    refuted_by_published=["heads-in-random-order", "averaged-shifted"],
)
def test_survive_averaging(subject: Subject, measured: Measured) -> None:
    """Averaged in groups of ten, the three still prefer the previous token, and as strongly."""
    found = subject.measure(heads.survival)
    assert measured(
        share=found.share,
        kept_share=found.kept_share,
        kept_attention=found.kept_attention,
        attention=found.attention,
    )

"""Positions are stored, one row each, and no table of sinusoids.

That they were learned cannot be seen in a matrix. What is tested is that the model stores them, and
that the formula of Vaswani et al. (2017) does not give them; another formula might.
"""

import pytest

from gpt2_helix.judging.claim import Measured, Subject
from gpt2_helix.measure import positions


@pytest.mark.claim(
    "positions.learned-1024",
    statement="learned",
    post="Introduction: A mystery about previous-token heads",
    needs="P",
    about="gpt2",
    tolerance={
        "positions": "== 1024",
        "d_model": "== 768",
        "beyond_sinusoids": ">= 0.01",
    },
    set={"positions": "before", "d_model": "before", "beyond_sinusoids": "after"},
    why="A table is reproduced by its formula to rounding, far below a thousandth of its variance "
    "when the frequencies are searched for; a hundredth left over is a table no longer. The "
    "search admits any base, scale and order of columns.",
    refuted_by=["sinusoidal", "minilm"],
)
def test_learned_1024(subject: Subject, measured: Measured) -> None:
    """W_pos is a stored (1024, 768) parameter that no table of sinusoids reproduces."""
    found = subject.measure(positions.learned)
    assert measured(
        positions=found.positions,
        d_model=found.d_model,
        beyond_sinusoids=found.beyond_sinusoids,
        first_row_norm=found.first_row_norm,
        last_row_norm=found.last_row_norm,
        median_row_norm=found.median_row_norm,
    )

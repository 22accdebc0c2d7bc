"""The smallest suite: `python -m pytest -p gpt2_helix.judging.plugin -p dice dice.py`."""

from collections.abc import Callable
from statistics import fmean
from typing import Any

import pytest

from gpt2_helix.judging.claim import Measured, Subject
from gpt2_helix.judging.suite import Statement, Suite

ROLLS = {"fair": [1, 2, 3, 4, 5, 6], "loaded": [6, 6, 6, 5, 6, 6]}


class Die(Subject):
    def __init__(self, name: str) -> None:
        self.name = name
        self.digests = {"rolls": str(ROLLS[name])}

    def measure(self, measurement: Callable[..., Any]) -> Any:
        return measurement(ROLLS[self.name])


def pytest_judging_suite(config: pytest.Config) -> Suite:
    return Suite(
        statements={"fair": Statement("The die is fair.", ["its mean is {die.mean/mean:.1f}"])},
        open=lambda: Die("fair"),
        control=lambda die, name: Die(name),
    )


@pytest.mark.claim(
    "die.mean",
    statement="fair",
    post="Rules of the game",
    needs="rolls",
    tolerance={"mean": "<= 4"},
    set="before",
    why="Six equal faces have a mean of 3.5; half a point is left to chance.",
    refuted_by=["loaded"],
)
def test_mean(subject: Subject, measured: Measured) -> None:
    """The mean of its rolls is hardly above that of six equal faces."""
    assert measured(mean=subject.measure(fmean))

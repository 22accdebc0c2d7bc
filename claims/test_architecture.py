"""What GPT-2 small is made of."""

import pytest

from gpt2_helix.judging.claim import Measured, Subject
from gpt2_helix.measure import architecture


@pytest.mark.claim(
    "architecture.144-heads",
    statement="heads",
    post="Introduction: A mystery about previous-token heads",
    needs="config",
    about="gpt2",
    tolerance={"layers": "== 12", "heads_a_layer": "== 12", "heads": "== 144"},
    set="before",
    why="A count is exact.",
    refuted_by=["minilm", "medium-size"],
)
def test_144_heads(subject: Subject, measured: Measured) -> None:
    """Twelve layers of twelve attention heads."""
    found = subject.measure(architecture.heads)
    assert measured(layers=found.layers, heads_a_layer=found.heads_a_layer, heads=found.heads)

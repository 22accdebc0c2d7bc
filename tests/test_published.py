"""What others published of the whole GPT-2 small, as it is recorded."""

import numpy as np
import pytest

from gpt2_helix.published.attention import read_previous_token
from support import ROOT


def test_the_record_has_every_head_of_both_sources() -> None:
    found = read_previous_token(ROOT / "data")
    assert found.heads == [f"L{i}H{j}" for i in range(12) for j in range(12)]
    assert found.notebook_heads == [f"L{i}H{j}" for i in (0, 2, 4, 5) for j in range(12)]
    assert found.intact[found.heads.index("L4H11")] == pytest.approx(0.975, abs=5e-4)
    assert found.averaged[found.heads.index("L4H11")] == pytest.approx(0.974, abs=5e-4)
    assert found.notebook[found.notebook_heads.index("L4H11")] > 0.99
    for values in (found.intact, found.averaged, found.notebook):
        assert ((values >= 0) & (values <= 1)).all()
        assert np.ptp(values) > 0.9

"""The spread of the mean stream around layer 0, where it is known."""

from dataclasses import replace

import numpy as np
import pytest

from gpt2_helix import doctoring
from gpt2_helix.judging.errors import NothingToMeasureError
from gpt2_helix.measure import layer_0
from test_cause import OUT, QUERIES, model, without
from tiny_models import random_model


def test_what_pairs_share_counts_and_what_differs_between_them_does_not() -> None:
    draw = np.random.default_rng(0)
    curve = draw.standard_normal((90, 8))
    curve -= curve[QUERIES].mean(axis=0)
    pairs = curve + 5 * draw.standard_normal((400, 90, 8))
    found = layer_0.variance(pairs, QUERIES, doctoring.AVERAGE_ALL)
    known = (curve[QUERIES] ** 2).mean()
    assert found.low < known < found.high
    assert abs(found.mean - known) < 0.1 * known
    noise = layer_0.variance(pairs - curve, QUERIES, doctoring.AVERAGE_ALL)
    assert noise.low < 0 < noise.high
    assert layer_0.variance(pairs * 0 + 3, QUERIES, doctoring.AVERAGE_ALL).mean == 0


def test_an_idle_layer_leaves_positions_as_they_are() -> None:
    found = without(OUT.format(0)).measure(layer_0.spread)
    rows = random_model().model.W_pos[21 : model().attention_alone.positions].astype(float)
    known = rows.var(axis=0).mean()
    assert found.intact["0"].mean == pytest.approx(known, rel=1e-3)
    assert found.intact["1"] == found.intact["1, no mask in layer 0"] == found.intact["0"]
    for within in found.within_averaged.values():
        assert within.mean == pytest.approx(0, abs=1e-9)


def test_a_busy_layer_makes_something_of_averaged_positions_with_its_mask() -> None:
    subject = model()
    found = layer_0.spread(subject.attention_alone, doctorings=("average-20",))
    assert found.intact["1"].mean != found.intact["0"].mean
    assert found.within_averaged["average-20"].mean > 1e-4 * found.within_intact["average-20"].mean


def test_a_model_of_one_layer_has_nothing_behind_it() -> None:
    alone = model().attention_alone
    config = replace(alone.runner.config, n_layer=1)
    with pytest.raises(NothingToMeasureError, match="layer 0 is the last"):
        layer_0.spread(replace(alone, runner=type("One", (), {"config": config})()))

"""The whole model asked what attention alone is asked, where the two must agree and where not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gpt2_helix import doctoring
from gpt2_helix.judging.records import load
from gpt2_helix.models import gpt2, on_text
from gpt2_helix.models.config import Head, config_from
from gpt2_helix.models.interventions import silence
from gpt2_helix.models.model import Model
from gpt2_helix.models.readings import Readings
from gpt2_helix.suite.live import Live
from gpt2_helix.texts import TextInputs
from support import ROOT

SIZES = {"n_layer": 3, "n_head": 2, "n_embd": 16, "n_positions": 64, "vocab_size": 30}
HEADS = (Head(0, 1), Head(2, 0))
WINDOWS = np.random.default_rng(1).integers(0, 30, (16, 40))


def random_model(*, mlps: bool, **changes: Any) -> Live:
    config = config_from({"model_type": "gpt2", "layer_norm_epsilon": 1e-5, **SIZES}, "test")
    config = replace(config, previous_token_heads=HEADS, **changes)
    rng = np.random.default_rng(0)
    tensors = {
        name: (0.5 * rng.standard_normal(shape)).astype(np.float32)
        * (mlps or not name.endswith("mlp.c_proj.weight"))
        for name, shape in gpt2.shapes(config).items()
    }
    return Live("random", Model("random", config, tensors), TextInputs())


def whole(subject: Live) -> Readings:
    model = subject.model
    return Readings(model.runner, model.attention, model.W_pos, WINDOWS, slice(1, 40), pair=1)


def alone(subject: Live) -> Readings:
    """Fed the embeddings of the same tokens."""
    vectors = subject.model.tensor("wte.weight", (30, 16))[WINDOWS]
    return replace(subject.attention_alone, tokens=vectors, pair=1, _known={})


@pytest.mark.parametrize("scores_over_layer", [False, True])
@pytest.mark.parametrize("name", ["intact", "average-5"])
def test_without_mlp_matrices_it_is_attention_alone(name: str, scores_over_layer: bool) -> None:
    subject = random_model(mlps=False, scores_over_layer=scores_over_layer)
    intact = whole(subject).doctored(name, HEADS)
    less = {layer: stream[0] for layer, stream in intact.entering.items()}
    W_pos = doctoring.doctor(subject.model.W_pos, name)
    for changes in ({}, {"hooks": [silence(0)]}, {"without": less}):
        mine, theirs = (m.read(W_pos, HEADS, **changes) for m in (whole(subject), alone(subject)))
        np.testing.assert_allclose(mine.previous, theirs.previous, atol=1e-5)
        for layer, stream in mine.entering.items():
            np.testing.assert_allclose(stream, theirs.entering[layer], atol=1e-4)
        assert not changes or np.nanmax(np.abs(mine.previous - intact.previous)) > 0.01


def test_with_them_heads_are_those_of_the_model_that_is_run() -> None:
    subject = random_model(mlps=True)
    found = whole(subject).doctored("average-5", HEADS)
    assert len(found.previous) == len(WINDOWS)
    tables = subject.model.runner.tables([doctoring.doctor(subject.model.W_pos, "average-5")])
    for window, previous in zip(WINDOWS, found.previous, strict=True):
        patterns = on_text.patterns(subject.model.runner, window, tables, HEADS)[0]
        expected = np.diagonal(patterns, -1, axis1=1, axis2=2)
        np.testing.assert_allclose(previous[:, 1:], expected, atol=1e-5)
    other = alone(subject).doctored("average-5", HEADS)
    assert np.nanmax(np.abs(other.previous - found.previous)) > 0.01
    assert whole(subject).every_head("average-5").shape == (16, 6, 40)


@pytest.mark.parametrize("name", ["mini", "text"])
def test_what_is_recorded_of_trained_models_goes_the_way_of_their_attention_alone(
    name: str,
) -> None:
    """On text too the heads of `mini` need exact positions, and those of `text` do not."""
    for family in ("attention_only", "attention_whole"):
        record = load(ROOT / f"data/{name}/{family}.json")
        for kept in record.measured["averaged"]["kept"]["average-20"].values():
            assert (kept["mean"] > 0.75) == (name == "text")
            assert (kept["mean"] < 0.1) == (name == "mini")


@pytest.mark.parametrize("name", ["mini", "text"])
def test_interventions_are_recorded_on_text_as_through_attention_alone(name: str) -> None:
    """The heads of `mini` read exact positions, which three components do not hold."""
    for family in ("cause", "attention_whole"):
        measured = load(ROOT / f"data/{name}/{family}.json").measured
        for kept in measured["direct_path"]["kept"].values():
            assert kept["mean"] < (0.1 if name == "mini" else 0.5)
        for kept in measured["three_components"]["kept"].values():
            assert (kept["mean"] > 0.75) == (name == "text")

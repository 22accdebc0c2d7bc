"""The whole model asked what attention alone is asked, where the two must agree and where not."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float, Int

from gpt2_helix import doctoring
from gpt2_helix.judging.records import RecordedSubject
from gpt2_helix.measure import attention_only, attention_whole
from gpt2_helix.models import gpt2
from gpt2_helix.models.attention_alone import Found, Vocabulary
from gpt2_helix.models.config import Head, config_from
from gpt2_helix.models.model import Model
from gpt2_helix.models.whole_model import WholeModel
from support import ROOT

SIZES = {"n_layer": 3, "n_head": 2, "n_embd": 16, "n_positions": 40, "vocab_size": 30}
HEADS = (Head(0, 1), Head(2, 0))
WINDOWS = np.random.default_rng(1).integers(0, 30, (16, 40))


@dataclass(frozen=True, eq=False)
class Said(Vocabulary):
    """The tokens of the windows, one window a draw."""

    def draw(self, number: int, positions: int, d_model: int) -> Float[np.ndarray, "position d"]:
        return self.W_E[WINDOWS[number]]


def random_model(*, mlps: bool, **changes: Any) -> Model:
    config = config_from({"model_type": "gpt2", "layer_norm_epsilon": 1e-5, **SIZES}, "test")
    config = replace(config, previous_token_heads=HEADS, **changes)
    rng = np.random.default_rng(0)
    tensors = {
        name: (0.5 * rng.standard_normal(shape)).astype(np.float32)
        * (mlps or not name.endswith("mlp.c_proj.weight"))
        for name, shape in gpt2.shapes(config).items()
    }
    return Model("random", config, tensors, digests={})


def whole(model: Model, windows: Int[np.ndarray, "window position"] = WINDOWS) -> WholeModel:
    return WholeModel(model.attention_alone, model.runner, windows)


def said(model: Model) -> Said:
    return Said(model.tensor("wte.weight", (30, 16)), first=0)


def same(one: Found, other: Found) -> None:
    np.testing.assert_allclose(one.previous[..., 1:], other.previous[..., 1:], atol=1e-5)
    for layer, parts in one.entering.items():
        means = parts.reshape(len(other.entering[layer]), -1, *parts.shape[1:]).mean(axis=1)
        np.testing.assert_allclose(means, other.entering[layer], atol=1e-4)


@pytest.mark.parametrize("scores_over_layer", [False, True])
@pytest.mark.parametrize("name", ["intact", "average-5"])
def test_without_mlp_matrices_it_is_attention_alone(name: str, scores_over_layer: bool) -> None:
    model = random_model(mlps=False, scores_over_layer=scores_over_layer)
    alone, tokens = model.attention_alone, said(model)
    of_whole, of_alone = (m.doctored(name, HEADS, tokens, 16) for m in (whole(model), alone))
    same(of_whole, of_alone)
    without = {0: of_alone.entering[0][0], 2: of_alone.entering[2][0]}
    for changes in ({"silent_layers": (0,)}, {"without": without}):
        mine, theirs = (m.changed(HEADS, tokens, 16, **changes) for m in (whole(model), alone))
        np.testing.assert_allclose(mine[..., 1:], theirs[..., 1:], atol=1e-5)
        assert np.abs(mine - of_whole.previous)[..., 1:].max() > 0.01


def test_with_them_heads_are_those_of_the_model_that_is_run() -> None:
    model = random_model(mlps=True)
    found = whole(model).doctored("average-5", HEADS, said(model), 128)
    assert len(found.previous) == len(WINDOWS)
    tables = model.runner.tables([doctoring.doctor(model.W_pos, "average-5")])
    for window, previous in zip(WINDOWS, found.previous, strict=True):
        patterns = model.runner.patterns(window, tables, HEADS)[0]
        expected = np.diagonal(patterns, -1, axis1=1, axis2=2)
        np.testing.assert_allclose(previous[:, 1:], expected, atol=1e-5)
    alone = model.attention_alone.doctored("average-5", HEADS, said(model), 16)
    assert np.abs(alone.previous - found.previous)[..., 1:].max() > 0.01
    again = whole(model).doctored("average-5", whole(model).heads, said(model), 128)
    assert again.previous.shape == (16, 6, 40)


@pytest.mark.parametrize("name", ["mini", "text"])
def test_what_is_recorded_of_trained_models_goes_the_way_of_their_attention_alone(
    name: str,
) -> None:
    """On text too the heads of `mini` need exact positions, and those of `text` do not."""
    model = RecordedSubject(name, ROOT / "data" / name)
    alone, on_text = (
        model.measure(averaged).kept
        for averaged in (attention_only.averaged, attention_whole.averaged)
    )
    for kept in (alone, on_text):
        assert (kept["average-20"] > 0.9) == (name == "text")
        assert (kept["average-20"] < 0.1) == (name == "mini")

"""The order of heads through attention alone, against what others published."""

import numpy as np
import pytest
from scipy import stats

from gpt2_helix.measure import agreement
from gpt2_helix.measure.agreement import PublishedHeads
from gpt2_helix.suite import controls
from gpt2_helix.suite.live import Live
from tiny_models import random_model


@pytest.fixture(scope="module")
def subject() -> Live:
    """What is published of it is its own attention alone, averaged turned round."""
    made = random_model(n_positions=210)
    alone = made.attention_alone
    names = [str(head) for head in alone.heads]
    intact, averaged, scores = (
        alone.every_head(doctoring)[..., first:stop].mean(axis=(0, 2))
        for doctoring, first, stop in (
            ("intact", 152, 201), ("average-10", 152, 201), ("intact", 1, 200),
        )
    )  # fmt: skip
    made.published = PublishedHeads(
        names, intact, -averaged, names[2:4], np.array([0.1, 0.2]), scores
    )
    return made


def test_the_order_of_heads_is_compared_head_by_head(subject: Live) -> None:
    found = subject.measure(agreement.rank_correlation)
    for name, expected in (("intact", 1), ("scores", 1), ("averaged", -1)):
        assert found.correlation[name].mean == pytest.approx(expected)
        assert found.within_layer[name] == dict.fromkeys(range(3), pytest.approx(expected))
        assert found.within_layers[name] == pytest.approx(expected)
        assert found.partial[name] == pytest.approx(expected)
        assert found.correlation[name].n == 6
    assert list(found.attention["notebook"]) == subject.published.notebook_heads


def test_heads_in_random_order_are_in_another_order_in_every_source(subject: Live) -> None:
    control = controls.broken_copy(subject, "published-heads-in-random-order")
    assert isinstance(control, Live)
    found = control.measure(agreement.rank_correlation)
    for name in ("intact", "averaged", "scores"):
        assert abs(found.correlation[name].mean) < 0.99


def test_an_order_of_depth_alone_is_nothing_with_the_layer_held() -> None:
    rng = np.random.default_rng(0)
    layer = np.arange(12.0).repeat(12)
    one, other = (layer + 0.5 * rng.standard_normal(144) for _ in range(2))
    assert stats.spearmanr(one, other).statistic > 0.9
    assert abs(agreement._partial(one, other, layer)) < 0.2
    shared = rng.standard_normal(144)
    one, other = (layer + shared + 0.1 * rng.standard_normal(144) for _ in range(2))
    assert agreement._partial(one, other, layer) > 0.9
    assert agreement._partial(layer, layer, layer) == 0


def test_without_positions_the_order_is_that_of_the_weights(subject: Live) -> None:
    found = subject.measure(agreement.order_without_positions)
    zeroed = subject.attention_alone.every_head("zeroed")[..., 152:201].mean(axis=(0, 2))
    expected = stats.spearmanr(zeroed, subject.published.intact).statistic
    assert found.no_positions["intact"] == pytest.approx(expected, rel=1e-3)
    assert set(found.raw) == {"intact", "averaged", "notebook", "scores"}

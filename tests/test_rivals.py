"""Models that attend just behind, through attention alone, by other means than GPT-2's."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gpt2_helix.judging.errors import MissingInputError
from gpt2_helix.models import gpt2
from gpt2_helix.models.config import Head
from gpt2_helix.models.interventions import hold
from gpt2_helix.models.model import Model
from gpt2_helix.suite import controls
from gpt2_helix.suite.live import Live
from gpt2_helix.texts import TextInputs
from tiny_models import HEADS, random_model


def test_a_rival_that_looks_positions_up_gives_half_to_the_previous_one() -> None:
    subject = random_model()
    rival = controls.broken_copy(subject, "looking-back")
    assert isinstance(rival, Live)
    assert set(rival.rules) == set(HEADS)
    pattern = rival.rules[HEADS[0]](subject.model.W_pos)
    np.testing.assert_allclose(pattern.sum(axis=1), 1)
    assert not np.triu(pattern, 1).any()
    previous = np.diagonal(pattern, -1)[20:].mean()
    assert previous >= 0.5
    # Nearer rows get more: the one that is looked for has distance nothing.
    assert (pattern[np.arange(1, 70), np.arange(69)] == pattern[1:].max(axis=1)).all()
    assert rival.attention_alone.doctored("intact", HEADS).share.min() == 1


def test_a_rival_by_distance_attends_as_alibi_does() -> None:
    """Press et al. (2022): softmax of minus a slope times the distance."""
    rival = controls.broken_copy(random_model(), "relative-bias")
    assert isinstance(rival, Live)
    pattern = rival.rules[HEADS[1]](np.zeros((50, 16)))
    expected = np.exp(-0.51 * np.arange(50))
    np.testing.assert_allclose(pattern[-1, ::-1], expected / expected.sum())
    np.testing.assert_allclose(pattern[0], np.eye(50)[0])
    assert pattern[-1, -2] == pytest.approx(0.24, abs=0.005)


def test_groups_of_50_stand_where_100_are_asked() -> None:
    subject = random_model(n_positions=210)
    wrong = controls.broken_copy(subject, "groups-of-50-for-100")
    assert isinstance(wrong, Live)
    for asked, made in (("average-100", "average-50"), ("average-20", "average-20")):
        found = wrong.attention_alone.doctored(asked, HEADS).previous
        expected = subject.attention_alone.doctored(made, HEADS).previous
        np.testing.assert_array_equal(found, expected)


def wide_model() -> Live:
    """With ten heads in a layer."""
    rng = np.random.default_rng(0)
    config = replace(random_model().model.config, n_head=10, n_embd=20)
    tensors = {
        name: (0.8 * rng.standard_normal(shape)).astype(np.float32)
        for name, shape in gpt2.shapes(config).items()
    }
    return Live("wide", Model("wide", config, tensors), TextInputs())


def z_of(head: Head) -> tuple[str, Any]:
    """A hook by which this head writes nothing."""
    return hold(head, np.zeros(2))


def test_heads_that_are_swapped_have_each_others_names_and_do_the_same() -> None:
    subject = wide_model()
    swapped = controls.broken_copy(subject, "heads-3-and-9-swapped")
    assert isinstance(swapped, Live)
    one, other = subject.attention_alone, swapped.attention_alone
    assert one.W_pos is other.W_pos
    W_pos = one.W_pos
    same = one.read(W_pos, HEADS).previous, other.read(W_pos, HEADS).previous
    np.testing.assert_allclose(*same, atol=1e-5)
    without = one.read(W_pos, HEADS, [z_of(Head(0, 9))]).previous
    named = other.read(W_pos, HEADS, [z_of(Head(0, 3))]).previous
    np.testing.assert_allclose(without, named, atol=1e-5)
    assert np.nanmax(np.abs(without - same[0])) > 0.01


def test_a_head_that_is_copied_writes_half_in_each_place() -> None:
    subject = wide_model()
    copied = controls.broken_copy(subject, "copied-head")
    assert isinstance(copied, Live)
    W_pos = subject.model.W_pos
    without = subject.attention_alone.read(W_pos, HEADS, [z_of(Head(0, 4))])
    twice = copied.attention_alone.read(W_pos, HEADS)
    # At position 0 a head that is held still writes.
    one, other = (
        copied.attention_alone.read(W_pos, HEADS, [z_of(Head(0, head))]) for head in (4, 9)
    )
    np.testing.assert_allclose(one.previous, other.previous, atol=1e-5)
    assert np.abs(twice.entering[1] - without.entering[1])[:, 1:].max() < 1e-4
    assert np.abs(one.entering[1] - without.entering[1])[:, 1:].max() > 0.01
    for name in ("heads-3-and-9-swapped", "copied-head"):
        with pytest.raises(MissingInputError, match="10 heads"):
            controls.broken_copy(random_model(), name)

"""Attention alone against a GPT-2 of transformers whose MLP matrices are zero."""

from dataclasses import replace
from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2Model

from gpt2_helix.judging.errors import MissingInputError, NothingToMeasureError
from gpt2_helix.measure import attention_only, extended, sensitivity
from gpt2_helix.measure.statistics import Estimate, bootstrap
from gpt2_helix.models.interventions import replace_pattern, silence
from gpt2_helix.models.model import Model
from gpt2_helix.models.readings import Reading, Readings, Tokens
from gpt2_helix.suite.live import Live
from gpt2_helix.texts import TextInputs
from gpt2_helix.weights.tensors import Array
from tiny_models import HEADS, SIZES, random_model

QUERIES = slice(3, 40)
RAW = np.full((70, 70), 0.03)
DRAWN = Tokens(0.5).draw(16, 40, 16)


def without_mlp_matrices(subject: Live) -> Any:
    """The same in transformers; what its MLPs add is the bias of their output."""
    over_layer = subject.model.config.scores_over_layer
    config = GPT2Config(**SIZES, scale_attn_by_inverse_layer_idx=over_layer)
    theirs = GPT2Model(config).train(False)
    theirs.set_attn_implementation("eager")
    matrices = ("mlp.c_fc.weight", "mlp.c_proj.weight")
    state = {
        name: torch.tensor(array * (not name.endswith(matrices)))
        for name, array in subject.model.tensors.items()
    }
    theirs.load_state_dict(state, strict=True)
    return theirs.double()


def alone(subject: Live) -> Readings:
    """Fed the positions of the window."""
    return replace(subject.attention_alone, tokens=DRAWN, queries=QUERIES, _known={}, _every={})


@cache
@torch.inference_mode()
def theirs(scores_over_layer: bool, doctored: bool) -> tuple[list[Array], list[Array]]:
    """Streams that enter the layers, (draw, position, d_model), and (draw, head, query, key)."""
    subject = random_model(scores_over_layer=scores_over_layer)
    plain = without_mlp_matrices(subject)
    if doctored:
        plain.wpe.weight.copy_(torch.tensor(subject.doctor(subject.model.W_pos, "average-5")))
    found = plain(
        inputs_embeds=torch.tensor(DRAWN).double(),
        output_hidden_states=True,
        output_attentions=True,
    )
    return [h.numpy() for h in found.hidden_states[:-1]], [a.numpy() for a in found.attentions]


@pytest.mark.parametrize("doctored", [False, True])
@pytest.mark.parametrize("scores_over_layer", [False, True])
def test_streams_and_patterns_are_those_of_transformers(
    scores_over_layer: bool, doctored: bool
) -> None:
    subject = random_model(scores_over_layer=scores_over_layer)
    W_pos = subject.doctor(subject.model.W_pos, "average-5") if doctored else subject.model.W_pos
    ours = alone(subject)
    streams, patterns = theirs(scores_over_layer, doctored)
    mine = ours.runner.streams(W_pos, DRAWN, range(3))
    for layer, (expected, stream) in enumerate(zip(streams, mine.values(), strict=True)):
        np.testing.assert_allclose(stream, expected, atol=1e-4)
        for fed, pattern in zip(stream, patterns[layer], strict=True):
            np.testing.assert_allclose(ours.block(layer).pattern(fed, [0, 1]), pattern, atol=1e-5)


@pytest.mark.parametrize("doctored", [False, True])
def test_attention_to_the_previous_token_is_that_of_transformers(doctored: bool) -> None:
    subject = random_model()
    streams, patterns = theirs(False, doctored)
    query = np.arange(40)[QUERIES]
    name = "average-5" if doctored else "intact"
    for heads in (HEADS, tuple(subject.attention_alone.heads)):
        by_head = [patterns[h.layer][:, h.head, query, query - 1].mean(axis=-1) for h in heads]
        expected = np.stack(by_head, axis=1).reshape(8, 2, -1).mean(axis=1)
        found = alone(subject).doctored(name, heads)
        np.testing.assert_allclose(alone(subject).mean(found.previous), expected, atol=1e-6)
        for layer, pairs in found.entering.items():
            means = streams[layer].reshape(8, 2, 40, 16).mean(axis=1)
            np.testing.assert_allclose(pairs, means, atol=1e-4)
    np.testing.assert_allclose(alone(subject).every_head(name), found.previous, atol=1e-7)


def test_the_profile_and_the_shares_are_those_of_transformers() -> None:
    _, patterns = theirs(False, False)
    found = alone(random_model()).doctored("intact", HEADS)
    queries = range(40)[QUERIES]
    for i, head in enumerate(HEADS):
        of_draws = patterns[head.layer][:, head.head].reshape(8, 2, 40, 40)
        profile, shares = np.zeros((8, 13)), np.zeros((8, 2))
        for pair, draw in np.ndindex(8, 2):
            pattern = of_draws[pair, draw]
            for k in range(13):
                some = [pattern[q, q - k] for q in queries if q >= k]
                profile[pair, k] += np.mean(some) / 2
            for q in queries:
                others = [pattern[q, key] for key in range(1, q + 1) if key != q - 1]
                shares[pair, 0] += (pattern[q, q - 1] > max(others)) / len(queries) / 2
                shares[pair, 1] += (pattern[q, q - 1] > max([0, *others[:-1]])) / len(queries) / 2
        np.testing.assert_allclose(found.profile[:, i], profile, atol=1e-5)
        first = of_draws[:, :, QUERIES, 0].mean(axis=(1, 2))
        np.testing.assert_allclose(found.first[:, i], first, atol=1e-5)
        np.testing.assert_allclose(found.share[:, i], shares[:, 0], atol=1e-6)
        np.testing.assert_allclose(found.share_of_others[:, i], shares[:, 1], atol=1e-6)


def test_a_head_with_a_rule_attends_by_it_where_it_is_read_and_in_the_run() -> None:
    subject = random_model()
    W_pos = subject.model.W_pos

    def rule(rows: Array) -> Array:
        given = np.tril(np.abs(rows @ rows.T))
        return given / given.sum(axis=1, keepdims=True)

    plain = alone(subject)
    ruled = replace(plain, rules={HEADS[0]: rule})
    found = ruled.read(W_pos, HEADS)
    expected = np.diagonal(rule(W_pos[:40]), -1)
    np.testing.assert_allclose(found.previous[0, 0, 1:], expected, atol=1e-6)
    replaced = plain.read(W_pos, HEADS, hooks=replace_pattern(HEADS[0], rule(W_pos[:40]), 2))
    np.testing.assert_array_equal(found.previous[:, 1], replaced.previous[:, 1])
    assert np.nanmax(np.abs(found.previous - plain.read(W_pos, HEADS).previous)[:, 1]) > 0.01
    less = 0.5 * W_pos[:40] + 1
    found = ruled.read(W_pos, HEADS, without={1: less})
    expected = np.diagonal(rule(W_pos[:40] - less), -1)
    np.testing.assert_allclose(found.previous[0, 0, 1:], expected, atol=1e-6)
    np.testing.assert_array_equal(found.previous[:, 1], replaced.previous[:, 1])


def test_what_was_run_before_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = alone(random_model())
    run, ran = ours.runner.streams, []

    def streams(*given: Any) -> Any:
        ran.append(given[2])
        return run(*given)

    monkeypatch.setattr(ours.runner, "streams", streams)
    assert ours.doctored("average-5", HEADS) is ours.doctored("average-5", HEADS)
    ours.doctored("average-7", HEADS)
    assert ours.every_head("average-5") is ours.every_head("average-5")
    ours.fed(Tokens(0.5)).doctored("average-5", HEADS)
    assert ran == [[1, 2], [1, 2], [0, 1, 2], [1, 2]]


def test_silenced_heads_write_nothing_and_their_bias_stays() -> None:
    subject = random_model()
    name = "h.0.attn.c_proj.weight"
    zero = np.zeros_like(subject.model.tensors[name])
    idle = subject.broken(model=subject.model.with_tensors({name: zero}))
    silenced = alone(subject).read(subject.model.W_pos, HEADS, hooks=[silence(0)])
    expected = alone(idle).doctored("intact", HEADS)
    np.testing.assert_allclose(silenced.previous, expected.previous, atol=1e-6)
    intact = alone(subject).doctored("intact", HEADS)
    assert np.nanmax(np.abs(silenced.previous - intact.previous)) > 0.01


def test_what_heads_do_not_read_still_goes_on() -> None:
    subject = random_model()
    ours = alone(subject)
    less = np.random.default_rng(1).standard_normal((40, 16))
    streams = ours.runner.streams(subject.model.W_pos, DRAWN, [1, 2])
    found = ours.read(subject.model.W_pos, HEADS, without={1: less, 2: 2 * less}).previous
    for i, (head, part) in enumerate(zip(HEADS, (less, 2 * less), strict=True)):
        fed = (streams[head.layer] - part).astype(np.float32)
        patterns = [ours.block(head.layer).pattern(one, [head.head])[0] for one in fed]
        expected = np.diagonal(patterns, -1, axis1=1, axis2=2).reshape(8, 2, -1).mean(axis=1)
        np.testing.assert_allclose(found[:, i, 1:], expected, atol=1e-6)
    assert np.isnan(found[:, :, 0]).all()


def test_draws_are_gaussians_of_the_asked_size_and_their_mirror_images() -> None:
    draws = Tokens(0.14).draw(4, 300, 64)
    np.testing.assert_array_equal(draws[::2], -draws[1::2])
    one, other = draws[::2]
    assert one.std() == pytest.approx(0.14, rel=0.02)
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(one[0], one[1])[0, 1]) < 0.5
    common = Tokens(0.14, mean_norm=2.0).draw(4, 300, 64) - draws
    np.testing.assert_allclose(np.linalg.norm(common, axis=2), 2, rtol=1e-5)
    np.testing.assert_allclose(common, common[:1, :1].repeat(300, 1).repeat(4, 0), atol=1e-6)
    repeated = Tokens(0.14, repeated=True).draw(4, 300, 64)
    np.testing.assert_array_equal(repeated, repeated[:, :1].repeat(300, axis=1))
    np.testing.assert_array_equal(Tokens(0.14).draw(2, 300, 64), draws[:2])


def test_what_is_odd_in_the_tokens_cancels_within_a_pair() -> None:
    """So a mean over few pairs is nearer to what many draws give than as many single draws are."""
    subject = random_model()
    alone = subject.attention_alone
    one = Tokens(0.02).draw(32, 40, 16)
    many = alone.runner.streams(subject.model.W_pos, Tokens(0.02).draw(2000, 40, 16)[32:], [2])[2]
    pairs, single = (
        alone.runner.streams(subject.model.W_pos, some, [2])[2].mean(axis=0)
        for some in (one[:16], one[::2])
    )
    assert len(one[:16]) == len(one[::2])
    truth = many.mean(axis=0)
    assert np.abs(pairs - truth).mean() < np.abs(single - truth).mean() / 3


def test_results_have_the_same_bits_whatever_the_number_of_threads() -> None:
    subject, before = random_model(), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(alone(subject).doctored("intact", HEADS))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(found[0].previous, found[1].previous)
    np.testing.assert_array_equal(found[0].entering[2], found[1].entering[2])


@pytest.mark.parametrize("tensor", ["attn.c_proj.weight", "attn.c_proj.bias", "mlp.c_proj.bias"])
def test_a_missing_tensor_is_named(tensor: str) -> None:
    subject = random_model()
    tensors = {n: a for n, a in subject.model.tensors.items() if n != f"h.1.{tensor}"}
    partial = Live("partial", Model("partial", subject.model.config, tensors), TextInputs())
    for measurement in (attention_only.main_heads, extended.fed):
        with pytest.raises(MissingInputError) as error:
            partial.measure(measurement)
        assert error.value.missing == [f"h.1.{tensor}"]
    partial.model.attention(1)  # What needs no output projection is not blocked.


@pytest.mark.parametrize("n_positions", [63, 64, 70])
def test_fewer_positions_are_measured_down_to_64(n_positions: int) -> None:
    subject = random_model(n_positions=n_positions)
    if n_positions < 64:
        with pytest.raises(MissingInputError, match="64 positions"):
            subject.measure(attention_only.main_heads)
    else:
        assert subject.measure(attention_only.main_heads).positions == n_positions


def test_what_each_head_keeps_is_a_ratio_over_the_same_draws() -> None:
    subject = random_model()
    main = subject.measure(attention_only.main_heads)
    averaged = subject.measure(attention_only.averaged)
    for name, by_head in averaged.kept.items():
        for head, kept in by_head.items():
            expected = averaged.attention[name][head].mean / main.attention[head].mean
            assert kept.mean == pytest.approx(expected, rel=1e-3)
            assert kept.low < kept.mean < kept.high
            assert averaged.profile[name][head][1] == averaged.attention[name][head].mean
    whole = subject.measure(attention_only.all_heads)
    assert {head: whole.attention[head] for head in main.attention} == main.attention
    assert sorted(whole.rank.values()) == [1, 2, 3, 4, 5, 6]
    assert whole.rank[max(whole.attention, key=lambda head: whole.attention[head].mean)] == 1


def test_a_head_without_attention_has_nothing_to_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = random_model()
    none = np.zeros((16, 2))
    by_offset, by_query = np.zeros((16, 2, 13)), np.zeros((16, 2, 70))
    nothing = Reading(np.zeros((70, 16)), by_query, by_offset, none, none, none, {})
    monkeypatch.setattr(Readings, "doctored", lambda *_: nothing)
    for measurement in (attention_only.averaged, extended.fed):
        with pytest.raises(NothingToMeasureError, match="nothing to keep"):
            subject.measure(measurement)


def test_a_profile_is_summed_up_in_where_it_peaks_how_it_falls_and_what_is_near() -> None:
    """Of two pairs of draws, so intervals are the two and their mean."""
    given = np.array([0.3, 0.2, 0.1, 0.05, 0.04, 0.03, 0.01, *[0] * 6])
    behind = np.array([0.2, 0.3, *given[2:]])
    by_offset = np.stack([np.stack([given, behind])] * 2) * [[[1.0]], [[0.5]]]
    first = np.array([[0.2, 0.2], [0.6, 0.6]])
    previous = np.full((2, 2, 70), by_offset[:, :, 1:2])
    share = np.array([[0.1, 0.8], [0.3, 0.8]])
    reading = Reading(np.zeros((70, 16)), previous, by_offset, first, share, share + 0.1, {})
    alone = replace(random_model().attention_alone, rules=dict.fromkeys(HEADS, lambda _: RAW))
    key = sha256(alone.W_pos.tobytes()).digest(), HEADS
    found = attention_only.main_heads(replace(alone, _known={key: reading}), HEADS)
    one, other = map(str, HEADS)
    assert found.peak == {one: 0, other: 1}
    assert found.attention[one] == Estimate(0.15, 0.1, 0.2, "bootstrap", 2)
    assert found.profile[other][1] == Estimate(0.225, 0.15, 0.3, "bootstrap", 2)
    assert found.near[one].mean == pytest.approx((0.65 + 0.325) / 2 / 0.6, rel=1e-3)
    # From -4 to -5; what does not fall, from 0 to -1, is not asked.
    assert found.least_fall[one].mean == pytest.approx(0.01 / 0.2, rel=1e-3)
    assert found.least_fall[other].mean == pytest.approx(0.01 / 0.3, rel=1e-3)
    assert found.share[one].mean == pytest.approx(0.2)
    assert found.share_of_others[other].mean == pytest.approx(0.9)
    assert found.raw == {one: 0.03, other: 0.03}
    raw_over = found.raw_over_attention[one]
    assert (raw_over.mean, raw_over.low, raw_over.high) == pytest.approx((0.2, 0.15, 0.3))


def test_attention_that_rises_further_behind_is_no_fall() -> None:
    given = [np.array([value]) for value in (0.0, 0.1, 0.3, 0.2, 0.25, 0.1, 0.05, 0.01, 0.0)]
    assert attention_only._least_fall(*given) == pytest.approx(-0.05 / 0.3)
    nothing = np.zeros((2, 3))
    np.testing.assert_array_equal(attention_only._least_fall(*[nothing] * 9), [0, 0])
    np.testing.assert_array_equal(attention_only._near(nothing + 1, *[nothing] * 9), [0, 0])


def test_an_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(100):
        found = bootstrap(np.mean, rng.normal(size=32))
        inside += found.low < 0 < found.high
    assert 85 <= inside <= 99


def test_other_tokens_are_of_the_size_that_was_chosen_unless_they_change_it() -> None:
    readings = alone(random_model())
    quiet, loud = (
        sensitivity.other_tokens(readings, HEADS, Tokens(std), token_stds=(0.3,)).intact
        for std in (0.1, 1.0)
    )
    assert quiet["std 0.3"] == loud["std 0.3"]
    assert quiet["common mean"] != loud["common mean"]


@pytest.mark.parametrize(
    ("attention", "expected"),
    [
        ([0.4, 0.3, 0.1], np.sqrt(10 * 100)),
        ([0.4, 0.2, 0.1], 10),
        ([0.4, 0.3, 0.3], None),
        ([0.0, 0.0, 0.0], None),
    ],
)
def test_half_is_lost_where_attention_falls_to_half(
    attention: list[float], expected: float | None
) -> None:
    assert sensitivity.half_lost_at([1, 10, 100], attention) == (
        expected and pytest.approx(expected, rel=1e-3)
    )

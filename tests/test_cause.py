"""Interventions on attention alone, on models of which it is known what they do."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gpt2_helix import doctoring
from gpt2_helix.judging.errors import NothingToMeasureError
from gpt2_helix.measure import attention_only, cause, rebuilt
from gpt2_helix.models.config import Head
from gpt2_helix.models.interventions import average_of_past, hold, no_mask
from gpt2_helix.models.readings import Readings, Tokens
from gpt2_helix.suite import controls
from gpt2_helix.suite.live import Live
from gpt2_helix.texts import TextInputs
from tiny_models import HEADS, random_model

QUERIES = slice(21, 70)
OUT, QKV = "h.{}.attn.c_proj.weight", "h.{}.attn.c_attn.weight"


def model(tensors: Mapping[str, Any] | None = None) -> Live:
    """The random model, with some tensors replaced, on few draws of tokens."""
    made = random_model().model
    config = replace(made.config, heads_looking_back=(Head(0, 1),))
    subject = Live("changed", made.with_tensors(tensors or {}, config), TextInputs())
    subject.attention_alone = subject.attention_alone.few(6)
    return subject


def without(name: str, rows: slice = slice(None), columns: slice = slice(None)) -> Live:
    """The same with zeros in a part of a tensor."""
    tensor = random_model().model.tensors[name].copy()
    tensor[rows, columns] = 0
    return model({name: tensor})


def numbers(by_head: dict[str, Any]) -> list[float]:
    return [found.mean for found in by_head.values()]


def test_silencing_an_idle_layer_keeps_everything_and_a_busy_one_does_not() -> None:
    idle = without(OUT.format(0))
    assert numbers(idle.measure(cause.first_layer).kept) == [1, 1]
    assert numbers(idle.measure(cause.causal_mask).kept) == [1, 1]
    assert idle.measure(cause.other_layers).loss_over_first == {}
    found = without(OUT.format(1)).measure(cause.other_layers)
    assert found.kept["1"] == {"L1H0": 1, "L2H1": 1}
    assert max(abs(kept - 1) for kept in found.kept["0"].values()) > 0.1
    busy = model()
    kept = busy.measure(cause.other_layers).kept
    assert kept["1"]["L1H0"] == 1  # It reads what enters the layer.
    assert abs(kept["1"]["L2H1"] - 1) > 0.01


def test_what_another_layer_costs_is_compared_with_what_layer_0_costs() -> None:
    """Of the heads of layer 2, one that loses by both."""
    alone = model().attention_alone
    for head in (Head(2, 0), Head(2, 1)):
        found = cause.other_layers(alone, [head], pairs=5)
        lost = [1 - found.kept[layer][str(head)] for layer in ("0", "1")]
        if lost[0] > 0:
            assert found.loss_over_first["1"].mean == pytest.approx(lost[1] / lost[0], rel=1e-2)
            assert found.loss_over_first["1"].n == 5
        else:
            assert not found.loss_over_first


def previous(alone: Readings, stream: Any) -> float:
    """Attention at -1 of the first main head, fed these streams."""
    patterns = [alone.block(1).pattern(one, [0])[0] for one in stream]
    return float(np.mean([np.diagonal(pattern, -1)[20:] for pattern in patterns]))


def test_what_is_kept_is_the_same_as_by_hand() -> None:
    subject = model()
    alone = subject.attention_alone
    whole = attention_only.intact(alone, HEADS)[:, 0].mean()
    held = [hold(Head(0, 1), alone.mean_z(0)[1])]
    for found, hooks, rows in (
        (cause.causal_mask, [no_mask(0)], alone.W_pos),
        (cause.three_components, [], doctoring.on_components(alone.W_pos, 3)),
        (cause.ten_components, [], doctoring.on_components(alone.W_pos, 10)),
        (cause.local_heads, held, alone.W_pos),
    ):
        stream = alone.runner.streams(rows, alone.tokens, [1], hooks)[1]
        kept = subject.measure(found).kept["L1H0"].mean
        assert kept == pytest.approx(previous(alone, stream) / whole, rel=2e-3)


def test_the_direct_path_is_taken_out_where_heads_read_and_row_0_is_spared() -> None:
    subject = model()
    alone = subject.attention_alone
    whole = attention_only.intact(alone, HEADS)[:, 0].mean()
    stream = alone.runner.streams(alone.W_pos, alone.tokens, [1])[1]
    stream[:, 1:] -= alone.W_pos[1:70]
    kept = subject.measure(cause.direct_path).kept["L1H0"].mean
    assert kept == pytest.approx(previous(alone, stream) / whole, rel=2e-3)


def test_a_head_writes_its_mean_over_draws_and_positions_but_0() -> None:
    """What enters layer 1, minus what entered layer 0 and what biases add, is what heads wrote."""
    subject = model()
    alone, tensors = subject.attention_alone, subject.model.tensors
    entered = alone.tokens + alone.W_pos[:70]
    written = (alone.runner.streams(alone.W_pos, alone.tokens, [1])[1] - entered)[:, 1:]
    biases = tensors["h.0.attn.c_proj.bias"] + tensors["h.0.mlp.c_proj.bias"]
    expected = written.mean(axis=(0, 1), dtype=np.float64) - biases
    z = alone.mean_z(0)
    np.testing.assert_allclose(z.ravel() @ tensors[OUT.format(0)], expected, atol=1e-4)


def test_the_leading_head_is_the_one_that_matters() -> None:
    subject = without(OUT.format(0), rows=slice(8, 16))  # What head 1 writes goes nowhere.
    costs = subject.measure(cause.costs)
    assert subject.leading_head == Head(0, 0)
    assert list(costs.cost) == ["L0H0", "L0H1"]
    assert costs.kept["L0H1"] == {"L1H0": 1, "L2H1": 1}
    assert set(costs.most_for_each.values()) <= {"L0H0", "L0H1"}
    held = subject.measure(cause.one_head)
    assert held.cost_of_next is not None
    assert held.cost_of_next.mean == pytest.approx(0, abs=1e-6)
    assert held.cost.mean == pytest.approx(costs.cost["L0H0"], abs=0.2)
    assert held.cost.mean == pytest.approx(1 - np.mean(numbers(held.kept)), abs=1e-3)
    assert held.cost.method == "jackknife"
    assert held.share != held.share_held
    # Nothing leads in a layer that writes nothing.
    idle = without(OUT.format(0)).measure(cause.one_head)
    assert idle.cost.mean == pytest.approx(0, abs=1e-6)
    assert idle.next_over_cost is None
    assert idle.share == idle.share_held


def test_holding_all_heads_but_all_holds_none() -> None:
    subject = model()
    every = (Head(0, 0), Head(0, 1))
    alone = subject.attention_alone
    assert numbers(cause.all_but_local_heads(alone, HEADS, every).kept) == [1, 1]
    other = cause.all_but_local_heads(alone, HEADS, every[:1])
    assert other == cause.local_heads(alone, HEADS, every[1:])


def test_a_head_that_is_a_plain_average_stays_one() -> None:
    """Without queries all keys weigh the same; with later positions they are others."""
    subject = model()
    qkv = {
        name: subject.model.tensors[name].copy() for name in (QKV.format(0), "h.0.attn.c_attn.bias")
    }
    for tensor in qkv.values():
        tensor[..., :16] = 0
    plain = model(qkv)
    assert average_of_past(2).tolist() == [[1, 0], [0.5, 0.5]]
    kept = numbers(plain.measure(cause.plain_average).kept)
    np.testing.assert_allclose(kept, 1, atol=1e-3)
    for name in ("average-of-past-and-future", "itself-alone"):
        broken = controls.broken_copy(plain, name)
        assert isinstance(broken, Live)
        # What is broken has no part in finding the head, and all in replacing its pattern.
        for same in (cause.costs, cause.one_head):
            assert broken.measure(same) is plain.measure(same)
        assert abs(np.array(numbers(broken.measure(cause.plain_average).kept)) - 1).max() > 0.01


def test_a_broken_copy_measures_what_it_does_not_share() -> None:
    subject = model()
    shuffled = controls.broken_copy(subject, "shuffled-rows")
    assert shuffled.measure(cause.costs) is not subject.measure(cause.costs)
    assert isinstance(shuffled, Live)
    assert shuffled.main_heads == subject.main_heads


def test_heads_that_attend_by_a_rule_keep_everything_without_a_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject = model()
    rival = controls.broken_copy(subject, "looking-back")
    assert isinstance(rival, Live)
    alone = rival.attention_alone
    rows = np.random.default_rng(0).standard_normal((70, 16)).astype(np.float32)
    without = {1: rows, 2: rows}
    run = alone.read(alone.W_pos, HEADS, without=without).previous
    attention_only.intact(alone, HEADS)
    monkeypatch.setattr(type(alone.runner), "streams", None)
    np.testing.assert_array_equal(alone.previous(alone.W_pos, HEADS, without=without), run)
    assert numbers(rival.measure(cause.first_layer).kept) == [1, 1]
    assert max(numbers(rival.measure(cause.three_components).kept)) < 1
    assert max(numbers(rival.measure(cause.direct_path).kept)) < 0.2


def test_more_interventions_are_recorded_beside_the_claims() -> None:
    subject = model()
    lead, local = subject.leading_head, ", ".join(map(str, subject.heads_looking_back))
    kept = subject.measure(cause.beside).kept
    assert kept[f"average-20, {lead} held"] != kept["average-20"]
    assert f"average-20, {local} held" in kept
    assert len(kept) == 10
    assert kept["average-20"] == subject.measure(attention_only.averaged).kept["average-20"]
    assert kept["6 components"] != kept["without 3 components"]


def test_the_rule_is_tried_on_other_tokens_and_positions() -> None:
    subject = model()
    alone = subject.attention_alone
    tried = cause.rule(alone, HEADS, Tokens(0.14), token_stds=(0.1, 0.5), positions=(40, 70, 71))
    assert list(tried.costs) == [
        "std 0.1, 40 positions", "std 0.5, 40 positions",
        "std 0.1, 70 positions", "std 0.5, 70 positions",
    ]  # fmt: skip
    few = alone.fed(Tokens(0.5), 40).few(4)
    assert (few.positions, few.queries, len(few.tokens)) == (40, slice(21, 40), 8)
    assert len({str(found) for found in tried.costs.values()}) == 4


def test_the_stream_itself_is_all_rebuilt_and_alike() -> None:
    """Averaging that does nothing takes nothing."""
    subject = model()
    same = replace(subject.attention_alone, doctor=lambda W_pos, name: W_pos, _known={})
    found = rebuilt.rebuilt(same, HEADS, doctorings=("average-20",))
    for part in (found.share, found.likeness):
        assert numbers(part["average-20"]) == [1, 1]
    by_layer = rebuilt.by_layer(same, HEADS, Head(0, 0), beside=("average-20",))
    assert by_layer.share["average-20"]["2"].mean == 1
    assert by_layer.share["average-20, L0H0 held"]["2"].mean != 1
    assert rebuilt.by_layer(same, [Head(0, 1)], Head(0, 0)) == rebuilt.ByLayer({}, {})


def test_without_order_nothing_is_rebuilt() -> None:
    """By construction: equal rows that all see all positions stay equal, and only the mask tells
    them apart."""
    quiet = model().attention_alone.fed(Tokens(1e-6))
    averaged = quiet.doctor(quiet.W_pos, "average-20")

    def left(**hooks: Any) -> float:
        stream = quiet.entering(averaged, [1], **hooks)[1]
        return float(np.abs(rebuilt.left_in_groups(stream, QUERIES, "average-20")).max())

    assert left(hooks=[no_mask(0)]) < 1e-4
    assert left() > 0.01


def test_groups_are_cut_by_the_queries_and_count_if_half_of_them_is_inside() -> None:
    at = np.arange(40.0)[None, :, None]
    left = rebuilt.left_in_groups(at, slice(11, 36), "average-20")
    # Of 1 .. 20, 11 .. 20 are taken; of 21 .. 39, which is all there is, 21 .. 35.
    expected = [*(np.arange(11, 21) - 15.5), *(np.arange(21, 36) - 28)]
    np.testing.assert_array_equal(left[0, :, 0], expected)
    later = rebuilt.left_in_groups(at, slice(12, 36), "average-20")
    np.testing.assert_array_equal(later[0, :, 0], np.arange(21, 36) - 28)
    whole = rebuilt.left_in_groups(at, slice(1, 40), "average-13", least=1)
    np.testing.assert_array_equal(whole[0, :, 0], np.tile(np.arange(13) - 6.0, 3))
    one = rebuilt.left_in_groups(at, slice(11, 36), "average-all")
    np.testing.assert_array_equal(one[0, :, 0], np.arange(11, 36) - 23)
    with pytest.raises(NothingToMeasureError, match="no group"):
        rebuilt.left_in_groups(at, slice(12, 20), "average-20")


def curves(noise: float, pairs: int = 16) -> tuple[Any, Any]:
    """A curve with noise of its own in each pair, and half of it with the same noise."""
    rng = np.random.default_rng(3)
    curve = rng.standard_normal((1, 30, 8))
    each = noise * rng.standard_normal((pairs, 30, 8))
    return curve + each, 0.5 * curve + each


def test_noise_that_pairs_have_of_their_own_does_not_count() -> None:
    """Products of the same pairs would make it 0.7 and more."""
    intact, found = curves(noise=3)
    naive = (intact.mean(0) * found.mean(0)).sum() / (intact.mean(0) ** 2).sum()
    assert naive > 0.65
    share = rebuilt.share_of(intact, found)
    assert share.low < 0.5 < share.high
    assert share.high - share.low < 0.4
    assert (share.method, share.n) == ("jackknife", 16)


def test_a_copy_that_doctors_otherwise_shares_what_is_the_same() -> None:
    """The curve is that of the intact subject; what stands where 100 is asked is not."""
    made = random_model(n_positions=210)
    subject = Live("long", made.model, TextInputs())
    subject.attention_alone = made.attention_alone.few(3)
    wrong = controls.broken_copy(subject, "groups-of-50-for-100")
    assert isinstance(wrong, Live)
    ours, theirs = subject.attention_alone, wrong.attention_alone
    for asked, made_of in (("intact", "intact"), ("average-100", "average-50")):
        assert theirs.doctored(asked, HEADS) is ours.doctored(made_of, HEADS)
    right, larger = (some.measure(rebuilt.in_larger_groups).share for some in (subject, wrong))
    assert right.keys() == larger.keys() == {"average-100"}
    assert right != larger


def test_there_is_no_curve_where_positions_do_not_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = model().attention_alone
    flat = replace(alone.doctored("intact", HEADS), entering={1: np.ones((6, 70, 16))})
    monkeypatch.setattr(Readings, "doctored", lambda *_: flat)
    for measurement in (rebuilt.curve, rebuilt.rebuilt):
        with pytest.raises(NothingToMeasureError, match="nothing to rebuild"):
            measurement(alone, HEADS, doctorings=("average-20",))


def test_halves_of_the_draws_agree_as_far_as_tokens_are_quiet() -> None:
    alone = model().attention_alone
    quiet, loud = (
        rebuilt.curve(alone.fed(Tokens(std)), HEADS, doctorings=("average-20",)).halves
        for std in (1e-4, 30)
    )
    assert min(quiet["average-20"].values()) > 0.999
    assert max(loud["average-20"].values()) < 0.7


@pytest.mark.parametrize("measurement", [cause.first_layer, cause.costs, cause.direct_path])
def test_a_head_without_attention_has_nothing_to_keep(
    measurement: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = model()
    nothing = replace(
        subject.attention_alone.doctored("intact", HEADS), previous=np.zeros((6, 2, 70))
    )
    monkeypatch.setattr(Readings, "doctored", lambda *_: nothing)
    with pytest.raises(NothingToMeasureError, match="nothing to keep"):
        subject.measure(measurement)

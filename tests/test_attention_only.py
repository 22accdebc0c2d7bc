"""Attention alone against a GPT-2 of transformers whose MLP matrices are zero."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2Model

from gpt2_helix.judging.errors import DegenerateModelError, MissingInputError
from gpt2_helix.measure import attention_beside, attention_only, attention_published, extended
from gpt2_helix.models import gpt2
from gpt2_helix.models.attention_alone import AttentionAlone, Found, Tokens, Window
from gpt2_helix.models.config import Head, config_from
from gpt2_helix.models.model import Model
from gpt2_helix.published.attention import PreviousToken
from gpt2_helix.weights.tensors import Array

SIZES: dict[str, Any] = {
    "n_layer": 3,
    "n_head": 2,
    "n_embd": 16,
    "n_positions": 70,
    "vocab_size": 5,
}
HEADS = (Head(1, 0), Head(2, 1))
WINDOW, TOKENS, N_DRAWS = Window(40, 3), Tokens(0.5), 16


def random_model(*, scores_over_layer: bool = False, n_positions: int = 70) -> Model:
    sizes = {**SIZES, "n_positions": n_positions}
    config = config_from({"model_type": "gpt2", "layer_norm_epsilon": 1e-5, **sizes}, "test")
    config = replace(config, scores_over_layer=scores_over_layer, previous_token_heads=HEADS)
    rng = np.random.default_rng(0)
    tensors = {
        name: (0.8 * rng.standard_normal(shape)).astype(np.float32)
        for name, shape in gpt2.shapes(config).items()
    }
    return Model("random", config, tensors, digests={})


def without_mlp_matrices(model: Model) -> Any:
    """The same in transformers; what its MLPs add is the bias of their output."""
    over_layer = model.config.scores_over_layer
    config = GPT2Config(**SIZES, scale_attn_by_inverse_layer_idx=over_layer)
    theirs = GPT2Model(config).train(False)
    theirs.set_attn_implementation("eager")
    matrices = ("mlp.c_fc.weight", "mlp.c_proj.weight")
    state = {
        name: torch.tensor(array * (not name.endswith(matrices)))
        for name, array in model.tensors.items()
    }
    theirs.load_state_dict(state, strict=True)
    return theirs.double()


def alone(model: Model, dtype: Any = np.float32) -> AttentionAlone:
    """Fed the positions of the window."""
    return AttentionAlone(model.W_pos, WINDOW.positions, 3, 2, model.block, dtype)


def drawn(n_draws: int) -> Array:
    return np.stack([TOKENS.draw(i, WINDOW.positions, 16) for i in range(n_draws)])


@cache
@torch.inference_mode()
def theirs(scores_over_layer: bool, doctored: bool) -> tuple[list[Array], list[Array]]:
    """Streams that enter the layers, (draw, position, d_model), and (draw, head, query, key)."""
    model = random_model(scores_over_layer=scores_over_layer)
    plain = without_mlp_matrices(model)
    if doctored:
        plain.wpe.weight.copy_(torch.tensor(model.doctor(model.W_pos, "average-5")))
    found = plain(
        inputs_embeds=torch.tensor(drawn(N_DRAWS)).double(),
        output_hidden_states=True,
        output_attentions=True,
    )
    return [h.numpy() for h in found.hidden_states[:-1]], [a.numpy() for a in found.attentions]


@pytest.mark.parametrize("doctored", [False, True])
@pytest.mark.parametrize("scores_over_layer", [False, True])
def test_streams_and_patterns_are_those_of_transformers(
    scores_over_layer: bool, doctored: bool
) -> None:
    model = random_model(scores_over_layer=scores_over_layer)
    W_pos = model.doctor(model.W_pos, "average-5") if doctored else model.W_pos
    ours = alone(model, np.float64)
    streams, patterns = theirs(scores_over_layer, doctored)
    mine = list(ours.streams(W_pos[: WINDOW.positions] + drawn(N_DRAWS), last=2))
    for layer, (expected, stream) in enumerate(zip(streams, mine, strict=True)):
        np.testing.assert_allclose(stream, expected, atol=1e-5)
        for head, pattern in enumerate(ours.patterns(stream, layer, [0, 1])):
            np.testing.assert_allclose(pattern, patterns[layer][:, head], atol=1e-5)


@pytest.mark.parametrize("queries", [7, 40, 75])
@pytest.mark.parametrize("doctored", [False, True])
def test_attention_to_the_previous_token_is_that_of_transformers(
    doctored: bool, queries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpt2_helix.models.attention_alone.QUERIES", queries)
    model = random_model()
    _, patterns = theirs(False, doctored)
    query = np.arange(WINDOW.first_query, WINDOW.positions)
    name = "average-5" if doctored else "intact"
    for heads in (HEADS, tuple(model.attention_alone.heads)):
        expected = [patterns[h.layer][:, h.head, query, query - 1].mean(axis=-1) for h in heads]
        found = WINDOW.mean(alone(model).doctored(name, heads, TOKENS, N_DRAWS).previous)
        np.testing.assert_allclose(found, np.stack(expected, axis=1), atol=1e-6)


def test_the_mean_residual_is_that_of_transformers_part_by_part() -> None:
    model = random_model()
    plain = without_mlp_matrices(model)
    with torch.inference_mode():
        fed = torch.tensor(drawn(32)).double()
        streams = plain(inputs_embeds=fed, output_hidden_states=True).hidden_states
    found = alone(model).doctored("intact", HEADS, TOKENS, 32).entering
    assert list(found) == [1, 2]
    for layer, parts in found.items():
        expected = streams[layer].numpy().reshape(2, 16, 40, 16).mean(axis=1)
        np.testing.assert_allclose(parts, expected, atol=1e-4)
    with pytest.raises(ValueError, match="multiple of 16, found 12"):
        alone(model).doctored("intact", HEADS, TOKENS, 12)


def test_what_was_run_before_is_the_same_as_what_is_run_now() -> None:
    """More draws of the same heads, and fewer heads of the same draws, run nothing twice."""
    model = random_model()
    grown, every, ran = alone(model), alone(model), []
    run = grown._run
    grown._run = every._run = lambda *given: ran.append(given[3]) or run(*given)  # type: ignore
    whole = alone(model).doctored("average-5", HEADS, TOKENS, 48)
    for n_draws in (16, 48, 32, 48):
        found = grown.doctored("average-5", HEADS, TOKENS, n_draws)
        np.testing.assert_array_equal(found.previous, whole.previous[:n_draws])
        for layer, parts in found.entering.items():
            np.testing.assert_array_equal(parts, whole.entering[layer][: n_draws // 16])
    assert ran == [range(16), range(16, 48)]
    ran.clear()
    every.doctored("average-5", every.heads, TOKENS, 16)
    some = every.doctored("average-5", HEADS[::-1], TOKENS, 16)
    np.testing.assert_allclose(some.previous, whole.previous[:16, ::-1], atol=1e-6)
    np.testing.assert_allclose(some.entering[1], whole.entering[1][:1], atol=1e-5)
    every.doctored("average-7", HEADS, TOKENS, 16)
    assert ran == [range(16), range(16)]


def test_silenced_heads_write_nothing_and_their_bias_stays() -> None:
    model = random_model()
    names = [f"h.0.attn.c_proj.{kind}" for kind in ("weight", "bias")]
    idle = model.broken({names[0]: np.zeros_like(model.tensors[names[0]])})
    silenced = WINDOW.mean(alone(model).changed(HEADS, TOKENS, N_DRAWS, silent_layers=(0,)))
    expected = WINDOW.mean(alone(idle).changed(HEADS, TOKENS, N_DRAWS))
    np.testing.assert_allclose(silenced, expected, atol=1e-6)
    intact = WINDOW.mean(alone(model).changed(HEADS, TOKENS, N_DRAWS))
    assert np.abs(silenced - intact).max() > 0.01


def test_what_heads_do_not_read_still_goes_on() -> None:
    model = random_model()
    ours = alone(model)
    less = np.random.default_rng(1).standard_normal((WINDOW.positions, 16))
    streams = list(ours.streams(model.W_pos[: WINDOW.positions] + drawn(N_DRAWS), last=2))
    found = ours.changed(HEADS, TOKENS, N_DRAWS, without={1: less, 2: 2 * less})
    expected = [
        ours.read(streams[1] - less, 1, [0])[:, 0],
        ours.read(streams[2] - 2 * less, 2, [1])[:, 0],
    ]
    np.testing.assert_allclose(
        WINDOW.mean(found), WINDOW.mean(np.stack(expected, axis=1)), atol=1e-6
    )
    assert np.isnan(found[:, :, 0]).all()


def test_draws_are_independent_gaussians_of_the_asked_size() -> None:
    one, other = (Tokens(0.14).draw(i, 300, 64) for i in range(2))
    assert one.std() == pytest.approx(0.14, rel=0.02)
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(one[0], one[1])[0, 1]) < 0.5
    common = Tokens(0.14, mean_norm=2.0).draw(0, 300, 64) - one
    np.testing.assert_allclose(np.linalg.norm(common, axis=1), 2, rtol=1e-5)
    np.testing.assert_allclose(common, common[:1].repeat(300, axis=0), atol=1e-6)
    repeated = Tokens(0.14, repeated=True).draw(0, 300, 64)
    np.testing.assert_array_equal(repeated, repeated[:1].repeat(300, axis=0))


def test_results_do_not_depend_on_how_many_threads_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = random_model()
    many = alone(model).doctored("intact", HEADS, TOKENS, 16)
    monkeypatch.setattr("gpt2_helix.models.attention_alone.MOST_THREADS", 1)
    one = alone(model).doctored("intact", HEADS, TOKENS, 16)
    np.testing.assert_array_equal(many.previous, one.previous)
    np.testing.assert_array_equal(many.entering[2], one.entering[2])


@pytest.mark.parametrize("tensor", ["attn.c_proj.weight", "attn.c_proj.bias", "mlp.c_proj.bias"])
def test_a_missing_tensor_is_named(tensor: str) -> None:
    model = random_model()
    tensors = {n: a for n, a in model.tensors.items() if n != f"h.1.{tensor}"}
    partial = Model("partial", model.config, tensors, digests={})
    for measurement in (attention_only.main_heads, extended.fed):
        with pytest.raises(MissingInputError) as error:
            partial.measure(measurement)
        assert error.value.missing == [f"h.1.{tensor}"]
    partial.attention(1)  # What needs no output projection is not blocked.


@pytest.mark.parametrize("n_positions", [63, 64, 70])
def test_fewer_positions_are_measured_down_to_64(n_positions: int) -> None:
    model = random_model(n_positions=n_positions)
    if n_positions < 64:
        with pytest.raises(MissingInputError, match="64 positions"):
            model.measure(attention_only.main_heads)
    else:
        assert model.measure(attention_only.main_heads).positions == n_positions


def test_what_is_kept_is_a_ratio_over_the_same_draws() -> None:
    model = random_model()
    main = model.measure(attention_only.main_heads)
    averaged = model.measure(attention_only.averaged)
    for name, kept in averaged.kept.items():
        expected = sum(averaged.attention[name].values()) / sum(main.attention.values())
        assert kept == pytest.approx(expected, rel=1e-3)
        low, high = averaged.kept_interval[name]
        assert low < kept < high
    whole = model.measure(attention_only.all_heads)
    assert {head: whole.attention[head] for head in main.attention} == main.attention
    assert sorted(whole.rank.values()) == [1, 2, 3, 4, 5, 6]
    assert whole.rank[max(whole.attention, key=lambda head: whole.attention[head])] == 1


def test_a_head_without_attention_has_nothing_to_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model()
    nothing = Found(np.zeros((attention_only.N_DRAWS, len(HEADS), 70)), {})
    monkeypatch.setattr(AttentionAlone, "doctored", lambda *_: nothing)
    for measurement in (attention_only.averaged, attention_only.first_layer, extended.fed):
        with pytest.raises(DegenerateModelError, match="nothing to keep"):
            model.measure(measurement)


def test_a_token_that_is_repeated_is_all_content_and_extended_embeddings_have_none() -> None:
    """With silent tokens the stream is its extended embedding, whatever the layer."""
    model = random_model()
    ours = alone(model)
    run = ours.doctored("intact", HEADS, Tokens(1e-6), 32)
    found, left_out = extended.read_means(ours, HEADS, run.entering, WINDOW)
    whole = WINDOW.mean(run.previous).mean(axis=0)
    np.testing.assert_allclose(found, whole, atol=1e-5)
    np.testing.assert_allclose(left_out, whole[None].repeat(2, axis=0), atol=1e-5)


def test_extended_embeddings_and_content_are_parts_of_the_same_stream() -> None:
    found = random_model().measure(extended.fed)
    for head, whole in found.whole.items():
        assert found.kept_from_extended[head] == pytest.approx(
            found.from_extended[head] / whole, rel=1e-3
        )
        assert found.kept_from_content[head] == pytest.approx(
            found.from_content[head] / whole, rel=1e-3
        )
        low, high = found.kept_from_extended_interval[head]
        assert low < found.kept_from_extended[head] < high


def test_an_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(100):
        low, high = attention_only.over_draws(lambda a: float(a.mean()), rng.normal(size=32))
        inside += low < 0 < high
    assert 85 <= inside <= 99


def test_the_order_of_heads_is_compared_head_by_head() -> None:
    model = random_model(n_positions=210)
    names = [str(head) for head in model.attention_alone.heads]
    found = {}
    ours = model.attention_alone
    for name, doctoring in (("intact", "intact"), ("averaged", "average-10")):
        draws = attention_only.attention(ours, doctoring, ours.heads, attention_published.PICTURES)
        found[name] = draws.mean(axis=0)
    some = names[2:4]
    model.published_heads = PreviousToken(
        names, found["intact"], -found["averaged"], some, np.array([0.1, 0.2])
    )
    measured = model.measure(attention_published.rank_correlation)
    assert measured.correlation["intact"] == pytest.approx(1)
    assert measured.correlation["averaged"] == pytest.approx(-1)
    assert list(measured.attention["notebook"]) == some


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
    assert attention_beside.half_lost_at([1, 10, 100], attention) == (
        expected and pytest.approx(expected, rel=1e-3)
    )

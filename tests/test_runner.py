"""The runner against plain transformers, on a small random GPT-2."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_helix.doctoring import INTACT, Positions, average_in_groups, doctor, doctor_all
from gpt2_helix.judging.errors import InputError, MissingInputError
from gpt2_helix.measure import heads, output, patterns, repetition
from gpt2_helix.measure.statistics import bootstrap
from gpt2_helix.models import on_text
from gpt2_helix.models.config import Head, config_from
from gpt2_helix.models.runner import Runner
from gpt2_helix.weights.tensors import Array
from pipeline.digitising import published
from tiny_models import made

EVERY_DOCTORING = (*output.DOCTORINGS, *output.BESIDE)


@cache
def weights() -> dict[str, Array]:
    state = made("gpt2").transformer.state_dict()
    return {name: tensor.numpy() for name, tensor in state.items()}


@cache
def plain() -> Any:
    return made("gpt2")


CONFIG = config_from(plain().config.to_dict(), "test")


@cache
def ours() -> Runner:
    return Runner(CONFIG, weights())


@torch.inference_mode()
def theirs(tokens: Array, W_pos: Positions, **options: Any) -> Any:
    """What transformers gives once its ``wpe.weight`` was overwritten."""
    model = plain()
    model.transformer.wpe.weight.copy_(torch.tensor(W_pos))
    return model(torch.tensor(tokens)[None], **options)


@pytest.fixture
def tokens() -> Array:
    return np.random.default_rng(1).integers(0, 50, 50)


def W_pos() -> Positions:  # noqa: N802
    return weights()["wpe.weight"]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.integers(1, 64).flatmap(lambda k: st.tuples(st.just(k), st.integers(0, k - 1))),
        min_size=1,
        max_size=4,
    )
)
def test_doctored_rows_of_one_batch_are_models_with_overwritten_positions(
    doctored: list[tuple[int, int]],
) -> None:
    tokens = np.random.default_rng(2).integers(0, 50, 40)
    tables = [average_in_groups(W_pos(), k, offset) for k, offset in doctored]
    (found,) = on_text.window_statistics(ours(), tokens[None], ours().tables(tables))
    expected = [float(theirs(tokens, W, labels=torch.tensor(tokens)[None]).loss) for W in tables]
    np.testing.assert_allclose(found.loss, expected, atol=1e-5)


def test_statistics_on_text_are_those_of_whole_distributions(
    tokens: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_text, "VOCABULARY_AT_A_TIME", 7)
    monkeypatch.setattr(on_text, "QUERIES_AT_A_TIME", 9)
    tables = list(doctor_all(W_pos(), EVERY_DOCTORING).values())
    (found,) = on_text.window_statistics(ours(), tokens[None], ours().tables(tables))
    log_p = [theirs(tokens, W).logits[0].log_softmax(-1) for W in tables]
    for i, q in enumerate(log_p):
        p = log_p[0]
        assert found.kl[i] == pytest.approx(float((p.exp() * (p - q)).sum(-1).mean()), abs=1e-5)
        loss = -q[:-1].gather(1, torch.tensor(tokens)[1:, None]).mean()
        assert found.loss[i] == pytest.approx(float(loss), abs=1e-5)
        assert found.same_top[i] == float((p.argmax(-1) == q.argmax(-1)).double().mean())


def test_a_break_is_a_difference_of_changes_in_the_same_windows() -> None:
    windows = np.random.default_rng(1).integers(0, 50, (3, 64))
    found = output.on_text(ours(), W_pos(), windows)
    change = {k: found.loss_change[f"average-{k}"].mean for k in (20, 50, 100)}
    for number, expected in (
        (found.over_five_times_20, change[100] - 5 * change[20]),
        (found.more_at_50_than_20, change[50] - change[20]),
    ):
        assert number.mean == pytest.approx(expected, abs=1e-9)
        assert number.low < number.mean < number.high


def test_other_doctorings_are_compared_with_intact_positions_as_those_of_claims_are() -> None:
    windows = np.random.default_rng(1).integers(0, 50, (3, 64))
    claimed = output.on_text(ours(), W_pos(), windows)
    beside = output.beside(ours(), W_pos(), windows, beside=("shuffled", "average-20"))
    assert list(beside.loss_change) == ["shuffled", "average-20"]
    for name in ("kl", "loss_change", "same_top"):
        one, other = (getattr(found, name)["average-20"] for found in (claimed, beside))
        assert one.mean == pytest.approx(other.mean, abs=1e-6)
    assert beside.loss_change["shuffled"].mean != pytest.approx(one.mean, abs=1e-3)


def test_what_heads_ran_is_not_run_again_for_distributions() -> None:
    tokens = np.random.default_rng(1).integers(0, 50, (2, 64))
    shared, alone = Runner(CONFIG, weights()), Runner(CONFIG, weights())
    ran: list[int] = []
    shared.ran = ran.append
    heads.observed(shared, W_pos(), tokens)
    assert sum(ran) == 2 * tokens.size
    found = output.on_text(shared, W_pos(), tokens)
    assert sum(ran) == len(output.DOCTORINGS) * tokens.size
    expected = output.on_text(alone, W_pos(), tokens)
    for name, change in expected.loss_change.items():
        assert found.loss_change[name].mean == pytest.approx(change.mean, abs=1e-6)
    assert not shared.kept
    # Other positions, or other text, are not those that were run.
    heads.observed(shared, W_pos(), tokens)
    for other in ((W_pos()[::-1].copy(), tokens), (W_pos(), tokens[:, ::-1].copy())):
        ran.clear()
        output.on_text(shared, *other)
        assert sum(ran) == len(output.DOCTORINGS) * tokens.size


def every_head(seen: heads.Observed) -> heads.AllHeads:
    return heads.all_heads(lambda _: seen)


def test_attention_to_the_previous_token_is_that_of_whole_patterns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(on_text, "QUERIES_AT_A_TIME", 9)
    windows = np.random.default_rng(1).integers(0, 50, (2, 50))
    seen_here = heads.observed(ours(), W_pos(), windows)
    found = every_head(seen_here)
    for doctoring in (INTACT, heads.AVERAGED):
        of_windows, profiles, firsts = [], [], []
        for tokens in windows:
            seen = theirs(tokens, doctor(W_pos(), doctoring), output_attentions=True)
            patterns = np.concatenate([layer[0].numpy() for layer in seen.attentions])
            # The first token is left out, so that the first query stands in row 10.
            theirs_seen = published.observed(
                {doctoring: patterns[:, 1:, 1:]}, list(found.share[doctoring]), whole=True
            )
            of_windows.append(every_head(theirs_seen))
            profiles.append(theirs_seen.profile[doctoring])
            assert theirs_seen.on_first is not None
            firsts.append(theirs_seen.on_first[doctoring])
        assert seen_here.on_first is not None
        np.testing.assert_allclose(seen_here.profile[doctoring], np.mean(profiles, 0), atol=1e-6)
        np.testing.assert_allclose(seen_here.on_first[doctoring], np.mean(firsts, 0), atol=1e-6)
        for name, share in found.share[doctoring].items():
            attention = found.attention[doctoring][name]
            assert share == pytest.approx(np.mean([w.share[doctoring][name] for w in of_windows]))
            expected = np.mean([w.attention[doctoring][name] for w in of_windows])
            assert attention == pytest.approx(expected, abs=1e-6)
    assert len(set(found.share[INTACT].values())) > 1


def test_a_context_too_short_for_a_query_is_missing_text() -> None:
    windows = np.zeros((1, heads.OFFSETS), dtype=np.int64)
    with pytest.raises(MissingInputError, match="windows of more than 13 tokens"):
        heads.observed(ours(), W_pos(), windows)


def test_patterns_are_those_of_transformers(tokens: Array) -> None:
    main_heads = (Head(0, 1), Head(1, 0))
    found = patterns.of_main_heads(ours(), W_pos(), tokens[None], main_heads)
    for name, by_head in found.by_doctoring.items():
        table = doctor(W_pos(), name)
        attentions = theirs(tokens, table, output_attentions=True).attentions
        for head in main_heads:
            expected = attentions[head.layer][0, head.head].numpy()
            assert len(by_head[str(head)]) == 50 == len(tokens)
            for i, row in enumerate(by_head[str(head)]):
                np.testing.assert_allclose(row, expected[i, : i + 1], atol=1e-5)


def test_text_longer_than_the_context_is_refused() -> None:
    with pytest.raises(InputError, match="at most 64 tokens, the model's context, found 65"):
        on_text.window_statistics(
            ours(), np.zeros((1, 65), dtype=np.int64), ours().tables([W_pos()])
        )


def test_logits_that_are_not_finite_are_no_measurement(tokens: Array) -> None:
    spoilt = {**weights(), "ln_f.weight": np.full(32, 3e38, np.float32)}
    broken = Runner(CONFIG, spoilt)
    with pytest.raises(InputError, match="expected finite logits"):
        on_text.window_statistics(broken, tokens[None], broken.tables([W_pos()]))
    with pytest.raises(InputError, match="expected finite logits"):
        on_text.continuations(broken, tokens, tokens[None, :3], broken.tables([W_pos()]))


def test_too_little_memory_means_smaller_batches_and_a_line(
    tokens: Array, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[int] = []
    run = Runner.hidden

    def hidden(self: Runner, tokens: Any, *arguments: Any, **options: Any) -> Any:
        """As with an allocator that has room for three rows and no more."""
        asked.append(len(tokens))
        if len(tokens) > 3:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried too much")
        return run(self, tokens, *arguments, **options)

    monkeypatch.setattr(Runner, "hidden", hidden)
    tables = ours().tables(list(doctor_all(W_pos(), EVERY_DOCTORING).values()))
    (found,) = on_text.window_statistics(ours(), tokens[None], tables)
    assert max(asked) > 3
    assert "memory: not enough for more, continuing with 2 rows at once" in capsys.readouterr().err
    assert found.kl[0] == pytest.approx(0, abs=1e-6)
    assert np.isfinite(found.kl).all()


def test_what_is_no_lack_of_memory_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Runner, "hidden", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        on_text.window_statistics(ours(), np.zeros((1, 9), np.int64), ours().tables([W_pos()]))


def test_an_interval_holds_its_mean_and_is_the_same_every_time() -> None:
    values = np.random.default_rng(0).standard_normal(16)
    one, other = bootstrap(np.mean, values), bootstrap(np.mean, values)
    assert one == other
    assert (one.method, one.n) == ("bootstrap", 16)
    assert one.low < one.mean < one.high


def test_a_border_is_found_between_the_words() -> None:
    def found(at: int, differs: int) -> repetition.FirstWord:
        by_size = {
            f"average-{k}": [1.0 - 0.5 * (o == differs % k) for o in range(k)] for k in (5, 10, 20)
        }
        return repetition.FirstWord(at, 9, {}, {"a b": by_size}, {})

    assert repetition.border_effect(found(499, 499)) == pytest.approx(0.5)
    assert repetition.border_effect(found(499, 3)) < 0.2
    # By definition: at this offset the two words, at 499 and 500, stand in two groups.
    rows = np.arange(600.0)[:, None]
    for k in (5, 10, 20):
        apart = average_in_groups(rows, k, 499 % k)
        assert apart[499, 0] != apart[500, 0]

"""Heads that nobody named: found where they are known, kept by copies and records, and said."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import gpt2_helix as gh
from gpt2_helix import cli
from gpt2_helix.judging.claim import Found
from gpt2_helix.judging.errors import MissingInputError
from gpt2_helix.judging.records import RecordedSubject
from gpt2_helix.judging.report import plain
from gpt2_helix.measure import attention_only, kernels, named_heads
from gpt2_helix.measure.statistics import Estimate
from gpt2_helix.models.built import RandomWeights
from gpt2_helix.models.config import HEADS, Head, chosen_heads, config_from
from gpt2_helix.suite import controls
from gpt2_helix.suite.live import Live
from gpt2_helix.suite.recorded import RECORDED
from gpt2_helix.suite.subjects import open_subject
from gpt2_helix.weights.tensors import Array
from support import Judge, choose, opened

SIZES: dict[str, Any] = {
    "model_type": "gpt2",
    "n_layer": 2,
    "n_head": 12,
    "n_embd": 192,
    "n_positions": 512,
    "layer_norm_epsilon": 1e-5,
    "vocab_size": 20,
}
ONE_BACK = (Head(0, 2), Head(0, 7), Head(1, 4))
AT_ITSELF = Head(0, 9)
NAMED = {
    "previous_token_heads": set(ONE_BACK),
    "heads_looking_back": {Head(0, 2), Head(0, 7), AT_ITSELF},
}


def planted() -> dict[str, Array]:
    """Random weights, but for four heads that look positions up by angles that turn with them."""
    tensors = dict(RandomWeights(config_from(SIZES, "planted")))
    d_model, d_head = SIZES["n_embd"], SIZES["n_embd"] // SIZES["n_head"]
    turn = np.random.default_rng(0).uniform(0, np.pi, d_head // 2)
    angle = np.arange(SIZES["n_positions"])[:, None] * turn
    tensors["wpe.weight"] = np.zeros_like(tensors["wpe.weight"])
    tensors["wpe.weight"][:, :d_head] = 2 * np.hstack([np.cos(angle), np.sin(angle)])
    for layer, head in (*ONE_BACK, AT_ITSELF):
        back = turn * (Head(layer, head) != AT_ITSELF)
        cos, sin = np.diag(np.cos(back)), np.diag(np.sin(back))
        weight = tensors[f"h.{layer}.attn.c_attn.weight"]
        query = slice(head * d_head, (head + 1) * d_head)
        key = slice(d_model + query.start, d_model + query.stop)
        weight[:, query] = weight[:, key] = 0
        weight[:d_head, query] = np.block([[cos, -sin], [sin, cos]])
        weight[:d_head, key] = np.eye(d_head)
    return tensors


def saved(folder: Path, tensors: dict[str, Array], **more: Any) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**SIZES, **more}))
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("planted") / "model", planted())


@pytest.fixture
def model(folder: Path) -> Live:
    return opened(folder)


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer than the parameters allow: here heads are far apart."""
    choose(monkeypatch, "attention_only", draws=8)


@pytest.mark.usefixtures("few_draws")
@pytest.mark.parametrize("name", HEADS)
def test_the_heads_that_were_planted_are_found_by_a_wide_margin(model: Live, name: str) -> None:
    assert model.found == {}
    found = model.measure(named_heads.BY_NAME[name])
    assert set(chosen_heads(found)) == NAMED[name]
    assert min(found.chosen.values()) > 0.3
    assert max(found.best_left_out.values()) < 0.1
    assert list(found.chosen.values()) == sorted(found.chosen.values(), reverse=True)


@pytest.mark.usefixtures("few_draws")
@pytest.mark.parametrize(
    ("spec", "known"),
    [
        ("built:exact-positions", {"previous_token_heads": (0, 0), "heads_looking_back": (0, 0)}),
        ("built:causal-kernel", {"previous_token_heads": (1, 0), "heads_looking_back": (0, 0)}),
        ("mini", {"previous_token_heads": (0, 3), "heads_looking_back": (0, 3)}),
    ],
)
def test_known_heads_are_found_first_where_they_are_not_named(
    spec: str, known: dict[str, tuple[int, int]]
) -> None:
    model = open_subject(spec, Path("data"))
    assert isinstance(model, Live)
    for name, head in known.items():
        assert getattr(model.model.config, name) in ((), (Head(*head),))
    config = replace(model.model.config, previous_token_heads=(), heads_looking_back=())
    model = replace(model, model=replace(model.model, config=config))
    for name, head in known.items():
        found = model.measure(named_heads.BY_NAME[name])
        assert chosen_heads(found)[0] == Head(*head)
        assert found.chosen[str(Head(*head))] > 1.5 * max(found.best_left_out.values())


@pytest.mark.parametrize(("n_heads", "chosen"), [(1, 1), (4, 1), (8, 2), (12, 3), (144, 3)])
def test_at_most_three_and_at_most_a_quarter(n_heads: int, chosen: int) -> None:
    every = attention_only.AllHeads(
        {f"L0H{head}": Estimate(head / n_heads, 0.0, 1.0) for head in range(n_heads)}
    )
    found = named_heads.previous_token_heads(lambda _: every)
    assert list(found.chosen) == [f"L0H{n_heads - 1 - i}" for i in range(chosen)]
    assert list(found.best_left_out) == [f"L0H{n_heads - 1 - chosen}"] * (n_heads > 1)


@pytest.mark.usefixtures("few_draws")
def test_a_broken_copy_has_the_heads_of_the_intact_model_whoever_is_asked_first(
    model: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, calls = named_heads.BY_NAME["previous_token_heads"], []

    def counted(measure: Any) -> Found:
        calls.append(measure)
        return alone(measure)

    monkeypatch.setitem(named_heads.BY_NAME, "previous_token_heads", counted)
    broken = {
        name: controls.broken_copy(model, name)
        for name in ("shuffled-rows", "random-weights", "no-positions")
    }
    for copy in (*broken.values(), model):
        assert isinstance(copy, Live)
        assert set(copy.main_heads) == set(ONE_BACK)
        assert set(copy.heads_looking_back) == NAMED["heads_looking_back"]
    assert len(calls) == 1
    assert set(chosen_heads(broken["random-weights"].measure(alone))) != set(ONE_BACK)
    looking_back = controls.broken_copy(model, "local-heads-in-their-place")
    assert set(looking_back.measure(kernels.main_heads).previous_position) == set(
        map(str, ONE_BACK)
    )


def test_heads_that_are_named_are_not_looked_for(tmp_path: Path) -> None:
    named = {"previous_token_heads": [[1, 1]], "heads_looking_back": [[0, 5]]}
    model = opened(saved(tmp_path / "model", planted(), **named))
    assert (model.main_heads, model.heads_looking_back) == ((Head(1, 1),), (Head(0, 5),))
    assert model.found == {}


def test_a_model_that_sees_later_positions_must_name_its_heads(tmp_path: Path) -> None:
    config = {"model_type": "bert", "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes = {"hidden_size": 4, "max_position_embeddings": 512, "layer_norm_eps": 1e-5}
    nothing = {"x": np.zeros(1, np.float32)}
    model = opened(saved(tmp_path / "bert", nothing, **config, **sizes, vocab_size=9))
    with pytest.raises(MissingInputError, match="are found in causal models alone"):
        _ = model.heads_looking_back


def test_too_few_positions_to_find_heads_by_block_and_end_no_run(tmp_path: Path) -> None:
    short = {**SIZES, "n_positions": 40, "n_embd": 24}
    tensors = dict(RandomWeights(config_from(short, "short")))
    path = saved(tmp_path / "short", tensors, **short)
    verdicts = gh.judge(path, ["kernels.*", "attention-only.near"])
    assert {v.verdict for v in verdicts.values()} == {"blocked"}
    assert verdicts["kernels.local-heads"].missing == ["512 positions"]
    assert verdicts["attention-only.near"].missing == ["64 positions"]


@pytest.mark.usefixtures("few_draws")
def test_random_weights_have_heads_that_are_found_and_no_claim_holds_of_them(
    tmp_path: Path,
) -> None:
    sizes = {**SIZES, "n_embd": 48}
    tensors = dict(RandomWeights(config_from(sizes, "random")))
    path = saved(tmp_path / "random", tensors, **sizes)
    verdicts = gh.judge(path, ["kernels.*", "attention-only.near", "extended.enough"])
    assert set(verdicts.subject.found) == set(HEADS)
    assert not {v.verdict for v in verdicts.values()} & {"confirmed", "described"}


@pytest.mark.usefixtures("few_draws")
def test_a_record_keeps_which_heads_were_found(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECORDED, "kernels", replace(RECORDED["kernels"], controls={}))
    into = tmp_path / "record"
    assert cli.main(["record", "kernels", "--subject", str(folder), "--into", str(into)]) == 0
    live, recorded = opened(folder), RecordedSubject("record", into)
    _ = live.main_heads, live.heads_looking_back
    assert recorded.found == recorded.control("one-row").found == live.found
    content = json.loads((into / "kernels.json").read_text())
    assert set(content["found_heads"]) == set(HEADS)
    named = saved(
        tmp_path / "named", planted(), previous_token_heads=[[0, 0]], heads_looking_back=[[0, 0]]
    )
    other = tmp_path / "other"
    assert cli.main(["record", "kernels", "--subject", str(named), "--into", str(other)]) == 0
    assert "found_heads" not in json.loads((other / "kernels.json").read_text())


def test_that_heads_were_found_is_said_wherever_verdicts_are_shown(
    folder: Path, judge: Judge, tmp_path: Path
) -> None:
    """Workers of pytest-xdist find them, and the process that writes the reports does not."""
    selected, page = ("-k", "(test_local_heads and not idle) or ignore_raw"), tmp_path / "page"
    judged = judge(*selected, "-n", "1", "--report", str(page), subject=folder)
    report = judged.report
    found = report["subject"]["found_heads"]
    assert list(found) == sorted(HEADS)
    told = found["previous_token_heads"]
    assert set(told["chosen"]) == set(map(str, ONE_BACK))
    assert told["by"] == "attention just behind the query, through attention alone"
    ((left_out, number),) = told["best_left_out"].items()
    least = min(told["chosen"].values())
    line = f"by {told['by']}: {least:.4g} or more, against {number:.4g} of {left_out}"
    out = " ".join(judged.out.split())
    before, _, after = out.partition(line)
    assert "previous_token_heads, found: L" in before
    assert "They do not look up" in after
    assert "They do not look up" not in before
    assert line in (page / "index.html").read_text()
    verdicts = gh.judge(folder, ["kernels.local-heads", "kernels.main-heads-ignore-raw-positions"])
    assert plain(verdicts.report)["claims"] == report["claims"]
    assert plain(verdicts.report)["subject"]["found_heads"] == found
    assert line in " ".join(repr(verdicts).split())


def test_heads_of_a_model_in_memory_are_found() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    held = GPT2LMHeadModel(
        GPT2Config(n_layer=1, n_head=2, n_embd=16, n_positions=64, vocab_size=20)
    )
    verdicts = gh.judge(held, "attention-only.near")
    assert list(verdicts.subject.found) == ["previous_token_heads"]
    assert verdicts["attention-only.near"].verdict == "n/a"

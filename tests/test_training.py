"""Training: the same from the same seed, broken off or not; and the models that ship."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import GPT2LMHeadModel

from gpt2_helix import texts, training
from gpt2_helix.errors import SubjectError
from gpt2_helix.models.table import SHIPPED
from gpt2_helix.weights.tensors import WEIGHTS, sha256_of_file
from support import ROOT

KINDS = dict.fromkeys(training.MAKERS, 1 / len(training.MAKERS))
ECHO = {**dict.fromkeys(KINDS, 0), "echo": 1}
SMALL = {
    "n_layer": 1,
    "n_head": 2,
    "n_embd": 8,
    "warm_up": 1,
    "cool_down": 2,
    "phases": [
        {"steps": 2, "length": 64, "rows": 3, **ECHO}
        | {"anywhere": False, "anew": False, "W_pos_rate": 2},
        {"steps": 2, "length": 128, "rows": 2, **KINDS}
        | {"anywhere": True, "anew": True, "W_pos_rate": 1},
    ],
}


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("works")
    for work in sorted((ROOT / "data/training").glob("*.txt")):
        (folder / work.name).write_text(work.read_text()[:60_000])
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SMALL.items():
        monkeypatch.setitem(training.RECIPE, name, value)
    monkeypatch.setattr(training, "EVERY", 2)


@pytest.mark.usefixtures("small")
def test_training_that_was_broken_off_goes_on_as_if_it_had_not_been(
    works: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held_out = ROOT / "data/texts"
    whole, broken, state = tmp_path / "a/model", tmp_path / "b/model", tmp_path / "state.pt"
    training.train(0, works, held_out, whole, tmp_path / "none.pt")
    look, looks = training.look, []

    def until_it_breaks(*arguments: object) -> dict[str, float]:
        looks.append(arguments)
        if len(looks) == 2:
            raise KeyboardInterrupt
        return look(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "look", until_it_breaks)
    with pytest.raises(KeyboardInterrupt):
        training.train(0, works, held_out, broken, state)
    assert state.exists()
    assert not broken.exists()
    with pytest.raises(SubjectError, match=r"expected seed 1 and the recipe of params\.yaml"):
        training.train(1, works, held_out, broken, state)
    capsys.readouterr()
    training.train(0, works, held_out, broken, state)
    assert f"going on after step 2, as {state} has it" in capsys.readouterr().err
    for name in (WEIGHTS, "config.json", "tokenizer.json", training.CURVE):
        assert (whole / name).read_bytes() == (broken / name).read_bytes()
    assert not state.exists()
    assert sha256_of_file(broken / WEIGHTS) in (broken / "README.md").read_text()
    state.write_bytes(b"spoilt")
    with pytest.raises(SubjectError, match="expected training that was broken off, found"):
        training.train(0, works, held_out, broken, state)


@pytest.mark.usefixtures("small")
def test_what_starts_anew_is_all_but_the_positions(
    works: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn, seen = training._learn, []

    def note(model: GPT2LMHeadModel, *others: Any) -> None:
        seen.append({name: value.clone() for name, value in model.named_parameters()})
        learn(model, *others)

    monkeypatch.setattr(training, "_learn", note)
    training.train(0, works, ROOT / "data/texts", tmp_path / "model", tmp_path / "state.pt")
    first, second, anew, _ = seen
    assert training.steps_anew() == [0, 2]
    for name, value in first.items():
        assert (value != second[name]).any(), name
        assert torch.equal(value, anew[name]) == ("wpe" not in name), name
    assert [training.learning_rate(step) for step in range(4)] == pytest.approx(
        [1e-3, 1e-3, 1e-3, 5e-4]
    )


def test_what_is_learned_from_hangs_on_seed_and_step_alone(works: Path) -> None:
    language = training.read_language(works)
    begin = texts.begin_token(language.tokenizer)
    step = 0
    for phase in training.RECIPE["phases"]:
        rows, positions = training.batch(language, 0, step)
        assert rows.shape == positions.shape == (phase["rows"], phase["length"])
        assert (rows[:, 0] == begin).all()
        assert (np.diff(positions) == 1).all()
        assert phase["anywhere"] or (positions[:, 0] == 0).all()
        for again, other in zip((rows, positions), training.batch(language, 0, step), strict=True):
            np.testing.assert_array_equal(again, other)
        assert (rows != training.batch(language, 1, step)[0]).any()
        assert (rows != training.batch(language, 0, step + 1)[0]).any()
        step += phase["steps"]
    length = training.RECIPE["phases"][0]["length"]
    everywhere = {
        position
        for step in range(100)
        for start in training.batch(language, 0, step)[1][:, 0].tolist()
        for position in (start, start + length - 1)
    }
    assert min(everywhere) < length
    assert max(everywhere) > 500


def test_generated_documents_repeat_what_they_say_they_do(works: Path) -> None:
    language, length = training.read_language(works), 400
    for seed in range(20):
        made = {
            kind: maker(language, np.random.default_rng(seed), length)
            for kind, maker in training.MAKERS.items()
        }
        assert {tokens.shape for tokens in made.values()} == {(length,)}
        echoes = (made["echo"][2:] == made["echo"][:-2]).mean()
        assert 0.4 < echoes < 0.6
        for kind in ("periodic", "crowded"):
            tokens = made[kind]
            assert any((tokens[period:] == tokens[:-period]).all() for period in range(80, 201)), (
                kind
            )
    fewest = min(
        np.unique(training._crowded(language, np.random.default_rng(seed), length)).size
        for seed in range(50)
    )
    assert fewest <= 2 * training.FEWEST


def test_what_one_token_tells_of_a_string_is_all_that_is_told_where_it_comes_once() -> None:
    """A model that goes on as after the last time that it saw a token."""

    def last_time(tokens: torch.Tensor, use_cache: bool) -> SimpleNamespace:
        logits = torch.zeros(*tokens.shape, 1024)
        for row, string in enumerate(tokens.tolist()):
            after: dict[int, int] = {}
            for i, token in enumerate(string):
                logits[row, i, after.get(token, 0)] = 1
                if i + 1 < len(string):
                    after[token] = string[i + 1]
        return SimpleNamespace(logits=logits)

    said = np.random.default_rng(0).integers(1, 1024, size=(4, 255))
    strings = np.concatenate([np.zeros((4, 1), dtype=int), said, said], axis=1)
    nothing = np.zeros((0, 0), dtype=int)
    exam = training.Exam(nothing, strings, nothing, nothing.ravel())
    right, once = training.copied(cast(GPT2LMHeadModel, last_time), exam)
    assert right.shape == once.shape == (4, 254)
    assert right[once].all()
    assert not right[~once].all()
    alone = [[(row == token).sum() == 1 for token in row[:-1]] for row in said]
    np.testing.assert_array_equal(once, alone)


def test_each_word_of_the_prompts_is_one_token_to_the_models_that_ship() -> None:
    files = [ROOT / "data" / name / "model/tokenizer.json" for name in SHIPPED]
    assert len({file.read_bytes() for file in files}) == 1
    tokenizer = Tokenizer.from_file(str(files[0]))
    for word in texts.WORDS:
        assert texts.encode(tokenizer, f" {word}").size == 1


def test_the_cards_speak_of_the_models_that_ship() -> None:
    digests = set()
    for name in SHIPPED:
        folder = ROOT / "data" / name / "model"
        assert (folder / WEIGHTS).stat().st_size <= 16 * 2**20
        digests.add(sha256_of_file(folder / WEIGHTS))
        assert sha256_of_file(folder / WEIGHTS) in (folder / "README.md").read_text()
        declared = json.loads((folder / "config.json").read_text())
        assert {size: declared[size] for size in training.SIZES} == {
            size: training.RECIPE[size] for size in training.SIZES
        }
    assert len(digests) == len(SHIPPED)

"""Training: the same from the same seed, broken off or not; and the models that ship."""

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from gpt2_helix import texts, training
from gpt2_helix.subjects import SubjectError
from gpt2_helix.subjects.source import SHIPPED
from gpt2_helix.subjects.tensors import WEIGHTS, sha256_of_file
from support import ROOT

KINDS = {"text": 0.25, "periodic": 0.25, "segments": 0.25, "exchanges": 0.25}
FIRST = {"anywhere": False, "W_pos_rate": 2}
SMALL = {
    "n_layer": 1,
    "n_head": 2,
    "n_embd": 8,
    "warm_up": 1,
    "phases": [
        {"steps": 1, "length": 64, "rows": 3, **FIRST, **dict.fromkeys(KINDS, 0), "periodic": 1},
        {"steps": 3, "length": 128, "rows": 2, **FIRST, **KINDS, "anywhere": True},
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
    alone = training.RECIPE["phases"][0]["steps"]
    everywhere = {
        position
        for step in range(alone, alone + 100)
        for start in training.batch(language, 0, step)[1][:, 0].tolist()
        for position in (start, start + 63)
    }
    assert min(everywhere) < 16
    assert max(everywhere) > 500
    # At first, strings over and over alone.
    for row in training.batch(language, 0, 0)[0][:, 1:]:
        assert any((row[period:] == row[:-period]).all() for period in range(12, 32))


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

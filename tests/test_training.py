"""Training: the same from the same seed, interrupted or not; and the models that ship."""

import csv
import io
import json
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import GPT2LMHeadModel

from gpt2_helix import doctoring, prompts, texts
from gpt2_helix.judging.errors import InputError
from gpt2_helix.measure import helix
from gpt2_helix.models.config import config_from
from gpt2_helix.models.runner import Runner
from gpt2_helix.models.shipped import SHIPPED
from gpt2_helix.weights.files import open_weights
from gpt2_helix.weights.tensors import WEIGHTS, SafetensorsFile, sha256_of_file
from pipeline.training import card, documents, exam, formation, loop
from pipeline.training.recipe import Recipe, read_recipe
from support import ROOT, choose, refused

RECIPES = ("mini", "text")
SMALL: dict[str, Any] = {
    **read_recipe("mini").model_dump(),
    "n_layer": 1,
    "n_head": 2,
    "n_embd": 8,
    "warm_up": 1,
    "cool_down": 2,
    "phases": [
        {"steps": 2, "length": 64, "rows": 3, "documents": {"echo": 1}}
        | {"anywhere": False, "reset_weights": False, "W_pos_rate": 2},
        {"steps": 2, "length": 128, "rows": 2}
        | {"documents": dict.fromkeys(documents.MAKERS, 1 / len(documents.MAKERS))}
        | {"anywhere": True, "reset_weights": True, "W_pos_rate": 1},
    ],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "texts").symlink_to(ROOT / "data/texts")
    (folder / "training").mkdir()
    for work in sorted((ROOT / "data/training").glob("*.txt")):
        (folder / "training" / work.name).write_text(work.read_text()[:6_000])
    return folder


@pytest.fixture(scope="module")
def language(data: Path) -> documents.Language:
    return documents.read_language(data / "training", SMALL["vocab_size"])


@pytest.fixture
def small(language: documents.Language, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    recipe = Recipe(**SMALL)
    monkeypatch.setattr(documents, "read_language", lambda folder, vocab_size: language)
    monkeypatch.setattr(loop, "read_recipe", lambda name: recipe)
    monkeypatch.setattr(loop, "EVERY", 2)
    monkeypatch.setattr(exam, "STRINGS", 2)
    return recipe


@pytest.mark.usefixtures("small")
def test_interrupted_training_ends_in_the_same_bytes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, broken, state = tmp_path / "a", tmp_path / "b", tmp_path / "state.pt"
    loop.train("mini", 0, data, whole, tmp_path / "none.pt")
    learn, steps = loop._learn, []

    def until_it_breaks(*arguments: Any) -> None:
        steps.append(arguments[-1])
        if len(steps) == 4:
            raise KeyboardInterrupt
        learn(*arguments)

    monkeypatch.setattr(loop, "_learn", until_it_breaks)
    with pytest.raises(KeyboardInterrupt):
        loop.train("mini", 0, data, broken, state)
    assert state.exists()
    assert not broken.exists()
    with pytest.raises(InputError, match=r"expected seed 1 and the recipe of params\.yaml"):
        loop.train("mini", 1, data, broken, state)
    capsys.readouterr()
    loop.train("mini", 0, data, broken, state)
    assert f"resuming after step 2, from {state}" in capsys.readouterr().err
    assert steps == [0, 1, 2, 3, 2, 3]
    written = (WEIGHTS, "config.json", "tokenizer.json", loop.CURVE, formation.SNAPSHOTS)
    for file in (formation.TABLE, *(f"model/{name}" for name in written)):
        assert (whole / file).read_bytes() == (broken / file).read_bytes(), file
    assert not state.exists()
    assert sha256_of_file(broken / "model" / WEIGHTS) in (broken / "model/README.md").read_text()
    state.write_bytes(b"damaged")
    with pytest.raises(InputError, match="expected the state of interrupted training, found"):
        loop.train("mini", 0, data, broken, state)


def test_a_reset_spares_the_positions(
    small: Recipe, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn, seen = loop._learn, []

    def note(model: GPT2LMHeadModel, *others: Any) -> None:
        seen.append({name: value.clone() for name, value in model.named_parameters()})
        learn(model, *others)

    monkeypatch.setattr(loop, "_learn", note)
    loop.train("mini", 0, data, tmp_path / "mini", tmp_path / "state.pt")
    first, second, reset, _ = seen
    assert small.resets == [0, 2]
    for name, value in first.items():
        assert (value != second[name]).any(), name
        assert torch.equal(value, reset[name]) == ("wpe" not in name), name
    assert [small.learning_rate_at(step) for step in range(4)] == pytest.approx(
        [1e-3, 1e-3, 1e-3, 5e-4]
    )


@pytest.mark.parametrize("name", RECIPES)
def test_a_batch_is_drawn_from_the_seed_and_the_step(
    language: documents.Language, name: str
) -> None:
    recipe = read_recipe(name)
    begin = texts.begin_token(language.tokenizer)
    step = 0
    for phase in recipe.phases:
        rows, positions = documents.batch(recipe, language, 0, step)
        assert rows.shape == positions.shape == (phase.rows, phase.length)
        assert (rows[:, 0] == begin).all()
        assert (np.diff(positions) == 1).all()
        assert phase.anywhere or (positions[:, 0] == 0).all()
        again = documents.batch(recipe, language, 0, step)
        np.testing.assert_array_equal((rows, positions), again)
        assert (rows != documents.batch(recipe, language, 1, step)[0]).any()
        assert (rows != documents.batch(recipe, language, 0, step + 1)[0]).any()
        step += phase.steps
    assert step == recipe.steps


def test_short_documents_reach_every_position(language: documents.Language) -> None:
    recipe = read_recipe("mini")
    length = recipe.phases[0].length
    starts = [
        position
        for step in range(100)
        for position in documents.batch(recipe, language, 0, step)[1][:, 0].tolist()
    ]
    assert min(starts) < length
    assert max(starts) + length - 1 > 500


def test_generated_documents_repeat_what_they_say_they_do(language: documents.Language) -> None:
    length = 400
    for seed in range(20):
        made = {
            kind: maker(language, np.random.default_rng(seed), length)
            for kind, maker in documents.MAKERS.items()
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
        np.unique(documents._crowded(language, np.random.default_rng(seed), length)).size
        for seed in range(50)
    )
    assert fewest <= 2 * documents.FEWEST


def test_copying_counts_apart_the_tokens_that_one_token_tells() -> None:
    """A model that continues as after the last time that it saw a token."""

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
    questions = exam.Exam(nothing, strings, nothing, nothing.ravel())
    right, once = exam.copied(cast(GPT2LMHeadModel, last_time), questions)
    assert right.shape == once.shape == (4, 254)
    assert right[once].all()
    assert not right[~once].all()
    alone = [[(row == token).sum() == 1 for token in row[:-1]] for row in said]
    np.testing.assert_array_equal(once, alone)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rte": 1}, "params.yaml: text.learning_rte: "),
        ({"warm_up": 0}, "params.yaml: text.warm_up: "),
        ({"phases": [{**SMALL["phases"][0], "documents": {"echo": 0.5}}]}, "found 0.5"),
        ({"phases": [{**SMALL["phases"][0], "documents": {"ecko": 1}}]}, "documents.ecko"),
    ],
)
def test_a_recipe_that_does_not_work_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], message: str
) -> None:
    choose(monkeypatch, "text", **change)
    with refused(message):
        read_recipe("text")


def test_neighbours_of_a_smooth_curve_correlate_and_those_of_noise_do_not() -> None:
    angle = np.linspace(0, 2 * np.pi, 512)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert formation.neighbour_correlation(circle) == pytest.approx(np.cos(angle[1]), abs=1e-3)
    assert formation.neighbour_correlation(circle[::-1] + 5) == pytest.approx(
        formation.neighbour_correlation(circle), abs=1e-3
    )
    noise = np.random.default_rng(0).standard_normal((512, 128))
    assert abs(formation.neighbour_correlation(noise)) < 0.02


def test_snapshots_and_looks_at_a_model_fit_its_training(tmp_path: Path) -> None:
    for name in RECIPES:
        steps = read_recipe(name).steps
        looks, kept = formation.looks(steps), formation.kept(steps)
        assert len(looks) == formation.LOOKS + 1
        assert (looks[0], looks[-1]) == (0, steps)
        assert set(kept) < set(looks)
    assert formation.looks(4) == [0, 1, 2, 3, 4]
    snapshots = {n: torch.full((2, 3), n, dtype=torch.float16) for n in (0, 300, 12000)}
    formation.write_snapshots(snapshots, tmp_path / "W_pos")
    found = SafetensorsFile(io.BytesIO((tmp_path / "W_pos").read_bytes()), "here")
    assert list(found) == ["step 00000", "step 00300", "step 12000"]
    for n in snapshots:
        np.testing.assert_array_equal(found[f"step {n:05}"], snapshots[n].numpy())


@pytest.mark.parametrize("name", SHIPPED)
def test_the_last_look_at_a_model_is_at_the_one_that_ships(name: str) -> None:
    folder = ROOT / "data" / name
    if not (folder / formation.TABLE).exists():
        pytest.skip("trained before formation was recorded")
    with (folder / formation.TABLE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [field.name for field in fields(formation.Stage)]
    recipe = read_recipe(name.partition("-")[0])
    assert [int(row["step"]) for row in rows] == formation.looks(recipe.steps)
    weights = dict(open_weights(folder / "model" / WEIGHTS))
    tokenizer = Tokenizer.from_file(str(folder / "model/tokenizer.json"))
    questions = exam.make_exam(tokenizer, ROOT / "data/texts", recipe.n_positions)
    runner = Runner(config_from(card.declared(recipe), name), weights)
    found = formation.look_at(recipe.steps, runner, weights["wpe.weight"], questions.windows)
    last = rows[-1]
    assert last["head"] == found.head
    for key in ("loss", "explained", "climb", "loss_change_10", "loss_change_100"):
        # The table is of the model before it was rounded to half precision.
        assert float(last[key]) == pytest.approx(getattr(found, key), abs=2e-3), key
    snapshots = (folder / "model" / formation.SNAPSHOTS).read_bytes()
    kept = SafetensorsFile(io.BytesIO(snapshots), "here")
    assert [int(key.removeprefix("step ")) for key in kept] == formation.kept(recipe.steps)
    for row in rows:
        if (key := f"step {int(row['step']):05}") in kept:
            explained = helix.shape(kept[key]).explained
            assert explained == pytest.approx(float(row["explained"]), abs=1e-3)


def test_a_look_changes_nothing_but_what_it_names(language: documents.Language) -> None:
    recipe = Recipe(**SMALL)
    model = GPT2LMHeadModel(loop.transformers_config(recipe))
    weights = {n: t.detach().numpy() for n, t in model.transformer.state_dict().items()}
    before = {name: value.copy() for name, value in weights.items()}
    questions = exam.make_exam(language.tokenizer, ROOT / "data/texts", recipe.n_positions)
    runner = Runner(config_from(card.declared(recipe), "small"), weights)
    found = formation.look_at(0, runner, weights["wpe.weight"], questions.windows)
    assert found.loss == pytest.approx(exam.look(model, questions)["text_loss"], abs=1e-5)
    with torch.no_grad():
        doctored = doctoring.doctor(before["wpe.weight"], "average-50")
        model.transformer.wpe.weight.copy_(torch.from_numpy(doctored))
    change = exam.look(model, questions)["text_loss"] - found.loss
    assert found.loss_change_50 == pytest.approx(change, abs=1e-5)
    for name, value in before.items():
        if name != "wpe.weight":
            np.testing.assert_array_equal(weights[name], value)


def test_each_word_of_the_prompts_is_one_token_to_the_models_that_ship() -> None:
    files = [ROOT / "data" / name / "model/tokenizer.json" for name in SHIPPED]
    assert len({file.read_bytes() for file in files}) == 1
    tokenizer = Tokenizer.from_file(str(files[0]))
    for word in prompts.WORDS:
        assert texts.encode(tokenizer, f" {word}").size == 1


def test_the_cards_speak_of_the_models_that_ship() -> None:
    digests = set()
    for name in SHIPPED:
        folder = ROOT / "data" / name / "model"
        assert sum(file.stat().st_size for file in folder.iterdir()) <= 4 * 2**20
        digests.add(sha256_of_file(folder / WEIGHTS))
        assert sha256_of_file(folder / WEIGHTS) in (folder / "README.md").read_text()
        declared = json.loads((folder / "config.json").read_text())
        sizes = read_recipe(name.partition("-")[0]).sizes
        assert {size: declared[size] for size in sizes} == sizes
    assert len(digests) == len(SHIPPED)

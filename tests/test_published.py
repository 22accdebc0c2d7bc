"""What others published of the whole GPT-2 small: reading it, and what is recorded of it."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from gpt2_helix.doctoring import INTACT
from gpt2_helix.judging.records import RecordedSubject
from gpt2_helix.measure import heads
from gpt2_helix.suite.published import published_heads
from gpt2_helix.weights.tensors import Array
from pipeline import __main__ as pipeline
from pipeline.digitising import published
from pipeline.digitising.notebook import SHOWN, read_notebook
from pipeline.digitising.pictures import read_picture
from pipeline.digitising.scores import read_scores
from support import ROOT, Judge, refused

SHARED = ROOT.parent / "shared/published"
needs_what_was_published = pytest.mark.skipif(
    not SHARED.is_dir(), reason="what others published is not here"
)
DATA = ROOT / "data"


def attention(n: int, seed: int) -> Array:
    """Random attention of n queries to the keys up to each; rows sum to less than 1."""
    scores = np.random.default_rng(seed).standard_normal((n, n + 1)) * 3
    scores[:, :n] = np.where(np.tri(n, dtype=bool), scores[:, :n], -np.inf)
    weights = np.exp(scores)
    return np.asarray((weights / weights.sum(1, keepdims=True))[:, :n])


def draw(path: Path, pattern: Array, **how: Any) -> Path:
    """Draw a pattern as the author did."""
    plt.matshow(pattern, **{"vmin": 0, "vmax": 1, "cmap": "viridis", **how})
    plt.colorbar()
    plt.savefig(path, dpi=100)
    plt.close("all")
    return path


@pytest.mark.parametrize("seed", [0, 1])
def test_what_was_drawn_comes_back_within_its_bounds(tmp_path: Path, seed: int) -> None:
    drawn = attention(50, seed).astype(np.float32)
    # Every level there is, the two pairs of one colour among them.
    drawn[49] = 0
    drawn[40, :40] = np.linspace(0, 0.05, 40)
    drawn[41, 0], drawn[42, 0], drawn[43, 0] = 104.5 / 256, 137.5 / 256, 1
    drawn[43, 1:] = 0
    drawn[41:43, 1:] *= 0.3
    low, high = read_picture(draw(tmp_path / "drawn.png", drawn))
    assert (low <= drawn).all()
    assert (drawn <= high).all()
    assert (high - low).max() == pytest.approx(2 / 256)
    assert np.quantile((high - low)[np.tri(50, dtype=bool)], 0.9) == pytest.approx(1 / 256)
    assert not high[np.triu_indices(50, 1)].any()


def pictures_that_are_none(folder: Path) -> list[tuple[Path, str]]:
    good = attention(50, 0)
    small, cut, gif = folder / "small.png", folder / "cut.png", folder / "gif.png"
    plt.figure(figsize=(3, 3))
    plt.savefig(small, dpi=100)
    plt.close()
    cut.write_bytes(draw(folder / "good.png", good).read_bytes()[:5000])
    gif.write_bytes(b"GIF89a")
    later, more = good.copy(), good.copy()
    later[3, 7] = 0.25
    more[9, :4] = 0.5
    return [
        (small, "expected 480 x 480 pixels, found 300 x 300"),
        (cut, "expected a whole PNG, found"),
        (gif, "expected a whole PNG, found"),
        (draw(folder / "map.png", good, cmap="plasma"), "expected colours of viridis"),
        (draw(folder / "later.png", later), "found 0.25 from row 3 to column 7"),
        (draw(folder / "more.png", more), "expected rows that sum to at most 1, found"),
        (draw(folder / "cells.png", attention(40, 0)), "expected 50 x 50 cells"),
    ]


def test_what_is_no_such_picture_is_one_line(tmp_path: Path) -> None:
    for path, line in pictures_that_are_none(tmp_path):
        with refused(line, str(path)):
            read_picture(path)


def test_a_missing_picture_ends_the_command_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path / "pattern_L0H0.png", attention(50, 0))
    assert pipeline.main(["digitise", str(tmp_path), "--into", str(tmp_path / "data")]) == 2
    assert capsys.readouterr().err == (
        f"pipeline: {tmp_path}/pattern_L0H1.png: expected a picture, found none\n"
    )
    assert not (tmp_path / "data").exists()


def test_without_a_source_the_records_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GPT2_HELIX_PUBLISHED", raising=False)
    assert pipeline.main(["digitise", "--into", str(tmp_path / "data")]) == 0
    assert "kept as recorded" in capsys.readouterr().out
    assert not (tmp_path / "data").exists()


@needs_what_was_published
def test_the_published_files_give_the_committed_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [str(SHARED / name) for name in ("scores", "attention", "notebook")]
    # The day stays when nothing else changes, so it must be there to begin with.
    shutil.copytree(DATA / "published", tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("GPT2_HELIX_PUBLISHED", os.pathsep.join(sources))
    assert pipeline.main(["digitise", "--into", str(tmp_path)]) == 0
    for path in (DATA / "published").glob("*/*"):
        again = tmp_path / path.relative_to(DATA / "published")
        assert again.read_bytes() == path.read_bytes(), path


def test_averaged_pictures_alone_show_the_borders_of_groups() -> None:
    """The pictures' names are all that says which are averaged; a head of layer 0 bears it out."""
    found = RecordedSubject("published", DATA / "published/pictures").measure(published.windows)
    intact, averaged = (found.by_doctoring[name] for name in (INTACT, heads.AVERAGED))
    assert intact.across["L0H7"] > 0.9 * intact.within["L0H7"]
    assert averaged.across["L0H7"] < 0.2 * averaged.within["L0H7"]


def test_the_record_has_every_head_of_both_sources() -> None:
    found = published_heads(DATA / "published")
    assert found.heads == [f"L{i}H{j}" for i in range(12) for j in range(12)]
    assert found.notebook_heads == [f"L{i}H{j}" for i in (0, 2, 4, 5) for j in range(12)]
    assert found.intact[found.heads.index("L4H11")] == pytest.approx(0.975, abs=5e-4)
    assert found.averaged[found.heads.index("L4H11")] == pytest.approx(0.974, abs=5e-4)
    assert found.notebook[found.notebook_heads.index("L4H11")] > 0.99
    for values in (found.intact, found.averaged, found.notebook):
        assert ((values >= 0) & (values <= 1)).all()
        assert np.ptp(values) > 0.9


def test_digitising_leaves_no_share_in_doubt() -> None:
    """The bounds of the levels allow one share alone for each of the heads that are named."""
    found = RecordedSubject("published", DATA / "published/pictures")
    windows = found.measure(published.windows).by_doctoring
    shares = found.measure(heads.all_heads).share
    for doctoring, window in windows.items():
        for name, share in shares[doctoring].items():
            assert window.share_low[name] <= share <= window.share_high[name]
            assert window.attention_low[name] <= window.attention[name]
            assert window.attention[name] <= window.attention_high[name]
        for name in ("L2H2", "L3H3", "L4H11"):
            assert window.share_low[name] == window.share_high[name]


def a_layer(prompt: str, layer: int) -> dict[str, Any]:
    n = {"first": 25, "second": 23}[prompt]
    whole = np.stack([attention(n, 12 * layer + head) for head in range(12)])
    whole /= whole.sum(2, keepdims=True)
    tokens = ["<|endoftext|>", *(f"{prompt} {i}" for i in range(n - 1))]
    return {"prompt": prompt, "layer": layer, "tokens": tokens, "attention": whole.tolist()}


LAYERS = [a_layer(prompt, layer) for prompt, layers in SHOWN.items() for layer in layers]


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    for layer in LAYERS:
        path = tmp_path / f"{layer['prompt']}-L{layer['layer']}.json"
        path.write_text(json.dumps(layer))
    return tmp_path


def test_layers_are_read_from_files_and_from_a_notebook(layers: Path) -> None:
    cells: list[Any] = [{"cell_type": "markdown"}]
    for of in LAYERS:
        html = ['<script>e={"tokens":[a]};', json.dumps(of), "</script>"]
        said = {"output_type": "stream", "text": [f"Layer {of['layer']} Attention Heads:\n"]}
        shown = {"output_type": "display_data", "data": {"text/html": html}}
        cells.append({"cell_type": "code", "outputs": [said, shown]})
    notebook = layers / "demo.ipynb"
    notebook.write_text(json.dumps({"cells": cells}))
    one, other = read_notebook(layers), read_notebook(notebook)
    assert one.names == other.names
    for prompt, patterns in one.patterns.items():
        n = {"first": 24, "second": 22}[prompt]
        assert patterns.shape == (12 * len(SHOWN[prompt]), n, n)
        np.testing.assert_array_equal(patterns, other.patterns[prompt])
    np.testing.assert_array_equal(
        one.patterns["first"][12], np.array(LAYERS[1]["attention"])[0, 1:, 1:]
    )


def spoilt(change: Callable[[dict[str, Any]], None]) -> str:
    layer = json.loads(json.dumps(LAYERS[1]))
    change(layer)
    return json.dumps(layer)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", "expected JSON of a layer, found"),
        (spoilt(lambda of: of.pop("tokens")), "expected tokens of a layer, found Field required"),
        (spoilt(lambda of: of["attention"].pop()), "expected attention of shape (12, 25, 25)"),
        (spoilt(lambda of: of["attention"][0].pop()), "expected attention of shape (12, 25, 25)"),
        (spoilt(lambda of: of["attention"][3][2].reverse()), "expected no attention to later keys"),
        (
            spoilt(lambda of: of["attention"][3][2].__setitem__(0, 2.0)),
            "expected rows that sum to 1, found 2",
        ),
    ],
)
def test_what_is_no_layer_is_one_line(layers: Path, text: str, line: str) -> None:
    (layers / "first-L2.json").write_text(text)
    with refused(line):
        read_notebook(layers)


def test_a_missing_layer_is_one_line(layers: Path) -> None:
    (layers / "second-L5.json").unlink()
    with refused("second-L5.json: expected a layer of the notebook"):
        read_notebook(layers)


def test_a_notebook_without_the_layers_is_one_line(tmp_path: Path) -> None:
    notebook = tmp_path / "demo.ipynb"
    page = '{"tokens": ["a"], "attention": [["much"]]}'
    shown = {"outputs": [{"text": "Layer 0"}, {"data": {"text/html": page}}]}
    for content, line in (
        ({"cells": []}, "expected layer 0 on the first prompt, found none"),
        ({"cells": [shown]}, "expected attention.0.0 of a layer, found Input"),
        ([], "expected a notebook, found"),
    ):
        notebook.write_text(json.dumps(content))
        with refused(line):
            read_notebook(notebook)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (None, "expected scores of heads, found none"),
        ("{", "expected scores of heads, found"),
        ("{}", "expected scores of heads, found KeyError"),
        (json.dumps({"scores": [[0.5] * 12] * 11}), "expected scores of shape (12, 12)"),
        (json.dumps({"scores": [[1.5] * 12] * 12}), "expected attention from 0 to 1"),
    ],
)
def test_what_are_no_scores_is_one_line(tmp_path: Path, text: str | None, line: str) -> None:
    if text is not None:
        (tmp_path / "previous-token.json").write_text(text)
    with refused("previous-token.json", line):
        read_scores(tmp_path)


def test_the_scores_have_every_head() -> None:
    found = RecordedSubject("scores", DATA / "published/scores").measure(published.scores)
    assert list(found.attention) == [f"L{i}H{j}" for i in range(12) for j in range(12)]
    assert max(found.attention, key=lambda head: found.attention[head]) == "L4H11"


def test_the_scores_are_recorded_before_the_pictures_that_name_places_by_them() -> None:
    main = RecordedSubject("published", DATA / "published/pictures").measure(heads.main_heads)
    scores = RecordedSubject("scores", DATA / "published/scores").measure(published.scores)
    assert main.place_by_attention == heads.places(scores.attention, main.share)
    notebook = RecordedSubject("published", DATA / "published/notebook").measure(heads.main_heads)
    assert notebook.place_by_attention is None


def test_three_heads_of_the_first_layers_lose_what_the_main_ones_keep() -> None:
    found = RecordedSubject("published", DATA / "published/pictures")
    main = found.measure(heads.survival)
    for kept in main.kept_attention.values():
        assert kept.low > 0.95
    assert max(main.profile_moved.values()) < 0.01
    for head in ("L0H4", "L0H7", "L1H0"):
        lost = found.control(f"asked-of-{head}").measure(heads.survival)
        assert lost.kept_attention[head].mean < 0.95
        assert lost.profile_moved[head] > 0.02


def test_what_cannot_be_judged_on_gpt2_is_judged_on_what_was_published(judge: Judge) -> None:
    ran = judge("-k", "test_heads")
    assert ran.code == 0, ran.out
    for claim in ran.claims.values():
        assert claim["verdict"] == "described"
        assert claim["evidence"] == "published"
        assert claim["source"] == "adamyedidia/resid_viewer@cce15e93"
        assert any(c["counts"] for c in claim["controls"])
    kept = ran.claims["heads.survive-averaging"]
    names = {c["name"] for c in kept["controls"]}
    assert names == {"averaged-shifted", "asked-of-L0H4", "asked-of-L0H7", "asked-of-L1H0"}
    assert kept["measured"]["kept_share"]["L2H2"] < 1


def test_no_other_model_is_judged_on_it(judge: Judge) -> None:
    ran = judge("-k", "test_heads", subject="control:shuffled-rows:recorded:gpt2")
    assert set(ran.verdicts.values()) == {"blocked"}


def test_the_notebook_can_be_asked_by_name(judge: Judge) -> None:
    """What was set on the pictures holds on another text, in exact numbers."""
    ran = judge("-k", "test_heads", subject="published:notebook")
    assert ran.code == 0, ran.out
    main = ran.claims["heads.main-previous-token"]
    assert main["verdict"] == "confirmed"
    assert set(main["measured"]["share"]) == {"L2H2", "L4H11"}
    assert ran.claims["heads.survive-averaging"]["missing"] == ["heads.survival"]

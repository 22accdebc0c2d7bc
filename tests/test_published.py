"""What others published of the whole GPT-2 small: reading it, and what is recorded of it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from gpt2_helix.doctoring import INTACT
from gpt2_helix.judging.errors import MissingInputError, SubjectError
from gpt2_helix.judging.records import RecordedSubject
from gpt2_helix.measure import heads, published
from gpt2_helix.models.config import Head
from gpt2_helix.published.attention import read_previous_token
from gpt2_helix.weights.tensors import Array
from pipeline import __main__ as pipeline
from pipeline.digitising.notebook import SHOWN, read_notebook
from pipeline.digitising.pictures import read_picture
from support import ROOT, Claims

SHARED = ROOT.parent / "shared/published"
needs_what_was_published = pytest.mark.skipif(
    not SHARED.is_dir(), reason="what others published is not here"
)
HALF_A_LEVEL = 1 / 512
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


def pictures_that_are_none(folder: Path) -> dict[str, tuple[Path, str]]:
    good = attention(50, 0)
    small, cut, bright = folder / "small.png", folder / "cut.png", folder / "bright.png"
    plt.figure(figsize=(3, 3))
    plt.savefig(small, dpi=100)
    plt.close()
    cut.write_bytes(draw(folder / "good.png", good).read_bytes()[:5000])
    bright.write_bytes(b"GIF89a")
    above, more = good.copy(), good.copy()
    above[3, 7] = 0.25
    more[9, :4] = 0.5
    return {
        "another size": (small, "expected 480 x 480 pixels, found 300 x 300"),
        "cut short": (cut, "expected a whole PNG, found"),
        "no PNG": (bright, "expected a whole PNG, found"),
        "missing": (folder / "none.png", "expected a picture, found none"),
        "another map": (draw(folder / "p.png", good, cmap="plasma"), "expected colours of viridis"),
        "later keys": (draw(folder / "a.png", above), "found 0.25 from row 3 to column 7"),
        "too much": (draw(folder / "m.png", more), "expected rows that sum to at most 1, found"),
        "other cells": (draw(folder / "c.png", attention(40, 0)), "expected 50 x 50 cells"),
    }


def test_what_is_no_such_picture_is_one_line(tmp_path: Path) -> None:
    for what, (path, line) in pictures_that_are_none(tmp_path).items():
        with pytest.raises(SubjectError, match=line) as raised:
            read_picture(path)
        assert "\n" not in str(raised.value), what
        assert str(path) in str(raised.value)


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
    sources = [str(SHARED / name) for name in ("attention", "notebook")]
    for folder in ("pictures", "notebook"):
        (tmp_path / folder).mkdir()
        for path in (DATA / "published" / folder).iterdir():
            # The day stays when nothing else changes, so it must be there to begin with.
            (tmp_path / folder / path.name).write_bytes(path.read_bytes())
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
    found = read_previous_token(DATA)
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


def test_two_sources_agree_on_the_heads_that_both_show() -> None:
    """What was set on the pictures is tested on another text, in exact numbers."""
    found = RecordedSubject("published", DATA / "published/notebook").measure(heads.main_heads)
    assert set(found.share) == {"L2H2", "L4H11"}
    assert min(found.share.values()) >= 0.5
    assert max(found.rank.values()) <= found.n_heads // 10


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
    cells = [
        {
            "cell_type": "code",
            "outputs": [
                {"output_type": "stream", "text": [f"Layer {of['layer']} Attention Heads:\n"]},
                {
                    "output_type": "display_data",
                    "data": {
                        "text/html": ['<script>e={"tokens":[a]};', json.dumps(of), "</script>"]
                    },
                },
            ],
        }
        for of in LAYERS
    ]
    notebook = layers / "demo.ipynb"
    notebook.write_text(json.dumps({"cells": [{"cell_type": "markdown"}, *cells]}))
    one, other = read_notebook(layers), read_notebook(notebook)
    assert one.names == other.names
    for prompt, patterns in one.patterns.items():
        assert patterns.shape == (
            12 * len(SHOWN[prompt]),
            *2 * [{"first": 24, "second": 22}[prompt]],
        )
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
        (spoilt(lambda of: of["attention"].pop()), r"expected attention of shape \(12, 25, 25\)"),
        (
            spoilt(lambda of: of["attention"][0].pop()),
            r"expected attention of shape \(12, 25, 25\)",
        ),
        (spoilt(lambda of: of["attention"][3][2].reverse()), "expected no attention to later keys"),
        (
            spoilt(lambda of: of["attention"][3][2].__setitem__(0, 2.0)),
            "expected rows that sum to 1, found 2",
        ),
    ],
)
def test_what_is_no_layer_is_one_line(layers: Path, text: str, line: str) -> None:
    (layers / "first-L2.json").write_text(text)
    with pytest.raises(SubjectError, match=line) as raised:
        read_notebook(layers)
    assert "\n" not in str(raised.value)


def test_a_missing_layer_and_a_notebook_without_one(layers: Path) -> None:
    (layers / "second-L5.json").unlink()
    with pytest.raises(SubjectError, match=r"second-L5\.json: expected a layer of the notebook"):
        read_notebook(layers)
    notebook = layers / "empty.ipynb"
    notebook.write_text('{"cells": []}')
    with pytest.raises(SubjectError, match="expected layer 0 on the first prompt, found none"):
        read_notebook(notebook)
    page = '{"tokens": ["a"], "attention": [["much"]]}'
    shown = {"outputs": [{"text": "Layer 0"}, {"data": {"text/html": page}}]}
    notebook.write_text(json.dumps({"cells": [shown]}))
    with pytest.raises(SubjectError, match=r"expected attention\.0\.0 of a layer, found Input"):
        read_notebook(notebook)
    notebook.write_text("[]")
    with pytest.raises(SubjectError, match="expected a notebook, found"):
        read_notebook(notebook)


def test_shares_and_places_by_hand() -> None:
    patterns = np.zeros((2, 4, 4))
    patterns[0, [1, 2, 3], [0, 1, 2]] = 0.5
    patterns[1, [1, 2, 3], [0, 1, 1]] = 0.4, 0.3, 0.9
    patterns[1, 2, 2] = 0.3  # As much to itself as to the token before: it does not win.
    found = heads.of_patterns({INTACT: patterns}, ["L0H0", "L0H1"], first=1)
    assert found.share[INTACT] == {"L0H0": 1, "L0H1": pytest.approx(1 / 3)}
    assert found.attention[INTACT] == {
        "L0H0": pytest.approx(0.5),
        "L0H1": pytest.approx(0.7 / 3),
    }
    main = heads.among_all(found, [Head(0, 1), Head(7, 7)])
    assert main.rank == {"L0H1": 2}
    assert main.n_heads == 2


def test_a_head_that_had_nothing_keeps_nothing() -> None:
    numbers = {INTACT: {"L0H0": 0.0}, heads.AVERAGED: {"L0H0": 0.0}}
    found = heads.kept(heads.AllHeads(numbers, numbers), [Head(0, 0)])
    assert found.kept_share == found.kept_attention == {"L0H0": 0}


def claims_of(report: Path) -> dict[str, dict[str, Any]]:
    return {claim["id"]: claim for claim in json.loads(report.read_text())["claims"]}


def test_what_cannot_be_judged_on_gpt2_is_judged_on_what_was_published(
    run_claims: Claims, tmp_path: Path
) -> None:
    report = tmp_path / "out.json"
    ran = run_claims("-k", "test_heads", "--claims-json", str(report))
    assert ran.returncode == 0, ran.stdout
    assert "adamyedidia/resid_viewer@cce15e93" in ran.stdout
    found = claims_of(report)
    for claim in found.values():
        assert claim["verdict"] == "confirmed"
        assert claim["evidence"] == "published"
        assert claim["source"] == "adamyedidia/resid_viewer@cce15e93"
        assert {c["verdict"] for c in claim["controls"]} == {"refuted"}
    names = {c["name"] for c in found["heads.survive-averaging"]["controls"]}
    assert names == {"heads-in-random-order", "averaged-shifted"}
    assert found["heads.survive-averaging"]["measured"]["kept_share"]["L2H2"] < 1


def test_no_other_model_is_judged_on_it(run_claims: Claims, tmp_path: Path) -> None:
    report = tmp_path / "out.json"
    run_claims(
        *("-k", "test_heads", "--subject", "control:shuffled-rows:recorded:gpt2"),
        *("--claims-json", str(report)),
    )
    assert {claim["verdict"] for claim in claims_of(report).values()} == {"blocked"}


def test_the_notebook_can_be_asked_by_name(run_claims: Claims, tmp_path: Path) -> None:
    report = tmp_path / "out.json"
    ran = run_claims(
        *("-k", "test_heads", "--subject", "published:notebook", "--claims-json", str(report))
    )
    assert ran.returncode == 0, ran.stdout
    found = claims_of(report)
    assert found["heads.main-previous-token"]["verdict"] == "confirmed"
    assert found["heads.survive-averaging"]["missing"] == ["heads.survival"]
    with pytest.raises(MissingInputError, match=r"heads\.survival"):
        RecordedSubject("notebook", DATA / "published/notebook").measure(heads.survival)


def test_records_of_two_sources_do_not_mix(tmp_path: Path) -> None:
    for source in ("pictures", "notebook"):
        name = {"pictures": "heads.json", "notebook": "published.json"}[source]
        (tmp_path / name).write_bytes((DATA / "published" / source / name).read_bytes())
    with pytest.raises(SubjectError, match="expected records of one source, found"):
        RecordedSubject("mixed", tmp_path)

"""The claims that run a model, on models whose answer is known by construction."""

import functools
import json
from pathlib import Path

import pytest

from gpt2_helix.models.built import open_built
from gpt2_helix.suite import controls, subjects
from support import Claims, Folder, choose

C, R = "confirmed", "refuted"
SIZES = (5, 10, 20, 50, 100)
MODEL_CLAIMS = "output or repetition or test_heads"

PREDICTED = {
    # Its heads find the word before by position: it repeats, until positions are averaged.
    "built:exact-positions": {
        "output.unchanged-to-20": R,
        "output.breaks-by-100": R,
        "repetition.first-word": C,
        "repetition.survives-averaging": R,
        "repetition.same-group": R,
        "heads.main-previous-token": C,
        "heads.survive-averaging": R,
    },
    # Its heads compare what was seen so far: averaging in small groups does no harm.
    "built:causal-kernel": {
        "output.unchanged-to-20": C,
        "output.breaks-by-100": C,
        "repetition.first-word": C,
        "repetition.survives-averaging": C,
        "repetition.same-group": C,
        "heads.main-previous-token": C,
        "heads.survive-averaging": C,
    },
    # Never trained: it does nothing that the post says of GPT-2.
    "built:untrained": dict.fromkeys(
        [
            "output.unchanged-to-20",
            "output.breaks-by-100",
            "repetition.first-word",
            "repetition.survives-averaging",
            "repetition.same-group",
            "heads.main-previous-token",
            "heads.survive-averaging",
        ],
        R,
    ),
}


_made = functools.cache(open_built)


@pytest.fixture
def made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each built model is made once, as a subject and as the control of the others."""

    monkeypatch.setattr(subjects, "open_built", _made)
    monkeypatch.setattr(controls, "open_built", _made)
    # Little of what decides nothing here: other pairs, offsets of larger groups, other doctorings.
    doctorings = ("intact", *map("average-{}".format, SIZES), "shuffled")
    choose(monkeypatch, "output", doctorings=doctorings)
    larger = ("average-10", "average-20")
    choose(monkeypatch, "repetition", other_pairs=2, every_offset=("average-5",), larger=larger)


@pytest.mark.xdist_group("built")
@pytest.mark.usefixtures("made_once")
@pytest.mark.parametrize("subject", PREDICTED)
def test_verdicts_are_those_that_construction_predicts(
    subject: str, run_claims: Claims, tmp_path: Path
) -> None:
    report = tmp_path / "out.json"
    ran = run_claims(
        "--subject", subject, "-k", MODEL_CLAIMS, "--windows", "2", "--claims-json", str(report)
    )
    claims = {c["id"]: c for c in json.loads(report.read_text())["claims"]}
    assert {name: c["verdict"] for name, c in claims.items()} == PREDICTED[subject], ran.stdout
    assert ran.returncode == int(R in PREDICTED[subject].values())
    assert {c["verdict"] for claim in claims.values() for c in claim["controls"]} == {R}
    probability = claims["repetition.survives-averaging"]["measured"]["probability"]
    assert set(probability) == {"average-5", "average-10", "average-20"}
    # The post's own argument: one that relied on exact positions would be unsure at five.
    assert (probability["average-5"] > 0.99) == (subject == "built:causal-kernel")
    assert (probability["average-5"] < 0.5) == (subject != "built:causal-kernel")


def test_a_partial_folder_blocks_them_and_names_what_is_missing(
    folder: Folder, run_claims: Claims, tmp_path: Path
) -> None:
    report = tmp_path / "out.json"
    ran = run_claims("--subject", str(folder()), "-k", MODEL_CLAIMS, "--claims-json", str(report))
    assert ran.returncode == 0
    claims = json.loads(report.read_text())["claims"]
    assert len(claims) == 7
    for claim in claims:
        assert claim["verdict"] == "blocked"
        assert {"wte.weight", "h.0.mlp.c_fc.weight", "h.11.mlp.c_proj.weight"} <= set(
            claim["missing"]
        )
    assert "missing wte.weight" in ran.stdout


@pytest.mark.parametrize(
    ("selected", "arguments", "line"),
    [
        ("unchanged", ["--windows", "1"], "windows: expected 2 or more, found 1"),
        ("unchanged", ["--windows", "0"], "windows: expected 2 or more, found 0"),
        ("unchanged", ["--corpus", "README.md"], "--corpus: expected none with built:exact-pos"),
        ("first_word", ["--prompt", "no-such-file"], "no-such-file: expected UTF-8 text"),
    ],
)
def test_wrong_material_is_one_line_and_no_verdict(
    selected: str, arguments: list[str], line: str, run_claims: Claims
) -> None:
    ran = run_claims("--subject", "built:exact-positions", "-k", selected, *arguments)
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert line in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr

"""The claims that run a model, on models whose answer is known by construction."""

import functools

import pytest

from gpt2_helix.models.built import open_built
from gpt2_helix.suite import controls, subjects
from support import Claims, Folder, Judge, choose

C, R, N = "confirmed", "refuted", "n/a"
MODEL_CLAIMS = "output or repetition or test_heads"
CLAIMS = (
    "output.unchanged-to-20",
    "output.breaks-by-100",
    "repetition.first-word",
    "repetition.survives-averaging",
    "repetition.same-group",
    "heads.main-previous-token",
    "heads.survive-averaging",
)

PREDICTED = {
    # Its heads find the word before by position: it repeats, until positions are averaged.
    "built:exact-positions": {
        **dict.fromkeys(CLAIMS, R),
        "output.breaks-by-100": N,  # It breaks at 5.
        "repetition.first-word": C,
        "heads.main-previous-token": C,
    },
    # Its heads compare what was seen so far: averaging in small groups does no harm.
    "built:causal-kernel": dict.fromkeys(CLAIMS, C),
    # Never trained: it does nothing that the post says of GPT-2, so nothing can break.
    "built:untrained": {
        **dict.fromkeys(CLAIMS, N),
        "output.unchanged-to-20": R,
        "repetition.first-word": R,
        "heads.main-previous-token": R,
    },
}


_made = functools.cache(open_built)


@pytest.fixture
def made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each built model is made once, as a subject and as the control of the others."""

    monkeypatch.setattr(subjects, "open_built", _made)
    monkeypatch.setattr(controls, "open_built", _made)
    # Little of what decides nothing here: other pairs, offsets of larger groups.
    larger = ("average-10", "average-20")
    choose(monkeypatch, "repetition", other_pairs=2, every_offset=("average-5",), larger=larger)


@pytest.mark.xdist_group("built")
@pytest.mark.usefixtures("made_once")
@pytest.mark.parametrize("subject", PREDICTED)
def test_verdicts_are_those_that_construction_predicts(subject: str, judge: Judge) -> None:
    judged = judge("-k", MODEL_CLAIMS, "--windows", "2", subject=subject)
    assert judged.verdicts == PREDICTED[subject], judged.out
    assert judged.code == int(R in PREDICTED[subject].values())
    for claim in judged.claims.values():
        assert any(control["counts"] for control in claim["controls"]), claim["id"]
    measured = judged.claims["repetition.survives-averaging"]["measured"]
    if subject == "built:untrained":  # It is not sure on intact positions, so no more is run.
        assert measured.keys() == {"intact"}
        assert measured["intact"] < 0.5
        return
    assert measured["probability"].keys() == {"average-5", "average-10", "average-20"}
    # The post's own argument: one that relied on exact positions would be unsure at five.
    sure = measured["probability"]["average-5"] > 0.99
    assert sure == (subject == "built:causal-kernel")
    assert (measured["probability"]["average-5"] < 0.5) == (not sure)


def test_a_partial_folder_blocks_them_and_names_what_is_missing(
    folder: Folder, judge: Judge
) -> None:
    judged = judge("-k", MODEL_CLAIMS, subject=folder())
    assert judged.code == 0
    assert judged.verdicts == dict.fromkeys(CLAIMS, "blocked")
    needed = {"wte.weight", "h.0.mlp.c_fc.weight", "h.11.mlp.c_proj.weight"}
    assert all(needed <= set(claim["missing"]) for claim in judged.claims.values())
    assert "missing wte.weight" in judged.out


@pytest.mark.parametrize(
    ("selected", "arguments", "line"),
    [
        ("unchanged", ["--windows", "1"], "windows: expected 2 or more, found 1"),
        ("unchanged", ["--windows", "0"], "windows: expected 2 or more, found 0"),
        ("unchanged", ["--corpus", "README.md"], "--corpus: expected none with built:exact-pos"),
        ("first_word", ["--prompt", "no-such-file"], "no-such-file: expected UTF-8 text"),
        # Also where the claims that are judged would not read it.
        ("axis", ["--windows", "0"], "windows: expected 2 or more, found 0"),
        ("axis", ["--corpus", "no-such-file"], "no-such-file: expected UTF-8 text"),
        ("axis", ["--corpus", "no-such-file", "-n", "2"], "no-such-file: expected UTF-8 text"),
        ("axis", ["--corpus", "hub:a/b:c.txt"], "with a commit of 40 hexadecimal digits"),
    ],
)
def test_wrong_material_is_one_line_and_no_verdict(
    selected: str, arguments: list[str], line: str, run_claims: Claims
) -> None:
    ran = run_claims("--subject", "built:exact-positions", "-k", selected, *arguments)
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    (said,) = (ran.stdout + ran.stderr).strip().splitlines()
    assert said.startswith("ERROR: ")
    assert line in said

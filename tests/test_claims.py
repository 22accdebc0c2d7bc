"""``pytest claims/`` as a user runs it, on subjects whose answer is known."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from gpt2_helix.judging.collect import declared
from gpt2_helix.judging.records import digest_of
from gpt2_helix.places import CLAIMS
from gpt2_helix.suite.controls import CONTROLS
from gpt2_helix.suite.statements import WORDS
from support import ROOT, SMALL, Claims, Folder, Judge, helix_rows, run_python, small


def test_positions_alone_confirm_a_helix_and_block_attention(folder: Folder, judge: Judge) -> None:
    ran = judge(subject=small(folder))
    claims = [c for c in ran.report["claims"] if c["id"] != "positions.learned-1024"]
    of_positions = [c for c in claims if c["needs"] in ("config", "P")]
    assert {c["verdict"] for c in of_positions if not c["about"]} == {"confirmed"}
    assert {c["verdict"] for c in of_positions if c["about"]} == {"n/a"}
    blocked = [c for c in claims if c["needs"] == "A"]
    assert {c["verdict"] for c in blocked} == {"blocked"}
    assert all("h.0.ln_1.weight" in c["missing"] or "h.2" in c["missing"][0] for c in blocked)
    told = " ".join(ran.out.split())
    assert re.search(r"\d claims need the attention weights or the whole model: missing \w", told)
    assert ran.report["schema"] == 2
    assert len(ran.report["subject"]["digests"]["wpe.weight"]) == 64
    for claim in claims:
        assert all(c["counts"] or c["verdict"] == "undecided" for c in claim["controls"])


SHAPE = ("helix.not-phantom", "helix.neighbours")


@pytest.mark.parametrize(
    ("control", "refuted"),
    [
        ("shuffled-rows", {*SHAPE, "helix.circle", "helix.axis", "averaging.stays-on-the-helix"}),
        ("random-walk", {*SHAPE, "helix.three-components", "helix.circle"}),
        (
            "minilm",
            {*SHAPE, "helix.three-components", "helix.axis", "averaging.stays-on-the-helix"}
            | {"architecture.144-heads", "positions.learned-1024"},
        ),
        ("sinusoidal", {"positions.learned-1024", "helix.three-components", "helix.circle"}),
    ],
)
def test_a_control_under_test_is_refuted(
    folder: Folder, judge: Judge, control: str, refuted: set[str]
) -> None:
    ran = judge(subject=f"control:{control}:{small(folder)}")
    assert ran.code == 1
    assert {c for c, said in ran.verdicts.items() if said == "refuted"} >= refuted


def test_every_control_is_named_by_a_claim() -> None:
    named = {name for _, _, claim in declared(ROOT / "claims") for name in claim.refuted_by}
    assert named == set(CONTROLS)


def test_there_are_words_for_all_that_is_presumed() -> None:
    presumed = [name for _, _, claim in declared(CLAIMS) for name in claim.presumes]
    assert WORDS.lacks.keys() == set(presumed)


def test_without_weights_what_is_recorded_is_judged(judge: Judge) -> None:
    ran = judge()
    assert ran.code == 0, ran.out
    about = ran.report["subject"]
    assert about["evidence"] == "recorded"
    for claim in ran.report["claims"]:
        published = claim["needs"] == "D"
        assert claim["evidence"] == ("published" if published else "recorded")
        after = "after" in claim["set"].values()
        held = "described" if after else "confirmed"
        assert claim["verdict"] == ("blocked" if claim["needs"] == "F" else held)
    assert f"recorded on {about['recorded_on']}" in ran.out
    assert "of 148 tensors, each as published" in ran.out


def test_every_claim_has_a_control_that_counts(judge: Judge) -> None:
    """On the record of GPT-2 small; those of whole models on what could be run: a model here."""
    ran, on_text = judge(subject="recorded:gpt2"), judge(subject="recorded:mini")
    counting = {
        name: {control["name"] for control in claim["controls"] if control["counts"]}
        for name, claim in {**on_text.claims, **ran.claims}.items()
    }
    for name, claim in ran.claims.items():
        if claim["needs"] == "F":
            counting[name] |= {c["name"] for c in on_text.claims[name]["controls"] if c["counts"]}
        assert counting[name], name
    assert counting["attention-only.not-previous"] == {"looking-back"}
    assert counting["cause.rebuilt"] == {"shuffled-rows", "gaussian-rows", "groups-of-50-for-100"}


def copied(into: Path, *parts: str) -> Path:
    """Copy some folders of the checkout, and what makes pytest run claims in them."""
    for part in parts:
        shutil.copytree(ROOT / part, into / part)
    shutil.copy(ROOT / "pyproject.toml", into)
    return into


def test_a_record_of_another_number_is_refuted_and_an_edited_one_refused(
    run_claims: Claims, tmp_path: Path
) -> None:
    copy = copied(tmp_path / "copy", "claims", "data")
    record = copy / "data/gpt2/helix.json"
    content = json.loads(record.read_text())
    content["measured"]["shape"]["turns"] = 1.5
    record.write_text(json.dumps(content))
    ran = run_claims("-k", "helix", cwd=copy)
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    (line,) = ran.stderr.strip().splitlines()
    assert "helix.json: expected content of digest" in line
    record.write_text(json.dumps({**content, "digest": digest_of(content)}))
    ran = run_claims("-k", "helix", "-q", cwd=copy)
    assert ran.returncode == 1
    assert "helix.circle: turns 1.5, must be >= 2" in ran.stdout
    assert "1 refuted" in ran.stdout


def test_verdicts_do_not_hang_on_what_else_runs(folder: Folder, judge: Judge) -> None:
    """Neither on other claims nor on the process; and workers show the text of one process."""

    def shown(out: str) -> list[str]:
        return out[out.index("OPEN") :].splitlines()

    path = small(folder)
    every = judge("-k", "axis or circle or output", subject=path)
    chosen = judge("-k", "circle", subject=path)
    assert chosen.claims == {"helix.circle": every.claims["helix.circle"]}
    by_workers = judge("-k", "axis or circle or output", "-n", "2", subject=path)
    assert by_workers.claims == every.claims
    assert shown(by_workers.out) == shown(every.out)
    for line in ("subject: ", "evidence: live, from wpe.weight"):
        assert by_workers.out.count(line) == 1


def test_helix_claims_import_nothing_slow_and_a_library_that_warns_stops_none(
    folder: Folder,
) -> None:
    """Warnings, as huggingface_hub's of its environment, are errors in these tests alone."""
    warned = {"HF_HUB_ENABLE_HF_TRANSFER": "1", "PYTHONPROFILEIMPORTTIME": "1"}
    alone = {"HF_HUB_OFFLINE": "1", "COLUMNS": "160"}
    command = ["-m", "pytest", "claims/", "-p", "no:cacheprovider", "-k", "helix"]
    ran = run_python(*command, "--subject", str(small(folder)), cwd=ROOT, **warned, **alone)
    assert ran.returncode == 0, ran.stdout
    assert "claims: 6 confirmed" in ran.stdout
    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert "numpy" in imported
    assert not imported & {"torch", "transformers", "transformer_lens", "scipy.stats", "pyarrow"}


def spoilt(folder: Folder, name: str) -> Path:
    """A model with a number in one of its tensors that is none."""
    tensors = {
        "wpe.weight": helix_rows(),
        "h.0.ln_1.weight": np.ones(768, np.float32),
        "h.0.ln_1.bias": np.zeros(768, np.float32),
        "h.0.attn.c_attn.weight": np.zeros((768, 2304), np.float32),
        "h.0.attn.c_attn.bias": np.zeros(2304, np.float32),
    }
    tensors[name].flat[5] = np.nan
    return folder(name, tensors=tensors)


def test_a_wrong_subject_is_one_line_and_exit_code_4(folder: Folder, run_claims: Claims) -> None:
    for spec, line in (
        ("no-such-model", "recorded:NAME, published:NAME or a folder, found 'no-such-model'"),
        (str(spoilt(folder, "wpe.weight")), "found 1 of 786432"),
        ("gpt2", "as HF_HUB_OFFLINE is set, found none"),
    ):
        ran = run_claims("--subject", spec, "-q")
        output = (ran.stdout + ran.stderr).strip().splitlines()
        assert ran.returncode == pytest.ExitCode.USAGE_ERROR, (spec, output)
        assert len(output) == 1, output
        assert line in output[0]


@pytest.mark.parametrize(
    ("name", "line"),
    [("wpe.weight", "found 1 of 786432 that"), ("h.0.ln_1.bias", "h.0.ln_1.bias to hold")],
)
def test_workers_of_xdist_end_on_spoilt_tensors_as_one_process_does(
    folder: Folder, run_claims: Claims, name: str, line: str
) -> None:
    path = str(spoilt(folder, name))
    ran = run_claims("--subject", path, "-k", "local_heads or 144", "-n", "1")
    said = ran.stdout + ran.stderr
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR, said
    assert sum(line in row for row in said.splitlines() if row.startswith("ERROR")) == 1, said
    assert "Traceback" not in said
    assert "INTERNALERROR" not in said


def test_heads_that_nobody_named_are_not_found_without_attention(
    folder: Folder, judge: Judge
) -> None:
    """Twelve layers of twelve heads are not GPT-2 small: whose heads are whose is not known."""
    nameless = folder(config={"previous_token_heads": [], "heads_looking_back": []})
    ran = judge("-k", "(local_heads and not idle) or main_heads", subject=nameless)
    assert ran.code == 0, ran.out
    assert "found_heads" not in ran.report["subject"]
    assert len(ran.claims) == 2
    for claim in ran.claims.values():
        assert claim["verdict"] == "blocked"
        assert "h.0.attn.c_attn.weight" in claim["missing"]


def test_a_control_keeps_the_text_of_its_subject(judge: Judge) -> None:
    ran = judge("-k", "main_previous", "--windows", "2", subject="control:shuffled-rows:mini")
    assert ran.code == 1, ran.out
    assert ran.verdicts == {"heads.main-previous-token": "refuted"}


def test_a_large_vocabulary_stops_no_claim_about_positions(folder: Folder, judge: Judge) -> None:
    config = {**SMALL, "vocab_size": 250_002}
    many = folder(config=config, tensors={"wpe.weight": helix_rows(258, 96)})
    ran = judge("-k", "axis", subject=many)
    assert ran.code == 0, ran.out
    assert ran.verdicts == {"helix.axis": "confirmed"}


def test_a_model_whose_rows_are_equal_gets_verdicts(folder: Folder, judge: Judge) -> None:
    ran = judge("-k", "helix or learned", subject=f"control:one-row:{small(folder)}")
    assert ran.code == 0, ran.out
    assert len(ran.claims) == 7
    for claim in ran.claims.values():
        assert claim["verdict"] == "n/a"
        assert claim["reason"].startswith("W_pos: expected rows that differ, found all rows equal")


def test_an_odd_number_of_positions_gets_verdicts(folder: Folder, judge: Judge) -> None:
    odd = folder(config={**SMALL, "n_positions": 257}, tensors={"wpe.weight": helix_rows(257, 96)})
    ran = judge(subject=odd)
    assert " error" not in ran.out
    assert ran.verdicts.keys() == {claim.id for _, _, claim in declared(ROOT / "claims")}
    assert not {"refuted", "error"} & set(ran.verdicts.values())


def test_records_of_another_model_are_judged(judge: Judge, tmp_path: Path) -> None:
    expected = ("--expect", str(ROOT / "data/verdicts/mini.json"))
    ran = judge(*expected, "--report", str(tmp_path / "page"), subject="recorded:mini")
    assert ran.code == 0, ran.out
    assert ran.report["subject"]["replication"]
    assert (tmp_path / "page/index.html").exists()


def test_claims_are_judged_wherever_pytest_is_told_to_look(
    folder: Folder, run_claims: Claims, tmp_path: Path
) -> None:
    copy = copied(tmp_path / "copy", "claims")
    options = ("--subject", str(small(folder)), "-k", "test_neighbours")
    ran = run_claims(".", *options, cwd=copy)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 confirmed" in ran.stdout

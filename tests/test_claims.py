"""``pytest claims/`` as a user runs it, on subjects whose answer is known."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpt2_helix.judging.collect import declared
from gpt2_helix.suite.controls import CONTROLS
from support import ROOT, SMALL, Claims, Folder, helix_rows, small


def verdicts(path: Path) -> dict[str, str]:
    return {c["id"]: c["verdict"] for c in json.loads(path.read_text())["claims"]}


def test_positions_alone_confirm_a_helix_and_block_attention(
    folder: Folder, run_claims: Claims, tmp_path: Path
) -> None:
    report = tmp_path / "out.json"
    ran = run_claims("--subject", str(small(folder)), "--claims-json", str(report))
    content = json.loads(report.read_text())
    claims = [c for c in content["claims"] if c["id"] != "positions.learned-1024"]
    assert {c["verdict"] for c in claims if c["needs"] in ("config", "P")} == {"confirmed"}
    blocked = [c for c in claims if c["needs"] == "A"]
    assert {c["verdict"] for c in blocked} == {"blocked"}
    assert all("h.0.ln_1.weight" in c["missing"] or "h.2" in c["missing"][0] for c in blocked)
    told = " ".join(ran.stdout.split())
    assert re.search(r"\d claims need the attention weights or the whole model: missing \w", told)
    assert content["schema"] == 1
    assert len(content["subject"]["digests"]["wpe.weight"]) == 64
    for claim in content["claims"]:
        assert {c["verdict"] for c in claim["controls"]} <= {"refuted"}


@pytest.mark.parametrize(
    ("control", "refuted"),
    [
        (
            "shuffled-rows",
            {
                "helix.circle",
                "helix.axis",
                "helix.not-phantom",
                "helix.neighbours",
                "averaging.stays-on-the-helix",
            },
        ),
        (
            "random-walk",
            {"helix.three-components", "helix.circle", "helix.not-phantom", "helix.neighbours"},
        ),
        (
            "minilm",
            {
                "architecture.144-heads",
                "positions.learned-1024",
                "helix.three-components",
                "helix.axis",
                "helix.not-phantom",
                "helix.neighbours",
                "averaging.stays-on-the-helix",
            },
        ),
        ("sinusoidal", {"positions.learned-1024", "helix.three-components", "helix.circle"}),
    ],
)
def test_a_control_under_test_is_refuted(
    folder: Folder, run_claims: Claims, tmp_path: Path, control: str, refuted: set[str]
) -> None:
    report = tmp_path / "out.json"
    subject = f"control:{control}:{small(folder)}"
    ran = run_claims("--subject", subject, "--claims-json", str(report))
    assert ran.returncode == 1
    assert {c for c, said in verdicts(report).items() if said == "refuted"} >= refuted


def test_every_control_is_named_by_a_claim() -> None:
    named = {name for _, _, claim in declared(ROOT / "claims") for name in claim.refuted_by}
    assert named == set(CONTROLS)


def test_without_weights_what_is_recorded_is_judged(run_claims: Claims, tmp_path: Path) -> None:
    report = tmp_path / "out.json"
    ran = run_claims("--claims-json", str(report))
    assert ran.returncode == 0, ran.stdout
    content = json.loads(report.read_text())
    assert content["subject"]["evidence"] == "recorded"
    for claim in content["claims"]:
        published = claim["needs"] == "D"
        assert claim["evidence"] == ("published" if published else "recorded")
        assert claim["verdict"] == ("blocked" if claim["needs"] == "F" else "confirmed")
    assert f"recorded on {content['subject']['recorded_on']}, from wpe.weight" in ran.stdout


def test_a_changed_record_is_refuted(run_claims: Claims, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for part in ("claims", "data"):
        shutil.copytree(ROOT / part, copy / part)
    shutil.copy(ROOT / "pyproject.toml", copy)
    record = copy / "data/gpt2/helix.json"
    content = json.loads(record.read_text())
    content["measured"]["shape"]["turns"] = 1.5
    record.write_text(json.dumps(content))
    ran = run_claims("-k", "helix", cwd=copy)
    assert ran.returncode == 1
    assert "helix.circle" in ran.stdout
    assert "1 refuted" in ran.stdout


def test_verdicts_do_not_hang_on_what_else_runs(
    folder: Folder, run_claims: Claims, tmp_path: Path
) -> None:
    """Neither on other claims nor on the process; and workers show the text of one process."""

    def judged(*selection: str) -> tuple[dict[str, Any], str]:
        report = tmp_path / "out.json"
        ran = run_claims("--subject", path, "--claims-json", str(report), *selection)
        claims = json.loads(report.read_text())["claims"]
        return {claim["id"]: claim for claim in claims}, ran.stdout

    def shown(out: str) -> list[str]:
        return out[out.index("= what the post says") :].splitlines()[:-1]

    path = str(small(folder))
    every, out = judged("-k", "axis or circle or output")
    chosen, _ = judged("-k", "circle")
    assert chosen == {"helix.circle": every["helix.circle"]}
    by_workers, workers = judged("-k", "axis or circle or output", "-n", "2")
    assert by_workers == every
    assert shown(workers) == shown(out)
    for line in ("subject: ", "evidence: live, from wpe.weight"):
        assert workers.count(line) == 1


def test_helix_claims_import_nothing_slow_and_a_library_that_warns_stops_none(
    folder: Folder, run_process: Claims
) -> None:
    """Warnings, as huggingface_hub's of its environment, are errors in these tests alone."""
    warned = {"HF_HUB_ENABLE_HF_TRANSFER": "1", "PYTHONPROFILEIMPORTTIME": "1"}
    ran = run_process("--subject", str(small(folder)), "-k", "helix", **warned)
    assert ran.returncode == 0, ran.stdout
    assert "6 confirmed, 0 refuted, 0 blocked" in ran.stdout
    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert "numpy" in imported
    assert not imported & {"torch", "transformers", "transformer_lens", "scipy.stats", "pyarrow"}


def wrong_subjects(folder: Folder) -> dict[str, str]:
    truncated = folder("truncated") / "model.safetensors"
    truncated.write_bytes(truncated.read_bytes()[:1000])
    (bare := folder("bare") / "config.json").unlink()
    rows = helix_rows()
    rows[3, 3] = np.nan
    return {
        "no-such-model": "recorded:NAME, published:NAME or a folder, found 'no-such-model'",
        str(truncated.parent): "expected a whole safetensors file, found another",
        str(bare.parent): "expected a config.json, found none",
        str(folder("nan", tensors={"wpe.weight": rows})): "found 1 of 786432",
        str(folder("rotary", config={"model_type": "llama"})): "found 'llama'",
        str(folder("shape", tensors={"wpe.weight": rows[:9]})): "found (9, 768)",
        "gpt2": "as HF_HUB_OFFLINE is set, found none",
        "control:worse": "control: expected one of",
    }


def test_a_wrong_subject_is_one_line_and_exit_code_4(folder: Folder, run_claims: Claims) -> None:
    for spec, line in wrong_subjects(folder).items():
        ran = run_claims("--subject", spec, "-q")
        output = (ran.stdout + ran.stderr).strip().splitlines()
        assert ran.returncode == pytest.ExitCode.USAGE_ERROR, (spec, output)
        assert len(output) == 1, output
        assert line in output[0]


def spoilt(folder: Folder) -> Path:
    """A model with a number in an attention tensor that is none."""
    tensors = {
        "wpe.weight": helix_rows(),
        "h.0.ln_1.weight": np.ones(768, np.float32),
        "h.0.ln_1.bias": np.full(768, np.nan, np.float32),
        "h.0.attn.c_attn.weight": np.zeros((768, 2304), np.float32),
        "h.0.attn.c_attn.bias": np.zeros(2304, np.float32),
    }
    return folder(tensors=tensors)


def test_workers_of_xdist_end_on_spoilt_tensors_as_one_process_does(
    folder: Folder, run_claims: Claims
) -> None:
    rows = helix_rows()
    rows[3, 3] = np.nan
    early = folder("positions", tensors={"wpe.weight": rows})
    for path, line in (
        (early, "found 1 of 786432 that"),
        (spoilt(folder), "h.0.ln_1.bias to hold"),
    ):
        ran = run_claims("--subject", str(path), "-k", "local_heads or 144", "-n", "1")
        said = ran.stdout + ran.stderr
        assert ran.returncode == pytest.ExitCode.USAGE_ERROR, said
        assert sum(line in row for row in said.splitlines() if row.startswith("ERROR")) == 1, said
        assert "Traceback" not in said
        assert "INTERNALERROR" not in said


def test_heads_that_nobody_named_are_not_found_without_attention(
    folder: Folder, run_claims: Claims, tmp_path: Path
) -> None:
    """Twelve layers of twelve heads are not GPT-2 small: whose heads are whose is not known."""
    report = tmp_path / "out.json"
    nameless = folder(config={"previous_token_heads": [], "heads_looking_back": []})
    selection = ("-k", "local_heads or main_heads", "--claims-json", str(report))
    ran = run_claims("--subject", str(nameless), *selection)
    assert ran.returncode == 0, ran.stdout
    found = json.loads(report.read_text())
    assert "found_heads" not in found["subject"]
    assert len(found["claims"]) == 2
    for claim in found["claims"]:
        assert claim["verdict"] == "blocked"
        assert "h.0.attn.c_attn.weight" in claim["missing"]


def test_a_control_keeps_the_text_of_its_subject(run_claims: Claims, tmp_path: Path) -> None:
    report = tmp_path / "out.json"
    subject = ("--subject", "control:shuffled-rows:mini", "--windows", "2")
    ran = run_claims(*subject, "-k", "main_previous", "--claims-json", str(report))
    assert ran.returncode == 1, ran.stdout
    assert verdicts(report) == {"heads.main-previous-token": "refuted"}


def test_a_large_vocabulary_stops_no_claim_about_positions(
    folder: Folder, run_claims: Claims, tmp_path: Path
) -> None:
    report = tmp_path / "out.json"
    many = folder(
        config={**SMALL, "vocab_size": 250_002}, tensors={"wpe.weight": helix_rows(258, 96)}
    )
    ran = run_claims("--subject", str(many), "-k", "axis", "--claims-json", str(report))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert verdicts(report) == {"helix.axis": "confirmed"}


def test_a_model_whose_rows_are_equal_gets_verdicts(
    folder: Folder, run_claims: Claims, tmp_path: Path
) -> None:
    report = tmp_path / "out.json"
    subject = ("--subject", f"control:one-row:{small(folder)}")
    ran = run_claims(*subject, "-k", "helix or learned", "--claims-json", str(report))
    assert ran.returncode == 1, ran.stdout
    claims = json.loads(report.read_text())["claims"]
    assert len(claims) == 7
    for claim in claims:
        assert claim["verdict"] == "refuted"
        assert claim["reason"].startswith("W_pos: expected rows that differ, found all rows equal")


def test_an_odd_number_of_positions_gets_verdicts(
    folder: Folder, run_claims: Claims, tmp_path: Path
) -> None:
    report = tmp_path / "out.json"
    odd = folder(config={**SMALL, "n_positions": 257}, tensors={"wpe.weight": helix_rows(257, 96)})
    ran = run_claims("--subject", str(odd), "--claims-json", str(report))
    assert " error" not in ran.stdout
    found = verdicts(report)
    assert found.keys() == {claim.id for _, _, claim in declared(ROOT / "claims")}
    assert [claim for claim, said in found.items() if said == "refuted"] == [
        "positions.learned-1024"  # as there are 257
    ]


def test_records_of_another_model_are_judged(run_claims: Claims, tmp_path: Path) -> None:
    report = tmp_path / "out.json"
    recorded = ("--subject", "recorded:mini", "--report", str(tmp_path / "page"))
    expected = ("--expect", str(ROOT / "data/verdicts/mini.json"))
    ran = run_claims(*recorded, *expected, "--claims-json", str(report))
    assert ran.returncode == 0, ran.stdout
    assert json.loads(report.read_text())["subject"]["replication"]
    assert (tmp_path / "page/index.html").exists()


def test_claims_are_judged_wherever_pytest_is_told_to_look(
    folder: Folder, run_claims: Claims, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "claims", copy / "claims")
    shutil.copy(ROOT / "pyproject.toml", copy)
    options = ("--subject", str(small(folder)), "-k", "test_neighbours")
    ran = run_claims(".", *options, cwd=copy)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 confirmed" in ran.stdout

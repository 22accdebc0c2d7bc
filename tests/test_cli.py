"""``gpt2-helix record``: what it records, and what it refuses to record."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from gpt2_helix import cli
from gpt2_helix.judging.records import RecordedSubject
from gpt2_helix.measure import averaging, helix, kernels
from gpt2_helix.suite.recorded import RECORDED, all_of
from known import know
from pipeline import __main__ as pipeline
from support import ROOT, Claims, Folder, helix_rows, refused, run_python, small

D = 48
VERDICTS = str(ROOT / "data/verdicts/mini.json")
SIZES = {"n_positions": 512, "n_embd": D}


def attention_tensors(layers: tuple[int, ...]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    tensors: dict[str, Any] = {}
    for layer in layers:
        tensors |= {
            f"h.{layer}.ln_1.weight": np.ones(D, np.float32),
            f"h.{layer}.ln_1.bias": np.zeros(D, np.float32),
            f"h.{layer}.attn.c_attn.weight": rng.standard_normal((D, 3 * D), np.float32),
            f"h.{layer}.attn.c_attn.bias": np.zeros(3 * D, np.float32),
        }
    return tensors


@pytest.fixture
def pinned(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose tensors are those that are pinned for GPT-2 small, as far as tests know."""
    tensors = {"wpe.weight": helix_rows(512, D), **attention_tensors((0, 2, 3, 4))}
    path = folder(config=SIZES, tensors=tensors)
    know(monkeypatch, tensors, path / "config.json")
    kernels_alone = replace(RECORDED["kernels"], controls={})
    monkeypatch.setitem(RECORDED, "kernels", kernels_alone)
    return path


def measure_as_gpt2(folder: Path, into: Path) -> int:
    return cli.main(
        ["record", "kernels", "--subject", "gpt2", "--weights", str(folder), "--into", str(into)]
    )


def test_a_folder_with_the_pinned_tensors_is_recorded(pinned: Path, tmp_path: Path) -> None:
    into = tmp_path / "gpt2"
    assert measure_as_gpt2(pinned, into) == 0
    recorded = RecordedSubject("gpt2", into)
    assert set(recorded.measure(kernels.local_heads).kernel) == {"L0H3", "L0H4", "L0H7"}
    assert set(recorded.digests) == {"config.json", *load_file(pinned / "model.safetensors")}


@pytest.mark.parametrize("name", ["h.0.attn.c_attn.weight", "h.3.ln_1.bias", "wpe.weight"])
def test_any_altered_tensor_is_refused(
    pinned: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = load_file(pinned / "model.safetensors")
    tensors[name].flat[5] += 0.25
    save_file(tensors, pinned / "model.safetensors")
    assert measure_as_gpt2(pinned, tmp_path / "gpt2") == 2
    said = capsys.readouterr().err
    assert f"expected gpt2's {name} with sha256" in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "gpt2").exists()


def test_a_folder_stands_in_for_a_model_without_pinned_digests(
    folder: Folder, tmp_path: Path
) -> None:
    path, into = folder(config=SIZES, tensors={"wpe.weight": helix_rows(512, D)}), tmp_path / "into"
    command = ["record", "architecture", "--subject", "gpt2-medium", "--weights", str(path)]
    assert cli.main([*command, "--into", str(into)]) == 0
    assert json.loads((into / "architecture.json").read_text())["measured"]["heads"]["heads"] == 144


def test_a_model_that_ships_is_measured_into_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    into = tmp_path / "elsewhere" / "mini"
    assert cli.main(["record", "architecture", "--subject", "mini", "--into", str(into)]) == 0
    recorded = json.loads((ROOT / "data/mini/architecture.json").read_text())
    measured = json.loads((into / "architecture.json").read_text())
    assert {**measured, "date": None} == {**recorded, "date": None}


def test_an_error_in_a_measurement_of_a_control_is_not_swallowed(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = helix_rows(512, D)

    def broken(W_pos: Any) -> averaging.Distance:
        if not np.array_equal(W_pos, before):
            raise ValueError("operands could not be broadcast together")
        return averaging.Distance({"average-5": 0.0})

    path = folder(config=SIZES, tensors={"wpe.weight": before})
    monkeypatch.setitem(RECORDED, "averaging", all_of(broken, controls=("shuffled-rows",)))
    with pytest.raises(ValueError, match="broadcast"):
        cli.record(str(path), "averaging", tmp_path / "into")


def test_a_control_that_has_nothing_to_measure_is_recorded_as_such(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder(config=SIZES, tensors={"wpe.weight": helix_rows(512, D)})
    alone = all_of(helix.shape, controls=("one-row", "local-heads-in-their-place"))
    monkeypatch.setitem(RECORDED, "helix", alone)
    cli.record(str(path), "helix", tmp_path / "into")
    controls = json.loads((tmp_path / "into/helix.json").read_text())["controls"]
    assert controls == {
        "one-row": {
            "shape": {"degenerate": "W_pos: expected rows that differ, found all rows equal"}
        }
    }


def test_claims_write_through_what_they_measured(
    folder: Folder, run_claims: Claims, tmp_path: Path
) -> None:
    into, subject = tmp_path / "into", ("--subject", str(small(folder)))
    ran = run_claims(*subject, "-k", "test_axis", "--record", str(into))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert [path.name for path in into.iterdir()] == ["helix.json"]
    recorded = RecordedSubject("record", into)
    climb = helix.shape(helix_rows(258, 96)).climb
    assert recorded.measure(helix.shape).climb == pytest.approx(climb, rel=1e-5)
    assert recorded.control("shuffled-rows").measure(helix.shape).climb < 0.95
    for more, said in (
        (("--subject", "recorded:mini"), "expected a subject to measure, found one recorded"),
        ((*subject, "-n", "2"), "expected claims judged in one process, found -n"),
    ):
        again = run_claims(*more, "-k", "test_axis", "--record", str(tmp_path / "other"))
        assert again.returncode == 4
        assert f"--record: {said}" in again.stderr
    assert not (tmp_path / "other").exists()
    # What cannot be recorded is refused before anything is judged, or in the end in one line.
    for folder_of_others, said in (
        (ROOT / "data/gpt2", "--into: expected GPT-2 small for"),
        (Path("/proc/none"), "ERROR: --record: [Errno 2]"),
    ):
        refused_run = run_claims(*subject, "-k", "test_axis", "--record", str(folder_of_others))
        assert refused_run.returncode == 4
        assert said in refused_run.stdout + refused_run.stderr
        assert "Traceback" not in refused_run.stdout + refused_run.stderr


@pytest.mark.parametrize("content", [None, b"\xff", b"", b"{}", b"[]", b'{"claims": []}'])
@pytest.mark.parametrize("command", ["publish", "survey"])
def test_a_file_that_is_not_what_a_command_reads_is_one_line(
    tmp_path: Path, command: str, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "given"
    if content is not None:
        path.write_bytes(content)
    survey = ["--into", str(tmp_path / "into"), "--claims", "no-such", "--file"]
    assert cli.main([command, *(survey if command == "survey" else []), str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gpt2-helix: ")
    assert "expected" in line


@pytest.mark.parametrize(
    ("program", "command"),
    [
        (cli, ["record", "architecture", "--subject", "mini", "--into"]),
        (cli, ["survey", "mini", "--claims", "positions", "--into"]),
        (cli, ["publish", VERDICTS, "--readme"]),
        (cli, ["publish", VERDICTS, "--metrics"]),
        (pipeline, ["available", "gpt2", "--into"]),
        (pipeline, ["curves", "--subject", "mini", "--into"]),
    ],
)
@pytest.mark.parametrize("into", ["file/folder", "/proc/none/file"])
@pytest.mark.usefixtures("offline")
def test_nothing_can_be_written_where_there_is_no_folder(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    program: ModuleType,
    command: list[str],
    into: str,
) -> None:
    (tmp_path / "file").write_text("something")
    assert program.main([*command, str(tmp_path / into)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(("gpt2-helix: ", "pipeline: "))
    assert "expected" in line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "0"], "--workers: expected 1 or more, found 0"),
        (["--scheduler", "foo://x:1"], "--scheduler: expected one of Dask that answers, found foo"),
        (["--scheduler", "tcp://127.0.0.1:1"], "127.0.0.1:1 (Timed out trying to connect"),
    ],
)
def test_a_survey_that_nobody_can_work_on_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    import distributed

    monkeypatch.setattr(distributed, "Client", partial(distributed.Client, timeout=1))
    command = ["survey", "mini", "--claims", "positions", "--into", str(tmp_path), *options]
    assert cli.main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_records_of_another_subject_are_not_mixed(folder: Folder, tmp_path: Path) -> None:
    into = tmp_path / "one"
    one = folder("a", SIZES, {"wpe.weight": helix_rows(512, D)})
    other = folder("b", SIZES, {"wpe.weight": helix_rows(512, D, seed=1)})
    cli.record(str(one), "positions", into)
    before = {path.name: path.read_bytes() for path in into.iterdir()}
    with refused(f"--into: expected no records of another subject, found {into}, made with wpe"):
        cli.record(str(other), "architecture", into)
    with refused("--into: expected no records of another subject"):
        cli.record("mini", "positions", into)
    assert {path.name: path.read_bytes() for path in into.iterdir()} == before
    cli.record(str(one), "architecture", into)
    assert len(list(into.iterdir())) == 2
    # A model that was trained again replaces its own records.
    cli.record(str(one), "positions", tmp_path / "mini")
    cli.record("mini", "positions", tmp_path / "mini")


def test_what_others_published_is_not_recorded_over(tmp_path: Path) -> None:
    into = tmp_path / "pictures"
    shutil.copytree(ROOT / "data/published/pictures", into)
    with refused("--into: expected no records of what others published"):
        cli.record("mini", "architecture", into)


@pytest.mark.parametrize("option", ["--into", "--file"])
def test_an_empty_path_is_not_the_current_folder(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["survey", "mini", option, ""])
    assert f"{option}: expected a name or a path, found ''" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["publish"], ["show"], ["survey", "--file"]])
@pytest.mark.parametrize("path", ["fifo", "nul\0", "folder"])
def test_what_is_no_file_is_not_waited_for(
    tmp_path: Path, command: list[str], path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SystemExit):
        cli.main([*command, str(tmp_path / path)])
    said = capsys.readouterr().err.splitlines()[-1]
    assert "expected a name or a path" in said or "expected a regular file, found" in said


def test_a_list_of_weights_is_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert pipeline.main(["available", "gpt2", "--into", "/"]) == 2
    assert "--into: expected a file, found /, which is none" in capsys.readouterr().err


def test_python_without_assertions_is_refused_once(tmp_path: Path) -> None:
    command = [
        "gpt2_helix",
        "record",
        "positions",
        "--subject",
        "mini",
        "--into",
        str(tmp_path / "x"),
    ]
    for module in (command, ["pytest", "claims/", "-q", "--subject", "mini"]):
        ran = run_python("-O", "-m", *module)
        assert ran.returncode == 4, ran.stdout + ran.stderr
        assert (ran.stdout + ran.stderr).count("expected Python with assertions, found -O") == 1
    ran = run_python("-O", "-c", "import gpt2_helix as gh; gh.judge('mini')")
    assert "InputError: expected Python with assertions" in ran.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("value", ["abc", "1.5", "nan", "-1", ""])
def test_a_time_that_is_no_number_is_one_line(tmp_path: Path, value: str) -> None:
    said = f"HF_HUB_ETAG_TIMEOUT: expected a whole number of seconds, found '{value}'"
    command = ("record", "positions", "--subject", "mini", "--into", str(tmp_path / "x"))
    ran = run_python("-m", "gpt2_helix", *command, HF_HUB_ETAG_TIMEOUT=value)
    assert (ran.returncode, ran.stderr) == (2, f"gpt2-helix: {said}\n")
    ran = run_python("-m", "pytest", "claims/", "-q", HF_HUB_ETAG_TIMEOUT=value)
    assert ran.returncode == 4
    assert ran.stderr.splitlines()[0] == f"ERROR: {said}"


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gpt2_helix", "record", "--subject", "mini", "--into"]
    ran = subprocess.run(
        f"{shlex.join([*command, str(tmp_path / 'x'), 'positions'])} | exec true; "
        'echo "${PIPESTATUS[0]}"',
        shell=True,
        executable="/bin/bash",
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stderr == ""
    assert ran.stdout == "141\n"


def test_claims_are_judged_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["judge", "text", "helix.axis"]) == 0
    out = capsys.readouterr().out
    assert "subject: text" in out
    assert "claims: 1 confirmed" in out
    assert "helix.axis" not in out
    assert cli.main(["judge", "control:shuffled-rows:text", "helix.axis", "-v"]) == 1
    assert "REFUTED  helix.axis  climb 0.05" in capsys.readouterr().out
    for wrong, line in (
        (["judge", "mni"], "found 'mni'; did you mean mini?"),
        (["judge", "control:shuffled-row:mini"], "; did you mean shuffled-rows?"),
        (["judge", "built:untraind"], "; did you mean untrained?"),
        (["judge", "bult:untrained"], "; did you mean built:untrained?"),
        (["judge", "recorded:mni"], "; did you mean mini?"),
        (["judge", "published:picture"], "; did you mean pictures?"),
        (["judge", "mini", "helx.*"], "; did you mean helix.*?"),
        (["judge", "mini", "helix.axis", "helix.axsi"], "; did you mean helix.axis?"),
        (["judge", "mini", "helix.axis", "--corpus", "none.txt"], "none.txt: expected UTF-8 text"),
    ):
        assert cli.main(wrong) == 4
        (said,) = capsys.readouterr().err.splitlines()
        assert line in said


def test_reports_are_shown_again(capsys: pytest.CaptureFixture[str]) -> None:
    reports = [str(ROOT / f"data/verdicts/{name}.json") for name in ("mini", "text")]
    assert cli.main(["show", reports[0]]) == 0
    assert "subject: mini" in capsys.readouterr().out
    assert cli.main(["show", *reports]) == 0
    out = capsys.readouterr().out
    assert out.startswith("mini: A foil, trained to repeat")
    assert "\nmini       text\n" in out

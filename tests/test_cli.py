"""``gpt2-helix record``: what it records, and what it refuses to record."""

import json
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
from gpt2_helix.suite import recording
from gpt2_helix.suite.recorded import RECORDED, all_of
from gpt2_helix.weights.pins import HUB_MODELS, HubModel
from gpt2_helix.weights.tensors import sha256_of_file, sha256_of_tensor
from pipeline import __main__ as pipeline
from support import ROOT, Claims, Folder, helix_rows, small

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
    digests = {name: sha256_of_tensor(tensor) for name, tensor in tensors.items()}
    files = {
        "config.json": sha256_of_file(path / "config.json"),
        "model.safetensors": "0" * 64,  # of the whole file, of which this one is a part
    }
    model = HubModel("some/model", sha256=files, W_pos_sha256=digests["wpe.weight"])
    monkeypatch.setitem(HUB_MODELS, "gpt2", model)
    monkeypatch.setattr(recording, "GPT2_SMALL_TENSORS", digests)
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
    alone = all_of(helix.shape, controls=("one-row", "looking-back"))
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

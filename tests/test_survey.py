"""A survey of checkpoints on the local hub: rows are kept, and a hostile file is one line."""

import csv
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import escape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import numpy as np
import pytest
from safetensors.numpy import save, save_file

from gpt2_helix import cli, survey
from gpt2_helix.judging.claim import Verdict
from gpt2_helix.judging.errors import InputError
from gpt2_helix.judging.records import digest_of
from gpt2_helix.survey import expand
from gpt2_helix.survey_figure import draw, figure_of
from gpt2_helix.survey_rows import Row, read_table, write_table
from gpt2_helix.weights.tensors import sha256_of_tensor
from hub_server import Fault, Hub, commit_of, serve, start_in
from support import (
    ROOT,
    SMALL,
    Folder,
    Hostile,
    checkpoint,
    helix_rows,
    run_python,
    small,
    start_python,
)

MODEL = "lab/gpt2"
STEPS = (0, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)
HOSTILE = 500
SIZES = {"n_layer": 2, "n_head": 2, "n_embd": 8, "n_positions": 64, "layer_norm_epsilon": 1e-5}
PATTERN = f"hub:{MODEL}@checkpoint-{{{','.join(map(str, STEPS))}}}"


CREATED = Path("/tmp/created-by-a-checkpoint")


def weights(step: int) -> dict[str, bytes]:
    rows = np.random.default_rng(step).standard_normal((64, 8)).astype(np.float16)
    if step == HOSTILE:
        return {"pytorch_model.bin": checkpoint({"transformer.wpe.weight": Hostile(CREATED)})}
    return {"model.safetensors": save({"transformer.wpe.weight": rows})}


def measured(into: Path) -> set[str]:
    """Branches whose rows are kept and are not failures."""
    rows = [json.loads(path.read_text()) for path in into.glob("rows/*.json")]
    return {row["subject"].partition("@")[2] for row in rows if row["error"] is None}


@pytest.fixture
def hub() -> Iterator[Hub]:
    config = json.dumps({"model_type": "gpt2", **SIZES}).encode()
    branches = {
        f"{MODEL}@checkpoint-{step}": {"config.json": config, **weights(step)} for step in STEPS
    }
    with serve({MODEL: {}, **branches}) as hub:
        yield hub


def test_a_survey_that_is_interrupted_goes_on(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_in(monkeypatch, tmp_path / "hf", hub.endpoint)
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "60")  # Whatever else this machine is doing.
    into = tmp_path / "survey"
    arguments = ["survey", PATTERN, "--claims", "positions", "--into", str(into)]
    command = ["-m", "gpt2_helix", *arguments, "--workers"]
    hub.faults = [Fault(pace=0.2)]  # So that some rows are left to measure.
    first = start_python(*command, "2")
    while len(measured(into)) < 3:
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    first.send_signal(signal.SIGINT)
    first.communicate()
    before = measured(into)
    hub.forget()
    again = run_python(*command, "1")
    assert again.returncode == 0, again.stderr
    assert f"{len(before)} of {len(STEPS)} rows kept" in again.stdout
    assert f"{len(STEPS) - 1} rows measured, 1 failed" in again.stdout
    asked = {r.split("/")[4] for r in hub.requests if "/resolve/checkpoint" in r}
    assert asked
    assert asked.isdisjoint(before)
    (line,) = [line for line in again.stderr.splitlines() if f"@checkpoint-{HOSTILE}:" in line]
    assert "unsupported GLOBAL posix.system" in line
    assert not CREATED.exists()
    with (into / survey.TABLE).open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [int(row["step"]) for row in table] == list(STEPS)
    for row, step in zip(table, STEPS, strict=True):
        if step == HOSTILE:
            assert "posix.system" in row["error"]
        else:
            assert row["commit"] == commit_of(f"checkpoint-{step}")
            assert row["positions.learned-1024 verdict"] == "refuted"
    assert (into / survey.FIGURE).stat().st_size > 1000
    page = (into / survey.PAGE).read_text()
    assert page.count("<svg") == 1
    assert all(escape(row["subject"]) in page for row in table)


def test_patterns_are_spelled_out() -> None:
    assert expand(["a@{1,2}", "{b,c}-{x,y}", "a@1"]) == ["a@1", "a@2", "b-x", "b-y", "c-x", "c-y"]


def test_steps_and_groups_come_from_the_name_of_the_revision() -> None:
    row = Row("hub:lab/gpt2-x21@checkpoint-400000", None, None, {}, {}, None)
    assert (row.step, row.group) == (400_000, "hub:lab/gpt2-x21")
    for name in ("mini-1", "hub:lab/gpt2-x21", "hub:lab/gpt2@" + "a" * 40):
        named = replace(row, subject=name)
        assert (named.step, named.group) == (None, name)


def test_a_row_never_raises(tmp_path: Path) -> None:
    row = survey.measure("no such model", ["helix"], tmp_path, ROOT / "claims")
    assert row.error
    assert row.error.startswith("--subject: expected")
    assert "\n" not in row.error


def test_a_family_that_has_no_claims(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--claims: expected some of .*found 'kernel'"):
        survey.run(["mini"], ["kernel"], tmp_path, data=tmp_path, claims=ROOT / "claims", workers=1)


CLIMB: dict[str, tuple[float, str | None]] = {"helix.axis: climb": (0.9, ">= 0.95")}


def test_models_without_steps_are_drawn_side_by_side(tmp_path: Path) -> None:
    verdicts: dict[str, Verdict] = {"helix.axis": "refuted"}
    rows = [Row(name, None, None, verdicts, CLIMB, None) for name in ("mini", "minilm")]
    draw(rows, tmp_path / "figure.svg")
    drawn = (tmp_path / "figure.svg").read_text()
    assert drawn.count("minilm") == 1
    assert "training step" not in drawn


def test_a_long_name_leaves_room_for_the_figure(tmp_path: Path) -> None:
    rows = [Row("x" * 300, None, None, {"helix.axis": "refuted"}, CLIMB, None)]
    draw(rows, tmp_path / "figure.svg")  # Or matplotlib warns.


def test_a_dot_is_filled_where_a_claim_is_confirmed() -> None:
    both: tuple[Verdict, ...] = ("confirmed", "refuted")
    rows = [Row(told, None, None, {"helix.axis": told}, CLIMB, None) for told in both]
    figure = figure_of(rows)
    assert figure
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert [dot.get_fillstyle() for dot in dots] == ["full", "none"]


def test_a_table_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    numbers = {**CLIMB, "helix.circle: turns": (3.01982, None)}
    rows = [
        Row("mini", None, "29c6", {"helix.axis": "refuted"}, numbers, None),
        Row("hub:lab/gpt2@checkpoint-10", "c" * 40, None, {}, {}, "no such branch"),
    ]
    write_table(rows, tmp_path / "table.csv")
    assert read_table(tmp_path / "table.csv") == rows


def test_workers_start_without_the_profiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which can deadlock them: python/cpython#106883."""
    profiled = []

    def start(**_: object) -> None:
        profiled.append(dask.config.get("distributed.worker.profile.enabled"))
        raise InputError("no worker is needed for this")

    monkeypatch.setattr("distributed.LocalCluster", start)
    into = tmp_path / "survey"
    with pytest.raises(InputError, match="no worker is needed"):
        survey.run(["mini"], ["helix"], into, data=tmp_path, claims=ROOT / "claims", workers=1)
    assert profiled == [False]


def surveyed(subjects: list[str], into: Path, claims: Path, **how: Any) -> list[Row]:
    """A survey with one worker, unless told otherwise."""
    how = {"workers": 1, "data": ROOT / "data", "claims": claims, **how}
    return survey.run(subjects, ["positions"], into, **how)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is measured, in this process and without Dask."""
    asked: list[str] = []

    def here(measure: Callable[[str], Row], specs: list[str], where: object) -> Iterator[Row]:
        asked.extend(specs)
        yield from map(measure, specs)

    monkeypatch.setattr(survey, "_measured", here)
    return asked


def test_a_row_counts_for_the_weights_it_was_measured_on(
    folder: Folder, some_claims: Path, tmp_path: Path, counted: list[str]
) -> None:
    one, other = small(folder), folder("other", SMALL, {"wpe.weight": helix_rows(258, 96, seed=3)})
    specs, into = [str(one), f"control:shuffled-rows:{one}"], tmp_path / "into"
    before = surveyed(specs, into, some_claims)
    assert all(row.read["wpe.weight"] for row in before)
    assert surveyed(specs, into, some_claims) == before
    assert counted == specs
    shutil.copy(other / "model.safetensors", one)
    after = surveyed(specs, into, some_claims)
    assert counted == specs * 2
    assert all(a.W_pos_sha256 != b.W_pos_sha256 for a, b in zip(after, before, strict=True))
    # A tensor that no claim reads changes the file, too.
    added = {"wpe.weight": helix_rows(258, 96), "h.0.ln_1.bias": np.ones(96, np.float32)}
    save_file(added, one / "model.safetensors")
    surveyed(specs, into, some_claims)
    assert counted == specs * 3


def test_a_row_counts_for_the_records_it_was_read_from(
    some_claims: Path, tmp_path: Path, counted: list[str]
) -> None:
    shutil.copytree(ROOT / "data/mini", tmp_path / "data/mini")
    for change in (False, False, True):
        path = tmp_path / "data/mini/positions.json"
        if change:
            content = json.loads(path.read_text())
            content["measured"]["learned"]["beyond_sinusoids"] = 0.5
            path.write_text(json.dumps({**content, "digest": digest_of(content)}))
        data = tmp_path / "data"
        (row,) = surveyed(["recorded:mini"], tmp_path / "into", some_claims, data=data)
    assert row.numbers["positions.learned: beyond_sinusoids"] == (0.5, ">= 0.01")
    assert counted == ["recorded:mini"] * 2


def test_bounds_set_after_describe_what_was_explored_and_test_the_others() -> None:
    told = [
        survey.measure(spec, ["kernels"], ROOT / "data", ROOT / "claims").verdicts
        for spec in ("recorded:gpt2", "recorded:mini")
    ]
    assert [found["kernels.causal-mask"] for found in told] == ["described", "confirmed"]


def test_a_row_counts_for_the_bounds_it_was_judged_by(
    folder: Folder, some_claims: Path, tmp_path: Path, counted: list[str]
) -> None:
    spec, into = str(small(folder)), tmp_path / "into"
    assert surveyed([spec], into, some_claims)[0].verdicts == {"positions.learned": "confirmed"}
    claim = some_claims / "test_some.py"
    claim.write_text(claim.read_text().replace(">= 0.01", ">= 2"))
    survey.claims_of.cache_clear()
    assert surveyed([spec], into, some_claims)[0].verdicts == {"positions.learned": "refuted"}
    assert counted == [spec] * 2


@pytest.mark.parametrize(
    "edit",
    [
        lambda row: {**row, "subject": "mini"},
        lambda row: {**row, "verdicts": {}},
        lambda row: {**row, "verdicts": {"positions.learned": "yes"}},
        lambda row: {**row, "numbers": {"a": ["1", None]}},
        lambda row: {k: v for k, v in row.items() if k != "read"},
        lambda row: {**row, "error": "none"},
        lambda row: [row],
    ],
)
def test_a_row_that_is_not_what_was_written_is_measured_again(
    folder: Folder, some_claims: Path, tmp_path: Path, counted: list[str], edit: Any
) -> None:
    spec, into = str(small(folder)), tmp_path / "into"
    (row,) = surveyed([spec], into, some_claims)
    (path,) = (into / survey.ROWS).iterdir()
    path.write_text(json.dumps(edit(json.loads(path.read_text()))))
    assert surveyed([spec], into, some_claims) == [row]
    assert counted == [spec] * 2


def test_a_survey_in_which_nothing_was_measured_fails_and_names_it(
    folder: Folder,
    some_claims: Path,
    tmp_path: Path,
    counted: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("gpt2_helix.places.CLAIMS", some_claims)
    listed = tmp_path / "list"
    good = small(folder).rename(tmp_path / "a model ")
    listed.write_text(f"no such model\n\n{good}\n")
    command = ["survey", "--claims", "positions", "--into", str(tmp_path / "into"), "--file"]
    assert cli.main([*command, str(listed)]) == 0
    said = capsys.readouterr()
    assert "1 rows measured, 1 failed" in said.out
    assert "positions\n" in said.out
    assert re.search(r"^no such model +not measured$", said.out, re.MULTILINE)
    assert said.out.count("confirmed\n") == 1
    assert "survey: not measured: no such model\n" in said.err
    assert counted == ["no such model", str(good)]
    listed.write_text("no such model\nhub:not/..\n")
    assert cli.main([*command, str(listed)]) == 1
    assert "not measured: no such model, hub:not/.." in capsys.readouterr().err


def test_each_worker_has_cores_of_its_own(
    some_claims: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import distributed

    def failed(spec: str) -> Row:
        return Row(spec, None, None, {}, {}, "not measured")

    bound: list[set[int]] = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cores: bound.append(cores))
    for name in (0, 1, 2):
        monkeypatch.setattr(distributed, "get_worker", lambda name=name: SimpleNamespace(name=name))
        assert survey._on_own_cores(failed, [4, 5, 6, 7], 2, "mini") == failed("mini")
    assert bound == [{4, 5}, {6, 7}, {4, 5}]
    here = survey._Here(2, 3)
    assert here.cluster["n_workers"] == 2
    assert set(here.environment.values()) == {3}
    with pytest.raises(InputError, match="--threads: expected 1 or more, found 0"):
        surveyed(["mini"], tmp_path, some_claims, threads=0)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler of Dask with two workers, as a cluster has one."""
    file = tmp_path / "scheduler.json"
    quiet = ["--no-dashboard", "--scheduler-file", str(file)]
    kinds = {"scheduler": ["--port", "0", "--host", "127.0.0.1"], "worker": ["--nthreads", "1"]}
    started = []
    try:
        for kind in ("scheduler", "worker", "worker"):
            command = ("-m", f"distributed.cli.dask_{kind}", *kinds[kind], *quiet)
            started.append(start_python(*command))
            while not file.exists():
                time.sleep(0.05)
                assert started[0].poll() is None, started[0].communicate()
        yield json.loads(file.read_text())["address"]
    finally:
        for process in reversed(started):
            process.terminate()
            process.communicate(timeout=20)


def test_rows_are_measured_by_the_workers_of_a_scheduler_that_exists(
    scheduler: str,
    folder: Folder,
    some_claims: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import distributed

    with distributed.Client(scheduler) as client:
        client.wait_for_workers(2)
    # Each process that reads the claims leaves a file.
    (tmp_path / "pids").mkdir()
    claim = some_claims / "test_some.py"
    told = f"import os, pathlib, time\n(pathlib.Path({str(tmp_path)!r}) / 'pids' / "
    claim.write_text(f"{told}str(os.getpid())).touch()\ntime.sleep(0.5)\n{claim.read_text()}")
    monkeypatch.setattr("gpt2_helix.places.CLAIMS", some_claims)
    rows = [helix_rows(258, 96, seed=seed) for seed in range(6)]
    specs = [
        str(folder(f"m{seed}", SMALL, {"wpe.weight": tensor})) for seed, tensor in enumerate(rows)
    ]
    into = tmp_path / "into"
    command = ["survey", *specs, "no-such", "--claims", "positions", "--into", str(into)]
    assert cli.main([*command, "--scheduler", scheduler]) == 0
    assert "6 rows measured, 1 failed" in capsys.readouterr().out
    pids = {int(path.name) for path in (tmp_path / "pids").iterdir()} - {os.getpid()}
    assert len(pids) == 2
    table = {row.subject: row for row in read_table(into / survey.TABLE)}
    for spec, tensor in zip(specs, rows, strict=True):
        assert table[spec].verdicts == {"positions.learned": "confirmed"}
        assert table[spec].W_pos_sha256 == sha256_of_tensor(tensor)

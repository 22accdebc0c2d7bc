"""A survey of checkpoints on the local hub: rows are kept, and a hostile file is one line."""

import csv
import json
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dask
import numpy as np
import pytest
from safetensors.numpy import save

from gpt2_helix import survey
from gpt2_helix.judging.errors import InputError
from gpt2_helix.survey import expand
from gpt2_helix.survey_figure import draw, figure_of
from gpt2_helix.survey_rows import Row, read_table, write_table
from hub_server import Fault, Hub, commit_of, serve, start_in
from support import ROOT, Hostile, checkpoint, run_python, start_python

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
    verdicts = {"helix.axis": "refuted"}
    rows = [Row(name, None, None, verdicts, CLIMB, None) for name in ("mini", "minilm")]
    draw(rows, tmp_path / "figure.svg")
    drawn = (tmp_path / "figure.svg").read_text()
    assert drawn.count("minilm") == 1
    assert "training step" not in drawn


def test_a_dot_is_filled_where_a_claim_is_confirmed() -> None:
    rows = [
        Row(verdict, None, None, {"helix.axis": verdict}, CLIMB, None)
        for verdict in ("confirmed", "refuted")
    ]
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

"""From weights to the paper: what ``dvc repro`` does, and what it does without weights."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gpt2_helix import records
from gpt2_helix.measure import helix
from gpt2_helix.models.table import SHIPPED
from support import ROOT, Folder, Run

Command = Callable[..., Run]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy what git tracks, as a fresh clone has it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    copy = tmp_path / "checkout"
    for name in filter(None, listed.stdout.split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture
def command(tmp_path: Path, checkout: Path) -> Command:
    """Run Python in the checkout, with its own sources, and without weights."""

    def run(*arguments: str, **environment: str) -> Run:
        own = {
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(tmp_path / "hf"),
            "PYTHONPATH": str(checkout / "src"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DVC_SITE_CACHE_DIR": str(tmp_path / "dvc"),
        }
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=checkout,
            env={**os.environ, **own, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_fresh_clone_lacks_the_marks_alone_and_a_parameter_touches_what_depends_on_it(
    command: Command, checkout: Path
) -> None:
    command("-m", "dvc", "config", "--local", "core.no_scm", "true")

    def changed() -> dict[str, list[dict[str, dict[str, str]]]]:
        ran = command("-m", "dvc", "status", "--json")
        assert ran.returncode == 0, ran.stderr
        stages: dict[str, list[dict[str, dict[str, str]]]] = json.loads(ran.stdout)
        return stages

    for stage, what in changed().items():
        assert stage.startswith(("measure@", "run@", "curves@"))
        mark = f"build/measured/{stage.partition('@')[2]}".removesuffix("-curves")
        mark += "-curves" if stage.startswith("curves") else ""
        assert what == [{"changed outs": {mark: "deleted"}}]
        (checkout / mark).parent.mkdir(parents=True, exist_ok=True)
        (checkout / mark).write_text("looked\n")
    assert changed() == {}
    text = (checkout / "params.yaml").read_text()
    (checkout / "params.yaml").write_text(text.replace("distances: 12", "distances: 9"))
    of_mini = {f"replicate@{name}" for name in SHIPPED}
    assert set(changed()) == {"measure@gpt2-kernels", *of_mini}


def test_without_weights_the_record_stays_and_one_line_says_so(
    command: Command, checkout: Path
) -> None:
    record = checkout / "data/gpt2/positions.json"
    before = record.read_bytes()
    ran = command("-m", "gpt2_helix", "measure", "positions")
    assert ran.returncode == 0, ran.stderr
    assert record.read_bytes() == before
    (line,) = ran.stdout.splitlines()
    day = json.loads(before)["date"]
    assert line.startswith("gpt2 positions: weights not at hand (openai-community/gpt2: expected")
    assert line.endswith(f", kept as recorded {day}")
    strict = command("-m", "gpt2_helix", "measure", "positions", "--strict")
    assert strict.returncode == 2
    assert "HF_HUB_OFFLINE is set" in strict.stderr


def test_a_record_made_with_other_parameters_does_not_stay(
    command: Command, checkout: Path
) -> None:
    text = (checkout / "params.yaml").read_text()
    (checkout / "params.yaml").write_text(text.replace("surrogates: 99", "surrogates: 199"))
    for family in ("helix", "curves"):
        ran = command("-m", "gpt2_helix", "measure", family)
        assert ran.returncode == 2
        assert "expected a record made with {'surrogates': 199}" in ran.stderr


def test_another_model_is_not_measured_in_gpt2_s_place(command: Command, folder: Folder) -> None:
    ran = command("-m", "gpt2_helix", "measure", "helix", "--weights", str(folder()))
    assert ran.returncode == 2
    assert "expected gpt2's config.json with sha256 0daed774" in ran.stderr


def test_a_family_that_was_never_measured_gets_a_record_of_nothing(tmp_path: Path) -> None:
    assert records.keep(tmp_path, "helix") is None
    assert json.loads((tmp_path / "helix.json").read_text())["measured"] == {}
    assert records.keep(tmp_path, "helix") is None


def test_a_figure_is_the_same_bytes_again_or_is_said_not_to_be_drawn(
    command: Command, checkout: Path
) -> None:
    drawn = [checkout / f"paper/figures/lookback.{kind}" for kind in ("json", "png", "svg")]
    before = [path.read_bytes() for path in drawn]
    for path in drawn:
        path.unlink()
    assert command("figures/draw.py", "lookback").returncode == 0
    assert [path.read_bytes() for path in drawn] == before
    record = checkout / "data/gpt2/kernels.json"
    content = json.loads(record.read_text())
    for absent in ({**content, "measured": {}}, None):
        record.write_text(json.dumps(absent)) if absent else record.unlink()
        ran = command("figures/draw.py", "lookback")
        assert ran.returncode == 0
        assert ran.stderr == "lookback: not drawn, not measured: kernels on gpt2\n"
        assert [path.exists() for path in drawn] == [True, False, False]
        assert not json.loads(drawn[0].read_text())["drawn"]


def test_the_recorded_surrogates_are_those_of_the_test(checkout: Path) -> None:
    record = json.loads((checkout / "data/gpt2/helix.json").read_text())["measured"]["phantom"]
    rows = (checkout / "data/gpt2/surrogates.csv").read_text().split()[1:]
    walks, phases = zip(
        *((float(w), float(p)) for _, w, p in (r.split(",") for r in rows)), strict=True
    )
    assert len(walks) == helix.SURROGATES == record["surrogates"]
    assert max(walks) == record["random_walk_best"]
    assert max(phases) == record["phase_randomised_best"]

"""From weights to the paper: what ``dvc repro`` does, and what it does without weights."""

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo

from gpt2_helix import parameters
from gpt2_helix.judging import records
from gpt2_helix.measure import helix
from gpt2_helix.models.shipped import SEEDS, SHIPPED
from gpt2_helix.suite.recorded import RECORDED
from gpt2_helix.weights.pins import HUB_MODELS, HubModel
from pipeline import __main__ as pipeline
from pipeline import curves
from support import ROOT, Folder, Run, run_python

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


def without_weights(sources: Path, home: Path) -> dict[str, str]:
    """Variables of a process with the sources of this folder, and with a hub it cannot ask."""
    return {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(home / "hf"),
        "PYTHONPATH": str(sources / "src"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


@pytest.fixture
def command(tmp_path: Path, checkout: Path) -> Command:
    """Run Python in the checkout, with its own sources, and without weights."""

    own = {**without_weights(checkout, tmp_path), "DVC_SITE_CACHE_DIR": str(tmp_path / "dvc")}
    return functools.partial(run_python, cwd=checkout, **own)


@functools.cache
def stages() -> dict[str, Any]:
    """Every stage of dvc.yaml by name, as dvc resolves it."""
    repo = Repo(str(ROOT))
    return {stage.addressing: stage for stage in repo.index.stages}


def paths(entries: Iterable[Any]) -> set[str]:
    return {str(entry.def_path) for entry in entries}


def test_the_pipeline_fits_a_screen() -> None:
    assert len(stages()) <= 15
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 165


def test_the_pipeline_is_drawn_as_wide_as_a_terminal_and_as_it_is_shown() -> None:
    drawn = run_python("-m", "pipeline", "stages", cwd=ROOT).stdout
    kinds = sorted({name.partition("@")[0] for name in stages()})
    assert sorted(re.findall(r"\| (\w+) \|", drawn)) == kinds
    assert len(kinds) <= 12
    assert max(map(len, drawn.splitlines())) <= 80
    assert f"```text\n{drawn}```\n" in (ROOT / "CONTRIBUTING.md").read_text()


def test_the_page_of_dvc_plots_is_blank_offline_as_the_guide_says(tmp_path: Path) -> None:
    ran = run_python("-m", "dvc", "plots", "show", "-q", "-o", str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    loaded = re.findall(r'<script[^>]* src="([^"]*)"', (tmp_path / "index.html").read_text())
    assert loaded
    assert all(source.startswith("https://") for source in loaded)
    said = re.search(r"^dvc plots show +#(.*)$", (ROOT / "CONTRIBUTING.md").read_text(), re.M)
    assert said
    assert "blank offline" in said[1]


def test_every_subject_and_every_family_is_in_the_pipeline() -> None:
    subjects = ("gpt2", *SHIPPED)
    records = {f"data/{s}/{f}" for s in subjects for f in curves.FILES}
    records |= {f"data/{s}/{f}.json" for s in subjects for f in RECORDED}
    measuring = {name: stage for name, stage in stages().items() if name.startswith("measure@")}
    assert set(measuring) == {f"measure@{subject}" for subject in subjects}
    assert set().union(*(paths(stage.outs) for stage in measuring.values())) == records
    for stage in measuring.values():
        (params,) = (dep for dep in stage.deps if dep.def_path == "params.yaml")
        assert set(params.params) == parameters.everything().keys() - SEEDS.keys()
    for name in ("verdicts", "figures", "paper"):
        assert paths(stages()[name].deps) >= {f"data/{subject}" for subject in subjects}
    trained = set().union(*(paths(s.outs) for n, s in stages().items() if n.startswith("train@")))
    assert trained >= {f"data/{name}/model" for name in SHIPPED}


EXACT = ("architecture", "positions", "helix", "averaging", "kernels")
"""Families that are measured in float64 on one thread. The others run layers in float32, where the
last digit that is recorded can differ with the number of threads."""


class Only:
    """A folder that holds what a stage declares to depend on, and nothing else."""

    def __init__(self, name: str, folder: Path) -> None:
        self.stage = stages()[name]
        self.folder = folder
        # Every command checks all of params.yaml; what a stage depends on is its own choices.
        for path in {*paths(self.stage.deps), "params.yaml"}:
            self.copy(path)

    def copy(self, path: str) -> None:
        copy = self.folder / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, copy, ignore=shutil.ignore_patterns("__pycache__"))
        elif path != "build/weights/gpt2.json":
            shutil.copy(ROOT / path, copy)

    @property
    def commands(self) -> list[str]:
        cmd = self.stage.cmd
        return [cmd] if isinstance(cmd, str) else list(cmd)

    def run(self, *commands: str) -> Run:
        """Run the stage's commands, or others, with the sources that it declares."""
        for out in paths(self.stage.outs):
            (self.folder / out).parent.mkdir(parents=True, exist_ok=True)
        for command in commands or self.commands:
            ran = subprocess.run(
                command,
                shell=True,
                cwd=self.folder,
                env={**os.environ, **without_weights(self.folder, self.folder)},
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran

    def changed(self, *written: str) -> list[str]:
        """Files, of these or of the stage's outputs, that are not as they are committed."""
        files = [
            file.relative_to(self.folder)
            for path in written or paths(self.stage.outs)
            for file in ([self.folder / path] if "." in path else (self.folder / path).iterdir())
        ]
        assert files
        return [
            str(file)
            for file in files
            if (self.folder / file).read_bytes() != (ROOT / file).read_bytes()
        ]


def test_weights_that_are_not_available_are_said_to_be_so(tmp_path: Path) -> None:
    only = Only("weights", tmp_path)
    said = only.run().stdout
    assert said.startswith("gpt2: weights not available (openai-community/gpt2: expected config")
    assert said.endswith("its records stay\n")
    assert json.loads((tmp_path / "build/weights/gpt2.json").read_text()) == {}


def test_measuring_a_model_again_gives_the_committed_numbers(tmp_path: Path) -> None:
    """All bytes on one processor; on another a sum may be taken in another order."""
    only = Only("measure@mini", tmp_path)
    calls = [["record", name, "--subject", "mini", "--into", "data/mini"] for name in EXACT]
    code = f"from gpt2_helix.cli import main; assert not any([main(c) for c in {calls!r}])"
    only.run(f"{sys.executable} -c {shlex.quote(code)}", only.commands[1])
    # A record that was not there before gets the date of today; all else must be the same.
    for name in EXACT:
        found, committed = (
            [line for line in file.read_text().splitlines() if '"date"' not in line]
            for file in (root / f"data/mini/{name}.json" for root in (tmp_path, ROOT))
        )
        other = [pair for pair in zip(found, committed, strict=True) if pair[0] != pair[1]]
        digests = [pair for pair in other if '"digest"' in pair[0]]
        assert bool(digests) == (len(other) > 0) == (len(other) > len(digests))
        for line, expected in (pair for pair in other if pair not in digests):
            *label, number = line.split()
            *same, recorded = expected.split()
            assert label == same
            # One in the last of six digits.
            assert float(number.rstrip(",")) == pytest.approx(float(recorded.rstrip(",")), rel=1e-5)
        assert len(other) <= len(committed) / 500, name
    assert only.changed(*(f"data/mini/{file}" for file in curves.FILES)) == []


def test_judging_again_gives_the_committed_bytes(tmp_path: Path) -> None:
    judge = Only("verdicts", tmp_path / "verdicts")
    for name in SHIPPED[1:]:
        shutil.rmtree(judge.folder / "data" / name)
    shutil.rmtree(judge.folder / "data/gpt2")
    (judge.folder / "data/verdicts").mkdir()
    judge.run()
    written = ("data/verdicts/mini.json", "data/verdicts/mini.md", "data/metrics/mini.json")
    assert judge.changed(*written) == []


@pytest.mark.parametrize("name", ["figures", "paper"])
def test_drawing_and_typesetting_again_gives_the_committed_bytes(tmp_path: Path, name: str) -> None:
    only = Only(name, tmp_path)
    only.run()
    assert only.changed() == []


def test_training_needs_what_its_stage_says_and_writes_what_it_says(tmp_path: Path) -> None:
    only = Only("train@mini", tmp_path)
    parameters = yaml.safe_load((tmp_path / "params.yaml").read_text())
    parameters["mini"] |= {"n_layer": 1, "n_head": 2, "n_embd": 8, "cool_down": 1}
    parameters["mini"]["phases"] = [
        {**phase, "steps": 1, "length": 64, "rows": 1} for phase in parameters["mini"]["phases"][:2]
    ]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(parameters))
    for work in (tmp_path / "data/training").glob("*.txt"):
        work.write_text(work.read_text()[:6_000])
    assert only.run(only.commands[0]).stdout == "data/mini\n"
    for out in paths(only.stage.outs):
        if out.startswith("data/mini/"):
            assert (tmp_path / out).exists()
    model = tmp_path / "data/mini/model"
    assert json.loads((model / "config.json").read_text())["n_embd"] == 8
    assert not (tmp_path / "build/training/mini.pt").exists()


def test_a_fresh_clone_has_only_weights_to_look_for_and_a_parameter_touches_what_it_should(
    command: Command, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "dvc"))
    monkeypatch.chdir(checkout)

    def changed() -> dict[str, Any]:
        status: dict[str, Any] = Repo(str(checkout), config={"core": {"no_scm": True}}).status()
        return status

    looked = "build/weights/gpt2.json"
    assert changed() == {
        "weights": [{"changed outs": {looked: "deleted"}}],
        "measure@gpt2": [{"changed deps": {looked: "deleted"}}],
    }
    assert command("-m", "pipeline", "available", "gpt2", "--into", looked).returncode == 0
    # Other weights may have been available where the records were made.
    assert set(changed()) <= {"weights", "measure@gpt2"}
    text = (checkout / "params.yaml").read_text()
    (checkout / "params.yaml").write_text(text.replace("distances: 12", "distances: 9"))
    assert set(changed()) - {"weights"} == {f"measure@{name}" for name in ("gpt2", *SHIPPED)}


def test_without_weights_the_record_stays_and_one_line_says_so(
    command: Command, checkout: Path
) -> None:
    record = checkout / "data/gpt2/positions.json"
    before = record.read_bytes()
    ran = command("-m", "gpt2_helix", "record", "positions")
    assert ran.returncode == 0, ran.stderr
    assert record.read_bytes() == before
    (line,) = ran.stdout.splitlines()
    day = json.loads(before)["date"]
    assert line.startswith("gpt2 positions: weights not available (openai-community/gpt2: expected")
    assert line.endswith(f", kept as recorded {day}")
    strict = command("-m", "gpt2_helix", "record", "positions", "--strict")
    assert strict.returncode == 2
    assert "HF_HUB_OFFLINE is set" in strict.stderr


def test_a_record_made_with_other_parameters_does_not_stay(
    command: Command, checkout: Path
) -> None:
    text = (checkout / "params.yaml").read_text()
    (checkout / "params.yaml").write_text(text.replace("surrogates: 999", "surrogates: 1999"))
    curves = ("pipeline", "curves", "--subject", "gpt2", "--into", "data/gpt2")
    for measuring in (("gpt2_helix", "record", "helix"), curves):
        ran = command("-m", *measuring)
        assert ran.returncode == 2
        assert "expected a record made with {'surrogates': 1999}" in ran.stderr


def test_another_model_is_not_measured_in_gpt2_s_place(command: Command, folder: Folder) -> None:
    ran = command("-m", "gpt2_helix", "record", "helix", "--weights", str(folder()))
    assert ran.returncode == 2
    assert "expected gpt2's config.json with sha256 0daed774" in ran.stderr


def test_a_family_that_was_never_measured_gets_a_record_of_nothing(tmp_path: Path) -> None:
    assert records.keep(tmp_path, "helix", {}) is None
    assert json.loads((tmp_path / "helix.json").read_text())["measured"] == {}
    assert records.keep(tmp_path, "helix", {}) is None


def test_a_figure_of_what_was_never_measured_is_said_not_to_be_drawn(
    command: Command, checkout: Path
) -> None:
    drawn = [checkout / f"paper/figures/kernels.{kind}" for kind in ("json", "png", "svg")]
    assert all(path.exists() for path in drawn)
    (checkout / "data/gpt2/kernels.json").unlink()
    ran = command("figures/draw.py", "kernels")
    assert ran.returncode == 0
    assert ran.stderr == "kernels: not drawn, not measured: kernels on gpt2\n"
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


def test_training_without_texts_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert pipeline.main(["train", "mini"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("training: expected texts to train on, as a checkout has, found none")


def test_a_mistake_in_the_parameters_is_one_line(command: Command, checkout: Path) -> None:
    (checkout / "params.yaml").write_text("helix: 1")
    ran = command("-m", "pipeline", "train", "mini")
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert line.startswith("pipeline: params.yaml: ")


def test_the_weights_that_are_available_are_listed_and_strict_asks_for_all(
    folder: Folder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(HUB_MODELS, "gpt2", HubModel("someone/model"))
    into = tmp_path / "looked/gpt2.json"
    options = ["available", "gpt2", "--into", str(into), "--weights", str(folder())]
    assert pipeline.main(options) == 0
    content = json.loads(into.read_text())
    assert content["digests"].keys() >= {"config.json", "wpe.weight"}
    assert "wte.weight" in content["missing"]
    assert "wpe.weight" not in content["missing"]
    assert pipeline.main([*options, "--strict"]) == 2
    assert "wte.weight" in capsys.readouterr().err

"""What modules import, where `lint-imports` does not say it: alone, lightly, and from records."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from support import ROOT, run_python

ALONE = """
import importlib, sys
for name in sys.argv[2:]:
    importlib.import_module(name)
    found = [m for m in sys.modules if m.startswith(tuple(sys.argv[1].split(",")))]
    assert not found, f"{name} imports {found}"
    for held in [m for m in sys.modules if m.partition(".")[0] in ("gpt2_helix", "pipeline")]:
        del sys.modules[held]
"""
"""Imports modules one after the other, each where nothing of this project is imported yet."""


def modules(folder: Path, package: str = "") -> list[str]:
    paths = sorted(folder.rglob("*.py"))
    names = [".".join((*path.relative_to(folder).parent.parts, path.stem)) for path in paths]
    named = [f"{package}.{name}".strip(".").removesuffix(".__init__") for name in names]
    return [name for name in named if not name.endswith("__main__")]


def import_alone(names: Iterable[str], *never: str, path: str = "") -> None:
    ran = run_python("-c", ALONE, ",".join(never) or "nothing", *names, PYTHONPATH=path)
    assert ran.returncode == 0, ran.stderr


def test_every_module_imports_alone() -> None:
    package, pipeline = ROOT / "src/gpt2_helix", ROOT / "pipeline"
    import_alone([*modules(package, "gpt2_helix"), *modules(pipeline, "pipeline")])


def test_claims_on_positions_do_not_wait_for_slow_packages() -> None:
    waited = ["gpt2_helix.suite.subjects", "gpt2_helix.plugin", *modules(ROOT / "claims")]
    import_alone(waited, "torch", "transformers", "pyarrow", "scipy.stats", path="claims")


@pytest.mark.parametrize("room", ["figures", "paper"])
def test_what_is_drawn_comes_from_records_and_not_from_a_model(room: str) -> None:
    never = ("torch", "gpt2_helix.models.model", "gpt2_helix.suite.subjects")
    import_alone(modules(ROOT / room), *never, path=room)


def test_the_engine_has_no_word_of_what_it_judges() -> None:
    for path in (ROOT / "src/gpt2_helix/judging").iterdir():
        if path.is_file():
            assert not re.search(r"GPT|wpe|attention|model|helix(?!\.judging)", path.read_text())


def test_the_guide_shows_the_suite_that_the_engine_s_tests_run() -> None:
    _, suite = (ROOT / "tests/judging/dice.py").read_text().split('"""\n', 1)
    assert suite.strip() in (ROOT / "CONTRIBUTING.md").read_text()


def test_the_engine_and_its_tests_run_without_the_rest_of_the_package(tmp_path: Path) -> None:
    for part in ("src/gpt2_helix/judging", "tests/judging"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "src/gpt2_helix/__init__.py").touch()
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    path = f"{tmp_path / 'src'}{os.pathsep}{tmp_path / 'tests'}"
    command = ["-m", "pytest", "tests", "-q", "-p", "gpt2_helix.judging.plugin"]
    bare = ["--import-mode=importlib", "-p", "no:anyio", "-p", "no:hypothesispytest"]
    ran = run_python(*command, *bare, cwd=tmp_path, PYTHONPATH=path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout


def test_another_python_is_refused_before_an_environment_is_made(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    old = tmp_path / "python3.10"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.10.2 || exit 1\n')
    old.chmod(0o755)
    ran = subprocess.run(
        ["make", "claims", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 2
    assert "PYTHON: expected Python 3.11 or later, found Python 3.10.2" in ran.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a clone")
def test_git_leaves_a_report_alone_in_the_folder_that_the_readme_names() -> None:
    named = re.findall(r"--report (\w+)", (ROOT / "README.md").read_text())
    assert named
    for folder in named:
        command = ["git", "check-ignore", "-q", f"{folder}/index.html"]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0

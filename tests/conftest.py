"""Shapes are checked in all of the tests; what several tests need is made here."""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest
from jaxtyping import install_import_hook
from safetensors.numpy import save_file

from gpt2_helix.weights.tensors import Array
from judging.running import run_pytest
from support import CONFIG, ROOT, Claims, Folder, Run, helix_rows

CHECKED = (
    "doctoring", "measure", "models.heads", "models.interventions", "models.readings",
    "models.on_text", "models.runner",
)  # fmt: skip
# Before a test imports them. The process that only hands tests to workers never does.
install_import_hook([f"gpt2_helix.{name}" for name in CHECKED], "beartype.beartype")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Spare the garbage collector what stays, torch and transformers among it.

    Each run of claims in this process calls it.
    """
    gc.disable()
    done = yield
    gc.freeze()
    gc.enable()
    return done


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Make warnings errors in these tests, and not in what users run."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("error"))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Write a model folder: a helix for positions, unless told otherwise."""

    def write(
        name: str = "model",
        config: Mapping[str, object] | None = None,
        tensors: Mapping[str, Array] | None = None,
    ) -> Path:
        path = tmp_path / name
        path.mkdir()
        (path / "config.json").write_text(json.dumps({**CONFIG, **(config or {})}))
        held = {"wpe.weight": helix_rows()} if tensors is None else dict(tensors)
        save_file(held, path / "model.safetensors")
        return path

    return write


@pytest.fixture
def run_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Claims:
    """Run ``pytest claims/`` in this process, without a network unless the test made one."""

    def run(*arguments: str, cwd: Path = ROOT, offline: bool = True) -> Run:
        where = [] if arguments[:1] == (".",) else ["claims/"]
        with monkeypatch.context() as patched:
            patched.setenv("COLUMNS", "160")
            if offline:
                patched.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
                patched.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
            return run_pytest(cwd, *where, *arguments)

    return run


@pytest.fixture
def run_process(tmp_path: Path) -> Claims:
    """Run ``pytest claims/`` as a user does, offline unless the environment says otherwise."""

    def run(*arguments: str, cwd: Path = ROOT, **environment: str) -> Run:
        offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
        return subprocess.run(
            [sys.executable, "-m", "pytest", "claims/", "-p", "no:cacheprovider", *arguments],
            cwd=cwd,
            env={**os.environ, **offline, "COLUMNS": "160", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run

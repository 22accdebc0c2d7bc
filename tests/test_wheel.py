"""What ``pip install .`` installs can be imported: nothing that it reads lies outside the wheel."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from support import ROOT


def test_the_package_imports_from_its_wheel(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")  # The build backend; pip brings its own where it builds.
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    unpacked = tmp_path / "unpacked"
    with ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    packed = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*.*")}
    sources = ROOT / "src"
    needed = {
        path.relative_to(sources).as_posix()
        for path in (sources / "gpt2_helix").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {*needed, "gpt2_helix/params.yaml"} <= packed
    code = (
        "from gpt2_helix import parameters, subjects; from gpt2_helix.models import table; "
        "print(parameters.__file__, len(table.GPT2_SMALL_TENSORS), parameters.PATH)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    module, _, path = ran.stdout.split()
    assert Path(module).is_relative_to(unpacked)
    assert Path(path) == unpacked / "gpt2_helix/params.yaml"

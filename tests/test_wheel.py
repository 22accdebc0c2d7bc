"""What ``pip install .`` installs judges models: nothing that it reads lies outside the wheel."""

import json
import re
from pathlib import Path
from zipfile import ZipFile

import pytest

from gpt2_helix.models.shipped import SHIPPED
from support import ROOT, run_python

CODE = """
import json
import gpt2_helix as gh
from gpt2_helix import cli, parameters
claims = ["architecture.*", "heads.survive-averaging"]
verdicts = [gh.judge(name, claims) for name in ("recorded:gpt2", "recorded:text")]
verdicts.append(gh.judge("mini", "helix.axis"))
assert cli.main(["record", "architecture", "--subject", "text", "--into", "text"]) == 0
files = [gh.__file__, str(parameters.PATH)]
found = [{claim: verdict.verdict for claim, verdict in each.items()} for each in verdicts]
print(json.dumps([files, found]))
"""


def test_the_package_judges_models_from_its_wheel(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")  # The build backend; pip brings its own where it builds.
    built = run_python("-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 11 * 2**20
    unpacked = tmp_path / "unpacked"
    with ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    package = unpacked / "gpt2_helix"
    assert [path.name for path in unpacked.iterdir() if path.suffix != ".dist-info"] == [
        package.name
    ]
    files = ("model/model.safetensors", "model/tokenizer.json", "helix.json")
    source = ROOT / "src/gpt2_helix"
    needed = {f"_checkout/data/{name}/{file}" for name in SHIPPED for file in files}
    needed |= {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {path.relative_to(package).as_posix() for path in package.rglob("*.*")}
    assert needed <= packed
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    alone = {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(unpacked)}
    ran = run_python("-c", CODE, cwd=elsewhere, **alone)
    assert ran.returncode == 0, ran.stderr
    *_, line = ran.stdout.splitlines()
    read, (recorded, replication, mini) = json.loads(line)
    assert read == [str(package / "__init__.py"), str(package / "params.yaml")]
    counted, kept = "architecture.144-heads", "heads.survive-averaging"
    assert recorded == {counted: "confirmed", kept: "described"}
    expected = json.loads((ROOT / "data/verdicts/text.json").read_text())["claims"]
    assert replication == {c["id"]: c["verdict"] for c in expected if c["id"] in replication}
    assert mini.keys() == {"helix.axis"}
    judged = run_python(
        "-m", "gpt2_helix", "judge", "mini", "helix.axis", "-v", **alone, cwd=elsewhere
    )
    assert judged.returncode == int(mini["helix.axis"] == "refuted"), judged.stderr
    assert re.search(
        rf"^{mini['helix.axis']} +helix\.axis  climb 0\.\d+ ", judged.stdout, re.I | re.M
    )

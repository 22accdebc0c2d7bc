"""What is cited is what is released, and what is told of it is what was found."""

import json
import re
import subprocess
import sys
import tomllib

import yaml

from gpt2_helix import plugin, present
from gpt2_helix.claim import BLOCKED
from gpt2_helix.models.table import SHIPPED
from support import ROOT


def test_the_citation_validates_and_the_archive_says_the_same() -> None:
    code = "from cffconvert.cli.cli import cli; cli()"
    command = [sys.executable, "-c", code, "-i", str(ROOT / "CITATION.cff")]
    subprocess.run([*command, "--validate"], check=True, capture_output=True)
    ran = subprocess.run([*command, "-f", "zenodo"], check=True, capture_output=True, text=True)
    archive = json.loads((ROOT / ".zenodo.json").read_text())
    assert json.loads(ran.stdout).items() <= archive.items()
    assert archive["upload_type"] == "software"


def test_there_is_one_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    latest = re.search(r"^## (\S+), (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert latest
    assert latest.groups() == (citation["version"], citation["date-released"].isoformat())
    assert citation["version"] == project["version"]


def test_the_readme_s_table_is_that_of_the_recorded_verdicts() -> None:
    content = json.loads((ROOT / "data/verdicts/gpt2.json").read_text())
    table = present.table(content["claims"], content["subject"], present.TABLE_WIDTH)
    assert f"```text\n{table}\n```\n" in (ROOT / "README.md").read_text()


def test_the_readme_s_other_table_is_that_of_the_models_that_ship() -> None:
    reports = [json.loads((ROOT / f"data/verdicts/{n}.json").read_text()) for n in SHIPPED]
    table = present.side_by_side(reports, present.TABLE_WIDTH)
    assert f"```text\n{table}\n```\n" in (ROOT / "README.md").read_text()
    for claim in reports[0]["claims"]:
        # What others published is of GPT-2 small alone.
        assert claim["verdict"] != BLOCKED or claim["needs"] == "A, D"
        assert claim["id"] in table


def test_every_claim_has_its_row_in_the_artifact_s_table() -> None:
    table = (ROOT / "ARTIFACT.md").read_text()
    for _, _, claim in plugin.declared(ROOT / "claims"):
        assert f"| `{claim.id}` |" in table

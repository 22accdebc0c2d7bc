"""What is cited is what is released, and what is told of it is what was found."""

import json
import re
import shutil
import tomllib
from pathlib import Path

import pypdf
import pytest
import yaml

from gpt2_helix import publish
from gpt2_helix.judging.collect import declared
from gpt2_helix.models.shipped import SHIPPED
from support import ROOT, run_python


def test_the_citation_validates_and_the_archive_says_the_same() -> None:
    command = ["-c", "from cffconvert.cli.cli import cli; cli()", "-i", str(ROOT / "CITATION.cff")]
    assert run_python(*command, "--validate").returncode == 0
    ran = run_python(*command, "-f", "zenodo")
    archive = json.loads((ROOT / ".zenodo.json").read_text())
    assert json.loads(ran.stdout).items() <= archive.items()
    assert archive["upload_type"] == "software"


def test_the_paper_has_the_same_title_and_abstract() -> None:
    """Word for word, but for the references to what is cited."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    first = pypdf.PdfReader(ROOT / "paper/gpt2-helix.pdf").pages[0].extract_text()
    said = " ".join(re.sub(r" \[\d+\]", "", first).replace("\u2019", "'").split())
    assert said.startswith(f"{citation['title']} ")
    abstract = said[said.index("Abstract. ") + 10 : said.index(" Reproducibility summary")]
    assert abstract == citation["abstract"]


def test_there_is_one_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    latest = re.search(r"^## (\S+), (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert latest
    assert latest.groups() == (citation["version"], citation["date-released"].isoformat())
    assert citation["version"] == project["version"]


def test_the_tables_are_those_of_the_recorded_verdicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the README, and on the pages with every number."""
    shutil.copytree(ROOT / "data/verdicts", tmp_path / "data/verdicts")
    shutil.copy(ROOT / "README.md", tmp_path)
    monkeypatch.chdir(tmp_path)
    shipped = [Path(f"data/verdicts/{name}.json") for name in SHIPPED]
    reports = [*Path("data/verdicts").glob("*.json")]
    publish.publish(reports, Path("README.md"), Path("data/metrics"))
    for made in (tmp_path / "README.md", *tmp_path.glob("data/verdicts/*.md")):
        assert made.read_text() == (ROOT / made.relative_to(tmp_path)).read_text()
    for claim in json.loads(shipped[0].read_text())["claims"]:
        assert claim["verdict"] != "blocked" or "D" in claim["needs"]


def test_every_claim_has_its_row_in_the_artifact_s_table() -> None:
    table = (ROOT / "ARTIFACT.md").read_text()
    report = json.loads((ROOT / "data/verdicts/gpt2.json").read_text())
    verdicts = {claim["id"]: claim["verdict"] for claim in report["claims"]}
    for _, _, claim in declared(ROOT / "claims"):
        row = rf"^\| `{claim.id}` \| {claim.needs} \|.*\| {verdicts[claim.id]}[: ][^|]*\|$"
        assert re.search(row, table, re.MULTILINE), claim.id


def test_the_readme_is_short_and_what_it_links_is_there() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 110
    links = re.findall(r"\]\((?!https:)([^)#]+)", text)
    assert len(links) > 8
    assert [link for link in links if not (ROOT / link).exists()] == []

"""What is shown of GPT-2 small's verdicts: in a terminal, on pages and in tables."""

import re
from pathlib import Path

import pytest

import gpt2_helix as gh
from gpt2_helix import cli
from gpt2_helix.judging import report, terminal
from gpt2_helix.judging.headline import nearest_bound
from gpt2_helix.judging.report import Report
from gpt2_helix.suite.statements import WORDS
from support import ROOT, Claims, Folder

VERDICTS = sorted((ROOT / "data/verdicts").glob("*.json"))


@pytest.fixture(scope="module")
def recorded() -> Report:
    return gh.judge("recorded:gpt2").report


@pytest.mark.parametrize("path", VERDICTS, ids=lambda path: path.stem)
def test_what_was_written_is_read_and_written_again_with_the_same_bytes(
    path: Path, tmp_path: Path
) -> None:
    found = report.read(path)
    assert len(found.claims) == 34
    report.write(tmp_path / "again.json", found)
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("width", [80, 100, 160])
def test_text_fits_and_each_claim_is_one_line(recorded: Report, width: int) -> None:
    lines = terminal.text(recorded, WORDS, width).splitlines()
    assert max(map(len, lines)) <= width
    for c in recorded.claims:
        shown = [line for line in lines if f" {c.id} " in line]
        assert len(shown) == (c.verdict != "blocked")
        for line in shown:
            label, number, bound = nearest_bound(c) or ("", 0, "")
            assert f" {label} {number:.4g} ({bound})" in line
    for s in recorded.statements:
        words = [*(["Ours:"] if s.ours else []), *s.says.split()]
        assert any(line.split()[1:3] == words[:2] for line in lines)


def test_no_word_is_broken(recorded: Report) -> None:
    whole = terminal.text(recorded, WORDS, 10**6).split()
    for width in (60, 80):
        assert terminal.text(recorded, WORDS, width).split() == whole


def test_the_recorded_verdicts_make_a_page_with_their_figures(
    run_claims: Claims, tmp_path: Path
) -> None:
    ran = run_claims("--subject", "recorded:gpt2", "--report", str(tmp_path / "report"))
    assert ran.returncode == 0, ran.stdout
    page = (tmp_path / "report/index.html").read_text()
    assert 'aria-label="3.02, must be &gt;= 2"' in page
    assert page.count('id="figure-helix"') == 1
    assert page.count('href="#figure-helix"') >= 1
    assert page.count("published in <code>adamyedidia/resid_viewer@cce15e93</code>") == 2
    assert page.count('id="figure-heads"') == page.count('id="figure-patterns"') == 1
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_figures_of_other_weights_are_left_out(
    folder: Folder, run_claims: Claims, tmp_path: Path
) -> None:
    run_claims("--subject", str(folder()), "-k", "circle or local", "--report", str(tmp_path))
    page = (tmp_path / "index.html").read_text()
    assert "<figure" not in page
    assert "Missing: <code>h.0.ln_1.weight" in page


def test_tables_are_put_between_the_markers(
    recorded: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "verdicts").mkdir()
    path, readme = tmp_path / "verdicts/gpt2.json", tmp_path / "README.md"
    report.write(path, recorded)
    readme.write_text("a\n<!-- statements -->\nwhat was here before\n<!-- /statements -->\nb\n")
    assert cli.main(["publish", str(path), "--readme", str(readme)]) == 0
    text = readme.read_text()
    assert text.startswith("a\n<!-- statements -->\n\n| the post says |")
    assert text.endswith("|\n<!-- /statements -->\nb\n")
    assert "what was here before" not in text
    assert "claims/test_helix.py)" in text
    for wrong, why in (
        ("<!-- replication -->\n", "expected a line <!-- results -->, found none"),
        ("<!-- statements -->\n", "expected <!-- /statements --> after"),
    ):
        readme.write_text(wrong)
        assert cli.main(["publish", str(path), "--readme", str(readme)]) == 2
        assert why in capsys.readouterr().err

"""The page that ``pytest claims/ --report`` writes."""

import re
from pathlib import Path

from gpt2_helix import report
from support import Claims, Folder


def test_the_recorded_verdicts_make_a_page_with_their_figures(
    run_claims: Claims, tmp_path: Path
) -> None:
    ran = run_claims("--subject", "recorded:gpt2", "--report", str(tmp_path / "report"))
    assert ran.returncode == 0, ran.stdout
    page = (tmp_path / "report/index.html").read_text()
    assert (
        page.count('<section id="')
        == page.count("<h2><code>")
        == len(re.findall("<tr><td><a ", page))
    )
    assert 'aria-label="3.02, must be &gt;= 2"' in page
    assert 'random-walk <span class="refuted">refuted</span>' in page
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


def test_a_number_stands_on_its_side_of_the_bound() -> None:
    for value, bound, kept in ((3.0, ">= 2", True), (0.999, ">= 0.99", True), (9, "< 1", False)):
        svg = report._line(value, bound)
        (dot,) = re.findall(r'cx="([\d.]+)"', svg)
        left, width = map(float, re.findall(r'rect x="([\d.]+)" y="14" width="([\d.]+)"', svg)[0])
        assert (left <= float(dot) <= left + width) is kept
    assert 'cx="170.0"' in report._line(12, "== 12")

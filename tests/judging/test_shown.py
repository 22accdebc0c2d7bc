"""Reports as text, Markdown and pages: what a reader sees, and that it fits."""

import re
from pathlib import Path
from typing import Any

import pytest

from gpt2_helix.judging import markdown, page, terminal, wording
from gpt2_helix.judging.claim import Found
from gpt2_helix.judging.headline import main_numbers, nearest_bound
from gpt2_helix.judging.report import ClaimVerdict, ControlVerdict, Report
from gpt2_helix.judging.suite import Figure
from judging.made import WORDS, claim_verdict, report_of

CONTROLS = [
    ControlVerdict("random-walk", "refuted"),
    ControlVerdict("loose", "blocked", "not <installed>"),
]


def claims(report: Report, width: int = 100, **options: bool) -> str:
    return terminal.claims(report, WORDS, width, **options)


@pytest.mark.parametrize(
    ("measured", "tolerance", "nearest"),
    [
        # Kept: the one nearest to being broken, as a share.
        ({"a": 10, "b": 1.1}, {"a": ">= 1", "b": ">= 1"}, ("b", 1.1, ">= 1")),
        # What must be equal says nothing when it is.
        ({"a": 1, "b": 5}, {"a": "== 1", "b": ">= 1"}, ("b", 5, ">= 1")),
        ({"a": 1}, {"a": "== 1"}, ("a", 1, "== 1")),
        # Broken: the one that is broken by most.
        ({"a": 1.01, "b": 0.9, "c": 0.1}, dict.fromkeys("abc", ">= 1"), ("c", 0.1, ">= 1")),
        ({"a": {"x": 3, "y": 2}}, {"a": ">= 1"}, ("a y", 2, ">= 1")),
        ({"a": 0}, {"a": ">= 0"}, ("a", 0, ">= 0")),
        ({}, {"a": ">= 0"}, None),
    ],
)
def test_the_number_that_says_most(measured: Any, tolerance: Any, nearest: Any) -> None:
    assert nearest_bound(claim_verdict(measured=measured, tolerance=tolerance)) == nearest


def test_the_main_number_of_a_claim_is_the_first_with_a_bound_and_nearest_to_breaking_it() -> None:
    verdicts = [
        claim_verdict(id=name, tolerance=tolerance, measured=measured)
        for name, tolerance, measured in (
            ("a.least", {"x": ">= 1", "y": "< 3"}, {"x": 2, "y": 1}),
            ("a.of-several", {"x": "> 1"}, {"x": {"k": 2, "l": 1.5}}),
            ("a.most", {"x": "< 1"}, {"z": 9, "x": {"k": 2, "l": 1.5}}),
            ("a.blocked", {"x": "< 1"}, {}),
        )
    ]
    assert main_numbers(verdicts) == {"a.least": 2, "a.of-several": 1.5, "a.most": 2}


def blocked(name: str, needs: str, *missing: str) -> ClaimVerdict:
    return claim_verdict(
        id=name, verdict="blocked", measured={}, needs=needs, missing=list(missing)
    )


def test_blocked_claims_are_one_line_that_says_what_would_judge_them() -> None:
    one, other = blocked("toy.a", "W", "wheel", "b"), blocked("toy.b", "W", "b", "c")
    beside = blocked("toy.c", "B, W", "a box with a wheel")

    def told(*claims_: ClaimVerdict, **about: Any) -> str:
        return claims(report_of(*claims_, **about)).split(maxsplit=1)[1]

    assert told(one, other) == "2 claims need a wheel: missing wheel, b and 1 more"
    assert told(one, evidence="recorded") == "1 claim needs a wheel; to judge them: --subject OTHER"
    first = told(one, evidence="recorded", replication=False)
    assert first.endswith("; to judge them: --subject FIRST or --subject OTHER")
    assert told(beside) == "1 claim needs a box and a wheel: missing a box with a wheel"
    assert "claims need a box or a wheel: missing wheel, b" in told(one, beside)
    verbose = claims(report_of(one, other), verbose=True)
    assert "toy.b\n           missing: b, c" in verbose


def test_verbose_shows_every_number_and_each_control() -> None:
    report = report_of(claim_verdict(controls=CONTROLS, source="a post"))
    assert claims(report, 80, verbose=True).splitlines() == [
        "confirmed  toy.circle",
        "             turns         3  >= 2",
        "             one_sign  0.999  >= 0.99",
        "             evidence: live, a post",
        "             controls refuted: random-walk",
        "             controls blocked: loose",
    ]


def test_a_verdict_that_no_number_gave_says_why() -> None:
    reason = "the claim does not refute random-walk"
    text = claims(report_of(claim_verdict(verdict="refuted", reason=reason)), 80)
    assert text == f"REFUTED  toy.circle  {reason}"
    published = claim_verdict(evidence="published", source="a post")
    *_, line, source = claims(report_of(published), 80).splitlines()
    assert line.endswith("(>= 0.99), published")
    assert source == "published: in a post"


def test_colours_are_those_of_verdicts() -> None:
    report = report_of(claim_verdict(verdict="refuted", reason="it stands still"))
    assert "\x1b[31mREFUTED\x1b[0m" in terminal.statements(report, 80, colour=True)
    assert "\x1b" not in terminal.text(report, WORDS, 80)


def test_the_heading_names_subject_evidence_digests_and_what_was_found() -> None:
    found = {"heavy_side": Found("weight", {"six": 0.5, "five": 0.25}, {"one": 0.125})}
    report = report_of(claim_verdict(), commit="c0ffee0011", because="it rolled away", found=found)
    assert terminal.heading(report.subject, WORDS, 80).splitlines() == [
        "subject: toy at c0ffee00, a copy: not the first one",
        "evidence: live, from spring.weight 01234567",
        "not measured now: it rolled away",
        "heavy_side, found: six, five, by weight: 0.25 or more, against 0.125 of one",
    ]


def test_several_subjects_stand_side_by_side() -> None:
    other = claim_verdict(id="toy.axis", measured={"climb": 1}, tolerance={"climb": ">= 0.95"})
    made = markdown.page_side_by_side([report_of(claim_verdict()), report_of(other)], WORDS)
    assert "| turns | >= 2 | 3 |  |" in made
    assert "| climb | >= 0.95 |  | 1 |" in made
    assert "| `toy.circle` |  | confirmed |  |" in made


def test_a_table_keeps_its_columns() -> None:
    assert markdown.table(["a"], [["b | c"]]) == "| a |\n| --- |\n| b \\| c |"


def test_a_page_shows_everything_once_and_nothing_as_markup(tmp_path: Path) -> None:
    svg = tmp_path / "turns.svg"
    svg.write_text("<svg/>")
    figures = [
        Figure("turns", ["toy.circle", "toy.other"], "Two turns & more", svg),
        Figure("climb", ["toy.other"], why="not measured"),
    ]
    other = blocked("toy.other", "W", "<wheel>")
    report = report_of(claim_verdict(controls=CONTROLS, says="<b>It</b> turns."), other)
    text = page.write(tmp_path / "made", report, WORDS, figures).read_text()
    assert text.startswith("<!doctype html>")
    assert text.count('<section id="') == text.count("<h2><code>") == 2
    assert 'aria-label="3, must be &gt;= 2"' in text
    assert 'random-walk <span class="refuted">refuted</span>' in text
    assert "(not &lt;installed&gt;)" in text
    assert "<b>" not in text
    assert text.count('id="figure-turns"') == text.count('href="#figure-turns"') == 1
    assert "Figure <em>climb</em> is not drawn: not measured." in text
    assert "Missing: <code>&lt;wheel&gt;</code>" in text
    assert "In the maker: How it works" in text
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    folded = page.notebook(report, WORDS)
    assert "href" not in folded
    assert "<summary>1 confirmed, 0 refuted, 1 blocked</summary>" in folded


def test_a_number_stands_on_its_side_of_the_bound() -> None:
    for value, bound, kept in ((3.0, ">= 2", True), (0.999, ">= 0.99", True), (9, "< 1", False)):
        at = page.number_line(value, bound)
        assert (at.left <= at.number <= at.left + at.width) is kept
    assert page.number_line(12, "== 12").number == 170


def test_every_number_is_told_on_a_page_of_markdown() -> None:
    claim = claim_verdict(controls=CONTROLS, verdict="refuted", reason="it stands still")
    made = markdown.page(report_of(claim), WORDS, lambda family: f"{family}.py")
    for line in (
        "# What the maker says, asked of toy",
        "### `toy.circle`: refuted",
        "| `turns` | 3 | >= 2 |",
        "It stands still.",
        "Controls refuted: random-walk.",
        "1 [toy](toy.py)",
    ):
        assert line in made
    assert wording.counts(report_of(claim)) == "0 confirmed, 1 refuted, 0 blocked"

"""Reports as text, Markdown and pages: what a reader sees, and that it fits."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpt2_helix.judging import markdown, page, terminal, wording
from gpt2_helix.judging.claim import Evidence, Found
from gpt2_helix.judging.finding import results
from gpt2_helix.judging.headline import main_numbers, nearest_bound
from gpt2_helix.judging.report import ClaimVerdict, ControlVerdict, Report
from gpt2_helix.judging.suite import Figure, Finding
from judging.made import WORDS, claim_verdict, report_of

CONTROLS = [
    ControlVerdict("random-walk", "refuted", counts=True),
    ControlVerdict("still", "n/a", counts=False),
    ControlVerdict("loose", "blocked", False, "not <installed>"),
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
    assert told(one, evidence="recorded") == "1 claim needs a wheel (--subject OTHER)"
    first = told(one, evidence="recorded", replication=False)
    assert first.endswith(" (--subject FIRST or --subject OTHER)")
    assert told(beside) == "1 claim needs a box and a wheel: missing a box with a wheel"
    assert "claims need a box or a wheel: missing wheel, b" in told(one, beside)
    verbose = claims(report_of(one, other), verbose=True)
    assert "toy.b\n           missing: b, c" in verbose


def test_verbose_shows_every_number_and_each_control() -> None:
    verdict = claim_verdict(
        controls=CONTROLS,
        source="a post",
        intervals={"turns": (2.5, 3.5)},
        tolerance={"turns": ">= 2"},
        presumes={"one_sign": ">= 0.9"},
        set={"turns": "after"},
    )
    assert claims(report_of(verdict), 80, verbose=True).splitlines() == [
        "confirmed  toy.circle",
        "             turns     3 [2.5, 3.5]  >= 2, set after",
        "             one_sign         0.999  presumed >= 0.9",
        "             evidence: live, a post",
        "             fails here, as it must: random-walk",
        "             does not test this claim: still",
        "             could not be made: loose",
    ]


def test_a_verdict_that_no_number_gave_says_why() -> None:
    for verdict in ("undecided", "n/a"):
        text = claims(report_of(claim_verdict(verdict=verdict, reason="no control counts")), 80)
        assert text == f"{verdict}  toy.circle  no control counts"
    published = claim_verdict(evidence="published", source="a post")
    *_, line, source = claims(report_of(published), 80).splitlines()
    assert line.endswith("(>= 0.99), published")
    assert source == "published: in a post"


def test_colours_are_those_of_verdicts() -> None:
    report = report_of(claim_verdict(verdict="refuted", reason="it stands still"))
    assert "\x1b[31mREFUTED\x1b[0m" in terminal.statements(report, WORDS, 80, colour=True)
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


def test_the_heading_says_what_is_known_of_the_weights_in_place_of_digests() -> None:
    about = report_of(claim_verdict(), identity="2 of 3 wheels", received="1 MB received").subject
    assert terminal.heading(about, WORDS, 80).splitlines() == [
        "subject: toy, a copy: not the first one: 2 of 3 wheels",
        "evidence: live",
        "1 MB received",
    ]


def test_several_subjects_stand_side_by_side() -> None:
    other = claim_verdict(id="toy.axis", measured={"climb": 1}, tolerance={"climb": ">= 0.95"})
    made = markdown.page_side_by_side([report_of(claim_verdict()), report_of(other)], WORDS)
    assert "| turns | >= 2 | 3 |  |" in made
    assert "| climb | >= 0.95 |  | 1 |" in made
    assert "| `toy.circle` |  | confirmed |  |" in made


def test_in_a_terminal_several_subjects_are_a_row_for_each_statement() -> None:
    words = replace(WORDS, subjects={"toy": ["a toy", "it turns {toy.circle/turns:.0f} times"]})
    other = report_of(claim_verdict(verdict="n/a"), name="other")
    made = terminal.side_by_side([report_of(claim_verdict()), other], words, 80)
    assert made.splitlines() == [
        "toy: A toy; it turns 3 times.",
        "",
        "toy        other",
        "confirmed  n/a    It turns.",
        "",
        "REFUTED: a number is outside its bound. mixed: claims on the statement differ.",
        "  n/a: it lacks what the claims presume. Ours: not in the maker.",
    ]


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
    assert text.count('<details id="') == text.count("<summary><code>") == 2
    assert 'aria-label="3, must be &gt;= 2"' in text
    assert "<li>random-walk: fails here, as it must</li>" in text
    assert "(not &lt;installed&gt;)" in text
    assert "<b>" not in text
    assert text.count('id="figure-turns"') == text.count('href="#figure-turns"') == 1
    assert "Figure <em>climb</em> is not drawn: not measured." in text
    assert "Missing: <code>&lt;wheel&gt;</code>" in text
    assert "In the maker: How it works" in text
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    folded = page.notebook(report, WORDS)
    assert "href" not in folded
    assert "<summary>claims: 1 confirmed, 1 blocked</summary>" in folded


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
        "| `turns` | 3 | >= 2, set before |",
        "It stands still.",
        "Fails here, as it must: random-walk.",
        "1 [toy](toy.py)",
    ):
        assert line in made


def test_checks_are_counted_apart_from_claims() -> None:
    verdicts = [
        claim_verdict(id="toy.a"),
        claim_verdict(id="toy.b", verdict="undecided"),
        claim_verdict(id="toy.c", about="toy", verdict="n/a"),
        claim_verdict(id="toy.d", statement=None),
    ]
    told = "claims: 1 confirmed, 1 undecided; checks: 1 confirmed, 1 n/a"
    assert wording.counts(report_of(*verdicts)) == told
    assert "## Checks of the method" in markdown.page(report_of(*verdicts), WORDS, str)


def test_a_finding_gives_the_numbers_of_claims_that_could_be_asked() -> None:
    def found(*claims: ClaimVerdict) -> str:
        (statement,) = report_of(*claims).statements
        return statement.finding

    axis = claim_verdict(id="toy.axis", measured={"climb": {"a": 0.912, "b": 0.5}})
    assert found(claim_verdict(), axis) == "3.0 turns; it climbs 50 to 91 %."
    assert found(axis) == "It climbs 50 to 91 %."
    least = [Finding("toy.axis", "-", "{toy.axis/climb:min .2f}", "{toy.axis/climb:max .0%}")]
    assert results(least, [axis])[0][2:] == ("0.50", "91 %")
    assert "91 %" in str(
        results([Finding("toy.axis", "It climbs", "{toy.axis/climb:.0%}", "0")], [axis])
    )
    refuted = claim_verdict(verdict="refuted")
    assert not results([Finding("toy.circle", "It turns", "{toy.circle/turns}", "0")], [refuted])
    absent = claim_verdict(verdict="n/a", reason="one_sign 0.1, presumed >= 0.5")
    assert found(absent) == "Not judged: one_sign 0.1, presumed >= 0.5."
    flat = claim_verdict(verdict="n/a", reason="climb 0.1, presumed >= 0.5")
    assert found(flat) == "Not judged: it does not climb."
    broken = claim_verdict(id="toy.b", measured={}, verdict="refuted", reason="b 1, must be < 0")
    assert found(absent, broken) == "Found b 1, must be < 0."


@pytest.mark.parametrize("evidence", ["live", "recorded", "published"])
def test_a_finding_names_others_only_where_they_measured_it(evidence: Evidence) -> None:
    theirs = Finding("toy.circle", "Theirs", "{toy.circle@published/turns:.0f}", "0")
    own = Finding("toy.circle", "Ours", "{toy.circle@measured/turns:.0f}", "0")
    (row,) = results([theirs, own], [claim_verdict(evidence=evidence)])
    assert row.says == ("Theirs" if evidence == "published" else "Ours")


def test_subjects_stand_below_each_other_in_as_many_tables_as_the_width_takes() -> None:
    names = ("helix.circle", "helix.three-components", "heads.main")
    found = {
        "mini": dict.fromkeys(names, "refuted"),
        "no such [model]": {},
        "x" * 40: {"helix.circle": "n/a", "heads.main": "confirmed"},
    }
    whole = terminal.by_subject(found, 80)
    assert whole.splitlines() == [
        "                            helix                           heads",
        "subject                     circle        three-components  main",
        "mini                        REFUTED       REFUTED           REFUTED",
        "no such [model]             not measured",
        f"{'x' * 26}  n/a                             confirmed",
        "x" * 14,
    ]
    for width in (40, 54, 66):
        parts = terminal.by_subject(found, width).split("\n\n")
        assert len(parts) > 1
        shown = " ".join(parts)
        assert all(shown.count(name.partition(".")[2]) == 1 for name in names)
        assert shown.count("REFUTED") == 3
        assert max(map(len, shown.splitlines())) <= width
    assert terminal.by_subject({"mini": {}}, 80) == ""
    assert "\x1b[31mREFUTED " in terminal.by_subject(found, 80, colour=True)

"""Verdicts as text and as Markdown: what a reader sees, and that it fits."""

import re
from pathlib import Path
from typing import Any

import pytest

import gpt2_helix as gh
from gpt2_helix import cli, markdown, present
from gpt2_helix.judging.claim import nearest_bound
from gpt2_helix.judging.errors import SubjectError
from gpt2_helix.judging.records import write_json
from support import Claims, Folder, helix_rows

Report = dict[str, Any]


@pytest.fixture(scope="module")
def recorded() -> Report:
    return gh.judge("recorded:gpt2").report


def claim(**changed: Any) -> dict[str, Any]:
    return {
        "id": "helix.circle",
        "statement": "helix",
        "needs": "P",
        "verdict": "confirmed",
        "evidence": "live",
        "source": None,
        "measured": {"turns": 3.0, "one_sign": 0.999},
        "tolerance": {"turns": ">= 2", "one_sign": ">= 0.99"},
        "missing": [],
        "controls": [],
        "reason": "",
        "says": "It turns.",
        "post": "-",
        "why": "-",
        **changed,
    }


def report_of(*claims: dict[str, Any], evidence: str = "live") -> Report:
    subject = {
        "name": "toy",
        "evidence": evidence,
        "recorded_on": None,
        "commit": None,
        "replication": True,
        "digests": {"wpe.weight": "0123456789abcdef", "h.0.ln_1.weight": "f" * 16},
    }
    return {"schema": 1, "subject": subject, "statements": [], "claims": list(claims)}


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
    assert nearest_bound({"measured": measured, "tolerance": tolerance}) == nearest


@pytest.mark.parametrize("width", [80, 100, 160])
def test_text_fits_and_each_claim_is_one_line(recorded: Report, width: int) -> None:
    lines = present.text(recorded, width).splitlines()
    assert max(map(len, lines)) <= width
    for c in recorded["claims"]:
        shown = [line for line in lines if f" {c['id']} " in line]
        assert len(shown) == (c["verdict"] != "blocked")
        for line in shown:
            label, number, bound = nearest_bound(c) or ("", 0, "")
            assert f" {label} {number:.4g} ({bound})" in line
    for s in recorded["statements"]:
        assert any(line.split()[1:3] == s["says"].split()[:2] for line in lines)


def test_no_word_is_broken(recorded: Report) -> None:
    whole = present.text(recorded, 10**6).split()
    for width in (40, 80):
        assert present.text(recorded, width).split() == whole


def test_blocked_claims_are_one_line_that_says_what_would_judge_them() -> None:
    blocked = {"verdict": "blocked", "measured": {}, "needs": "F", "missing": ["wte.weight", "b"]}
    two = [claim(**blocked), claim(**{**blocked, "id": "helix.axis", "missing": ["b", "c"]})]
    assert present.claims(report_of(*two), 100).split(maxsplit=1)[1] == (
        "2 claims need the whole model: missing wte.weight, b and 1 more"
    )
    text = present.claims(report_of(two[0], evidence="recorded"), 100)
    assert text.endswith("1 claim needs the whole model; to judge them: --subject FOLDER")
    beside = claim(**{**blocked, "needs": "A, D", "missing": ["published attention"]})
    assert present.claims(report_of(beside), 100).split(maxsplit=1)[1] == (
        "1 claim needs the attention weights and published measurements: missing published "
        "attention"
    )
    assert "need the attention weights or the whole model: missing wte.weight, b" in (
        present.claims(report_of(two[0], beside), 100)
    )
    verbose = present.claims(report_of(*two), 100, verbose=True)
    assert "helix.axis\n           missing: b, c" in verbose


def test_verbose_shows_every_number_and_each_control() -> None:
    controls = [
        {"name": "random-walk", "verdict": "refuted", "reason": ""},
        {"name": "minilm", "verdict": "blocked", "reason": "not installed"},
    ]
    text = present.claims(report_of(claim(controls=controls, source="a post")), 80, verbose=True)
    assert text.splitlines() == [
        "confirmed  helix.circle",
        "             turns         3  >= 2",
        "             one_sign  0.999  >= 0.99",
        "             evidence: live, a post",
        "             controls refuted: random-walk",
        "             controls blocked: minilm",
    ]


def test_a_verdict_that_no_number_gave_says_why() -> None:
    reason = "the claim does not refute random-walk"
    text = present.claims(report_of(claim(verdict="refuted", reason=reason)), 80)
    assert text == f"REFUTED  helix.circle  {reason}"
    published = claim(evidence="published", source="a post")
    *_, line, source = present.claims(report_of(published), 80).splitlines()
    assert line.endswith("(>= 0.99), published")
    assert source == "published: in a post"


def test_the_heading_names_subject_evidence_and_weights() -> None:
    subject = report_of()["subject"]
    assert present.heading(subject, 80) == [
        "subject: toy, a replication: not GPT-2 small",
        "evidence: live, from wpe.weight 01234567",
    ]


def test_the_terminal_shows_statements_then_claims_and_a_line_for_each_refuted_one(
    folder: Folder, run_claims: Claims
) -> None:
    rows = helix_rows(256, 96)[::-1].copy()
    rows[128:] = rows[127::-1]  # It climbs, and comes back.
    path = folder(config={"n_positions": 256, "n_embd": 96}, tensors={"wpe.weight": rows})
    model = ("--subject", str(path), "-k", "axis or three_comp")
    ran = run_claims(*model)
    out = ran.stdout
    assert ran.returncode == 1
    assert out.index("what the post says") < out.index("REFUTED") < out.index("= claims =")
    assert len(re.findall(r"^helix\.axis: climb [\d.e-]+, must be >= 0\.95$", out, re.M)) == 1
    assert "FAILURES" not in out
    assert "1 confirmed, 1 refuted, 0 blocked" in out
    assert out.count("evidence: live") == 1
    assert "\x1b" not in out
    traced = run_claims(*model, "--tb=short").stdout
    assert "assert measured(climb=found.climb)" in traced
    coloured = run_claims(*model, "--color=yes", "-q").stdout
    assert "\x1b[31mREFUTED\x1b[0m" in coloured
    assert coloured.count("evidence: live") == 1


def test_tables_are_put_between_the_markers_and_every_number_on_a_page(
    recorded: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "verdicts").mkdir()
    report, readme = tmp_path / "verdicts/gpt2.json", tmp_path / "README.md"
    write_json(report, recorded)
    readme.write_text("a\n<!-- statements -->\nwhat was here before\n<!-- /statements -->\nb\n")
    assert cli.main(["table", str(report), "--into", str(readme)]) == 0
    text = readme.read_text()
    assert text.startswith("a\n<!-- statements -->\n\n| the post says |")
    assert text.endswith("|\n\n<!-- /statements -->\nb\n")
    assert "what was here before" not in text
    assert "claims/test_helix.py)" in text
    assert cli.main(["pages", str(report)]) == 0
    page = report.with_suffix(".md").read_text()
    for c in recorded["claims"]:
        assert f"### `{c['id']}`: {c['verdict']}" in page
        for label, number, _ in present.numbers(c):
            assert f"| `{label}` | {number} |" in page
    assert cli.main(["table", str(report), str(report), "--into", str(readme)]) == 2
    assert "expected a line <!-- replication -->, found none" in capsys.readouterr().err
    readme.write_text("<!-- statements -->\n")
    with pytest.raises(SubjectError, match="expected <!-- /statements --> after"):
        cli.put_tables([report], readme)


def test_several_subjects_stand_side_by_side() -> None:
    one = report_of(claim())
    other = report_of(claim(id="helix.axis", measured={"climb": 1}, tolerance={"climb": ">= 0.95"}))
    page = markdown.page_side_by_side([one, other])
    assert "| turns | >= 2 | 3 |  |" in page
    assert "| climb | >= 0.95 |  | 1 |" in page
    assert "| `helix.circle` |  | confirmed |  |" in page


def test_a_table_keeps_its_columns() -> None:
    assert markdown.table(["a"], [["b | c"]]) == "| a |\n| --- |\n| b \\| c |"


def test_every_family_of_claims_is_linked_to_its_file() -> None:
    from gpt2_helix.places import CLAIMS
    from gpt2_helix.plugin import declared

    for path, _, terms in declared(CLAIMS):
        assert path.name == cli.file_of(markdown.family(terms.id))


def test_the_main_number_of_a_claim_is_the_first_with_a_bound_and_nearest_to_breaking_it() -> None:
    claims = [
        {"id": "a.least", "tolerance": {"x": ">= 1", "y": "< 3"}, "measured": {"x": 2, "y": 1}},
        {"id": "a.of-several", "tolerance": {"x": "> 1"}, "measured": {"x": {"k": 2, "l": 1.5}}},
        {"id": "a.most", "tolerance": {"x": "< 1"}, "measured": {"z": 9, "x": {"k": 2, "l": 1.5}}},
        {"id": "a.blocked", "tolerance": {"x": "< 1"}, "measured": {}},
    ]
    assert present.main_numbers(claims) == {"a.least": 2, "a.of-several": 1.5, "a.most": 2}

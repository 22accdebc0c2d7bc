"""Verdicts as Markdown, from JSON reports: tables for the README, and pages with every number."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from gpt2_helix import present
from gpt2_helix.judging.claim import BLOCKED, REFUTED, labelled

Report = Mapping[str, Any]


def statements_table(report: Report, link: Callable[[str], str]) -> str:
    """Make a Markdown table of the post's statements.

    Parameters
    ----------
    report
        The JSON report.
    link
        Where the file with a family of claims is, from the page that shows the table.
    """
    rows = []
    for s in report["statements"]:
        own = [c for c in report["claims"] if c["statement"] == s["id"]]
        families = dict.fromkeys(family(c["id"]) for c in own)
        linked = ", ".join(
            f"{sum(family(c['id']) == name for c in own)} [{name}]({link(name)})"
            for name in families
        )
        controls = f"{s['controls_refuted']} of {s['controls']}" if s["controls"] else ""
        evidence = " and ".join(s["evidence"])
        rows.append(
            [s["says"], _bold(s["verdict"]), present.headline(s), evidence, linked, controls]
        )
    header = ["the post says", "verdict", "the number that says most", "evidence", "claims"]
    return table([*header, "controls refuted"], rows)


def claims_table(report: Report) -> str:
    """Make a Markdown table of claims, a row for each, with the number that says most."""
    rows = []
    for c in report["claims"]:
        said = present.said(c, c["evidence"]).replace(present.HARD_SPACE, " ")
        if c["verdict"] == BLOCKED:
            said = f"needs {present.needs([c['needs']])}"
        refuted = sum(control["verdict"] == REFUTED for control in c["controls"])
        controls = f"{refuted} of {len(c['controls'])}" if c["controls"] else ""
        rows.append([f"`{c['id']}`", c["says"], _bold(c["verdict"]), said, controls])
    return table(["claim", "what it says", "verdict", "number", "controls refuted"], rows)


def side_by_side(reports: Sequence[Report]) -> str:
    """Make a Markdown table of verdicts on several subjects, a row for each statement.

    Under each verdict is the number that says most, where there is one.
    """
    names = [short_name(report["subject"]) for report in reports]
    rows = []
    for same in _same(reports, "statements"):
        known = next(s for s in same if s)
        cells = [f"{_bold(s['verdict'])}<br>{s['headline']}" if s else "" for s in same]
        rows.append([known["says"], *(cell.removesuffix("<br>") for cell in cells)])
    return table(["the post says", *names], rows)


def page(report: Report, link: Callable[[str], str]) -> str:
    """Make a Markdown page of a report: statements, then every number of every claim.

    Parameters
    ----------
    report
        The JSON report.
    link
        As in ``statements_table``.
    """
    subject = report["subject"]
    lines = [f"# What the post says, asked of {short_name(subject)}", ""]
    lines += [f"- {line}" for line in present.heading(subject)]
    lines += ["", statements_table(report, link)]
    for s in report["statements"]:
        lines += ["", f"## {s['says']}"]
        for c in report["claims"]:
            if c["statement"] == s["id"]:
                lines += ["", *_section(c, link)]
    return "\n".join([*lines, ""])


def _section(claim: Mapping[str, Any], link: Callable[[str], str]) -> list[str]:
    """Everything on one claim, as Markdown."""
    where = f"[{family(claim['id'])}]({link(family(claim['id']))})"
    lines = [f"### `{claim['id']}`: {claim['verdict']}", "", f"{claim['says']} ({where})"]
    rows = [[f"`{label}`", number, bound] for label, number, bound in present.numbers(claim)]
    if rows:
        lines += ["", table(["measured", "number", "must be"], rows)]
    told = [line for line in present.everything(claim) if present.HARD_SPACE not in line]
    return [*lines, *(part for line in told for part in ("", f"{line[0].upper()}{line[1:]}."))]


def page_side_by_side(reports: Sequence[Report]) -> str:
    """Make a Markdown page of several subjects: statements, then every number with a bound."""
    names = [short_name(report["subject"]) for report in reports]
    rows = []
    for same in _same(reports, "claims"):
        known = next(c for c in same if c)
        rows.append([f"`{known['id']}`", "", *(_bold(c["verdict"]) if c else "" for c in same)])
        of_each = [{r[0]: r[1] for r in present.numbers(c)} if c else {} for c in same]
        for name, bound in known["tolerance"].items():
            labels = dict.fromkeys(
                label
                for c in same
                if c and name in c["measured"]
                for label, _ in labelled(name, c["measured"][name])
            )
            rows += [[label, bound, *(n.get(label, "") for n in of_each)] for label in labels]
    lines = [f"# {', '.join(names)} side by side", "", side_by_side(reports), ""]
    return "\n".join([*lines, table(["claim", "must be", *names], rows), ""])


def _same(reports: Sequence[Report], what: str) -> list[list[Mapping[str, Any] | None]]:
    """Statements, or claims, of several reports: a list for each, None where a report lacks it."""
    by_id = [{item["id"]: item for item in report[what]} for report in reports]
    return [[items.get(name) for items in by_id] for name in dict.fromkeys(chain(*by_id))]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a Markdown table; a bar in a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def family(claim: str) -> str:
    """The family of a claim, from its identifier."""
    return claim.partition(".")[0]


def short_name(subject: Mapping[str, Any]) -> str:
    """What a table calls a subject."""
    return str(subject["name"]).removeprefix("recorded:")


def _bold(verdict: str) -> str:
    return f"**{verdict}**" if verdict == REFUTED else verdict

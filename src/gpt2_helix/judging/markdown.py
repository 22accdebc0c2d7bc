"""Reports as Markdown: tables for a README, and pages with every number."""

from collections.abc import Callable, Iterable, Sequence

from gpt2_helix.judging import wording
from gpt2_helix.judging.claim import labelled
from gpt2_helix.judging.finding import results
from gpt2_helix.judging.report import ClaimVerdict, Report
from gpt2_helix.judging.suite import Words

Link = Callable[[str], str]
"""Where the file with a family of claims is, from the page that shows it."""


def statements_table(report: Report, words: Words, link: Link) -> str:
    """Make a Markdown table of statements."""
    rows = []
    for s in report.statements:
        families = [family(c.id) for c in report.claims if c.statement == s.id]
        linked = ", ".join(
            f"{families.count(name)} [{name}]({link(name)})" for name in dict.fromkeys(families)
        )
        evidence = " and ".join(s.evidence)
        says = f"*ours:* {s.says}" if s.ours else s.says
        rows.append([says, _bold(s.verdict), s.finding, evidence, linked])
    header = [f"{words.said_by} says", "verdict", "what was found", "evidence", "claims"]
    return table(header, rows)


def results_table(report: Report, words: Words) -> str:
    """Make a Markdown table of what was found, most important first."""
    when = {claim.id: claim.set for claim in report.claims}
    rows = [
        [
            row.says,
            row.number,
            row.beside,
            "after" if "after" in when[row.claim].values() else "before",
        ]
        for row in results(words.found, report.claims)
    ]
    return table(["found", "number", "compared with", "bounds set"], rows)


def claims_table(report: Report, words: Words) -> str:
    """Make a Markdown table of claims, a row for each, with the number nearest to its bound."""
    rows = []
    for c in report.claims:
        said = wording.said(c, c.evidence)
        if c.verdict == "blocked":
            said = f"needs {wording.needs([c.needs], words)}"
        rows.append([f"`{c.id}`", c.says, _bold(c.verdict), said, wording.controls_counted(c)])
    return table(["claim", "what it says", "verdict", "number", "controls that count"], rows)


def side_by_side(reports: Sequence[Report], words: Words) -> str:
    """Make a Markdown table of verdicts on several subjects, a row for each statement.

    Statements that apply to none of them are left out.
    """
    rows = []
    for known, same in wording.aligned([report.statements for report in reports]):
        verdicts = [_bold(s.verdict) if s else "" for s in same]
        if set(verdicts) - {"n/a", ""}:
            rows.append([known.says, *verdicts])
    return table([f"{words.said_by} says", *_names(reports)], rows)


def page(report: Report, words: Words, link: Link) -> str:
    """Make a Markdown page of a report: statements, then every number of every claim."""
    lines = [f"# What {words.said_by} says, asked of {wording.short_name(report.subject)}", ""]
    lines += [f"- {line}" for line in wording.heading(report.subject, words)]
    lines += ["", statements_table(report, words, link)]
    for s in report.statements:
        lines += ["", f"## {s.says}"]
        for c in report.claims:
            if c.statement == s.id:
                lines += ["", *_section(c, link)]
    if checks := [c for c in report.claims if c.statement is None]:
        lines += ["", "## Checks of the method"]
        for c in checks:
            lines += ["", *_section(c, link)]
    return "\n".join([*lines, ""])


def _section(claim: ClaimVerdict, link: Link) -> list[str]:
    """Everything on one claim."""
    where = f"[{family(claim.id)}]({link(family(claim.id))})"
    lines = [f"### `{claim.id}`: {claim.verdict}", "", f"{claim.says} ({where})"]
    if rows := [[f"`{label}`", *number] for label, *number in wording.numbers(claim)]:
        lines += ["", table(["measured", "number", "must be"], rows)]
    for fact in wording.facts(claim):
        lines += ["", f"{fact[0].upper()}{fact[1:]}."]
    return lines


def page_side_by_side(reports: Sequence[Report], words: Words) -> str:
    """Make a Markdown page of several subjects: statements, then every number with a bound."""
    names = _names(reports)
    rows = []
    for known, same in wording.aligned([report.claims for report in reports]):
        rows.append([f"`{known.id}`", "", *(_bold(c.verdict) if c else "" for c in same)])
        of_each = [{row[0]: row[1] for row in wording.numbers(c)} if c else {} for c in same]
        for name, bound in known.tolerance.items():
            labels = dict.fromkeys(
                label
                for c in same
                if c and name in c.measured
                for label, *_ in labelled(name, c.measured[name])
            )
            rows += [[label, bound, *(n.get(label, "") for n in of_each)] for label in labels]
    lines = [f"# {', '.join(names)} side by side", "", side_by_side(reports, words), ""]
    return "\n".join([*lines, table(["claim", "must be", *names], rows), ""])


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a Markdown table; a bar in a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def family(claim: str) -> str:
    """The family of a claim, from its identifier."""
    return claim.partition(".")[0]


def _names(reports: Sequence[Report]) -> list[str]:
    return [wording.short_name(report.subject) for report in reports]


def _bold(verdict: str) -> str:
    return f"**{verdict}**" if verdict == "refuted" else verdict

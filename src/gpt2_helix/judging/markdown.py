"""Reports as Markdown: tables for a README, and pages with every number."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import TypeVar

from gpt2_helix.judging import wording
from gpt2_helix.judging.claim import labelled
from gpt2_helix.judging.report import About, ClaimVerdict, Report, StatementVerdict
from gpt2_helix.judging.suite import Words

Link = Callable[[str], str]
"""Where the file with a family of claims is, from the page that shows it."""
Item = TypeVar("Item", StatementVerdict, ClaimVerdict)


def statements_table(report: Report, words: Words, link: Link) -> str:
    """Make a Markdown table of statements."""
    rows = []
    for s in report.statements:
        families = [family(c.id) for c in report.claims if c.statement == s.id]
        linked = ", ".join(
            f"{families.count(name)} [{name}]({link(name)})" for name in dict.fromkeys(families)
        )
        controls = f"{s.controls_refuted} of {s.controls}" if s.controls else ""
        evidence = " and ".join(s.evidence)
        rows.append([s.says, _bold(s.verdict), wording.headline(s), evidence, linked, controls])
    header = [f"{words.said_by} says", "verdict", "the number that says most", "evidence", "claims"]
    return table([*header, "controls refuted"], rows)


def claims_table(report: Report, words: Words) -> str:
    """Make a Markdown table of claims, a row for each, with the number that says most."""
    rows = []
    for c in report.claims:
        said = wording.said(c, c.evidence)
        if c.verdict == "blocked":
            said = f"needs {wording.needs([c.needs], words)}"
        refuted = sum(control.verdict == "refuted" for control in c.controls)
        controls = f"{refuted} of {len(c.controls)}" if c.controls else ""
        rows.append([f"`{c.id}`", c.says, _bold(c.verdict), said, controls])
    return table(["claim", "what it says", "verdict", "number", "controls refuted"], rows)


def side_by_side(reports: Sequence[Report], words: Words) -> str:
    """Make a Markdown table of verdicts on several subjects, a row for each statement.

    Under each verdict is the number that says most, where there is one.
    """
    rows = []
    for known, same in _aligned([report.statements for report in reports]):
        cells = [f"{_bold(s.verdict)}<br>{s.headline}" if s else "" for s in same]
        rows.append([known.says, *(cell.removesuffix("<br>") for cell in cells)])
    return table([f"{words.said_by} says", *_names(reports)], rows)


def page(report: Report, words: Words, link: Link) -> str:
    """Make a Markdown page of a report: statements, then every number of every claim."""
    lines = [f"# What {words.said_by} says, asked of {short_name(report.subject)}", ""]
    lines += [f"- {line}" for line in wording.heading(report.subject, words)]
    lines += ["", statements_table(report, words, link)]
    for s in report.statements:
        lines += ["", f"## {s.says}"]
        for c in report.claims:
            if c.statement == s.id:
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
    for known, same in _aligned([report.claims for report in reports]):
        rows.append([f"`{known.id}`", "", *(_bold(c.verdict) if c else "" for c in same)])
        of_each = [{row[0]: row[1] for row in wording.numbers(c)} if c else {} for c in same]
        for name, bound in known.tolerance.items():
            labels = dict.fromkeys(
                label
                for c in same
                if c and name in c.measured
                for label, _ in labelled(name, c.measured[name])
            )
            rows += [[label, bound, *(n.get(label, "") for n in of_each)] for label in labels]
    lines = [f"# {', '.join(names)} side by side", "", side_by_side(reports, words), ""]
    return "\n".join([*lines, table(["claim", "must be", *names], rows), ""])


def _aligned(of_each: Sequence[Sequence[Item]]) -> list[tuple[Item, list[Item | None]]]:
    """The same thing in several reports: the first that has it, and all, None where it lacks."""
    by_id = [{item.id: item for item in items} for items in of_each]
    found = []
    for name in dict.fromkeys(chain(*by_id)):
        same = [items.get(name) for items in by_id]
        found.append((next(item for item in same if item), same))
    return found


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a Markdown table; a bar in a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def family(claim: str) -> str:
    """The family of a claim, from its identifier."""
    return claim.partition(".")[0]


def short_name(about: About) -> str:
    """What a table calls a subject."""
    return about.name.removeprefix("recorded:")


def _names(reports: Sequence[Report]) -> list[str]:
    return [short_name(report.subject) for report in reports]


def _bold(verdict: str) -> str:
    return f"**{verdict}**" if verdict == "refuted" else verdict

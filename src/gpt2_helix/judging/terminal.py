"""A report as text for a terminal: statements first, then claims, a line each."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from gpt2_helix.judging import wording
from gpt2_helix.judging.finding import finding
from gpt2_helix.judging.report import About, ClaimVerdict, Report, StatementVerdict
from gpt2_helix.judging.suite import Words

WIDEST = 110
"""Columns that are used of a wider terminal: longer lines are hard to follow."""
MORE = "-v lists claims, -vv every number and control; --report FOLDER makes a page"
SUBJECT, NOT_MEASURED = "subject", "not measured"
LEGEND = (
    "REFUTED: a number is outside its bound. mixed: claims on the statement differ. "
    "n/a: it lacks what the claims presume. Ours: not in {said_by}."
)
COLOURS = {
    "confirmed": "green",
    "described": "green",
    "refuted": "red",
    "undecided": "yellow",
    "mixed": "yellow",
    "n/a": "bright_black",
    "blocked": "yellow",
    "not judged": "yellow",
    "error": "red",
}


def text(report: Report, words: Words, width: int, *, every_claim: bool = True) -> str:
    """All of it: heading, what was found, statements, claims and how many have which verdict."""
    return "\n\n".join(
        [
            heading(report.subject, words, width),
            *filter(None, [found(report, words, width)]),
            statements(report, words, width),
            *([claims(report, words, width)] if every_claim else []),
            wrapped([wording.counts(report)], width),
        ]
    )


def heading(about: About, words: Words, width: int) -> str:
    """What is under test, and on which evidence."""
    return wrapped(wording.heading(about, words), width)


def found(report: Report, words: Words, width: int, *, colour: bool = False) -> str:
    """What was found in all, and what is open."""
    table = _table()
    if report.found:
        table.add_row(Text("FOUND", "bold"), " ".join(report.found))
    if words.note and report.statements:
        table.add_row(Text("NOTE", "bold"), words.note)
    if opened := wording.opened(report, words):
        table.add_row(Text("OPEN", "bold"), opened)
    return _printed(table, width, colour)


def statements(report: Report, words: Words, width: int, *, colour: bool = False) -> str:
    """Show each statement with its verdict and what was found; those of others first."""
    table = _table()
    for statement in sorted(report.statements, key=lambda statement: statement.ours):
        # Why a statement is blocked stands under OPEN.
        told = statement.finding and statement.verdict != "blocked"
        found = f" {statement.finding}" if told else ""
        table.add_row(_word(statement.verdict), Text.assemble(*_says(statement), found))
    return _printed(table, width, colour)


def side_by_side(
    reports: Sequence[Report], words: Words, width: int, *, colour: bool = False
) -> str:
    """Several subjects: a line on each, then a row for each statement with a verdict of each."""
    names = [wording.short_name(report.subject) for report in reports]
    lines = [
        f"{name}: {told}"
        for name, report in zip(names, reports, strict=True)
        if (told := finding(words.subjects.get(name, ()), report.claims))
    ]
    table = Table.grid(*("" for _ in names), "", padding=(0, 2, 0, 0))
    table.add_row(*(Text(name, "bold") for name in names), "")
    for known, same in wording.aligned([report.statements for report in reports]):
        verdicts = [_word(s.verdict) if s else Text("") for s in same]
        if {text.plain for text in verdicts} - {"n/a", ""}:
            table.add_row(*verdicts, Text.assemble(*_says(known)))
    legend = LEGEND.format(said_by=words.said_by)
    parts = [wrapped(lines, width), _printed(table, width, colour), wrapped([legend], width)]
    return "\n\n".join(filter(None, parts))


def by_subject(
    verdicts: Mapping[str, Mapping[str, str]], width: int, *, colour: bool = False
) -> str:
    """Many subjects, a row for each with its verdict on each claim; empty if there is no claim.

    Where not all claims fit beside each other, they stand in several tables. A subject without
    verdicts was not measured.
    """
    width = min(width, WIDEST)
    names = min(max(map(len, [SUBJECT, *verdicts])), width // 3)
    parts: list[list[str]] = []
    room = 0
    for claim in dict.fromkeys(name for found in verdicts.values() for name in found):
        words = [f.get(claim, "") if f else NOT_MEASURED for f in verdicts.values()]
        needed = 2 + max(map(len, [*claim.split("."), *words]))
        if needed > room:
            parts.append([])
            room = width - names - 2
        parts[-1].append(claim)
        room -= needed
    return "\n\n".join(_part(verdicts, part, names, width, colour) for part in parts)


def _part(
    verdicts: Mapping[str, Mapping[str, str]],
    claims: Sequence[str],
    names: int,
    width: int,
    colour: bool,
) -> str:
    """A table of some claims: families, below them the claims, below these the verdicts."""
    table = Table.grid(
        Column(width=names, overflow="fold"),
        *(Column(overflow="fold") for _ in claims),
        padding=(0, 2, 0, 0),
    )
    families = [claim.partition(".")[0] for claim in claims]
    first = [name if name not in families[:at] else "" for at, name in enumerate(families)]
    table.add_row("", *(Text(name, "bold") for name in first))
    table.add_row(SUBJECT, *(Text(claim.partition(".")[2], "bold") for claim in claims))
    for subject, found in verdicts.items():
        words = [_word(found[claim]) if claim in found else Text("") for claim in claims]
        table.add_row(subject, *(words if found else [Text(NOT_MEASURED, "yellow")]))
    return _printed(table, width, colour)


def claims(
    report: Report, words: Words, width: int, *, verbose: bool = False, colour: bool = False
) -> str:
    """Show each claim: its verdict and the number nearest to its bound, or everything."""
    about = report.subject
    told = [c for c in report.claims if verbose or c.verdict != "blocked"]
    table = _table()
    for claim in told:
        if verbose:
            table.add_row(_word(claim.verdict), claim.id)
            table.add_row("", _everything(claim))
        else:
            said = wording.said(claim, about.evidence)
            table.add_row(_word(claim.verdict), Text.assemble((claim.id, "bold"), "  ", said))
    if untold := [c for c in report.claims if c not in told]:
        table.add_row(_word("blocked"), wording.blocked(untold, about, words))
    lines = [_printed(table, width, colour)]
    if not verbose:
        sources = dict.fromkeys(c.source for c in told if c.source)
        lines += [wrapped([f"published: in {source}"], width) for source in sources]
    return "\n".join(lines)


def wrapped(lines: Iterable[str], width: int) -> str:
    """Lines broken between words alone."""
    return "\n".join(
        textwrap.fill(
            line,
            min(width, WIDEST),
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        ).replace(wording.NO_BREAK, " ")
        for line in lines
    )


def _everything(claim: ClaimVerdict) -> RenderableType:
    """Every number of a claim in columns, then each control and what is missing."""
    numbers = Table.grid("", Column(justify="right"), "", padding=(0, 2, 0, 0))
    for row in wording.numbers(claim):
        numbers.add_row(*row)
    told = [numbers] if numbers.row_count else []
    return Padding(Group(*told, *wording.facts(claim)), (0, 0, 0, 2))


def _table() -> Table:
    """Verdicts in the left column, and what is told of each beside it."""
    return Table.grid(Column(no_wrap=True), "", padding=(0, 2, 0, 0))


def _says(statement: StatementVerdict) -> list[tuple[str, str]]:
    """What is stated, and whether it is this project's own."""
    ours = [("Ours: ", "italic")] if statement.ours else []
    return [*ours, (statement.says, "bold")]


def _word(verdict: str) -> Text:
    return Text(verdict.upper() if verdict == "refuted" else verdict, COLOURS[verdict])


def _printed(table: Table, width: int, colour: bool) -> str:
    """The table as text, without spaces at the ends of lines."""
    console = Console(
        width=min(width, WIDEST),
        color_system="standard" if colour else None,
        force_terminal=colour,
        force_jupyter=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())

"""A report as text for a terminal: statements first, then claims, a line each."""

import textwrap
from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from gpt2_helix.judging import wording
from gpt2_helix.judging.report import About, ClaimVerdict, Report
from gpt2_helix.judging.suite import Words

WIDEST = 110
"""Columns that are used of a wider terminal: longer lines are hard to follow."""
CONTROLS_ARE = "(controls: broken copies, on which a claim must be refuted; -v names them)"
COLOURS = {"confirmed": "green", "refuted": "red", "blocked": "yellow", "partly judged": "yellow"}


def text(report: Report, words: Words, width: int) -> str:
    """All of it: heading, statements, claims and how many there are of each verdict."""
    return "\n\n".join(
        [
            heading(report.subject, words, width),
            statements(report, width),
            claims(report, words, width),
            wording.counts(report),
        ]
    )


def heading(about: About, words: Words, width: int) -> str:
    """What is under test, and on which evidence."""
    return wrapped(wording.heading(about, words), width)


def statements(report: Report, width: int, *, colour: bool = False) -> str:
    """Show each statement with its verdict, and what that rests on."""
    table = _table()
    for statement in report.statements:
        table.add_row(_word(statement.verdict), statement.says)
        table.add_row("", wording.rests_on(statement))
    return _printed(table, width, colour)


def claims(
    report: Report, words: Words, width: int, *, verbose: bool = False, colour: bool = False
) -> str:
    """Show each claim: a line with its verdict and the number that says most, or everything."""
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

"""Verdicts that were written, published: tables in a Markdown file, pages, and metrics."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from gpt2_helix.judging import markdown
from gpt2_helix.judging.errors import SubjectError
from gpt2_helix.judging.headline import main_numbers
from gpt2_helix.judging.records import write_json
from gpt2_helix.judging.report import read
from gpt2_helix.suite.statements import WORDS
from gpt2_helix.texts import read_text

CLAIMS = Path("claims")
"""Beside the pages, wherever they are written."""


def put_tables(reports: Sequence[Path], into: Path) -> None:
    """Put Markdown tables between markers of a file.

    One report gives ``statements`` and ``verdicts``, of which the file must have one; several
    give ``replication``.
    """
    contents = [read(path) for path in reports]
    if len(contents) == 1:
        tables = {
            "statements": markdown.statements_table(contents[0], WORDS, _linked_from(into)),
            "verdicts": markdown.claims_table(contents[0], WORDS),
        }
    else:
        tables = {"replication": markdown.side_by_side(contents, WORDS)}
    text = read_text(into)
    found = [name for name in tables if f"<!-- {name} -->\n" in text]
    if not found:
        raise SubjectError(f"{into}: expected a line <!-- {next(iter(tables))} -->, found none")
    for name in found:
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = text.partition(begin)
        _, ends, after = rest.partition(end)
        if not ends:
            raise SubjectError(f"{into}: expected {end} after {begin.strip()}, found none")
        text = f"{before}{begin}\n{tables[name]}\n\n{end}{after}"
    into.write_text(text, encoding="utf-8")


def write_pages(reports: Sequence[Path]) -> None:
    """Write a Markdown page beside each report, and ``replication.md`` on the replications."""
    contents = {path: read(path) for path in reports}
    pages = {
        path.with_suffix(".md"): markdown.page(report, WORDS, _linked_from(path))
        for path, report in contents.items()
    }
    if replications := [report for report in contents.values() if report.subject.replication]:
        side_by_side = markdown.page_side_by_side(replications, WORDS)
        pages[reports[0].with_name("replication.md")] = side_by_side
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
        print(path)


def _linked_from(page: Path) -> Callable[[str], str]:
    """Links from a page to the file of a family of claims."""
    claims = os.path.relpath(CLAIMS, page.parent)
    return lambda family: f"{claims}/{file_of(family)}"


def file_of(family: str) -> str:
    """Name of the file in ``claims/`` that holds a family of claims."""
    return f"test_{family.replace('-', '_')}.py"


def put_metrics(reports: Sequence[Path], into: Path) -> None:
    """Write the main number of each claim, one file for each report."""
    into.mkdir(parents=True, exist_ok=True)
    for path in reports:
        write_json(into / path.name, main_numbers(read(path).claims))

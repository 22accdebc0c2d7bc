"""Verdicts that were written, published: tables in a Markdown file, pages, and metrics."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gpt2_helix.judging import markdown
from gpt2_helix.judging.errors import InputError
from gpt2_helix.judging.files import write_json, write_text
from gpt2_helix.judging.headline import main_numbers
from gpt2_helix.judging.report import Report, read
from gpt2_helix.suite.statements import WORDS
from gpt2_helix.texts import read_text

CLAIMS = Path("claims")
"""Beside the pages, wherever they are written."""


def publish(reports: Sequence[Path], readme: Path | None, metrics: Path | None) -> None:
    """Publish reports that ``--claims-json`` wrote.

    Beside each goes a Markdown page, and beside the first ``replication.md`` on those of other
    models than GPT-2 small. If asked for, the tables of a Markdown file are made again, and a
    folder gets the main number of each claim, one file for each report.
    """
    contents = {path: read(path) for path in sorted(reports, key=lambda path: path.stem)}
    if metrics:
        metrics.mkdir(parents=True, exist_ok=True)
        for path, report in contents.items():
            write_json(metrics / path.name, main_numbers(report.claims))
    if readme:
        _put_tables(list(contents.values()), readme)
    _write_pages(contents)


def _put_tables(reports: Sequence[Report], into: Path) -> None:
    """Put Markdown tables between markers of a file, which must have one of them."""
    tables = {}
    for report in reports:
        if not report.subject.replication:
            tables["results"] = markdown.results_table(report, WORDS)
            tables["statements"] = markdown.statements_table(report, WORDS, _linked_from(into))
            tables["verdicts"] = markdown.claims_table(report, WORDS)
    if replications := [report for report in reports if report.subject.replication]:
        tables["replication"] = markdown.side_by_side(replications, WORDS)
    text = read_text(into)
    found = [name for name in tables if f"<!-- {name} -->\n" in text]
    if not found:
        raise InputError(f"{into}: expected a line <!-- {next(iter(tables))} -->, found none")
    for name in found:
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = text.partition(begin)
        _, ends, after = rest.partition(end)
        if not ends:
            raise InputError(f"{into}: expected {end} after {begin.strip()}, found none")
        text = f"{before}{begin}\n{tables[name]}\n{end}{after}"
    write_text(into, text)


def _write_pages(contents: Mapping[Path, Report]) -> None:
    pages = {
        path.with_suffix(".md"): markdown.page(report, WORDS, _linked_from(path))
        for path, report in contents.items()
    }
    if replications := [report for report in contents.values() if report.subject.replication]:
        side_by_side = markdown.page_side_by_side(replications, WORDS)
        pages[next(iter(contents)).with_name("replication.md")] = side_by_side
    for path, text in pages.items():
        write_text(path, text)
        print(path)


def _linked_from(page: Path) -> Callable[[str], str]:
    """Links from a page to the file of a family of claims."""
    claims = os.path.relpath(CLAIMS, page.parent)
    return lambda family: f"{claims}/test_{family.replace('-', '_')}.py"

"""Verdicts as text: the table of a run, several runs side by side, and one line on the subject."""

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from gpt2_helix.claim import BLOCKED, REFUTED, Number, Subject, labelled, nearest
from gpt2_helix.records import RecordedSubject

TABLE_WIDTH = 150
"""Columns that the table needs."""


def table(verdicts: Sequence[Mapping[str, Any]], subject: Mapping[str, Any], width: int) -> str:
    """Verdicts as text, one block of lines a claim: each measured number beside its bound.

    Parameters
    ----------
    verdicts, subject
        ``claims`` and ``subject`` of the JSON report.
    width
        Columns to print on.
    """
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    grid.add_column("replication" if subject.get("replication") else "claim", no_wrap=True)
    grid.add_column("measured", no_wrap=True)
    grid.add_column("", justify="right", no_wrap=True)
    grid.add_column("tolerance", no_wrap=True)
    grid.add_column("verdict", no_wrap=True)
    grid.add_column("evidence", no_wrap=True)
    grid.add_column("controls\nrefuted", justify="right", no_wrap=True)
    for v in verdicts:
        refuted = sum(c["verdict"] == REFUTED for c in v["controls"])
        lines = [
            (label, f"{number:.4g}", v["tolerance"].get(name, ""))
            for name, value in v["measured"].items()
            for label, number in labelled(name, value)
        ] or [(v["reason"][:60], "", "")]
        if v["verdict"] == BLOCKED:
            more = f" and {len(v['missing']) - 2} more" if len(v["missing"]) > 2 else ""
            lacks = "missing" if v["evidence"] == "live" else "not recorded:"
            lines = [(f"{lacks} {', '.join(v['missing'][:2])}{more}", "", "")]
        columns = ["\n".join(column) for column in zip(*lines, strict=True)]
        grid.add_row(
            v["id"] + (f"\n  {v['source']}" if v["source"] else ""),
            *columns,
            _shown(v["verdict"]),
            _evidence(v, subject),
            f"{refuted}/{len(v['controls'])}" if v["controls"] else "-",
        )
    return _printed(grid, width)


def _evidence(verdict: Mapping[str, Any], subject: Mapping[str, Any]) -> str:
    evidence = str(verdict["evidence"])
    if evidence == "recorded" and subject["recorded_on"]:
        sha256 = subject["digests"].get("wpe.weight", "")
        return f"{evidence} {subject['recorded_on']}\nfrom {sha256[:8]}"
    return evidence


def side_by_side(reports: Sequence[Mapping[str, Any]], width: int) -> str:
    """Verdicts on several subjects as text, for each claim a verdict and its bounded numbers.

    Parameters
    ----------
    reports
        JSON reports on the same claims.
    width
        Columns to print on.
    """
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in ("replication", "measured", "tolerance"):
        grid.add_column(heading, no_wrap=True)
    for report in reports:
        name = str(report["subject"]["name"]).removeprefix("recorded:")
        grid.add_column(name, justify="right", no_wrap=True)
    for same_claim in zip(*(report["claims"] for report in reports), strict=True):
        cells = [_bounded(claim) for claim in same_claim]
        labels = list(dict.fromkeys(label for numbers in cells for label in numbers))
        tolerance = same_claim[0]["tolerance"]
        bounds = [tolerance[label.split()[0]] for label in labels]
        grid.add_row(
            same_claim[0]["id"],
            "\n".join(["", *labels]),
            "\n".join(["", *bounds]),
            *(
                "\n".join([_shown(claim["verdict"]), *(n.get(label, "-") for label in labels)])
                for claim, n in zip(same_claim, cells, strict=True)
            ),
        )
    return _printed(grid, width)


def main_numbers(verdicts: Sequence[Mapping[str, Any]]) -> dict[str, Number]:
    """The main number of each claim that was judged, by its identifier.

    It is the first number that has a bound; of several under one name, the one nearest to
    breaking it.

    Parameters
    ----------
    verdicts
        ``claims`` of the JSON report.
    """
    return {
        v["id"]: nearest(labelled(name, v["measured"][name]), bound)[1]
        for v in verdicts
        for name, bound in list(v["tolerance"].items())[:1]
        if name in v["measured"]
    }


def _bounded(claim: Mapping[str, Any]) -> dict[str, str]:
    """The measured numbers of a claim that have a bound."""
    return {
        label: f"{number:.4g}"
        for name, value in claim["measured"].items()
        if name in claim["tolerance"]
        for label, number in labelled(name, value)
    }


def _shown(verdict: str) -> str:
    return verdict.upper() if verdict == REFUTED else verdict


def _printed(grid: Table, width: int) -> str:
    out = StringIO()
    Console(file=out, width=width, force_terminal=False, highlight=False).print(grid)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())


def describe(subject: Subject, *, replication: bool) -> str:
    """One line: what is under test, and on which evidence."""
    how = f"recorded on {subject.recorded_on}" if subject.recorded_on else subject.evidence
    if subject.source:
        how = f"{subject.evidence} in {subject.source}"
    if isinstance(subject, RecordedSubject) and subject.because:
        how += f" and not measured: {subject.because}"
    if replication:
        how += ", a replication: not GPT-2 small"
    at = f" at {subject.commit[:8]}" if subject.commit else ""
    shown = [n for n in sorted(subject.digests) if not n.startswith("h.")]
    digests = [f"{name} {subject.digests[name][:8]}" for name in shown]
    return f"{subject.name}{at}, {how}" + (f" (sha256 of {', '.join(digests)})" if digests else "")

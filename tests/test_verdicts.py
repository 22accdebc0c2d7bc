"""Verdicts that were written are read; damaged ones are one line, and nothing is made of them."""

import copy
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpt2_helix import cli
from gpt2_helix.judging.errors import SubjectError
from gpt2_helix.verdicts import read_verdicts
from support import ROOT

WRITTEN = ROOT / "data/verdicts/gpt2.json"
COMMANDS = ("table", "pages", "metrics")


def places(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """Every place in a document, but of lists only the first entry."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:1])
    for key, held in items:
        yield (*path, key)
        if isinstance(held, dict | list):
            yield from places(held, *path, key)


@pytest.mark.parametrize("name", sorted(path.name for path in WRITTEN.parent.glob("*.json")))
def test_what_was_written_is_read(name: str) -> None:
    assert len(read_verdicts(WRITTEN.with_name(name))["claims"]) == 27


LEFT_OUT = object()
DAMAGES: tuple[Any, ...] = (LEFT_OUT, None, "text", 3, [], {})


def test_a_report_damaged_anywhere_is_refused_or_does_no_harm(tmp_path: Path) -> None:
    written = json.loads(WRITTEN.read_text())
    written["subject"]["digests"] = {"wpe.weight": "0"}
    path, said = tmp_path / "report.json", []
    for place, damaged in itertools.product(places(written), DAMAGES):
        report = copy.deepcopy(written)
        held: Any = report
        for key in place[:-1]:
            held = held[key]
        if damaged is LEFT_OUT:
            del held[place[-1]]
        else:
            held[place[-1]] = damaged
        path.write_text(json.dumps(report))
        try:
            read_verdicts(path)
        except SubjectError as error:
            said.append(str(error))
        else:
            for command in COMMANDS:
                assert cli.main([command, str(path), *options(command, tmp_path)]) == 0
    assert len(said) > 100
    for line in said:
        assert re.fullmatch(r".*: expected verdicts as --claims-json writes them, found .+", line)


def options(command: str, folder: Path) -> list[str]:
    if command == "pages":
        return []
    into = folder / "into"
    if command == "table":
        into = folder / "README.md"
        into.write_text("<!-- verdicts -->\n<!-- /verdicts -->\n")
    return ["--into", str(into)]


@pytest.mark.parametrize(
    ("text", "found"),
    [("[", "Invalid JSON"), ("[1]", "an object"), ('{"claims": []}', "subject: Field required")],
)
def test_another_file_is_one_line(
    tmp_path: Path, text: str, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    for command in COMMANDS:
        assert cli.main([command, str(path), *options(command, tmp_path)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{path}: expected verdicts as --claims-json writes them, found" in line
        assert found in line

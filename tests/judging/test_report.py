"""Verdicts that were written are read; damaged ones are one line, and nothing is made of them."""

import copy
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpt2_helix.judging import markdown, page, report, terminal
from gpt2_helix.judging.claim import Found
from gpt2_helix.judging.errors import InputError
from gpt2_helix.judging.headline import main_numbers
from gpt2_helix.judging.report import ControlVerdict, Report
from judging.made import WORDS, claim_verdict, report_of

WRITTEN = report_of(
    claim_verdict(
        measured={"turns": {"left": 3, "right": 2.5}, "closed": True},
        intervals={"turns": {"left": (2.5, 3.5)}, "closed": (1, 1)},
        tolerance={"turns": ">= 2"},
        presumes={"closed": "== 1"},
        missing=["wheel"],
        controls=[ControlVerdict("loose", "refuted", True, "turns 1, must be >= 2")],
    ),
    found={"heavy_side": Found("weight", {"six": 0.5}, {})},
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    report.write(path, WRITTEN)
    assert report.read(path) == WRITTEN
    content = json.loads(path.read_text())
    assert list(content) == ["schema", "subject", "found", "statements", "claims"]
    assert content["subject"]["found_heads"]["heavy_side"]["by"] == "weight"
    assert content["claims"][0]["measured"] == {"turns": {"left": 3, "right": 2.5}, "closed": True}
    report.write(path, report_of(claim_verdict()))
    assert "found_heads" not in json.loads(path.read_text())["subject"]


def places(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """Every place in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, held in items:
        yield (*path, key)
        if isinstance(held, dict | list):
            yield from places(held, *path, key)


LEFT_OUT = object()
DAMAGES: tuple[Any, ...] = (LEFT_OUT, None, "text", 3, [], {})


def show(read: Report, folder: Path) -> None:
    """Make everything of a report that is made of one."""
    terminal.text(read, WORDS, 80)
    terminal.claims(read, WORDS, 80, verbose=True)
    markdown.page(read, WORDS, str)
    markdown.claims_table(read, WORDS)
    markdown.page_side_by_side([read, read], WORDS)
    page.write(folder, read, WORDS, ())
    main_numbers(read.claims)


def test_a_report_damaged_anywhere_is_refused_or_does_no_harm(tmp_path: Path) -> None:
    written = report.plain(WRITTEN)
    path, said = tmp_path / "report.json", []
    for place, damaged in itertools.product(places(written), DAMAGES):
        spoilt = copy.deepcopy(written)
        held: Any = spoilt
        for key in place[:-1]:
            held = held[key]
        if damaged is LEFT_OUT:
            del held[place[-1]]
        else:
            held[place[-1]] = damaged
        path.write_text(json.dumps(spoilt))
        try:
            read = report.read(path)
        except InputError as error:
            said.append(str(error))
        else:
            show(read, tmp_path)
    assert len(said) > 100
    for line in said:
        assert re.fullmatch(r".*: expected verdicts as --claims-json writes them, found .+", line)


@pytest.mark.parametrize(
    ("changed", "follows"),
    [
        ({}, True),
        ({"verdict": "described"}, False),
        ({"verdict": "described", "set": {"turns": "after"}}, True),
        ({"set": {"turns": "after"}}, False),
        ({"verdict": "refuted"}, False),
        ({"verdict": "refuted", "tolerance": {"turns": ">= 4"}}, True),
        ({"tolerance": {"turns": ">= 4"}}, False),
        ({"intervals": {"turns": {"left": (1, 4)}}}, False),
        ({"verdict": "undecided", "intervals": {"turns": {"left": (1, 4)}}}, True),
        ({"verdict": "undecided"}, False),
        ({"controls": []}, False),
        ({"verdict": "undecided", "controls": []}, True),
        ({"presumes": {"closed": "== 0"}}, False),
        ({"verdict": "n/a", "presumes": {"closed": "== 0"}}, True),
    ],
)
def test_a_verdict_must_follow_from_its_numbers(
    tmp_path: Path, changed: dict[str, Any], follows: bool
) -> None:
    path = tmp_path / "report.json"
    report.write(path, replace(WRITTEN, claims=[replace(WRITTEN.claims[0], **changed)]))
    if follows:
        report.read(path)
    else:
        with pytest.raises(InputError, match="which its numbers and bounds do not say"):
            report.read(path)


@pytest.mark.parametrize(
    ("text", "found"),
    [("[", "Invalid JSON"), ("[1]", "an object"), ('{"schema": 2}', "subject: Field required")],
)
def test_another_file_is_one_line(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(InputError, match=found) as error:
        report.read(path)
    assert "\n" not in str(error.value)

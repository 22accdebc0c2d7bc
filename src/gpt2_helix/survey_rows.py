"""The rows of a survey and the table that they are written to."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from gpt2_helix.judging.claim import Verdict
from gpt2_helix.judging.files import write_text

ABOUT = ("subject", "group", "step", "commit", "W_pos_sha256", "error")
STEP = re.compile(r"[@-](?:[A-Za-z]+[-_])?(\d+)$")
VERDICT = " verdict"
BOUNDED = re.compile(r"(.+) \(([<>=]+ \S+)\)")


@dataclass(frozen=True)
class Row:
    """What was found on one subject."""

    subject: str  # As the user gave it.
    commit: str | None  # Of the hub repository that it comes from.
    W_pos_sha256: str | None  # Hexadecimal, of its positions as little-endian float32.
    verdicts: dict[str, Verdict]  # Of claims on the subject alone.
    # ``claim: number`` to what was measured, and to the bound that it must keep, if any.
    numbers: dict[str, tuple[float, str | None]]
    error: str | None  # Why nothing was measured, in one line.
    # sha256 of what was read, by file or tensor.
    read: dict[str, str] = field(default_factory=dict)

    @property
    def step(self) -> int | None:
        """Training step that the revision's name ends with, such as ``@checkpoint-100``."""
        found = STEP.search(self.subject) if "@" in self.subject else None
        return int(found[1]) if found else None

    @property
    def group(self) -> str:
        """The subject without its revision: one line of the figure."""
        return self.subject.partition("@")[0] if self.step is not None else self.subject


def write_table(rows: Sequence[Row], path: Path) -> None:
    """Write one line a row: what it is, then verdict and numbers of each claim, with bounds."""
    verdicts = list(dict.fromkeys(name for row in rows for name in row.verdicts))
    numbers = dict.fromkeys(
        (name, bound) for row in rows for name, (_, bound) in row.numbers.items()
    )
    columns = {name: f"{name} ({bound})" if bound else name for name, bound in numbers}
    text = StringIO()
    header = [*ABOUT, *(name + VERDICT for name in verdicts), *columns.values()]
    table = csv.DictWriter(text, header, restval="", lineterminator="\n")
    table.writeheader()
    for row in rows:
        about = {name: getattr(row, name) for name in ABOUT}
        told = {name + VERDICT: verdict for name, verdict in row.verdicts.items()}
        values = {columns[name]: value for name, (value, _) in row.numbers.items()}
        table.writerow({**about, **told, **values})
    write_text(path, text.getvalue())


def read_table(path: Path) -> list[Row]:
    """Rows that ``write_table`` wrote."""
    rows = []
    with path.open(newline="", encoding="utf-8") as file:
        for found in csv.DictReader(file):
            about = {name: found.pop(name) or None for name in ABOUT}
            cells = {column: cell for column, cell in found.items() if cell}
            verdicts: dict[str, Any] = {
                c.removesuffix(VERDICT): v for c, v in cells.items() if c.endswith(VERDICT)
            }
            numbers: dict[str, tuple[float, str | None]] = {}
            for column, cell in cells.items():
                if not column.endswith(VERDICT):
                    bounded = BOUNDED.fullmatch(column)
                    name, bound = bounded.groups() if bounded else (column, None)
                    numbers[name] = float(cell), bound
            named: dict[str, Any] = {
                name: about[name] for name in ("commit", "W_pos_sha256", "error")
            }
            rows.append(Row(about["subject"] or "", **named, verdicts=verdicts, numbers=numbers))
    return rows

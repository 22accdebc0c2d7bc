"""Tables as CSV files."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from gpt2_helix.judging.claim import DIGITS


def write(path: Path, header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a table; numbers that are not whole have as many digits as in records."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(map(_written, row) for row in rows)


def _written(value: object) -> object:
    return f"{value:.{DIGITS}g}" if isinstance(value, float | np.floating) else value

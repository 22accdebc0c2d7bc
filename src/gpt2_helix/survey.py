"""Many models or checkpoints, one row each: where a claim holds, and from which step of training.

Rows are measured side by side on Dask: on this machine by default, or by a scheduler that exists,
such as one that dask-jobqueue started on a cluster. Each row is kept when it is done, so a survey
that is interrupted goes on where it stopped. A row holds the numbers and verdicts of claims on the
model itself; their controls are left to ``pytest claims/``.
"""

import csv
import hashlib
import itertools
import json
import logging
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from rich.console import Console
from rich.progress import track

from gpt2_helix.claim import Assess, Claim, assess_on, labelled
from gpt2_helix.errors import MissingInputError, SubjectError
from gpt2_helix.parameters import PARAMETERS
from gpt2_helix.plugin import declared
from gpt2_helix.records import write_json
from gpt2_helix.subjects import open_subject

ROWS, TABLE, FIGURE = "rows", "survey.csv", "survey.svg"
ABOUT = ("subject", "group", "step", "commit", "W_pos_sha256", "error")
STEP = re.compile(r"[@-](?:[A-Za-z]+[-_])?(\d+)$")


@dataclass(frozen=True)
class Row:
    """What was found on one subject.

    Attributes
    ----------
    subject
        As the user gave it.
    commit
        Of the hub repository that it comes from.
    W_pos_sha256
        Hexadecimal sha256 of its position matrix as little-endian float32.
    verdicts
        Claim to its verdict on the subject alone.
    numbers
        ``claim: number`` to what was measured, and to the bound that it must keep, if any.
    error
        Why nothing was measured, in one line.
    """

    subject: str
    commit: str | None
    W_pos_sha256: str | None
    verdicts: dict[str, str]
    numbers: dict[str, tuple[float, str | None]]
    error: str | None

    @property
    def step(self) -> int | None:
        """Training step that the revision's name ends with, such as ``@checkpoint-100``."""
        found = STEP.search(self.subject) if "@" in self.subject else None
        return int(found[1]) if found else None

    @property
    def group(self) -> str:
        """The subject without its revision: one line of the figure."""
        return self.subject.partition("@")[0] if self.step is not None else self.subject


def expand(patterns: Sequence[str]) -> list[str]:
    """Spell out ``{a,b}`` in each pattern as a shell does; a repeated subject counts once."""
    found = []
    for pattern in patterns:
        parts = re.split(r"\{([^{}]*)\}", pattern)
        choices = [part.split(",") if i % 2 else [part] for i, part in enumerate(parts)]
        found += ["".join(chosen) for chosen in itertools.product(*choices)]
    return list(dict.fromkeys(found))


def run(
    subjects: Sequence[str],
    families: Sequence[str],
    into: Path,
    *,
    data: Path,
    claims: Path,
    workers: int,
    scheduler: str | None = None,
) -> list[Row]:
    """Measure what is not kept yet, and write the table and the figure.

    Parameters
    ----------
    subjects
        See ``subjects.open_subject``.
    families
        Families of claims, by the first part of their identifiers.
    into
        Folder of the rows, the table and the figure.
    data, claims
        The project's records, and its claims.
    workers
        Processes to start on this machine, when there is no scheduler.
    scheduler
        Address of a Dask scheduler whose workers have this package, ``data`` and ``claims``.

    Raises
    ------
    SubjectError
        If a family has no claims, or Dask is not installed.
    """
    known = {claim.id.partition(".")[0] for _, claim in claims_of(claims, ())}
    if absent := [family for family in families if family not in known]:
        raise SubjectError(
            f"--claims: expected some of {', '.join(sorted(known))}, found {absent[0]!r}"
        )
    folder = into / ROWS
    folder.mkdir(parents=True, exist_ok=True)
    paths = {spec: folder / f"{_key(spec, families)}.json" for spec in subjects}
    kept = {spec: row for spec, path in paths.items() if (row := _read(path)) and not row.error}
    missing = [spec for spec in subjects if spec not in kept]
    print(f"survey: {len(kept)} of {len(subjects)} rows kept, {len(missing)} to measure")
    if missing:
        for row in _measured(missing, families, data, claims, workers, scheduler):
            write_json(paths[row.subject], asdict(row))
            kept[row.subject] = row
            if row.error:
                print(f"survey: {row.subject}: {row.error}", file=sys.stderr)
    rows = [kept[spec] for spec in subjects]
    write_table(rows, into / TABLE)
    draw(rows, into / FIGURE)
    return rows


def measure(spec: str, families: Sequence[str], data: Path, claims: Path) -> Row:
    """Measure one row; whatever goes wrong with it is its ``error``."""
    try:
        subject = open_subject(spec, data)
        verdicts: dict[str, str] = {}
        numbers: dict[str, tuple[float, str | None]] = {}
        for assess, claim in claims_of(claims, tuple(families)):
            asked = claim.asked_of(subject)
            found = assess_on(asked, assess, subject)
            verdicts[claim.id] = found.verdict
            for name, value in found.numbers.items():
                for label, number in labelled(name, value):
                    numbers[f"{claim.id}: {label}"] = float(number), asked.tolerance.get(name)
        W_pos = subject.digests.get("wpe.weight")
        return Row(spec, subject.commit, W_pos, verdicts, numbers, None)
    except (SubjectError, MissingInputError) as error:
        return _failed(spec, str(error))
    except Exception as error:  # One row must not stop the others.
        return _failed(spec, f"{type(error).__name__}: {error}")


@cache
def claims_of(folder: Path, families: tuple[str, ...]) -> list[tuple[Assess, Claim]]:
    """Claims of some families, or of all for none, in their order."""
    return [
        (function, claim)
        for _, function, claim in declared(folder)
        if not families or claim.id.partition(".")[0] in families
    ]


def write_table(rows: Sequence[Row], path: Path) -> None:
    """Write one line a row: what it is, then verdict and numbers of each claim."""
    verdicts = list(dict.fromkeys(name for row in rows for name in row.verdicts))
    numbers = list(dict.fromkeys(name for row in rows for name in row.numbers))
    columns = [*ABOUT, *(f"{name} verdict" for name in verdicts), *numbers]
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        table.writeheader()
        for row in rows:
            about = {name: getattr(row, name) for name in ABOUT}
            told = {f"{name} verdict": verdict for name, verdict in row.verdicts.items()}
            table.writerow({**about, **told, **{n: value for n, (value, _) in row.numbers.items()}})
    partial.replace(path)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw each claim's first bounded number: against step, a line a group, or side by side."""
    from matplotlib.figure import Figure

    panels: dict[str, str] = {}
    for row in rows:
        for name, (_, bound) in row.numbers.items():
            claim = name.partition(":")[0]
            if bound and not any(shown.startswith(f"{claim}:") for shown in panels):
                panels[name] = bound
    if not panels:
        return
    across = min(3, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(3.4 * across, 2.6 * down), layout="constrained")
    by_step = any(row.step is not None for row in rows)
    groups = list(dict.fromkeys(row.group for row in rows))
    for at, (name, bound) in enumerate(panels.items()):
        axes = figure.add_subplot(down, across, at + 1)
        for number, group in enumerate(groups):
            own = [row for row in rows if row.group == group and name in row.numbers]
            where = [row.step or 0 if by_step else number for row in own]
            values = [row.numbers[name][0] for row in own]
            pairs = sorted(zip(where, values, strict=True))
            axes.plot(*zip(*pairs, strict=True), "o-", ms=3, lw=1, label=group) if pairs else None
        axes.axhline(float(bound.split()[1]), color="0.6", lw=0.8, ls="--")
        axes.set_title(f"{name}\nmust be {bound}", fontsize=7)
        if by_step:
            axes.set_xscale("symlog", linthresh=100)
            axes.set_xlabel("training step", fontsize=7)
        else:
            axes.set_xticks(range(len(groups)), groups, rotation=60, ha="right", fontsize=6)
        axes.tick_params(labelsize=7)
    if by_step and len(groups) > 1:
        figure.axes[0].legend(frameon=False, fontsize=6)
    figure.savefig(path, metadata={"Date": None})


def _measured(
    specs: Sequence[str],
    families: Sequence[str],
    data: Path,
    claims: Path,
    workers: int,
    scheduler: str | None,
) -> Iterator[Row]:
    """Rows as they are done, in any order."""
    try:
        from distributed import Client, LocalCluster, as_completed
    except ImportError:
        raise SubjectError(
            "survey: expected Dask, found none; pip install 'gpt2-helix[survey]'"
        ) from None
    with ExitStack() as stack:
        here = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
        quiet = {"silence_logs": logging.CRITICAL}
        cluster = scheduler or stack.enter_context(LocalCluster(**here, **quiet))
        client = stack.enter_context(Client(cluster))
        asked = {
            client.submit(
                measure, spec, list(families), data.resolve(), claims.resolve(), pure=False
            ): spec
            for spec in specs
        }
        done = track(
            as_completed(asked),
            "survey",
            len(asked),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        for future in done:
            error = future.exception()
            yield future.result() if error is None else _failed(asked[future], repr(error))


def _failed(spec: str, why: str) -> Row:
    return Row(spec, None, None, {}, {}, " ".join(why.split()))


def _read(path: Path) -> Row | None:
    """A row that was kept, if it can be read."""
    try:
        return Row(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _key(spec: str, families: Sequence[str]) -> str:
    """Name of a row's file: another subject, other claims or other parameters are another row."""
    about = json.dumps([spec, sorted(families), PARAMETERS.by_family], sort_keys=True, default=str)
    return hashlib.sha256(about.encode()).hexdigest()[:16]

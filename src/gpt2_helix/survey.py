"""Many models or checkpoints, one row each: where a claim holds, and from which step of training.

Rows are measured side by side on Dask: on this machine by default, or by a scheduler that exists,
such as one that dask-jobqueue started on a cluster. Each row is kept when it is done, so a survey
that is interrupted goes on where it stopped. A row holds the numbers and verdicts of claims on the
model itself; their controls are left to ``pytest claims/``. It counts for the bytes that it was
measured on: when they change, it is measured again.
"""

import hashlib
import itertools
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from gpt2_helix import parameters
from gpt2_helix.judging.claim import Assess, Claim, Verdict, labelled
from gpt2_helix.judging.collect import declared
from gpt2_helix.judging.errors import InputError, MissingInputError, did_you_mean
from gpt2_helix.judging.files import check_folder, write_json
from gpt2_helix.judging.records import adapter
from gpt2_helix.judging.trial import assess_on, seen_before
from gpt2_helix.suite.subjects import explored, open_subject, read_by
from gpt2_helix.survey_rows import Row, write_table
from gpt2_helix.weights.pins import W_POS
from gpt2_helix.weights.tensors import sha256_of_file

ROWS, TABLE, FIGURE, PAGE = "rows", "survey.csv", "survey.svg", "survey.html"


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
    threads: int | None = None,
    scheduler: str | None = None,
) -> list[Row]:
    """Measure what is not kept yet, and write table, figure and page into a folder.

    Families of claims are the first parts of their identifiers. The rows are measured by so many
    processes here, each on ``threads`` cores of its own, by default an even share of all; or by the
    Dask scheduler at an address, whose workers have this package, ``data`` and ``claims``.
    ``InputError`` if a family has no claims, there are to be no workers or threads, or Dask is not
    installed or does not answer.
    """
    # Not above: workers need not wait for these.
    from gpt2_helix.survey_figure import draw
    from gpt2_helix.survey_page import write_page

    if workers < 1:
        raise InputError(f"--workers: expected 1 or more, found {workers}")
    threads = max(len(cores()) // workers, 1) if threads is None else threads
    if threads < 1:
        raise InputError(f"--threads: expected 1 or more, found {threads}")
    check_folder("--into", into)
    folder = into / ROWS
    folder.mkdir(parents=True, exist_ok=True)
    known = {claim.id.partition(".")[0] for _, claim in claims_of(claims, ())}
    if absent := [family for family in families if family not in known]:
        near = did_you_mean(absent[0], known)
        raise InputError(
            f"--claims: expected some of {', '.join(sorted(known))}, found {absent[0]!r:.80}{near}"
        )
    terms = _terms(families, claims)
    paths = {spec: folder / f"{_digest([spec, terms])[:16]}.json" for spec in subjects}
    kept = {spec: row for spec, path in paths.items() if (row := _kept(path, spec, data))}
    missing = [spec for spec in subjects if spec not in kept]
    print(f"survey: {len(kept)} of {len(subjects)} rows kept, {len(missing)} to measure")
    if missing:
        of_row = partial(
            measure, families=list(families), data=data.resolve(), claims=claims.resolve()
        )
        here = _Here(min(workers, len(missing)), threads)
        for row in _measured(of_row, missing, scheduler or here):
            write_json(paths[row.subject], asdict(row))
            kept[row.subject] = row
            if row.error:
                print(f"survey: {row.subject}: {row.error}", file=sys.stderr)
    rows = [kept[spec] for spec in subjects]
    write_table(rows, into / TABLE)
    draw(rows, into / FIGURE)
    write_page(rows, into / PAGE, into / FIGURE)
    return rows


def measure(spec: str, families: Sequence[str], data: Path, claims: Path) -> Row:
    """Measure one row; whatever goes wrong with it is its ``error``."""
    try:
        before = read_by(spec, data)
        subject = open_subject(spec, data)
        verdicts: dict[str, Verdict] = {}
        numbers: dict[str, tuple[float, str | None]] = {}
        for assess, claim in claims_of(claims, tuple(families)):
            found = assess_on(claim, assess, subject)
            if explored(subject):
                found = seen_before(claim, found)
            verdicts[claim.id] = found.verdict
            for name, value in found.numbers.items():
                for label, number, _ in labelled(name, value):
                    numbers[f"{claim.id}: {label}"] = float(number), found.tolerance.get(name)
        read = {**subject.digests, **before}
        if subject.commit:
            read["commit"] = subject.commit
        return Row(spec, subject.commit, read.get(W_POS), verdicts, numbers, None, read)
    except (InputError, MissingInputError) as error:
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


def _measured(
    measure: Callable[[str], Row], specs: Sequence[str], where: "str | _Here"
) -> Iterator[Row]:
    """Rows as they are done, in any order."""
    try:
        import dask
        from distributed import Client, LocalCluster, as_completed
    except ImportError:
        raise InputError(
            "survey: expected Dask, found none; pip install 'gpt2-helix[survey]'"
        ) from None
    with ExitStack() as stack:
        # Its profiler calls sys._current_frames, which can deadlock a worker before Python 3.11.9:
        # https://github.com/python/cpython/issues/106883
        stack.enter_context(dask.config.set({"distributed.worker.profile.enabled": False}))
        cluster: Any = where
        if isinstance(where, _Here):
            stack.enter_context(dask.config.set(where.environment))
            cluster = stack.enter_context(LocalCluster(**where.cluster))
            measure = partial(_on_own_cores, measure, cores(), where.threads)
        try:
            client = stack.enter_context(Client(cluster))
        except (OSError, ValueError) as silent:
            raise InputError(
                f"--scheduler: expected one of Dask that answers, found {where} ({silent})"
            ) from None
        asked = {client.submit(measure, spec, pure=False): spec for spec in specs}
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


@dataclass(frozen=True)
class _Here:
    """Workers on this machine, each with cores of its own."""

    workers: int
    threads: int

    @property
    def cluster(self) -> dict[str, Any]:
        """How Dask starts them."""
        quiet = {"dashboard_address": ":0", "silence_logs": logging.CRITICAL}
        return {"n_workers": self.workers, "threads_per_worker": 1, **quiet}

    @property
    def environment(self) -> dict[str, Any]:
        """How many threads numeric libraries start, which they read when they are loaded."""
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        return {f"distributed.nanny.pre-spawn-environ.{name}": self.threads for name in names}


def cores() -> list[int]:
    """The numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _on_own_cores(
    measure: Callable[[str], Row], known: Sequence[int], threads: int, spec: str
) -> Row:
    """Measure on cores that no other worker uses: measurements start as many threads as there are.

    Where a system cannot bind a process to cores, it does without.
    """
    from distributed import get_worker

    if hasattr(os, "sched_setaffinity"):
        first = int(get_worker().name) * threads
        os.sched_setaffinity(0, {known[at % len(known)] for at in range(first, first + threads)})
    return measure(spec)


def _kept(path: Path, spec: str, data: Path) -> Row | None:
    """A row that was kept, if it is whole, is this subject's, and what it was made of is there."""
    try:
        row: Row = adapter(Row).validate_json(path.read_bytes(), strict=True)
    except (OSError, ValueError):
        return None
    now = read_by(spec, data)
    whole = row.subject == spec and row.verdicts and not row.error
    return row if whole and now.items() <= row.read.items() else None


def _terms(families: Sequence[str], claims: Path) -> str:
    """Digest of what a row is judged by: with other claims or parameters it is another row."""
    files = {path.name: sha256_of_file(path) for path in sorted(claims.glob("*.py"))}
    return _digest([sorted(families), parameters.everything(), files])


def _digest(about: Any) -> str:
    text = json.dumps(about, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()

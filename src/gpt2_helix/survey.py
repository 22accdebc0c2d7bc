"""Many models or checkpoints, one row each: where a claim holds, and from which step of training.

Rows are measured side by side on Dask: on this machine by default, or by a scheduler that exists,
such as one that dask-jobqueue started on a cluster. Each row is kept when it is done, so a survey
that is interrupted goes on where it stopped. A row holds the numbers and verdicts of claims on the
model itself; their controls are left to ``pytest claims/``.
"""

import hashlib
import itertools
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path

from rich.console import Console
from rich.progress import track

from gpt2_helix import parameters
from gpt2_helix.judging.claim import Assess, Claim, labelled
from gpt2_helix.judging.collect import declared
from gpt2_helix.judging.errors import InputError, MissingInputError
from gpt2_helix.judging.records import write_json
from gpt2_helix.judging.trial import assess_on
from gpt2_helix.suite.subjects import open_subject
from gpt2_helix.survey_rows import Row, write_table

ROWS, TABLE, FIGURE = "rows", "survey.csv", "survey.svg"


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
    """Measure what is not kept yet, and write the table and the figure into a folder.

    Families of claims are the first parts of their identifiers. The rows are measured by so many
    processes here, or by the Dask scheduler at an address; its workers have this package, ``data``
    and ``claims``. ``InputError`` if a family has no claims, there are to be no workers, or Dask
    is not installed or does not answer.
    """
    from gpt2_helix.survey_figure import draw  # Not above: workers need not wait for it.

    if workers < 1:
        raise InputError(f"--workers: expected 1 or more, found {workers}")
    known = {claim.id.partition(".")[0] for _, claim in claims_of(claims, ())}
    if absent := [family for family in families if family not in known]:
        raise InputError(
            f"--claims: expected some of {', '.join(sorted(known))}, found {absent[0]!r}"
        )
    folder = into / ROWS
    folder.mkdir(parents=True, exist_ok=True)
    paths = {spec: folder / f"{_key(spec, families)}.json" for spec in subjects}
    kept = {spec: row for spec, path in paths.items() if (row := _read(path)) and not row.error}
    missing = [spec for spec in subjects if spec not in kept]
    print(f"survey: {len(kept)} of {len(subjects)} rows kept, {len(missing)} to measure")
    if missing:
        of_row = partial(
            measure, families=list(families), data=data.resolve(), claims=claims.resolve()
        )
        for row in _measured(of_row, missing, workers, scheduler):
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
            found = assess_on(claim, assess, subject)
            verdicts[claim.id] = found.verdict
            for name, value in found.numbers.items():
                for label, number in labelled(name, value):
                    numbers[f"{claim.id}: {label}"] = float(number), found.tolerance.get(name)
        W_pos = subject.digests.get("wpe.weight")
        return Row(spec, subject.commit, W_pos, verdicts, numbers, None)
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
    measure: Callable[[str], Row], specs: Sequence[str], workers: int, scheduler: str | None
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
        here = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": ":0"}
        quiet = {"silence_logs": logging.CRITICAL}
        # Its profiler calls sys._current_frames, which can deadlock a worker before Python 3.11.9:
        # https://github.com/python/cpython/issues/106883
        stack.enter_context(dask.config.set({"distributed.worker.profile.enabled": False}))
        cluster = scheduler or stack.enter_context(LocalCluster(**here, **quiet))
        try:
            client = stack.enter_context(Client(cluster))
        except (OSError, ValueError) as silent:
            raise InputError(
                f"--scheduler: expected one of Dask that answers, found {scheduler} ({silent})"
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


def _read(path: Path) -> Row | None:
    """A row that was kept, if it can be read."""
    try:
        return Row(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _key(spec: str, families: Sequence[str]) -> str:
    """Name of a row's file: another subject, other claims or other parameters are another row."""
    about = json.dumps(
        [spec, sorted(families), parameters.everything()], sort_keys=True, default=str
    )
    return hashlib.sha256(about.encode()).hexdigest()[:16]

"""The command ``gpt2-helix``: what the pipeline calls; claims are judged by ``pytest claims/``."""

import argparse
import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from gpt2_helix import controls, records, verdicts
from gpt2_helix.measure import (
    architecture,
    averaging,
    helix,
    kernels,
    output,
    patterns,
    positions,
    repetition,
)
from gpt2_helix.subjects import (
    HubUnreachableError,
    LiveSubject,
    MissingTensorError,
    SubjectError,
    open_subject,
)
from gpt2_helix.subjects.source import SHIPPED
from gpt2_helix.subjects.table import HUB_MODELS
from gpt2_helix.subjects.tensors import WEIGHTS

FAMILIES: dict[str, list[Callable[..., Any]]] = {
    "architecture": [architecture.heads],
    "positions": [positions.learned],
    "helix": [helix.shape, helix.phantom],
    "averaging": [averaging.grouping, averaging.distance_from_curve],
    "kernels": [kernels.local_heads, kernels.main_heads],
    "output": [output.on_text, output.previous_token],
    "repetition": [repetition.first_word],
    "patterns": [patterns.of_main_heads],
}
CONTROLS = {"output": controls.OF_BEHAVIOUR, "repetition": controls.OF_BEHAVIOUR, "patterns": {}}
"""Broken copies to record, where they are not those of the weights; patterns no claim judges."""
CURVES = "curves"
CURVE_FILES = ("curve.csv", "surrogate_curves.csv", "surrogates.csv")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it did its work, 2 with one line on stderr if it could not."""
    parser = argparse.ArgumentParser(prog="gpt2-helix", description=__doc__)
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("measure", help="record measurements of a subject in a folder")
    command.add_argument("family", choices=[*FAMILIES, CURVES, "all"], nargs="?", default="all")
    command.add_argument("--subject", default="gpt2", metavar="NAME_OR_FOLDER")
    command.add_argument("--into", type=Path, default=Path("data/gpt2"), metavar="FOLDER")
    command.add_argument(
        "--weights",
        default=os.environ.get("GPT2_HELIX_WEIGHTS"),
        metavar="FOLDER",
        help="where a model of the hub lies on this machine (default: $GPT2_HELIX_WEIGHTS)",
    )
    command.add_argument(
        "--strict",
        action="store_true",
        default=bool(os.environ.get("GPT2_HELIX_STRICT")),
        help="fail where weights cannot be had, instead of leaving the record as it is "
        "(default: whether $GPT2_HELIX_STRICT is set)",
    )
    command.set_defaults(run=lambda a: measure(a.subject, a.family, a.into, a.weights, a.strict))

    command = commands.add_parser("train", help="train a model of data/, or go on with it")
    command.add_argument("name", choices=SHIPPED)
    command.set_defaults(run=lambda a: train(a.name))

    command = commands.add_parser("table", help="put the table of claims reports into a text file")
    command.add_argument(
        "reports",
        type=Path,
        nargs="+",
        help="written by pytest claims/ --claims-json; several are put side by side",
    )
    command.add_argument("--into", type=Path, default=Path("README.md"), metavar="FILE")
    command.set_defaults(run=lambda a: put_table(a.reports, a.into))

    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (SubjectError, MissingTensorError) as error:
        print(f"gpt2-helix: {error}", file=sys.stderr)
        return 2
    return 0


def measure(
    spec: str, family: str, folder: Path, weights: str | None = None, strict: bool = False
) -> None:
    """Measure one family, or all, on a subject and on its broken copies, and record it.

    Where the weights cannot be had, what is recorded stays, and one line says so; with
    ``strict``, that is an error.
    """
    for name in [*FAMILIES, CURVES] if family == "all" else [family]:
        try:
            subject = _open(spec, folder, weights)
            (_record_curves if name == CURVES else _record)(subject, name, folder)
        except (HubUnreachableError, MissingTensorError) as error:
            if strict:
                raise
            print(f"{folder.name} {name}: weights not at hand ({error}), {_kept(folder, name)}")


def train(name: str) -> None:
    """Train one of the models in ``data/``; its seed is its place among them."""
    from gpt2_helix import training  # It brings torch, which most commands do without.

    data = Path("data")
    state = Path("build/training") / f"{name}.pt"
    into = data / name / "model"
    training.train(SHIPPED.index(name), data / "training", data / "texts", into, state)
    print(into)


def _open(spec: str, folder: Path, weights: str | None) -> LiveSubject:
    """The subject itself; a folder that stands in for a model of the hub must be that model."""
    pinned = HUB_MODELS.get(spec) if weights else None
    subject = open_subject(weights if weights and pinned else spec, folder.parent)
    if not isinstance(subject, LiveSubject):
        raise SubjectError(f"{spec}: expected weights to measure, found none")
    if pinned:
        for name, sha256 in (
            ("config.json", pinned.sha256["config.json"]),
            (subject.config.architecture.W_pos, pinned.W_pos_sha256),
        ):
            if (found := subject.digests.get(name)) != sha256:
                raise SubjectError(
                    f"{weights}: expected {spec}'s {name} with sha256 {sha256}, found {found}"
                )
        subject.name = spec
    return subject


def _kept(folder: Path, name: str) -> str:
    """What becomes of a family that cannot be measured."""
    day = records.keep(folder, "helix" if name == CURVES else name)
    if name == CURVES and not all((folder / file).exists() for file in CURVE_FILES):
        raise SubjectError(f"{folder}: expected {', '.join(CURVE_FILES)}, found not all of them")
    return f"kept as recorded {day}" if day else "not measured"


def _record(subject: LiveSubject, name: str, folder: Path) -> None:
    """Record a family; what a control has not the tensors for is left out of its record."""
    measured = {m: subject.measure(m) for m in FAMILIES[name]}
    of_controls: dict[str, dict[records.Measurement, Any]] = {}
    for control in track(
        CONTROLS.get(name, controls.OF_WEIGHTS),
        f"{name:14}",
        disable=not sys.stderr.isatty(),
        transient=True,
    ):
        broken = _results(control, subject, name)
        if broken:
            of_controls[control] = broken
    used = {**subject.digests, **subject.read}
    used.pop(WEIGHTS, None)  # The digests of the tensors say more: a partial file is as good.
    print(records.write(folder, name, used, measured, of_controls))


def _record_curves(subject: LiveSubject, _: str, folder: Path) -> None:
    """Record what figures draw and no claim judges: the curve, and what PCA makes of noise."""
    curve = subject.measure(helix.principal_curve).scores
    smooth = subject.measure(helix.surrogates)
    closest = np.hstack([smooth.closest_random_walk, smooth.closest_phase_randomised])
    axes = ("pc1", "pc2", "pc3")
    tables: list[tuple[list[str], Iterable[Iterable[float]]]] = [
        (["position", *axes], ([i, *row] for i, row in enumerate(curve))),
        (
            ["position", *(f"{null}_{pc}" for null in ("walk", "phase") for pc in axes)],
            ([i, *row] for i, row in enumerate(closest, 1)),
        ),
        (
            ["seed", "random_walk", "phase_randomised"],
            zip(range(helix.SURROGATES), smooth.random_walks, smooth.phase_randomised, strict=True),
        ),
    ]
    for file, (header, rows) in zip(CURVE_FILES, tables, strict=True):
        write_csv(folder / file, header, rows)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Iterable[float]]) -> None:
    """Write a table: a whole number first in each row, then numbers as records have them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        for first, *others in rows:
            table.writerow([first, *(f"{number:.{records.DIGITS}g}" for number in others)])
    print(path)


def put_table(reports: Sequence[Path], into: Path) -> None:
    """Replace what stands between two markers in a text file by the table of one report.

    Of several reports, each column is a subject, and the markers are others.
    """
    contents = [json.loads(report.read_text(encoding="utf-8")) for report in reports]
    if len(contents) == 1:
        table = verdicts.table(contents[0]["claims"], contents[0]["subject"], verdicts.TABLE_WIDTH)
    else:
        table = verdicts.side_by_side(contents, verdicts.TABLE_WIDTH)
    mark = "verdicts" if len(contents) == 1 else "replication"
    begin, end = f"<!-- {mark} -->\n", f"<!-- /{mark} -->"
    before, begins, rest = into.read_text(encoding="utf-8").partition(begin)
    _, ends, after = rest.partition(end)
    if not (begins and ends):
        raise SubjectError(f"{into}: expected {begin.strip()} and {end}, found none")
    into.write_text(f"{before}{begins}```text\n{table}\n```\n{ends}{after}", encoding="utf-8")


def _results(control: str, subject: LiveSubject, family: str) -> dict[records.Measurement, Any]:
    """What can be measured of a control; a degenerate one has no shape to measure."""
    results = {}
    try:
        broken = controls.build(control, subject)
    except MissingTensorError:
        return {}
    for measurement in FAMILIES[family]:
        try:
            results[measurement] = broken.measure(measurement)
        except (MissingTensorError, ValueError):
            continue
    return results

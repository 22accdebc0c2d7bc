"""The command ``gpt2-helix``: records and tables; claims are judged by ``pytest claims/``."""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.progress import track

from gpt2_helix import places
from gpt2_helix.commands import add_weights, exit_code
from gpt2_helix.families import FAMILIES
from gpt2_helix.judging import records
from gpt2_helix.judging.errors import (
    DegenerateModelError,
    HubUnreachableError,
    MissingInputError,
    SubjectError,
)
from gpt2_helix.models.architecture import W_POS
from gpt2_helix.models.model import Model
from gpt2_helix.parameters import PARAMETERS
from gpt2_helix.suite import controls
from gpt2_helix.suite.subjects import DEFAULT, open_subject
from gpt2_helix.texts import read_text
from gpt2_helix.weights.pins import GPT2_SMALL_TENSORS, HUB_MODELS
from gpt2_helix.weights.tensors import WEIGHTS

DATA = Path("data")
"""Where commands write by default; they read from ``places``, wherever they are started."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 on success, 2 with one line on stderr otherwise."""
    parser = argparse.ArgumentParser(prog="gpt2-helix", description=__doc__)
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("measure", help="record measurements of a subject in a folder")
    command.add_argument("family", choices=[*FAMILIES, "all"], nargs="?", default="all")
    command.add_argument("--subject", default=DEFAULT, metavar="NAME_OR_FOLDER")
    command.add_argument("--into", type=Path, default=DATA / DEFAULT, metavar="FOLDER")
    add_weights(command)
    command.set_defaults(run=lambda a: measure(a.subject, a.family, a.into, a.weights, a.strict))

    command = commands.add_parser(
        "survey", help="measure claims on many models or checkpoints: a table and a figure"
    )
    command.add_argument(
        "subjects",
        nargs="*",
        metavar="SUBJECT",
        help="as for --subject of pytest claims/; {a,b} stands for several, as in "
        "hub:OWNER/NAME@checkpoint-{0,100}",
    )
    command.add_argument("--file", type=Path, help="more of them, one a line")
    command.add_argument("--claims", default="helix", metavar="FAMILY[,FAMILY...]")
    command.add_argument("--into", type=Path, default=Path("build/survey"), metavar="FOLDER")
    command.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N")
    command.add_argument("--scheduler", metavar="ADDRESS", help="of Dask, instead of workers here")
    command.set_defaults(run=survey)

    command = commands.add_parser("table", help="put tables of claims reports into a Markdown file")
    command.add_argument(
        "reports",
        type=Path,
        nargs="+",
        help="written by pytest claims/ --claims-json; several are put side by side",
    )
    command.add_argument("--into", type=Path, default=Path("README.md"), metavar="FILE")
    command.set_defaults(run=lambda a: _publish().put_tables(a.reports, a.into))

    command = commands.add_parser("pages", help="write a Markdown page beside each claims report")
    command.add_argument("reports", type=Path, nargs="+", help="written by --claims-json")
    command.set_defaults(run=lambda a: _publish().write_pages(a.reports))

    command = commands.add_parser("metrics", help="write the main number of each claim for dvc")
    command.add_argument("reports", type=Path, nargs="+", help="written by --claims-json")
    command.add_argument("--into", type=Path, required=True, metavar="FOLDER")
    command.set_defaults(run=lambda a: _publish().put_metrics(a.reports, a.into))

    options = parser.parse_args(arguments)
    return exit_code("gpt2-helix", lambda: options.run(options))


def _publish() -> ModuleType:
    """What publishes verdicts; the stages that measure do not hang on it."""
    from gpt2_helix import publish

    return publish


def survey(options: argparse.Namespace) -> None:
    """Measure many subjects; see ``survey.run``."""
    # Here, not above: it needs pytest, which the other commands do not wait for.
    from gpt2_helix import survey

    listed = read_text(options.file).split() if options.file else []
    subjects = survey.expand([*options.subjects, *listed])
    if not subjects:
        raise SubjectError("survey: expected a subject, found none")
    rows = survey.run(
        subjects,
        options.claims.split(","),
        options.into,
        data=places.DATA,
        claims=places.CLAIMS,
        workers=options.workers,
        scheduler=options.scheduler,
    )
    failed = sum(row.error is not None for row in rows)
    print(f"survey: {len(rows) - failed} rows measured, {failed} failed; see {options.into}")


def measure(
    spec: str, family: str, folder: Path, weights: str | None = None, strict: bool = False
) -> None:
    """Measure one family, or all, on a subject and on its broken copies, and record it.

    If the weights are not available, the record stays and one line says so; with ``strict``, that
    is an error.
    """
    records.check_folder("--into", folder)
    for name in FAMILIES if family == "all" else [family]:
        try:
            model = open_model(spec, weights)
            _record(model, name, folder)
        except (HubUnreachableError, MissingInputError) as error:
            if strict:
                raise
            print(f"{folder.name} {name}: weights not available ({error}), {_kept(folder, name)}")


def open_model(spec: str, weights: str | None) -> Model:
    """The subject itself; a folder that stands in for a model of the hub must be that model."""
    pinned = HUB_MODELS.get(spec) if weights else None
    model = open_subject(weights if weights and pinned else spec, places.DATA)
    if not isinstance(model, Model):
        raise SubjectError(f"{spec}: expected weights to measure, found none")
    if pinned:
        model.name = spec
        _check(model, "config.json", pinned.sha256.get("config.json"))
        _check(model, W_POS, pinned.W_pos_sha256)
    return model


def _check(model: Model, name: str, expected: str | None) -> None:
    """Refuse a file or tensor whose digest is not the pinned one; None if none is pinned."""
    found = {**model.digests, **model.read}.get(name)
    if expected is not None and found != expected:
        raise SubjectError(f"expected {model.name}'s {name} with sha256 {expected}, found {found}")


def _check_what_was_read(model: Model) -> None:
    """Refuse to record as a pinned model what was measured on other tensors."""
    pinned = HUB_MODELS.get(model.name)
    if pinned is None or not pinned.sha256:
        return
    if model.digests.get(WEIGHTS) == pinned.sha256[WEIGHTS]:
        return  # The whole file is the pinned one.
    for name in model.read:
        if name not in GPT2_SMALL_TENSORS:  # No digest is known for it but that of the file.
            _check(model, WEIGHTS, pinned.sha256[WEIGHTS])
        _check(model, name, GPT2_SMALL_TENSORS[name])


def _kept(folder: Path, name: str) -> str:
    """What happens to the record of a family that cannot be measured."""
    day = records.keep(folder, name, _parameters(name))
    return f"kept as recorded {day}" if day else "not measured"


def _record(model: Model, name: str, folder: Path) -> None:
    """Record a family; a control that lacks the tensors is left out of the record."""
    family = FAMILIES[name]
    measured = {m: model.measure(m) for m in family.measurements}
    of_controls: dict[str, dict[records.Measurement, Any]] = {}
    for control, asked in track(
        family.controls.items(),
        f"{name:14}",
        disable=not sys.stderr.isatty(),
        transient=True,
    ):
        if broken := _results(control, model, asked):
            of_controls[control] = broken
    _check_what_was_read(model)
    used = {**model.digests, **model.read}
    used.pop(WEIGHTS, None)  # The digests of the tensors say more: a partial file is as good.
    more = {"found": model.found, "parameters": _parameters(name)}
    print(records.write(folder, name, used, measured, of_controls, **more))


def _parameters(family: str) -> dict[str, Any]:
    """What ``params.yaml`` chooses for a family."""
    return PARAMETERS.by_family.get(family, {})


def _results(
    control: str, model: Model, measurements: Iterable[records.Measurement]
) -> dict[records.Measurement, Any]:
    """What can be measured of a control; a degenerate one is recorded as such."""
    try:
        broken = controls.broken_copy(model, control)
    except MissingInputError:
        return {}
    results: dict[records.Measurement, Any] = {}
    for measurement in measurements:
        try:
            results[measurement] = broken.measure(measurement)
        except DegenerateModelError as degenerate:
            results[measurement] = degenerate
        except MissingInputError:
            continue
    return results

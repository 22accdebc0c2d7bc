"""The command ``gpt2-helix``: what the pipeline calls; claims are judged by ``pytest claims/``."""

import argparse
import csv
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from rich.progress import track

from gpt2_helix import places
from gpt2_helix.families import FAMILIES
from gpt2_helix.judging import records
from gpt2_helix.judging.claim import DIGITS
from gpt2_helix.judging.errors import (
    DegenerateModelError,
    HubUnreachableError,
    MissingInputError,
    SubjectError,
)
from gpt2_helix.measure import helix
from gpt2_helix.models import gpt2
from gpt2_helix.models.architecture import W_POS
from gpt2_helix.models.model import Model
from gpt2_helix.models.table import GPT2_SMALL_TENSORS, HUB_MODELS, SEEDS, SHIPPED
from gpt2_helix.parameters import PARAMETERS
from gpt2_helix.suite import controls
from gpt2_helix.suite.subjects import DEFAULT, open_subject
from gpt2_helix.texts import read_text
from gpt2_helix.weights.tensors import WEIGHTS

DATA = Path("data")
"""Where commands write by default; they read from ``places``, wherever they are started."""
CURVES = "curves"
CURVE_FILES = ("curve.csv", "surrogate_curves.csv", "surrogates.csv")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 on success, 2 with one line on stderr otherwise."""
    parser = argparse.ArgumentParser(prog="gpt2-helix", description=__doc__)
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("measure", help="record measurements of a subject in a folder")
    command.add_argument("family", choices=[*FAMILIES, CURVES, "all"], nargs="?", default="all")
    command.add_argument("--subject", default=DEFAULT, metavar="NAME_OR_FOLDER")
    command.add_argument("--into", type=Path, default=DATA / DEFAULT, metavar="FOLDER")
    _add_weights(command)
    command.set_defaults(run=lambda a: measure(a.subject, a.family, a.into, a.weights, a.strict))

    command = commands.add_parser(
        "digitise", help="record what others published: the author's pictures, a notebook"
    )
    published = os.environ.get("GPT2_HELIX_PUBLISHED", "")
    command.add_argument(
        "sources",
        type=Path,
        nargs="*",
        metavar="FOLDER",
        default=[Path(path) for path in published.split(os.pathsep) if path],
        help="folder of the pictures; the notebook, or a folder with a JSON file for each of its "
        f"layers (default: $GPT2_HELIX_PUBLISHED, with {os.pathsep!r} between several)",
    )
    command.add_argument("--into", type=Path, default=DATA / "published", metavar="FOLDER")
    command.set_defaults(run=lambda a: digitise(a.sources, a.into))

    command = commands.add_parser("weights", help="write which weights are available to a file")
    command.add_argument("subject", choices=HUB_MODELS)
    command.add_argument("--into", type=Path, required=True, metavar="FILE")
    _add_weights(command)
    command.set_defaults(run=lambda a: look(a.subject, a.into, a.weights, a.strict))

    command = commands.add_parser("train", help="train a model of data/, or resume its training")
    command.add_argument("name", choices=SHIPPED)
    command.set_defaults(run=lambda a: train(a.name))

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
    try:
        options.run(options)
        return 0
    except (SubjectError, MissingInputError, DegenerateModelError) as error:
        said = str(error)
    except OSError as error:
        if error.filename is None:  # Not about a file that an option names.
            raise
        said = f"{error.filename}: expected it to be read or written, found {error.strerror}"
    print(f"gpt2-helix: {said}", file=sys.stderr)
    return 2


def _add_weights(command: argparse.ArgumentParser) -> None:
    """Add the options that say where weights are."""
    command.add_argument(
        "--weights",
        default=os.environ.get("GPT2_HELIX_WEIGHTS"),
        metavar="FOLDER",
        help="folder that holds a model of the hub (default: $GPT2_HELIX_WEIGHTS)",
    )
    command.add_argument(
        "--strict",
        action="store_true",
        default=bool(os.environ.get("GPT2_HELIX_STRICT")),
        help="fail if weights are not available, instead of keeping the record "
        "(default: whether $GPT2_HELIX_STRICT is set)",
    )


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
    for name in [*FAMILIES, CURVES] if family == "all" else [family]:
        try:
            model = _open(spec, weights)
            (_record_curves if name == CURVES else _record)(model, name, folder)
        except (HubUnreachableError, MissingInputError) as error:
            if strict:
                raise
            print(f"{folder.name} {name}: weights not available ({error}), {_kept(folder, name)}")


def digitise(sources: Sequence[Path], into: Path) -> None:
    """Record what others published; without a source, the records stay as they are."""
    from gpt2_helix.published.digitise import digitise  # It imports matplotlib.

    for source in sources:
        for path in digitise(source, into):
            print(path)
    if not sources:
        print(f"{into}: no pictures or notebook given, kept as recorded")


def look(name: str, into: Path, weights: str | None = None, strict: bool = False) -> None:
    """Write which weights of a model of the hub are available, as JSON.

    The file holds the digests of its configuration and positions, and the tensors that are
    missing; it is the same on every machine that has the same tensors. If there are none it is
    empty and one line says so; with ``strict``, any that is missing is an error.
    """
    try:
        model = _open(name, weights)
        missing = model.missing(list(gpt2.shapes(model.config)))
        if strict and missing:
            raise MissingInputError(missing, model.name)
        found: dict[str, Any] = {"digests": model.digests, "missing": missing}
    except HubUnreachableError as error:
        if strict:
            raise
        print(f"{name}: weights not available ({error}), its records stay")
        found = {}
    into.parent.mkdir(parents=True, exist_ok=True)
    records.write_json(into, found)


def train(name: str) -> None:
    """Train one of the models in ``data/``."""
    if not (DATA / "training").is_dir():
        raise SubjectError(
            f"{DATA}/training: expected texts to train on, as a checkout has, found none"
        )
    from gpt2_helix.training import loop  # It imports torch, which most commands do not need.

    recipe, seeds = next((recipe, seeds) for recipe, seeds in SEEDS.items() if name in seeds)
    state = Path("build/training") / f"{name}.pt"
    loop.train(recipe, seeds.index(name), DATA, DATA / name, state)
    print(DATA / name)


def _open(spec: str, weights: str | None) -> Model:
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
    family = "helix" if name == CURVES else name
    day = records.keep(folder, family, _parameters(family))
    if name == CURVES and not all((folder / file).exists() for file in CURVE_FILES):
        raise SubjectError(f"{folder}: expected {', '.join(CURVE_FILES)}, found not all of them")
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


def _record_curves(model: Model, _: str, folder: Path) -> None:
    """Record what figures draw and no claim judges: the curve, and what PCA makes of noise."""
    curve = model.measure(helix.principal_curve).scores
    smooth = model.measure(helix.surrogates)
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
            table.writerow([first, *(f"{number:.{DIGITS}g}" for number in others)])
    print(path)


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

"""The command ``gpt2-helix``: what the pipeline calls; claims are judged by ``pytest claims/``."""

import argparse
import csv
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.progress import track

from gpt2_helix import controls, records, verdicts
from gpt2_helix.measure import (
    architecture,
    averaging,
    helix,
    kernels,
    output,
    positions,
    repetition,
)
from gpt2_helix.subjects import LiveSubject, MissingTensorError, SubjectError, open_subject

FAMILIES: dict[str, list[Callable[..., Any]]] = {
    "architecture": [architecture.heads],
    "positions": [positions.learned],
    "helix": [helix.shape, helix.phantom],
    "averaging": [averaging.grouping, averaging.distance_from_curve],
    "kernels": [kernels.local_heads, kernels.main_heads],
    "output": [output.on_text, output.previous_token],
    "repetition": [repetition.first_word],
}
RUN_THE_MODEL = ("output", "repetition")
TABLE_BEGINS, TABLE_ENDS = "<!-- verdicts -->\n", "<!-- /verdicts -->"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it did its work, 2 with one line on stderr if it could not."""
    parser = argparse.ArgumentParser(prog="gpt2-helix", description=__doc__)
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("measure", help="record measurements of a subject in a folder")
    command.add_argument("family", choices=[*FAMILIES, "all"], nargs="?", default="all")
    command.add_argument("--subject", default="gpt2", metavar="NAME_OR_FOLDER")
    command.add_argument("--into", type=Path, default=Path("data/gpt2"), metavar="FOLDER")
    command.set_defaults(run=lambda a: measure(a.subject, a.family, a.into))

    command = commands.add_parser("table", help="put a claims report's table into a text file")
    command.add_argument("report", type=Path, help="written by pytest claims/ --claims-json")
    command.add_argument("--into", type=Path, default=Path("README.md"), metavar="FILE")
    command.set_defaults(run=lambda a: put_table(a.report, a.into))

    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (SubjectError, MissingTensorError) as error:
        print(f"gpt2-helix: {error}", file=sys.stderr)
        return 2
    return 0


def measure(spec: str, family: str, folder: Path) -> None:
    """Measure one family, or all, on a subject and on its broken copies, and record it.

    What a control has not the tensors for is left out of its record.
    """
    for name in FAMILIES if family == "all" else [family]:
        subject = open_subject(spec, folder.parent)
        if not isinstance(subject, LiveSubject):
            raise SubjectError(f"{spec}: expected weights to measure, found none")
        try:
            measured = {m: subject.measure(m) for m in FAMILIES[name]}
        except MissingTensorError as missing:
            print(f"{name}: not measured, as {missing}", file=sys.stderr)
            continue
        of_controls: dict[str, dict[records.Measurement, Any]] = {}
        for control in track(
            controls.OF_BEHAVIOUR if name in RUN_THE_MODEL else controls.OF_WEIGHTS,
            f"{name:14}",
            disable=not sys.stderr.isatty(),
            transient=True,
        ):
            broken = _results(control, subject, name)
            if broken:
                of_controls[control] = broken
        used = {"config.json": subject.digests["config.json"], **subject.read}
        print(records.write(folder, name, used, measured, of_controls))
        if name == "helix":
            write_curve(folder / "curve.csv", helix.principal_curve(subject.W_pos))


def write_curve(path: Path, curve: helix.PrincipalCurve) -> None:
    """Write every position's coordinates in the three leading components."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["position", "pc1", "pc2", "pc3"])
        for position, scores in enumerate(curve.scores):
            rows.writerow([position, *(f"{score:.{records.DIGITS}g}" for score in scores)])
    print(path)


def put_table(report: Path, into: Path) -> None:
    """Replace what stands between the two markers in a text file by a report's table."""
    content = json.loads(report.read_text(encoding="utf-8"))
    table = verdicts.table(content["claims"], content["subject"], verdicts.TABLE_WIDTH)
    before, begins, rest = into.read_text(encoding="utf-8").partition(TABLE_BEGINS)
    _, ends, after = rest.partition(TABLE_ENDS)
    if not (begins and ends):
        raise SubjectError(f"{into}: expected {TABLE_BEGINS.strip()} and {TABLE_ENDS}, found none")
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

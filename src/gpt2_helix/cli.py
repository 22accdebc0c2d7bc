"""The command ``gpt2-helix``: records and tables; claims are judged by ``pytest claims/``."""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from shutil import get_terminal_size

from gpt2_helix import places
from gpt2_helix.commands import add_weights, exit_code, given_file
from gpt2_helix.judging.errors import InputError, MissingInputError
from gpt2_helix.judging.files import check_folder, given_path
from gpt2_helix.suite import recording
from gpt2_helix.suite.recorded import RECORDED
from gpt2_helix.suite.subjects import DEFAULT
from gpt2_helix.texts import read_text

DATA = Path("data")
"""Where commands write by default; they read from ``places``, wherever they are started."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 on success, 2 with one line on stderr otherwise."""
    parser = argparse.ArgumentParser(prog="gpt2-helix", description=__doc__)
    parser.add_argument(
        "--version", action="version", version=f"gpt2-helix {version('gpt2-helix')}"
    )
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("judge", help="judge claims on a model, as pytest claims/ does")
    command.add_argument("model", metavar="NAME_OR_FOLDER", help="as --subject of pytest claims/")
    command.add_argument(
        "claims", nargs="*", default=["*"], help="patterns of identifiers (default: all)"
    )
    command.add_argument("--corpus", metavar="FILE_OR_FOLDER", help="text to run through it")
    command.add_argument("--windows", type=int, metavar="N", help="windows of text")
    command.add_argument("-v", "--verbose", action="store_true", help="list the claims too")
    command.set_defaults(run=judge)

    command = commands.add_parser("record", help="record measurements of a subject in a folder")
    command.add_argument("family", choices=[*RECORDED, "all"], nargs="?", default="all")
    command.add_argument("--subject", default=DEFAULT, metavar="NAME_OR_FOLDER")
    command.add_argument("--into", type=given_path, default=DATA / DEFAULT, metavar="FOLDER")
    add_weights(command)
    command.set_defaults(run=lambda a: record(a.subject, a.family, a.into, a.weights, a.strict))

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
    command.add_argument("--file", type=given_file, help="more of them, one a line")
    command.add_argument("--claims", default="helix", metavar="FAMILY[,FAMILY...]")
    command.add_argument("--into", type=given_path, default=Path("build/survey"), metavar="FOLDER")
    command.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N")
    command.add_argument(
        "--threads", type=int, metavar="N", help="of each worker here (default: cores / workers)"
    )
    command.add_argument("--scheduler", metavar="ADDRESS", help="of Dask, instead of workers here")
    command.set_defaults(run=survey)

    command = commands.add_parser(
        "publish", help="write Markdown pages of claims reports, and more"
    )
    command.add_argument("reports", type=given_file, nargs="+", help="written by --claims-json")
    command.add_argument("--readme", type=given_path, metavar="FILE", help="put tables into it too")
    command.add_argument(
        "--metrics", type=given_path, metavar="FOLDER", help="write numbers for dvc too"
    )
    command.set_defaults(run=publish)

    command = commands.add_parser("show", help="show verdicts that were written")
    command.add_argument("reports", type=given_file, nargs="+", help="written by --claims-json")
    command.set_defaults(run=show)

    options = parser.parse_args(arguments)
    return exit_code("gpt2-helix", lambda: options.run(options))


def judge(options: argparse.Namespace) -> int:
    """Judge claims; 1 if one is refuted or ends in an error, 4 if the model cannot be judged."""
    # Here, not above: the stage of dvc that measures does not hang on how claims are judged.
    from gpt2_helix import api
    from gpt2_helix.judging import terminal
    from gpt2_helix.suite.statements import WORDS

    try:
        found = api.judge(
            options.model, options.claims, corpus=options.corpus, windows=options.windows
        )
    except (InputError, MissingInputError) as error:
        print(f"gpt2-helix: {error}", file=sys.stderr)
        return 4
    width = get_terminal_size().columns
    print(terminal.text(found.report, WORDS, width, every_claim=options.verbose))
    return int(any(claim.verdict in {"refuted", "error"} for claim in found.claims))


def publish(options: argparse.Namespace) -> None:
    """Publish reports; see ``publish.publish``."""
    # Here, not above: the stage of dvc that measures does not hang on how reports look.
    from gpt2_helix.publish import publish

    publish(options.reports, options.readme, options.metrics)


def show(options: argparse.Namespace) -> None:
    """Print verdicts that were written: one report whole, or several side by side."""
    # Here, not above: the stage of dvc that measures does not hang on how reports look.
    from gpt2_helix.judging import terminal
    from gpt2_helix.judging.report import read
    from gpt2_helix.suite.statements import WORDS

    reports = [read(path) for path in options.reports]
    width, colour = get_terminal_size().columns, sys.stdout.isatty()
    if len(reports) == 1:
        print(terminal.text(reports[0], WORDS, width))
    else:
        print(terminal.side_by_side(reports, WORDS, width, colour=colour))


def survey(options: argparse.Namespace) -> int:
    """Measure many subjects; see ``survey.run``. Gives 1 if there is no row that was measured."""
    # Here, not above: it needs pytest, which the other commands do not wait for.
    from gpt2_helix import survey

    listed = read_text(options.file).splitlines() if options.file else []
    subjects = survey.expand([*options.subjects, *filter(str.strip, listed)])
    if not subjects:
        raise InputError("survey: expected a subject, found none")
    rows = survey.run(
        subjects,
        options.claims.split(","),
        options.into,
        data=places.DATA,
        claims=places.CLAIMS,
        workers=options.workers,
        threads=options.threads,
        scheduler=options.scheduler,
    )
    failed = [row.subject for row in rows if row.error is not None]
    print(
        f"survey: {len(rows) - len(failed)} rows measured, {len(failed)} failed; see {options.into}"
    )
    if failed:
        print(f"survey: not measured: {', '.join(failed)}", file=sys.stderr)
    return int(len(failed) == len(rows))


def record(
    spec: str, family: str, folder: Path, weights: str | None = None, strict: bool = False
) -> None:
    """Measure one family, or all, on a subject and on its broken copies, and record it.

    If the weights are not available, the record stays and one line says so; with ``strict``, that
    is an error.
    """
    check_folder("--into", folder)
    opened = partial(recording.open_live, spec, weights)
    for name in RECORDED if family == "all" else [family]:
        print(recording.record_or_keep(name, folder, opened, strict=strict))

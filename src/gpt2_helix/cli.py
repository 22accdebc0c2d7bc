"""The command ``gpt2-helix``: judges claims, shows verdicts, and surveys many models."""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

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

ABOUT = """\
Test claims about GPT-2 small's positional embeddings and previous-token heads,
on GPT-2 small or on any other model with learned absolute positions."""
OF_THE_PIPELINE = {
    "record": "measure a model, and record the results in a folder",
    "publish": "write Markdown pages, and more, of verdicts that were written",
}
"""Commands that are listed apart, as few people call them."""
MORE = "\n".join(
    [
        "commands of the repository's own pipeline, which makes its data and tables:",
        *(f"    {name:<7}   {says}" for name, says in OF_THE_PIPELINE.items()),
        "",
        'example: gpt2-helix judge mini "helix.*"',
        "gpt2-helix COMMAND --help says more of each command.",
    ]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 on success, 2 with one line on stderr otherwise."""
    options = parser().parse_args(arguments)
    return exit_code("gpt2-helix", lambda: options.run(options))


def parser() -> argparse.ArgumentParser:
    """Make what reads the command line; each command's function is its default for ``run``."""
    made = argparse.ArgumentParser(
        prog="gpt2-helix",
        description=ABOUT,
        epilog=MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"gpt2-helix {version('gpt2-helix')}")
    commands = made.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (_add_judge, _add_show, _add_survey, _add_record, _add_publish):
        add(commands)
    return made


def _add(commands: Any, name: str, says: str, more: str, example: str) -> argparse.ArgumentParser:
    """Add a command; what it says of itself in a line stands in the list of commands."""
    listed = {} if name in OF_THE_PIPELINE else {"help": says}
    about = f"{says[0].upper()}{says[1:]}. {more}"
    command: argparse.ArgumentParser = commands.add_parser(
        name, description=about, epilog=f"example: gpt2-helix {example}", **listed
    )
    return command


def _add_judge(commands: Any) -> None:
    command = _add(
        commands,
        "judge",
        "judge claims on a model",
        "The verdicts are those of pytest claims/, which works in a checkout of the repository "
        "alone; this works wherever the package is installed, and so does gpt2_helix.judge in "
        "Python. The exit code is 1 if a claim is refuted or ends in an error, and 4 if the model "
        "cannot be judged.",
        'judge mini "helix.*" -v',
    )
    command.add_argument(
        "model",
        metavar="NAME_OR_FOLDER",
        help="gpt2 or another name of a model, such as mini or text, which ship with the package; "
        "hub:OWNER/NAME[@REVISION]; or a folder with config.json and weights",
    )
    command.add_argument(
        "claims",
        metavar="CLAIM",
        nargs="*",
        default=["*"],
        help="identifier of a claim, or a pattern such as 'helix.*' (default: all claims)",
    )
    command.add_argument(
        "--corpus",
        metavar="FILE_OR_FOLDER",
        help="text to run through the model (default: texts that ship with the package)",
    )
    command.add_argument(
        "--windows",
        type=int,
        metavar="N",
        help="windows of 512 tokens; fewer are faster and less certain "
        "(default: as in params.yaml)",
    )
    command.add_argument(
        "-v", "--verbose", action="store_true", help="list the claims too (default: statements)"
    )
    command.set_defaults(run=judge)


def _add_show(commands: Any) -> None:
    command = _add(
        commands,
        "show",
        "show verdicts that were written",
        "One report is shown whole, several side by side.",
        "show data/verdicts/mini.json data/verdicts/text.json",
    )
    _add_reports(command)
    command.set_defaults(run=show)


def _add_survey(commands: Any) -> None:
    command = _add(
        commands,
        "survey",
        "judge claims on many models or checkpoints, side by side",
        "It prints a table, and writes it with every number (survey.csv), a figure and a page. "
        "Claims are judged without their broken models. Rows are kept: a survey that was "
        "interrupted goes on. It needs pip install 'gpt2-helix[survey]'.",
        'survey mini "hub:OWNER/NAME@checkpoint-{0,100}"',
    )
    command.add_argument(
        "subjects",
        nargs="*",
        metavar="SUBJECT",
        help="as NAME_OR_FOLDER of gpt2-helix judge; {a,b} stands for several",
    )
    command.add_argument(
        "--file", type=given_file, metavar="FILE", help="more of them, one a line (default: none)"
    )
    command.add_argument(
        "--claims",
        default="helix",
        metavar="FAMILY[,FAMILY...]",
        help="families of claims: first parts of their identifiers (default: %(default)s)",
    )
    command.add_argument(
        "--into",
        type=given_path,
        default=Path("build/survey"),
        metavar="FOLDER",
        help="where to write (default: %(default)s)",
    )
    command.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes that measure (default: one for each core)",
    )
    command.add_argument(
        "--threads", type=int, metavar="N", help="of each worker here (default: cores / workers)"
    )
    command.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="scheduler of Dask whose workers measure (default: workers here)",
    )
    command.set_defaults(run=survey)


def _add_record(commands: Any) -> None:
    command = _add(
        commands,
        "record",
        OF_THE_PIPELINE["record"],
        "The model's broken copies are measured too. Where its weights are not available, the "
        "record that is there stays.",
        "record helix --subject mini --into data/mini",
    )
    command.add_argument(
        "family",
        metavar="FAMILY",
        choices=[*RECORDED, "all"],
        nargs="?",
        default="all",
        help="family of measurements: %(choices)s (default: %(default)s)",
    )
    command.add_argument(
        "--subject",
        default=DEFAULT,
        metavar="NAME_OR_FOLDER",
        help="as NAME_OR_FOLDER of gpt2-helix judge (default: %(default)s)",
    )
    command.add_argument(
        "--into",
        type=given_path,
        default=DATA / DEFAULT,
        metavar="FOLDER",
        help="where to write (default: %(default)s)",
    )
    add_weights(command)
    command.set_defaults(run=lambda a: record(a.subject, a.family, a.into, a.weights, a.strict))


def _add_publish(commands: Any) -> None:
    command = _add(
        commands,
        "publish",
        OF_THE_PIPELINE["publish"],
        "A page with every number is written beside each report.",
        "publish --readme README.md data/verdicts/mini.json",
    )
    _add_reports(command)
    command.add_argument(
        "--readme",
        type=given_path,
        metavar="FILE",
        help="put tables into this Markdown file, between its markers (default: none)",
    )
    command.add_argument(
        "--metrics",
        type=given_path,
        metavar="FOLDER",
        help="write the main numbers for dvc (default: none)",
    )
    command.set_defaults(run=publish)


def _add_reports(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "reports",
        type=given_file,
        nargs="+",
        metavar="REPORT",
        help="written by pytest claims/ --claims-json REPORT",
    )


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
    from gpt2_helix.judging import terminal

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
    width, colour = get_terminal_size().columns, sys.stdout.isatty()
    if table := terminal.by_subject({r.subject: r.verdicts for r in rows}, width, colour=colour):
        print(f"\n{table}\n")
    print(
        f"survey: {len(rows) - len(failed)} rows measured, {len(failed)} failed; numbers, figure "
        f"and page: {options.into}"
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

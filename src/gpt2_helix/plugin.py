"""The pytest plugin: the options of ``pytest claims/``, and running a claim as a test.

A function marked ``claim`` is collected as a ``ClaimItem``, which judges it on the subject under
test and on its controls.
"""

import contextlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from gpt2_helix.claim import (
    BLOCKED,
    CONFIRMED,
    REFUTED,
    Claim,
    ClaimError,
    Measured,
    Subject,
    judge,
    roll_up,
)
from gpt2_helix.errors import MissingInputError, SubjectError
from gpt2_helix.statements import STATEMENTS

SCHEMA = 1
_SUBJECTS = pytest.StashKey[Sequence[Subject]]()
_CONTROLS = pytest.StashKey[dict[tuple[int, str], Subject]]()
_EXPECTED = pytest.StashKey[dict[str, str] | None]()
_BAD_INPUT = pytest.StashKey[str]()
_VERDICT, _ERROR = "claim", "bad input"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of ``pytest claims/``."""
    group = parser.getgroup("gpt2-helix")
    group.addoption(
        "--subject",
        metavar="NAME_OR_FOLDER",
        help="model under test: gpt2 or another name of the table of models, mini, minilm, "
        "built:NAME, control:NAME[:SUBJECT], recorded:NAME, or a folder with config.json and "
        "model.safetensors (default: gpt2, or its recorded measurements)",
    )
    group.addoption(
        "--corpus",
        metavar="FILE_OR_FOLDER",
        type=Path,
        help="text for the claims that run the model: a file, a folder, or a file of a dataset as "
        "hub:OWNER/NAME@COMMIT:FILE.parquet (default: data/texts)",
    )
    group.addoption(
        "--windows",
        metavar="N",
        type=int,
        help="number of windows of 512 tokens; fewer are faster and less certain "
        "(default: as in params.yaml)",
    )
    group.addoption(
        "--prompt",
        metavar="FILE",
        type=Path,
        help="repetition prompt with 'apple orange' in it (default: a generated one)",
    )
    group.addoption(
        "--claims-json", metavar="FILE", type=Path, help="write the verdicts to this file"
    )
    group.addoption(
        "--expect",
        metavar="FILE",
        type=Path,
        help="verdicts written by --claims-json: a claim that is refuted there is expected to be, "
        "and any other verdict is a failure",
    )
    group.addoption(
        "--report", metavar="DIR", type=Path, help="write an HTML page of verdicts to this folder"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        "claim(id, statement, post, needs, tolerance, why, refuted_by): a claim, and its terms",
    )
    config.stash[_CONTROLS] = {}
    config.pluginmanager.register(_BadInput(config))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Open the subject before claims are collected, so that a wrong name ends the run at once.

    The process that starts pytest-xdist's workers opens it too: there, an error in a worker would
    end in an internal error.
    """
    config = session.config
    claims = config.rootpath / "claims"
    paths = [(config.invocation_params.dir / a.partition("::")[0]).resolve() for a in config.args]
    asked = any(p == claims or claims in p.parents or p in claims.parents for p in paths)
    if asked and not config.option.collectonly:
        _open(config)


def _open(config: pytest.Config) -> None:
    """Open the subject that ``--subject`` names, or end the run with one line and exit code 4."""
    data = config.rootpath / "data"
    try:
        # Here, not above: the import reads params.yaml, and what is wrong in it is one line too.
        from gpt2_helix.subjects import open_subject, weaker_evidence
        from gpt2_helix.texts import WINDOWS, Material

        corpus, windows = config.getoption("--corpus"), config.getoption("--windows")
        material = Material(
            () if corpus is None else (corpus,),
            WINDOWS if windows is None else windows,
            config.getoption("--prompt"),
        )
        config.stash[_EXPECTED] = _expected(config.getoption("--expect"))
        subject = open_subject(config.getoption("--subject"), data, material)
        config.stash[_SUBJECTS] = [subject, *weaker_evidence(subject, data)]
    except (SubjectError, MissingInputError) as error:
        raise pytest.UsageError(str(error)) from None


def _expected(path: Path | None) -> dict[str, str] | None:
    """Verdicts by claim, of a JSON report."""
    if path is None:
        return None
    try:
        claims = json.loads(path.read_text(encoding="utf-8"))["claims"]
        return {claim["id"]: claim["verdict"] for claim in claims}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SubjectError(
            f"--expect: expected {path} as --claims-json writes it, found {error!r}"
        ) from None


def declared(folder: Path) -> list[tuple[Path, str, Claim]]:
    """Every claim of a folder: its file, its function's name and its terms, in order."""
    found = []
    for path in sorted(folder.glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"declared_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for name, function in vars(module).items():
            if (claim := claim_of(function)) is not None:
                found.append((path, name, claim))
    return found


def claim_of(function: object) -> Claim | None:
    """The terms that a function declares with the ``claim`` marker, if it carries one."""
    for mark in getattr(function, "pytestmark", ()):
        if mark.name == "claim":
            return Claim(*mark.args, **mark.kwargs)
    return None


class ClaimItem(pytest.Item):
    """A claim as a test: passes if confirmed, fails if refuted, is skipped if blocked."""

    def __init__(self, *, function: Any, claim: Claim, **rest: Any) -> None:
        super().__init__(**rest)
        self.function = function
        self.claim = claim
        self.own_markers.extend(function.pytestmark)
        self.keywords.update({mark.name: mark for mark in function.pytestmark})

    def reportinfo(self) -> tuple[Path, int, str]:
        """File, line and name, for pytest's own output."""
        return self.path, inspect.getsourcelines(self.function)[1] - 1, self.name

    def runtest(self) -> None:
        """Judge the claim, attach the verdict to the report, and pass, fail or skip."""
        config, claim = self.config, self.claim

        def assess(model: Subject, measured: Measured) -> None:
            self.function(subject=model, measured=measured)

        try:
            with _on_the_terminal(config):
                verdict, found = judge(
                    claim, assess, config.stash[_SUBJECTS], lambda s, n: _control(config, s, n)
                )
        except SubjectError as error:
            self.user_properties.append((_ERROR, f"{claim.id}: {error}"))
            pytest.fail(f"{claim.id}: {error}", pytrace=False)
        terms = {"says": inspect.getdoc(self.function), "post": claim.post, "why": claim.why}
        self.user_properties.append((_VERDICT, json.dumps({**asdict(verdict), **terms})))
        expected = config.stash[_EXPECTED]
        if expected is not None:
            recorded = expected.get(claim.id, "no verdict")
            if verdict.verdict != recorded:
                why = f"{claim.id}: expected {recorded} as recorded, found {verdict.verdict}"
                pytest.fail(why, pytrace=False)
            if verdict.verdict == REFUTED:
                pytest.xfail("refuted, as recorded")
        strict = bool(config.getini("strict"))
        if verdict.verdict == BLOCKED:
            pytest.fail(found.reason, pytrace=False) if strict else pytest.skip(found.reason)
        if found.raised is not None and config.option.tbstyle != "auto":
            raise found.raised
        if verdict.verdict == REFUTED:
            pytest.fail(f"{claim.id}: {verdict.reason}", pytrace=False)
        unasked = [c for c in verdict.controls if c.verdict == BLOCKED]
        if strict and unasked:
            pytest.fail(f"control {unasked[0].name} blocked: {unasked[0].reason}", pytrace=False)


def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> pytest.Item | None:
    """Collect a claim as a ``ClaimItem``; leave all else to pytest."""
    try:
        claim = claim_of(obj) if callable(obj) else None
    except ClaimError as error:
        raise collector.CollectError(str(error)) from None
    if claim is None:
        return None
    return ClaimItem.from_parent(collector, name=name, function=obj, claim=claim)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse two claims with one identifier, and make sure that a subject is open."""
    claims = [item for item in items if isinstance(item, ClaimItem)]
    ids = [item.claim.id for item in claims]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise pytest.UsageError(f"expected one claim for each identifier, found two {twice[0]}")
    if claims and _SUBJECTS not in config.stash and not config.option.collectonly:
        _open(config)


@contextlib.contextmanager
def _on_the_terminal(config: pytest.Config) -> Iterator[None]:
    """Let progress bars through to a terminal: pytest captures output otherwise."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None or not sys.__stderr__ or not sys.__stderr__.isatty():
        yield
        return
    with capture.global_and_fixture_disabled():
        yield


def _control(config: pytest.Config, subject: Subject, name: str) -> Subject:
    """The broken copy of a subject, built once a run."""
    from gpt2_helix.controls import broken_copy

    built = config.stash[_CONTROLS]
    key = (id(subject), name)
    if key not in built:
        built[key] = broken_copy(subject, name)
    return built[key]


def pytest_report_collectionfinish(config: pytest.Config) -> str | None:
    """Say which model is under test."""
    return f"subject: {_described(config)}" if _SUBJECTS in config.stash else None


def _described(config: pytest.Config) -> str:
    from gpt2_helix.present import describe
    from gpt2_helix.subjects import is_replication

    subject = config.stash[_SUBJECTS][0]
    return describe(subject, replication=is_replication(subject))


class _BadInput:
    """Ends the run with exit code 4 after bad input, whichever process met it."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the line that says what is wrong."""
        for name, line in report.user_properties:
            if name == _ERROR:
                self.config.stash[_BAD_INPUT] = str(line)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Set the exit code."""
        if _BAD_INPUT in self.config.stash:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table of verdicts and write the JSON report; after bad input, its one line."""
    if _BAD_INPUT in config.stash:
        terminalreporter.write_line(f"ERROR: {config.stash[_BAD_INPUT]}", red=True)
        return
    verdicts = _in_order(terminalreporter)
    if not verdicts:
        return
    from gpt2_helix import present
    from gpt2_helix.subjects import is_replication

    subject = config.stash[_SUBJECTS][0]
    about = {
        "name": subject.name,
        "evidence": subject.evidence,
        "recorded_on": subject.recorded_on,
        "commit": subject.commit,
        "replication": is_replication(subject),
        "digests": subject.digests,
    }
    width = max(terminalreporter._tw.fullwidth, present.TABLE_WIDTH)
    terminalreporter.section("claims")
    terminalreporter.write_line(f"subject: {_described(config)}\n")
    terminalreporter.write_line(present.table(verdicts, about, width))
    counts = [
        f"{sum(v['verdict'] == verdict for v in verdicts)} {verdict}"
        for verdict in (CONFIRMED, REFUTED, BLOCKED)
    ]
    terminalreporter.write_line("\n" + ", ".join(counts))
    if path := config.getoption("--claims-json"):
        from gpt2_helix.records import write_json

        statements = [asdict(statement) for statement in roll_up(verdicts)]
        content = {
            "schema": SCHEMA,
            "subject": about,
            "statements": statements,
            "claims": verdicts,
        }
        write_json(path, content)
    if folder := config.getoption("--report"):
        from gpt2_helix import report

        report.write(folder, about, verdicts, config.rootpath / "paper/figures")


def _in_order(terminalreporter: pytest.TerminalReporter) -> list[dict[str, Any]]:
    """Verdicts of all reports, those from workers of pytest-xdist too, by statement."""
    verdicts = [
        json.loads(str(value))
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == _VERDICT
    ]
    statements = list(STATEMENTS)
    return sorted(verdicts, key=lambda v: (statements.index(v["statement"]), v["id"]))

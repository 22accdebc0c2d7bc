"""The pytest plugin: the options of ``pytest claims/``, and running a claim as a test.

A function marked ``claim`` is collected as a ``ClaimItem``, which judges it on the subject under
test and on its controls.
"""

import contextlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gpt2_helix.judging.claim import BLOCKED, REFUTED, Assess, Claim, ClaimError
from gpt2_helix.judging.errors import MissingInputError, SubjectError
from gpt2_helix.places import check_folder

if TYPE_CHECKING:
    from gpt2_helix.trial import Trial

_TRIAL: pytest.StashKey["Trial"] = pytest.StashKey()
_EXPECTED = pytest.StashKey[dict[str, str] | None]()
_BAD_INPUT = pytest.StashKey[str]()
_HEADED = pytest.StashKey[bool]()
_VERDICT, _FOUND_HEADS, _ERROR = "claim", "found heads", "bad input"
_COLOURS = {"confirmed": "green", "refuted": "red", "blocked": "yellow", "partly judged": "yellow"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of ``pytest claims/``."""
    group = parser.getgroup("gpt2-helix")
    group.addoption(
        "--subject",
        metavar="NAME_OR_FOLDER",
        help="model under test: gpt2 or another name of the table of models, "
        "hub:OWNER/NAME[@REVISION], mini, text, minilm, built:NAME, control:NAME[:SUBJECT], "
        "recorded:NAME, published:NAME, or a folder with config.json and model.safetensors or "
        "pytorch_model.bin (default: gpt2, or its recorded measurements)",
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
        from gpt2_helix.suite.subjects import open_subject
        from gpt2_helix.texts import WINDOWS, Material
        from gpt2_helix.trial import Trial

        corpus, windows = config.getoption("--corpus"), config.getoption("--windows")
        material = Material(
            () if corpus is None else (corpus,),
            WINDOWS if windows is None else windows,
            config.getoption("--prompt"),
        )
        config.stash[_EXPECTED] = _expected(config.getoption("--expect"))
        _check_reports(config.getoption("--claims-json"), config.getoption("--report"))
        subject = open_subject(config.getoption("--subject"), data, material)
        config.stash[_TRIAL] = Trial(subject, data)
    except (SubjectError, MissingInputError) as error:
        raise pytest.UsageError(str(error)) from None


def _check_reports(file: Path | None, folder: Path | None) -> None:
    """Refuse reports that could not be written, before claims are judged."""
    if file is not None:
        if file.is_dir() or not file.parent.is_dir():
            raise SubjectError(f"--claims-json: expected a file in a folder, found {file}")
        check_folder("--claims-json", file.parent)
    if folder is not None:
        check_folder("--report", folder)


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


def declared(folder: Path) -> list[tuple[Path, Assess, Claim]]:
    """Every claim of a folder: its file, its function and its terms, in order."""
    found = []
    for path in sorted(folder.glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"declared_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for function in vars(module).values():
            if (claim := claim_of(function)) is not None:
                found.append((path, function, claim))
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

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Leave out the traceback of an expected refutation: nobody sees it, and it is slow."""
        if isinstance(excinfo.value, pytest.xfail.Exception):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def runtest(self) -> None:
        """Judge the claim, attach the verdict to the report, and pass, fail or skip."""
        config, claim = self.config, self.claim

        try:
            with _on_the_terminal(config):
                verdict, found = config.stash[_TRIAL].judge(claim, self.function)
        except SubjectError as error:
            self.user_properties.append((_ERROR, f"{claim.id}: {error}"))
            pytest.fail(f"{claim.id}: {error}", pytrace=False)
        self.user_properties.append((_VERDICT, json.dumps(asdict(verdict))))
        found_heads = config.stash[_TRIAL].found_heads()
        self.user_properties.append((_FOUND_HEADS, json.dumps(found_heads)))
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
    if claims and _TRIAL not in config.stash and not config.option.collectonly:
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


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what is under test, on which evidence."""
    if _TRIAL not in config.stash:
        return []
    config.stash[_HEADED] = True
    return _heading(config)


def _heading(config: pytest.Config) -> list[str]:
    """The heading, but for heads that are found while claims are judged."""
    from gpt2_helix import present

    known = {**config.stash[_TRIAL].about(), "found_heads": {}}
    return present.heading(known, config.get_terminal_writer().fullwidth)


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


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Iterator[None]:
    """Show verdicts and write the reports; after bad input, its one line.

    A refuted claim is a line, not a page of source, unless ``--tb`` is given.
    """
    if _BAD_INPUT in config.stash:
        yield
        terminalreporter.write_line(f"ERROR: {config.stash[_BAD_INPUT]}", red=True)
        return
    failed = terminalreporter.stats.get("failed", [])
    short = [r for r in failed if config.option.tbstyle == "auto" and _verdict(r) is not None]
    terminalreporter.stats["failed"] = [report for report in failed if report not in short]
    yield
    terminalreporter.stats["failed"] = failed
    if not failed:
        del terminalreporter.stats["failed"]
    reports = [report for some in terminalreporter.stats.values() for report in some]
    verdicts = [verdict for report in reports if (verdict := _verdict(report)) is not None]
    if not verdicts:
        return
    from gpt2_helix import present
    from gpt2_helix.trial import as_report

    about = config.stash[_TRIAL].about()
    # Workers of pytest-xdist found them, each for the claims that it judged.
    of_each = [_property(report, _FOUND_HEADS) or {} for report in reports]
    if found_heads := dict(sorted(item for some in of_each for item in some.items())):
        about["found_heads"] = found_heads
    found = as_report(about, verdicts)
    writer = config.get_terminal_writer()
    width = writer.fullwidth

    def paint(word: str, verdict: str) -> str:
        return writer.markup(word, **{_COLOURS[verdict]: True})

    def section(title: str, text: str) -> None:
        terminalreporter.write_sep("=", title)
        terminalreporter.write_line(text)

    if not config.stash.get(_HEADED, False):
        terminalreporter.write_line("\n".join(_heading(config)))
    for line in present.found_heads(about):
        terminalreporter.write_line("\n".join(present.wrapped(line, width)))
    section("what the post says", present.statements(found, width, paint))
    if (verbose := config.option.verbose) >= 0:
        section("claims", present.claims(found, width, verbose=verbose > 0, paint=paint))
        terminalreporter.write_line(present.CONTROLS_ARE)
    if short:
        why = [str(report.longrepr.reprcrash.message).removeprefix("Failed: ") for report in short]
        section("FAILED", "\n".join(line for one in why for line in present.wrapped(one, width)))
    terminalreporter.write_line(present.counts(found))
    expected = config.stash[_EXPECTED]
    if expected is not None and all(c["verdict"] == expected.get(c["id"]) for c in found["claims"]):
        terminalreporter.write_line(f"as expected: all as in {config.getoption('--expect')}")
    if path := config.getoption("--claims-json"):
        from gpt2_helix.judging.records import write_json

        write_json(path, found)
    if folder := config.getoption("--report"):
        from gpt2_helix import report as page

        page.write(folder, found, config.rootpath / "paper/figures")


def _verdict(report: object) -> dict[str, Any] | None:
    """The verdict that a test's report carries, from a worker of pytest-xdist too."""
    return _property(report, _VERDICT)


def _property(report: object, wanted: str) -> dict[str, Any] | None:
    if getattr(report, "when", None) != "call":
        return None
    for name, value in getattr(report, "user_properties", ()):
        if name == wanted:
            found: dict[str, Any] = json.loads(str(value))
            return found
    return None

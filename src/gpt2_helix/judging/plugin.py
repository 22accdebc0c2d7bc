"""The pytest plugin: runs claims as tests, and shows and writes the verdicts.

A function marked ``claim`` is collected as a ``ClaimItem``, which judges it on the subject under
test and on its controls. Another plugin, or a conftest.py, says what is judged: it implements the
hook ``pytest_judging_suite``.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gpt2_helix.judging.claim import Claim, ClaimError, Found
from gpt2_helix.judging.collect import claim_of
from gpt2_helix.judging.errors import InputError, MissingInputError
from gpt2_helix.judging.expected import Expected
from gpt2_helix.judging.files import check_file, check_folder, given_path
from gpt2_helix.judging.progress import Progress
from gpt2_helix.judging.records import adapter
from gpt2_helix.judging.report import ClaimVerdict, Report, write
from gpt2_helix.judging.suite import Suite
from gpt2_helix.judging.trial import Assessment, Trial

_TRIAL = pytest.StashKey[Trial]()
_PROGRESS = pytest.StashKey[Progress]()
_EXPECTED = pytest.StashKey[Expected | None]()
_BAD_INPUT = pytest.StashKey[str]()
_SESSION = pytest.StashKey[pytest.Session]()
_VERBOSE = pytest.StashKey[int]()
_JUDGED, _ERROR = "claim", "bad input"
"""What a test's report carries, from a worker of pytest-xdist too."""


@dataclass(frozen=True)
class Judged:
    """A verdict, and the parts of the subject that were found so far."""

    verdict: ClaimVerdict
    found: dict[str, Found]


class Hooks:
    """What the engine asks of other plugins."""

    @pytest.hookspec(firstresult=True)
    def pytest_judging_suite(self, config: pytest.Config) -> Suite | None:
        """Say what is judged; ``InputError`` if an option is wrong."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hook."""
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of reports."""
    group = parser.getgroup("judging", "judging claims")
    group.addoption(
        "--claims-json", metavar="FILE", type=given_path, help="write the verdicts to this file"
    )
    group.addoption(
        "--expect",
        metavar="FILE",
        type=given_path,
        help="verdicts written by --claims-json: a claim that is refuted there is expected to be, "
        "and another verdict, bound or subject is a failure",
    )
    group.addoption(
        "--report",
        metavar="FOLDER",
        type=given_path,
        help="write an HTML page of verdicts to this folder",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and have pytest itself say little where claims alone are judged."""
    config.stash[_VERBOSE] = config.option.verbose
    if _only_claims(config):
        config.option.verbose -= 2
    config.addinivalue_line(
        "markers",
        "claim(id, statement, post, needs, tolerance, set, why, refuted_by): a claim",
    )
    config.pluginmanager.register(_BadInput(config))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Open the subject before claims are collected, so that a wrong name ends the run at once.

    The process that starts pytest-xdist's workers opens it too: there, an error in a worker would
    end in an internal error.
    """
    config = session.config
    config.stash[_SESSION] = session
    claims = config.rootpath / "claims"
    asked = any(claims.is_relative_to(p) or p.is_relative_to(claims) for p in _asked(config))
    if asked and not config.option.collectonly:
        _open(config)
        if reporter := config.pluginmanager.getplugin("terminalreporter"):
            _show_heading(config, reporter)


def _asked(config: pytest.Config) -> list[Path]:
    """Files and folders that the run was started with."""
    here = config.invocation_params.dir
    return [(here / argument.partition("::")[0]).resolve() for argument in config.args]


def _only_claims(config: pytest.Config) -> bool:
    asked = _asked(config)
    claims = config.rootpath / "claims"
    return bool(asked) and all(path.is_relative_to(claims) for path in asked)


def _open(config: pytest.Config) -> None:
    """Open the subject, or end the run with one line and exit code 4."""
    try:
        suite: Suite | None = config.hook.pytest_judging_suite(config=config)
        if suite is None:
            raise pytest.UsageError("expected a plugin that says what is judged, found none")
        expected = config.getoption("--expect")
        config.stash[_EXPECTED] = Expected.read(expected) if expected else None
        _check_reports(config.getoption("--claims-json"), config.getoption("--report"))
        config.stash[_TRIAL] = Trial(suite, suite.open())
    except (InputError, MissingInputError) as error:
        raise pytest.UsageError(str(error)) from None


def _check_reports(file: Path | None, folder: Path | None) -> None:
    """Refuse reports that could not be written, before claims are judged."""
    if file is not None:
        check_file("--claims-json", file)
    if folder is not None:
        check_folder("--report", folder)


class ClaimItem(pytest.Item):
    """A claim as a test: passes if confirmed or described, fails if refuted, else is skipped."""

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
        trial, claim = self.config.stash[_TRIAL], self.claim
        try:
            with _on_the_terminal(self.config), self.config.stash[_PROGRESS].next_claim():
                verdict, found = trial.run(claim, self.function)
        except InputError as error:
            self.user_properties.append((_ERROR, f"{claim.id}: {error}"))
            pytest.fail(f"{claim.id}: {error}", pytrace=False)
        judged = adapter(Judged).dump_json(Judged(verdict, trial.about().found))
        self.user_properties.append((_JUDGED, judged.decode()))
        self._check_expected(verdict)
        self._pass_fail_or_skip(verdict, found)

    def _check_expected(self, verdict: ClaimVerdict) -> None:
        """Fail unless the verdict is the one that is expected; then a refuted claim is no news."""
        expected = self.config.stash[_EXPECTED]
        if expected is None:
            return
        about = self.config.stash[_TRIAL].about()
        if why := expected.of_another_subject(about) or expected.differs(verdict):
            pytest.fail(why, pytrace=False)
        if verdict.verdict == "refuted":
            pytest.xfail("refuted, as recorded")

    def _pass_fail_or_skip(self, verdict: ClaimVerdict, found: Assessment) -> None:
        """Confirmed and described pass, refuted fails; the rest is skipped, with the reason."""
        if found.raised is not None and self.config.option.tbstyle != "auto":
            raise found.raised
        why = f"{verdict.id}: {verdict.reason}"
        if verdict.verdict in {"refuted", "error"}:
            pytest.fail(why, pytrace=False)
        if verdict.verdict in {"undecided", "blocked"} and self.config.getini("strict"):
            pytest.fail(f"{verdict.verdict}: {why}", pytrace=False)
        if verdict.verdict in {"undecided", "n/a", "blocked"}:
            pytest.skip(f"{verdict.verdict}: {why}")


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
    """Make sure that a subject is open, and refuse claims that contradict others or the suite."""
    claims = [item.claim for item in items if isinstance(item, ClaimItem)]
    ids = [claim.id for claim in claims]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise pytest.UsageError(f"expected one claim for each identifier, found two {twice[0]}")
    if not claims or config.option.collectonly:
        return
    if _TRIAL not in config.stash:
        _open(config)
    try:
        for claim in claims:
            config.stash[_TRIAL].suite.check(claim)
    except ClaimError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Plan the claims that are to be judged, and say so if they take long."""
    config = session.config
    claims = [item.claim for item in session.items if isinstance(item, ClaimItem)]
    if not claims or config.option.collectonly:
        return
    trial, plan = config.stash[_TRIAL], None
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if not hasattr(config, "workerinput") and not config.getoption("numprocesses", None):
        try:
            with _on_the_terminal(config):
                plan = trial.suite.plan(trial.subject, claims)
        except InputError as error:
            raise pytest.UsageError(str(error)) from None
    config.stash[_PROGRESS] = Progress(trial, len(claims), plan)
    if plan and plan.said and reporter:
        from gpt2_helix.judging import terminal  # Not above: it imports rich.

        width = config.get_terminal_writer().fullwidth
        reporter.write_line(terminal.wrapped([plan.said], width))


def _on_the_terminal(config: pytest.Config) -> AbstractContextManager[None]:
    """Let progress through to a terminal: pytest captures output otherwise.

    While it does, stderr is a file whatever it was, so pytest's own reporter is asked.
    """
    capture = config.pluginmanager.getplugin("capturemanager")
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if capture and reporter and reporter.isatty:
        return capture.global_and_fixture_disabled()
    return nullcontext()


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
        terminalreporter.stats.pop("failed", None)
        yield
        terminalreporter.write_line(f"ERROR: {config.stash[_BAD_INPUT]}", red=True)
        return
    failed = terminalreporter.stats.get("failed", [])
    short = [r for r in failed if config.option.tbstyle == "auto" and _judged(r)]
    terminalreporter.stats["failed"] = [report for report in failed if report not in short]
    yield
    terminalreporter.stats["failed"] = failed
    if not failed:
        del terminalreporter.stats["failed"]
    tests = [test for some in terminalreporter.stats.values() for test in some]
    if report := _report(config, tests):
        untold = [test for test in short if not _told_by_a_statement(config, test)]
        why = [str(test.longrepr.reprcrash.message).removeprefix("Failed: ") for test in untold]
        _show(terminalreporter, config, report, why)
        if (expected := config.stash[_EXPECTED]) and not failed:
            terminalreporter.write_line("\n".join(expected.told(report)))
        try:
            _write(config, report)
        except InputError as error:
            terminalreporter.write_line(f"ERROR: {error}", red=True)
            config.stash[_SESSION].exitstatus = pytest.ExitCode.USAGE_ERROR


def _told_by_a_statement(config: pytest.Config, test: pytest.TestReport) -> bool:
    """Whether the screen says of a statement what this test failed of: that a claim is refuted."""
    judged = _judged(test)
    if judged is None or config.stash[_EXPECTED] or config.stash[_VERBOSE] < 0:
        return False
    return judged.verdict.verdict == "refuted" and judged.verdict.statement is not None


def _report(config: pytest.Config, tests: Sequence[object]) -> Report | None:
    """The report of what these tests carry; None if they are no claims."""
    judged = [one for test in tests if (one := _judged(test))]
    if not judged:
        return None
    trial = config.stash[_TRIAL]
    # Workers of pytest-xdist find parts of the subject, each for the claims that it judged.
    found = dict(sorted(item for one in judged for item in one.found.items()))
    return trial.report(replace(trial.about(), found=found), [one.verdict for one in judged])


def _show_heading(config: pytest.Config, reporter: pytest.TerminalReporter) -> None:
    """Say what is under test before it is judged, but for what is found meanwhile."""
    from gpt2_helix.judging import terminal  # Not above: it imports rich.

    trial, width = config.stash[_TRIAL], config.get_terminal_writer().fullwidth
    reporter.write_line(terminal.heading(trial.about(), trial.suite.words, width))


def _show(
    reporter: pytest.TerminalReporter, config: pytest.Config, report: Report, why: Sequence[str]
) -> None:
    """Show verdicts on one screen: more with -v, everything with -vv; and why tests failed."""
    from gpt2_helix.judging import terminal, wording  # Not above: it imports rich.

    words, writer = config.stash[_TRIAL].suite.words, config.get_terminal_writer()
    width, colour, verbose = writer.fullwidth, writer.hasmarkup, config.stash[_VERBOSE]
    parts = [terminal.wrapped(wording.found(report.subject), width)]
    if verbose >= 0:
        parts.append(terminal.found(report, words, width, colour=colour))
        parts.append(terminal.statements(report, words, width, colour=colour))
    if verbose > 0:
        parts.append(terminal.claims(report, words, width, verbose=verbose > 1, colour=colour))
    if why:
        parts.append(terminal.wrapped(why, width))
    for part in filter(None, parts):
        reporter.write_line(part)
    reporter.write_line(terminal.wrapped([wording.counts(report)], width))
    if not verbose:
        reporter.write_line(terminal.MORE)


def _write(config: pytest.Config, report: Report) -> None:
    """Write the reports that options ask for."""
    suite = config.stash[_TRIAL].suite
    if path := config.getoption("--claims-json"):
        write(path, report)
    if folder := config.getoption("--report"):
        from gpt2_helix.judging import page

        page.write(folder, report, suite.words, suite.figures(report))


def _judged(test: object) -> Judged | None:
    """What the report of a claim's test carries."""
    if getattr(test, "when", None) == "call":
        for name, value in getattr(test, "user_properties", ()):
            if name == _JUDGED:
                return adapter(Judged).validate_json(value)
    return None

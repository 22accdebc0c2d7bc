"""From a claim to a verdict: ``confirmed``, ``refuted`` or ``blocked``; and the pytest plugin.

A claim is a pytest function marked ``claim`` that takes ``subject`` and ``measured``. It measures
the subject, says what it measured, and asserts. The plugin calls it on the subject under test
and, in the same test, on every control that it names, so that no choice of tests, and no order or
distribution of them, changes a verdict.
"""

import contextlib
import inspect
import json
import math
import operator
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Final, Literal

import pytest

SCHEMA = 1
FAMILIES = (
    "architecture",
    "positions",
    "helix",
    "averaging",
    "kernels",
    "output",
    "repetition",
    "heads",
)
TABLE_WIDTH = 150
"""Columns that the table needs."""

Verdict = Literal["confirmed", "refuted", "blocked"]
CONFIRMED: Final = "confirmed"
REFUTED: Final = "refuted"
BLOCKED: Final = "blocked"
Number = float | int | bool
MeasuredValue = Number | dict[str, Number]

_COMPARE: dict[str, Callable[[Number, Number], bool]] = {
    "==": operator.eq,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_BOUND = re.compile(r"(==|>=|<=|>|<) (\S+)")


class ClaimError(Exception):
    """A claim that contradicts itself: it can give no verdict."""


@dataclass(frozen=True)
class Claim:
    """What a claim declares of itself.

    Attributes
    ----------
    id
        Its fixed identifier, ``family.name``.
    post
        Where in the post it comes from.
    needs
        What must be at hand: ``config``, ``P`` (positions), ``A`` (attention) or ``F`` (all).
    tolerance
        Name of what is measured to the bound it must keep, such as ``">= 0.85"``; of several
        numbers measured under one name, each must keep it. The function's own assertions decide; a
        bound that does not say the same is an error.
    why
        Why the tolerance is what it is.
    refuted_by
        Controls on which the claim must come out refuted, at least one.
    """

    id: str
    post: str
    needs: Literal["config", "P", "A", "F"]
    tolerance: Mapping[str, str]
    why: str
    refuted_by: Sequence[str]

    def __post_init__(self) -> None:
        if self.id.split(".")[0] not in FAMILIES:
            raise ClaimError(f"{self.id}: expected a family of {', '.join(FAMILIES)}")
        for name, bound in self.tolerance.items():
            if not _BOUND.fullmatch(bound):
                raise ClaimError(f"{self.id}: expected a bound like '>= 1', found {name} {bound}")
        if not self.tolerance or not self.refuted_by:
            raise ClaimError(f"{self.id}: expected a tolerance and a control, found none")


@dataclass(frozen=True)
class ControlVerdict:
    """What a claim said of a broken model, and why if it could not be asked."""

    name: str
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True)
class ClaimVerdict:
    """What came of a claim; the fields are those of the JSON report."""

    id: str
    needs: str
    verdict: Verdict
    evidence: Literal["live", "recorded"]
    measured: dict[str, MeasuredValue]
    tolerance: dict[str, str]
    missing: list[str]
    controls: list[ControlVerdict]
    reason: str


class Measured:
    """The ``measured`` fixture: a claim calls it with the numbers that it is about to judge."""

    def __init__(self) -> None:
        self.values: dict[str, MeasuredValue] = {}

    def __call__(self, **values: Number | Mapping[Any, Number]) -> None:
        """Keep numbers by name, or several by name and key; each must be finite."""
        from gpt2_helix.subjects import SubjectError

        for name, value in values.items():
            kept: MeasuredValue = (
                {str(key): number for key, number in value.items()}
                if isinstance(value, Mapping)
                else value
            )
            for number in _numbers(kept):
                if not math.isfinite(number):
                    raise SubjectError(f"expected {name} to be a finite number, found {number}")
            self.values[name] = kept


def judge(
    claim: Claim,
    assess: Callable[[Any, Measured], None],
    subject: Any,
    control: Callable[[str], Any],
) -> tuple[ClaimVerdict, BaseException | None]:
    """Assess a claim on a subject and on its controls.

    Parameters
    ----------
    claim
        What it declares.
    assess
        The claim's function, called with a subject and a place for what it measures.
    subject
        The model under test.
    control
        Gives the broken model of a name.

    Returns
    -------
    The verdict, and what the claim raised on the subject, if anything.
    """
    from gpt2_helix.subjects import MissingTensorError, SubjectError

    verdict, numbers, raised = _assess(claim, assess, subject)
    missing = raised.missing if isinstance(raised, MissingTensorError) else []
    controls: list[ControlVerdict] = []
    reason = ""
    if verdict != BLOCKED:
        for name in claim.refuted_by:
            try:
                broken = control(name)
            except (MissingTensorError, SubjectError) as absent:
                controls.append(ControlVerdict(name, BLOCKED, str(absent)))
                continue
            said, _, why = _assess(claim, assess, broken)
            controls.append(ControlVerdict(name, said, str(why) if said == BLOCKED else ""))
        standing = [c.name for c in controls if c.verdict == CONFIRMED]
        if standing:
            reason = f"the claim does not refute {', '.join(standing)}"
        elif all(c.verdict == BLOCKED for c in controls):
            reason = f"no control could be judged ({controls[0].reason})"
        if reason:
            verdict = REFUTED
    return (
        ClaimVerdict(
            id=claim.id,
            needs=claim.needs,
            verdict=verdict,
            evidence="recorded" if subject.recorded_on else "live",
            measured=numbers,
            tolerance=dict(claim.tolerance),
            missing=missing,
            controls=controls,
            reason=reason,
        ),
        raised,
    )


def _assess(
    claim: Claim, assess: Callable[[Any, Measured], None], model: Any
) -> tuple[Verdict, dict[str, MeasuredValue], BaseException | None]:
    from gpt2_helix.subjects import MissingTensorError

    measured = Measured()
    raised: BaseException | None = None
    try:
        assess(model, measured)
    except MissingTensorError as missing:
        return BLOCKED, {}, missing
    except AssertionError as failure:
        raised = failure
    numbers = {name: _rounded(value) for name, value in measured.values.items()}
    if absent := claim.tolerance.keys() - measured.values.keys():
        raise ClaimError(
            f"{claim.id}: expected {', '.join(sorted(absent))} to be measured, found it was not"
        )
    kept = all(
        keeps(number, bound)
        for name, bound in claim.tolerance.items()
        for number in _numbers(measured.values[name])
    )
    if kept != (raised is None):
        raise ClaimError(
            f"{claim.id}: expected its assertions and its tolerance to agree, found "
            f"{'all bounds kept' if kept else 'a bound broken'} and "
            f"{'an assertion that failed' if raised else 'no assertion that failed'}: {numbers}"
        )
    return (REFUTED if raised else CONFIRMED), numbers, raised


def keeps(value: Number, bound: str) -> bool:
    """Whether a number keeps a bound such as ``">= 0.85"``."""
    comparison, limit = bound.split()
    return _COMPARE[comparison](value, float(limit))


def _numbers(value: MeasuredValue) -> list[Number]:
    return list(value.values()) if isinstance(value, dict) else [value]


def _rounded(value: MeasuredValue) -> Any:
    from gpt2_helix.records import rounded

    if isinstance(value, dict):
        return {key: _rounded(number) for key, number in value.items()}
    if isinstance(value, bool):
        return value
    return int(value) if isinstance(value, int) else rounded(float(value))


def table(verdicts: Sequence[Mapping[str, Any]], subject: Mapping[str, Any], width: int) -> str:
    """Verdicts as text, one block of lines a claim: each measured number beside its bound.

    Parameters
    ----------
    verdicts, subject
        ``claims`` and ``subject`` of the JSON report.
    width
        Columns to print on.
    """
    from rich import box
    from rich.table import Table

    evidence = str(subject["evidence"])
    if subject["recorded_on"]:
        sha256 = subject["digests"]["wpe.weight"]
        evidence += f" {subject['recorded_on']}\nfrom {sha256[:8]}"
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    grid.add_column("replication" if subject.get("replication") else "claim", no_wrap=True)
    grid.add_column("measured", no_wrap=True)
    grid.add_column("", justify="right", no_wrap=True)
    grid.add_column("tolerance", no_wrap=True)
    grid.add_column("verdict", no_wrap=True)
    grid.add_column("evidence", no_wrap=True)
    grid.add_column("controls\nrefuted", justify="right", no_wrap=True)
    for v in verdicts:
        refuted = sum(c["verdict"] == REFUTED for c in v["controls"])
        lines = [
            (label, f"{number:.4g}", v["tolerance"].get(name, ""))
            for name, value in v["measured"].items()
            for label, number in labelled(name, value)
        ]
        if v["verdict"] == BLOCKED:
            more = f" and {len(v['missing']) - 2} more" if len(v["missing"]) > 2 else ""
            lacks = "not recorded:" if v["evidence"] == "recorded" else "missing"
            lines = [(f"{lacks} {', '.join(v['missing'][:2])}{more}", "", "")]
        columns = ["\n".join(column) for column in zip(*lines, strict=True)]
        grid.add_row(
            v["id"],
            *columns,
            _shown(v["verdict"]),
            evidence,
            f"{refuted}/{len(v['controls'])}" if v["controls"] else "-",
        )
    return _printed(grid, width)


def side_by_side(reports: Sequence[Mapping[str, Any]], width: int) -> str:
    """Verdicts on several subjects as text, for each claim a verdict and its bounded numbers.

    Parameters
    ----------
    reports
        JSON reports on the same claims.
    width
        Columns to print on.
    """
    from rich import box
    from rich.table import Table

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in ("replication", "measured", "tolerance"):
        grid.add_column(heading, no_wrap=True)
    for report in reports:
        name = str(report["subject"]["name"]).removeprefix("recorded:")
        grid.add_column(name, justify="right", no_wrap=True)
    for same_claim in zip(*(report["claims"] for report in reports), strict=True):
        cells = [_bounded(claim) for claim in same_claim]
        labels = list(dict.fromkeys(label for numbers in cells for label in numbers))
        tolerance = same_claim[0]["tolerance"]
        bounds = [tolerance[label.split()[0]] for label in labels]
        grid.add_row(
            same_claim[0]["id"],
            "\n".join(["", *labels]),
            "\n".join(["", *bounds]),
            *(
                "\n".join([_shown(claim["verdict"]), *(n.get(label, "-") for label in labels)])
                for claim, n in zip(same_claim, cells, strict=True)
            ),
        )
    return _printed(grid, width)


def _bounded(claim: Mapping[str, Any]) -> dict[str, str]:
    """Of what a claim measured, the numbers that have a bound."""
    return {
        label: f"{number:.4g}"
        for name, value in claim["measured"].items()
        if name in claim["tolerance"]
        for label, number in labelled(name, value)
    }


def _shown(verdict: str) -> str:
    return verdict.upper() if verdict == REFUTED else verdict


def _printed(grid: Any, width: int) -> str:
    from rich.console import Console

    out = StringIO()
    Console(file=out, width=width, force_terminal=False, highlight=False).print(grid)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())


def labelled(name: str, value: MeasuredValue) -> list[tuple[str, Number]]:
    """Measured numbers with what to call them: one, or one for each key."""
    if isinstance(value, dict):
        return [(f"{name} {key}", number) for key, number in value.items()]
    return [(name, value)]


def describe(subject: Any) -> str:
    """One line on what is under test and what the evidence is."""
    how = f"recorded on {subject.recorded_on}" if subject.recorded_on else "live"
    if is_replication(subject):
        how += ", a replication: not GPT-2 small"
    at = f" at {subject.commit[:8]}" if subject.commit else ""
    shown = [n for n in sorted(subject.digests) if not n.startswith("h.")]
    digests = [f"{name} {subject.digests[name][:8]}" for name in shown]
    return f"{subject.name}{at}, {how}" + (f" (sha256 of {', '.join(digests)})" if digests else "")


def is_replication(subject: Any) -> bool:
    """Whether what is measured is another model than the claims speak of.

    GPT-2 small is known by the digest of its positions; a model that is broken, or built, on
    purpose replicates nothing.
    """
    from gpt2_helix.subjects.source import BUILT_PREFIX, CONTROL
    from gpt2_helix.subjects.table import HUB_MODELS

    known = HUB_MODELS["gpt2"].W_pos_sha256
    made = subject.name.startswith((CONTROL, BUILT_PREFIX))
    return known not in subject.digests.values() and not made


# --- pytest ---------------------------------------------------------------------------------

_SUBJECT = pytest.StashKey[Any]()
_CONTROLS = pytest.StashKey[dict[str, Any]]()
_EXPECTED = pytest.StashKey[dict[str, str]]()
_PROPERTY = "claim"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of ``pytest claims/``."""
    group = parser.getgroup("gpt2-helix")
    group.addoption(
        "--subject",
        metavar="NAME_OR_FOLDER",
        help="model under test: gpt2 or another name of the table of subjects, mini, minilm, "
        "built:NAME, control:NAME[:SUBJECT], recorded:NAME, or a folder with config.json and "
        "model.safetensors (default: gpt2, or what data/ recorded of it)",
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
        help="windows of 512 tokens of it; fewer are quicker and less certain "
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
        "and any other verdict than there is a failure",
    )
    group.addoption(
        "--report", metavar="DIR", type=Path, help="write a page on the verdicts into this folder"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers", "claim(id, post, needs, tolerance, why, refuted_by): a claim, and its terms"
    )
    config.stash[_CONTROLS] = {}


def put_under_test(config: pytest.Config) -> None:
    """Open the subject that ``--subject`` names, or end the run with one line and exit code 4."""
    from gpt2_helix.subjects import MissingTensorError, SubjectError, open_subject
    from gpt2_helix.texts import WINDOWS, Material

    data = config.rootpath / "data"
    material = Material(
        (config.getoption("--corpus") or data / "texts",),
        config.getoption("--windows") or WINDOWS,
        config.getoption("--prompt"),
    )
    try:
        config.stash[_EXPECTED] = _expected(config.getoption("--expect"))
        config.stash[_SUBJECT] = open_subject(config.getoption("--subject"), data, material)
    except (SubjectError, MissingTensorError) as error:
        raise pytest.UsageError(str(error)) from None


def _expected(path: Path | None) -> dict[str, str]:
    """Verdicts by claim, of a JSON report."""
    from gpt2_helix.subjects import SubjectError

    if path is None:
        return {}
    try:
        claims = json.loads(path.read_text(encoding="utf-8"))["claims"]
        return {claim["id"]: claim["verdict"] for claim in claims}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SubjectError(
            f"--expect: expected {path} as --claims-json writes it, found {error!r}"
        ) from None


@pytest.fixture
def subject(request: pytest.FixtureRequest) -> Any:
    """The model under test; in the calls that the plugin adds, each control in turn."""
    return request.config.stash[_SUBJECT]


@pytest.fixture
def measured() -> Measured:
    """Call it with the numbers that the claim is about to judge, by name."""
    return Measured()


def claim_of(function: pytest.Function) -> Claim | None:
    """What a test function declares with the ``claim`` marker, if it carries one."""
    marker = function.get_closest_marker("claim")
    return Claim(*marker.args, **marker.kwargs) if marker else None


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Judge a claim instead of merely calling it."""
    claim = claim_of(pyfuncitem)
    if claim is None:
        return None
    from gpt2_helix.subjects import SubjectError

    config = pyfuncitem.config
    subject = config.stash[_SUBJECT]

    def assess(model: Any, measured: Measured) -> None:
        pyfuncitem.obj(subject=model, measured=measured)

    try:
        with _on_the_terminal(config):
            verdict, raised = judge(claim, assess, subject, lambda name: _control(config, name))
    except SubjectError as error:
        pytest.exit(f"{claim.id}: {error}", returncode=pytest.ExitCode.USAGE_ERROR)
    terms = {"says": inspect.getdoc(pyfuncitem.obj), "post": claim.post, "why": claim.why}
    pyfuncitem.user_properties.append((_PROPERTY, json.dumps({**asdict(verdict), **terms})))
    strict = bool(config.getini("strict"))
    if expected := config.stash[_EXPECTED]:
        recorded = expected.get(claim.id, "no verdict")
        if verdict.verdict != recorded:
            why = f"{claim.id}: expected {recorded} as recorded, found {verdict.verdict}"
            pytest.fail(why, pytrace=False)
        if verdict.verdict == REFUTED:
            pytest.xfail("refuted, as recorded")
    if verdict.verdict == BLOCKED:
        why = f"blocked: {raised}"
        pytest.fail(why, pytrace=False) if strict else pytest.skip(why)
    if raised is not None:
        raise raised
    if verdict.reason:
        pytest.fail(verdict.reason, pytrace=False)
    unasked = [c for c in verdict.controls if c.verdict == BLOCKED]
    if strict and unasked:
        pytest.fail(f"control {unasked[0].name} blocked: {unasked[0].reason}", pytrace=False)
    return True


@contextlib.contextmanager
def _on_the_terminal(config: pytest.Config) -> Iterator[None]:
    """Let progress bars through where someone looks on: pytest keeps output back otherwise."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None or not sys.__stderr__ or not sys.__stderr__.isatty():
        yield
        return
    with capture.global_and_fixture_disabled():
        yield


def _control(config: pytest.Config, name: str) -> Any:
    """The broken model of a name, built once a run."""
    from gpt2_helix import controls

    built = config.stash[_CONTROLS]
    if name not in built:
        built[name] = controls.build(name, config.stash[_SUBJECT])
    return built[name]


def pytest_report_collectionfinish(config: pytest.Config) -> str | None:
    """Say which model is under test."""
    if _SUBJECT not in config.stash:
        return None
    return f"subject: {describe(config.stash[_SUBJECT])}"


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table of verdicts and write the JSON report."""
    verdicts = _in_order(terminalreporter)
    if not verdicts:
        return
    subject = config.stash[_SUBJECT]
    about = {
        "name": subject.name,
        "evidence": "recorded" if subject.recorded_on else "live",
        "recorded_on": subject.recorded_on,
        "commit": subject.commit,
        "replication": is_replication(subject),
        "digests": subject.digests,
    }
    width = max(terminalreporter._tw.fullwidth, TABLE_WIDTH)
    terminalreporter.section("claims")
    terminalreporter.write_line(f"subject: {describe(subject)}\n")
    terminalreporter.write_line(table(verdicts, about, width))
    counts = [
        f"{sum(v['verdict'] == verdict for v in verdicts)} {verdict}"
        for verdict in (CONFIRMED, REFUTED, BLOCKED)
    ]
    terminalreporter.write_line("\n" + ", ".join(counts))
    path = config.getoption("--claims-json")
    if path:
        from gpt2_helix.records import write_json

        write_json(path, {"schema": SCHEMA, "subject": about, "claims": verdicts})
    folder = config.getoption("--report")
    if folder:
        from gpt2_helix import report

        report.write(folder, about, verdicts, config.rootpath / "figures")


def _in_order(terminalreporter: pytest.TerminalReporter) -> list[dict[str, Any]]:
    """Verdicts of all reports, those from workers of pytest-xdist too, family after family."""
    verdicts = [
        json.loads(str(value))
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == _PROPERTY
    ]
    return sorted(verdicts, key=lambda v: (FAMILIES.index(v["id"].split(".")[0]), v["id"]))

"""A claim, its terms, and how it gets a verdict: ``confirmed``, ``refuted`` or ``blocked``.

A claim is a function that takes a subject and ``measured``. It measures the subject, passes the
numbers to ``measured`` and asserts the result. It is judged on the subject and on each control
that it names, one after the other, so a verdict does not depend on which tests run, nor in which
order.

Nothing here knows pytest, or any particular model.
"""

import inspect
import math
import operator
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Protocol, TypeVar

from gpt2_helix.judging.errors import DegenerateModelError, MissingInputError, SubjectError
from gpt2_helix.suite.statements import STATEMENTS

Result = TypeVar("Result")
Verdict = Literal["confirmed", "refuted", "blocked"]
CONFIRMED: Final = "confirmed"
REFUTED: Final = "refuted"
BLOCKED: Final = "blocked"
PARTLY: Final = "partly judged"
Evidence = Literal["live", "recorded", "published"]
Number = float | int | bool
MeasuredValue = Number | dict[str, Number]

DIGITS = 6
"""Significant digits of every number that is kept."""

_COMPARE: dict[str, Callable[[Number, Number], bool]] = {
    "==": operator.eq,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_BOUND = re.compile(r"(==|>=|<=|>|<) -?\d*\.?\d+(e-?\d+)?")
_ID = re.compile(r"[a-z0-9-]+\.[a-z0-9-]+")


class ClaimError(Exception):
    """A claim that contradicts itself, so it can give no verdict."""


class Subject(Protocol):
    """The model under test, as a claim sees it.

    Attributes
    ----------
    name
        As the user gave it.
    evidence
        ``live`` if it is measured in this run, ``recorded`` if this project measured it earlier,
        ``published`` if others did.
    digests
        File or tensor name to hexadecimal sha256.
    recorded_on
        Date of the measurements; None if they are made in this run.
    source
        Where published measurements come from; None if they are this project's.
    commit
        Commit of the hub repository that it was read from; None if unknown or from elsewhere.
    """

    name: str
    evidence: Evidence
    digests: dict[str, str]
    recorded_on: str | None
    source: str | None
    commit: str | None

    @property
    def unnamed_heads(self) -> Collection[str]:
        """Which heads nobody named, so that they are found when a claim asks for them.

        Fields of ``models.config.Config``.
        """

    def measure(self, measurement: Callable[..., Result]) -> Result:
        """Result of a function of ``gpt2_helix.measure`` on this subject; the same every time.

        Raises
        ------
        MissingInputError
            If the subject lacks what the measurement needs.
        """


@dataclass(frozen=True)
class Claim:
    """The terms of a claim.

    Attributes
    ----------
    id
        Its fixed identifier, ``family.name``.
    statement
        Key of ``statements.STATEMENTS``: what it helps to decide.
    post
        The section of the post.
    needs
        Inputs: ``config``, ``P`` (positions), ``A`` (attention), ``F`` (the full model), ``D``
        (published measurements); combined by commas.
    tolerance
        Measured name to its bound, such as ``">= 0.85"``. Where several numbers are measured under
        one name, each must keep it. The first is shown where there is room for one.
    why
        Why the tolerance is what it is.
    refuted_by
        Controls on which the claim must be refuted, at least one.
    refuted_by_published
        The same where the evidence is published: broken copies of what was published.
    settled_by_finding
        Measured name to the heads that it is about, where finding these heads settles it: on a
        subject whose heads nobody named, its bound is not asked for.
    """

    id: str
    statement: str
    post: str
    needs: str
    tolerance: Mapping[str, str]
    why: str
    refuted_by: Sequence[str]
    refuted_by_published: Sequence[str] = ()
    settled_by_finding: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ClaimError(f"{self.id}: expected an identifier like family.name")
        if self.statement not in STATEMENTS:
            raise ClaimError(
                f"{self.id}: expected a statement of {', '.join(STATEMENTS)}, "
                f"found {self.statement!r}"
            )
        for name, bound in self.tolerance.items():
            if not is_bound(bound):
                raise ClaimError(f"{self.id}: expected a bound like '>= 1', found {name} {bound}")
        if not self.tolerance or not self.refuted_by:
            raise ClaimError(f"{self.id}: expected a tolerance and a control, found none")

    def asked_of(self, subject: Subject) -> "Claim":
        """The claim without the bounds that finding the subject's heads settles."""
        found = {
            name
            for name, heads in self.settled_by_finding.items()
            if heads in subject.unnamed_heads
        }
        return replace(self, tolerance={n: b for n, b in self.tolerance.items() if n not in found})


@dataclass(frozen=True)
class ControlVerdict:
    """The verdict on a broken model, and the reason if there is one to give."""

    name: str
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True)
class ClaimVerdict:
    """The verdict on a claim; the fields are those of the JSON report.

    ``settled`` are the measured names whose bounds were not asked for, as finding the subject's
    heads settles them; the JSON report leaves it out where there are none.
    """

    id: str
    statement: str
    needs: str
    verdict: Verdict
    evidence: Evidence
    source: str | None
    measured: dict[str, MeasuredValue]
    tolerance: dict[str, str]
    missing: list[str]
    controls: list[ControlVerdict]
    reason: str
    says: str
    post: str
    why: str
    settled: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What ``measured`` returns: true if every bound was kept; shows the broken ones if not."""

    broken: tuple[str, ...]

    def __bool__(self) -> bool:
        return not self.broken

    def __repr__(self) -> str:
        return "; ".join(self.broken) or "every bound kept"


class Measured:
    """The ``measured`` argument of a claim: keeps the numbers and compares them with the bounds.

    Parameters
    ----------
    tolerance
        Measured name to its bound.
    """

    def __init__(self, tolerance: Mapping[str, str]) -> None:
        self.tolerance = tolerance
        self.values: dict[str, MeasuredValue] = {}

    def __call__(self, **values: Number | Mapping[Any, Number]) -> Outcome:
        """Keep numbers by name, or several by name and key; each must be finite."""
        for name, value in values.items():
            kept: MeasuredValue = (
                {str(key): number for key, number in value.items()}
                if isinstance(value, Mapping)
                else value
            )
            for label, number in labelled(name, kept):
                if not math.isfinite(number):
                    raise SubjectError(f"expected {label} to be a finite number, found {number}")
            self.values[name] = kept
        return Outcome(tuple(self._broken(values)))

    @property
    def broken(self) -> tuple[str, ...]:
        """Every bound that a measured number breaks, as ``climb 0.03, must be >= 0.95``."""
        return tuple(self._broken(self.values))

    def _broken(self, names: Mapping[str, object]) -> Iterator[str]:
        for name in names:
            bound = self.tolerance.get(name)
            for label, number in labelled(name, self.values[name]):
                if bound and not keeps(number, bound):
                    yield f"{label} {number:.4g}, must be {bound}"


@dataclass(frozen=True)
class Assessment:
    """A claim's function called on one model."""

    verdict: Verdict
    numbers: dict[str, MeasuredValue]
    reason: str = ""
    missing: tuple[str, ...] = ()
    raised: AssertionError | None = None


Assess = Callable[..., None]


def judge(
    claim: Claim,
    assess: Assess,
    subjects: Sequence[Subject],
    control: Callable[[Subject, str], Subject],
) -> tuple[ClaimVerdict, Assessment]:
    """Judge a claim on the strongest evidence that it is not blocked on, and on its controls.

    Parameters
    ----------
    claim
        Its terms.
    assess
        Its function, called with a ``subject`` and a ``measured``; its docstring says what the
        claim says.
    subjects
        The model under test first, then weaker evidence on the same model.
    control
        Gives the broken copy of a subject, by name.

    Returns
    -------
    The verdict, and what calling the claim's function on the subject gave.
    """
    subject, asked = subjects[0], claim.asked_of(subjects[0])
    found = assess_on(asked, assess, subject)
    for weaker in subjects[1:]:
        if found.verdict != BLOCKED:
            break
        asked_of_weaker = claim.asked_of(weaker)
        retried = assess_on(asked_of_weaker, assess, weaker)
        if retried.verdict != BLOCKED:
            subject, asked, found = weaker, asked_of_weaker, retried
    controls: list[ControlVerdict] = []
    verdict, reason = found.verdict, found.reason
    asked = claim if verdict == BLOCKED else asked
    if verdict != BLOCKED:
        published = subject.evidence == "published"
        names = claim.refuted_by_published if published else claim.refuted_by
        controls = [_assess_control(asked, assess, subject, name, control) for name in names]
        if reason_of_controls := _not_refuted(controls):
            verdict, reason = REFUTED, reason or reason_of_controls
    return (
        ClaimVerdict(
            id=claim.id,
            statement=claim.statement,
            needs=claim.needs,
            verdict=verdict,
            evidence=subject.evidence,
            source=subject.source,
            measured=found.numbers,
            tolerance=dict(asked.tolerance),
            settled=[name for name in claim.tolerance if name not in asked.tolerance],
            missing=list(found.missing),
            controls=controls,
            reason=reason if verdict == REFUTED else "",
            says=inspect.getdoc(assess) or "",
            post=claim.post,
            why=claim.why,
        ),
        found,
    )


def _assess_control(
    claim: Claim,
    assess: Assess,
    subject: Subject,
    name: str,
    control: Callable[[Subject, str], Subject],
) -> ControlVerdict:
    try:
        broken = control(subject, name)
    except (MissingInputError, SubjectError) as absent:
        return ControlVerdict(name, BLOCKED, str(absent))
    found = assess_on(claim, assess, broken)
    return ControlVerdict(name, found.verdict, found.reason)


def _not_refuted(controls: Sequence[ControlVerdict]) -> str:
    """What is wrong with a claim that does not refute its controls; empty if it does."""
    standing = [c.name for c in controls if c.verdict == CONFIRMED]
    if standing:
        return f"the claim does not refute {', '.join(standing)}"
    if all(c.verdict == BLOCKED for c in controls):
        why = controls[0].reason if controls else "none is named for this evidence"
        return f"no control could be judged ({why})"
    return ""


def assess_on(claim: Claim, assess: Assess, model: Any) -> Assessment:
    """Call a claim's function on one model, without its controls."""
    measured = Measured(claim.tolerance)
    raised: AssertionError | None = None
    try:
        assess(subject=model, measured=measured)
    except MissingInputError as missing:
        return Assessment(BLOCKED, {}, f"blocked: {missing}", tuple(missing.missing))
    except DegenerateModelError as degenerate:
        return Assessment(REFUTED, {}, str(degenerate))
    except AssertionError as failure:
        raised = failure
    numbers = {name: _rounded(value) for name, value in measured.values.items()}
    # Where a bound is broken the claim may stop: what it goes on to measure can be costly.
    absent = claim.tolerance.keys() - measured.values.keys()
    if absent and not measured.broken:
        raise ClaimError(
            f"{claim.id}: expected {', '.join(sorted(absent))} to be measured, found it was not"
        )
    if bool(measured.broken) != (raised is not None):
        raise ClaimError(
            f"{claim.id}: expected its assertions to fail when a bound is broken and only then, "
            f"found {measured.broken or 'every bound kept'} and "
            f"{'an assertion that failed' if raised else 'no assertion that failed'}"
        )
    if raised:
        return Assessment(REFUTED, numbers, "; ".join(measured.broken), raised=raised)
    return Assessment(CONFIRMED, numbers)


def is_bound(text: str) -> bool:
    """Whether this is a bound such as ``">= 0.85"``."""
    return _BOUND.fullmatch(text) is not None


def keeps(value: Number, bound: str) -> bool:
    """Whether a number keeps a bound such as ``">= 0.85"``."""
    comparison, limit = bound.split()
    return _COMPARE[comparison](value, float(limit))


def labelled(name: str, value: MeasuredValue) -> list[tuple[str, Number]]:
    """Measured numbers with what to call them: one, or one for each key."""
    if isinstance(value, dict):
        return [(f"{name} {key}", number) for key, number in value.items()]
    return [(name, value)]


def nearest(numbers: Sequence[tuple[str, Number]], bound: str) -> tuple[str, Number]:
    """The labelled number that is nearest to breaking a bound, or breaks it furthest."""
    pick = max if bound.startswith("<") else min
    return pick(numbers, key=lambda item: item[1])


def nearest_bound(claim: Mapping[str, Any]) -> tuple[str, Number, str] | None:
    """Of a claim's measured numbers, the one that says most about its verdict.

    Parameters
    ----------
    claim
        Of the JSON report.

    Returns
    -------
    What it is called, the number and its bound: of broken bounds the one that is broken by most,
    otherwise the one nearest to being broken, both as a share of the larger of number and bound.
    A number that must equal its bound comes last. None if nothing was measured.
    """
    bounded = [
        (label, number, bound)
        for name, bound in claim["tolerance"].items()
        if name in claim["measured"]
        for label, number in labelled(name, claim["measured"][name])
    ]

    def rank(item: tuple[str, Number, str]) -> tuple[bool, bool, float]:
        _, number, bound = item
        comparison, limit = bound.split()
        slack = abs(number - float(limit)) / (max(abs(number), abs(float(limit))) or 1)
        kept = keeps(number, bound)
        return kept, kept and comparison == "==", slack if kept else -slack

    return min(bounded, key=rank, default=None)


def rounded(value: float, digits: int = DIGITS) -> float:
    """The number with this many significant digits."""
    return float(f"{value:.{digits}g}")


def _rounded(value: MeasuredValue) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(number) for key, number in value.items()}
    if isinstance(value, bool):
        return value
    return int(value) if isinstance(value, int) else rounded(float(value))


@dataclass(frozen=True)
class StatementVerdict:
    """The verdict on a statement of the post, rolled up from its claims.

    Attributes
    ----------
    headline, bound
        The measured number that says most, with what it is called, and its bound; empty if it
        was not measured.
    """

    id: str
    says: str
    verdict: str
    headline: str
    bound: str
    evidence: list[Evidence]
    claims: int
    controls: int
    controls_refuted: int


def roll_up(verdicts: Sequence[Mapping[str, Any]]) -> list[StatementVerdict]:
    """Roll verdicts on claims up to the statements they test; those without a claim are left out.

    A statement is refuted if one of its claims is, blocked if all are, partly judged if some are
    blocked, and otherwise confirmed.
    """
    rolled = []
    for name, statement in STATEMENTS.items():
        claims = [v for v in verdicts if v["statement"] == name]
        if not claims:
            continue
        found = [v["verdict"] for v in claims]
        if REFUTED in found:
            verdict: str = REFUTED
        elif BLOCKED in found:
            verdict = BLOCKED if set(found) == {BLOCKED} else PARTLY
        else:
            verdict = CONFIRMED
        headline, bound = _headline(claims, *statement.headline)
        controls = [c for v in claims for c in v["controls"]]
        judged = [v["evidence"] for v in claims if v["verdict"] != BLOCKED]
        rolled.append(
            StatementVerdict(
                id=name,
                says=statement.says,
                verdict=verdict,
                headline=headline,
                bound=bound,
                evidence=[e for e in ("live", "recorded", "published") if e in judged],
                claims=len(claims),
                controls=len(controls),
                controls_refuted=sum(c["verdict"] == REFUTED for c in controls),
            )
        )
    return rolled


def _headline(claims: Sequence[Mapping[str, Any]], claim: str, name: str) -> tuple[str, str]:
    """The number that says most, and of several the one nearest to breaking its bound.

    Of a refuted statement it is a number that breaks its bound, whichever claim measured it; if
    none does, broken models passed.
    """
    said = [
        (*nearest(labelled(name, v["measured"][name]), v["tolerance"][name]), v["tolerance"][name])
        for v in claims
        if v["id"] == claim and name in v["measured"] and name in v["tolerance"]
    ]
    refuted = [v for v in claims if v["verdict"] == REFUTED]
    if refuted and all(keeps(number, bound) for _, number, bound in said):
        nearest_of_each = [found for v in refuted if (found := nearest_bound(v))]
        said = [found for found in nearest_of_each if not keeps(*found[1:])] or said
    if not said:
        return "", ""
    label, number, bound = said[0]
    return f"{label} {number:.4g}", bound

"""A subject on trial: its claims are run, on it and on its broken copies, and become a report."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal

from gpt2_helix.judging.claim import (
    Assess,
    Claim,
    ClaimError,
    Measured,
    MeasuredValue,
    Subject,
    Verdict,
    rounded,
)
from gpt2_helix.judging.errors import InputError, MissingInputError, NothingToMeasureError
from gpt2_helix.judging.headline import statement_headline
from gpt2_helix.judging.report import About, ClaimVerdict, ControlVerdict, Report, StatementVerdict
from gpt2_helix.judging.suite import Statement, Suite

Control = Callable[[Subject, str], Subject]
"""Gives the broken copy of a subject, by name."""


@dataclass(frozen=True)
class Assessment:
    """A claim's function called on one subject."""

    verdict: Verdict
    numbers: dict[str, MeasuredValue]
    tolerance: dict[str, str]
    reason: str = ""
    missing: tuple[str, ...] = ()
    raised: AssertionError | None = None


class Trial:
    """Judges the claims of a suite on one subject; each broken copy of it is made once."""

    def __init__(self, suite: Suite, subject: Subject) -> None:
        self.suite = suite
        self.subject = subject
        self._control = cache(suite.control)

    @cached_property
    def _weaker(self) -> Sequence[Subject]:
        return self.suite.weaker(self.subject)

    def _evidence(self) -> Iterator[Subject]:
        yield self.subject
        yield from self._weaker

    def run(self, claim: Claim, assess: Assess) -> tuple[ClaimVerdict, Assessment]:
        """Run one claim; see ``run_claim``."""
        self.suite.check(claim)
        return run_claim(claim, assess, self._evidence(), self._control)

    def about(self) -> About:
        """What is judged, with the parts of it that claims have found so far."""
        subject = self.subject
        return About(
            name=subject.name,
            evidence=subject.evidence,
            recorded_on=subject.recorded_on,
            source=subject.source,
            because=subject.because,
            commit=subject.commit,
            replication=self.suite.is_replication(subject),
            digests=dict(subject.digests),
            found=dict(sorted(subject.found.items())),
        )

    def report(self, about: About, verdicts: Iterable[ClaimVerdict]) -> Report:
        """Make the report of verdicts: statements first, claims in their order."""
        order = list(self.suite.statements)
        claims = sorted(verdicts, key=lambda v: (order.index(v.statement), v.id))
        return Report(1, about, roll_up(claims, self.suite.statements), claims)


def run_claim(
    claim: Claim, assess: Assess, subjects: Iterable[Subject], control: Control
) -> tuple[ClaimVerdict, Assessment]:
    """Run a claim on the strongest evidence that it is not blocked on, and on its controls.

    The subject under test comes first, then weaker evidence on it, which is asked for only if the
    claim is blocked on what comes before. Gives the verdict, and what calling the claim's function
    on the subject gave.
    """
    subject, found = _on_strongest(claim, assess, subjects)
    controls: list[ControlVerdict] = []
    verdict, reason = found.verdict, found.reason
    if verdict != "blocked":
        published = subject.evidence == "published"
        names = claim.refuted_by_published if published else claim.refuted_by
        controls = [_on_control(claim, assess, subject, name, control) for name in names]
        if reason_of_controls := _not_refuted(controls):
            verdict, reason = "refuted", reason or reason_of_controls
    return (
        ClaimVerdict(
            id=claim.id,
            statement=claim.statement,
            needs=claim.needs,
            verdict=verdict,
            evidence=subject.evidence,
            source=subject.source,
            measured=found.numbers,
            tolerance=found.tolerance,
            missing=list(found.missing),
            controls=controls,
            reason=reason if verdict == "refuted" else "",
            says=inspect.getdoc(assess) or "",
            post=claim.post,
            why=claim.why,
        ),
        found,
    )


def _on_strongest(
    claim: Claim, assess: Assess, subjects: Iterable[Subject]
) -> tuple[Subject, Assessment]:
    """The first evidence that the claim is not blocked on; the first of all if there is none."""
    blocked: list[tuple[Subject, Assessment]] = []
    for subject in subjects:
        found = assess_on(claim, assess, subject)
        if found.verdict != "blocked":
            return subject, found
        blocked.append((subject, found))
    return blocked[0]


def _on_control(
    claim: Claim, assess: Assess, subject: Subject, name: str, control: Control
) -> ControlVerdict:
    try:
        broken = control(subject, name)
    except (MissingInputError, InputError) as absent:
        return ControlVerdict(name, "blocked", str(absent))
    found = assess_on(claim, assess, broken)
    return ControlVerdict(name, found.verdict, found.reason)


def _not_refuted(controls: Sequence[ControlVerdict]) -> str:
    """What is wrong with a claim that does not refute its controls; empty if it does."""
    standing = [c.name for c in controls if c.verdict == "confirmed"]
    if standing:
        return f"the claim does not refute {', '.join(standing)}"
    if all(c.verdict == "blocked" for c in controls):
        why = controls[0].reason if controls else "none is named for this evidence"
        return f"no control could be judged ({why})"
    return ""


def assess_on(claim: Claim, assess: Assess, subject: Subject) -> Assessment:
    """Call a claim's function on one subject, without its controls."""
    measured = Measured(claim.tolerance)
    terms = dict(claim.tolerance)
    raised: AssertionError | None = None
    try:
        assess(subject=subject, measured=measured)
    except MissingInputError as missing:
        return Assessment("blocked", {}, terms, f"blocked: {missing}", tuple(missing.missing))
    except NothingToMeasureError as degenerate:
        return Assessment("refuted", {}, terms, str(degenerate))
    except AssertionError as failure:
        raised = failure
    _check_assertions(claim, measured, raised)
    verdict: Verdict = "refuted" if raised else "confirmed"
    numbers = {name: _rounded(value) for name, value in measured.values.items()}
    reason = "; ".join(measured.broken)
    return Assessment(verdict, numbers, measured.tolerance, reason, raised=raised)


def _check_assertions(claim: Claim, measured: Measured, raised: AssertionError | None) -> None:
    """Refuse a claim whose assertions do not follow its bounds."""
    # Where a bound is broken the claim may stop: what it goes on to measure can be costly.
    absent = measured.tolerance.keys() - measured.values.keys()
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


def _rounded(value: MeasuredValue) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(number) for key, number in value.items()}
    return value if isinstance(value, int) else rounded(float(value))


def roll_up(
    verdicts: Sequence[ClaimVerdict], statements: Mapping[str, Statement]
) -> list[StatementVerdict]:
    """Roll verdicts on claims up to the statements they test; those without a claim are left out.

    A statement is refuted if one of its claims is, blocked if all are, partly judged if some are
    blocked, and otherwise confirmed.
    """
    return [
        _statement_verdict(name, statement, claims)
        for name, statement in statements.items()
        if (claims := [v for v in verdicts if v.statement == name])
    ]


def _statement_verdict(
    name: str, statement: Statement, claims: Sequence[ClaimVerdict]
) -> StatementVerdict:
    found = {c.verdict for c in claims}
    if "refuted" in found:
        verdict: Verdict | Literal["partly judged"] = "refuted"
    elif "blocked" in found:
        verdict = "blocked" if found == {"blocked"} else "partly judged"
    else:
        verdict = "confirmed"
    headline = statement_headline(claims, *statement.headline)
    controls = [control for c in claims for control in c.controls]
    judged = {c.evidence for c in claims if c.verdict != "blocked"}
    return StatementVerdict(
        id=name,
        says=statement.says,
        verdict=verdict,
        headline=f"{headline[0]} {headline[1]:.4g}" if headline else "",
        bound=headline[2] if headline else "",
        evidence=[e for e in ("live", "recorded", "published") if e in judged],
        claims=len(claims),
        controls=len(controls),
        controls_refuted=sum(c.verdict == "refuted" for c in controls),
    )

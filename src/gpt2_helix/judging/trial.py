"""A subject on trial: its claims are run, on it and on its broken copies, and become a report."""

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, Literal

from gpt2_helix.judging import wording
from gpt2_helix.judging.claim import (
    VERDICTS,
    Assess,
    Claim,
    ClaimError,
    Intervals,
    Measured,
    MeasuredValue,
    Subject,
    Verdict,
    rounded,
)
from gpt2_helix.judging.errors import InputError, MissingInputError, NothingToMeasureError
from gpt2_helix.judging.finding import finding, results, sentence
from gpt2_helix.judging.report import About, ClaimVerdict, ControlVerdict, Report, StatementVerdict
from gpt2_helix.judging.suite import Statement, Suite, Words

Control = Callable[[Subject, str], Subject]
"""Gives the broken copy of a subject, by name."""
WORDS = Words()
FIRST = 2
"""Results that are told before all else."""
COPIES = 10
"""Broken copies held at once: each holds what was measured of it, and claims in a row share few."""
NO_CONTROL_COUNTS = "no control counts: none keeps what is presumed and breaks a bound"


@dataclass(frozen=True)
class Assessment:
    """A claim's function called on one subject; ``confirmed`` if every bound is kept."""

    verdict: Verdict
    reason: str
    numbers: dict[str, MeasuredValue]
    intervals: dict[str, Intervals]
    tolerance: dict[str, str]
    missing: tuple[str, ...] = ()
    raised: Exception | None = None


class Trial:
    """Judges the claims of a suite on one subject; broken copies are made when claims ask."""

    def __init__(self, suite: Suite, subject: Subject) -> None:
        self.suite = suite
        self.subject = subject
        self.tell: Callable[[str], None] = lambda what: None  # Told what is being judged.
        self._control = lru_cache(COPIES)(suite.control)

    @cached_property
    def _weaker(self) -> Sequence[Subject]:
        return self.suite.weaker(self.subject)

    def _evidence(self) -> Iterator[Subject]:
        yield self.subject
        yield from self._weaker

    def run(self, claim: Claim, assess: Assess) -> tuple[ClaimVerdict, Assessment]:
        """Run a claim on the strongest evidence that it is not blocked on, and on its controls.

        The subject under test comes first, then weaker evidence on it, which is asked for only if
        the claim is blocked on what comes before. Gives the verdict, and what calling the claim's
        function on the subject gave.
        """
        self.suite.check(claim)
        self.tell(claim.id)
        subject, found = _on_strongest(claim, assess, self._evidence())
        controls: list[ControlVerdict] = []
        if found.verdict not in {"blocked", "error"}:
            published = subject.evidence == "published"
            names = claim.refuted_by_published if published else claim.refuted_by
            controls = [self._on_control(claim, assess, subject, name) for name in names]
        found = self._judge(claim, subject, found, controls)
        when = {name: claim.when[name] for name in found.tolerance}
        return (
            ClaimVerdict(
                id=claim.id,
                statement=claim.statement,
                about=claim.about,
                needs=claim.needs,
                verdict=found.verdict,
                reason=found.reason,
                evidence=subject.evidence,
                source=subject.source,
                measured=found.numbers,
                intervals=found.intervals,
                tolerance=found.tolerance,
                presumes=dict(claim.presumes),
                set=when if self.suite.explored(subject) else dict.fromkeys(when, "before"),
                missing=list(found.missing),
                controls=controls,
                says=inspect.getdoc(assess) or "",
                post=claim.post,
                why=claim.why,
            ),
            found,
        )

    def _on_control(
        self, claim: Claim, assess: Assess, subject: Subject, name: str
    ) -> ControlVerdict:
        """A control counts if it keeps what the claim presumes, and breaks a bound of its own.

        A cheaper look is enough where it refutes the claim, or what is presumed, interval and all.
        """
        self.tell(f"{claim.id} on {name}")
        try:
            broken = self._control(subject, name)
        except (MissingInputError, InputError) as absent:
            return ControlVerdict(name, "blocked", counts=False, reason=str(absent))
        if glance := self.suite.glance(claim, broken):
            found = assess_on(claim, assess, glance[0])
            if found.verdict in {"refuted", "n/a"}:
                why = f"{found.reason} ({glance[1]})"
                return ControlVerdict(name, found.verdict, found.verdict == "refuted", why)
        found = assess_on(claim, assess, broken)
        return ControlVerdict(name, found.verdict, found.verdict == "refuted", found.reason)

    def _judge(
        self,
        claim: Claim,
        subject: Subject,
        found: Assessment,
        controls: Sequence[ControlVerdict],
    ) -> Assessment:
        """The verdict once it is known what was seen before, and which controls count."""
        if found.verdict in {"blocked", "error"}:
            return found
        if crashed := next((c for c in controls if c.verdict == "error"), None):
            return replace(
                found, verdict="error", reason=f"control {crashed.name}: {crashed.reason}"
            )
        if claim.about and self.suite.is_replication(subject):
            return replace(found, verdict="n/a", reason=f"about {claim.about} alone", raised=None)
        if found.verdict != "confirmed":
            return found
        if not any(control.counts for control in controls):
            return replace(found, verdict="undecided", reason=NO_CONTROL_COUNTS)
        return seen_before(claim, found) if self.suite.explored(subject) else found

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
            identity=self.suite.identity(subject),
            received=self.suite.received(subject),
            digests=dict(subject.digests),
            found=dict(sorted(subject.found.items())),
        )

    def report(self, about: About, verdicts: Iterable[ClaimVerdict]) -> Report:
        """Make the report of verdicts: statements first, claims in their order."""
        order = [*self.suite.statements, None]
        claims = sorted(verdicts, key=lambda v: (order.index(v.statement), v.id))
        found = [
            f"{row.says}: {row.number} ({row.beside})."
            for row in results(self.suite.words.found, claims)
        ]
        return Report(2, about, found[:FIRST], self._roll_up(claims), claims)

    def _roll_up(self, claims: Sequence[ClaimVerdict]) -> list[StatementVerdict]:
        declared = Counter(claim.statement for claim in self.suite.claims())
        return roll_up(claims, self.suite.statements, declared, self.suite.words)


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


def seen_before(claim: Claim, found: Assessment) -> Assessment:
    """On evidence that was explored, what is confirmed by a bound set after is described."""
    after = "after" in map(claim.when.get, found.tolerance)
    return replace(found, verdict="described") if after and found.verdict == "confirmed" else found


def assess_on(claim: Claim, assess: Assess, subject: Subject) -> Assessment:
    """Call a claim's function on one subject, without its controls.

    A claim that ends in an error gives no verdict, and the others are judged. Bad input is no
    error of the claim: ``InputError``.
    """
    measured = Measured(claim.tolerance, claim.presumes)
    raised: AssertionError | None = None
    nothing = ""
    try:
        assess(subject=subject, measured=measured)
    except InputError:
        raise
    except MissingInputError as missing:
        terms = dict(claim.tolerance)
        return Assessment("blocked", str(missing), {}, {}, terms, tuple(missing.missing))
    except NothingToMeasureError as degenerate:
        nothing = str(degenerate)
    except AssertionError as failure:
        raised = failure
    except Exception as error:
        return _in_error(claim, error)
    if not nothing and (why := _contradiction(measured, raised)):
        return _in_error(claim, ClaimError(f"{claim.id}: {why}"))
    verdict, reason = _verdict(measured, nothing)
    return Assessment(
        verdict,
        reason,
        {name: _rounded(value) for name, value in measured.values.items()},
        {name: _rounded(ends) for name, ends in measured.intervals.items()},
        measured.tolerance,
        raised=raised if verdict == "refuted" else None,
    )


def _in_error(claim: Claim, error: Exception) -> Assessment:
    """What a claim gives that ended in an error."""
    first = next(iter(str(error).splitlines()), "")
    why = f"{type(error).__name__}: {first}"
    return Assessment("error", why, {}, {}, dict(claim.tolerance), raised=error)


def _verdict(measured: Measured, nothing: str) -> tuple[Verdict, str]:
    """What the numbers alone say, and why; ``nothing`` says why there are none."""
    if nothing:
        return "n/a", nothing
    if unmet := measured.unmet_presumptions("broken"):
        return "n/a", "; ".join(unmet)
    if unsure := measured.unmet_presumptions("open"):
        return "undecided", "; ".join(unsure)
    if broken := measured.told("broken"):
        return "refuted", "; ".join(broken)
    if opened := measured.told("open"):
        return "undecided", "; ".join(opened)
    return "confirmed", ""


def _contradiction(measured: Measured, raised: AssertionError | None) -> str:
    """What is wrong with a claim whose assertions do not follow its bounds; empty if they do."""
    # Where a bound is broken the claim may stop: what it goes on to measure can be costly.
    broken = measured.told("broken")
    absent = {*measured.tolerance, *measured.presumes} - measured.values.keys()
    if absent and not broken:
        return f"expected {', '.join(sorted(absent))} to be measured, found it was not"
    if bool(broken) != (raised is not None):
        return (
            "expected its assertions to fail when a bound is broken and only then, "
            f"found {'; '.join(broken) or 'no bound broken'} and "
            f"{'an assertion that failed' if raised else 'no assertion that failed'}"
        )
    return ""


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(number) for key, number in value.items()}
    if isinstance(value, tuple):
        return tuple(_rounded(number) for number in value)
    return value if isinstance(value, int) else rounded(float(value))


def roll_up(
    verdicts: Sequence[ClaimVerdict],
    statements: Mapping[str, Statement],
    declared: Mapping[str | None, int] = MappingProxyType({}),
    words: Words = WORDS,
) -> list[StatementVerdict]:
    """Roll verdicts on claims up to the statements they test; those without a claim are left out.

    A statement is refuted if one of its claims is. Otherwise it has the verdict of all of its
    claims, where described and confirmed make described; if they differ, it is mixed. It is not
    judged if fewer claims ran than are ``declared``, or one ended in an error.
    """
    return [
        _statement_verdict(name, statement, claims, max(declared.get(name, 0), len(claims)), words)
        for name, statement in statements.items()
        if (claims := [v for v in verdicts if v.statement == name])
    ]


def _statement_verdict(
    name: str, statement: Statement, claims: Sequence[ClaimVerdict], declared: int, words: Words
) -> StatementVerdict:
    found: Counter[Verdict] = Counter(c.verdict for c in claims)
    ran = len(claims) - found["error"]
    verdict: Verdict | Literal["mixed", "not judged"] = "mixed"
    if ran < declared:
        verdict = "not judged"
    elif "refuted" in found:
        verdict = "refuted"
    elif found.keys() == {"confirmed", "described"}:
        verdict = "described"
    elif len(found) == 1:
        verdict = claims[0].verdict
    judged = {c.evidence for c in claims if c.verdict != "blocked"}
    return StatementVerdict(
        id=name,
        says=statement.says,
        ours=statement.ours,
        verdict=verdict,
        finding=f"{ran} of {declared} claims judged."
        if verdict == "not judged"
        else finding(statement.finding, claims) or sentence(_reason(claims, words)),
        evidence=[e for e in ("live", "recorded", "published") if e in judged],
        claims={verdict: found[verdict] for verdict in VERDICTS if found[verdict]},
        of=declared,
    )


def _reason(claims: Sequence[ClaimVerdict], words: Words) -> str:
    """Why these claims have no number to show: what they need, or the first reason of one."""
    needed = wording.needs((claim.needs for claim in claims), words)
    if needed and all(claim.verdict == "blocked" for claim in claims):
        return f"not judged: it takes {needed}"
    for verdict, says in (("refuted", "found "), ("undecided", "found "), ("n/a", "not judged: ")):
        for claim in claims:
            if claim.verdict == verdict and claim.reason:
                # A reason begins with the name of the number that broke what was presumed.
                lacks = words.lacks if verdict == "n/a" else {}
                told = lacks.get(claim.reason.partition(" ")[0], claim.reason)
                return told if claim.about else says + told
    return next((claim.reason for claim in claims if claim.reason), "")

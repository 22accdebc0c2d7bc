"""A report of verdicts, typed, and its JSON: what ``--claims-json`` writes and commands read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from gpt2_helix.judging.claim import (
    Evidence,
    Intervals,
    MeasuredValue,
    Standing,
    Verdict,
    When,
    is_bound,
    labelled,
    stands,
)
from gpt2_helix.judging.errors import InputError, first_mistake
from gpt2_helix.judging.files import write_json
from gpt2_helix.judging.records import FoundByName, adapter


@dataclass(frozen=True)
class ControlVerdict:
    """What a claim says of a broken copy of the subject, and the reason if there is one to give.

    It counts if the copy is refuted: it keeps what the claim presumes, and breaks a bound.
    """

    name: str
    verdict: Verdict
    counts: bool
    reason: str = ""


@dataclass(frozen=True)
class ClaimVerdict:
    """The verdict on a claim, with what it measured and the terms that it was judged by."""

    id: str
    statement: str | None  # None for a check of the method.
    about: str | None  # The one subject that it is about, if it is about one alone.
    needs: str
    verdict: Verdict
    reason: str
    evidence: Evidence
    source: str | None
    measured: dict[str, MeasuredValue]
    intervals: dict[str, Intervals]  # Of 95 %, of numbers that were estimated from a sample.
    tolerance: dict[str, str]
    presumes: dict[str, str]
    set: dict[str, When]  # When each bound of the tolerance was set: before this evidence or after.
    missing: list[str]
    controls: list[ControlVerdict]
    says: str
    post: str
    why: str

    def __post_init__(self) -> None:
        for name, bound in [*self.tolerance.items(), *self.presumes.items()]:
            if not is_bound(bound):
                raise ValueError(f"expected a bound like '>= 1', found {name} {bound}")
        if self.set.keys() != self.tolerance.keys():
            raise ValueError("expected it to be known of each bound when it was set")
        if {} in self.measured.values():
            raise ValueError("expected a number under each measured name")


@dataclass(frozen=True)
class StatementVerdict:
    """The verdict on a statement, rolled up from its claims."""

    id: str
    says: str
    ours: bool  # Whether it is this project's own.
    # Mixed if claims differ and none is refuted; not judged if one was not run, or in error.
    verdict: Verdict | Literal["mixed", "not judged"]
    finding: str  # What was found, with its numbers; or why there is none.
    evidence: list[Evidence]
    claims: dict[Verdict, int]  # How many of those that ran have which verdict.
    of: int  # How many claims there are.


@dataclass(frozen=True)
class About:
    """What was judged; see ``claim.Subject``."""

    name: str
    evidence: Evidence
    recorded_on: str | None
    source: str | None
    because: str | None
    commit: str | None
    replication: bool
    identity: str  # What is known of its weights, in words.
    received: str  # How much of it was received over a network, in words.
    digests: dict[str, str]
    found: FoundByName = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """Verdicts on a subject: on statements first, then on claims in the order of statements."""

    schema: Literal[2]
    subject: About
    found: list[str]  # What was found in all, in sentences.
    statements: list[StatementVerdict]
    claims: list[ClaimVerdict]

    def __post_init__(self) -> None:
        known = [*(statement.id for statement in self.statements), None]
        for claim in self.claims:
            if claim.statement not in known:
                raise ValueError(
                    f"expected a statement of {', '.join(filter(None, known))}, found another"
                )


def plain(report: Report) -> Any:
    """The report as JSON has it."""
    return adapter(Report).dump_python(report, mode="json", by_alias=True)


def write(path: Path, report: Report) -> None:
    """Write a report as JSON, whole or not at all."""
    write_json(path, plain(report))


def read(path: Path) -> Report:
    """Read a report; ``InputError`` if something in it is not as it was written.

    Each verdict must follow from the numbers and bounds beside it.
    """
    expected = f"{path}: expected verdicts as --claims-json writes them"
    try:
        found: Report = adapter(Report).validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise InputError(f"{expected}, found {error}") from None
    except ValidationError as error:
        why = ": ".join(filter(None, first_mistake(error)))
        raise InputError(f"{expected}, found {why}") from None
    for claim in found.claims:
        if not _follows(claim):
            why = f"{claim.id} {claim.verdict}, which its numbers and bounds do not say"
            raise InputError(f"{expected}, found {why}")
    return found


def _follows(claim: ClaimVerdict) -> bool:
    """Whether a verdict is the one that the claim's numbers, bounds and controls give."""
    presumed, asked = _standings(claim, claim.presumes), _standings(claim, claim.tolerance)
    counts = any(control.counts for control in claim.controls)
    if claim.verdict in {"confirmed", "described"}:
        after = "after" in claim.set.values()
        held = presumed | asked <= {"kept"} and counts
        return held and after == (claim.verdict == "described")
    if claim.verdict == "refuted":
        return "broken" in asked and presumed <= {"kept"}
    if claim.verdict == "undecided":
        return "open" in presumed | asked or not counts
    return True


def _standings(claim: ClaimVerdict, bounds: Mapping[str, str]) -> set[Standing]:
    """How the claim's numbers stand to these bounds."""
    return {
        stands(number, ends, bound)
        for name, bound in bounds.items()
        if name in claim.measured
        for _, number, ends in labelled(name, claim.measured[name], claim.intervals.get(name))
    }

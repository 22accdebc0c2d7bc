"""A report of verdicts, typed, and its JSON: what ``--claims-json`` writes and commands read."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from gpt2_helix.judging.claim import Evidence, MeasuredValue, Verdict, is_bound
from gpt2_helix.judging.errors import InputError, first_mistake
from gpt2_helix.judging.records import FoundByName, adapter, write_json


@dataclass(frozen=True)
class ControlVerdict:
    """The verdict on a broken copy of the subject, and the reason if there is one to give."""

    name: str
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True)
class ClaimVerdict:
    """The verdict on a claim, with what it measured and the terms that it was judged by."""

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

    def __post_init__(self) -> None:
        for name, bound in self.tolerance.items():
            if not is_bound(bound):
                raise ValueError(f"expected a bound like '>= 1', found {name} {bound}")
        if {} in self.measured.values():
            raise ValueError("expected a number under each measured name")


@dataclass(frozen=True)
class StatementVerdict:
    """The verdict on a statement, rolled up from its claims."""

    id: str
    says: str
    verdict: Verdict | Literal["partly judged"]
    headline: str  # What the number that says most is called, and the number, if it was measured.
    bound: str
    evidence: list[Evidence]
    claims: int
    controls: int
    controls_refuted: int


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
    digests: dict[str, str]
    found: FoundByName = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """Verdicts on a subject: on statements first, then on claims in the order of statements."""

    schema: Literal[1]
    subject: About
    statements: list[StatementVerdict]
    claims: list[ClaimVerdict]

    def __post_init__(self) -> None:
        known = [statement.id for statement in self.statements]
        for claim in self.claims:
            if claim.statement not in known:
                raise ValueError(f"expected a statement of {', '.join(known)}, found another")


def plain(report: Report) -> Any:
    """The report as JSON has it."""
    return adapter(Report).dump_python(report, mode="json", by_alias=True)


def write(path: Path, report: Report) -> None:
    """Write a report as JSON, whole or not at all."""
    write_json(path, plain(report))


def read(path: Path) -> Report:
    """Read a report; ``InputError`` if something in it is not as it was written."""
    expected = f"{path}: expected verdicts as --claims-json writes them"
    try:
        return adapter(Report).validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise InputError(f"{expected}, found {error}") from None
    except ValidationError as error:
        why = ": ".join(filter(None, first_mistake(error)))
        raise InputError(f"{expected}, found {why}") from None

"""Verdicts that ``pytest claims/ --claims-json`` wrote, read and checked."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, TypeAdapter, ValidationError

from gpt2_helix.judging.claim import ClaimVerdict, Evidence, StatementVerdict, is_bound
from gpt2_helix.judging.errors import SubjectError, first_mistake
from gpt2_helix.suite.statements import STATEMENTS


@dataclass
class _Model:
    name: str
    evidence: Evidence
    recorded_on: str | None
    source: str | None
    because: str | None
    commit: str | None
    replication: bool
    digests: dict[str, str]


def _consistent(claim: ClaimVerdict) -> ClaimVerdict:
    """As ``Claim`` asks of its terms, and with a number wherever one is named."""
    if claim.statement not in STATEMENTS:
        raise ValueError(f"expected a statement of {', '.join(STATEMENTS)}")
    for name, bound in claim.tolerance.items():
        if not is_bound(bound):
            raise ValueError(f"expected a bound like '>= 1', found {name} {bound}")
    if {} in claim.measured.values():
        raise ValueError("expected a number under each measured name")
    return claim


@dataclass
class _Report:
    subject: _Model
    statements: list[StatementVerdict]
    claims: list[Annotated[ClaimVerdict, AfterValidator(_consistent)]]


_SHAPE = TypeAdapter(_Report)


def read_verdicts(path: Path) -> dict[str, Any]:
    """Read a JSON report.

    Raises
    ------
    SubjectError
        If it is not such a report, or something in it is not as it was written.
    """
    expected = f"{path}: expected verdicts as --claims-json writes them"
    try:
        text = path.read_bytes()
        _SHAPE.validate_json(text, strict=True)
        report: dict[str, Any] = json.loads(text)
    except OSError as error:
        raise SubjectError(f"{expected}, found {error}") from None
    except ValidationError as error:
        where, why = first_mistake(error)
        raise SubjectError(f"{expected}, found {f'{where}: {why}' if where else why}") from None
    return report

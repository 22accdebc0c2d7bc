"""A model on trial: the evidence there is on it, its broken copies, and the verdicts as a report.

Both ``pytest claims/`` and ``gpt2_helix.judge`` judge claims here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gpt2_helix.judging.claim import (
    Assess,
    Assessment,
    Claim,
    ClaimVerdict,
    Subject,
    judge,
    roll_up,
)
from gpt2_helix.suite.controls import broken_copy
from gpt2_helix.suite.statements import STATEMENTS
from gpt2_helix.suite.subjects import is_replication, weaker_evidence

SCHEMA = 1


class Trial:
    """Judges claims on one model; each broken copy of it is made once.

    Parameters
    ----------
    subject
        The model.
    data
        Where records are, by subject: weaker evidence on the same model is looked for there.
    """

    def __init__(self, subject: Subject, data: Path) -> None:
        self.subject = subject
        self._evidence = [subject, *weaker_evidence(subject, data)]
        self._controls: dict[tuple[int, str], Subject] = {}

    def judge(self, claim: Claim, assess: Assess) -> tuple[ClaimVerdict, Assessment]:
        """Judge one claim; see ``claim.judge``."""
        return judge(claim, assess, self._evidence, self._control)

    def _control(self, subject: Subject, name: str) -> Subject:
        key = (id(subject), name)
        if key not in self._controls:
            self._controls[key] = broken_copy(subject, name)
        return self._controls[key]

    def about(self) -> dict[str, Any]:
        """``subject`` of the JSON report."""
        return {
            "name": self.subject.name,
            "evidence": self.subject.evidence,
            "recorded_on": self.subject.recorded_on,
            "source": self.subject.source,
            "because": getattr(self.subject, "because", None),
            "commit": self.subject.commit,
            "replication": is_replication(self.subject),
            "digests": self.subject.digests,
            **({"found_heads": found} if (found := self.found_heads()) else {}),
        }

    def found_heads(self) -> dict[str, Any]:
        """How heads that nobody named were found, for the claims that asked for them."""
        found = getattr(self.subject, "found_heads", {})
        return {name: asdict(heads) for name, heads in sorted(found.items())}


def as_report(about: Mapping[str, Any], verdicts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Make the JSON report of verdicts on claims: statements first, claims in their order."""
    order = list(STATEMENTS)
    claims = [
        {name: value for name, value in verdict.items() if name != "settled" or value}
        for verdict in sorted(verdicts, key=lambda v: (order.index(v["statement"]), v["id"]))
    ]
    return {
        "schema": SCHEMA,
        "subject": dict(about),
        "statements": [asdict(statement) for statement in roll_up(claims)],
        "claims": claims,
    }

"""Reports made by hand, of a toy."""

import re
from typing import Any

from gpt2_helix.judging.claim import Evidence
from gpt2_helix.judging.report import About, ClaimVerdict, Report
from gpt2_helix.judging.suite import Statement, Words
from gpt2_helix.judging.trial import roll_up

STATEMENTS = {
    "empty": Statement("No claim is about it.", ["nothing"]),
    "toy": Statement(
        "It turns.", ["{toy.circle/turns:.1f} turns", "it climbs {toy.axis/climb:.0%}"]
    ),
}
WORDS = Words(
    said_by="the maker",
    needs={"S": "a spring", "B": "a box", "B, W": "a box and a wheel", "W": "a wheel"},
    lacks={"climb": "it does not climb"},
    replication="a copy: not the first one",
    digests=re.compile("spring"),
    unblocked_by="--subject FIRST or --subject OTHER",
    unblocked_by_on_replication="--subject OTHER",
)


def claim_verdict(**changed: Any) -> ClaimVerdict:
    """A confirmed claim with two numbers, but for what is changed."""
    terms: dict[str, Any] = {
        "id": "toy.circle",
        "statement": "toy",
        "about": None,
        "needs": "S",
        "verdict": "confirmed",
        "evidence": "live",
        "source": None,
        "measured": {"turns": 3.0, "one_sign": 0.999},
        "intervals": {},
        "tolerance": {"turns": ">= 2", "one_sign": ">= 0.99"},
        "presumes": {},
        "missing": [],
        "controls": [],
        "reason": "",
        "says": "It turns.",
        "post": "How it works",
        "why": "Two turns make a helix.",
    }
    terms |= changed
    return ClaimVerdict(**{"set": dict.fromkeys(terms["tolerance"], "before"), **terms})


def report_of(*claims: ClaimVerdict, evidence: Evidence = "live", **about: Any) -> Report:
    """A report of these claims on a toy that is not the first one."""
    digests = {"spring.weight": "0123456789abcdef", "box.weight": "f" * 16}
    known: dict[str, Any] = {"recorded_on": None, "source": None, "because": None, "commit": None}
    known |= {"identity": "", "received": "", "replication": True, "digests": digests}
    subject = About(**{"name": "toy", "evidence": evidence, **known, **about})
    return Report(2, subject, ["It turns."], roll_up(claims, STATEMENTS, words=WORDS), list(claims))

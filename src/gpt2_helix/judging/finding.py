"""What was found on a statement: one sentence, filled in with the numbers of its claims.

A sentence is a sequence of clauses such as ``"{toy.circle/turns:.1f} turns"``: a claim, one of
the names that it measured, and how the number is shown, as in ``format``. Of several numbers under
one name the smallest and the largest are shown, or one of them after ``min`` or ``max``. A clause
is left out where a number of it was not measured, or the claim could not be asked. A claim may be
followed by where its numbers must be from: ``toy.circle@published`` if others measured them, or
``toy.circle@measured`` if this project did.
"""

from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Any

from gpt2_helix.judging.claim import MeasuredValue
from gpt2_helix.judging.report import ClaimVerdict
from gpt2_helix.judging.suite import Finding

JUDGED = {"confirmed", "described", "refuted", "undecided"}


def finding(clauses: Sequence[str], claims: Sequence[ClaimVerdict]) -> str:
    """Fill in the clauses that can be; empty if none can."""
    fill = _Fill(claims)
    return sentence("; ".join(text for clause in clauses if (text := fill.of(clause))))


def results(rows: Sequence[Finding], claims: Sequence[ClaimVerdict]) -> list[Finding]:
    """Fill in the results whose claim holds."""
    hold = {claim.id for claim in claims if claim.verdict in {"confirmed", "described"}}
    fill = _Fill(claims)
    filled = (
        row._replace(number=fill.of(row.number), beside=fill.of(row.beside))
        for row in rows
        if row.claim in hold
    )
    return [row for row in filled if row.number and row.beside]


def sentence(text: str) -> str:
    """The text with a capital and a full stop; nothing of nothing."""
    return f"{text[0].upper()}{text[1:]}." if text else ""


class _Shown:
    """Numbers of one name, for a reader; ``%`` gives percent."""

    def __init__(self, value: MeasuredValue) -> None:
        self.numbers = sorted(value.values()) if isinstance(value, dict) else [value]

    def __format__(self, spec: str) -> str:
        which, _, spec = spec.rpartition(" ")
        percent = spec.endswith("%")
        scale, spec = (100, spec[:-1] + "f") if percent else (1, spec)
        least, most = self.numbers[0], self.numbers[-1]
        shown = {"min": [least], "max": [most]}.get(which, [least, most])
        ends = dict.fromkeys(format(scale * number, spec) for number in shown)
        return " to ".join(ends) + (" %" if percent else "")


class _Fill(Formatter):
    """A formatter whose fields are the names of measured numbers, dots and all."""

    def __init__(self, claims: Sequence[ClaimVerdict]) -> None:
        self.measured = {
            f"{claim.id}{source}/{name}": _Shown(value)
            for claim in claims
            if claim.verdict in JUDGED
            for name, value in claim.measured.items()
            for source in ("", "@published" if claim.evidence == "published" else "@measured")
        }

    def get_field(self, field_name: str, args: Any, kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        return kwargs[field_name], field_name

    def of(self, clause: str) -> str:
        """The clause filled in; empty if a number of it was not measured."""
        try:
            return self.vformat(clause, (), self.measured)
        except KeyError:
            return ""

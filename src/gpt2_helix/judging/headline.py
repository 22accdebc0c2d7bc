"""Of the numbers that claims measured, the one to show where there is room for one."""

from collections.abc import Sequence

from gpt2_helix.judging.claim import Number, keeps, labelled
from gpt2_helix.judging.report import ClaimVerdict

Bounded = tuple[str, Number, str]
"""What a number is called, the number, and its bound."""


def bounded_numbers(claim: ClaimVerdict) -> list[Bounded]:
    """The measured numbers that have a bound, in the order of the bounds."""
    return [
        (label, number, bound)
        for name, bound in claim.tolerance.items()
        if name in claim.measured
        for label, number in labelled(name, claim.measured[name])
    ]


def nearest_bound(claim: ClaimVerdict) -> Bounded | None:
    """Of a claim's measured numbers, the one that says most about its verdict.

    Returns
    -------
    Of broken bounds the one that is broken by most, otherwise the one nearest to being broken, both
    as a share of the larger of number and bound. A number that must equal its bound comes last.
    None if nothing was measured.
    """

    def rank(item: Bounded) -> tuple[bool, bool, float]:
        _, number, bound = item
        comparison, limit = bound.split()
        slack = abs(number - float(limit)) / (max(abs(number), abs(float(limit))) or 1)
        kept = keeps(number, bound)
        return kept, kept and comparison == "==", slack if kept else -slack

    return min(bounded_numbers(claim), key=rank, default=None)


def main_numbers(claims: Sequence[ClaimVerdict]) -> dict[str, Number]:
    """The main number of each claim that was judged, by its identifier.

    It is the first number that has a bound; of several under one name, the one nearest to
    breaking it.
    """
    return {
        claim.id: _nearest(claim, name)[1]
        for claim in claims
        for name in list(claim.tolerance)[:1]
        if name in claim.measured
    }


def statement_headline(claims: Sequence[ClaimVerdict], claim: str, name: str) -> Bounded | None:
    """The number that says most about a statement.

    Parameters
    ----------
    claims
        Those on the statement.
    claim, name
        The claim and the number that the statement names. Of a refuted statement it is a number
        that breaks its bound, whichever claim measured it; if none does, broken copies passed.
    """
    named = [c for c in claims if c.id == claim and name in c.measured and name in c.tolerance]
    said: list[Bounded] = [_nearest(c, name) for c in named]
    refuted = [c for c in claims if c.verdict == "refuted"]
    if refuted and all(keeps(number, bound) for _, number, bound in said):
        nearest_of_each = [found for c in refuted if (found := nearest_bound(c))]
        said = [found for found in nearest_of_each if not keeps(*found[1:])] or said
    return said[0] if said else None


def _nearest(claim: ClaimVerdict, name: str) -> Bounded:
    """The number of this name that is nearest to breaking its bound, or breaks it furthest."""
    bound = claim.tolerance[name]
    pick = max if bound.startswith("<") else min
    label, number = pick(labelled(name, claim.measured[name]), key=lambda item: item[1])
    return label, number, bound

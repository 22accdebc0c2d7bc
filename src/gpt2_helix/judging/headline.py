"""Of the numbers that claims measured, the one to show where there is room for one."""

from collections.abc import Sequence

from gpt2_helix.judging.claim import Number, keeps, labelled
from gpt2_helix.judging.report import ClaimVerdict

Bounded = tuple[str, Number, str]
"""What a number is called, the number, and its bound."""


def nearest_bound(claim: ClaimVerdict) -> Bounded | None:
    """Of a claim's measured numbers with a bound, the one to show; None if there are none.

    Of broken bounds the one that is broken by most, otherwise the one nearest to being broken, both
    as a share of the larger of number and bound. A number that must equal its bound comes last.
    """
    bounded = [
        (label, number, bound)
        for name, bound in claim.tolerance.items()
        if name in claim.measured
        for label, number, _ in labelled(name, claim.measured[name])
    ]

    def rank(item: Bounded) -> tuple[bool, bool, float]:
        _, number, bound = item
        comparison, limit = bound.split()
        slack = abs(number - float(limit)) / (max(abs(number), abs(float(limit))) or 1)
        kept = keeps(number, bound)
        return kept, kept and comparison == "==", slack if kept else -slack

    return min(bounded, key=rank, default=None)


def main_numbers(claims: Sequence[ClaimVerdict]) -> dict[str, Number]:
    """The first number with a bound of each claim that was judged, by its identifier.

    Of several under one name, it is the one nearest to breaking the bound.
    """
    return {
        claim.id: _nearest(claim, name)[1]
        for claim in claims
        for name in list(claim.tolerance)[:1]
        if name in claim.measured
    }


def _nearest(claim: ClaimVerdict, name: str) -> Bounded:
    """The number of this name that is nearest to breaking its bound, or breaks it furthest."""
    bound = claim.tolerance[name]
    pick = max if bound.startswith("<") else min
    label, number, _ = pick(labelled(name, claim.measured[name]), key=lambda item: item[1])
    return label, number, bound

"""From claims to verdicts: what is confirmed, refuted, blocked, and what gives no verdict."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gpt2_helix.judging.claim import Claim, ClaimError, Evidence, Measured, Subject, keeps
from gpt2_helix.judging.errors import InputError, MissingInputError, NothingToMeasureError
from gpt2_helix.judging.report import ClaimVerdict, ControlVerdict
from gpt2_helix.judging.trial import roll_up, run_claim
from judging.made import STATEMENTS, claim_verdict


class Toy(Subject):
    def __init__(self, value: Any, evidence: Evidence = "live") -> None:
        self.name = "toy"
        self.value = value
        self.evidence = evidence

    def measure(self, measurement: Callable[..., Any]) -> Any:
        return measurement(self)


def assess(subject: Toy, measured: Measured) -> None:
    if isinstance(subject.value, Exception):
        raise subject.value
    assert measured(value=subject.value)


def claim(**changed: Any) -> Claim:
    terms: dict[str, Any] = {
        "statement": "toy",
        "post": "-",
        "needs": "S",
        "tolerance": {"value": ">= 1"},
        "why": "-",
        "refuted_by": ["broken"],
    }
    return Claim("toy.test", **{**terms, **changed})


def verdict_on(
    claim: Claim,
    *models: Toy,
    broken: float | Exception = 0,
    assess: Callable[[Any, Measured], None] = assess,
) -> ClaimVerdict:
    return run_claim(claim, assess, models, lambda subject, name: Toy(broken, subject.evidence))[0]


DEGENERATE = NothingToMeasureError("expected values that differ")
MISSING = MissingInputError(["wte.weight"], "folder")


@pytest.mark.parametrize(
    ("value", "broken", "verdict", "reason", "on_control"),
    [
        (2, 0, "confirmed", "", "refuted"),
        (0.5, 0, "refuted", "value 0.5, must be >= 1", "refuted"),
        (2, 3, "refuted", "the claim does not refute broken", "confirmed"),
        (DEGENERATE, 0, "refuted", "expected values that differ", "refuted"),
        (2, DEGENERATE, "confirmed", "", "refuted"),
    ],
)
def test_a_claim_is_confirmed_if_it_holds_and_its_control_is_refuted(
    value: Any, broken: Any, verdict: str, reason: str, on_control: str
) -> None:
    found = verdict_on(claim(), Toy(value), broken=broken)
    assert (found.verdict, found.evidence, found.reason) == (verdict, "live", reason)
    assert found.measured == ({} if value is DEGENERATE else {"value": value})
    assert [(c.name, c.verdict) for c in found.controls] == [("broken", on_control)]


def test_a_missing_tensor_blocks_and_is_named() -> None:
    verdict = verdict_on(claim(), Toy(MISSING))
    assert (verdict.verdict, verdict.missing, verdict.controls) == ("blocked", ["wte.weight"], [])


def test_a_control_that_is_not_available_is_said_to_be_blocked() -> None:
    def control(subject: Any, name: str) -> Toy:
        if name == "absent":
            raise InputError("not installed")
        return Toy(0)

    two = claim(refuted_by=["broken", "absent"])
    verdict, _ = run_claim(two, assess, [Toy(2)], control)
    assert verdict.verdict == "confirmed"
    assert [c.verdict for c in verdict.controls] == ["refuted", "blocked"]
    alone, _ = run_claim(claim(refuted_by=["absent"]), assess, [Toy(2)], control)
    assert alone.verdict == "refuted"
    assert "no control could be judged (not installed)" in alone.reason


def test_the_strongest_evidence_that_is_not_blocked_is_judged() -> None:
    live, recorded, published = Toy(MISSING), Toy(2, "recorded"), Toy(0, "published")
    assert verdict_on(claim(), live, recorded, published).evidence == "recorded"
    verdict = verdict_on(claim(refuted_by_published=["broken"]), live, published)
    assert (verdict.evidence, verdict.verdict) == ("published", "refuted")
    assert verdict_on(claim(), live, Toy(MISSING, "recorded")).evidence == "live"


def test_published_evidence_needs_a_control_of_its_own() -> None:
    verdict = verdict_on(claim(), Toy(2, "published"))
    assert verdict.verdict == "refuted"
    assert "no control could be judged" in verdict.reason


def test_an_assertion_that_does_not_follow_the_bounds_is_an_error() -> None:
    def too_strict(subject: Any, measured: Measured) -> None:
        assert measured(value=subject.value)
        raise AssertionError

    def too_lax(subject: Any, measured: Measured) -> None:
        measured(value=subject.value)

    with pytest.raises(ClaimError, match="fail when a bound is broken"):
        verdict_on(claim(), Toy(2), assess=too_strict)
    with pytest.raises(ClaimError, match="fail when a bound is broken"):
        verdict_on(claim(), Toy(0), assess=too_lax)
    with pytest.raises(ClaimError, match="to be measured"):
        verdict_on(claim(tolerance={"other": ">= 1"}), Toy(2))


def test_a_claim_may_stop_at_a_bound_that_is_broken_and_not_before() -> None:
    def stops(subject: Any, measured: Measured) -> None:
        assert measured(value=subject.value)
        if subject.value < 2:
            assert measured(costly=1)

    terms = claim(tolerance={"value": ">= 1", "costly": ">= 1"})
    found = verdict_on(terms, Toy(0), broken=0, assess=stops)
    assert (found.verdict, found.measured) == ("refuted", {"value": 0})
    assert verdict_on(terms, Toy(1), assess=stops).verdict == "confirmed"
    with pytest.raises(ClaimError, match="expected costly to be measured"):
        verdict_on(terms, Toy(2), assess=stops)


def test_of_a_number_that_was_estimated_its_mean_is_kept() -> None:
    estimates = {"a": SimpleNamespace(mean=2.0), "b": SimpleNamespace(mean=1.0)}
    measured = Measured({"value": ">= 1"})
    assert measured(value=estimates, other=SimpleNamespace(mean=0.5))
    assert measured.values == {"value": {"a": 2.0, "b": 1.0}, "other": 0.5}


def test_nan_gives_no_verdict() -> None:
    with pytest.raises(InputError, match="finite"):
        verdict_on(claim(), Toy(float("nan")))


def test_a_number_that_says_nothing_of_a_subject_has_no_bound_there() -> None:
    def without_value(subject: Any, measured: Measured) -> None:
        assert measured(value=subject.value, other=1)

    terms = claim(tolerance={"value": ">= 1", "other": ">= 1"})
    control = Toy(0)
    verdict, _ = run_claim(terms, without_value, [Toy(None)], lambda *_: control)
    assert (verdict.verdict, verdict.measured) == ("confirmed", {"other": 1})
    assert verdict.tolerance == {"other": ">= 1"}
    with pytest.raises(ClaimError, match="expected a number under value, found none"):
        verdict_on(claim(), Toy({}))


def test_a_failed_assertion_shows_the_number_and_the_bound() -> None:
    measured = Measured({"climb": ">= 0.95"})
    outcome = measured(climb=0.03066, turns=3)
    assert not outcome
    assert repr(outcome) == "climb 0.03066, must be >= 0.95"
    assert Measured({"climb": ">= 0.95"})(climb=1)


@pytest.mark.parametrize(
    "changed", [{"tolerance": {}}, {"refuted_by": []}, {"tolerance": {"value": "about 1"}}]
)
def test_a_claim_without_terms_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ClaimError):
        claim(**changed)


@pytest.mark.parametrize(
    ("value", "bound", "kept"),
    [(1, ">= 1", True), (1, "> 1", False), (2, "<= 1.5", False), (True, "== 1", True)],
)
def test_bounds(value: float, bound: str, kept: bool) -> None:
    assert keeps(value, bound) is kept


@pytest.mark.parametrize(
    ("verdicts", "rolled"),
    [
        (["confirmed", "confirmed"], "confirmed"),
        (["confirmed", "refuted"], "refuted"),
        (["refuted", "blocked"], "refuted"),
        (["confirmed", "blocked"], "partly judged"),
        (["blocked", "blocked"], "blocked"),
    ],
)
def test_verdicts_on_claims_roll_up_to_their_statement(verdicts: list[Any], rolled: str) -> None:
    controls = [ControlVerdict("broken", "refuted")]
    claims = [claim_verdict(verdict=verdict, controls=controls) for verdict in verdicts]
    (statement,) = roll_up(claims, STATEMENTS)
    assert (statement.id, statement.verdict, statement.claims) == ("toy", rolled, 2)
    assert (statement.controls, statement.controls_refuted) == (2, 2)
    assert statement.headline == "turns 3"


def test_a_refuted_statement_shows_a_number_that_breaks_its_bound() -> None:
    def shown(*claims: ClaimVerdict) -> tuple[str, str]:
        (statement,) = roll_up(claims, STATEMENTS)
        return statement.headline, statement.bound

    other: dict[str, Any] = {"id": "toy.other", "tolerance": {"climb": ">= 0.95"}}
    other |= {"verdict": "refuted", "measured": {"climb": 0.5}}
    assert shown(claim_verdict(), claim_verdict(**other)) == ("climb 0.5", ">= 0.95")
    broken = claim_verdict(verdict="refuted", measured={"turns": 1.0})
    assert shown(broken, claim_verdict(**other)) == ("turns 1", ">= 2")
    # Refuted as a broken copy passed: all of its own bounds are kept.
    assert shown(claim_verdict(**{**other, "measured": {"climb": 0.99}})) == ("", "")

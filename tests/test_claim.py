"""From claims to verdicts: what is confirmed, refuted, blocked, and what gives no verdict."""

from collections.abc import Callable
from typing import Any

import pytest

from gpt2_helix.judging.claim import (
    Claim,
    ClaimError,
    ClaimVerdict,
    Evidence,
    Measured,
    judge,
    keeps,
    roll_up,
)
from gpt2_helix.judging.errors import DegenerateModelError, MissingInputError, SubjectError


class Model:
    def __init__(self, value: float | Exception, evidence: Evidence = "live") -> None:
        self.name = "model"
        self.digests: dict[str, str] = {}
        self.recorded_on: str | None = None
        self.source: str | None = None
        self.commit: str | None = None
        self.unnamed_heads: set[str] = set()
        self.value = value
        self.evidence: Evidence = evidence

    def measure(self, measurement: Callable[..., Any]) -> Any:
        return measurement(self)


def assess(subject: Model, measured: Measured) -> None:
    if isinstance(subject.value, Exception):
        raise subject.value
    assert measured(value=subject.value)


def claim(**changed: Any) -> Claim:
    terms: dict[str, Any] = {
        "statement": "helix",
        "post": "-",
        "needs": "P",
        "tolerance": {"value": ">= 1"},
        "why": "-",
        "refuted_by": ["broken"],
    }
    return Claim("helix.test", **{**terms, **changed})


def verdict_on(
    claim: Claim,
    *models: Model,
    broken: float | Exception = 0,
    assess: Callable[[Any, Measured], None] = assess,
) -> ClaimVerdict:
    return judge(claim, assess, models, lambda subject, name: Model(broken, subject.evidence))[0]


MISSING = MissingInputError(["wte.weight"], "folder")


def test_a_claim_that_holds_and_refutes_its_control_is_confirmed() -> None:
    verdict = verdict_on(claim(), Model(2))
    assert (verdict.verdict, verdict.evidence) == ("confirmed", "live")
    assert verdict.measured == {"value": 2}
    assert [(c.name, c.verdict) for c in verdict.controls] == [("broken", "refuted")]


def test_a_claim_that_does_not_hold_is_refuted_with_its_number_and_bound() -> None:
    verdict = verdict_on(claim(), Model(0.5))
    assert verdict.verdict == "refuted"
    assert verdict.reason == "value 0.5, must be >= 1"


def test_a_claim_that_its_control_passes_is_refuted() -> None:
    verdict = verdict_on(claim(), Model(2), broken=3)
    assert verdict.verdict == "refuted"
    assert verdict.reason == "the claim does not refute broken"


def test_a_missing_tensor_blocks_and_is_named() -> None:
    verdict = verdict_on(claim(), Model(MISSING))
    assert (verdict.verdict, verdict.missing, verdict.controls) == ("blocked", ["wte.weight"], [])


def test_a_model_without_the_thing_that_is_measured_is_refuted_and_so_is_a_control() -> None:
    degenerate = DegenerateModelError("W_pos: expected rows that differ")
    verdict = verdict_on(claim(), Model(degenerate))
    assert (verdict.verdict, verdict.reason) == ("refuted", "W_pos: expected rows that differ")
    verdict = verdict_on(claim(), Model(2), broken=degenerate)
    assert verdict.verdict == "confirmed"
    assert [c.verdict for c in verdict.controls] == ["refuted"]


def test_a_control_that_is_not_available_is_said_to_be_blocked() -> None:
    def control(subject: Any, name: str) -> Model:
        if name == "absent":
            raise SubjectError("not installed")
        return Model(0)

    two = claim(refuted_by=["broken", "absent"])
    verdict, _ = judge(two, assess, [Model(2)], control)
    assert verdict.verdict == "confirmed"
    assert [c.verdict for c in verdict.controls] == ["refuted", "blocked"]
    alone, _ = judge(claim(refuted_by=["absent"]), assess, [Model(2)], control)
    assert alone.verdict == "refuted"
    assert "no control could be judged (not installed)" in alone.reason


def test_the_strongest_evidence_that_is_not_blocked_is_judged() -> None:
    live, recorded, published = Model(MISSING), Model(2, "recorded"), Model(0, "published")
    assert verdict_on(claim(), live, recorded, published).evidence == "recorded"
    verdict = verdict_on(claim(refuted_by_published=["broken"]), live, published)
    assert (verdict.evidence, verdict.verdict) == ("published", "refuted")
    assert verdict_on(claim(), live, Model(MISSING, "recorded")).evidence == "live"


def test_published_evidence_needs_a_control_of_its_own() -> None:
    verdict = verdict_on(claim(), Model(2, "published"))
    assert verdict.verdict == "refuted"
    assert "no control could be judged" in verdict.reason


def test_an_assertion_that_does_not_follow_the_bounds_is_an_error() -> None:
    def too_strict(subject: Any, measured: Measured) -> None:
        assert measured(value=subject.value)
        raise AssertionError

    def too_lax(subject: Any, measured: Measured) -> None:
        measured(value=subject.value)

    with pytest.raises(ClaimError, match="fail when a bound is broken"):
        verdict_on(claim(), Model(2), assess=too_strict)
    with pytest.raises(ClaimError, match="fail when a bound is broken"):
        verdict_on(claim(), Model(0), assess=too_lax)
    with pytest.raises(ClaimError, match="to be measured"):
        verdict_on(claim(tolerance={"other": ">= 1"}), Model(2))


def test_a_claim_may_stop_at_a_bound_that_is_broken_and_not_before() -> None:
    def stops(subject: Any, measured: Measured) -> None:
        assert measured(value=subject.value)
        if subject.value < 2:
            assert measured(costly=1)

    terms = claim(tolerance={"value": ">= 1", "costly": ">= 1"})
    found = verdict_on(terms, Model(0), broken=0, assess=stops)
    assert (found.verdict, found.measured) == ("refuted", {"value": 0})
    assert verdict_on(terms, Model(1), assess=stops).verdict == "confirmed"
    with pytest.raises(ClaimError, match="expected costly to be measured"):
        verdict_on(terms, Model(2), assess=stops)


def test_nan_gives_no_verdict() -> None:
    with pytest.raises(SubjectError, match="finite"):
        verdict_on(claim(), Model(float("nan")))


def test_a_failed_assertion_shows_the_number_and_the_bound() -> None:
    measured = Measured({"climb": ">= 0.95"})
    outcome = measured(climb=0.03066, turns=3)
    assert not outcome
    assert repr(outcome) == "climb 0.03066, must be >= 0.95"
    assert Measured({"climb": ">= 0.95"})(climb=1)


@pytest.mark.parametrize(
    "changed",
    [
        {"tolerance": {}},
        {"refuted_by": []},
        {"tolerance": {"value": "about 1"}},
        {"statement": "weather"},
    ],
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
def test_verdicts_on_claims_roll_up_to_their_statement(verdicts: list[str], rolled: str) -> None:
    claims = [
        {
            "id": "helix.circle",
            "statement": "helix",
            "verdict": verdict,
            "evidence": "live",
            "measured": {"turns": 3.0},
            "tolerance": {"turns": ">= 2"},
            "controls": [{"verdict": "refuted"}],
        }
        for verdict in verdicts
    ]
    (statement,) = roll_up(claims)
    assert (statement.id, statement.verdict, statement.claims) == ("helix", rolled, 2)
    assert (statement.controls, statement.controls_refuted) == (2, 2)
    assert statement.headline == "turns 3"


def test_a_refuted_statement_shows_a_number_that_breaks_its_bound() -> None:
    common = {"statement": "helix", "evidence": "live", "controls": []}
    circle = {"id": "helix.circle", "verdict": "confirmed", "measured": {"turns": 3.0}}
    axis = {"id": "helix.axis", "verdict": "refuted", "measured": {"climb": 0.5}}
    bounds = ({"turns": ">= 2"}, {"climb": ">= 0.95"})
    claims = [{**common, **c, "tolerance": t} for c, t in zip((circle, axis), bounds, strict=True)]
    (statement,) = roll_up(claims)
    assert (statement.headline, statement.bound) == ("climb 0.5", ">= 0.95")
    circle |= {"verdict": "refuted", "measured": {"turns": 1.0}}
    (statement,) = roll_up([{**common, **circle, "tolerance": bounds[0]}, claims[1]])
    assert statement.headline == "turns 1"
    # Refuted as a broken model passed: all of its own bounds are kept.
    axis |= {"measured": {"climb": 0.99}}
    (statement,) = roll_up([{**common, **axis, "tolerance": bounds[1]}])
    assert statement.headline == ""

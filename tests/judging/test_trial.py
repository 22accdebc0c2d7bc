"""From claims to verdicts: what is confirmed, refuted, blocked, and what gives no verdict."""

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gpt2_helix.judging.claim import Claim, ClaimError, Evidence, Measured, Subject, keeps, stands
from gpt2_helix.judging.errors import InputError, MissingInputError, NothingToMeasureError
from gpt2_helix.judging.report import ClaimVerdict
from gpt2_helix.judging.suite import Suite
from gpt2_helix.judging.trial import Trial, roll_up
from judging.made import STATEMENTS, WORDS, claim_verdict


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
        "set": "before",
        "why": "-",
        "refuted_by": ["broken"],
    }
    return Claim("toy.test", **{**terms, **changed})


def verdict_on(
    claim: Claim,
    *models: Toy,
    assess: Callable[[Any, Measured], None] = assess,
    **controls: Any,
) -> ClaimVerdict:
    """The verdict where controls have these values; the one called broken has 0."""
    of_control = {"broken": 0, **controls}

    def control(subject: Subject, name: str) -> Subject:
        if name not in of_control:
            raise InputError("not installed")
        return Toy(of_control[name], subject.evidence)

    suite = Suite(
        STATEMENTS,
        open=lambda: models[0],
        control=control,
        weaker=lambda _: models[1:],
        explored=lambda subject: subject.evidence == "recorded",
        is_replication=lambda subject: subject.evidence == "published",
    )
    return Trial(suite, models[0]).run(claim, assess)[0]


def between(low: float, high: float) -> SimpleNamespace:
    return SimpleNamespace(mean=(low + high) / 2, low=low, high=high)


DEGENERATE = NothingToMeasureError("expected values that differ")
MISSING = MissingInputError(["wte.weight"], "folder")
NONE_COUNTS = "no control counts: none keeps what is presumed and breaks a bound"


@pytest.mark.parametrize(
    ("value", "broken", "verdict", "reason", "on_control"),
    [
        (2, 0, "confirmed", "", "refuted"),
        (0.5, 0, "refuted", "value 0.5, must be >= 1", "refuted"),
        (0.5, 3, "refuted", "value 0.5, must be >= 1", "confirmed"),
        (between(1, 3), 0, "confirmed", "", "refuted"),
        (between(0.5, 3), 0, "undecided", "value 1.75 [0.5, 3], must be >= 1", "refuted"),
        (between(0, 0.5), 0, "refuted", "value 0.25 [0, 0.5], must be >= 1", "refuted"),
        (2, between(0, 1.5), "undecided", NONE_COUNTS, "undecided"),
        (2, 3, "undecided", NONE_COUNTS, "confirmed"),
        (2, DEGENERATE, "undecided", NONE_COUNTS, "n/a"),
        (2, MISSING, "undecided", NONE_COUNTS, "blocked"),
        (DEGENERATE, 0, "n/a", "expected values that differ", "refuted"),
        (float("inf"), 0, "n/a", "value is not measurable", "refuted"),
        (2, float("nan"), "undecided", NONE_COUNTS, "n/a"),
    ],
)
def test_verdicts_and_which_control_counts(
    value: Any, broken: Any, verdict: str, reason: str, on_control: str
) -> None:
    found = verdict_on(claim(), Toy(value), broken=broken)
    assert (found.verdict, found.evidence, found.reason) == (verdict, "live", reason)
    (control,) = found.controls
    assert (control.verdict, control.counts) == (on_control, on_control == "refuted")


@pytest.mark.parametrize(
    ("glanced", "whole", "verdict", "reason"),
    [
        (0, AssertionError("not looked at"), "refuted", "value 0, must be >= 1 (at a glance)"),
        (between(0, 2), 0, "refuted", "value 0, must be >= 1"),
        (0, 3, "refuted", "value 0, must be >= 1 (at a glance)"),
        (3, 0, "refuted", "value 0, must be >= 1"),
        (between(0, 2), 3, "confirmed", ""),
        (DEGENERATE, 0, "n/a", "expected values that differ (at a glance)"),
    ],
)
def test_a_control_that_a_glance_settles_is_looked_at_no_closer(
    glanced: Any, whole: Any, verdict: str, reason: str
) -> None:
    suite = Suite(
        STATEMENTS,
        open=lambda: Toy(2),
        control=lambda *_: Toy(whole),
        glance=lambda claim, broken: (Toy(glanced), "at a glance"),
    )
    found, _ = Trial(suite, Toy(2)).run(claim(), assess)
    (control,) = found.controls
    assert (control.verdict, control.reason) == (verdict, reason)
    assert control.counts == (verdict == "refuted")
    assert found.measured == {"value": 2}  # The subject itself is measured whole.


def test_what_was_set_after_looking_describes_where_it_was_looked_at() -> None:
    after = claim(
        tolerance={"value": ">= 1", "other": ">= 1"}, set={"value": "before", "other": "after"}
    )

    def two(subject: Toy, measured: Measured) -> None:
        assert measured(value=subject.value, other=subject.value)

    seen, new = (verdict_on(after, Toy(2, e), assess=two) for e in ("recorded", "live"))
    assert (seen.verdict, seen.set) == ("described", {"value": "before", "other": "after"})
    assert (new.verdict, new.set) == ("confirmed", {"value": "before", "other": "before"})
    assert verdict_on(claim(), Toy(2, "recorded")).verdict == "confirmed"
    assert verdict_on(claim(set="after"), Toy(0, "recorded")).verdict == "refuted"


def test_a_claim_whose_presumption_is_broken_cannot_be_asked() -> None:
    def presuming(subject: Toy, measured: Measured) -> None:
        attends, value = subject.value
        assert measured(attends=attends)
        assert measured(value=value)

    terms = claim(presumes={"attends": ">= 0.1"})
    found = verdict_on(terms, Toy((0.5, 2)), assess=presuming, broken=(0.5, 0))
    assert (found.verdict, found.presumes) == ("confirmed", {"attends": ">= 0.1"})
    for value in (0, 2):
        absent = verdict_on(terms, Toy((0.02, value)), assess=presuming, broken=(0.5, 0))
        assert (absent.verdict, absent.reason) == ("n/a", "attends 0.02, presumed >= 0.1")
        assert absent.measured == {"attends": 0.02}
    # A copy that lacks what is presumed does not test the claim.
    untested = verdict_on(terms, Toy((0.5, 2)), assess=presuming, broken=(0, 0))
    assert (untested.verdict, untested.controls[0].verdict) == ("undecided", "n/a")
    unsure = verdict_on(terms, Toy((between(0, 1), 2)), assess=presuming, broken=(0.5, 0))
    assert unsure.verdict == "undecided"
    # A copy of which it is not sure that it keeps what is presumed does not count.
    half = verdict_on(terms, Toy((0.5, 2)), assess=presuming, broken=(between(0, 1), 0))
    assert (half.verdict, half.controls[0].counts) == ("undecided", False)
    with pytest.raises(ClaimError, match="asked or presumed, not both"):
        claim(presumes={"value": ">= 1"})


def test_a_claim_about_one_subject_does_not_apply_to_others() -> None:
    about = claim(about="toy", refuted_by_published=["broken"])
    other = verdict_on(about, Toy(0, "published"))
    assert (other.verdict, other.reason, other.about) == ("n/a", "about toy alone", "toy")
    assert other.controls[0].counts
    assert verdict_on(about, Toy(0)).verdict == "refuted"


def test_a_missing_tensor_blocks_and_is_named() -> None:
    verdict = verdict_on(claim(), Toy(MISSING))
    assert (verdict.verdict, verdict.missing, verdict.controls) == ("blocked", ["wte.weight"], [])


def test_one_control_that_counts_is_enough() -> None:
    verdict = verdict_on(claim(refuted_by=["absent", "loose", "broken"]), Toy(2), loose=3)
    assert verdict.verdict == "confirmed"
    assert [c.verdict for c in verdict.controls] == ["blocked", "confirmed", "refuted"]
    assert verdict.controls[0].reason == "not installed"


def test_the_strongest_evidence_that_is_not_blocked_is_judged() -> None:
    live, recorded, published = Toy(MISSING), Toy(2, "recorded"), Toy(0, "published")
    assert verdict_on(claim(), live, recorded, published).evidence == "recorded"
    verdict = verdict_on(claim(refuted_by_published=["broken"]), live, published)
    assert (verdict.evidence, verdict.verdict) == ("published", "refuted")
    assert verdict_on(claim(), live, Toy(MISSING, "recorded")).evidence == "live"


def test_published_evidence_needs_a_control_of_its_own() -> None:
    verdict = verdict_on(claim(), Toy(2, "published"))
    assert (verdict.verdict, verdict.reason) == ("undecided", NONE_COUNTS)


def test_an_assertion_that_does_not_follow_the_bounds_is_an_error() -> None:
    def too_strict(subject: Any, measured: Measured) -> None:
        assert measured(value=subject.value)
        raise AssertionError

    def too_lax(subject: Any, measured: Measured) -> None:
        measured(value=subject.value)

    for why, found in (
        ("fail when a bound is broken", verdict_on(claim(), Toy(2), assess=too_strict)),
        ("fail when a bound is broken", verdict_on(claim(), Toy(0), assess=too_lax)),
        ("expected other to be measured", verdict_on(claim(tolerance={"other": ">= 1"}), Toy(2))),
    ):
        assert (found.verdict, found.measured, found.controls) == ("error", {}, [])
        assert why in found.reason


def test_a_claim_that_ends_in_an_error_gives_no_verdict() -> None:
    for found in (
        verdict_on(claim(), Toy(KeyError("average-10"))),
        verdict_on(claim(), Toy(2), broken=KeyError("average-10")),
    ):
        assert found.verdict == "error"
        assert found.reason.endswith("KeyError: 'average-10'")
    with pytest.raises(InputError):
        verdict_on(claim(), Toy(InputError("a cat")))


def test_a_claim_may_stop_at_a_bound_that_is_broken_and_not_before() -> None:
    def stops(subject: Any, measured: Measured) -> None:
        assert measured(value=subject.value)
        if subject.value < 2:
            assert measured(costly=1)

    terms = claim(tolerance={"value": ">= 1", "costly": ">= 1"})
    found = verdict_on(terms, Toy(0), broken=0, assess=stops)
    assert (found.verdict, found.measured) == ("refuted", {"value": 0})
    assert verdict_on(terms, Toy(1), assess=stops).verdict == "confirmed"
    assert "expected costly to be measured" in verdict_on(terms, Toy(2), assess=stops).reason


def test_a_number_that_was_estimated_is_kept_with_its_interval() -> None:
    estimates = {"a": between(1, 3), "b": between(1, 1)}
    measured = Measured({"value": ">= 1"})
    assert measured(value=estimates, other=between(0, 1))
    assert measured.values == {"value": {"a": 2.0, "b": 1.0}, "other": 0.5}
    assert measured.intervals == {"value": {"a": (1, 3), "b": (1, 1)}, "other": (0, 1)}


def test_a_number_that_says_nothing_of_a_subject_has_no_bound_there() -> None:
    def without_value(subject: Any, measured: Measured) -> None:
        assert measured(value=subject.value, other=1)

    terms = claim(tolerance={"value": ">= 1", "other": ">= 1"})
    verdict = verdict_on(terms, Toy(None), assess=without_value)
    assert (verdict.verdict, verdict.measured) == ("confirmed", {"other": 1})
    assert verdict.tolerance == {"other": ">= 1"}
    assert "expected a number under value, found none" in verdict_on(claim(), Toy({})).reason


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
        {"presumes": {"other": "some"}},
        {"set": "once"},
        {"set": {"other": "before"}},
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
    ("number", "ends", "bound", "standing"),
    [
        (1, (1, 1), "== 1", "kept"),
        (1, (0, 2), "== 1", "open"),
        (3, (2, 4), "== 1", "broken"),
        (1, (0.5, 1.5), "<= 1", "open"),
        (1, (0.5, 1), "<= 1", "kept"),
        (2, None, "<= 1", "broken"),
    ],
)
def test_a_number_stands_to_a_bound_as_its_whole_interval_does(
    number: float, ends: Any, bound: str, standing: str
) -> None:
    assert stands(number, ends, bound) == standing


@pytest.mark.parametrize(
    ("verdicts", "rolled"),
    [
        (["confirmed", "confirmed"], "confirmed"),
        (["confirmed", "described"], "described"),
        (["confirmed", "refuted"], "refuted"),
        (["refuted", "blocked"], "refuted"),
        (["confirmed", "blocked"], "mixed"),
        (["undecided", "described"], "mixed"),
        (["blocked", "blocked"], "blocked"),
        (["n/a", "n/a"], "n/a"),
    ],
)
def test_verdicts_on_claims_roll_up_to_their_statement(verdicts: list[Any], rolled: str) -> None:
    claims = [claim_verdict(verdict=verdict) for verdict in verdicts]
    (statement,) = roll_up([*claims, claim_verdict(statement=None)], STATEMENTS)
    assert (statement.id, statement.verdict) == ("toy", rolled)
    assert statement.claims == Counter(verdicts)


def test_a_statement_that_is_blocked_says_what_it_takes() -> None:
    blocked = claim_verdict(verdict="blocked", reason="no spring in the box")
    (statement,) = roll_up([blocked], STATEMENTS, words=WORDS)
    assert statement.finding == "Not judged: it takes a spring."


def test_a_statement_is_judged_once_every_claim_on_it_was_run() -> None:
    ran = [claim_verdict(), claim_verdict(verdict="refuted")]
    for claims, declared in ((ran, 3), ([*ran, claim_verdict(verdict="error")], 3)):
        (part,) = roll_up(claims, STATEMENTS, {"toy": declared})
        assert (part.verdict, part.finding) == ("not judged", "2 of 3 claims judged.")
    (whole,) = roll_up(ran, STATEMENTS, {"toy": 2})
    assert (whole.verdict, whole.of) == ("refuted", 2)

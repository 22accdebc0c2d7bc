"""From claims to verdicts: what is confirmed, refuted, blocked, and what is none of these."""

import pytest

from gpt2_helix.subjects import MissingTensorError, SubjectError
from gpt2_helix.verdicts import Claim, ClaimError, Measured, judge, keeps


class Model:
    recorded_on = None

    def __init__(self, value: float | Exception) -> None:
        self.value = value


def assess(subject: Model, measured: Measured) -> None:
    if isinstance(subject.value, Exception):
        raise subject.value
    measured(value=subject.value)
    assert subject.value >= 1


def claim(**changed: object) -> Claim:
    terms = {
        "post": "-",
        "needs": "P",
        "tolerance": {"value": ">= 1"},
        "why": "-",
        "refuted_by": ["broken"],
    }
    return Claim("helix.test", **{**terms, **changed})  # type: ignore[arg-type]


def test_a_claim_that_holds_and_refutes_its_control_is_confirmed() -> None:
    verdict, raised = judge(claim(), assess, Model(2), lambda _: Model(0))
    assert (verdict.verdict, raised, verdict.evidence) == ("confirmed", None, "live")
    assert verdict.measured == {"value": 2}
    assert [(c.name, c.verdict) for c in verdict.controls] == [("broken", "refuted")]


def test_a_claim_that_does_not_hold_is_refuted() -> None:
    verdict, raised = judge(claim(), assess, Model(0.5), lambda _: Model(0))
    assert verdict.verdict == "refuted"
    assert isinstance(raised, AssertionError)


def test_a_claim_that_its_control_passes_is_refuted() -> None:
    verdict, raised = judge(claim(), assess, Model(2), lambda _: Model(3))
    assert verdict.verdict == "refuted"
    assert raised is None
    assert verdict.reason == "the claim does not refute broken"


def test_a_missing_tensor_blocks_and_is_named() -> None:
    missing = MissingTensorError(["wte.weight"], "folder")
    verdict, _ = judge(claim(), assess, Model(missing), lambda _: Model(0))
    assert (verdict.verdict, verdict.missing, verdict.controls) == ("blocked", ["wte.weight"], [])


def test_a_control_that_cannot_be_had_is_said_to_be_blocked() -> None:
    def control(name: str) -> Model:
        if name == "absent":
            raise SubjectError("not installed")
        return Model(0)

    two = claim(refuted_by=["broken", "absent"])
    verdict, _ = judge(two, assess, Model(2), control)
    assert verdict.verdict == "confirmed"
    assert [c.verdict for c in verdict.controls] == ["refuted", "blocked"]
    alone, _ = judge(claim(refuted_by=["absent"]), assess, Model(2), control)
    assert alone.verdict == "refuted"
    assert "no control could be judged (not installed)" in alone.reason


def test_an_assertion_that_says_other_than_the_tolerance_is_an_error() -> None:
    with pytest.raises(ClaimError, match="agree"):
        judge(claim(tolerance={"value": ">= 1.5"}), assess, Model(1.2), lambda _: Model(0))
    with pytest.raises(ClaimError, match="agree"):
        judge(claim(tolerance={"value": ">= 0"}), assess, Model(0.5), lambda _: Model(0))
    with pytest.raises(ClaimError, match="to be measured"):
        judge(claim(tolerance={"other": ">= 1"}), assess, Model(2), lambda _: Model(0))


def test_a_number_that_is_none_is_no_verdict() -> None:
    with pytest.raises(SubjectError, match="finite"):
        judge(claim(), assess, Model(float("nan")), lambda _: Model(0))


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

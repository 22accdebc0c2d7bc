"""What the claims that run the whole model cost, and what is told of it before."""

import math
import re

import numpy as np
import pytest

from gpt2_helix.judging.collect import declared
from gpt2_helix.judging.trial import Trial
from gpt2_helix.measure import output, repetition
from gpt2_helix.places import CLAIMS, DATA
from gpt2_helix.suite import plan
from gpt2_helix.suite.gpt2 import suite_on
from gpt2_helix.suite.live import Live
from gpt2_helix.suite.plan import WHOLE_MODEL, WholeModelPlan
from gpt2_helix.suite.subjects import open_subject
from gpt2_helix.texts import TextInputs
from support import Claims, Judge, choose

ASKED = [(claim, test) for _, test, claim in declared(CLAIMS) if claim.needs in WHOLE_MODEL]


def built(name: str, n_windows: int) -> Live:
    subject = open_subject(f"built:{name}", DATA, TextInputs(n_windows=n_windows))
    assert isinstance(subject, Live)
    return subject


@pytest.fixture(autouse=True)
def _few_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    larger = ("average-10", "average-20")
    choose(monkeypatch, "repetition", other_pairs=2, every_offset=("average-5",), larger=larger)


def test_what_is_planned_is_what_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "WORTH_TELLING_S", math.inf)
    subject = built("causal-kernel", 8)
    planned = WholeModelPlan(subject, [claim for claim, _ in ASKED])
    assert planned.said == ""
    assert planned.left() == ""
    ran: list[int] = []
    subject.model.runner.ran = ran.append
    trial = Trial(suite_on(DATA, lambda: subject), subject)
    for claim, test in ASKED:
        trial.run(claim, test)
    assert sum(ran) == pytest.approx(planned.tokens, rel=0.1)


def test_what_takes_long_is_told_with_the_time_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "WORTH_TELLING_S", 0)
    subject = built("causal-kernel", 2)
    planned = WholeModelPlan(subject, [claim for claim, _ in ASKED if claim.id.startswith("out")])
    told = r'about \d+ s on this machine for claims that run the whole model \(2\); -m "not whole_'
    assert re.match(told, planned.said)
    subject.measure(output.on_text)
    assert re.fullmatch(r"about \d+ (s|min) to go", planned.left())
    subject.model.runner.ran(planned.tokens)
    assert planned.left() == "more to run than planned"


def test_a_quarter_has_the_first_windows_and_all_else_from_the_whole() -> None:
    subject = built("exact-positions", 8)
    quarter = subject.on_a_quarter
    assert quarter is not None
    np.testing.assert_array_equal(quarter.windows, subject.windows[:2])
    assert quarter.measure(output.on_text).n_windows == 2
    assert quarter.measure(repetition.intact) is subject.measure(repetition.intact)
    assert built("exact-positions", 7).on_a_quarter is None


@pytest.mark.parametrize(("name", "at_5"), [("exact-positions", 0), ("causal-kernel", 1)])
def test_other_pairs_fare_as_the_pair_does(name: str, at_5: int) -> None:
    found = built(name, 2).measure(repetition.other_pairs)
    assert {rate.n for rate in found.rate.values()} == {4}
    assert found.rate["intact"].share == 1
    assert found.rate["average-5"].share == found.at_worst_offset["average-5"].share == at_5


def test_claims_on_the_whole_model_come_last_and_can_be_left_out(
    judge: Judge, run_claims: Claims
) -> None:
    whole = {claim.id for claim, _ in ASKED}
    every = judge(subject="recorded:mini")
    assert whole < every.claims.keys()
    some = judge("-m", "not whole_model", subject="recorded:mini")
    assert some.claims.keys() == every.claims.keys() - whole
    collected = run_claims("claims/", "--collect-only", "-v").stdout.splitlines()
    files = [line.partition(":")[0] for line in collected if line.startswith("claims/")]
    last = [f"claims/test_{name}.py" for name in ("heads", "output", "repetition")]
    assert list(dict.fromkeys(files))[-3:] == last

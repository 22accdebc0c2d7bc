"""Where heads look, on patterns whose answer is known by hand."""

import numpy as np
import pytest

from gpt2_helix.doctoring import INTACT
from gpt2_helix.judging.errors import NothingToMeasureError
from gpt2_helix.judging.records import adapter
from gpt2_helix.measure import heads
from gpt2_helix.models.config import Head
from gpt2_helix.weights.tensors import Array
from pipeline.digitising import published
from support import refused


def test_shares_and_places_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "OFFSETS", 2)  # No more keys than four queries have.
    patterns = np.zeros((2, 4, 4))
    patterns[0, [1, 2, 3], [0, 1, 2]] = 0.5
    patterns[1, [1, 2, 3], [0, 1, 1]] = 0.4, 0.3, 0.9
    patterns[1, 2, 2] = 0.3  # As much to itself as to the token before: it does not win.
    found = observed({INTACT: patterns})
    every = heads.all_heads(lambda _: found)
    assert every.share[INTACT] == {"L0H0": 1, "L0H1": pytest.approx(1 / 3)}
    assert every.attention[INTACT] == {"L0H0": pytest.approx(0.5), "L0H1": pytest.approx(0.7 / 3)}
    main = heads.main_heads(lambda _: found, [Head(0, 1), Head(7, 7)])
    assert main.place_by_share == main.place_by_attention == {"L0H1": 2}
    assert main.n_heads == 2
    assert main.share["L0H1"].mean == pytest.approx(1 / 3)
    assert main.share["L0H1"].n == 3
    assert main.share["L0H1"].low < 0.1
    assert main.share["L0H1"].high > 0.7
    # Three queries, of which none or 0.4 or 0.3 stands for a third: Student's t has two degrees.
    error = np.std([0.4, 0.3, 0], ddof=1) / np.sqrt(3)
    attention = main.attention["L0H1"]
    assert attention.high - attention.mean == pytest.approx(4.30265 * error, rel=1e-5)


def observed(patterns: dict[str, Array], unit: int = 1) -> heads.Observed:
    """The two heads of patterns, from the first query that has a key before it."""
    return published.observed(patterns, ["L0H0", "L0H1"], unit=unit, first=1)


def falling(n: int, ratio: float) -> Array:
    """Two heads that attend to the token before, and less by ``ratio`` at each step further."""
    back = np.subtract.outer(np.arange(n), np.arange(n))
    weights = np.where(back > 0, ratio ** np.maximum(back - 1, 0), 0)
    weights[0, 0] = 1
    return np.stack([weights / weights.sum(1, keepdims=True)] * 2)


def test_a_profile_is_by_offset_and_moves_with_the_pattern() -> None:
    """From the thirteenth row on, where all of its keys are shown."""
    sharp, wide = falling(33, 0.3), falling(33, 0.5)
    found = observed({INTACT: sharp, heads.AVERAGED: wide}, unit=8)
    main = [Head(0, 0)]
    by_offset = heads.profiles(lambda _: found, main).by_offset
    for name, ratio in ((INTACT, 0.3), (heads.AVERAGED, 0.5)):
        profile = np.array(by_offset[name]["L0H0"])
        assert len(profile) == 13
        expected = [0, *(1 - ratio) * ratio ** np.arange(12)]
        np.testing.assert_allclose(profile, expected, atol=2e-4)
    kept = heads.survival(lambda _: found, main)
    assert kept.profile_moved["L0H0"] == pytest.approx(0.2, abs=2e-4)
    assert kept.kept_attention["L0H0"].mean == pytest.approx(0.5 / 0.7, rel=0.1)
    assert kept.kept_share["L0H0"].mean == 1
    assert kept.kept_attention["L0H0"].n == 4


def test_what_a_row_lacks_is_on_the_first_token_only_if_it_is_whole() -> None:
    patterns = {INTACT: 0.75 * falling(20, 0.5)}
    whole = published.observed(patterns, ["L0H0", "L0H1"], whole=True)
    shown = heads.profiles(lambda _: whole, [Head(0, 1)]).on_first
    assert shown is not None
    assert shown[INTACT]["L0H1"] == pytest.approx(0.25)
    assert heads.profiles(lambda _: observed(patterns), [Head(0, 1)]).on_first is None


def test_a_unit_holds_the_queries_at_a_border_too() -> None:
    """A loss at each tenth query: the same in each group, so that its interval has no width."""
    intact = np.zeros((2, 41, 41))
    rows = np.arange(1, 41)
    intact[:, rows, rows - 1] = 0.8
    averaged = intact.copy()
    averaged[:, rows[::10], rows[::10] - 1] = 0.2
    kept = heads.survival(
        lambda _: observed({INTACT: intact, heads.AVERAGED: averaged}, unit=10), [Head(0, 0)]
    ).kept_attention["L0H0"]
    assert (kept.mean, kept.low, kept.high) == pytest.approx((0.925, 0.925, 0.925))


def test_of_a_head_that_had_nothing_there_is_nothing_to_measure() -> None:
    nothing = dict.fromkeys((INTACT, heads.AVERAGED), np.zeros((2, 14, 14)))
    with refused("L0H0: expected something to keep", kind=NothingToMeasureError):
        heads.survival(lambda _: observed(nothing), [Head(0, 0)])


def test_heads_in_random_order_keep_their_numbers_under_other_names() -> None:
    patterns = {INTACT: np.stack([falling(20, 0.3)[0], falling(20, 0.9)[0]])}
    found = observed(patterns)
    other = published.in_random_order(found, [1, 0])
    for measure in (heads.main_heads, heads.profiles):
        one = adapter(measure.__annotations__["return"]).dump_json(
            measure(lambda _: found, [Head(0, 0)])
        )
        swapped = measure(lambda _: other, [Head(0, 1)])
        again = adapter(measure.__annotations__["return"]).dump_json(swapped)
        assert again == one.replace(b"L0H0", b"L0H1")

"""Measurements on arrays whose answer is known."""

import csv
from unittest.mock import MagicMock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, spearmanr

from gpt2_helix import doctoring
from gpt2_helix.judging.errors import MissingInputError, NothingToMeasureError
from gpt2_helix.measure import averaging, helix, kernels, positions, statistics
from gpt2_helix.measure.statistics import spearman
from gpt2_helix.models.config import Head
from gpt2_helix.suite.controls import sinusoid_table
from support import ROOT, helix_rows


def test_a_helix_is_measured_as_one() -> None:
    found = helix.shape(helix_rows(turns=4))
    assert found.turns == pytest.approx(4, abs=0.1)
    assert found.climb > 0.999
    assert found.one_sign == 1
    assert found.variance_ratio == pytest.approx(1, abs=0.1)
    assert found.same_frequency
    assert found.lag == pytest.approx(0.25, abs=0.01)
    assert found.adjacent_neighbour > 0.99


def test_the_explained_share_is_that_of_a_singular_value_decomposition() -> None:
    W_pos = np.random.default_rng(0).standard_normal((60, 12)) * np.arange(1, 13)
    found = helix.principal_curve(W_pos)
    rows = W_pos[1:-1] - W_pos[1:-1].mean(0)
    _, s, vt = np.linalg.svd(rows, full_matrices=False)
    np.testing.assert_allclose(found.explained, s[:3] ** 2 / (s**2).sum(), rtol=1e-9)
    np.testing.assert_allclose(
        np.abs(found.scores[1:-1]), np.abs(rows @ vt[:3].T), rtol=1e-6, atol=1e-8
    )


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_the_sign_of_components_does_not_follow_that_of_the_solver(seed: int) -> None:
    W_pos = helix_rows(n=64, d_model=16, seed=seed)
    scores = helix.principal_curve(W_pos).scores
    again = helix.principal_curve(W_pos[:, ::-1].copy()).scores
    np.testing.assert_allclose(scores, again, atol=1e-5)


def test_a_shifted_or_rotated_helix_is_the_same_helix() -> None:
    W_pos = helix_rows(d_model=32).astype(np.float64)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((32, 32)))[0]
    one, other = helix.shape(W_pos), helix.shape(W_pos @ turn + 5)
    assert other.turns == pytest.approx(one.turns)
    assert other.explained == pytest.approx(one.explained)


def test_a_helix_beats_every_surrogate() -> None:
    found = helix.phantom(helix_rows(n=258, d_model=64))
    assert (found.p_value.mean, found.p_value.n) == (0.001, 999)
    assert found.p_value.high < 0.01
    assert found.phase_randomised_best is not None


@pytest.mark.parametrize("seed", range(5, 10))
def test_a_random_walk_fits_a_helix_by_variance_alone_and_is_still_a_phantom(seed: int) -> None:
    walk = helix.random_walk(1024, 768, seed=1000 + seed)
    assert helix.shape(walk).explained > 0.8
    found = helix.phantom(walk)
    assert found.p_value.low > 0.01
    assert found.phase_randomised_best is None


def test_a_null_is_left_when_twenty_of_its_surrogates_did_as_well() -> None:
    found, best = helix._rank(0.5, lambda seed: seed % 4 / 4, 999)
    assert (found.mean, found.n, best) == (20 / 40, 40, 0.75)
    last, _ = helix._rank(0.5, lambda seed: float(seed >= 979), 999)
    assert (last.mean, last.n) == (20 / 999, 999)
    assert last.low > 0.01
    found, _ = helix._rank(0.5, lambda seed: float(seed in (3, 998)), 999)
    assert (found.mean, found.n) == (3 / 1000, 999)
    assert found.low < 2 / 999 < found.high


def test_the_table_of_random_walks_holds_what_is_drawn_and_recorded() -> None:
    (table,) = helix.RANDOM_WALKS.values()
    assert len(table) == helix.SURROGATES
    with (ROOT / "data/gpt2/surrogates.csv").open() as file:
        recorded = [float(row["random_walk"]) for row in csv.DictReader(file)]
    assert recorded == pytest.approx(table, abs=2e-4)
    for seed in (0, 998):
        curve = helix._random_walk_curve(1022, 768, seed)
        assert helix.steady_climb(curve) == pytest.approx(table[seed], abs=2e-4)


def test_a_surrogate_in_float32_is_the_one_in_float64() -> None:
    rows = helix_rows(n=258, d_model=64)[1:-1]
    whole = helix.randomise_phases(rows, seed=2)
    whole -= whole.mean(axis=0)
    _, copy = helix.nulls(rows)
    _, _, loadings = np.linalg.svd(whole, full_matrices=False)
    expected = helix.steady_climb(whole @ loadings[:3].T)
    assert helix.surrogate_climb(copy(2)) == pytest.approx(expected, abs=2e-4)


def test_an_interval_of_a_share_is_wilsons() -> None:
    """As for 27 of 40 in any table of it; a share of all or nothing has an interval too."""
    found = statistics.share(27, 40)
    assert (found.mean, found.method, found.n) == (27 / 40, "wilson", 40)
    assert (found.low, found.high) == pytest.approx((0.5202, 0.7992), abs=1e-4)
    assert statistics.share(0, 14).high == pytest.approx(0.2153, abs=1e-4)
    assert statistics.share(14, 14).low == pytest.approx(1 - 0.2153, abs=1e-4)


@pytest.mark.parametrize(
    ("beaten", "stopped", "expected"),
    [(0, False, 1 / 1000), (9, False, 0.01), (10, True, 10 / 999)],
)
def test_a_p_value_lies_in_its_exact_interval(beaten: int, stopped: bool, expected: float) -> None:
    found = statistics.p_value(beaten, 999, stopped=stopped)
    assert found.mean == pytest.approx(expected)
    assert found.low <= found.mean <= found.high
    low = beta.ppf(0.025, beaten, 1000 - beaten) if beaten else 0
    assert found.low == pytest.approx(low)
    assert found.high == pytest.approx(beta.ppf(0.975, beaten + 1, 999 - beaten))


@pytest.mark.parametrize("size", [3, 40])
def test_a_rank_correlation_is_scipys_with_and_without_equal_values(size: int) -> None:
    values, others = np.random.default_rng(0).integers(size, size=(2, 50)).astype(float)
    for other in (others, np.arange(50.0)):
        theirs = float(spearmanr(values, other).statistic)
        assert spearman(values, other) == pytest.approx(theirs)


def test_phase_randomising_keeps_each_power_spectrum() -> None:
    rows = helix_rows(n=200, d_model=5).astype(np.float64)
    surrogate = helix.randomise_phases(rows, seed=3)
    kept = slice(1, -1)
    np.testing.assert_allclose(
        np.abs(np.fft.rfft(surrogate, axis=0))[kept], np.abs(np.fft.rfft(rows, axis=0))[kept]
    )
    np.testing.assert_allclose(surrogate.mean(0), rows.mean(0))
    assert np.abs(surrogate - rows).max() > 0.1


@pytest.mark.parametrize("base", [100, 10000])
def test_a_sinusoid_table_is_reproduced_whatever_its_order_and_scale(base: float) -> None:
    table = sinusoid_table(512, 64) if base == 10000 else _table(512, 64, base)
    rng = np.random.default_rng(0)
    shuffled = table[:, rng.permutation(64)] * rng.uniform(0.5, 2, 64)
    assert positions.learned(shuffled).beyond_sinusoids < 1e-4


def _table(n: int, d: int, base: float) -> doctoring.Positions:
    angle = np.arange(n)[:, None] / base ** (np.arange(0, d, 2) / d)
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


def test_a_sinusoid_table_may_have_an_odd_width() -> None:
    np.testing.assert_array_equal(sinusoid_table(64, 5)[:, :2], sinusoid_table(64, 6)[:, :2])
    assert sinusoid_table(64, 5).shape == (64, 5)


def test_noise_is_beyond_sinusoids() -> None:
    noise = np.random.default_rng(0).standard_normal((512, 64))
    assert positions.learned(noise).beyond_sinusoids > 0.9


@pytest.mark.parametrize("ratio", [0.5, 1e-200])
def test_how_a_head_falls_off_is_measured_where_a_float_can_hold_it(
    monkeypatch: pytest.MonkeyPatch, ratio: float
) -> None:
    back = np.subtract.outer(np.arange(512), np.arange(512))
    weights = np.where(back >= 0, ratio ** np.maximum(back, 0), 0)
    monkeypatch.setattr(kernels, "pattern", lambda *_, **__: weights / weights.sum(1)[:, None])

    def measure() -> kernels.LocalHeads:
        return kernels.local_heads(np.zeros((512, 4)), MagicMock(), [Head(0, 0)])

    if ratio < 1e-100:
        with pytest.raises(NothingToMeasureError, match="L0H0: expected some attention at each"):
            measure()
    else:
        expected = (1 - ratio) * ratio ** np.arange(12)
        assert measure().kernel["L0H0"]["intact"] == pytest.approx(expected)


def test_means_of_an_arc_lie_inside_it_by_theory() -> None:
    turns, k = 3, 50
    W_pos = helix_rows(turns=turns)
    found = averaging.distance_from_curve(W_pos).mean_distance
    # A mean over an arc of angle a lies a^2/24 of the radius inside; the climb adds a little.
    arc = 2 * np.pi * turns * k / 1023
    assert found[f"average-{k}"] == pytest.approx(arc**2 / 24, rel=0.15)


def test_a_context_that_holds_no_largest_group_lacks_positions() -> None:
    with pytest.raises(MissingInputError, match="does not hold 102 positions"):
        averaging.distance_from_curve(helix_rows(101, 8))
    assert averaging.distance_from_curve(helix_rows(102, 8)).mean_distance["average-100"] > 0


@pytest.mark.parametrize("slip", ["six", "row 0", "sum", "border"])
def test_a_slip_in_the_doctoring_shows(slip: str) -> None:
    """The erratum k .. k+5 among them: groups of six where five are meant."""
    right = doctoring.doctor

    def wrong(W_pos: doctoring.Positions, name: str, offset: int = 0) -> doctoring.Positions:
        if slip == "six":
            return right(W_pos, f"average-{(doctoring.group_size(name) or 0) + 1}", offset)
        if slip == "row 0":
            return np.concatenate([W_pos[:1] * 0, right(W_pos, name, offset)[1:]])
        if slip == "sum":
            return np.concatenate([W_pos[:1], right(W_pos, name, offset)[1:] * 2])
        return np.roll(right(W_pos, name, offset), 1, axis=0)

    found = averaging.grouping(helix_rows(n=301, d_model=8), wrong)
    worst = [
        max(abs(v) for v in field.values())
        for field in (
            found.rows_beyond_count,
            found.spread_within_group,
            found.mean_moved,
            found.row_0_moved,
        )
    ]
    assert max(worst) > 1e-6


def test_the_right_doctoring_shows_nothing() -> None:
    found = averaging.grouping(helix_rows(n=301, d_model=8), doctoring.doctor)
    assert set(found.rows_beyond_count.values()) == {0}
    assert max(found.spread_within_group.values()) == 0
    assert max(found.row_0_moved.values()) == 0
    assert max(found.mean_moved.values()) <= 1e-6

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_helix.doctoring import (
    average_in_groups,
    check,
    doctor,
    group_starts,
    on_components,
    without_components,
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, int, int]:
    n = draw(st.integers(2, 300))
    k = draw(st.integers(1, n + 10))
    return n, k, draw(st.integers(0, k - 1))


def test_groups_of_five_are_five_positions() -> None:
    assert group_starts(12, 5) == [1, 6, 11]
    assert group_starts(12, 5, offset=2) == [1, 3, 8]


@settings(deadline=None)  # Whatever else this machine is doing.
@given(cases())
def test_rows_of_a_group_are_its_mean_and_row_0_stays(case: tuple[int, int, int]) -> None:
    n, k, offset = case
    W_pos = np.random.default_rng(n).standard_normal((n, 4)).astype(np.float32)
    doctored = average_in_groups(W_pos, k, offset)
    assert doctored.shape == W_pos.shape
    assert doctored.dtype == W_pos.dtype
    np.testing.assert_array_equal(doctored[0], W_pos[0])
    for position in range(1, n):
        group = [p for p in range(1, n) if (p - 1 - offset) // k == (position - 1 - offset) // k]
        np.testing.assert_allclose(doctored[position], W_pos[group].mean(0), atol=1e-6)


@settings(deadline=None)  # Whatever else this machine is doing.
@given(cases())
def test_averaging_twice_is_averaging_once(case: tuple[int, int, int]) -> None:
    n, k, offset = case
    W_pos = np.random.default_rng(n).standard_normal((n, 4))
    once = average_in_groups(W_pos, k, offset)
    np.testing.assert_allclose(average_in_groups(once, k, offset), once, atol=1e-12)


def test_groups_of_one_change_nothing_and_share_nothing() -> None:
    W_pos = np.ones((5, 2))
    doctored = average_in_groups(W_pos, 1)
    doctored[1] = 0
    assert W_pos[1, 0] == 1


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("avrage-10", "; did you mean average-10?"),
        ("average-10x", "; did you mean average-10?"),
        ("average-007", "; did you mean average-7?"),
        ("averageall", "; did you mean average-all?"),
        ("zeroes", "; did you mean zeroed?"),
        ("average-0", "found 'average-0'"),
        ("melted", "found 'melted'"),
    ],
)
def test_the_nearest_doctoring_is_asked_about(name: str, end: str) -> None:
    for refusing in (check, partial(doctor, np.ones((9, 2)))):
        with pytest.raises(ValueError, match="expected a doctoring") as refused:
            refusing(name)
        assert str(refused.value).endswith(end)


@pytest.mark.parametrize(("group_size", "offset"), [(0, 0), (-3, 0), (5, 5), (5, -1)])
def test_sizes_and_offsets_out_of_range_are_refused(group_size: int, offset: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        average_in_groups(np.ones((9, 2)), group_size, offset)


def test_rows_along_some_components_and_without_them_are_the_rows_and_their_mean() -> None:
    rng = np.random.default_rng(0)
    W_pos = rng.standard_normal((40, 3)) @ rng.standard_normal((3, 8)) + 5
    W_pos[[0, -1]] = 100  # The two ends have no say in the components.
    np.testing.assert_allclose(on_components(W_pos, 3)[:-1], W_pos[:-1])
    flat = without_components(W_pos, 3)[1:-1]
    np.testing.assert_allclose(flat, np.tile(W_pos[1:-1].mean(axis=0), (38, 1)))
    for n in (1, 2):
        some, rest = on_components(W_pos, n), without_components(W_pos, n)
        np.testing.assert_array_equal(some[0], W_pos[0])
        np.testing.assert_array_equal(rest[0], W_pos[0])
        centre = W_pos[1:-1].mean(axis=0)
        np.testing.assert_allclose((some + rest - centre)[1:], W_pos[1:])
        assert np.linalg.matrix_rank((some - centre)[1:]) == n
    assert on_components(W_pos.astype(np.float32), 2).dtype == np.float32

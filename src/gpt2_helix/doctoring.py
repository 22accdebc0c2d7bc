"""What is done to W_pos, by name: averaging in groups, shuffling, removing.

*Doctoring* is the word of Yedidia (2023). Row 0 is never touched: it sits under
``<|endoftext|>`` in every prompt. To add a doctoring, write a function here, name it in
``_SPOILT``, and list it in ``params.yaml`` under the measurements that are to try it.
"""

import re
from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Float

from gpt2_helix.judging.errors import did_you_mean

Positions = Float[np.ndarray, "position d_model"]

INTACT = "intact"
AVERAGE_ALL = "average-all"
SEED = 20230810
_AVERAGE = re.compile(r"average-([1-9][0-9]*)")


def group_starts(n_positions: int, group_size: int, offset: int = 0) -> list[int]:
    """First positions of the groups that averaging in groups of ``group_size`` makes.

    Groups begin at ``1 + offset + m * group_size``. With an offset, the rows before the first of
    these form a shorter group of their own, and so may the last rows. Row 0 is in no group.
    ``ValueError`` if ``group_size < 1`` or ``offset`` is not in ``0 .. group_size - 1``.
    """
    if group_size < 1:
        raise ValueError(f"group_size: expected an integer >= 1, found {group_size}")
    if not 0 <= offset < group_size:
        raise ValueError(f"offset: expected 0 .. {group_size - 1}, found {offset}")
    starts = list(range(1 + offset, n_positions, group_size))
    return starts if offset == 0 or n_positions <= 1 else [1, *starts]


def average_in_groups(W_pos: Positions, group_size: int, offset: int = 0) -> Positions:
    """Replace each row of W_pos, except row 0, by the mean of its group; see ``group_starts``.

    The result is a new array of the same shape and dtype; means are taken in float64.
    """
    starts = group_starts(len(W_pos), group_size, offset)
    if group_size == 1 or not starts:
        return W_pos.copy()
    sizes = np.diff([*starts, len(W_pos)])
    means = np.add.reduceat(W_pos, starts, axis=0, dtype=np.float64) / sizes[:, None]
    doctored = np.repeat(means, sizes, axis=0).astype(W_pos.dtype)
    return np.concatenate([W_pos[:1], doctored])


def shuffled(W_pos: Positions) -> Positions:
    """Every row except row 0, in a fixed random order."""
    rows = np.random.default_rng(SEED).permutation(np.arange(1, len(W_pos)))
    return W_pos[[0, *rows]]


def zeroed(W_pos: Positions) -> Positions:
    """Zeros in place of every row except row 0."""
    rows = np.zeros_like(W_pos)
    rows[0] = W_pos[0]
    return rows


def on_components(W_pos: Positions, n: int) -> Positions:
    """Every row except row 0, projected on the n leading principal components.

    Components are those of rows 1 .. n_positions - 2, about their mean, to which they are added.
    """
    centre, along = _along_components(W_pos, n)
    return np.concatenate([W_pos[:1], (centre + along).astype(W_pos.dtype)[1:]])


def without_components(W_pos: Positions, n: int) -> Positions:
    """Every row except row 0, minus what is along the n leading principal components."""
    _, along = _along_components(W_pos, n)
    return np.concatenate([W_pos[:1], (W_pos - along).astype(W_pos.dtype)[1:]])


def _along_components(W_pos: Positions, n: int) -> tuple[Float[np.ndarray, " d_model"], Positions]:
    """The mean of rows 1 .. n_positions - 2, and each row's way from it along the components."""
    rows = W_pos.astype(np.float64)
    centre = rows[1:-1].mean(axis=0)
    leading = np.linalg.svd(rows[1:-1] - centre, full_matrices=False)[2][:n]
    return centre, (rows - centre) @ leading.T @ leading


_SPOILT: dict[str, Callable[[Positions], Positions]] = {
    INTACT: np.copy,
    AVERAGE_ALL: lambda W_pos: average_in_groups(W_pos, len(W_pos)),
    "shuffled": shuffled,
    "zeroed": zeroed,
}


def group_size(name: str) -> int | None:
    """Group size of ``average-K``; 1 for ``intact``; None for any other doctoring."""
    if name == INTACT:
        return 1
    match = _AVERAGE.fullmatch(name)
    return int(match[1]) if match else None


def check(name: str) -> str:
    """Return the name if it is a doctoring's; ``ValueError`` if it is not."""
    if name not in _SPOILT and group_size(name) is None:
        sizes = [digits.lstrip("0") for digits in re.findall(r"[0-9]+", name)]
        near = did_you_mean(name, [f"average-{k}" for k in sizes if k] if sizes else _SPOILT)
        known = ", ".join(["average-K", *_SPOILT])
        raise ValueError(f"expected a doctoring ({known}), found {name!r:.80}{near}")
    return name


def doctor(W_pos: Positions, name: str, offset: int = 0) -> Positions:
    """W_pos under the doctoring of this name, as a new array.

    Parameters
    ----------
    W_pos
        Positional embedding matrix, one row a position.
    name
        ``intact``; ``average-K`` for groups of K; ``average-all`` for one group; ``shuffled``;
        ``zeroed``. Any other is a ``ValueError``.
    offset
        Shifts where the groups of ``average-K`` begin, 0 .. K - 1.
    """
    if name in _SPOILT:
        return _SPOILT[name](W_pos)
    return average_in_groups(W_pos, group_size(check(name)) or 1, offset)


def doctor_all(W_pos: Positions, names: Iterable[str]) -> dict[str, Positions]:
    """W_pos under each of these doctorings, by name."""
    return {name: doctor(W_pos, name) for name in names}

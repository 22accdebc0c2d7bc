"""What is done to W_pos: averaging in groups, shuffling, and other ways to spoil positions.

*Doctoring* is the word of Yedidia (2023). Row 0 is never touched: it sits under
``<|endoftext|>`` in every prompt.
"""

import numpy as np
from jaxtyping import Float

Positions = Float[np.ndarray, "position d_model"]


def group_starts(n_positions: int, group_size: int, offset: int = 0) -> list[int]:
    """First positions of the groups that averaging in groups of ``group_size`` makes.

    Groups begin at ``1 + offset + m * group_size``; with an offset, the rows before the first of
    these form a shorter group of their own, and so may the last rows. Row 0 is in no group.

    Raises
    ------
    ValueError
        If ``group_size < 1`` or ``offset`` is not in ``0 .. group_size - 1``.
    """
    if group_size < 1:
        raise ValueError(f"group_size: expected an integer >= 1, found {group_size}")
    if not 0 <= offset < group_size:
        raise ValueError(f"offset: expected 0 .. {group_size - 1}, found {offset}")
    starts = list(range(1 + offset, n_positions, group_size))
    return starts if offset == 0 or n_positions <= 1 else [1, *starts]


def average_in_groups(W_pos: Positions, group_size: int, offset: int = 0) -> Positions:
    """Replace each row of W_pos, row 0 apart, by the mean of its group.

    Parameters
    ----------
    W_pos
        Positional embedding matrix, one row a position.
    group_size
        Positions a group; 1 gives W_pos back unchanged.
    offset
        Shifts where groups begin, 0 .. group_size - 1.

    Returns
    -------
    A new array of the same shape and dtype; means are taken in float64.
    """
    starts = group_starts(len(W_pos), group_size, offset)
    if group_size == 1 or not starts:
        return W_pos.copy()
    sizes = np.diff([*starts, len(W_pos)])
    means = np.add.reduceat(W_pos, starts, axis=0, dtype=np.float64) / sizes[:, None]
    doctored = np.repeat(means, sizes, axis=0).astype(W_pos.dtype)
    return np.concatenate([W_pos[:1], doctored])

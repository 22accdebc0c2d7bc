"""Attention computed from positions alone: no text, no token embedding.

The pattern of a head on ``n`` positions is LayerNorm of the first ``n`` rows of W_pos, the head's
query and key with their biases, scores over the square root of d_head, and a softmax under the
causal mask (Vaswani et al. 2017; Radford et al. 2019).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.judging.errors import MissingInputError
from gpt2_helix.models.config import Head
from gpt2_helix.models.heads import AttentionBlock
from gpt2_helix.parameters import PARAMETERS

Pattern = Float[np.ndarray, "query key"]
Attention = Callable[[int], AttentionBlock]


_CHOSEN = PARAMETERS.kernels
DOCTORINGS = _CHOSEN.doctorings
DISTANCES = _CHOSEN.distances
N_POSITIONS = _CHOSEN.positions
QUERIES = slice(*_CHOSEN.queries)
N_POSITIONS_PREVIOUS = _CHOSEN.positions_of_main_heads
QUERIES_PREVIOUS = slice(*_CHOSEN.queries_of_main_heads)
LAST_FEW = 5
"""Positions that count as just behind a query, itself included."""


@dataclass(frozen=True)
class LocalHeads:
    """Layer-0 attention against distance, by head and by doctoring.

    Attributes
    ----------
    kernel
        Head, then doctoring, to the mean attention at distances 0 .. 11 behind the query.
    look_back
        Head, then doctoring, to the mean distance behind the query, in tokens.
    kernel_without_mask
        Head, then doctoring, to the mean attention at offsets -11 .. 11 from the query with the
        causal mask off.
    offset_without_mask
        Head to the mean offset with the mask off, in tokens; positive is the future.
    """

    kernel: dict[str, dict[str, list[float]]]
    look_back: dict[str, dict[str, float]]
    kernel_without_mask: dict[str, dict[str, list[float]]]
    offset_without_mask: dict[str, float]


@dataclass(frozen=True)
class MainHeads:
    """Mean attention to the previous position of heads fed W_pos alone, by head."""

    previous_position: dict[str, float]


def local_heads(
    W_pos: Positions, attention: Attention, heads_looking_back: Sequence[Head]
) -> LocalHeads:
    """Measure where the named local heads look when they are fed W_pos alone."""
    doctored = doctoring.doctor_all(W_pos, DOCTORINGS)
    behind, around = range(0, -DISTANCES, -1), range(1 - DISTANCES, DISTANCES)
    kernel: dict[str, dict[str, list[float]]] = {}
    look_back: dict[str, dict[str, float]] = {}
    bare_kernel: dict[str, dict[str, list[float]]] = {}
    bare_offset: dict[str, float] = {}
    for head in heads_looking_back:
        block = attention(head.layer)
        patterns = {k: pattern(W, block, head.head, N_POSITIONS) for k, W in doctored.items()}
        kernel[str(head)] = {k: at_offsets(p, QUERIES, behind) for k, p in patterns.items()}
        look_back[str(head)] = {k: -_mean_offset(p, QUERIES) for k, p in patterns.items()}
        bare = {
            k: pattern(W, block, head.head, N_POSITIONS, causal=False) for k, W in doctored.items()
        }
        bare_kernel[str(head)] = {k: at_offsets(p, QUERIES, around) for k, p in bare.items()}
        bare_offset[str(head)] = _mean_offset(bare[doctoring.INTACT], QUERIES)
    return LocalHeads(kernel, look_back, bare_kernel, bare_offset)


def main_heads(W_pos: Positions, attention: Attention, main_heads: Sequence[Head]) -> MainHeads:
    """Measure what the main previous-token heads give the previous position, fed W_pos alone."""
    previous = {}
    for head in main_heads:
        seen = pattern(W_pos, attention(head.layer), head.head, N_POSITIONS_PREVIOUS)
        previous[str(head)] = at_offsets(seen, QUERIES_PREVIOUS, [-1])[0]
    return MainHeads(previous)


def pattern(
    W_pos: Positions, block: AttentionBlock, head: int, n_positions: int, *, causal: bool = True
) -> Pattern:
    """Attention pattern of one head on the first ``n_positions`` rows of W_pos.

    Returns
    -------
    Rows sum to 1; entry (i, j) is the attention that position i pays to position j.

    Raises
    ------
    MissingInputError
        If W_pos has fewer rows than ``n_positions``.
    """
    if len(W_pos) < n_positions:
        raise MissingInputError([f"{n_positions} positions"], "the position matrix")
    rows = W_pos[:n_positions].astype(np.float64)
    return block.pattern(rows, [head], causal=causal)[0]


def at_offsets(seen: Pattern, queries: slice, offsets: list[int] | range) -> list[float]:
    """Mean over queries of the attention at each offset from them."""
    rows = np.arange(len(seen))[queries]
    return [float(seen[rows, rows + offset].mean()) for offset in offsets]


def _mean_offset(seen: Pattern, queries: slice) -> float:
    rows = np.arange(len(seen))
    offset = (seen * (rows[None, :] - rows[:, None])).sum(axis=1)
    return float(offset[queries].mean())

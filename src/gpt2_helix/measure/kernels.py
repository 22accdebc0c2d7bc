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
from gpt2_helix.judging.errors import MissingInputError, NothingToMeasureError
from gpt2_helix.models.config import Head
from gpt2_helix.models.heads import AttentionBlock

Pattern = Float[np.ndarray, "query key"]
Attention = Callable[[int], AttentionBlock]
"""A model's attention block by its layer."""
Queries = tuple[int, int]
"""The first query, and the one after the last."""

DOCTORINGS = ("intact", "average-5", "average-10", "average-20", "average-50", "average-100")
POSITIONS = 512
QUERIES: Queries = (100, 500)
LAST_FEW = 5
"""Positions that count as just behind a query, itself included."""


@dataclass(frozen=True)
class LocalHeads:
    """Layer-0 attention against distance, by head and then by doctoring."""

    kernel: dict[str, dict[str, list[float]]]  # Mean, at distances 0 .. 11 behind the query.
    look_back: dict[str, dict[str, float]]  # Mean distance behind the query, in tokens.
    # Mean attention at offsets -11 .. 11 from the query with the causal mask off.
    kernel_without_mask: dict[str, dict[str, list[float]]]
    # Mean offset with the mask off, by head, in tokens; positive is the future.
    offset_without_mask: dict[str, float]


@dataclass(frozen=True)
class MainHeads:
    """Mean attention to the previous position of heads fed W_pos alone, by head."""

    previous_position: dict[str, float]


def local_heads(
    W_pos: Positions,
    attention: Attention,
    heads_looking_back: Sequence[Head],
    *,
    doctorings: Sequence[str] = DOCTORINGS,
    distances: int = 12,
    positions: int = POSITIONS,
    queries: Queries = QUERIES,
) -> LocalHeads:
    """Measure where the named local heads look when they are fed W_pos alone.

    ``NothingToMeasureError`` if one gives a distance behind it less than a float can hold, as
    nothing can then be said of how it falls off.
    """
    doctored = doctoring.doctor_all(W_pos, doctorings)
    behind, around = range(0, -distances, -1), range(1 - distances, distances)
    kernel: dict[str, dict[str, list[float]]] = {}
    look_back: dict[str, dict[str, float]] = {}
    bare_kernel: dict[str, dict[str, list[float]]] = {}
    bare_offset: dict[str, float] = {}
    for head in heads_looking_back:
        block = attention(head.layer)
        patterns = {k: pattern(W, block, head.head, positions) for k, W in doctored.items()}
        kernel[str(head)] = {k: at_offsets(p, queries, behind) for k, p in patterns.items()}
        if not all(kernel[str(head)][doctoring.INTACT]):
            raise NothingToMeasureError(f"{head}: expected some attention at each distance")
        look_back[str(head)] = {k: -_mean_offset(p, queries) for k, p in patterns.items()}
        bare = {
            k: pattern(W, block, head.head, positions, causal=False) for k, W in doctored.items()
        }
        bare_kernel[str(head)] = {k: at_offsets(p, queries, around) for k, p in bare.items()}
        bare_offset[str(head)] = _mean_offset(bare[doctoring.INTACT], queries)
    return LocalHeads(kernel, look_back, bare_kernel, bare_offset)


def main_heads(
    W_pos: Positions,
    attention: Attention,
    main_heads: Sequence[Head],
    *,
    positions_of_main_heads: int = 300,
    queries_of_main_heads: Queries = (21, 300),
) -> MainHeads:
    """Measure what the main previous-token heads give the previous position, fed W_pos alone."""
    previous = {}
    for head in main_heads:
        seen = pattern(W_pos, attention(head.layer), head.head, positions_of_main_heads)
        previous[str(head)] = at_offsets(seen, queries_of_main_heads, [-1])[0]
    return MainHeads(previous)


def pattern(
    W_pos: Positions, block: AttentionBlock, head: int, n_positions: int, *, causal: bool = True
) -> Pattern:
    """Attention pattern of one head on the first ``n_positions`` rows of W_pos; rows sum to 1.

    ``MissingInputError`` if W_pos has fewer.
    """
    if len(W_pos) < n_positions:
        raise MissingInputError([f"{n_positions} positions"], "the position matrix")
    rows = W_pos[:n_positions].astype(np.float64)
    return block.pattern(rows, [head], causal=causal)[0]


def at_offsets(seen: Pattern, queries: Queries, offsets: list[int] | range) -> list[float]:
    """Mean over queries of the attention at each offset from them."""
    rows = np.arange(*queries)
    return [float(seen[rows, rows + offset].mean()) for offset in offsets]


def _mean_offset(seen: Pattern, queries: Queries) -> float:
    rows = np.arange(len(seen))
    offset = (seen * (rows[None, :] - rows[:, None])).sum(axis=1)
    return float(offset[slice(*queries)].mean())

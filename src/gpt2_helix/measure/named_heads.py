"""Named heads of a model whose heads nobody named, found by measurement.

Found are the heads that claims ask about: up to ``MOST`` of them, but no more than a quarter of
those that are compared, which is what ``MOST`` is of the twelve in GPT-2 small's layer 0; of fewer
than four, one. Most of something there always is, so finding confirms nothing by itself: what a
claim asks of these heads is measured afterwards, and what finding settles has no bound.
"""

from collections.abc import Callable

from gpt2_helix.doctoring import Positions
from gpt2_helix.judging.claim import Found, rounded
from gpt2_helix.measure import attention_only, kernels
from gpt2_helix.measure.kernels import Attention
from gpt2_helix.models.config import Head

MOST = 3


def previous_token_heads(
    measure: Callable[[Callable[..., attention_only.AllHeads]], attention_only.AllHeads],
) -> Found:
    """Find the heads with most attention just behind the query, through attention alone."""
    by = "attention just behind the query, through attention alone"
    found = measure(attention_only.all_heads).attention
    return _first(by, {head: estimate.mean for head, estimate in found.items()})


def heads_looking_back(W_pos: Positions, attention: Attention) -> Found:
    """Find the heads of layer 0 that look nearest behind, fed positions alone."""
    block = attention(0)
    last_few = {
        str(Head(0, head)): sum(
            kernels.at_offsets(
                kernels.pattern(W_pos, block, head, kernels.POSITIONS),
                kernels.QUERIES,
                range(0, -kernels.LAST_FEW, -1),
            )
        )
        for head in range(block.n_head)
    }
    return _first(f"attention to the last {kernels.LAST_FEW} positions, fed W_pos alone", last_few)


BY_NAME: dict[str, Callable[..., Found]] = {
    "previous_token_heads": previous_token_heads,
    "heads_looking_back": heads_looking_back,
}
"""What finds the heads that a field of ``Config`` would name."""


def _first(by: str, number: dict[str, float]) -> Found:
    in_order = sorted(number, key=lambda head: -number[head])
    n = max(1, min(MOST, len(number) // 4))
    chosen, best_left_out = (
        {head: rounded(number[head]) for head in heads}
        for heads in (in_order[:n], in_order[n : n + 1])
    )
    return Found(by, chosen, best_left_out)

"""Heads that attend to the previous token: all heads on text, and those that are named.

What a query gives the previous token is compared with what it gives every other key that it sees,
itself included, but ``<|endoftext|>``: a head that has nothing to attend to rests its attention
there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from gpt2_helix import doctoring
from gpt2_helix.doctoring import INTACT, Positions
from gpt2_helix.judging.errors import MissingInputError
from gpt2_helix.models.config import Head

if TYPE_CHECKING:
    import gpt2_helix.models.runner  # not at run time: it imports torch, which is slow

FIRST_QUERY = 11
"""Position of the first query, ``<|endoftext|>`` being 0: ten other tokens stand before it."""
AVERAGED = "average-10"

ByHead = dict[str, float]


@dataclass(frozen=True)
class AllHeads:
    """Every head, by doctoring and then by name."""

    # Share of queries at which the previous token gets more attention than any other key.
    share: dict[str, ByHead]
    attention: dict[str, ByHead]  # Mean attention to the previous token.


@dataclass(frozen=True)
class MainHeads:
    """The named heads on intact positions, by name; ``share`` and ``attention`` as above."""

    share: ByHead
    attention: ByHead
    # Place among all heads by share; one with the same share counts as standing before.
    rank: dict[str, int]
    n_heads: int  # How many were compared.


@dataclass(frozen=True)
class Survival:
    """The named heads on intact positions, by name, and what they keep on averaged ones."""

    share: ByHead
    attention: ByHead
    # Averaged over intact; 0 where there was nothing to keep.
    kept_share: ByHead
    kept_attention: ByHead


def all_heads(
    runner: "gpt2_helix.models.runner.Runner",
    W_pos: Positions,
    windows: Int[np.ndarray, "window token"],
) -> AllHeads:
    """Run text on intact positions and on their means in groups of ten.

    ``MissingInputError`` if a window is too short for a query with ten tokens before it.
    """
    from gpt2_helix.models import on_text  # Not above: it imports torch, which is slow.

    length = windows.shape[1]
    if length <= FIRST_QUERY:
        raise MissingInputError([f"windows of more than {FIRST_QUERY} tokens"], "the text")
    n_layer, n_head = runner.config.n_layer, runner.config.n_head
    names = [str(Head(layer, head)) for layer in range(n_layer) for head in range(n_head)]
    doctored = doctoring.doctor_all(W_pos, (INTACT, AVERAGED))
    tables = runner.tables([W[:length] for W in doctored.values()])
    found = on_text.previous_token(runner, windows, tables, FIRST_QUERY)

    def by_head(values: Float[np.ndarray, "doctoring layer head"]) -> dict[str, ByHead]:
        return {
            d: dict(zip(names, of.ravel().tolist(), strict=True))
            for d, of in zip(doctored, values, strict=True)
        }

    return AllHeads(by_head(found.share), by_head(found.attention))


def main_heads(
    measure: Callable[[Callable[..., AllHeads]], AllHeads], main_heads: Sequence[Head]
) -> MainHeads:
    """Where the named heads stand among all that were measured on text."""
    found = measure(all_heads)
    shares = found.share[INTACT]
    names = [str(head) for head in main_heads if str(head) in shares]
    return MainHeads(
        {name: shares[name] for name in names},
        {name: found.attention[INTACT][name] for name in names},
        {name: sum(other >= shares[name] for other in shares.values()) for name in names},
        len(shares),
    )


def survival(
    measure: Callable[[Callable[..., AllHeads]], AllHeads], main_heads: Sequence[Head]
) -> Survival:
    """What the named heads keep on text when positions are averaged in groups of ten."""
    found = measure(all_heads)
    names = [str(head) for head in main_heads]

    def over_intact(numbers: Mapping[str, ByHead]) -> ByHead:
        intact, averaged = numbers[INTACT], numbers[AVERAGED]
        return {n: averaged[n] / intact[n] if intact[n] > 0 else 0.0 for n in names}

    return Survival(
        {name: found.share[INTACT][name] for name in names},
        {name: found.attention[INTACT][name] for name in names},
        over_intact(found.share),
        over_intact(found.attention),
    )

"""Heads that attend to the previous token: all heads on text, and those that are named.

The same quantities are measured on a model that is run, and on attention patterns that others
published. What a query gives the previous token is compared with what it gives every other key
that it sees, itself included, but ``<|endoftext|>``: a head that has nothing to attend to rests
its attention there.
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
    # Not at run time: it imports torch, which other claims do not need.
    import gpt2_helix.models.runner

FIRST_QUERY = 11
"""Position of the first query, ``<|endoftext|>`` being 0: ten other tokens stand before it."""
AVERAGED = "average-10"

ByHead = dict[str, float]
Patterns = Float[np.ndarray, "head query key"]
"""Attention of query i to keys 0 .. i, 0 beyond; ``<|endoftext|>`` is left out."""


@dataclass(frozen=True)
class AllHeads:
    """Every head, by doctoring and then by name.

    Attributes
    ----------
    share
        Share of queries at which the previous token gets more attention than any other key.
    attention
        Mean attention to the previous token.
    """

    share: dict[str, ByHead]
    attention: dict[str, ByHead]


@dataclass(frozen=True)
class MainHeads:
    """The named heads on intact positions, by name; ``share`` and ``attention`` as above.

    Attributes
    ----------
    rank
        Place among all heads by share; one with the same share counts as standing before.
    n_heads
        Number of heads that were compared.
    """

    share: ByHead
    attention: ByHead
    rank: dict[str, int]
    n_heads: int


@dataclass(frozen=True)
class Survival:
    """The named heads on intact and on averaged positions, by name.

    Attributes
    ----------
    share, attention
        On intact positions.
    kept_share, kept_attention
        Averaged over intact; 0 where there was nothing to keep.
    """

    share: ByHead
    attention: ByHead
    kept_share: ByHead
    kept_attention: ByHead


def all_heads(
    runner: "gpt2_helix.models.runner.Runner",
    W_pos: Positions,
    windows: Int[np.ndarray, "window token"],
) -> AllHeads:
    """Run text on intact positions and on their means in groups of ten.

    Raises
    ------
    MissingInputError
        If a window is too short for a query with ten tokens before it.
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


def of_patterns(
    patterns: Mapping[str, Patterns], names: Sequence[str], first: int = FIRST_QUERY - 1
) -> AllHeads:
    """Measure patterns that were published.

    Parameters
    ----------
    patterns
        By doctoring.
    names
        Names of the heads.
    first
        First query, counted in rows.
    """
    return AllHeads(
        {d: dict(zip(names, share(p, first).tolist(), strict=True)) for d, p in patterns.items()},
        {
            d: dict(zip(names, previous_token(p)[:, first - 1 :].mean(1).tolist(), strict=True))
            for d, p in patterns.items()
        },
    )


def previous_token(patterns: Patterns) -> Float[np.ndarray, "head pair"]:
    """Attention of queries 1, 2, ... to the key before each."""
    return np.diagonal(patterns, -1, axis1=1, axis2=2)


def share(patterns: Patterns, first: int) -> Float[np.ndarray, " head"]:
    """Share of queries from ``first`` on that give the previous token more than any other key."""
    return (previous_token(patterns) > best_other(patterns))[:, first - 1 :].mean(1)


def best_other(patterns: Patterns) -> Float[np.ndarray, "head pair"]:
    """What queries 1, 2, ... give at most to a key that is not the one before."""
    others = patterns.copy()
    query = np.arange(1, patterns.shape[1])
    others[:, query, query - 1] = 0
    return others[:, 1:].max(2)


def main_heads(
    measure: Callable[[Callable[..., AllHeads]], AllHeads], main_heads: Sequence[Head]
) -> MainHeads:
    """Where the named heads stand among all on text."""
    return among_all(measure(all_heads), main_heads)


def survival(
    measure: Callable[[Callable[..., AllHeads]], AllHeads], main_heads: Sequence[Head]
) -> Survival:
    """What the named heads keep on text when positions are averaged in groups of ten."""
    return kept(measure(all_heads), main_heads)


def among_all(found: AllHeads, named: Sequence[Head]) -> MainHeads:
    """Where the named heads stand among all that were measured."""
    shares = found.share[INTACT]
    names = [str(head) for head in named if str(head) in shares]
    return MainHeads(
        {name: shares[name] for name in names},
        {name: found.attention[INTACT][name] for name in names},
        {name: sum(other >= shares[name] for other in shares.values()) for name in names},
        len(shares),
    )


def kept(found: AllHeads, named: Sequence[Head]) -> Survival:
    """What the named heads keep when positions are averaged in groups of ten."""
    names = [str(head) for head in named]

    def over_intact(numbers: Mapping[str, ByHead]) -> ByHead:
        intact, averaged = numbers[INTACT], numbers[AVERAGED]
        return {n: averaged[n] / intact[n] if intact[n] > 0 else 0.0 for n in names}

    return Survival(
        {name: found.share[INTACT][name] for name in names},
        {name: found.attention[INTACT][name] for name in names},
        over_intact(found.share),
        over_intact(found.attention),
    )

"""What makes up for averaging: interventions on attention alone, with W_pos intact.

Through attention alone (see ``attention_only``) the main heads attend just behind the query, near
rather than previous. Each intervention changes one thing on the way there, and what each of them
keeps of its attention at -1 is measured: changed over intact, the same draws of random tokens in
both, with 95 % intervals by a bootstrap over pairs of draws, to four digits; those of costs, means
over heads of what they lose, are by jackknife. None of it says what
the whole model does: there are no MLPs, and the tokens are random vectors.

A head is *held* when what it writes before the output projection is replaced by its mean over draws
and positions. Position 0 is spared: many heads rest there, and one that writes at position 0 what
it writes elsewhere changes what all of them rest on, which is no part of the question.

The *leading head* of layer 0 is the one whose holding costs the main heads most on average. It is
found so in every model, and named nowhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from gpt2_helix.doctoring import Positions, on_components, without_components
from gpt2_helix.judging.errors import NothingToMeasureError
from gpt2_helix.measure import rebuilt
from gpt2_helix.measure.attention_only import DIGITS, NOTHING_TO_KEEP, Draws, by_head, intact, kept
from gpt2_helix.measure.statistics import ByHead, Estimate, jackknife
from gpt2_helix.models.config import Head
from gpt2_helix.models.interventions import (
    Hook,
    Pattern,
    average_of_past,
    hold_all,
    no_mask,
    replace_pattern,
    silence,
)
from gpt2_helix.models.readings import NOTHING, ByLayer, Readings, Tokens

PAIRS = 4
"""Of draws, by which heads and layers are put in order; what claims bound is measured on all."""
AVERAGED = "average-20"
"""The largest groups in which the main heads still work."""
TOKEN_STDS = (0.05, 0.1, 0.14, 0.2)
POSITIONS = (200, 300, 500)


@dataclass(frozen=True)
class Kept:
    """What the main heads keep of their attention at -1, by head."""

    kept: ByHead


@dataclass(frozen=True)
class Layers:
    """What the main heads keep with the heads of one layer silenced, by layer."""

    # Layer, then head; a head that reads what enters that layer or a lower one keeps everything.
    kept: dict[str, dict[str, float]]
    # Mean over the heads of what they lose, over the same with layer 0 silenced; not layer 0.
    loss_over_first: dict[str, Estimate]


@dataclass(frozen=True)
class Costs:
    """What holding each head of layer 0 costs the main heads, on few pairs of draws."""

    kept: dict[str, dict[str, float]]  # Head held, then main head.
    cost: dict[str, float]  # Mean over the main heads of what they lose, by head held; most first.
    most_for_each: dict[str, str]  # The head whose holding costs it most, by main head.


@dataclass(frozen=True)
class OneHead:
    """What holding the leading head does."""

    kept: ByHead  # By the main heads.
    cost: Estimate  # Mean over the main heads of what they lose.
    # The same of the head that comes next, and over this cost; None if there is none, or no cost.
    cost_of_next: Estimate | None
    next_over_cost: Estimate | None
    # Of what averaging in groups of 20 took, what is rebuilt entering layer 1; see ``rebuilt``.
    share: Estimate
    share_held: Estimate  # The same with the head held.


@dataclass(frozen=True)
class Beside:
    """What the main heads keep under more interventions, by name."""

    kept: dict[str, ByHead]


@dataclass(frozen=True)
class Rule:
    """The leading head with tokens of other sizes and other numbers of positions, by both."""

    costs: dict[str, Costs]


def first_layer(attention_alone: Readings, main_heads: Sequence[Head]) -> Kept:
    """Silence the heads of layer 0; errors as for all that return ``Kept``.

    ``NothingToMeasureError`` if a main head gives nothing to the position before on intact ones.
    """
    return _kept(attention_alone, main_heads, [silence(0)])


def other_layers(
    attention_alone: Readings, main_heads: Sequence[Head], *, pairs: int = PAIRS
) -> Layers:
    """Silence the heads of each layer below the last main head, on few pairs of draws."""
    few, whole = _few(attention_alone, main_heads, pairs)
    layers = range(max(head.layer for head in main_heads))
    lost = {n: _attention(few, main_heads, [silence(n)]) for n in layers}
    cost = {n: _costs(found, whole) for n, found in lost.items()}
    return Layers(
        {str(n): by_head(main_heads, found.mean(0) / whole.mean(0)) for n, found in lost.items()},
        {str(n): _ratio(cost[n], cost[0]) for n in layers[1:] if cost[0][0] > 0},
    )


def causal_mask(attention_alone: Readings, main_heads: Sequence[Head]) -> Kept:
    """Take the causal mask out of layer 0: its heads see later positions too."""
    return _kept(attention_alone, main_heads, [no_mask(0)])


def costs(attention_alone: Readings, main_heads: Sequence[Head], *, pairs: int = PAIRS) -> Costs:
    """Hold each head of layer 0 in turn, on few pairs of draws."""
    few, whole = _few(attention_alone, main_heads, pairs)
    z = attention_alone.mean_z(0)
    heads = [Head(0, n) for n in range(len(z))]
    found = {head: _attention(few, main_heads, hold_all([head], z)) for head in heads}
    left = {head: some.mean(axis=0) / whole.mean(axis=0) for head, some in found.items()}
    cost = {head: float(1 - some.mean()) for head, some in left.items()}
    order = sorted(heads, key=lambda head: -cost[head])
    return Costs(
        {str(head): by_head(main_heads, left[head]) for head in heads},
        by_head(order, np.array([cost[head] for head in order])),
        {
            str(main): str(min(heads, key=lambda head: left[head][i]))
            for i, main in enumerate(main_heads)
        },
    )


def one_head(
    attention_alone: Readings, main_heads: Sequence[Head], heads_by_cost: Sequence[Head]
) -> OneHead:
    """Hold the leading head, on all pairs of draws; on averaged positions too.

    ``heads_by_cost`` are the heads of layer 0 as ``costs`` puts them in order.
    """
    whole, z = _intact(attention_alone, main_heads), attention_alone.mean_z(0)
    held, *other = (hold_all([head], z) for head in heads_by_cost[:2])
    found, *second = (_attention(attention_alone, main_heads, hooks) for hooks in (held, *other))
    costs = [_costs(some, whole) for some in (found, *second)]
    cost, *of_next = (jackknife(some[0], some[1:], DIGITS) for some in costs)
    averaged = attention_alone.doctor(attention_alone.W_pos, AVERAGED)

    def left(W_pos: Positions, hooks: Sequence[Hook] = ()) -> rebuilt.Left:
        stream = attention_alone.entering(W_pos, [1], hooks)[1]
        return rebuilt.left_in_groups(stream, attention_alone.queries, AVERAGED)

    curve = left(attention_alone.W_pos)
    return OneHead(
        kept(main_heads, found, whole),
        cost,
        of_next[0] if of_next else None,
        _ratio(costs[1], costs[0]) if of_next and cost.mean > 0 else None,
        rebuilt.share_of(curve, left(averaged)),
        rebuilt.share_of(curve, left(averaged, held)),
    )


def plain_average(
    attention_alone: Readings,
    main_heads: Sequence[Head],
    leading_head: Head,
    average: Callable[[int], Pattern],
) -> Kept:
    """Put an average in place of the leading head's pattern: it weighs what it sees alike.

    ``average`` gives the pattern for a number of positions: ``interventions.average_of_past``, or
    a broken one.
    """
    hooks = _averaging(attention_alone, [leading_head], average)
    return _kept(attention_alone, main_heads, hooks)


def local_heads(
    attention_alone: Readings, main_heads: Sequence[Head], heads_looking_back: Sequence[Head]
) -> Kept:
    """Hold the heads of layer 0 that look just behind."""
    held = hold_all(heads_looking_back, attention_alone.mean_z(0))
    return _kept(attention_alone, main_heads, held)


def all_but_local_heads(
    attention_alone: Readings, main_heads: Sequence[Head], heads_looking_back: Sequence[Head]
) -> Kept:
    """Hold the other heads of layer 0."""
    return _kept(attention_alone, main_heads, _all_but(attention_alone, heads_looking_back))


def three_components(attention_alone: Readings, main_heads: Sequence[Head]) -> Kept:
    """Leave W_pos its three leading components alone; see ``doctoring.on_components``."""
    rows = on_components(attention_alone.W_pos, 3)
    return _kept(attention_alone, main_heads, W_pos=rows)


def ten_components(attention_alone: Readings, main_heads: Sequence[Head]) -> Kept:
    """Leave W_pos its ten leading components alone."""
    rows = on_components(attention_alone.W_pos, 10)
    return _kept(attention_alone, main_heads, W_pos=rows)


def direct_path(attention_alone: Readings, main_heads: Sequence[Head]) -> Kept:
    """Take W_pos, row 0 spared, out of what the main heads read; it stays in the stream."""
    rows = attention_alone.W_pos[: attention_alone.positions].copy()
    rows[0] = 0
    without = {head.layer: rows for head in main_heads}
    return _kept(attention_alone, main_heads, without=without)


def beside(
    attention_alone: Readings,
    main_heads: Sequence[Head],
    leading_head: Head,
    heads_looking_back: Sequence[Head],
) -> Beside:
    """Measure the interventions that no claim asks for, on averaged positions too.

    What is kept on averaged positions is kept of the attention on intact ones.
    """
    W_pos, z = attention_alone.W_pos, attention_alone.mean_z(0)
    averaged = attention_alone.doctor(W_pos, AVERAGED)
    every = [Head(0, n) for n in range(len(z))]
    local = ", ".join(map(str, heads_looking_back))
    edits: dict[str, tuple[Sequence[Hook], Positions]] = {
        "no mask in layer 1": ([no_mask(1)], W_pos),
        f"only {leading_head} live in layer 0": (_all_but(attention_alone, [leading_head]), W_pos),
        "plain average in layer 0": (_averaging(attention_alone, every, average_of_past), W_pos),
        "6 components": ((), on_components(W_pos, 6)),
        "without 3 components": ((), without_components(W_pos, 3)),
        "without 10 components": ((), without_components(W_pos, 10)),
        AVERAGED: ((), averaged),
        f"{AVERAGED}, {leading_head} held": (hold_all([leading_head], z), averaged),
        f"{AVERAGED}, {local} held": (hold_all(heads_looking_back, z), averaged),
        f"{AVERAGED}, no mask in layer 0": ([no_mask(0)], averaged),
    }
    return Beside(
        {
            name: _kept(attention_alone, main_heads, hooks, rows).kept
            for name, (hooks, rows) in edits.items()
        }
    )


def rule(
    attention_alone: Readings,
    main_heads: Sequence[Head],
    random_tokens: Tokens,
    *,
    token_stds: Sequence[float] = TOKEN_STDS,
    positions: Sequence[int] = POSITIONS,
    pairs: int = PAIRS,
) -> Rule:
    """Find the leading head with tokens of other sizes, and other numbers of positions.

    Numbers of positions that the model does not have are left out.
    """
    few = attention_alone.few(pairs)
    return Rule(
        {
            f"std {std:g}, {n} positions": costs(
                few.fed(replace(random_tokens, std=std), n), main_heads, pairs=pairs
            )
            for n in positions
            if n <= len(attention_alone.W_pos)
            for std in token_stds
        }
    )


def _all_but(attention_alone: Readings, heads: Sequence[Head]) -> list[Hook]:
    """Hold the heads of layer 0 that are not among these."""
    z = attention_alone.mean_z(0)
    return hold_all([Head(0, n) for n in range(len(z)) if Head(0, n) not in heads], z)


def _averaging(
    attention_alone: Readings, heads: Sequence[Head], average: Callable[[int], Pattern]
) -> list[Hook]:
    n_head, pattern = attention_alone.runner.config.n_head, average(attention_alone.positions)
    return [hook for head in heads for hook in replace_pattern(head, pattern, n_head)]


def _kept(
    attention_alone: Readings,
    main_heads: Sequence[Head],
    hooks: Sequence[Hook] = (),
    W_pos: Positions | None = None,
    without: ByLayer = NOTHING,
) -> Kept:
    whole = _intact(attention_alone, main_heads)
    some = _attention(attention_alone, main_heads, hooks, W_pos, without)
    return Kept(kept(main_heads, some, whole))


def _attention(
    attention_alone: Readings,
    main_heads: Sequence[Head],
    hooks: Sequence[Hook] = (),
    W_pos: Positions | None = None,
    without: ByLayer = NOTHING,
) -> Draws:
    rows = attention_alone.W_pos if W_pos is None else W_pos
    return attention_alone.mean(attention_alone.previous(rows, main_heads, hooks, without))


def _intact(attention_alone: Readings, main_heads: Sequence[Head]) -> Draws:
    whole = intact(attention_alone, main_heads)
    if not whole.any(axis=0).all():
        raise NothingToMeasureError(NOTHING_TO_KEEP)
    return whole


def _few(
    attention_alone: Readings, main_heads: Sequence[Head], pairs: int
) -> tuple[Readings, Draws]:
    """The first pairs of draws, and what the main heads attend to in them intact."""
    return attention_alone.few(pairs), _intact(attention_alone, main_heads)[:pairs]


def _costs(some: Draws, whole: Draws) -> Float[np.ndarray, " one_and_pairs"]:
    """Mean over heads of what they lose: on all pairs, and without each in turn."""
    of_some, of_whole = (
        np.concatenate([draws.sum(axis=0)[None], draws.sum(axis=0) - draws])
        for draws in (some, whole)
    )
    lost: Float[np.ndarray, " one_and_pairs"] = 1 - (of_some / of_whole).mean(axis=1)
    return lost


def _ratio(
    some: Float[np.ndarray, " one_and_pairs"], whole: Float[np.ndarray, " one_and_pairs"]
) -> Estimate:
    """Estimate a ratio of costs; intervals by jackknife, as pairs are few."""
    found = some / whole
    return jackknife(found[0], found[1:], DIGITS)

"""How much of what averaging took from W_pos early layers of attention rebuild.

Averaged in groups, positions of a group share one row of W_pos: of what told them apart, nothing is
left. The extended positional embedding, what enters a layer on average over draws of random tokens,
may tell them apart again. Positions of the queries are taken, cut into the groups of the doctoring;
a group counts if at least half of it is among them. From each position the mean of its group is
subtracted. What is left with averaged positions is compared with what is left with intact ones:

*share* is its slope on that, 1 if everything is back and 0 if nothing is;
*likeness* is its correlation with that, whatever its size.

Both are ratios of products of two means over draws. Each product takes different pairs of draws on
its two sides (a U statistic; Hoeffding 1948), so that what is left of the tokens cancels. Intervals
are by jackknife over pairs, to four digits. All of it is attention alone on random tokens, without
MLPs: it is not what the whole model rebuilds on text. And it says that it is rebuilt, not by what.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gpt2_helix import doctoring
from gpt2_helix.doctoring import INTACT, group_starts
from gpt2_helix.judging.claim import rounded
from gpt2_helix.judging.errors import NothingToMeasureError
from gpt2_helix.measure.attention_only import DIGITS
from gpt2_helix.measure.statistics import ByHead, Estimate, jackknife
from gpt2_helix.models.config import Head
from gpt2_helix.models.interventions import Hook, hold_all, no_mask
from gpt2_helix.models.readings import Readings

DOCTORINGS = ("average-20",)
LARGER = ("average-100",)
BESIDE = ("average-5", "average-10", "average-20", "average-50", "average-100", "average-all")
HALF = 0.5
"""Least part of a group that must be among the positions taken."""

Left = Float[np.ndarray, "pair taken d_model"]
"""Residual stream minus the mean of its group, a mean over each pair of draws."""
Products = Float[np.ndarray, " one_and_pairs"]
"""A sum over products of different pairs, and the same without each pair in turn."""


@dataclass(frozen=True)
class Rebuilt:
    """What is rebuilt entering the layer that each main head reads, by doctoring, then head."""

    share: dict[str, ByHead]
    likeness: dict[str, ByHead]  # Heads before which nothing is left are not in it.


@dataclass(frozen=True)
class Curve:
    """Whether there is an intact curve to compare with, by doctoring, then head.

    It is the correlation of what is left in the mean over one half of the pairs with what is left
    in the other half, intact positions in both.
    """

    halves: dict[str, dict[str, float]]


@dataclass(frozen=True)
class ByLayer:
    """What is rebuilt entering each layer, by what was done to the model, then layer."""

    share: dict[str, dict[str, Estimate]]
    likeness: dict[str, dict[str, Estimate]]  # Layers before which nothing is left are not in it.


def curve(
    attention_alone: Readings, main_heads: Sequence[Head], *, doctorings: Sequence[str] = DOCTORINGS
) -> Curve:
    """Compare the intact curve of one half of the draws with that of the other.

    ``NothingToMeasureError`` if a half has no curve.
    """
    entering = attention_alone.doctored(INTACT, main_heads).entering
    halves: dict[str, dict[str, float]] = {}
    for name in doctorings:
        by_layer = {}
        for layer, stream in entering.items():
            left = left_in_groups(stream, attention_alone.queries, name)
            first, second = np.array_split(_flat(left), 2)
            one, other = first.mean(axis=0), second.mean(axis=0)
            size = np.sqrt((one @ one) * (other @ other))
            if not size:
                raise NothingToMeasureError(NO_CURVE)
            by_layer[layer] = rounded(float(one @ other / size), DIGITS)
        halves[name] = {str(head): by_layer[head.layer] for head in main_heads}
    return Curve(halves)


NO_CURVE = "positions of a group do not differ on intact positions: there is nothing to rebuild"


def rebuilt(
    attention_alone: Readings, main_heads: Sequence[Head], *, doctorings: Sequence[str] = DOCTORINGS
) -> Rebuilt:
    """Measure what is rebuilt entering the layers of the main heads.

    ``NothingToMeasureError`` if positions of a group do not differ on intact positions.
    """
    intact = attention_alone.doctored(INTACT, main_heads).entering
    share: dict[str, ByHead] = {}
    likeness: dict[str, ByHead] = {}
    for name in doctorings:
        found = attention_alone.doctored(name, main_heads).entering
        shares, likenesses = _compare(intact, found, attention_alone.queries, name)
        share[name] = {str(head): shares[str(head.layer)] for head in main_heads}
        likeness[name] = {
            str(head): likenesses[str(head.layer)]
            for head in main_heads
            if str(head.layer) in likenesses
        }
    return Rebuilt(share, likeness)


def in_larger_groups(
    attention_alone: Readings, main_heads: Sequence[Head], *, larger: Sequence[str] = LARGER
) -> Rebuilt:
    """Measure the same in larger groups; ``NothingToMeasureError`` as above."""
    return rebuilt(attention_alone, main_heads, doctorings=larger)


def by_layer(
    attention_alone: Readings,
    main_heads: Sequence[Head],
    leading_head: Head,
    *,
    beside: Sequence[str] = BESIDE,
) -> ByLayer:
    """Measure what is rebuilt entering every layer up to the last that a main head reads.

    In groups of each size, and in groups of 20 with the leading head of layer 0 held, with all
    others of layer 0 held, and without its causal mask. Then with other positions taken: all from
    position 1 on, and whole groups alone. Empty if all main heads are in layer 0.
    """
    layers = range(1, max(head.layer for head in main_heads) + 1)
    if not layers:
        return ByLayer({}, {})
    W_pos, queries = attention_alone.W_pos, attention_alone.queries
    intact = attention_alone.entering(W_pos, layers)
    z = attention_alone.mean_z(0)
    others = [Head(0, n) for n in range(len(z)) if n != leading_head.head]
    edits: dict[tuple[str, str], Sequence[Hook]] = {
        **{(name, ""): () for name in beside},
        ("average-20", f", {leading_head} held"): hold_all([leading_head], z),
        ("average-20", f", only {leading_head} live in layer 0"): hold_all(others, z),
        ("average-20", ", no mask in layer 0"): [no_mask(0)],
    }
    share, likeness = {}, {}
    for (name, edit), hooks in edits.items():
        found = attention_alone.entering(attention_alone.doctor(W_pos, name), layers, hooks)
        compared = {edit: _compare(intact, found, queries, name)}
        if not edit:
            every = slice(1, attention_alone.positions)
            compared[", from position 1 on"] = _compare(intact, found, every, name)
            if name != doctoring.AVERAGE_ALL:
                compared[", whole groups"] = _compare(intact, found, queries, name, least=1)
        for said, (shares, likenesses) in compared.items():
            share[name + said], likeness[name + said] = shares, likenesses
    return ByLayer(share, likeness)


def share_of(intact: Left, found: Left) -> Estimate:
    """Share of what is left with intact positions that is left with averaged ones.

    ``NothingToMeasureError`` if nothing is left with intact positions.
    """
    shares, _ = _ratios(intact, found)
    return shares


def left_in_groups(
    entering: Float[np.ndarray, "pair token d_model"],
    taken: slice,
    name: str,
    least: float = HALF,
) -> Left:
    """Subtract from each position the mean of its group, over the positions taken.

    Groups are those of the doctoring of this name; one of which less than ``least`` is taken is
    left out. A group larger than the window of tokens is cut to it first.
    """
    n = entering.shape[1]
    size = min(doctoring.group_size(name) or n, n - 1)
    parts = []
    for start in group_starts(n, size):
        inside = slice(max(start, taken.start), min(start + size, taken.stop))
        if inside.stop - inside.start >= least * size and inside.stop > inside.start:
            group = entering[:, inside].astype(np.float64)
            parts.append(group - group.mean(axis=1, keepdims=True))
    if not parts:
        raise NothingToMeasureError(f"no group of {name} lies among the queries")
    return np.concatenate(parts, axis=1)


def _compare(
    intact: Mapping[int, Float[np.ndarray, "pair token d_model"]],
    found: Mapping[int, Float[np.ndarray, "pair token d_model"]],
    taken: slice,
    name: str,
    least: float = HALF,
) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """Share and likeness by layer."""
    share, likeness = {}, {}
    for layer, stream in intact.items():
        one, other = (left_in_groups(some, taken, name, least) for some in (stream, found[layer]))
        share[str(layer)], alike = _ratios(one, other)
        if alike:
            likeness[str(layer)] = alike
    return share, likeness


def _ratios(intact: Left, found: Left) -> tuple[Estimate, Estimate | None]:
    """Share, and likeness unless nothing is left of what was found."""
    whole, both, own = (
        different_pairs(one, other)
        for one, other in ((intact, intact), (intact, found), (found, found))
    )
    if whole.min() <= 0:
        raise NothingToMeasureError(NO_CURVE)
    share = both / whole
    estimate = jackknife(share[0], share[1:], DIGITS)
    if own.min() <= 0:
        return estimate, None
    likeness = both / np.sqrt(whole * own)
    return estimate, jackknife(likeness[0], likeness[1:], DIGITS)


def different_pairs(some: Left, others: Left) -> Products:
    """Sum over products of different pairs, and without each pair in turn."""
    products = _flat(some) @ _flat(others).T
    np.fill_diagonal(products, 0)
    whole = products.sum()
    return np.array([whole, *(whole - products.sum(axis=0) - products.sum(axis=1))])


def _flat(left: Left) -> Float[np.ndarray, "pair taken_by_d_model"]:
    return left.reshape(len(left), -1)

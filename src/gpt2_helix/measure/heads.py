"""Heads that attend to the previous token: all heads on text, and those that are named.

What a query gives the previous token is compared with what it gives every other key that it sees,
itself included, but ``<|endoftext|>``: a head that has nothing to attend to rests its attention
there.

Intervals: Wilson's of a share, over queries as if they were independent, which neighbours are not;
else a jackknife over units that were sampled, such as windows of text, with Student's t (Tukey
1958). A window may hold queries of many kinds, such as those at the border of a group, so a unit
holds them all.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from gpt2_helix import doctoring
from gpt2_helix.doctoring import INTACT, Positions
from gpt2_helix.judging.errors import MissingInputError, NothingToMeasureError
from gpt2_helix.measure import statistics
from gpt2_helix.measure.statistics import Estimate
from gpt2_helix.models.config import Head

if TYPE_CHECKING:
    import gpt2_helix.models.runner  # not at run time: it imports torch, which is slow

FIRST_QUERY = 11
"""Position of the first query, ``<|endoftext|>`` being 0: ten other tokens stand before it."""
OFFSETS = 13
"""Keys of a profile: a query itself and the twelve before it. Its first query is at 13."""
AVERAGED = "average-10"

ByHead = dict[str, float]


@dataclass(frozen=True)
class Observed:
    """What every head does on text, by doctoring; a unit is a window, or some of its queries."""

    names: list[str]  # Of the heads.
    queries: int  # In all units together.
    # Mean over a unit's queries: the share that gives the previous token more than any other key,
    # and what they give it.
    share: dict[str, Float[np.ndarray, "unit head"]]
    attention: dict[str, Float[np.ndarray, "unit head"]]
    # Mean attention by offset behind the query, and to the first token; None if it is not shown.
    profile: dict[str, Float[np.ndarray, "head offset"]]
    on_first: dict[str, Float[np.ndarray, " head"]] | None


@dataclass(frozen=True)
class AllHeads:
    """Every head, by doctoring and then by name; means over all queries."""

    # Share of queries at which the previous token gets more attention than any other key.
    share: dict[str, ByHead]
    attention: dict[str, ByHead]  # Mean attention to the previous token.


@dataclass(frozen=True)
class MainHeads:
    """The named heads on intact positions, by name; ``share`` and ``attention`` as above."""

    share: dict[str, Estimate]
    attention: dict[str, Estimate]
    # Place among all heads; one with the same number counts as standing before. None by attention
    # where not all of it is shown.
    place_by_share: dict[str, int]
    place_by_attention: dict[str, int] | None
    n_heads: int  # How many were compared.


@dataclass(frozen=True)
class Profiles:
    """Where the named heads look near each query, by doctoring and then by name."""

    # Mean attention to the query itself and to each of the twelve before it.
    by_offset: dict[str, dict[str, list[float]]]
    on_first: dict[str, ByHead] | None  # To ``<|endoftext|>``; None if it is not shown.


@dataclass(frozen=True)
class Survival:
    """What the named heads keep when positions are averaged in groups of ten, by name."""

    attention: dict[str, Estimate]  # Intact.
    # Averaged over intact.
    kept_share: dict[str, Estimate]
    kept_attention: dict[str, Estimate]
    profile_moved: ByHead  # Largest absolute change of the profile at any offset.


Observe = Callable[[Callable[..., Observed]], Observed]
"""Gives what was observed: a subject's ``measure``."""


def observed(
    runner: "gpt2_helix.models.runner.Runner",
    W_pos: Positions,
    windows: Int[np.ndarray, "window token"],
) -> Observed:
    """Run text on intact positions and on their means in groups of ten.

    ``MissingInputError`` if a window is too short for a profile.
    """
    from gpt2_helix.models import on_text  # Not above: it imports torch, which is slow.

    n_windows, length = windows.shape
    if length <= OFFSETS:
        raise MissingInputError([f"windows of more than {OFFSETS} tokens"], "the text")
    n_layer, n_head = runner.config.n_layer, runner.config.n_head
    doctored = doctoring.doctor_all(W_pos, (INTACT, AVERAGED))
    tables = runner.tables([W[:length] for W in doctored.values()])
    found = on_text.previous_token(runner, windows, tables, FIRST_QUERY, OFFSETS)

    def by_doctoring(values: np.ndarray, *shape: int) -> dict[str, np.ndarray]:
        return {d: values[:, i].reshape(n_windows, *shape) for i, d in enumerate(doctored)}

    n = n_layer * n_head
    return Observed(
        [str(Head(layer, head)) for layer in range(n_layer) for head in range(n_head)],
        n_windows * (length - FIRST_QUERY),
        by_doctoring(found.share, n),
        by_doctoring(found.attention, n),
        {d: p.mean(0) for d, p in by_doctoring(found.profile, n, -1).items()},
        {d: p.mean(0) for d, p in by_doctoring(found.on_first, n).items()},
    )


def all_heads(measure: Observe) -> AllHeads:
    """Every head's share of queries and mean attention."""
    found = measure(observed)

    def means(values: Mapping[str, Float[np.ndarray, "unit head"]]) -> dict[str, ByHead]:
        return {
            d: dict(zip(found.names, v.mean(0).tolist(), strict=True)) for d, v in values.items()
        }

    return AllHeads(means(found.share), means(found.attention))


def main_heads(measure: Observe, main_heads: Sequence[Head]) -> MainHeads:
    """Where the named heads stand among all that were measured on text."""
    found = measure(observed)
    at = _at(found, main_heads)
    every = all_heads(lambda _: found)
    return MainHeads(
        {
            name: statistics.share(
                round(found.share[INTACT][:, i].mean() * found.queries), found.queries
            )
            for name, i in at.items()
        },
        _attention(found, at),
        places(every.share[INTACT], at),
        places(every.attention[INTACT], at),
        len(found.names),
    )


def profiles(measure: Observe, main_heads: Sequence[Head]) -> Profiles:
    """Where the named heads look near each query."""
    found = measure(observed)
    at = _at(found, main_heads)
    on_first = None
    if found.on_first is not None:
        on_first = {
            d: {name: float(p[i]) for name, i in at.items()} for d, p in found.on_first.items()
        }
    return Profiles(
        {d: {name: p[i].tolist() for name, i in at.items()} for d, p in found.profile.items()},
        on_first,
    )


def survival(measure: Observe, main_heads: Sequence[Head]) -> Survival:
    """What the named heads keep on text when positions are averaged in groups of ten.

    ``NothingToMeasureError`` if one of them had nothing to keep in any units but one.
    """
    found = measure(observed)
    at = _at(found, main_heads)

    def kept(values: Mapping[str, Float[np.ndarray, "unit head"]]) -> dict[str, Estimate]:
        return {
            name: _kept(name, *(values[d][:, i] for d in (AVERAGED, INTACT)))
            for name, i in at.items()
        }

    return Survival(
        _attention(found, at),
        kept(found.share),
        kept(found.attention),
        {
            name: float(np.abs(found.profile[AVERAGED][i] - found.profile[INTACT][i]).max())
            for name, i in at.items()
        },
    )


def places(values: Mapping[str, float], names: Iterable[str]) -> dict[str, int]:
    """Place of the named among all, largest first; an equal one counts as standing before."""
    return {name: sum(other >= values[name] for other in values.values()) for name in names}


def _at(found: Observed, heads: Sequence[Head]) -> dict[str, int]:
    """Where each of the heads stands in what was observed; those not shown are left out."""
    return {str(h): found.names.index(str(h)) for h in heads if str(h) in found.names}


def _attention(found: Observed, at: Mapping[str, int]) -> dict[str, Estimate]:
    intact = found.attention[INTACT]
    return {name: statistics.jackknifed(np.mean, intact[:, i]) for name, i in at.items()}


def _kept(
    name: str, averaged: Float[np.ndarray, " unit"], intact: Float[np.ndarray, " unit"]
) -> Estimate:
    if np.count_nonzero(intact) < 2:
        raise NothingToMeasureError(f"{name}: expected something to keep, found too little")
    return statistics.jackknifed(statistics.ratio, averaged, intact)

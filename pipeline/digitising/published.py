"""What can be read from attention patterns that others published.

Of every head the same shares and means as ``gpt2_helix.measure.heads`` finds on a model that is
run; and what the pictures and the notebook tell besides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from gpt2_helix.measure.heads import FIRST_QUERY, OFFSETS, ByHead, Observed

GROUP = 10
"""Positions in a group of the averaged pictures; a border falls before each tenth row."""

Patterns = Float[np.ndarray, "head query key"]
"""Attention of query i to keys 0 .. i, 0 beyond; ``<|endoftext|>`` is left out."""


@dataclass(frozen=True)
class Window:
    """Heads in a window of rows and columns that a picture shows, by name.

    A picture gives each number as one of 256 levels, so that it lies between a low and a high
    bound. Means are over all queries of the window that have a key before them in it.
    """

    # Mean attention to the previous token: middle of the level, and its bounds.
    attention: ByHead
    attention_low: ByHead
    attention_high: ByHead
    # The same (middle of the level) for pairs in one group of ten, and in two.
    within: ByHead
    across: ByHead
    # Share of queries from the eleventh on at which the previous token gets more than any other
    # key shown: surely, and possibly.
    share_low: ByHead
    share_high: ByHead
    # Share of these queries at which it surely gets more than all that is not shown together:
    # ``<|endoftext|>`` and the keys before the window.
    more_than_unseen: ByHead
    # Bounds of the mean attention that these queries give to the keys shown.
    inside_low: ByHead
    inside_high: ByHead


@dataclass(frozen=True)
class Windows:
    """The window of the pictures, by doctoring."""

    by_doctoring: dict[str, Window]


@dataclass(frozen=True)
class Prompt:
    """Heads on one prompt, by name."""

    n_tokens: int  # ``<|endoftext|>`` among them.
    attention: ByHead  # Mean attention to the previous token over queries 2 and on.
    # Share of queries from the eleventh token on at which it gets more than any other key but
    # ``<|endoftext|>``.
    share: ByHead


@dataclass(frozen=True)
class Prompts:
    """The prompts of a notebook, by name."""

    by_prompt: dict[str, Prompt]


@dataclass(frozen=True)
class Scores:
    """All heads on random tokens that are said twice, without ``<|endoftext|>``, by name."""

    attention: ByHead  # Mean attention to the previous token over all queries that have one.


def scores(attention: Float[np.ndarray, "layer head"]) -> Scores:
    """Name the heads of whom a notebook shows one number each."""
    return Scores({f"L{i}H{j}": float(attention[i, j]) for i, j in np.ndindex(attention.shape)})


def windows(
    low: Mapping[str, Patterns], high: Mapping[str, Patterns], names: Sequence[str]
) -> Windows:
    """Measure digitised pictures, of which each number lies from ``low`` to ``high``."""
    return Windows({doctoring: window(low[doctoring], high[doctoring], names) for doctoring in low})


def prompts(patterns: Mapping[str, Patterns], names: Mapping[str, Sequence[str]]) -> Prompts:
    """Measure whole patterns by prompt, ``<|endoftext|>`` left out."""
    return Prompts(
        {
            name: Prompt(
                found.shape[1] + 1,
                _by_head(names[name], previous_token(found).mean(1)),
                _by_head(names[name], share(found, FIRST_QUERY - 1)),
            )
            for name, found in patterns.items()
        }
    )


def observed(
    patterns: Mapping[str, Patterns],
    names: Sequence[str],
    *,
    unit: int = 1,
    whole: bool = False,
    first: int = FIRST_QUERY - 1,
) -> Observed:
    """Measure patterns by doctoring, in units of so many queries; the first is counted in rows.

    In ``whole`` patterns a row lacks what its query gives to ``<|endoftext|>``, and nothing else.
    """
    deep = {d: p[:, OFFSETS - 1 :] for d, p in patterns.items()}
    some = next(iter(patterns.values()))

    def in_units(values: Float[np.ndarray, "head query"]) -> Float[np.ndarray, "unit head"]:
        return values.reshape(len(names), -1, unit).mean(axis=2).T

    return Observed(
        list(names),
        some.shape[1] - first,
        {d: in_units(prefers(p)[:, first - 1 :]) for d, p in patterns.items()},
        {d: in_units(previous_token(p)[:, first - 1 :]) for d, p in patterns.items()},
        {d: profile(p) for d, p in patterns.items()},
        {d: 1 - p.sum(2).mean(1) for d, p in deep.items()} if whole else None,
    )


def window(low: Patterns, high: Patterns, names: Sequence[str]) -> Window:
    """Measure the pictures of one doctoring."""
    first = FIRST_QUERY - 1
    query = np.arange(1, low.shape[1])
    middle = (low + high) / 2
    attention = previous_token(middle)
    low_previous, high_previous = (previous_token(bound) for bound in (low, high))
    unseen = 1 - low[:, 1:].sum(2)
    # Levels are half open: what is below the bound of one is not above it.
    surely = low_previous >= best_other(high)
    possibly = high_previous > best_other(low)
    found = {
        "attention": attention.mean(1),
        "attention_low": low_previous.mean(1),
        "attention_high": high_previous.mean(1),
        "within": attention[:, query % GROUP != 0].mean(1),
        "across": attention[:, query % GROUP == 0].mean(1),
        "share_low": surely[:, first - 1 :].mean(1),
        "share_high": possibly[:, first - 1 :].mean(1),
        "more_than_unseen": (low_previous > unseen)[:, first - 1 :].mean(1),
        "inside_low": low[:, first:].sum(2).mean(1),
        "inside_high": np.minimum(high[:, first:].sum(2), 1).mean(1),
    }
    return Window(**{name: _by_head(names, values) for name, values in found.items()})


def previous_token(patterns: Patterns) -> Float[np.ndarray, "head pair"]:
    """Attention of queries 1, 2, ... to the key before each."""
    return np.diagonal(patterns, -1, axis1=1, axis2=2)


def share(patterns: Patterns, first: int) -> Float[np.ndarray, " head"]:
    """Share of queries from ``first`` on that give the previous token more than any other key."""
    return prefers(patterns)[:, first - 1 :].mean(1)


def prefers(patterns: Patterns) -> Bool[np.ndarray, "head pair"]:
    """Whether queries 1, 2, ... give the key before them more than any other."""
    return previous_token(patterns) > best_other(patterns)


def profile(patterns: Patterns) -> Float[np.ndarray, "head offset"]:
    """Mean attention by offset behind the query, of queries that all of them are shown for."""
    n = patterns.shape[1]
    rows = np.arange(OFFSETS - 1, n)
    return np.stack([patterns[:, rows, rows - back].mean(1) for back in range(OFFSETS)], axis=1)


def best_other(patterns: Patterns) -> Float[np.ndarray, "head pair"]:
    """What queries 1, 2, ... give at most to a key that is not the one before."""
    others = patterns.copy()
    query = np.arange(1, patterns.shape[1])
    others[:, query, query - 1] = 0
    return others[:, 1:].max(2)


def in_random_order(found: Observed, order: Sequence[int]) -> Observed:
    """The same heads under the names of others: ``order[i]`` stands where i stood."""
    return replace(
        found,
        share={d: values[:, order] for d, values in found.share.items()},
        attention={d: values[:, order] for d, values in found.attention.items()},
        profile={d: values[order] for d, values in found.profile.items()},
        on_first=found.on_first and {d: values[order] for d, values in found.on_first.items()},
    )


def shifted(patterns: Patterns) -> Patterns:
    """Patterns in which each key stands where the next one stood."""
    moved = np.zeros_like(patterns)
    moved[:, :, 1:] = patterns[:, :, :-1]
    return np.tril(moved)


def _by_head(names: Sequence[str], values: Float[np.ndarray, " head"]) -> ByHead:
    return dict(zip(names, values.tolist(), strict=True))

"""What can be read from attention patterns that others published, beside what claims need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gpt2_helix.measure import heads
from gpt2_helix.measure.heads import ByHead, Patterns

GROUP = 10
"""Positions in a group of the averaged pictures; a border falls before each tenth row."""


@dataclass(frozen=True)
class Window:
    """Heads in a window of rows and columns that a picture shows, by name.

    A picture gives each number as one of 256 levels, so that it lies between a low and a high
    bound. Means are over all queries of the window that have a key before them in it.

    Attributes
    ----------
    attention, attention_low, attention_high
        Mean attention to the previous token: middle of the level, and its bounds.
    within, across
        The same (middle of the level) for pairs in one group of ten, and in two.
    share_low, share_high
        Share of queries from the eleventh on at which the previous token gets more than any other
        key shown: surely, and possibly.
    more_than_unseen
        Share of these queries at which it surely gets more than all that is not shown together:
        ``<|endoftext|>`` and the keys before the window.
    inside_low, inside_high
        Bounds of the mean attention that these queries give to the keys shown.
    """

    attention: ByHead
    attention_low: ByHead
    attention_high: ByHead
    within: ByHead
    across: ByHead
    share_low: ByHead
    share_high: ByHead
    more_than_unseen: ByHead
    inside_low: ByHead
    inside_high: ByHead


@dataclass(frozen=True)
class Windows:
    """The window of the pictures, by doctoring."""

    by_doctoring: dict[str, Window]


@dataclass(frozen=True)
class Prompt:
    """Heads on one prompt, by name.

    Attributes
    ----------
    n_tokens
        Tokens, ``<|endoftext|>`` among them.
    attention
        Mean attention to the previous token over queries 2 and on.
    share
        Share of queries from the eleventh token on at which it gets more than any other key but
        ``<|endoftext|>``.
    """

    n_tokens: int
    attention: ByHead
    share: ByHead


@dataclass(frozen=True)
class Prompts:
    """The prompts of a notebook, by name."""

    by_prompt: dict[str, Prompt]


def windows(
    low: Mapping[str, Patterns], high: Mapping[str, Patterns], names: Sequence[str]
) -> Windows:
    """Measure digitised pictures, of which each number lies from ``low`` to ``high``."""
    return Windows({doctoring: window(low[doctoring], high[doctoring], names) for doctoring in low})


def prompts(patterns: Mapping[str, Patterns], names: Mapping[str, Sequence[str]]) -> Prompts:
    """Measure whole patterns by prompt, ``<|endoftext|>`` left out."""
    return Prompts({name: prompt(found, names[name]) for name, found in patterns.items()})


def window(low: Patterns, high: Patterns, names: Sequence[str]) -> Window:
    """Measure the pictures of one doctoring."""
    first = heads.FIRST_QUERY - 1
    query = np.arange(1, low.shape[1])
    middle = (low + high) / 2
    attention = heads.previous_token(middle)
    low_previous, high_previous = (heads.previous_token(bound) for bound in (low, high))
    unseen = 1 - low[:, 1:].sum(2)
    # Levels are half open: what is below the bound of one is not above it.
    surely = low_previous >= heads.best_other(high)
    possibly = high_previous > heads.best_other(low)
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


def prompt(patterns: Patterns, names: Sequence[str]) -> Prompt:
    """Measure the patterns of one prompt."""
    return Prompt(
        patterns.shape[1] + 1,
        _by_head(names, heads.previous_token(patterns).mean(1)),
        _by_head(names, heads.share(patterns, heads.FIRST_QUERY - 1)),
    )


def in_random_order(all_heads: heads.AllHeads, order: Sequence[int]) -> heads.AllHeads:
    """The same patterns under the names of other heads: ``order[i]`` stands where i stood."""

    def renamed(numbers: Mapping[str, ByHead]) -> dict[str, ByHead]:
        return {
            doctoring: dict(
                zip(by_head, np.array(list(by_head.values()))[list(order)].tolist(), strict=True)
            )
            for doctoring, by_head in numbers.items()
        }

    return heads.AllHeads(renamed(all_heads.share), renamed(all_heads.attention))


def shifted(patterns: Patterns) -> Patterns:
    """Patterns in which each key stands where the next one stood."""
    moved = np.zeros_like(patterns)
    moved[:, :, 1:] = patterns[:, :, :-1]
    return np.tril(moved)


def _by_head(names: Sequence[str], values: Float[np.ndarray, " head"]) -> ByHead:
    return dict(zip(names, values.tolist(), strict=True))

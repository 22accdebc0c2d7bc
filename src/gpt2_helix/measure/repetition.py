"""Whether the model repeats the first word of a pair, intact and doctored."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from scipy.stats import binomtest

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.parameters import PARAMETERS
from gpt2_helix.texts import PAIR, RepetitionPrompt

if TYPE_CHECKING:
    import gpt2_helix.runner  # not at run time: it brings torch, which other claims do without

SWEPT: list[int] = PARAMETERS["repetition"]["every_offset"]
"""Group sizes that are tried with every offset."""
LARGER: list[int] = PARAMETERS["repetition"]["larger"]
SURE = 0.99


@dataclass(frozen=True)
class Rate:
    """How often the model is sure of the first word of a pair.

    Attributes
    ----------
    n
        Pairs, each order counted.
    share, low, high
        Share with a probability above 0.99, and its 95 % Wilson interval.
    mean
        Mean probability.
    """

    n: int
    share: float
    low: float
    high: float
    mean: float


@dataclass(frozen=True)
class FirstWord:
    """Probability of the first word of a pair, or a variant of it, where the prompt ends.

    Attributes
    ----------
    first_word_at, n_tokens
        Position of the pair's first word, and length of the prompt.
    probability
        Pair, in both orders, then group size (1 is intact) to the probability, offset 0.
    by_offset
        Pair, then group size, to the probability at each offset 0 .. k-1.
    rows_equal
        Group size to whether the doctored rows of the two words are one and the same, offset 0.
    others
        Group size to how other pairs of words fare, offset 0; not a claim of the post.
    others_worst_offset
        The same for the sizes that are swept, each pair at the offset where it fares worst.
    """

    first_word_at: int
    n_tokens: int
    probability: dict[str, dict[int, float]]
    by_offset: dict[str, dict[int, list[float]]]
    rows_equal: dict[int, bool]
    others: dict[int, Rate]
    others_worst_offset: dict[int, Rate]


def first_word(
    runner: "gpt2_helix.runner.Runner", W_pos: Positions, prompt: RepetitionPrompt
) -> FirstWord:
    """Run the prompt with every pair under every doctoring and offset."""
    at = len(prompt.prefix)
    wanted = [
        (1, 0),
        *((k, offset) for k in SWEPT for offset in range(k)),
        *((k, 0) for k in LARGER),
    ]
    tables = {
        (k, offset): doctoring.average_in_groups(W_pos, k, offset)[: prompt.n_tokens]
        for k, offset in wanted
    }
    next_token = runner.continuations(
        prompt.prefix, np.stack(list(prompt.tails.values())), runner.tables(list(tables.values()))
    )
    probability = {
        " ".join(pair): dict(
            zip(tables, next_token[:, i, prompt.variants[pair[0]]].sum(axis=1), strict=True)
        )
        for i, pair in enumerate(prompt.tails)
    }
    both = [" ".join(PAIR), " ".join(PAIR[::-1])]
    sizes = [k for k, offset in wanted if offset == 0]
    others = {name: p for name, p in probability.items() if name not in both}
    return FirstWord(
        first_word_at=at,
        n_tokens=prompt.n_tokens,
        probability={name: {k: float(probability[name][k, 0]) for k in sizes} for name in both},
        by_offset={
            name: {k: [float(probability[name][k, o]) for o in range(k)] for k in SWEPT}
            for name in both
        },
        rows_equal={
            k: bool((tables[k, 0][at] == tables[k, 0][at + 1]).all()) for k in sizes if k > 1
        },
        others={k: _rate([p[k, 0] for p in others.values()]) for k in sizes},
        others_worst_offset={
            k: _rate([min(p[k, o] for o in range(k)) for p in others.values()]) for k in SWEPT
        },
    )


def lower_of_orders(found: FirstWord) -> Mapping[int, float]:
    """Group size to the lower probability of the two orders."""
    first, second = found.probability.values()
    return {k: min(first[k], second[k]) for k in first}


def border_effect(found: FirstWord) -> float:
    """Largest difference that a group border between the two words makes, over sizes and orders.

    It is between the words at one offset of each size; compared with is the mean of the others.
    """
    effects = []
    for by_size in found.by_offset.values():
        for k, probabilities in by_size.items():
            between = found.first_word_at % k
            rest = np.delete(probabilities, between).mean()
            effects.append(abs(probabilities[between] - rest))
    return float(max(effects))


def _rate(probabilities: list[float]) -> Rate:
    values: Float[np.ndarray, " pair"] = np.array(probabilities)
    sure = int((values > SURE).sum())
    interval = binomtest(sure, len(values)).proportion_ci(method="wilson")
    return Rate(
        n=len(values),
        share=sure / len(values),
        low=float(interval.low),
        high=float(interval.high),
        mean=float(values.mean()),
    )

"""Whether the model repeats the first word of a pair, intact and doctored."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.parameters import PARAMETERS
from gpt2_helix.texts import PAIR, RepetitionPrompt

if TYPE_CHECKING:
    import gpt2_helix.models.runner  # not at run time: it imports torch, which is slow

SWEPT = PARAMETERS.repetition.every_offset
"""Doctorings that are tried at every offset of the groups."""
LARGER = PARAMETERS.repetition.larger
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
        Pair, in both orders, then doctoring, to the probability, offset 0.
    by_offset
        Pair, then doctoring, to the probability at each offset 0 .. k-1.
    rows_equal
        Doctoring to whether the two words share one doctored row, offset 0.
    others
        Doctoring to the results on other pairs of words, offset 0; not a claim of the post.
    others_worst_offset
        The same for the doctorings tried at every offset, each pair at its worst offset.
    """

    first_word_at: int
    n_tokens: int
    probability: dict[str, dict[str, float]]
    by_offset: dict[str, dict[str, list[float]]]
    rows_equal: dict[str, bool]
    others: dict[str, Rate]
    others_worst_offset: dict[str, Rate]


def first_word(
    runner: "gpt2_helix.models.runner.Runner", W_pos: Positions, prompt: RepetitionPrompt
) -> FirstWord:
    """Run the prompt with every pair under every doctoring and offset."""
    from gpt2_helix.models import on_text  # Not above: it imports torch, which is slow.

    at = len(prompt.prefix)
    offsets = {name: range(doctoring.group_size(name) or 1) for name in SWEPT}
    wanted = [
        (doctoring.INTACT, 0),
        *((name, offset) for name in SWEPT for offset in offsets[name]),
        *((name, 0) for name in LARGER),
    ]
    tables = {
        (name, offset): doctoring.doctor(W_pos, name, offset)[: prompt.n_tokens]
        for name, offset in wanted
    }
    next_token = on_text.continuations(
        runner,
        prompt.prefix,
        np.stack(list(prompt.tails.values())),
        runner.tables(list(tables.values())),
    )
    probability = {
        " ".join(pair): dict(
            zip(tables, next_token[:, i, prompt.variants[pair[0]]].sum(axis=1), strict=True)
        )
        for i, pair in enumerate(prompt.tails)
    }
    both = [" ".join(PAIR), " ".join(PAIR[::-1])]
    at_0 = [name for name, offset in wanted if offset == 0]
    others = {name: p for name, p in probability.items() if name not in both}
    return FirstWord(
        first_word_at=at,
        n_tokens=prompt.n_tokens,
        probability={pair: {k: float(probability[pair][k, 0]) for k in at_0} for pair in both},
        by_offset={
            pair: {k: [float(probability[pair][k, o]) for o in offsets[k]] for k in SWEPT}
            for pair in both
        },
        rows_equal={
            k: bool((tables[k, 0][at] == tables[k, 0][at + 1]).all())
            for k in at_0
            if k != doctoring.INTACT
        },
        others={k: _rate([p[k, 0] for p in others.values()]) for k in at_0},
        others_worst_offset={
            k: _rate([min(p[k, o] for o in offsets[k]) for p in others.values()]) for k in SWEPT
        },
    )


def lower_of_orders(found: FirstWord) -> Mapping[str, float]:
    """Doctoring to the lower probability of the two orders."""
    first, second = found.probability.values()
    return {k: min(first[k], second[k]) for k in first}


def border_effect(found: FirstWord) -> float:
    """Largest difference that a group border between the two words makes, over sizes and orders.

    At one offset of each group size the border falls between the words. The probability there is
    compared with the mean over the other offsets.
    """
    effects = []
    for by_size in found.by_offset.values():
        for probabilities in by_size.values():
            between = found.first_word_at % len(probabilities)
            rest = np.delete(probabilities, between).mean()
            effects.append(abs(probabilities[between] - rest))
    return float(max(effects))


def _rate(probabilities: list[np.float32]) -> Rate:
    from scipy.stats import binomtest  # Not above: most claims need not wait for it.

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

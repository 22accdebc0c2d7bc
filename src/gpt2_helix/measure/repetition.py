"""Whether the model repeats the first word of a pair, intact and doctored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.measure import statistics
from gpt2_helix.measure.statistics import Estimate
from gpt2_helix.prompts import PAIR, RepetitionPrompt

if TYPE_CHECKING:
    import gpt2_helix.models.runner  # not at run time: it imports torch, which is slow

SWEPT = ("average-5", "average-10", "average-20")
LARGER = ("average-50", "average-100", "average-200")
SURE = 0.99


@dataclass(frozen=True)
class Rate:
    """How often the model is sure of the first word of a pair."""

    n: int  # Pairs, each order counted.
    share: float  # With a probability above 0.99; low and high are its 95 % Wilson interval.
    low: float
    high: float
    mean: float  # Mean probability.

    @property
    def sure(self) -> Estimate:
        """The share with its interval."""
        return Estimate(self.share, self.low, self.high, statistics.WILSON, self.n)


@dataclass(frozen=True)
class FirstWord:
    """Probability of the first word of a pair, or a variant of it, where the prompt ends."""

    first_word_at: int  # Its position.
    n_tokens: int  # Length of the prompt.
    probability: dict[str, dict[str, float]]  # Pair, in both orders, then doctoring; offset 0.
    by_offset: dict[str, dict[str, list[float]]]  # Pair, then doctoring; offsets 0 .. k-1.
    rows_equal: dict[str, bool]  # Whether the two words share one doctored row, offset 0.
    others: dict[str, Rate]  # On other pairs of words, offset 0; not a claim of the post.
    # The same for the doctorings tried at every offset, each pair at its worst offset.
    others_worst_offset: dict[str, Rate]


def first_word(
    runner: "gpt2_helix.models.runner.Runner",
    W_pos: Positions,
    prompt: RepetitionPrompt,
    *,
    every_offset: Sequence[str] = SWEPT,
    larger: Sequence[str] = LARGER,
) -> FirstWord:
    """Run the prompt with every pair under every doctoring and offset.

    Those of ``every_offset`` are tried at every offset of their groups, ``larger`` ones at 0.
    """
    from gpt2_helix.models import on_text  # Not above: it imports torch, which is slow.

    at = len(prompt.prefix)
    offsets = {name: range(doctoring.group_size(name) or 1) for name in every_offset}
    wanted = [
        (doctoring.INTACT, 0),
        *((name, offset) for name in every_offset for offset in offsets[name]),
        *((name, 0) for name in larger),
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
            pair: {k: [float(probability[pair][k, o]) for o in offsets[k]] for k in every_offset}
            for pair in both
        },
        rows_equal={
            k: bool((tables[k, 0][at] == tables[k, 0][at + 1]).all())
            for k in at_0
            if k != doctoring.INTACT
        },
        others={k: _rate([p[k, 0] for p in others.values()]) for k in at_0},
        others_worst_offset={
            k: _rate([min(p[k, o] for o in offsets[k]) for p in others.values()])
            for k in every_offset
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
    values: Float[np.ndarray, " pair"] = np.array(probabilities)
    sure = statistics.share(int((values > SURE).sum()), len(values))
    return Rate(len(values), sure.mean, sure.low, sure.high, float(values.mean()))

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
from gpt2_helix.prompts import PAIR, Pair, RepetitionPrompt

if TYPE_CHECKING:
    import gpt2_helix.models.runner  # not at run time: it imports torch, which is slow

SWEPT = ("average-5", "average-10", "average-20")
LARGER = ("average-50", "average-100", "average-200")
SURE = 0.99
BOTH = (PAIR, PAIR[::-1])
Doctored = tuple[str, int]
"""A doctoring, and where its groups begin."""


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
    """Probability of the first word of the pair, or a variant of it, where the prompt ends."""

    first_word_at: int  # Its position.
    n_tokens: int  # Length of the prompt.
    probability: dict[str, dict[str, float]]  # Pair, in both orders, then doctoring; offset 0.
    by_offset: dict[str, dict[str, list[float]]]  # Pair, then doctoring; offsets 0 .. k-1.
    rows_equal: dict[str, bool]  # Whether the two words share one doctored row, offset 0.


@dataclass(frozen=True)
class OtherPairs:
    """The same of other pairs of words, in both orders; not a claim of the post."""

    rate: dict[str, Rate]  # By doctoring, offset 0.
    # For the doctorings tried at every offset, each pair at its worst offset.
    at_worst_offset: dict[str, Rate]


def intact(
    runner: "gpt2_helix.models.runner.Runner", W_pos: Positions, prompt: RepetitionPrompt
) -> dict[str, float]:
    """Probability of the first word on intact positions, by pair, in both orders."""
    found = _probabilities(runner, W_pos, prompt, BOTH, [(doctoring.INTACT, 0)])
    return {pair: float(p[doctoring.INTACT, 0]) for pair, p in found.items()}


def first_word(
    runner: "gpt2_helix.models.runner.Runner",
    W_pos: Positions,
    prompt: RepetitionPrompt,
    *,
    every_offset: Sequence[str] = SWEPT,
    larger: Sequence[str] = LARGER,
) -> FirstWord:
    """Run the prompt with both orders of the pair under every doctoring and offset.

    Those of ``every_offset`` are tried at every offset of their groups, ``larger`` ones at 0.
    """
    doctored = wanted(every_offset, larger)
    found = _probabilities(runner, W_pos, prompt, BOTH, doctored)
    at, at_0 = len(prompt.prefix), [name for name, offset in doctored if offset == 0]
    rows = {name: doctoring.doctor(W_pos, name)[at : at + 2] for name in at_0}
    return FirstWord(
        first_word_at=at,
        n_tokens=prompt.n_tokens,
        probability={pair: {k: float(p[k, 0]) for k in at_0} for pair, p in found.items()},
        by_offset={
            pair: {k: [float(p[k, o]) for o in range(_offsets(k))] for k in every_offset}
            for pair, p in found.items()
        },
        rows_equal={
            k: bool((first == second).all())
            for k, (first, second) in rows.items()
            if k != doctoring.INTACT
        },
    )


def other_pairs(
    runner: "gpt2_helix.models.runner.Runner",
    W_pos: Positions,
    prompt: RepetitionPrompt,
    *,
    every_offset: Sequence[str] = SWEPT,
    larger: Sequence[str] = LARGER,
) -> OtherPairs:
    """Run the prompt with the other pairs in place of the pair, as in ``first_word``."""
    doctored = wanted(every_offset, larger)
    others = [pair for pair in prompt.tails if pair not in BOTH]
    found = _probabilities(runner, W_pos, prompt, others, doctored).values()
    at_0 = [name for name, offset in doctored if offset == 0]
    return OtherPairs(
        {k: _rate([p[k, 0] for p in found]) for k in at_0},
        {k: _rate([min(p[k, o] for o in range(_offsets(k))) for p in found]) for k in every_offset},
    )


def wanted(every_offset: Sequence[str], larger: Sequence[str]) -> list[Doctored]:
    """The doctorings that are tried, at which offsets of their groups; intact first."""
    return [
        (doctoring.INTACT, 0),
        *((name, offset) for name in every_offset for offset in range(_offsets(name))),
        *((name, 0) for name in larger),
    ]


def _offsets(name: str) -> int:
    """At how many offsets groups of this doctoring differ."""
    return doctoring.group_size(name) or 1


def _probabilities(
    runner: "gpt2_helix.models.runner.Runner",
    W_pos: Positions,
    prompt: RepetitionPrompt,
    pairs: Sequence[Pair],
    doctored: Sequence[Doctored],
) -> dict[str, dict[Doctored, np.float32]]:
    """Probability of the first word, or a variant of it, by pair and by doctoring and offset."""
    from gpt2_helix.models import on_text  # Not above: it imports torch, which is slow.

    rows = [doctoring.doctor(W_pos, *one)[: prompt.n_tokens] for one in doctored]
    tails = np.stack([prompt.tails[pair] for pair in pairs])
    next_token = on_text.continuations(runner, prompt.prefix, tails, runner.tables(rows))
    return {
        " ".join(pair): dict(
            zip(doctored, next_token[:, i, prompt.variants[pair[0]]].sum(axis=1), strict=True)
        )
        for i, pair in enumerate(pairs)
    }


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

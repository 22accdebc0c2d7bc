"""What layer 0 does with positions: how far they tell the stream apart before it and after it.

Taken is the mean of the residual stream over draws of tokens, at the positions of the queries, as
in ``rebuilt``. Its *spread* is its variance over these positions, a mean over coordinates; within
groups, that of what is left after each group's mean is subtracted. Products of two means take
different pairs of draws (a U statistic; Hoeffding 1948), so that what is left of the tokens
cancels; intervals are by jackknife over pairs. Through attention alone the draws are random tokens;
on a whole model they are windows of text, and MLPs take part.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gpt2_helix.doctoring import AVERAGE_ALL, INTACT
from gpt2_helix.judging.errors import NothingToMeasureError
from gpt2_helix.measure.attention_only import DIGITS
from gpt2_helix.measure.rebuilt import different_pairs, left_in_groups
from gpt2_helix.measure.statistics import Estimate, jackknife
from gpt2_helix.models.interventions import no_mask
from gpt2_helix.models.readings import Readings

DOCTORINGS = ("average-20", "average-100")
NO_MASK = "1, no mask in layer 0"


@dataclass(frozen=True)
class Spread:
    """Variance over positions of the mean stream, by what it enters."""

    intact: dict[str, Estimate]  # Entering layers 0 and 1, and layer 1 without a mask in layer 0.
    # Within groups entering layer 1, by doctoring: on intact positions, and on averaged ones, on
    # which nothing is left entering layer 0.
    within_intact: dict[str, Estimate]
    within_averaged: dict[str, Estimate]


def spread(attention_alone: Readings, *, doctorings: Sequence[str] = DOCTORINGS) -> Spread:
    """Measure it around layer 0.

    ``NothingToMeasureError`` if the model has no layer 1.
    """
    if attention_alone.runner.config.n_layer < 2:
        raise NothingToMeasureError("layer 0 is the last: nothing reads what it does")
    W_pos, taken = attention_alone.W_pos, attention_alone.queries
    entering = attention_alone.entering(W_pos, (0, 1))
    unmasked = attention_alone.entering(W_pos, (1,), [no_mask(0)])[1]
    intact = {"0": entering[0], "1": entering[1], NO_MASK: unmasked}
    averaged = {
        name: attention_alone.entering(attention_alone.doctor(W_pos, name), (1,))[1]
        for name in doctorings
        if name != INTACT
    }
    return Spread(
        {name: variance(stream, taken, AVERAGE_ALL) for name, stream in intact.items()},
        {name: variance(entering[1], taken, name) for name in averaged},
        {name: variance(stream, taken, name) for name, stream in averaged.items()},
    )


def variance(
    stream: Float[np.ndarray, "pair token d_model"], taken: slice, groups: str
) -> Estimate:
    """Variance of the mean over pairs within groups of a doctoring, a mean over coordinates."""
    left = left_in_groups(stream, taken, groups)
    pairs, positions, d_model = left.shape
    products = different_pairs(left, left) / (positions * d_model)
    whole = products[0] / (pairs * (pairs - 1))
    without_one = products[1:] / ((pairs - 1) * (pairs - 2))
    return jackknife(whole, without_one, DIGITS)

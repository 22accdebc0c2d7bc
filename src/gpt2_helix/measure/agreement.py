"""Attention alone beside what others published of the whole model on text.

The order of the heads by attention at -1: through attention alone (``attention_only``), and in the
whole GPT-2 small, as its pictures and two notebooks show it. That attention alone puts heads in the
same order does not say that it gives them as much: of the whole model it predicts the order.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gpt2_helix.doctoring import INTACT
from gpt2_helix.judging.claim import rounded
from gpt2_helix.judging.errors import MissingInputError
from gpt2_helix.measure import attention_only
from gpt2_helix.measure.attention_only import DIGITS, by_head
from gpt2_helix.measure.statistics import Estimate, bootstrap, spearman
from gpt2_helix.models.config import Head
from gpt2_helix.models.readings import Readings

PICTURES = (201, 152)
NOTEBOOK = (25, 2)
SCORES = (200, 1)
"""Positions and the first query, as others published them."""
DOCTORING = "average-10"

Compared = tuple[str, Readings, str, list[Head], Float[np.ndarray, " head"]]
"""What is compared, attention alone on the window that was published, the doctoring, heads, and
their attention in the whole model."""


@dataclass(frozen=True)
class PublishedHeads:
    """Attention of the whole GPT-2 small to the previous token on text, as others published it."""

    heads: list[str]  # All 144, such as ``L0H3``, layer after layer.
    # On the author's pictures, intact and averaged in groups of ten: means over the 49 queries
    # at positions 152 .. 200, ``<|endoftext|>`` being 0, middle of each colour's level.
    intact: Float[np.ndarray, " head"]
    averaged: Float[np.ndarray, " head"]
    notebook_heads: list[str]  # The 48 heads of the layers that the notebook shows: 0, 2, 4 and 5.
    notebook: Float[np.ndarray, " shown"]  # On its first prompt, of 25 tokens: queries 2 .. 24.
    # In another notebook, of all heads: means over queries 1 .. 199 of two rows of 100 random
    # tokens, each row twice, without ``<|endoftext|>``.
    scores: Float[np.ndarray, " head"]


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman correlation, over heads, with what others measured of the whole model on text.

    All by what is compared: ``intact`` and ``averaged`` with the author's pictures, ``notebook``
    with the patterns of a notebook, ``scores`` with the scores of another.
    """

    # Of attention at -1, through attention alone against the whole model. Intervals are by a
    # bootstrap over heads.
    correlation: dict[str, Estimate]
    # The same with the layer partialled out, by ranks (Kendall 1942): it is not depth alone.
    partial: dict[str, float]
    within_layer: dict[str, dict[int, float]]  # The same among the heads of each layer.
    # Through attention alone, by head, on the same window of positions.
    attention: dict[str, dict[str, float]]

    @property
    def within_layers(self) -> dict[str, float]:
        """Mean over layers of what is found within each."""
        return {name: float(np.mean([*by.values()])) for name, by in self.within_layer.items()}


@dataclass(frozen=True)
class OrderWithoutPositions:
    """Rank correlation with what others published, of heads that lack something.

    Both by what is compared, as in ``RankCorrelation``.
    """

    raw: dict[str, float]  # Every head fed W_pos as it is.
    no_positions: dict[str, float]  # Attention alone, without positions.


def rank_correlation(
    attention_alone: Readings,
    published: PublishedHeads,
    *,
    pictures: tuple[int, int] = PICTURES,
    doctoring_of_pictures: str = DOCTORING,
    notebook: tuple[int, int] = NOTEBOOK,
    scores: tuple[int, int] = SCORES,
) -> RankCorrelation:
    """Compare the order of the heads with what others measured of the whole model on text."""
    found = RankCorrelation({}, {}, {}, {})
    asked = (pictures, doctoring_of_pictures, notebook, scores)
    for name, readings, doctored, heads, whole in _compared(attention_alone, published, *asked):
        alone = _attention(readings, doctored, heads)
        layer = np.array([float(head.layer) for head in heads])
        found.correlation[name] = bootstrap(_in_order, alone, whole, digits=DIGITS)
        found.partial[name] = rounded(_partial(alone, whole, layer), DIGITS)
        found.within_layer[name] = {
            int(n): rounded(spearman(alone[layer == n], whole[layer == n]), DIGITS)
            for n in np.unique(layer)
        }
        found.attention[name] = by_head(heads, alone)
    return found


def order_without_positions(
    attention_alone: Readings,
    published: PublishedHeads,
    *,
    pictures: tuple[int, int] = PICTURES,
    doctoring_of_pictures: str = DOCTORING,
    notebook: tuple[int, int] = NOTEBOOK,
    scores: tuple[int, int] = SCORES,
) -> OrderWithoutPositions:
    """Compare the order of heads that lack positions, or lack layers, with the whole model's."""
    raw: dict[str, float] = {}
    no_positions: dict[str, float] = {}
    asked = (pictures, doctoring_of_pictures, notebook, scores)
    for name, readings, doctored, heads, whole in _compared(attention_alone, published, *asked):
        rows = readings.doctor(readings.W_pos, doctored)
        fed = np.array(list(attention_only.raw(readings, heads, rows).values()))
        raw[name] = rounded(spearman(fed, whole), DIGITS)
        alone = _attention(readings, attention_only.WITHOUT_POSITIONS, heads)
        no_positions[name] = rounded(spearman(alone, whole), DIGITS)
    return OrderWithoutPositions(raw, no_positions)


def whole_model(published: PublishedHeads) -> dict[str, dict[str, float]]:
    """What others measured of the whole model, by what is compared and by head."""
    shown = published.notebook_heads
    return {
        "intact": dict(zip(published.heads, published.intact.tolist(), strict=True)),
        "averaged": dict(zip(published.heads, published.averaged.tolist(), strict=True)),
        "notebook": dict(zip(shown, published.notebook.tolist(), strict=True)),
        "scores": dict(zip(published.heads, published.scores.tolist(), strict=True)),
    }


def _compared(
    attention_alone: Readings,
    published: PublishedHeads,
    pictures: tuple[int, int],
    doctoring_of_pictures: str,
    notebook: tuple[int, int],
    scores: tuple[int, int],
) -> Iterator[Compared]:
    """Pair attention alone with the whole model; ``MissingInputError`` if it lacks a head."""
    known = {str(head): head for head in attention_alone.heads}
    measured_on = {
        "intact": (pictures, INTACT),
        "averaged": (pictures, doctoring_of_pictures),
        "notebook": (notebook, INTACT),
        "scores": (scores, INTACT),
    }
    for name, whole in whole_model(published).items():
        if missing := [head for head in whole if head not in known]:
            raise MissingInputError(missing, "the model")
        (positions, first_query), doctored = measured_on[name]
        readings = attention_alone.over(slice(first_query, positions))
        heads = [known[head] for head in whole]
        yield name, readings, doctored, heads, np.array(list(whole.values()))


def _attention(readings: Readings, name: str, heads: list[Head]) -> Float[np.ndarray, " head"]:
    """Mean attention at -1, of heads of all layers."""
    at = [readings.heads.index(head) for head in heads]
    return readings.mean(readings.every_head(name)[:, at]).mean(axis=0)


def _in_order(some: Float[np.ndarray, " head"], others: Float[np.ndarray, " head"]) -> float:
    """Rank correlation; 0 if either does not vary, as in a sample of one head again and again."""
    return spearman(some, others) if np.ptp(some) and np.ptp(others) else 0.0


def _partial(
    some: Float[np.ndarray, " head"],
    others: Float[np.ndarray, " head"],
    third: Float[np.ndarray, " head"],
) -> float:
    """Rank correlation of two with a third held fixed; 0 if that leaves nothing of either."""
    of_two = _in_order(some, others)
    one, other = _in_order(some, third), _in_order(others, third)
    left = np.sqrt((1 - one**2) * (1 - other**2))
    return float((of_two - one * other) / left) if left > 0 else 0.0

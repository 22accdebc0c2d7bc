"""Attention alone beside what others published of the whole model on text.

Which heads attend to the previous token, in order: through attention alone (``attention_only``),
and in the whole GPT-2 small, as its pictures and a notebook show it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from gpt2_helix.doctoring import INTACT, doctor
from gpt2_helix.judging.claim import rounded
from gpt2_helix.judging.errors import MissingInputError
from gpt2_helix.measure import attention_only
from gpt2_helix.measure.attention_only import DIGITS, Draws, by_head
from gpt2_helix.measure.statistics import Estimate, bootstrap, spearman
from gpt2_helix.models.config import Head
from gpt2_helix.models.readings import Readings

PICTURES = (201, 152)
NOTEBOOK = (25, 2)
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


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman correlation, over heads, with what others measured of the whole model on text.

    Both by what is compared: ``intact`` and ``averaged`` with the author's pictures, ``notebook``
    with a notebook's patterns.
    """

    # Of attention to the previous token, through attention alone against the whole model.
    correlation: dict[str, Estimate]
    # Through attention alone, by head, on the same window of positions.
    attention: dict[str, dict[str, float]]


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
) -> RankCorrelation:
    """Compare the order of the heads with what others measured of the whole model on text."""
    correlation: dict[str, Estimate] = {}
    attention: dict[str, dict[str, float]] = {}
    asked = (pictures, doctoring_of_pictures, notebook)
    for name, readings, doctored, heads, whole in _compared(attention_alone, published, *asked):
        draws = _attention(readings, doctored, heads)
        agreement = partial(_agreement, draws, whole)
        attention[name] = by_head(heads, draws.mean(axis=0))
        correlation[name] = bootstrap(agreement, np.arange(len(draws)), digits=DIGITS)
    return RankCorrelation(correlation, attention)


def order_without_positions(
    attention_alone: Readings,
    published: PublishedHeads,
    *,
    pictures: tuple[int, int] = PICTURES,
    doctoring_of_pictures: str = DOCTORING,
    notebook: tuple[int, int] = NOTEBOOK,
) -> OrderWithoutPositions:
    """Compare the order of heads that lack positions, or lack layers, with the whole model's."""
    raw: dict[str, float] = {}
    no_positions: dict[str, float] = {}
    asked = (pictures, doctoring_of_pictures, notebook)
    for name, readings, doctored, heads, whole in _compared(attention_alone, published, *asked):
        fed = attention_only.raw(readings, heads, doctor(readings.W_pos, doctored))
        raw[name] = rounded(spearman(np.array(list(fed.values())), whole), DIGITS)
        draws = _attention(readings, "zeroed", heads)
        no_positions[name] = rounded(spearman(draws.mean(axis=0), whole), DIGITS)
    return OrderWithoutPositions(raw, no_positions)


def whole_model(published: PublishedHeads) -> dict[str, dict[str, float]]:
    """What others measured of the whole model, by what is compared and by head."""
    shown = published.notebook_heads
    return {
        "intact": dict(zip(published.heads, published.intact.tolist(), strict=True)),
        "averaged": dict(zip(published.heads, published.averaged.tolist(), strict=True)),
        "notebook": dict(zip(shown, published.notebook.tolist(), strict=True)),
    }


def _compared(
    attention_alone: Readings,
    published: PublishedHeads,
    pictures: tuple[int, int],
    doctoring_of_pictures: str,
    notebook: tuple[int, int],
) -> Iterator[Compared]:
    """Pair attention alone with the whole model; ``MissingInputError`` if it lacks a head."""
    known = {str(head): head for head in attention_alone.heads}
    measured_on = {
        "intact": (pictures, INTACT),
        "averaged": (pictures, doctoring_of_pictures),
        "notebook": (notebook, INTACT),
    }
    for name, whole in whole_model(published).items():
        if missing := [head for head in whole if head not in known]:
            raise MissingInputError(missing, "the model")
        (positions, first_query), doctored = measured_on[name]
        readings = replace(attention_alone, queries=slice(first_query, positions))
        heads = [known[head] for head in whole]
        yield name, readings, doctored, heads, np.array(list(whole.values()))


def _attention(readings: Readings, name: str, heads: list[Head]) -> Draws:
    """Attention to the previous token, of heads of all layers."""
    at = [readings.heads.index(head) for head in heads]
    return readings.mean(readings.every_head(name)[:, at])


def _agreement(
    draws: Draws, whole: Float[np.ndarray, " head"], pairs: Int[np.ndarray, " pair"]
) -> float:
    """How well these pairs of draws agree with the whole model."""
    return spearman(draws[pairs].mean(axis=0), whole)

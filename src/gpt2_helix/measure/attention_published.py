"""Attention alone beside what others published of the whole model on text.

Which heads attend to the previous token, in order: through attention alone (``attention_only``),
and in the whole GPT-2 small, as its pictures and a notebook show it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.judging.claim import rounded
from gpt2_helix.judging.errors import MissingInputError
from gpt2_helix.measure import attention_only, helix
from gpt2_helix.measure.attention_only import (
    DIGITS,
    ByHead,
    Draws,
    Interval,
    Window,
    by_head,
    over_draws,
)
from gpt2_helix.models.config import Head
from gpt2_helix.models.readings import Readings
from gpt2_helix.parameters import PARAMETERS
from gpt2_helix.published.attention import PreviousToken

_CHOSEN = PARAMETERS.attention_published
PICTURES = Window(*_CHOSEN.pictures)
NOTEBOOK = Window(*_CHOSEN.notebook)


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman correlation, over heads, with what others measured of the whole model on text.

    All by what is compared: ``intact`` and ``averaged`` with the author's pictures, ``notebook``
    with a notebook's patterns.

    Attributes
    ----------
    correlation, interval
        Of attention to the previous token, through attention alone against the whole model.
    attention
        Through attention alone, by head, on the same window of positions.
    """

    correlation: dict[str, float]
    interval: dict[str, Interval]
    attention: dict[str, ByHead]


@dataclass(frozen=True)
class OrderWithoutPositions:
    """Rank correlation with what others published, of heads that lack something.

    Attributes
    ----------
    raw
        Every head fed W_pos as it is; by what is compared, as in ``RankCorrelation``.
    no_positions
        Attention alone, without positions; likewise.
    """

    raw: dict[str, float]
    no_positions: dict[str, float]


def rank_correlation(attention_alone: Readings, published: PreviousToken) -> RankCorrelation:
    """Compare the order of the heads with what others measured of the whole model on text."""
    correlation: dict[str, float] = {}
    interval: dict[str, Interval] = {}
    attention: dict[str, ByHead] = {}
    for name, (window, doctored, whole) in _comparisons(published).items():
        heads = _named(attention_alone, whole)
        draws = _attention(attention_alone, doctored, heads, window)

        def agreement(some: Draws, whole: ByHead = whole) -> float:
            return _spearman(some.mean(axis=0), whole)

        attention[name] = by_head(heads, draws.mean(axis=0))
        correlation[name] = agreement(draws)
        interval[name] = over_draws(agreement, draws)
    return RankCorrelation(correlation, interval, attention)


def order_without_positions(
    W_pos: Positions, attention_alone: Readings, published: PreviousToken
) -> OrderWithoutPositions:
    """Compare the order of heads that lack positions, or lack layers, with the whole model's."""
    raw: dict[str, float] = {}
    no_positions: dict[str, float] = {}
    for name, (window, doctored, whole) in _comparisons(published).items():
        heads = _named(attention_alone, whole)
        fed = attention_only.raw(attention_alone, heads, window, doctoring.doctor(W_pos, doctored))
        raw[name] = _spearman(np.array(list(fed.values())), whole)
        draws = _attention(attention_alone, "zeroed", heads, window)
        no_positions[name] = _spearman(draws.mean(axis=0), whole)
    return OrderWithoutPositions(raw, no_positions)


def whole_model(published: PreviousToken) -> dict[str, ByHead]:
    """What others measured of the whole model, by what is compared and by head."""
    return {
        name: dict(zip(heads, values.tolist(), strict=True))
        for name, heads, values in (
            ("intact", published.heads, published.intact),
            ("averaged", published.heads, published.averaged),
            ("notebook", published.notebook_heads, published.notebook),
        )
    }


def _comparisons(published: PreviousToken) -> dict[str, tuple[Window, str, ByHead]]:
    """By what is compared: the window, the doctoring, and the whole model's heads."""
    measured_on = {
        "intact": (PICTURES, doctoring.INTACT),
        "averaged": (PICTURES, _CHOSEN.doctoring_of_pictures),
        "notebook": (NOTEBOOK, doctoring.INTACT),
    }
    return {name: (*measured_on[name], whole) for name, whole in whole_model(published).items()}


def _attention(
    attention_alone: Readings, name: str, heads: Sequence[Head], window: Window
) -> Draws:
    """As ``attention_only.attention``, of heads of all layers."""
    at = [attention_alone.heads.index(head) for head in heads]
    return window.mean(attention_alone.every_head(name)[:, at])


def _named(attention_alone: Readings, names: Iterable[str]) -> list[Head]:
    """Heads by name.

    Raises
    ------
    MissingInputError
        If the model lacks one.
    """
    heads = {str(head): head for head in attention_alone.heads}
    if missing := [name for name in names if name not in heads]:
        raise MissingInputError(missing, "the model")
    return [heads[name] for name in names]


def _spearman(found: Float[np.ndarray, " head"], whole: ByHead) -> float:
    """Spearman correlation of the same heads, here and in the whole model."""
    return rounded(helix.rank_correlation(found, np.array(list(whole.values()))), DIGITS)

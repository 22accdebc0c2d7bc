"""The families of measurements: what is measured in each, and on which broken models.

``gpt2-helix measure`` records these, records hold these, and the paper expects these. A family is
named after its module in ``gpt2_helix.measure``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpt2_helix.measure import (
    architecture,
    attention_beside,
    attention_only,
    attention_published,
    averaging,
    extended,
    heads,
    helix,
    kernels,
    output,
    patterns,
    positions,
    repetition,
)

OF_POSITIONS = (
    "shuffled-rows",
    "gaussian-rows",
    "random-walk",
    "phase-randomised",
    "sinusoidal",
    "one-row",
)
OF_WEIGHTS = (*OF_POSITIONS, "random-weights", "medium-size", "looking-back", "minilm")
WITHOUT_ORDER = (
    "shuffled-rows",
    "reversed-rows",
    "no-positions",
    "gaussian-rows",
    "random-walk",
    "sinusoidal",
)
"""Positions through which attention alone must find no previous token."""
BREAK_ATTENTION_ALONE = (*WITHOUT_ORDER, "random-weights")
"""Every claim on attention alone must be refuted on these."""
OF_ATTENTION_ALONE = (
    *BREAK_ATTENTION_ALONE,
    "idle-first-layer",
    "published-heads-in-random-order",
)
OF_BEHAVIOUR = ("shuffled-rows", "exact-positions", "untrained")


@dataclass(frozen=True)
class Family:
    """Measurements that are recorded together.

    Attributes
    ----------
    measurements
        Functions of one module of ``gpt2_helix.measure``.
    controls
        Broken copies to record beside the subject, by name in ``controls.CONTROLS``.
    of_controls
        What is measured of these; None for all. Enough to refute every claim of the family.
    """

    measurements: tuple[Callable[..., Any], ...]
    controls: tuple[str, ...]
    of_controls: tuple[Callable[..., Any], ...] | None = None


FAMILIES = {
    "architecture": Family((architecture.heads,), OF_WEIGHTS),
    "positions": Family((positions.learned,), OF_WEIGHTS),
    "helix": Family((helix.shape, helix.phantom), OF_WEIGHTS),
    "averaging": Family(
        (averaging.grouping, averaging.distance_from_curve),
        (*OF_WEIGHTS, "groups-one-too-large", "means-across-borders"),
    ),
    "kernels": Family((kernels.local_heads, kernels.main_heads), OF_WEIGHTS),
    "attention_only": Family(
        (
            attention_only.main_heads,
            attention_only.all_heads,
            attention_only.averaged,
            attention_only.first_layer,
        ),
        OF_ATTENTION_ALONE,
        of_controls=(attention_only.main_heads, attention_only.first_layer),
    ),
    "attention_published": Family(
        (attention_published.rank_correlation, attention_published.order_without_positions),
        # The other broken copies do not get this far: their heads attend nowhere.
        ("random-weights", "published-heads-in-random-order"),
        of_controls=(attention_published.rank_correlation,),
    ),
    # On a model that looks positions up, reversed rows serve as well; other broken copies attend
    # to nothing, which ``attention_only`` records.
    "extended": Family(
        (extended.fed, extended.averaged), ("reversed-rows",), of_controls=(extended.fed,)
    ),
    "attention_beside": Family(
        (
            attention_beside.sweep,
            attention_beside.every_head,
            attention_beside.other_tokens,
            attention_beside.repeated_token,
        ),
        (),
    ),
    "output": Family((output.on_text,), OF_BEHAVIOUR),
    "heads": Family((heads.all_heads, heads.main_heads, heads.survival), OF_BEHAVIOUR),
    "repetition": Family((repetition.first_word,), OF_BEHAVIOUR),
    "patterns": Family((patterns.of_main_heads,), ()),
}

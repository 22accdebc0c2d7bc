"""The families of measurements: what is measured in each, and on which broken models.

``gpt2-helix measure`` records these, records hold these, and the paper expects these. A family is
named after its module in ``gpt2_helix.measure``.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gpt2_helix.measure import (
    architecture,
    attention_beside,
    attention_only,
    attention_published,
    attention_whole,
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
"""Broken positions, with which attention alone must not find the previous token."""
BREAK_ATTENTION_ALONE = (*WITHOUT_ORDER, "random-weights")
"""Every claim on attention alone must be refuted on these."""
OF_ATTENTION_ALONE = (
    *BREAK_ATTENTION_ALONE,
    "idle-first-layer",
    "published-heads-in-random-order",
)
OF_BEHAVIOUR = ("shuffled-rows", "exact-positions", "untrained")


Measurement = Callable[..., Any]


@dataclass(frozen=True)
class Family:
    """Measurements that are recorded together.

    Attributes
    ----------
    measurements
        Functions of one module of ``gpt2_helix.measure``.
    controls
        Broken copies to record beside the subject, by name in ``controls.CONTROLS``, and what is
        measured of each: enough to refute every claim of the family.
    """

    measurements: tuple[Measurement, ...]
    controls: Mapping[str, tuple[Measurement, ...]]


def all_of(measurements: tuple[Measurement, ...], controls: Iterable[str] = ()) -> Family:
    """A family of which everything is measured of every control."""
    return Family(measurements, dict.fromkeys(controls, measurements))


FAMILIES = {
    "architecture": all_of((architecture.heads,), OF_WEIGHTS),
    "positions": all_of((positions.learned,), OF_WEIGHTS),
    "helix": all_of((helix.shape, helix.phantom), OF_WEIGHTS),
    "averaging": all_of(
        (averaging.grouping, averaging.distance_from_curve),
        (*OF_WEIGHTS, "groups-one-too-large", "means-across-borders"),
    ),
    "kernels": all_of((kernels.local_heads, kernels.main_heads), OF_WEIGHTS),
    "attention_only": Family(
        (
            attention_only.main_heads,
            attention_only.all_heads,
            attention_only.averaged,
            attention_only.first_layer,
        ),
        {
            **dict.fromkeys(
                OF_ATTENTION_ALONE, (attention_only.main_heads, attention_only.first_layer)
            ),
            # On a model that looks positions up, reversed rows serve as well; the heads of other
            # broken copies attend nowhere, which refutes every claim.
            "reversed-rows": (
                attention_only.main_heads,
                attention_only.first_layer,
                attention_only.averaged,
            ),
        },
    ),
    "attention_published": Family(
        (attention_published.rank_correlation, attention_published.order_without_positions),
        dict.fromkeys(
            ("random-weights", "published-heads-in-random-order"),
            (attention_published.rank_correlation,),
        ),
    ),
    "extended": all_of((extended.fed, extended.averaged), ("reversed-rows",)),
    "attention_beside": all_of(
        (
            attention_beside.sweep,
            attention_beside.every_head,
            attention_beside.other_tokens,
            attention_beside.repeated_token,
        )
    ),
    "attention_whole": all_of(
        (
            attention_whole.main_heads,
            attention_whole.all_heads,
            attention_whole.averaged,
            attention_whole.first_layer,
            attention_whole.fed,
            attention_whole.fed_averaged,
        )
    ),
    "output": all_of((output.on_text,), OF_BEHAVIOUR),
    "heads": all_of((heads.all_heads, heads.main_heads, heads.survival), OF_BEHAVIOUR),
    "repetition": all_of((repetition.first_word,), OF_BEHAVIOUR),
    "patterns": all_of((patterns.of_main_heads,)),
}

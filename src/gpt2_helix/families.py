"""The families of measurements: what is measured in each, and on which broken models.

``gpt2-helix measure`` records these, records hold these, and the paper expects these. A family is
named after its module in ``gpt2_helix.measure``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpt2_helix.measure import (
    architecture,
    averaging,
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
OF_BEHAVIOUR = ("exact-positions", "untrained")


@dataclass(frozen=True)
class Family:
    """Measurements that are recorded together.

    Attributes
    ----------
    measurements
        Functions of one module of ``gpt2_helix.measure``.
    controls
        Broken copies to record beside the subject, by name in ``controls.CONTROLS``.
    """

    measurements: tuple[Callable[..., Any], ...]
    controls: tuple[str, ...]


FAMILIES = {
    "architecture": Family((architecture.heads,), OF_WEIGHTS),
    "positions": Family((positions.learned,), OF_WEIGHTS),
    "helix": Family((helix.shape, helix.phantom), OF_WEIGHTS),
    "averaging": Family(
        (averaging.grouping, averaging.distance_from_curve),
        (*OF_WEIGHTS, "groups-one-too-large", "means-across-borders"),
    ),
    "kernels": Family((kernels.local_heads, kernels.main_heads), OF_WEIGHTS),
    "output": Family((output.on_text,), OF_BEHAVIOUR),
    "heads": Family((heads.all_heads, heads.main_heads, heads.survival), OF_BEHAVIOUR),
    "repetition": Family((repetition.first_word,), OF_BEHAVIOUR),
    "patterns": Family((patterns.of_main_heads,), ()),
}

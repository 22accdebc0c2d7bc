"""The one list of what is recorded: what claims measure, and what figures and the paper need.

A family of measurements is one file of a subject. ``recording`` writes it, and records are read
back by the module that defines a measurement.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gpt2_helix.measure import (
    agreement,
    architecture,
    attention_only,
    averaging,
    extended,
    heads,
    helix,
    kernels,
    output,
    patterns,
    positions,
    repetition,
    sensitivity,
)
from gpt2_helix.suite.control_lists import OF_ATTENTION_ALONE, OF_BEHAVIOUR, OF_WEIGHTS

Measurements = tuple[Callable[..., Any], ...]


@dataclass(frozen=True)
class Family:
    """Measurements of a subject, and by control those of its broken copies that refute claims."""

    measurements: Measurements
    controls: Mapping[str, Measurements]
    on_text: bool = False  # Whether the whole model on text takes the place of attention alone.


def all_of(*measurements: Callable[..., Any], controls: Iterable[str] = ()) -> Family:
    """A family of which everything is measured of every control."""
    return Family(measurements, dict.fromkeys(controls, measurements))


OF_ATTENTION = (
    attention_only.main_heads,
    attention_only.all_heads,
    attention_only.averaged,
    attention_only.first_layer,
)
ATTENDS = (attention_only.main_heads, attention_only.first_layer)
RECORDED = {
    "architecture": all_of(architecture.heads, controls=OF_WEIGHTS),
    "positions": all_of(positions.learned, controls=OF_WEIGHTS),
    "helix": all_of(helix.shape, helix.phantom, controls=OF_WEIGHTS),
    "averaging": all_of(
        averaging.grouping,
        averaging.distance_from_curve,
        controls=(*OF_WEIGHTS, "groups-one-too-large", "means-across-borders"),
    ),
    "kernels": all_of(kernels.local_heads, kernels.main_heads, controls=OF_WEIGHTS),
    "attention_only": Family(
        OF_ATTENTION,
        # Most broken copies attend nowhere, which refutes every claim. On a model that looks
        # positions up, reversed rows serve as well.
        dict.fromkeys(OF_ATTENTION_ALONE, ATTENDS)
        | {"reversed-rows": (*ATTENDS, attention_only.averaged)},
    ),
    "agreement": Family(
        (agreement.rank_correlation, agreement.order_without_positions),
        dict.fromkeys(
            ("random-weights", "published-heads-in-random-order"),
            (agreement.rank_correlation,),
        ),
    ),
    "extended": all_of(extended.fed, extended.fed_averaged, controls=("reversed-rows",)),
    "sensitivity": all_of(
        sensitivity.sweep,
        sensitivity.every_head,
        sensitivity.other_tokens,
        sensitivity.repeated_token,
    ),
    "attention_whole": Family(
        (*OF_ATTENTION, extended.fed, extended.fed_averaged), {}, on_text=True
    ),
    "output": all_of(output.on_text, controls=OF_BEHAVIOUR),
    "heads": all_of(heads.all_heads, heads.main_heads, heads.survival, controls=OF_BEHAVIOUR),
    "repetition": all_of(repetition.first_word, controls=OF_BEHAVIOUR),
    "patterns": all_of(patterns.of_main_heads),
}

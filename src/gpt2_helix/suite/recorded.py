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
    cause,
    extended,
    heads,
    helix,
    kernels,
    layer_0,
    output,
    patterns,
    positions,
    rebuilt,
    repetition,
    sensitivity,
)
from gpt2_helix.suite.control_lists import OF_BEHAVIOUR, OF_WEIGHTS, WITHOUT_ORDER

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
)
RIVALS = ("looking-back", "relative-bias", "groups-of-50-for-100")
INTERVENTIONS = (
    "average-of-past-and-future",
    "itself-alone",
    "heads-3-and-9-swapped",
    "copied-head",
)
"""Rivals of ``cause`` alone: what they presume is measured here."""
BY_RULE = (
    cause.first_layer,
    cause.causal_mask,
    cause.local_heads,
    cause.all_but_local_heads,
    cause.three_components,
    cause.ten_components,
    cause.direct_path,
)
REBUILT = (rebuilt.curve, rebuilt.rebuilt, rebuilt.in_larger_groups)
LEADS = (cause.costs, cause.one_head, cause.plain_average)
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
        # What lacks what is presumed is asked no more; rivals attend, and then fail.
        dict.fromkeys(
            (*WITHOUT_ORDER, *INTERVENTIONS, "published-heads-in-random-order"),
            (attention_only.main_heads,),
        )
        | dict.fromkeys(RIVALS, (attention_only.main_heads, attention_only.averaged)),
    ),
    "agreement": Family(
        (agreement.rank_correlation, agreement.order_without_positions),
        {"published-heads-in-random-order": (agreement.rank_correlation,)},
    ),
    "extended": all_of(extended.fed, extended.fed_averaged, controls=RIVALS),
    "cause": Family(
        (
            *BY_RULE,
            cause.other_layers,
            *LEADS,
            cause.beside,
            cause.rule,
        ),
        {
            **dict.fromkeys(("looking-back", "relative-bias"), BY_RULE),
            **dict.fromkeys(("average-of-past-and-future", "itself-alone"), LEADS),
            "heads-3-and-9-swapped": (cause.local_heads, cause.all_but_local_heads),
            "copied-head": (cause.costs, cause.one_head),
        },
    ),
    "rebuilt": Family(
        (*REBUILT, rebuilt.by_layer),
        dict.fromkeys(
            ("shuffled-rows", "gaussian-rows", "groups-of-50-for-100"),
            REBUILT,
        ),
    ),
    "sensitivity": all_of(
        sensitivity.sweep,
        sensitivity.every_head,
        sensitivity.other_tokens,
        sensitivity.repeated_token,
    ),
    "layer_0": all_of(layer_0.spread),
    "attention_whole": Family(
        (
            *OF_ATTENTION,
            extended.fed,
            extended.fed_averaged,
            layer_0.spread,
            *BY_RULE,
            cause.other_layers,
            *LEADS,
            cause.beside,
        ),
        {},
        on_text=True,
    ),
    "output": Family(
        (output.on_text, output.beside),
        dict.fromkeys((*OF_BEHAVIOUR, "no-positions"), (output.on_text,)),
    ),
    "heads": all_of(
        heads.all_heads,
        heads.main_heads,
        heads.profiles,
        heads.survival,
        controls=OF_BEHAVIOUR,
    ),
    "repetition": Family(
        (repetition.intact, repetition.first_word, repetition.other_pairs),
        dict.fromkeys(OF_BEHAVIOUR, (repetition.intact, repetition.first_word)),
    ),
    "patterns": all_of(patterns.of_main_heads),
}

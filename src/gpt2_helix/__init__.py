"""Executable claims about GPT-2 small's positional embeddings and its previous-token heads.

``judge`` gives verdicts on a model, ``measure`` holds the measurements behind them::

    import gpt2_helix as gh

    verdicts = gh.judge("gpt2")
    verdicts["helix.axis"]
    gh.measure.helix(W_pos)

A public name is imported when it is first asked for, so that the package itself is quick to import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpt2_helix import measure
    from gpt2_helix.api import Verdicts, judge
    from gpt2_helix.doctoring import doctor
    from gpt2_helix.judging.claim import Claim, Measured
    from gpt2_helix.judging.errors import (
        HubUnreachableError,
        InputError,
        MissingInputError,
        NothingToMeasureError,
    )
    from gpt2_helix.judging.report import ClaimVerdict, ControlVerdict, StatementVerdict

__all__ = [
    "Claim",
    "ClaimVerdict",
    "ControlVerdict",
    "HubUnreachableError",
    "InputError",
    "Measured",
    "MissingInputError",
    "NothingToMeasureError",
    "StatementVerdict",
    "Verdicts",
    "doctor",
    "judge",
    "measure",
]
_MODULES = {
    "api": ("Verdicts", "judge"),
    "judging.claim": ("Claim", "Measured"),
    "judging.report": ("ClaimVerdict", "ControlVerdict", "StatementVerdict"),
    "doctoring": ("doctor",),
    "judging.errors": (
        "NothingToMeasureError",
        "HubUnreachableError",
        "MissingInputError",
        "InputError",
    ),
}


def __getattr__(name: str) -> Any:
    if name == "measure":
        return import_module("gpt2_helix.measure")
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"gpt2_helix.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

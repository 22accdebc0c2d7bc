"""Measurements: pure functions from arrays to small frozen results.

A measurement names its parameters after what a subject offers (``config``, ``W_pos``,
``attention``), so that ``Subject.measure`` can call it, and annotates its result, so that a
recorded one can be read back.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any


def __getattr__(name: str) -> Any:
    """Import a family's module when it is first asked for."""
    module = f"{__name__}.{name}"
    if name.startswith("_") or find_spec(module) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(module)

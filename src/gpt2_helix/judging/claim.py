"""The terms of a claim, the subject it is asked of, and what it measures.

A claim is a function that takes a subject and ``measured``. It measures the subject, passes the
numbers to ``measured`` and asserts the result. ``trial`` runs it.
"""

import math
import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Protocol, SupportsFloat, TypeVar

from gpt2_helix.judging.errors import InputError

Result = TypeVar("Result")
Verdict = Literal["confirmed", "refuted", "blocked"]
Evidence = Literal["live", "recorded", "published"]
"""Measured in this run, measured earlier by this project, or measured by others."""
Number = float | int | bool
MeasuredValue = Number | dict[str, Number]


class Sampled(Protocol):
    """A number that was estimated from a sample."""

    @property
    def mean(self) -> float:
        """The number."""


Assess = Callable[..., None]
"""A claim's function, called with a ``subject`` and a ``measured``."""

DIGITS = 6
"""Significant digits of every number that is kept."""

_COMPARE: dict[str, Callable[[Number, Number], bool]] = {
    "==": operator.eq,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_BOUND = re.compile(r"(==|>=|<=|>|<) -?\d*\.?\d+(e-?\d+)?")
_ID = re.compile(r"[a-z0-9-]+\.[a-z0-9-]+")


class ClaimError(Exception):
    """A claim that contradicts itself, so it can give no verdict."""


@dataclass(frozen=True)
class Found:
    """Parts of a subject that nobody named, found by measurement."""

    by: str  # What they have most of.
    chosen: dict[str, float]  # How much, by part, most first.
    best_left_out: dict[str, float]  # How much the next one has; empty if there is none.

    def __post_init__(self) -> None:
        if not self.chosen:
            raise ValueError("expected something to be chosen, found nothing")


class Subject(ABC):
    """What is under test, as a claim sees it."""

    name: str  # As the user gave it.
    evidence: Evidence = "live"
    digests: Mapping[str, str] = MappingProxyType({})  # File or tensor to hexadecimal sha256.
    recorded_on: str | None = None  # Date of the measurements, if they were made earlier.
    source: str | None = None  # Where published measurements come from.
    because: str | None = None  # Why it is not measured now, if the user asked for that.
    commit: str | None = None  # Of the repository that it was read from, if known.
    found: Mapping[str, Found] = MappingProxyType({})  # By the name that nobody gave.

    @abstractmethod
    def measure(self, measurement: Callable[..., Result]) -> Result:
        """Result of a measurement on this subject; the same every time.

        ``MissingInputError`` if the subject lacks what the measurement needs.
        """


@dataclass(frozen=True)
class Claim:
    """The terms of a claim.

    Where several numbers are measured under one name, each must keep the bound of that name. The
    first bound is shown where there is room for one.
    """

    id: str  # Fixed: family.name
    statement: str  # Key of the suite's statements: what it helps to decide.
    post: str  # The section of the text that makes the statement.
    needs: str  # Codes of its inputs, of those in Words.needs, with commas between them.
    tolerance: Mapping[str, str]  # Measured name to its bound, such as ">= 0.85".
    why: str  # Why the tolerance is what it is.
    refuted_by: Sequence[str]  # Controls on which it must be refuted, at least one.
    refuted_by_published: Sequence[str] = ()  # The same where the evidence is published.

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ClaimError(f"{self.id}: expected an identifier like family.name")
        for name, bound in self.tolerance.items():
            if not is_bound(bound):
                raise ClaimError(f"{self.id}: expected a bound like '>= 1', found {name} {bound}")
        if not self.tolerance or not self.refuted_by:
            raise ClaimError(f"{self.id}: expected a tolerance and a control, found none")


@dataclass(frozen=True)
class Outcome:
    """What ``measured`` returns: true if every bound was kept; shows the broken ones if not."""

    broken: tuple[str, ...]

    def __bool__(self) -> bool:
        return not self.broken

    def __repr__(self) -> str:
        return "; ".join(self.broken) or "every bound kept"


class Measured:
    """The ``measured`` argument of a claim: keeps the numbers and compares them with the bounds."""

    def __init__(self, tolerance: Mapping[str, str]) -> None:
        self.tolerance = dict(tolerance)
        self.values: dict[str, MeasuredValue] = {}

    def __call__(
        self, **values: Number | Sampled | Mapping[Any, Number] | Mapping[Any, Sampled] | None
    ) -> Outcome:
        """Keep numbers by name, or several by name and key; each must be finite.

        None in place of a number: it would say nothing of this subject, so its bound is dropped.
        """
        for name, value in values.items():
            if value is None:
                self.tolerance.pop(name, None)
                continue
            kept: MeasuredValue = (
                {str(key): _number(number) for key, number in value.items()}
                if isinstance(value, Mapping)
                else _number(value)
            )
            if kept == {}:
                raise ClaimError(f"expected a number under {name}, found none")
            for label, number in labelled(name, kept):
                if not math.isfinite(number):
                    raise InputError(f"expected {label} to be a finite number, found {number}")
            self.values[name] = kept
        return Outcome(self._broken(values))

    @property
    def broken(self) -> tuple[str, ...]:
        """Every bound that a measured number breaks, as ``climb 0.03, must be >= 0.95``."""
        return self._broken(self.values)

    def _broken(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(
            f"{label} {number:.4g}, must be {self.tolerance[name]}"
            for name in names
            if name in self.tolerance
            for label, number in labelled(name, self.values[name])
            if not keeps(number, self.tolerance[name])
        )


def _number(value: Number | Sampled) -> Number:
    # Numbers of numpy are numbers too, and have a method of this name.
    return value if isinstance(value, SupportsFloat) else value.mean


def is_bound(text: str) -> bool:
    """Whether this is a bound such as ``">= 0.85"``."""
    return _BOUND.fullmatch(text) is not None


def keeps(value: Number, bound: str) -> bool:
    """Whether a number keeps a bound such as ``">= 0.85"``."""
    comparison, limit = bound.split()
    return _COMPARE[comparison](value, float(limit))


def labelled(name: str, value: MeasuredValue) -> list[tuple[str, Number]]:
    """Measured numbers with what to call them: one, or one for each key."""
    if isinstance(value, dict):
        return [(f"{name} {key}", number) for key, number in value.items()]
    return [(name, value)]


def rounded(value: float, digits: int = DIGITS) -> float:
    """The number with this many significant digits."""
    return float(f"{value:.{digits}g}")

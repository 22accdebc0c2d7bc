"""The terms of a claim, the subject it is asked of, and what it measures.

A claim is a function that takes a subject and ``measured``. It measures the subject, passes the
numbers to ``measured`` and asserts the result. ``trial`` runs it.
"""

import math
import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol, SupportsFloat, TypeVar

from gpt2_helix.judging.errors import NothingToMeasureError

Result = TypeVar("Result")
Verdict = Literal["confirmed", "described", "refuted", "undecided", "n/a", "blocked", "error"]
"""What each means is in ``VERDICTS``."""
VERDICTS: dict[Verdict, str] = {
    "confirmed": "every bound is kept, interval and all; they were set before this evidence was "
    "seen; a control counts",
    "described": "the same, but bounds were set after: it tests nothing here",
    "refuted": "a number is outside its bound, interval and all",
    "undecided": "the interval of a number holds its bound, or no control counts",
    "n/a": "the subject lacks what the claim presumes",
    "blocked": "something that is needed is missing",
    "error": "no verdict: the claim ended in an error of its own",
}
When = Literal["before", "after"]
"""Whether a bound was set before its evidence was seen; after, where that is not known."""
Standing = Literal["kept", "broken", "open"]
"""How a number stands to a bound; open if its interval holds the bound."""
Evidence = Literal["live", "recorded", "published"]
"""Measured in this run, measured earlier by this project, or measured by others."""
Number = float | int | bool
MeasuredValue = Number | dict[str, Number]
Interval = tuple[float, float]
"""Of 95 %: its low and its high end."""
Intervals = Interval | dict[str, Interval]


class Sampled(Protocol):
    """A number that was estimated from a sample, with its interval."""

    @property
    def mean(self) -> float:
        """The number."""

    @property
    def low(self) -> float:
        """Low end of its interval."""

    @property
    def high(self) -> float:
        """High end of its interval."""


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
    # Key of the suite's statements: what it helps to decide. None for a check of the method.
    statement: str | None
    post: str  # The section of the text that makes the statement.
    needs: str  # Codes of its inputs, of those in Words.needs, with commas between them.
    tolerance: Mapping[str, str]  # Measured name to its bound, such as ">= 0.85".
    set: When | Mapping[str, When]  # When the bounds were set, or by name when each was.
    why: str  # Why the tolerance is what it is.
    # Controls: copies on which it should be refuted, at least one.
    refuted_by: Sequence[str]
    refuted_by_published: Sequence[str] = ()  # The same where the evidence is published.
    # Bounds on what must be so before the question makes sense.
    presumes: Mapping[str, str] = field(default_factory=dict)
    about: str | None = None  # The one subject that it is about, if it is about one alone.

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ClaimError(f"{self.id}: expected an identifier like family.name")
        for name, bound in [*self.tolerance.items(), *self.presumes.items()]:
            if not is_bound(bound):
                raise ClaimError(f"{self.id}: expected a bound like '>= 1', found {name} {bound}")
        if not self.tolerance or not self.refuted_by:
            raise ClaimError(f"{self.id}: expected a tolerance and a control, found none")
        if twice := self.tolerance.keys() & self.presumes.keys():
            raise ClaimError(f"{self.id}: expected {min(twice)} to be asked or presumed, not both")
        if set(self.when.values()) - {"before", "after"} or self.when.keys() != {*self.tolerance}:
            raise ClaimError(f"{self.id}: expected set to be 'before' or 'after' for each bound")

    @property
    def when(self) -> dict[str, When]:
        """When the bound of each measured name was set."""
        if isinstance(self.set, str):
            return dict.fromkeys(self.tolerance, self.set)
        return dict(self.set)


@dataclass(frozen=True)
class Outcome:
    """What ``measured`` returns: false if a bound is broken, which it then shows."""

    broken: tuple[str, ...]

    def __bool__(self) -> bool:
        return not self.broken

    def __repr__(self) -> str:
        return "; ".join(self.broken) or "no bound broken"


class Measured:
    """The ``measured`` argument of a claim: keeps the numbers and compares them with the bounds."""

    def __init__(
        self, tolerance: Mapping[str, str], presumes: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.tolerance = dict(tolerance)
        self.presumes = dict(presumes)
        self.values: dict[str, MeasuredValue] = {}
        self.intervals: dict[str, Intervals] = {}

    def __call__(
        self, **values: Number | Sampled | Mapping[Any, Number] | Mapping[Any, Sampled] | None
    ) -> Outcome:
        """Keep numbers by name, or several by name and key; each must be finite.

        None in place of a number: it would say nothing of this subject, so its bound is dropped.
        ``NothingToMeasureError`` if a number is not finite.
        """
        for name, value in values.items():
            if value is None:
                self.tolerance.pop(name, None)
                self.presumes.pop(name, None)
                continue
            several = dict(value) if isinstance(value, Mapping) else {"": value}
            if not several:
                raise ClaimError(f"expected a number under {name}, found none")
            numbers = {str(key): _number(one) for key, one in several.items()}
            ends = {str(key): found for key, one in several.items() if (found := _ends(one))}
            for key, number in numbers.items():
                for part in (number, *ends.get(key, ())):
                    if not math.isfinite(part):
                        raise NothingToMeasureError(f"{f'{name} {key}'.strip()} is not measurable")
            plain = not isinstance(value, Mapping)
            self.values[name] = numbers[""] if plain else numbers
            if ends:
                self.intervals[name] = ends[""] if plain else ends
        return Outcome(self.told("broken", values))

    def told(self, standing: Standing, names: Iterable[str] | None = None) -> tuple[str, ...]:
        """Each number that stands so to a bound, as ``climb 0.03, must be >= 0.95``."""
        return self.unmet_presumptions(standing, names) + self._told(
            standing, self.tolerance, "must be", names
        )

    def unmet_presumptions(
        self, standing: Standing, names: Iterable[str] | None = None
    ) -> tuple[str, ...]:
        """The same of what is presumed, as ``turns 0.02, presumed >= 0.1``."""
        return self._told(standing, self.presumes, "presumed", names)

    def _told(
        self,
        standing: Standing,
        bounds: Mapping[str, str],
        verb: str,
        names: Iterable[str] | None,
    ) -> tuple[str, ...]:
        return tuple(
            f"{label} {shown(number, ends)}, {verb} {bounds[name]}"
            for name in (self.values if names is None else names)
            if name in bounds and name in self.values
            for label, number, ends in labelled(name, self.values[name], self.intervals.get(name))
            if stands(number, ends, bounds[name]) == standing
        )


def _number(value: Number | Sampled) -> Number:
    # Numbers of numpy are numbers too, and have a method of this name.
    return value if isinstance(value, SupportsFloat) else value.mean


def _ends(value: Number | Sampled) -> Interval | None:
    return None if isinstance(value, SupportsFloat) else (value.low, value.high)


def shown(number: Number, ends: Interval | None = None) -> str:
    """A number for a reader, with its interval."""
    return f"{number:.4g}" + (f" [{ends[0]:.3g}, {ends[1]:.3g}]" if ends else "")


def is_bound(text: str) -> bool:
    """Whether this is a bound such as ``">= 0.85"``."""
    return _BOUND.fullmatch(text) is not None


def keeps(value: Number, bound: str) -> bool:
    """Whether a number keeps a bound such as ``">= 0.85"``."""
    comparison, limit = bound.split()
    return _COMPARE[comparison](value, float(limit))


def stands(number: Number, ends: Interval | None, bound: str) -> Standing:
    """How a number stands to a bound: kept or broken only if its whole interval is."""
    low, high = ends or (number, number)
    limit = float(bound.split()[1])
    kept = {keeps(low, bound), keeps(high, bound)}
    if len(kept) == 2 or (bound.startswith("==") and low < limit < high):
        return "open"
    return "kept" if kept == {True} else "broken"


def labelled(
    name: str, value: MeasuredValue, intervals: Intervals | None = None
) -> list[tuple[str, Number, Interval | None]]:
    """Measured numbers with what to call them, and the interval of each that has one."""
    if isinstance(value, dict):
        ends = intervals if isinstance(intervals, dict) else {}
        return [(f"{name} {key}", number, ends.get(key)) for key, number in value.items()]
    return [(name, value, None if isinstance(intervals, dict) else intervals)]


def rounded(value: float, digits: int = DIGITS) -> float:
    """The number with this many significant digits."""
    return float(f"{value:.{digits}g}")

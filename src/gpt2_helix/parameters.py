"""``params.yaml``: what the measurements are made with, checked when a family is first measured.

A measurement has the same choices as defaults of its own, so that it can be called on an array.
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from gpt2_helix import doctoring
from gpt2_helix.judging.errors import InputError, first_mistake

_INSTALLED = Path(__file__).with_name("params.yaml")
PATH = _INSTALLED if _INSTALLED.exists() else Path(__file__).parents[2] / "params.yaml"

Doctoring = Annotated[str, AfterValidator(doctoring.check)]
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(strict=True)]
Pair = Annotated[tuple[Whole, Whole], Field(strict=False)]  # In YAML a list.


def _with_queries(window: tuple[int, int]) -> tuple[int, int]:
    """Refuse a window ``[positions, first query]`` without a query that has a token before it."""
    if not 1 <= window[1] < window[0]:
        raise ValueError(f"expected [positions, first query >= 1], found {list(window)}")
    return window


Window = Annotated[Pair, AfterValidator(_with_queries)]

_GROUPS = ("average-5", "average-10", "average-20", "average-50", "average-100")


class _Family(BaseModel):
    """Choices of ``measure``'s module of the same name."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _containing(*needed: str) -> AfterValidator:
    """Refuse a list without the doctorings that claims speak of."""

    def check(found: list[str]) -> list[str]:
        if missing := [name for name in needed if name not in found]:
            raise ValueError(f"expected {', '.join(missing)}, of which a claim speaks")
        return found

    return AfterValidator(check)


class _Helix(_Family):
    surrogates: Annotated[int, Field(ge=999)]


class _Averaging(_Family):
    doctorings: Annotated[list[Doctoring], _containing(*_GROUPS[1:])]


class _Kernels(_Family):
    doctorings: Annotated[list[Doctoring], _containing("intact", *_GROUPS)]
    distances: Annotated[int, Field(ge=5)]
    positions: Count
    queries: Pair
    positions_of_main_heads: Count
    queries_of_main_heads: Pair

    @model_validator(mode="after")
    def _queries_exist(self) -> "_Kernels":
        for name, (first, stop), n, reach in (
            ("queries", self.queries, self.positions, self.distances - 1),
            ("queries_of_main_heads", self.queries_of_main_heads, self.positions_of_main_heads, 1),
        ):
            if not reach <= first < stop <= n:
                raise ValueError(
                    f"expected {name} as [first, stop] with {reach} <= first < stop <= {n}, "
                    f"found [{first}, {stop}]"
                )
        return self


class _AttentionOnly(_Family):
    positions: Count
    least_positions: Count
    first_query: Count
    draws: Annotated[int, Field(ge=32, multiple_of=2)]  # In pairs.
    token_std: Annotated[float, Field(gt=0)]
    doctorings: Annotated[list[Doctoring], _containing(*_GROUPS, "average-all", "zeroed")]

    @model_validator(mode="after")
    def _queries_exist(self) -> "_AttentionOnly":
        if not self.first_query < self.least_positions <= self.positions:
            raise ValueError(
                f"expected first_query < least_positions <= positions, found {self.first_query}, "
                f"{self.least_positions} and {self.positions}"
            )
        return self


class _Agreement(_Family):
    pictures: Window
    doctoring_of_pictures: Doctoring
    notebook: Window
    scores: Window


class _Layer0(_Family):
    doctorings: list[Doctoring]


class _Extended(_Family):
    doctorings: Annotated[
        list[Doctoring], _containing("average-5", "average-10", "average-20", "average-100")
    ]


class _Cause(_Family):
    pairs: Annotated[int, Field(ge=2)]
    token_stds: list[Annotated[float, Field(gt=0)]]
    positions: list[Annotated[int, Field(ge=64)]]


class _Rebuilt(_Family):
    doctorings: Annotated[list[Doctoring], _containing("average-20")]
    larger: Annotated[list[Doctoring], _containing("average-100")]
    beside: list[Doctoring]


class _Sensitivity(_Family):
    group_sizes: list[Annotated[int, Field(ge=2)]]
    doctorings: list[Doctoring]
    token_stds: list[Annotated[float, Field(gt=0)]]
    common_mean_norm: Annotated[float, Field(gt=0)]


class _Output(_Family):
    windows: Annotated[int, Field(ge=2)]
    doctorings: Annotated[list[Doctoring], _containing("intact", *_GROUPS)]
    beside: list[Doctoring]


class _Repetition(_Family):
    exchanges: Count
    first_word_at: Count
    other_pairs: Count
    every_offset: Annotated[list[Doctoring], _containing("average-5", "average-10", "average-20")]
    larger: list[Doctoring]


class _Patterns(_Family):
    positions: Annotated[int, Field(ge=2)]
    doctorings: Annotated[list[Doctoring], _containing("intact", "average-10")]


_CHECKED: dict[str, type[_Family]] = {
    "helix": _Helix,
    "averaging": _Averaging,
    "kernels": _Kernels,
    "layer_0": _Layer0,
    "attention_only": _AttentionOnly,
    "agreement": _Agreement,
    "extended": _Extended,
    "cause": _Cause,
    "rebuilt": _Rebuilt,
    "sensitivity": _Sensitivity,
    "output": _Output,
    "repetition": _Repetition,
    "patterns": _Patterns,
}

# Every command waits for this file, and libyaml reads it several times faster.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def of(family: str, path: Path = PATH) -> dict[str, Any]:
    """Choices of a family of measurements, or a recipe for training; empty if it has none.

    ``InputError`` if the file cannot be read, lacks a choice, or holds one that does not work.
    """
    declared = everything(path).get(family) or {}
    if family not in _CHECKED:
        return dict(declared)
    try:
        found = _CHECKED[family].model_validate(declared)
    except ValidationError as error:
        said = filter(None, (path.name, family, *first_mistake(error)))
        raise InputError(": ".join(said).replace(f"{family}: ", f"{family}.", 1)) from None
    chosen = found.model_dump()
    if family == "agreement":
        compared = max(chosen[shown][0] for shown in ("pictures", "notebook", "scores"))
        if (fed := of("attention_only", path)["positions"]) < compared:
            raise InputError(
                f"{path.name}: attention_only.positions: expected {compared} or more, as "
                f"agreement compares as many, found {fed}"
            )
    return chosen


@cache
def everything(path: Path = PATH) -> dict[str, Any]:
    """All of ``params.yaml``, unchecked; ``InputError`` if it cannot be read."""
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), _LOADER)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        why = str(error).splitlines()[0]
        raise InputError(f"{path}: expected the parameters in YAML, found {why}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected the parameters in YAML, found {type(found).__name__}")
    return found

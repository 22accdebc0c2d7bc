"""Every error that a user can see, each with one line: what was expected, and what was found."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class InputError(Exception):
    """Bad input: the subject, or what goes with it, cannot be used."""


class HubUnreachableError(InputError):
    """The Hugging Face hub does not answer, and its cache does not hold what is needed."""


class NothingToMeasureError(Exception):
    """The subject is sound but has nothing of the kind that is measured, such as a curve.

    A claim about it is n/a, with this error's line as the reason.
    """


class MissingInputError(Exception):
    """The subject is sound but lacks what a measurement needs."""

    def __init__(self, missing: list[str], where: str) -> None:
        self.missing = missing  # Names of tensors, files, parts or recorded measurements.
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        super().__init__(f"{where} does not hold {', '.join(missing[:3])}{more}")


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """A question for the end of an error's line: the known name that is nearest, if one is near."""
    near = get_close_matches(found, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def first_mistake(error: "ValidationError") -> tuple[str, str]:
    """Where the first thing is that pydantic refuses, such as ``phases.0.steps``, and why."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return where, first["msg"].removeprefix("Value error, ")

"""Measurements kept in a folder: one JSON file for each family, by subject.

A file holds the measurements of one family: on the subject, and on the broken copies of it that
must refute the claims. Numbers carry six significant digits, so that another machine writes the
same bytes. The date is the day on which the content last changed.
"""

import datetime
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from gpt2_helix.judging.claim import Found, Subject, rounded
from gpt2_helix.judging.errors import (
    InputError,
    MissingInputError,
    NothingToMeasureError,
    first_mistake,
)
from gpt2_helix.judging.files import write_json

Result = TypeVar("Result")
Measurement = Callable[..., Any]
Results = Mapping[Measurement, Any]
"""Results by measurement, or the ``NothingToMeasureError`` that was raised."""
SCHEMA: Literal[2] = 2
DEGENERATE = "degenerate"
"""Key under which a record says why there was nothing to measure."""
NOTHING: Mapping[str, Any] = MappingProxyType({})

FoundByName = Annotated[
    dict[str, Found], Field(alias="found_heads", exclude_if=lambda found: not found)
]
"""What a subject did not name; in JSON under its first name, and only if there is any."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One family's file."""

    schema: Literal[2] = SCHEMA
    date: str  # Day on which the content last changed.
    digest: str = ""  # Of the rest but the date; see ``digest_of``.
    weights: dict[str, str]  # sha256 of what was measured, by file or tensor.
    # Where others published what was measured: repository, commit and what else is known.
    source: Annotated[dict[str, str] | None, Field(exclude_if=lambda source: not source)] = None
    found: FoundByName = field(default_factory=dict)
    # What was chosen for the measurements; others chose those of what they published.
    parameters: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any]  # Results by the name of the measurement.
    controls: dict[str, dict[str, Any]]  # The same of each control.

    @property
    def origin(self) -> str | None:
        """``REPOSITORY@COMMIT`` of what others published; None for what was measured here."""
        if self.source is None:
            return None
        return f"{self.source['repository']}@{self.source['commit'][:8]}"


adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)
"""What turns a type into JSON and back."""


class RecordedSubject(Subject):
    """A subject that was measured earlier, here or by others: its results are read from a folder.

    With ``control``, the results are those of its broken copy of this name.
    """

    def __init__(self, name: str, folder: Path, control: str | None = None) -> None:
        self.name = name
        self.folder = folder
        self._control = control
        records = load_all(folder)
        self.digests = _weights(folder, records)
        self.recorded_on = max((r.date for r in records.values() if r.measured), default=None)
        self.source = source(folder)
        self.found = {name: part for r in records.values() for name, part in r.found.items()}
        self.evidence = "published" if self.source else "recorded"

    def control(self, name: str) -> "RecordedSubject":
        """The recorded results of a broken copy."""
        return RecordedSubject(f"control:{name}", self.folder, name)

    def measure(self, measurement: Callable[..., Result]) -> Result:
        """Read a result back.

        ``MissingInputError`` if it was never recorded, ``NothingToMeasureError`` if the record says
        that there was nothing to measure, ``InputError`` if it is not what ``write`` writes.
        """
        name, path = measurement.__name__, self.folder / f"{family(measurement)}.json"
        results: Mapping[str, Any] = NOTHING
        if path.exists():
            record = load(path)
            control = self._control
            results = record.measured if control is None else record.controls.get(control, NOTHING)
        if name not in results:
            where = f"the record of {self.folder.name}"
            raise MissingInputError([f"{family(measurement)}.{name}"], where)
        found = results[name]
        if isinstance(found, dict) and found.keys() == {DEGENERATE}:
            raise NothingToMeasureError(str(found[DEGENERATE]))
        try:
            return adapter(measurement.__annotations__["return"]).validate_python(found)
        except ValidationError as error:
            where, why = first_mistake(error)
            raise InputError(f"{path}: expected {name}.{where} as written, found {why}") from None


def family(measurement: Measurement) -> str:
    """Name of the module that defines a measurement, which is that of its record."""
    return measurement.__module__.rpartition(".")[2]


def write(
    folder: Path,
    name: str,
    weights: Mapping[str, str],
    measured: Results,
    of_controls: Mapping[str, Results],
    source: Mapping[str, str] | None = None,
    found: Mapping[str, Found] = NOTHING,
    parameters: Mapping[str, Any] = NOTHING,
) -> Path:
    """Write a family's ``Record``, with results by measurement; the folder is made if need be.

    A file whose date alone would change is left as it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    record = Record(
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        weights=dict(weights),
        source=dict(source) if source else None,
        found=dict(found),
        parameters=_as_json(parameters),
        measured=_plain(measured),
        controls={control: _plain(results) for control, results in of_controls.items()},
    )
    if path.exists():
        before = load(path)
        if replace(before, date="", digest="") == replace(record, date=""):
            record = replace(record, date=before.date)
    content = adapter(Record).dump_python(record, mode="json", by_alias=True)
    write_json(path, {**content, "digest": digest_of(content)})
    return path


def digest_of(content: Mapping[str, Any]) -> str:
    """Hexadecimal sha256 of a record's JSON, but for its date and this digest.

    It guards against accidents and shows edits. It is no signature: whoever edits a record can
    write its digest too.
    """
    signed = {key: value for key, value in content.items() if key not in {"date", "digest"}}
    return hashlib.sha256(json.dumps(signed, sort_keys=True).encode()).hexdigest()


def keep(folder: Path, name: str, parameters: Mapping[str, Any]) -> str | None:
    """Keep the record of one family, because there are no weights to measure again; gives its day.

    It must have been made with these parameters. A family that was never measured gets a record in
    which nothing is measured, and None.
    """
    path = folder / f"{name}.json"
    record = load(path) if path.exists() else None
    if record is None or not record.measured:
        write(folder, name, {}, {}, {}, parameters=parameters)
        return None
    if record.parameters != (chosen := _as_json(parameters)):
        raise InputError(
            f"{path}: expected a record made with {chosen} as params.yaml says, "
            f"found one made with {record.parameters} and no weights to measure again"
        )
    return record.date


def _weights(folder: Path, records: Mapping[Path, Record]) -> dict[str, str]:
    """sha256 of what was measured, by file or tensor; all families must agree on it."""
    found: dict[str, str] = {}
    for path, record in records.items():
        for name, sha256 in record.weights.items():
            if found.setdefault(name, sha256) != sha256:
                raise InputError(
                    f"{path}: expected {name} with sha256 {found[name]} as in "
                    f"{next(iter(records)).name}, found {sha256}"
                )
    if not records:
        raise InputError(f"{folder}: expected recorded measurements, found none")
    return found


def source(folder: Path) -> str | None:
    """``Record.origin``, on which all files of a folder must agree."""
    found = {record.origin for record in load_all(folder).values()}
    if len(found) > 1:
        named = ", ".join(sorted(str(name) for name in found))
        raise InputError(f"{folder}: expected records of one source, found {named}")
    return found.pop() if found else None


def load_all(folder: Path) -> dict[Path, Record]:
    """Every record of a folder by its file, in order."""
    return {path: load(path) for path in sorted(folder.glob("*.json"))}


def load(path: Path) -> Record:
    """One family's record; ``InputError`` if the file holds none, or was edited."""
    try:
        record, found = _parsed(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{path}: expected a record, found {error.strerror}") from None
    except ValidationError as error:
        why = ": ".join(filter(None, first_mistake(error)))
        raise InputError(f"{path}: expected a record of schema {SCHEMA}, found {why}") from None
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, found something else ({error})") from None
    except RecursionError:
        raise InputError(f"{path}: expected a record, found JSON nested too deeply") from None
    if record.digest != found:
        raise InputError(
            f"{path}: expected content of digest {record.digest[:12]} as it says, found "
            f"{found[:12]}: it was changed after it was written"
        )
    return record


# Every claim reads the files again, on its subject and on each control.
@lru_cache(maxsize=64)
def _parsed(text: str) -> tuple[Record, str]:
    """A record, and the digest of its content."""
    content = json.loads(text)
    return adapter(Record).validate_python(content), digest_of(content)


def _as_json(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(dict(parameters)))


def _plain(results: Results) -> dict[str, Any]:
    return {
        measurement.__name__: {DEGENERATE: str(result)}
        if isinstance(result, NothingToMeasureError)
        else _rounded_all(
            adapter(type(result)).dump_python(result, mode="json", exclude_defaults=True)
        )
        for measurement, result in results.items()
    }


def _rounded_all(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _rounded_all(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded_all(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"expected finite numbers to record, found {value}")
        return rounded(value)
    return value

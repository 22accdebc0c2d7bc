"""Measurements kept in ``data/``: one JSON file for each family, by subject.

A file holds the measurements of one family: on the subject, and on the broken copies of it that
must refute the claims. Numbers carry six significant digits, so that another machine writes the
same bytes. The date is the day on which the content last changed.
"""

import datetime
import functools
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from gpt2_helix.judging.claim import Evidence, rounded
from gpt2_helix.judging.errors import (
    DegenerateModelError,
    MissingInputError,
    SubjectError,
    first_mistake,
)
from gpt2_helix.models.config import FoundHeads
from gpt2_helix.parameters import PARAMETERS

Result = TypeVar("Result")
Measurement = Callable[..., Any]

SCHEMA = 1
_adapter: Callable[[Any], TypeAdapter[Any]] = functools.cache(TypeAdapter)
_FOUND_HEADS = _adapter(dict[str, FoundHeads])
DEGENERATE = "degenerate"
"""Key under which a record says why there was nothing to measure."""


class RecordedSubject:
    """A model that was measured earlier, here or by others: its results are read from ``data/``.

    Parameters
    ----------
    name
        As the user gave it.
    folder
        Where ``write`` put them.
    control
        Name of the broken copy to read the results of; None for the subject itself.
    """

    because: str | None = None
    """Why the model itself is not measured, where the user did not ask for the record."""
    commit: str | None = None

    def __init__(self, name: str, folder: Path, control: str | None = None) -> None:
        self.name = name
        self.folder = folder
        self._control = control
        self.digests = weights(folder)
        self.recorded_on = date(folder)
        self.source = source(folder)
        self.found_heads = found_heads(folder)
        self.unnamed_heads = self.found_heads.keys()
        self.evidence: Evidence = "published" if self.source else "recorded"

    def control(self, name: str) -> "RecordedSubject":
        """The recorded results of a broken copy."""
        return RecordedSubject(f"control:{name}", self.folder, name)

    def measure(self, measurement: Callable[..., Result]) -> Result:
        """Read a result back; see ``claim.Subject.measure``."""
        kind: type[Result] = measurement.__annotations__["return"]
        return read(self.folder, measurement, kind, self._control)


def family(measurement: Measurement) -> str:
    """Name of the module that defines a measurement, which is that of its record."""
    return measurement.__module__.rpartition(".")[2]


def write(
    folder: Path,
    name: str,
    weights: Mapping[str, str],
    measured: Mapping[Measurement, Any],
    of_controls: Mapping[str, Mapping[Measurement, Any]],
    source: Mapping[str, str] | None = None,
    found_heads: Mapping[str, FoundHeads] = MappingProxyType({}),
) -> Path:
    """Write one family's results; a file whose date alone would change is left as it is.

    Parameters
    ----------
    folder
        The subject's folder, made if need be.
    name
        The family.
    weights
        sha256 of what was measured, by file or tensor.
    measured, of_controls
        Results by measurement, or the ``DegenerateModelError`` that was raised: of the subject,
        and of each control.
    source
        Where others published what was measured: ``repository``, ``commit`` and what else is known.
    found_heads
        Heads that nobody named, which were found for these measurements.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    found = dict(found_heads)
    content = {
        "schema": SCHEMA,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "weights": dict(weights),
        **({"source": dict(source)} if source else {}),
        **({"found_heads": _rounded_all(_FOUND_HEADS.dump_python(found))} if found else {}),
        # Others chose those of what they published.
        "parameters": {} if source else PARAMETERS.by_family.get(name, {}),
        "measured": _plain(measured),
        "controls": {control: _plain(results) for control, results in of_controls.items()},
    }
    if path.exists():
        before = load(path)
        if {**before, "date": None} == {**content, "date": None}:
            content["date"] = before["date"]
    write_json(path, content)
    return path


def keep(folder: Path, name: str) -> str | None:
    """Keep the record of one family, because there are no weights to measure again.

    A family that was never measured gets a record in which nothing is measured.

    Returns
    -------
    Day of the record; None if it holds nothing.

    Raises
    ------
    SubjectError
        If it was measured with other parameters than those of ``params.yaml``.
    """
    path = folder / f"{name}.json"
    content = load(path) if path.exists() else {"measured": {}}
    if not content["measured"]:
        write(folder, name, {}, {}, {})
        return None
    chosen = PARAMETERS.by_family.get(name, {})
    if content.get("parameters") != chosen:
        raise SubjectError(
            f"{path}: expected a record made with {chosen} as params.yaml says, "
            f"found one made with {content.get('parameters')} and no weights to measure again"
        )
    return str(content["date"])


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def read(
    folder: Path, measurement: Measurement, kind: type[Result], control: str | None = None
) -> Result:
    """Read a result back.

    Raises
    ------
    MissingInputError
        If it was never recorded; names the measurement.
    DegenerateModelError
        If the record says that there was nothing to measure.
    SubjectError
        If the record is not what ``write`` writes.
    """
    path = folder / f"{family(measurement)}.json"
    content = load(path) if path.exists() else {"measured": {}, "controls": {}}
    results = content["measured"] if control is None else content["controls"].get(control, {})
    try:
        found = results[measurement.__name__]
    except KeyError:
        what = f"{family(measurement)}.{measurement.__name__}"
        raise MissingInputError([what], f"the record of {folder.name}") from None
    if isinstance(found, dict) and found.keys() == {DEGENERATE}:
        raise DegenerateModelError(str(found[DEGENERATE]))
    try:
        return _adapter(kind).validate_python(found)
    except ValidationError as error:
        where, why = first_mistake(error)
        raise SubjectError(
            f"{path}: expected {measurement.__name__}.{where} as written, found {why}"
        ) from None


def date(folder: Path) -> str | None:
    """Latest day on which a subject's records changed; None if nothing was measured."""
    contents = [load(path) for path in folder.glob("*.json")]
    return max((str(c["date"]) for c in contents if c["measured"]), default=None)


def weights(folder: Path) -> dict[str, str]:
    """sha256 of what was measured, by file or tensor; all families must agree on it.

    Raises
    ------
    SubjectError
        If there is no record, or its files are of different weights.
    """
    found: dict[str, str] = {}
    paths = sorted(folder.glob("*.json"))
    for path in paths:
        for name, sha256 in load(path)["weights"].items():
            if found.setdefault(name, sha256) != sha256:
                raise SubjectError(
                    f"{path}: expected {name} with sha256 {found[name]} as in {paths[0].name}, "
                    f"found {sha256}"
                )
    if not paths:
        raise SubjectError(f"{folder}: expected recorded measurements, found none")
    return found


def source(folder: Path) -> str | None:
    """``REPOSITORY@COMMIT`` of what others published; None for what was measured here.

    Raises
    ------
    SubjectError
        If the folder's files name different sources.
    """
    found = {
        f"{origin['repository']}@{origin['commit'][:8]}" if (origin := c.get("source")) else None
        for c in map(load, sorted(folder.glob("*.json")))
    }
    if len(found) > 1:
        named = ", ".join(sorted(str(name) for name in found))
        raise SubjectError(f"{folder}: expected records of one source, found {named}")
    return found.pop() if found else None


def found_heads(folder: Path) -> dict[str, FoundHeads]:
    """Heads that were found for a subject's measurements; see ``Model.found_heads``.

    Raises
    ------
    SubjectError
        If what a file says of them is not what ``write`` writes.
    """
    found: dict[str, FoundHeads] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found |= _FOUND_HEADS.validate_python(load(path).get("found_heads", {}))
        except ValidationError as error:
            _, why = first_mistake(error)
            raise SubjectError(f"{path}: expected found_heads as written, found {why}") from None
    return found


def load(path: Path) -> dict[str, Any]:
    """Content of one family's file.

    Raises
    ------
    SubjectError
        If it is no record.
    """
    try:
        content = _parsed(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SubjectError(f"{path}: expected JSON, found something else ({error})") from None
    fields = {"schema", "date", "weights", "measured", "controls"}
    if not isinstance(content, dict) or content.get("schema") != SCHEMA or fields - content.keys():
        raise SubjectError(f"{path}: expected a record of schema {SCHEMA}, found another file")
    return content


# Every claim reads the files again, on its subject and on each control.
@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> Any:
    return json.loads(text)


def _plain(results: Mapping[Measurement, Any]) -> dict[str, Any]:
    return {
        measurement.__name__: {DEGENERATE: str(result)}
        if isinstance(result, DegenerateModelError)
        else _rounded_all(_adapter(type(result)).dump_python(result, mode="json"))
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

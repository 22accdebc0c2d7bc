"""Writing what ``recorded`` lists to a subject's folder in ``data/``."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from rich.progress import track

from gpt2_helix import parameters, places
from gpt2_helix.judging import records
from gpt2_helix.judging.errors import (
    HubUnreachableError,
    InputError,
    MissingInputError,
    NothingToMeasureError,
)
from gpt2_helix.models.architectures import W_POS
from gpt2_helix.suite import controls
from gpt2_helix.suite.live import Live
from gpt2_helix.suite.recorded import RECORDED
from gpt2_helix.suite.subjects import open_subject
from gpt2_helix.weights.pins import GPT2_SMALL_TENSORS, HUB_MODELS
from gpt2_helix.weights.tensors import WEIGHTS


def open_live(spec: str, weights: str | None) -> Live:
    """The subject itself; a folder that stands in for a model of the hub must be that model."""
    pinned = HUB_MODELS.get(spec) if weights else None
    subject = open_subject(weights if weights and pinned else spec, places.DATA)
    if not isinstance(subject, Live):
        raise InputError(f"{spec}: expected weights to measure, found none")
    if pinned:
        subject.name = spec
        _check(subject, "config.json", pinned.sha256.get("config.json"))
        _check(subject, W_POS, pinned.W_pos_sha256)
    return subject


def record_or_keep(
    name: str, folder: Path, opened: Callable[[], Live], *, strict: bool = False
) -> str:
    """Record a family of the subject that is opened, and say so.

    If the weights are not available, the record stays and the line says so; with ``strict``, that
    is an error.
    """
    try:
        return str(record(opened(), name, folder))
    except (HubUnreachableError, MissingInputError) as error:
        if strict:
            raise
        day = records.keep(folder, name, parameters.of(name))
        kept = f"kept as recorded {day}" if day else "not measured"
        return f"{folder.name} {name}: weights not available ({error}), {kept}"


def record(subject: Live, name: str, folder: Path) -> Path:
    """Record a family; a control that lacks the tensors is left out of the record."""
    family = RECORDED[name]
    model = subject.on_text() if family.on_text else subject
    measured = {m: model.measure(m) for m in family.measurements}
    asked = track(
        family.controls.items(), f"{name:14}", disable=not sys.stderr.isatty(), transient=True
    )
    of_controls = {control: _results(control, subject, some) for control, some in asked}
    _check_what_was_read(subject)
    used = {**subject.digests, **subject.model.read}
    used.pop(WEIGHTS, None)  # The digests of the tensors say more: a partial file is as good.
    return records.write(
        folder,
        name,
        used,
        measured,
        {control: results for control, results in of_controls.items() if results},
        found=subject.found,
        parameters=parameters.of(name),
    )


def _results(
    control: str, subject: Live, measurements: Iterable[records.Measurement]
) -> records.Results:
    """What can be measured of a control; a degenerate one is recorded as such."""
    try:
        broken = controls.broken_copy(subject, control)
    except MissingInputError:
        return {}
    results = {}
    for measurement in measurements:
        try:
            results[measurement] = broken.measure(measurement)
        except NothingToMeasureError as degenerate:
            results[measurement] = degenerate
        except MissingInputError:
            continue
    return results


def _check(subject: Live, name: str, expected: str | None) -> None:
    """Refuse a file or tensor whose digest is not the pinned one; None if none is pinned."""
    found = {**subject.digests, **subject.model.read}.get(name)
    if expected is not None and found != expected:
        raise InputError(f"expected {subject.name}'s {name} with sha256 {expected}, found {found}")


def _check_what_was_read(subject: Live) -> None:
    """Refuse to record as a pinned model what was measured on other tensors."""
    pinned = HUB_MODELS.get(subject.name)
    if pinned is None or not pinned.sha256:
        return
    if subject.digests.get(WEIGHTS) == pinned.sha256[WEIGHTS]:
        return  # The whole file is the pinned one.
    for name in subject.model.read:
        if name not in GPT2_SMALL_TENSORS:  # No digest is known for it but that of the file.
            _check(subject, WEIGHTS, pinned.sha256[WEIGHTS])
        _check(subject, name, GPT2_SMALL_TENSORS[name])

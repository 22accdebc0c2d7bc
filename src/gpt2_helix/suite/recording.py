"""Writing what ``recorded`` lists to a subject's folder in ``data/``."""

import sys
from collections.abc import Callable, Iterable, Mapping
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
from gpt2_helix.judging.records import RecordedSubject
from gpt2_helix.suite import controls
from gpt2_helix.suite.live import Live
from gpt2_helix.suite.recorded import RECORDED
from gpt2_helix.suite.subjects import DEFAULT, identity, open_subject
from gpt2_helix.weights.pins import CONFIG, HUB_MODELS, W_POS, differing, is_gpt2_small


def open_live(spec: str, weights: str | None) -> Live:
    """The subject itself; a folder that stands in for a model of the hub must be that model."""
    pinned = HUB_MODELS.get(spec) if weights else None
    subject = open_subject(weights if weights and pinned else spec, places.DATA)
    if not isinstance(subject, Live):
        raise InputError(f"{spec}: expected weights to measure, found none")
    if pinned:
        subject.name = spec
    _check_identity(subject)
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
    """Record a family; a control that lacks the tensors is left out of the record.

    ``InputError``, before anything is measured, if the folder is another subject's.
    """
    check_folder_of(subject, folder)
    family = RECORDED[name]
    model = subject.on_text() if family.on_text else subject
    measured = {m: model.measure(m) for m in family.measurements}
    asked = track(
        family.controls.items(), f"{name:14}", disable=not sys.stderr.isatty(), transient=True
    )
    of_controls = {control: _results(control, subject, some) for control, some in asked}
    _check_identity(subject)
    # Of the files, the configuration: of weights the digests of the tensors that were read say
    # more, as a partial file is as good.
    files = {name: sha256 for name, sha256 in subject.digests.items() if name.startswith(CONFIG)}
    used = {**files, **subject.model.read}
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


def _check_identity(subject: Live) -> None:
    """Refuse what goes by the name of a model whose tensors are pinned, and holds others."""
    pinned = HUB_MODELS.get(subject.name)
    if pinned is None or not pinned.tensors:
        return
    wrong = differing(subject.digests)
    if W_POS not in subject.digests:
        raise MissingInputError([W_POS], subject.name)
    for name, expected in wrong.items():
        raise InputError(
            f"expected {subject.name}'s {name} with sha256 {expected or 'of no such tensor'}, "
            f"found {subject.digests[name]}; {identity(subject.digests)}"
        )


def check_folder_of(subject: Live, folder: Path) -> None:
    """Refuse to put records among those of another subject: ``InputError``.

    A folder of the subject's name is its own, whatever was recorded there: it may have been trained
    again. That of GPT-2 small takes no other weights.
    """
    before: Mapping[str, str] = {}
    if any(folder.glob("*.json")):
        recorded = RecordedSubject(folder.name, folder)
        if recorded.source:
            raise InputError(
                f"--into: expected no records of what others published, found {folder}"
            )
        before = recorded.digests
    if is_gpt2_small(before) or folder.resolve() == (places.DATA / DEFAULT).resolve():
        if not is_gpt2_small(subject.digests):
            raise InputError(
                f"--into: expected GPT-2 small for {folder}, found {subject.name}, "
                f"{identity(subject.digests)}"
            )
        return
    for name in sorted(before.keys() & subject.digests.keys()):
        if before[name] != subject.digests[name] and subject.name != folder.name:
            raise InputError(
                f"--into: expected no records of another subject, found {folder}, made with "
                f"{name} {before[name]:.8}, not {subject.digests[name]:.8} as {subject.name} has"
            )

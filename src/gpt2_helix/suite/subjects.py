"""From what the user typed to a model under test: the one door that models come in by."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from gpt2_helix.judging.claim import Subject
from gpt2_helix.judging.errors import HubUnreachableError, InputError
from gpt2_helix.judging.records import RecordedSubject
from gpt2_helix.models.architectures import AsGPT2
from gpt2_helix.models.built import BUILT, open_built, segments
from gpt2_helix.models.by_formula import VOCABULARY
from gpt2_helix.models.config import read_config
from gpt2_helix.models.model import Model
from gpt2_helix.models.shipped import SHIPPED
from gpt2_helix.models.sources import MINILM, open_folder, open_in_memory, open_minilm
from gpt2_helix.suite import controls
from gpt2_helix.suite.live import Live
from gpt2_helix.texts import TextInputs
from gpt2_helix.weights.hub import HubTensors, Repository
from gpt2_helix.weights.pins import HUB_MODELS, HubModel, is_gpt2_small
from gpt2_helix.weights.ranged import NoSuchFileError
from gpt2_helix.weights.versions import sha256_of_version

DEFAULT = "gpt2"
CONTROL = "control:"
HUB = "hub:"
BUILT_PREFIX = "built:"
RECORDED = "recorded:"
PUBLISHED = "published:"
PICTURES = "pictures"
"""What claims fall back on: the folder in ``data/published`` of the author's pictures."""


def open_subject(spec: str | None, data: Path, material: TextInputs | None = None) -> Subject:
    """Open the model that is to be judged.

    Parameters
    ----------
    spec
        ``gpt2`` or another name of ``table.HUB_MODELS``; ``hub:OWNER/NAME`` or
        ``hub:OWNER/NAME@REVISION``, any model on the hub, at a branch, tag or commit; ``mini`` or
        another model that ships in ``data/``; ``minilm``; ``built:NAME``, a model made here; a
        folder in Hugging Face layout, complete or not; ``control:NAME`` or
        ``control:NAME:SPEC``, a broken copy of GPT-2 small or of another subject;
        ``recorded:NAME``, the recorded measurements of a subject; ``published:NAME``,
        measurements of GPT-2 small that others published. None is
        GPT-2 small from the hub or its cache, or its recorded measurements if neither has it.
    data
        Where records are, by subject.
    material
        Text to run through it; by default the texts of ``data``.

    Raises
    ------
    InputError
        If there is no such subject, or it is not sound; one line.
    """
    given = material or TextInputs()
    if spec is None:
        return _by_default(data, given)
    if spec.startswith(CONTROL):
        name, _, base = spec.removeprefix(CONTROL).partition(":")
        return controls.broken_copy(open_subject(base or None, data, given), name, spec)
    if spec.startswith(RECORDED):
        name = spec.removeprefix(RECORDED)
        return RecordedSubject(name, data / name)
    if spec.startswith(PUBLISHED):
        return RecordedSubject(spec, data / "published" / spec.removeprefix(PUBLISHED))
    if spec.startswith(BUILT_PREFIX):
        return Live(spec, _open_built(spec, given), replace(given, made=segments))
    return live(spec, _open_model(spec, data), data, given)


def open_held(held: Any, data: Path, tokenizer: Any, material: TextInputs) -> Live:
    """Open a model that the caller holds in memory; see ``open_in_memory``."""
    model = open_in_memory(held, tokenizer)
    return live(model.name, model, data, material)


def live(name: str, model: Model, data: Path, given: TextInputs) -> Live:
    """Put a model beside what its own files do not hold: text, and what others published of it."""
    subject = Live(name, model, replace(given, corpus=given.corpus or (data / "texts",)))
    if is_gpt2_small(subject.digests):
        subject.published_in = data / "published"
    return subject


def _by_default(data: Path, given: TextInputs) -> Subject:
    try:
        model = open_hub(DEFAULT, HUB_MODELS[DEFAULT], complete=True)
        return live(DEFAULT, model, data, given)
    except HubUnreachableError as error:
        recorded = RecordedSubject(DEFAULT, data / DEFAULT)
        recorded.because = str(error)
        return recorded


def _open_built(spec: str, given: TextInputs) -> Model:
    if (name := spec.removeprefix(BUILT_PREFIX)) not in BUILT:
        raise InputError(
            f"--subject: expected built: and one of {', '.join(BUILT)}, found {spec!r}"
        )
    if given.corpus:
        raise InputError(
            f"--corpus: expected none with built:{name}, which knows only {len(VOCABULARY)} "
            f"tokens, found {given.corpus[0]}"
        )
    return open_built(name)


def _open_model(spec: str, data: Path) -> Model:
    if spec in HUB_MODELS:
        return open_hub(spec, HUB_MODELS[spec])
    if spec.startswith(HUB):
        return open_hub(spec, _on_the_hub(spec))
    if spec in SHIPPED:
        return open_folder(data / spec / "model", spec)
    if spec == MINILM:
        return open_minilm()
    if Path(spec).is_dir():
        return open_folder(Path(spec), spec)
    forms = ("hub:OWNER/NAME[@REVISION]", "built:NAME", "control:NAME", "recorded:NAME")
    known = ", ".join([*HUB_MODELS, *SHIPPED, MINILM, *forms, "published:NAME"])
    raise InputError(f"--subject: expected {known} or a folder, found {spec!r}")


def open_hub(name: str, model: HubModel, *, complete: bool = False) -> Model:
    """Open a model of the hub.

    Parameters
    ----------
    name
        As the user gave it.
    model
        Where it is, and what its files must be.
    complete
        Raise unless every tensor is available.

    Raises
    ------
    HubUnreachableError
        If something is not cached and the hub does not answer.
    InputError
        If what the hub has is not sound.
    """
    repository = Repository(model)
    config_path = repository.fetch("config.json")
    config = read_config(config_path)
    architecture = config.architecture
    shape = (config.n_positions + architecture.padding, config.n_embd)
    tensors = HubTensors(repository, architecture.stored_W_pos, shape)
    if complete and not tensors.are_available():
        raise HubUnreachableError(f"{model.repo}: expected every tensor, found some at most")

    def file(wanted: str) -> Path | None:
        # Of a pinned model, only pinned files are read.
        if model.sha256 and wanted not in model.sha256:
            return None
        with suppress(NoSuchFileError):
            return repository.fetch(wanted)
        return None

    return Model(
        name,
        config,
        AsGPT2(tensors, architecture),
        {"config.json": sha256_of_version(config_path)},
        file,
        repository.commit,
    )


def _on_the_hub(spec: str) -> HubModel:
    repo, _, revision = spec.removeprefix(HUB).partition("@")
    try:
        validate_repo_id(repo)
        named = "/" in repo and ".." not in revision
    except HFValidationError:
        named = False
    if not named:
        raise InputError(f"--subject: expected hub:OWNER/NAME[@REVISION], found {spec!r}")
    return HubModel(repo, revision or "main")


def weaker_evidence(subject: Subject, data: Path) -> list[Subject]:
    """Other measurements of GPT-2 small, for claims that cannot be judged on what is there.

    Returns
    -------
    Its record, if it is measured now; then what others published. Nothing for any other model.
    """
    if _is_made(subject) or not is_gpt2_small(subject.digests):
        return []
    weaker: list[Subject] = []
    if subject.evidence == "live" and (data / DEFAULT).is_dir():
        recorded = RecordedSubject(f"{RECORDED}{DEFAULT}", data / DEFAULT)
        weaker += [recorded] if is_gpt2_small(recorded.digests) else []
    if (pictures := data / "published" / PICTURES).is_dir():
        weaker.append(RecordedSubject(f"{PUBLISHED}{PICTURES}", pictures))
    return weaker


def is_replication(subject: Subject) -> bool:
    """Whether another model than GPT-2 small is measured; broken and built models do not count."""
    of_gpt2_small = subject.evidence == "published" or is_gpt2_small(subject.digests)
    return not of_gpt2_small and not _is_made(subject)


def _is_made(subject: Subject) -> bool:
    return subject.name.startswith((CONTROL, BUILT_PREFIX))

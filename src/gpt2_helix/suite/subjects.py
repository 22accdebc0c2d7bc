"""From what the user typed to a model under test: the one door that models come in by."""

from dataclasses import replace
from pathlib import Path

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
from gpt2_helix.models.sources import MINILM, open_folder, open_minilm
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
    """Open the model that is to be judged; ``InputError`` if there is none, or it is not sound.

    It is ``gpt2`` or another name of ``pins.HUB_MODELS``; ``hub:OWNER/NAME[@REVISION]``, any model
    on the hub, at a branch, tag or commit; ``mini`` or another model that ships in ``data/``;
    ``minilm``; ``built:NAME``, a model made here; a folder in Hugging Face layout, complete or not;
    ``control:NAME[:SPEC]``, a broken copy of GPT-2 small or of another subject; ``recorded:NAME``,
    the recorded measurements of a subject; or ``published:NAME``, measurements of GPT-2 small that
    others published. None is GPT-2 small from the hub or its cache, or its recorded measurements if
    neither has it. ``data`` holds records by subject, and the texts that are run by default.
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
    """Open a model of the hub by the name that the user gave.

    ``HubUnreachableError`` if something is not cached and the hub does not answer, or with
    ``complete`` not every tensor is available; ``InputError`` if what the hub has is not sound.
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
        known = not model.sha256 or wanted in model.sha256  # Of a pinned model, pinned files alone.
        try:
            return repository.fetch(wanted) if known else None
        except NoSuchFileError:
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

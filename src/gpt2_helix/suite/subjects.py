"""From what the user typed to a model under test: the one door that models come in by."""

import re
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from gpt2_helix import prompts
from gpt2_helix.commands import refuse_optimised
from gpt2_helix.judging.claim import Subject
from gpt2_helix.judging.errors import (
    HubUnreachableError,
    InputError,
    MissingInputError,
    did_you_mean,
)
from gpt2_helix.judging.files import check_name
from gpt2_helix.judging.records import RecordedSubject
from gpt2_helix.models import gpt2
from gpt2_helix.models.architectures import AsGPT2
from gpt2_helix.models.built import BUILT, open_built, segments
from gpt2_helix.models.by_formula import VOCABULARY
from gpt2_helix.models.config import Config, read_config
from gpt2_helix.models.identity import digests_if_gpt2_small
from gpt2_helix.models.model import Model
from gpt2_helix.models.shipped import SHIPPED
from gpt2_helix.models.sources import MINILM, open_folder, open_minilm
from gpt2_helix.suite import controls
from gpt2_helix.suite.live import Live
from gpt2_helix.texts import TextInputs
from gpt2_helix.weights import pins
from gpt2_helix.weights.hub import HubTensors, Parts, Repository, is_repository
from gpt2_helix.weights.pins import (
    CONFIG,
    HUB_MODELS,
    ROUNDED_W_POS,
    W_POS,
    HubModel,
    differing,
    is_gpt2_small,
)
from gpt2_helix.weights.ranged import NoSuchFileError
from gpt2_helix.weights.tensors import sha256_of_file, sha256_of_tensor
from gpt2_helix.weights.versions import sha256_of_tensors, sha256_of_version

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
    refuse_optimised()
    given = material or TextInputs()
    prompts.check(given)
    if spec is None:
        return _by_default(data, given)
    check_name("--subject", spec)
    if spec.startswith(CONTROL):
        name, _, base = spec.removeprefix(CONTROL).partition(":")
        return controls.broken_copy(open_subject(base or None, data, given), name, spec)
    if spec.startswith(RECORDED):
        name = spec.removeprefix(RECORDED)
        return RecordedSubject(name, _folder_in(data, name, spec))
    if spec.startswith(PUBLISHED):
        name = spec.removeprefix(PUBLISHED)
        return RecordedSubject(spec, _folder_in(data / "published", name, spec))
    if spec.startswith(BUILT_PREFIX):
        return Live(spec, _open_built(spec, given), replace(given, made=segments))
    return live(spec, _open_model(spec, data), data, given)


def live(name: str, model: Model, data: Path, given: TextInputs) -> Live:
    """Put a model beside what its own files do not hold: text, and what others published of it."""
    subject = Live(name, model, replace(given, corpus=given.corpus or (data / "texts",)))
    subject.digests = ChainMap(model.read, dict(model.digests))  # What is read later is added.
    if is_gpt2_small(subject.digests):
        subject.published_in = data / "published"
    return subject


def _folder_in(data: Path, name: str, spec: str) -> Path:
    if not re.fullmatch(r"\w[\w.-]*", name) or not (data / name).is_dir():
        near = did_you_mean(name, [folder.name for folder in data.glob("*/")])
        raise InputError(
            f"--subject: expected the name of a folder in {data}, found {spec!r:.80}{near}"
        )
    return data / name


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
        near = did_you_mean(name, BUILT)
        raise InputError(
            f"--subject: expected built: and one of {', '.join(BUILT)}, found {spec!r:.80}{near}"
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
    if Path(spec).exists():
        raise InputError(f"--subject: expected a folder, found {spec!r:.160}, which is none")
    forms = ("hub:OWNER/NAME[@REVISION]", "built:NAME", "control:NAME", "recorded:NAME")
    known = ", ".join([*HUB_MODELS, *SHIPPED, MINILM, *forms, "published:NAME"])
    made = [BUILT_PREFIX + name for name in BUILT]
    near = did_you_mean(spec, [*HUB_MODELS, *SHIPPED, MINILM, *made])
    raise InputError(f"--subject: expected {known} or a folder, found {spec!r:.160}{near}")


def open_hub(name: str, model: HubModel, *, complete: bool = False) -> Model:
    """Open a model of the hub by the name that the user gave.

    ``HubUnreachableError`` if something is not cached and the hub does not answer, or with
    ``complete`` not every tensor is available; ``InputError`` if what the hub has is not sound.
    """
    repository = Repository(model)
    if (known := HUB_MODELS[DEFAULT]).repo == model.repo and known.revision == repository.commit:
        model, repository = known, Repository(known)  # By another name, but with its pins.
    config_path = repository.fetch(CONFIG)
    config = read_config(config_path)
    architecture = config.architecture
    rows = config.n_positions + architecture.padding
    parts = Parts(
        architecture.stored_W_pos,
        shape=(rows, config.n_embd),
        others=gpt2.of_attention(architecture),
        largest=3 * config.n_embd * config.n_embd,
        check=partial(architecture.check_names, n_layer=config.n_layer, where=model.repo),
    )
    tensors = HubTensors(repository, parts)
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
        _digests(repository, tensors, config, sha256_of_version(config_path)),
        file,
        repository.commit,
        received=lambda: repository.received,
    )


def _digests(
    repository: Repository, tensors: HubTensors, config: Config, of_config: str
) -> dict[str, str]:
    """The sha256 of the configuration; and of each tensor of a file that claims to be GPT-2 small.

    Positions are not enough to tell, so the whole file is read. Only of what is pinned it may stay
    on the hub: there each tensor is compared when it is received.
    """
    if not repository.cached_weights:
        pinned, architecture = repository.model.tensors, config.architecture
        if pinned or architecture.names:
            return {CONFIG: of_config}
        if differing({W_POS: sha256_of_tensor(tensors[architecture.stored_W_pos[0]])}):
            return {CONFIG: of_config}
    whole = repository.whole
    return digests_if_gpt2_small(
        whole, config, of_config, partial(sha256_of_tensors, repository.weights)
    )


def _on_the_hub(spec: str) -> HubModel:
    repo, _, revision = spec.removeprefix(HUB).partition("@")
    if not is_repository(repo, revision):
        raise InputError(f"--subject: expected hub:OWNER/NAME[@REVISION], found {spec!r:.160}")
    return HubModel(repo, revision or "main")


def read_by(spec: str, data: Path) -> dict[str, str]:
    """The sha256 of what a subject is made of, as far as it is told without a network.

    Of a model on the hub it is the commit; of records the digests of their files; of any other
    what its ``digests`` are when it is opened. Nothing if the subject cannot be opened.
    """
    while spec.startswith(CONTROL):
        spec = spec.removeprefix(CONTROL).partition(":")[2]
    try:
        for prefix, folder in ((RECORDED, data), (PUBLISHED, data / "published")):
            if spec.startswith(prefix):
                files = _folder_in(folder, spec.removeprefix(prefix), spec).glob("*.json")
                return {path.name: sha256_of_file(path) for path in sorted(files)}
        if not spec or spec in HUB_MODELS or spec.startswith(HUB):
            model = _on_the_hub(spec) if spec.startswith(HUB) else HUB_MODELS[spec or DEFAULT]
            commit = Repository(model).known_commit
            return {"commit": commit} if commit else {}
        return dict(open_subject(spec, data).digests)
    except (InputError, MissingInputError, OSError):
        return {}


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


def identity(digests: Mapping[str, str]) -> str:
    """Say of a subject, by the digests of what was read of it, whether it is GPT-2 small.

    It is, as ``123 of 148 tensors, each as published``; or it is named what differs, with the
    first digits of both digests; or a lower precision, for which no digests were published.
    """
    for precision, digest in ROUNDED_W_POS.items():
        if digests.get(W_POS) == digest:
            return f"GPT-2 small in {precision}, not verified: digests are known of float32 alone"
    if W_POS not in digests:
        return f"not GPT-2 small: no {W_POS}"
    wrong = differing(digests)
    if not wrong:
        count = len(pins.GPT2_SMALL_TENSORS.keys() & digests.keys())
        return f"{count} of {len(pins.GPT2_SMALL_TENSORS)} tensors, each as published"
    name, published = min(wrong.items(), key=lambda item: (item[0] == CONFIG, item[0]))
    known = f"published {published:.8}" if published else "which GPT-2 small does not have"
    more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return f"not GPT-2 small: {name} differs, {digests[name]:.8}, {known}{more}"


def received(subject: Subject) -> str:
    """Say how much of the weights came from the hub in this run, if any did."""
    found = subject.model.received() if isinstance(subject, Live) else None
    return f"{found[0] / 1e6:.1f} of {found[1] / 1e6:.1f} MB received from the hub" if found else ""


def said_of_weights(subject: Subject) -> str:
    """``identity`` of what has GPT-2 small's positions; nothing of any other model."""
    own = {pins.GPT2_SMALL_TENSORS[W_POS], *ROUNDED_W_POS.values()}
    if subject.digests.get(W_POS) not in own:
        return ""
    said = identity(subject.digests)
    if said.startswith("GPT-2 small"):
        return f"its positions are those of {said}"
    return said.removeprefix("not GPT-2 small: ")  # The heading has said so.


def is_replication(subject: Subject) -> bool:
    """Whether another model than GPT-2 small is measured; broken and built models do not count."""
    of_gpt2_small = subject.evidence == "published" or is_gpt2_small(subject.digests)
    return not of_gpt2_small and not _is_made(subject)


def explored(subject: Subject) -> bool:
    """Whether bounds were set after looking at this evidence: GPT-2 small's tensors, the pictures.

    Not the notebook, nor any other model.
    """
    if subject.evidence == "published":
        return subject.name == f"{PUBLISHED}{PICTURES}"
    return is_gpt2_small(subject.digests)


def _is_made(subject: Subject) -> bool:
    return subject.name.startswith((CONTROL, BUILT_PREFIX))

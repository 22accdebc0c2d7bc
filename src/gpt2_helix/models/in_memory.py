"""Models that the caller already holds: of transformers, or a ``TransformerBridge`` around one."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpt2_helix.judging.errors import SubjectError
from gpt2_helix.models.architecture import AsGPT2
from gpt2_helix.models.config import config_from
from gpt2_helix.models.model import Model
from gpt2_helix.texts import Material
from gpt2_helix.weights.tensors import Array

if TYPE_CHECKING:
    from torch import Tensor

_WRAPPED = "._original_component"


class StateDict(Mapping[str, Array]):
    """A module's tensors as arrays of float32 or wider, each copied when asked for.

    Parameters
    ----------
    tensors
        A ``state_dict``, of a model that TransformerLens may have wrapped.
    """

    def __init__(self, tensors: Mapping[str, "Tensor"]) -> None:
        self._tensors = {name.replace(_WRAPPED, ""): tensor for name, tensor in tensors.items()}

    def __getitem__(self, name: str) -> Array:
        tensor = self._tensors[name].detach().cpu()
        wide = tensor if tensor.element_size() >= np.float32().itemsize else tensor.float()
        return wide.numpy().copy()

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def open_in_memory(held: Any, tokenizer: Any = None, material: Material | None = None) -> Model:
    """Open a model that is in memory already.

    Parameters
    ----------
    held
        A model of transformers, or a ``TransformerBridge`` around one.
    tokenizer
        Of transformers, with fast code behind it, or of tokenizers. By default the bridge's;
        without one, claims that run the model on text are blocked.
    material
        Text to run through it.

    Raises
    ------
    SubjectError
        If it is neither, or the bridge has folded or centred its weights.
    """
    name = type(held).__name__
    if getattr(held, "compatibility_mode", False):
        raise SubjectError(
            f"{name}: expected weights as they were trained, found compatibility mode, "
            "which folds and centres them"
        )
    tokenizer = tokenizer or getattr(held, "tokenizer", None)
    module = getattr(held, "original_model", held)
    try:
        declared, tensors = module.config.to_dict(), module.state_dict()
    except AttributeError:
        raise SubjectError(
            f"expected a name, a folder, a model of transformers or a TransformerBridge, "
            f"found {name}"
        ) from None
    held_name = str(getattr(module, "name_or_path", "") or type(module).__name__)
    config = config_from(declared, f"{type(module).__name__}.config")
    model = Model(
        Path(held_name).name,
        config,
        AsGPT2(StateDict(tensors), config.architecture),
        digests={},
        material=material,
    )
    if tokenizer is not None:
        model.tokenizer = getattr(tokenizer, "backend_tokenizer", tokenizer)
    return model

"""A model on a hub: how it is pinned there, and its tensors as another process finds them."""

import hashlib
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from gpt2_helix.weights import ranged
from gpt2_helix.weights.hub import HubTensors, Parts, Repository
from gpt2_helix.weights.pins import HubModel
from gpt2_helix.weights.tensors import sha256_of_tensor
from hub_server import COMMIT

MODEL = "subject/model"
WEIGHTS = "model.safetensors"
CHECKPOINT = "pytorch_model.bin"
POSITIONS = ("wpe.weight", "transformer.wpe.weight")
SHAPE = (512, 128)
rng = np.random.default_rng(0)
W_POS = rng.standard_normal(SHAPE).astype(np.float32)
OTHER = rng.standard_normal((3000, 128)).astype(np.float32)
TENSORS = {"wpe.weight": W_POS, "wte.weight": OTHER}
FILES = {"config.json": b'{"model_type": "gpt2"}', WEIGHTS: save(TENSORS)}
MOVING = HubModel(MODEL)
UNPINNED = HubModel(MODEL, COMMIT)
PINNED = HubModel(
    MODEL,
    COMMIT,
    size={name: len(content) for name, content in FILES.items()},
    sha256={name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()},
    tensors={"wpe.weight": sha256_of_tensor(W_POS)},
)
AHEAD = 3 * ranged.BLOCK
"""Bytes that may be received besides the positions: header, directory and what follows them."""


def tensors(model: HubModel = PINNED) -> HubTensors:
    """The model's tensors, as another process would find them."""
    return HubTensors(Repository(model), Parts(POSITIONS, SHAPE))


def config(model: HubModel = PINNED) -> Path:
    return Repository(model).fetch("config.json")

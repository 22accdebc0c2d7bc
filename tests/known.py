"""A small model that tests know as GPT-2 small: its own configuration, and its own digests."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from gpt2_helix.models import gpt2, identity
from gpt2_helix.models.config import config_from, read_config
from gpt2_helix.weights import pins
from gpt2_helix.weights.pins import HUB_MODELS, HubModel
from gpt2_helix.weights.tensors import Array, sha256_of_file, sha256_of_tensor

SIZES = {
    "model_type": "gpt2",
    "n_layer": 2,
    "n_head": 2,
    "n_embd": 8,
    "n_positions": 64,
    "layer_norm_epsilon": 1e-5,
    "vocab_size": 40,
}
REVISION = "607a30d783dfa663caf39e06633721c8d4cfcd7e"


def tensors(declared: Mapping[str, object] = SIZES) -> dict[str, Array]:
    """Random tensors, all that a GPT-2 of this configuration has."""
    rng = np.random.default_rng(1)
    shapes = gpt2.shapes(config_from(declared, "test"))
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def know(monkeypatch: pytest.MonkeyPatch, held: Mapping[str, Array], path: Path) -> None:
    """Let these tensors be GPT-2 small's, with the configuration of this file."""
    table = {name: sha256_of_tensor(tensor) for name, tensor in held.items()}
    monkeypatch.setattr(pins, "GPT2_SMALL_TENSORS", table)
    monkeypatch.setattr(identity, "GPT2_SMALL", read_config(path))
    pinned = {"config.json": sha256_of_file(path)}
    model = HubModel("some/model", REVISION, sha256=pinned, tensors=table)
    monkeypatch.setitem(HUB_MODELS, "gpt2", model)


def declared(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.read_text())
    return found

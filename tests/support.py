"""What tests are made of: a perfect helix, and the names of the fixtures' types."""

import io
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gpt2_helix.weights.tensors import Array

ROOT = Path(__file__).parent.parent
CONFIG = {
    "model_type": "gpt2",
    "n_layer": 12,
    "n_head": 12,
    "n_embd": 768,
    "n_positions": 1024,
    "layer_norm_epsilon": 1e-5,
    "previous_token_heads": [[2, 2], [3, 3], [4, 11]],
    "heads_looking_back": [[0, 3], [0, 4], [0, 7]],
}
SMALL = {"n_positions": 258, "n_embd": 96}
"""Sizes of a model on which claims about positions are judged quickly."""
Run = subprocess.CompletedProcess[str]
Folder = Callable[..., Path]
Claims = Callable[..., Run]


def helix_rows(n: int = 1024, d_model: int = 768, turns: float = 3, seed: int = 0) -> Array:
    """A perfect helix in random directions, with a little noise on every entry."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, n)
    angle = 2 * np.pi * turns * t
    coordinates = np.stack([np.cos(angle), np.sin(angle), 4 * (2 * t - 1)], axis=1)
    directions = np.linalg.qr(rng.standard_normal((d_model, 3)))[0].T
    noise = 0.002 * rng.standard_normal((n, d_model))
    return (coordinates @ directions + noise).astype(np.float32)


def small(folder: Folder) -> Path:
    """A small model folder: a helix for positions."""
    return folder(config=SMALL, tensors={"wpe.weight": helix_rows(258, 96)})


def checkpoint(tensors: Mapping[str, Array], **how: Any) -> bytes:
    """What ``torch.save`` writes of these tensors."""
    import torch  # Most tests need none.

    file = io.BytesIO()
    torch.save({name: torch.from_numpy(tensor) for name, tensor in tensors.items()}, file, **how)
    return file.getvalue()

"""Tiny random models: of each architecture, made by transformers, and of GPT-2's, made here."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
)

from gpt2_helix.models import gpt2 as tensors_of_gpt2
from gpt2_helix.models.config import Head, config_from
from gpt2_helix.models.model import Model
from gpt2_helix.suite.live import Live
from gpt2_helix.texts import TextInputs
from support import opened

N = 48
ENDS: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
SHORT: dict[str, Any] = {
    "n_layer": 3,
    "n_head": 4,
    "n_embd": 32,
    "n_positions": 64,
    "vocab_size": 50,
}
LONG: dict[str, Any] = {
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "hidden_size": 32,
    "max_position_embeddings": 64,
    "vocab_size": 50,
}
"""The same sizes, as other architectures call them."""


def gpt2(**changed: Any) -> GPT2LMHeadModel:
    return GPT2LMHeadModel(GPT2Config(**SHORT, **ENDS, **changed))


def gpt_neo() -> GPTNeoForCausalLM:
    kinds = [[["global", "local", "local"], 1]]
    config = GPTNeoConfig(
        **LONG, intermediate_size=40, attention_types=kinds, window_size=7, **ENDS
    )
    return GPTNeoForCausalLM(config)


def opt() -> OPTForCausalLM:
    return OPTForCausalLM(OPTConfig(**LONG, ffn_dim=40, word_embed_proj_dim=32, **ENDS))


def bert() -> BertModel:
    return BertModel(BertConfig(**LONG, intermediate_size=40))


MADE: dict[str, Callable[[], PreTrainedModel]] = {
    "gpt2": gpt2,
    "gpt2-untied": lambda: gpt2(tie_word_embeddings=False),
    "gpt2-unscaled": lambda: gpt2(scale_attn_weights=False),
    "gpt2-over-layer": lambda: gpt2(scale_attn_by_inverse_layer_idx=True),
    "gpt_neo": gpt_neo,
    "opt": opt,
    "bert": bert,
}
CAUSAL = [name for name in MADE if name != "bert"]


def made(name: str) -> Any:
    """A model with weights large enough that its attention is far from uniform."""
    torch.manual_seed(5)
    model = MADE[name]()
    model.set_attn_implementation("eager")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    model.train(False)
    return model


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=0, atol=1e-5)


def write(model: Any, folder: Path, kind: str) -> None:
    folder.mkdir()
    declared = {**model.config.to_dict(), "previous_token_heads": [[1, 2]]}
    declared["heads_looking_back"] = [[0, 1]]
    (folder / "config.json").write_text(json.dumps(declared, default=str))
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    if kind == "pytorch_model.bin":
        torch.save(tensors, folder / kind)
    else:
        save_file({name: tensor.numpy() for name, tensor in tensors.items()}, folder / kind)


def saved(model: Any, folder: Path, kind: str) -> Live:
    write(model, folder, kind)
    return opened(folder)


SIZES: dict[str, Any] = {
    "n_layer": 3,
    "n_head": 2,
    "n_embd": 16,
    "n_positions": 70,
    "vocab_size": 5,
}
HEADS = (Head(1, 0), Head(2, 1))


def random_model(*, scores_over_layer: bool = False, n_positions: int = 70) -> Live:
    sizes = {**SIZES, "n_positions": n_positions}
    config = config_from({"model_type": "gpt2", "layer_norm_epsilon": 1e-5, **sizes}, "test")
    config = replace(config, scores_over_layer=scores_over_layer, previous_token_heads=HEADS)
    rng = np.random.default_rng(0)
    tensors = {
        name: (0.8 * rng.standard_normal(shape)).astype(np.float32)
        for name, shape in tensors_of_gpt2.shapes(config).items()
    }
    return Live("random", Model("random", config, tensors), TextInputs())

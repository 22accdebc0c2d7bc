"""The tensors of a whole GPT-2, and their shapes."""

import re
from dataclasses import replace

from gpt2_helix.models.config import Config

_WITHOUT_MLPS = re.compile(r"wpe\.weight|h\.\d+\.(ln_1\.|attn\.|mlp\.c_proj\.bias).*")


def block_shapes(config: Config, layer: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of one block's tensors; matrices are (in, out)."""
    d, hidden = config.n_embd, config.n_inner
    shapes: dict[str, tuple[int, ...]] = {
        "ln_1.weight": (d,),
        "ln_1.bias": (d,),
        "attn.c_attn.weight": (d, 3 * d),
        "attn.c_attn.bias": (3 * d,),
        "attn.c_proj.weight": (d, d),
        "attn.c_proj.bias": (d,),
        "ln_2.weight": (d,),
        "ln_2.bias": (d,),
        "mlp.c_fc.weight": (d, hidden),
        "mlp.c_fc.bias": (hidden,),
        "mlp.c_proj.weight": (hidden, d),
        "mlp.c_proj.bias": (d,),
    }
    return {f"h.{layer}.{name}": shape for name, shape in shapes.items()}


def shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors; a tied unembedding is ``wte.weight`` again."""
    found: dict[str, tuple[int, ...]] = {
        "wte.weight": (config.vocab_size, config.n_embd),
        "wpe.weight": (config.n_positions, config.n_embd),
    }
    for layer in range(config.n_layer):
        found |= block_shapes(config, layer)
    if not config.tied:
        found["lm_head.weight"] = (config.vocab_size, config.n_embd)
    return {**found, "ln_f.weight": (config.n_embd,), "ln_f.bias": (config.n_embd,)}


def without_mlps(config: Config) -> Config:
    """Sizes of the same model with one token and the smallest MLPs that there can be."""
    return replace(config, vocab_size=1, n_inner=1, tied=True, activation="relu")


def is_kept_without_mlps(name: str) -> bool:
    """Whether a tensor counts in a model without MLPs and token embedding; others are zero.

    Of each MLP the output bias is kept: it is added whatever the MLP is fed.
    """
    return _WITHOUT_MLPS.fullmatch(name) is not None

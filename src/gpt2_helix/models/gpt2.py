"""The tensors of a whole GPT-2, and their shapes."""

from gpt2_helix.models.config import Config


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

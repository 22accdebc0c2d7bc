"""The tensors of a whole GPT-2, and their shapes."""

import re
from dataclasses import replace

from gpt2_helix.models.architectures import ADDED, Architecture
from gpt2_helix.models.config import Config

KEPT_WITHOUT_MLPS = re.compile(r"wpe\.weight|h\.\d+\.(ln_1\.|attn\.|mlp\.c_proj\.bias).*")
"""Names of the tensors that count in a model without MLPs and token embedding; others are zero.

Of each MLP the output bias is kept: it is added whatever the MLP is fed.
"""


def shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors; a tied unembedding is ``wte.weight`` again.

    Matrices are (in, out).
    """
    d, hidden = config.n_embd, config.n_inner
    of_block: dict[str, tuple[int, ...]] = {
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
    found: dict[str, tuple[int, ...]] = {
        "wte.weight": (config.vocab_size, d),
        "wpe.weight": (config.n_positions, d),
    }
    for layer in range(config.n_layer):
        found |= {f"h.{layer}.{name}": shape for name, shape in of_block.items()}
    if not config.tied:
        found["lm_head.weight"] = (config.vocab_size, d)
    return {**found, "ln_f.weight": (d,), "ln_f.bias": (d,)}


def of_attention(architecture: Architecture) -> re.Pattern[str]:
    """Names, in a file of an architecture, of what its attention alone is made of."""
    kept = KEPT_WITHOUT_MLPS.pattern
    if architecture.names:
        both = [*architecture.names.items(), *architecture.first_block.items()]
        # What is added to positions is not GPT-2's, and belongs to them.
        sources = [
            re.escape(source).replace(r"\{i\}", r"\d+").replace(r"\{before\}", r"\d+")
            for name, made_of in both
            if name == ADDED or KEPT_WITHOUT_MLPS.fullmatch(name.replace("{i}", "0"))
            for source in made_of
        ]
        old = [
            source.removesuffix(re.escape(new)) + re.escape(before)
            for new, before in architecture.old_names.items()
            for source in sources
            if source.endswith(re.escape(new))
        ]
        kept = "|".join([*sources, *old])
    return re.compile(rf"({re.escape(architecture.prefix)})?({kept})")


def without_mlps(config: Config) -> Config:
    """Sizes of the same model with one token and the smallest MLPs that there can be."""
    return replace(config, vocab_size=1, n_inner=1, tied=True, activation="relu")

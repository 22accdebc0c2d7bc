"""GPT-2 small is known by its tensors: every one that a model holds has its published digest."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from gpt2_helix.models.config import (
    HEADS,
    LOCAL_HEADS_OF_GPT2_SMALL,
    MAIN_HEADS_OF_GPT2_SMALL,
    Config,
)
from gpt2_helix.weights.pins import CONFIG, FITTING_CONFIG, HUB_MODELS, W_POS, differing
from gpt2_helix.weights.tensors import Tensors, sha256_of_each, sha256_of_tensor

GPT2_SMALL = Config(
    "gpt2",
    n_layer=12,
    n_head=12,
    n_embd=768,
    n_positions=1024,
    layer_norm_epsilon=1e-5,
    vocab_size=50257,
    n_inner=3072,
    activation="gelu_new",
    previous_token_heads=MAIN_HEADS_OF_GPT2_SMALL,
    heads_looking_back=LOCAL_HEADS_OF_GPT2_SMALL,
)
"""What its ``config.json`` says, and the heads that the post names."""
MASK = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)")
"""Names of the causal masks that transformers once kept beside the weights; nobody reads them."""


def fits(config: Config) -> bool:
    """Whether a configuration is GPT-2 small's; it need not name heads, but it names no others."""
    own = {name: getattr(config, name) for name in HEADS}
    known = {name: getattr(GPT2_SMALL, name) for name in HEADS}
    unnamed = all(heads in ((), known[name]) for name, heads in own.items())
    return unnamed and replace(config, **known) == GPT2_SMALL


def digests_if_gpt2_small(
    tensors: Tensors,
    config: Config,
    of_config: str,
    digest: Callable[[Tensors, Iterable[str]], Mapping[str, str]] = sha256_of_each,
) -> dict[str, str]:
    """The sha256 of a configuration, and of all tensors of what may be GPT-2 small.

    Of a model with other positions it is the configuration's alone: the rest need not be read to
    know that it is another. ``differing`` says what in the result is not GPT-2 small's;
    ``digest`` makes digests of tensors by name, and may remember them.
    """
    names = {config.architecture.plain(name): name for name in tensors}
    if config.architecture.names or W_POS not in names:
        return {CONFIG: of_config}
    stored = names[W_POS]
    if differing({W_POS: sha256_of_tensor(tensors[stored])}):
        return {CONFIG: of_config}
    kept = {name: stored for name, stored in names.items() if not MASK.fullmatch(name)}
    found = digest(tensors, kept.values())
    same = fits(config) and HUB_MODELS["gpt2"].sha256.get(CONFIG) != of_config
    return {
        FITTING_CONFIG if same else CONFIG: of_config,
        **{name: found[stored] for name, stored in kept.items()},
    }

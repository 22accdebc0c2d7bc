"""How many attention heads there are."""

from dataclasses import dataclass

from gpt2_helix.models.config import Config


@dataclass(frozen=True)
class Heads:
    """Layers, attention heads in each, and their product."""

    layers: int
    heads_a_layer: int
    heads: int


def heads(config: Config) -> Heads:
    """Count the attention heads that the configuration declares."""
    return Heads(config.n_layer, config.n_head, config.n_layer * config.n_head)

"""What is done to attention while a model runs: hooks for ``Runner.streams``.

Each is a hook of TransformerLens: the name of a hook point, and a function from the tensor that
passes there to what goes on instead. ``hook_z`` is what the heads of a block write before the
output projection, (row, position, head, d_head); ``hook_mask`` is which keys each query sees,
(query, key). The bias of the output projection, and what MLPs add, stay.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from gpt2_helix.models.config import Head

if TYPE_CHECKING:
    from torch import Tensor

Hook = tuple[str, Callable[..., Any]]
Pattern = Float[np.ndarray, "query key"]


def silence(layer: int) -> Hook:
    """The heads of a layer write nothing."""
    return f"blocks.{layer}.attn.hook_z", lambda z, hook: z.new_zeros(z.shape)


def hold(head: Head, z: Float[np.ndarray, " d_head"]) -> Hook:
    """A head writes the same everywhere but at position 0, whatever it reads.

    Position 0 is spared: heads rest their attention there, and what it holds is no mean of others.
    """

    def held(value: Any, hook: Any) -> Any:
        value = value.clone()
        value[:, 1:, head.head] = value.new_tensor(z)
        return value

    return f"blocks.{head.layer}.attn.hook_z", held


def hold_all(heads: Sequence[Head], z: Float[np.ndarray, "head d_head"]) -> list[Hook]:
    """Heads of one layer write what this says everywhere but at position 0; see ``hold``."""
    return [hold(head, z[head.head]) for head in heads]


def watch_z(layer: int, into: "list[Tensor]") -> Hook:
    """Keep what the heads of a layer write, batch by batch: (row, position, head, d_head)."""
    return f"blocks.{layer}.attn.hook_z", lambda z, hook: into.append(z.cpu())


def average_of_past(n: int) -> Pattern:
    """The pattern of equal weights on a position itself and all before it."""
    pattern: Pattern = np.tril(np.ones((n, n), np.float32))
    return pattern / pattern.sum(axis=1, keepdims=True)


def replace_pattern(head: Head, pattern: Pattern, n_head: int) -> list[Hook]:
    """A head attends as this pattern says, whatever it reads; ``n_head`` is that of its block."""
    moved: list[Any] = []

    def move(qkv: Any, hook: Any) -> None:
        v = qkv.view(*qkv.shape[:2], 3, n_head, -1)[:, :, 2, head.head]
        moved.append(v.new_tensor(pattern) @ v)

    def write(z: Any, hook: Any) -> Any:
        z = z.clone()
        z[:, :, head.head] = moved.pop()
        return z

    block = f"blocks.{head.layer}.attn"
    return [(f"{block}.qkv.hook_out", move), (f"{block}.hook_z", write)]


def no_mask(layer: int) -> Hook:
    """Every position of a layer sees all others, later ones too."""
    return f"blocks.{layer}.attn.hook_mask", lambda seen, hook: seen.new_ones(seen.shape)


def window(layer: int, size: int) -> Hook:
    """Every position of a layer sees the latest few alone, itself included."""
    return f"blocks.{layer}.attn.hook_mask", lambda seen, hook: seen.triu(1 - size)

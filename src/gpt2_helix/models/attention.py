"""The part of a block that decides where its heads look."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class AttentionBlock:
    """``ln_1`` and ``c_attn`` of one block.

    Attributes
    ----------
    ln_weight, ln_bias
        LayerNorm before attention, shape (d_model,).
    weight, bias
        ``c_attn``: columns are queries, keys and values of all heads, in this order.
    n_head, epsilon
        Heads in the block; what LayerNorm adds to the variance.
    scale
        What attention scores are multiplied by, besides the usual 1 / sqrt(d_head).
    causal
        Whether a position sees only itself and those before it.
    window
        How many of the latest positions it sees, itself included; None for all.
    added
        Vector that is added to what enters; None for none.
    """

    ln_weight: Float[np.ndarray, " d_model"]
    ln_bias: Float[np.ndarray, " d_model"]
    weight: Float[np.ndarray, "d_model qkv"]
    bias: Float[np.ndarray, " qkv"]
    n_head: int
    epsilon: float
    scale: float = 1.0
    causal: bool = True
    window: int | None = None
    added: Float[np.ndarray, " d_model"] | None = None

    def query_key(
        self, residual: Float[np.ndarray, "position d_model"], head: int
    ) -> tuple[Float[np.ndarray, "position d_head"], Float[np.ndarray, "position d_head"]]:
        """Queries and keys of one head, in float64, for a residual stream entering the block."""
        x = residual.astype(np.float64)
        if self.added is not None:
            x = x + self.added
        x -= x.mean(axis=1, keepdims=True)
        x /= np.sqrt((x**2).mean(axis=1, keepdims=True) + self.epsilon)
        x = x * self.ln_weight + self.ln_bias
        d_model = len(self.ln_weight)
        d_head = d_model // self.n_head
        query, key = (
            x @ self.weight[:, columns] + self.bias[columns]
            for columns in (
                slice(start + head * d_head, start + (head + 1) * d_head) for start in (0, d_model)
            )
        )
        return query * self.scale, key

    def unseen(self, n: int) -> Bool[np.ndarray, "query key"]:
        """Which of the first ``n`` positions a position does not see."""
        behind = np.arange(n)[:, None] - np.arange(n)
        unseen: Bool[np.ndarray, "query key"] = (behind < 0) & self.causal
        return unseen | (behind >= (self.window or n))


@dataclass(frozen=True)
class Block:
    """What a block's attention adds to the residual stream, and the bias of its MLP.

    Attributes
    ----------
    attention
        Where its heads look, and the values that they move.
    W_out, b_out
        Output projection of all heads, (d_model, d_model) as in ``heads @ W_out``, and its bias.
    mlp_bias
        Bias that the MLP adds whatever it is fed, shape (d_model,).
    """

    attention: AttentionBlock
    W_out: Float[np.ndarray, "d_model d_model"]
    b_out: Float[np.ndarray, " d_model"]
    mlp_bias: Float[np.ndarray, " d_model"]

"""The one transformer: GPT-2 run through TransformerLens, with doctored positions and hooks.

The model is a ``TransformerBridge`` whose attention and LayerNorm run in transformers' own fused
code. TransformerLens' ordinary attention splits queries, keys and values up, takes twice the time,
and divides scores by sqrt(d_head) even where the model does not. Weights are used as they are:
nothing is folded or centred. Results have the same bits whatever the number of threads.
"""

import logging
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from gpt2_helix.judging.errors import InputError
from gpt2_helix.models.config import Config
from gpt2_helix.models.heads import mask
from gpt2_helix.models.interventions import Hook

with warnings.catch_warnings():
    # The import sets a warning filter and a log level for the whole process; undo both.
    _level = logging.getLogger("transformers").level
    from transformer_lens.hook_points import HookPoint
    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.model_bridge.exceptions import StopAtLayerException
    from transformer_lens.model_bridge.generalized_components import (
        AttentionBridge,
        LinearBridge,
        NormalizationBridge,
    )
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    logging.getLogger("transformers").setLevel(_level)

Tables = Float[Tensor, "doctoring position d_model"]
AnyTokens = Int[np.ndarray, "row token"] | Float[np.ndarray, "row token d_model"]

ROWS_AT_A_TIME = 4
"""Doctorings in one batch. With more, at GPT-2's width, the allocator returns freed memory to the
system, and getting it back costs more than the larger batch saves."""


class _Attention(AttentionBridge):
    """transformers' own attention, one fused product for q, k and v, with the bridge's hooks.

    One hook point is added: what passes ``hook_mask`` is which keys each query sees.
    """

    hook_aliases = {"hook_z": "o.hook_in"}  # noqa: RUF012
    property_aliases: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, config: Any) -> None:
        super().__init__(
            name="attn",
            config=config,
            submodules={"qkv": LinearBridge(name="c_attn"), "o": LinearBridge(name="c_proj")},
        )
        self.hook_mask = HookPoint()  # type: ignore[no-untyped-call]

    def forward(self, hidden_states: Tensor, *args: Any, **options: Any) -> Any:
        # Attention is faster without a mask than with one, so it is made where it is asked for.
        if self.hook_mask.has_hooks():
            seen = options.get("attention_mask")
            if seen is None:
                n = hidden_states.shape[1]
                seen = torch.ones(n, n, dtype=torch.bool, device=hidden_states.device).tril()
            options["attention_mask"] = self.hook_mask(seen)
        return super().forward(hidden_states, *args, **options)


def _leave_to_transformers(adapter: Any) -> None:
    """Keep the bridge from splitting attention and LayerNorm up."""
    config = adapter.cfg
    blocks = adapter.component_mapping["blocks"].submodules
    blocks["attn"] = _Attention(config)
    for part, name in ((blocks, "ln1"), (blocks, "ln2"), (adapter.component_mapping, "ln_final")):
        part[name] = NormalizationBridge(
            name=part[name].name, config=config, use_native_layernorm_autograd=True
        )


class Runner:
    """A GPT-2 that can be run under doctored positions.

    ``weights`` are all tensors of ``models.gpt2.shapes``, by name.
    """

    def __init__(self, config: Config, weights: Mapping[str, Float[np.ndarray, "..."]]) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        tensors = {
            f"transformer.{name}": torch.from_numpy(np.require(array, np.float32, ["C", "W"]))
            for name, array in weights.items()
        }
        tensors["lm_head.weight"] = tensors.pop(
            "transformer.lm_head.weight", tensors["transformer.wte.weight"]
        )
        with torch.device("meta"):
            model = GPT2LMHeadModel(_transformers_config(config))
        model.load_state_dict(tensors, strict=True, assign=True)
        if config.tied:
            model.tie_weights()
        model.train(False).to(self.device)
        self.config = config
        self.bridge: TransformerBridge = build_bridge_from_module(
            model,
            "GPT2LMHeadModel",
            hf_config=model.config,
            post_adapter_hook=_leave_to_transformers,
        )
        self._model = model
        # Told the number of tokens of each run, once it is done.
        self.ran: Callable[[int], None] = lambda tokens: None
        # Final residual streams that will be asked for again; see on_text.
        self.kept: dict[bytes, Tensor] = {}
        for layer, window in enumerate(config.windows):
            if window:
                near = partial(self._near, window)
                self.bridge.blocks[layer].attn.hook_mask.add_hook(near, is_permanent=True)

    def tables(self, doctored: Sequence[Float[np.ndarray, "position d_model"]]) -> Tables:
        """Stack doctored position matrices."""
        stacked = np.stack([W_pos.astype(np.float32) for W_pos in doctored])
        return torch.from_numpy(stacked).to(self.device)

    @torch.inference_mode()
    def streams(
        self,
        W_pos: Float[np.ndarray, "n_positions d_model"],
        tokens: AnyTokens,
        layers: Collection[int],
        hooks: Sequence[Hook] = (),
    ) -> dict[int, Float[np.ndarray, "row token d_model"]]:
        """Residual stream that enters some layers; those above the last of them are not run.

        Tokens are whole numbers, or vectors that take the place of their embeddings.
        """
        found: dict[int, list[Tensor]] = {layer: [] for layer in sorted(layers)}
        table = self.tables([W_pos])

        def keep(layer: int, stream: Tensor, hook: Any) -> None:
            found[layer].append(stream.cpu())
            if layer == max(found):
                raise StopAtLayerException(stream)

        keeping = [(f"blocks.{layer}.hook_resid_pre", partial(keep, layer)) for layer in found]
        for first in range(0, len(tokens), ROWS_AT_A_TIME):
            some = torch.tensor(tokens[first : first + ROWS_AT_A_TIME], device=self.device)
            with suppress(StopAtLayerException):
                self.hidden(some, table.expand(len(some), -1, -1), hooks=[*hooks, *keeping])
        return {layer: torch.cat(parts).numpy() for layer, parts in found.items()}

    @property
    def unembedding(self) -> Float[Tensor, "d_model vocabulary"]:
        """What turns the final residual stream into logits."""
        return self._model.lm_head.weight.T

    def to_tensor(self, tokens: Int[np.ndarray, "*row token"]) -> Int[Tensor, "*row token"]:
        """Tokens where the model is."""
        return torch.from_numpy(tokens.astype(np.int64)).to(self.device)

    def hidden(
        self,
        tokens: Int[Tensor, "row token"] | Float[Tensor, "row token d_model"],
        W_pos: Float[Tensor, "row n_positions d_model"],
        positions: Int[Tensor, " token"] | None = None,
        *,
        hooks: Sequence[Hook] = (),
        past: Any = None,
        mask: Tensor | None = None,
        cache: bool = False,
    ) -> tuple[Float[Tensor, "row position d_model"], Any]:
        """Final residual stream after LayerNorm, each row with its own position matrix."""
        if positions is None:
            positions = torch.arange(tokens.shape[1])
        if int(positions.max()) >= W_pos.shape[1]:
            raise InputError(
                f"text: expected at most {W_pos.shape[1]} tokens, the model's context, "
                f"found {int(positions.max()) + 1}"
            )
        seen = past.get_seq_length() if past is not None else 0
        keys = torch.cat([torch.arange(seen), positions])
        self._behind = (positions[:, None] - keys).to(self.device)

        def doctor(value: Tensor, hook: Any) -> Tensor:
            return W_pos[:, positions]

        fed = [("pos_embed.hook_out", doctor)]
        if tokens.is_floating_point():
            vectors, tokens = tokens, tokens.new_zeros(tokens.shape[:2], dtype=torch.int64)
            fed.append(("embed.hook_out", lambda value, hook: vectors))
        with self.bridge.hooks(fwd_hooks=[*fed, *hooks]):
            out = self._model.transformer(
                tokens,
                position_ids=positions[None].to(self.device),
                past_key_values=past,
                attention_mask=mask,
                use_cache=cache or past is not None,
            )
        self.ran(tokens.numel())
        return out.last_hidden_state, out.past_key_values

    def mask(self, n: int, layer: int) -> Float[Tensor, "query key"]:
        """What the queries of a layer see; see ``heads.mask``."""
        window = self.config.windows[layer] if self.config.windows else None
        return torch.from_numpy(mask(n, window)).to(self.device)

    def _near(self, window: int, seen: Tensor, hook: Any) -> Tensor:
        """Let the queries of a block see no more than the latest positions."""
        return seen & (self._behind < window)

    def query_key(
        self, qkv: Float[Tensor, "row position qkv"], layer: int
    ) -> tuple[
        Float[Tensor, "row head position d_head"], Float[Tensor, "row head position d_head"]
    ]:
        """Queries, scaled so that their products with the keys are the scores, and keys."""
        query, key, _ = qkv.view(*qkv.shape[:2], 3, self.config.n_head, -1).permute(2, 0, 3, 1, 4)
        return query / self.config.divisor(layer), key


def _transformers_config(config: Config) -> GPT2Config:
    """The same sizes for transformers, with its fused form of the same GELU."""
    activation = config.activation
    return GPT2Config(
        vocab_size=config.vocab_size,
        n_positions=config.n_positions,
        n_embd=config.n_embd,
        n_layer=config.n_layer,
        n_head=config.n_head,
        n_inner=config.n_inner,
        layer_norm_epsilon=config.layer_norm_epsilon,
        activation_function="gelu_pytorch_tanh" if activation == "gelu_new" else activation,
        scale_attn_by_inverse_layer_idx=config.scores_over_layer,
        scale_attn_weights=config.scaled,
        tie_word_embeddings=config.tied,
        bos_token_id=0,
        eos_token_id=0,
    )

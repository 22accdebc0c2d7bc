"""Run GPT-2 through TransformerLens: many doctorings in one batch, keeping only what is needed.

The model is a ``TransformerBridge`` whose attention and LayerNorm run in transformers' own fused
code. The bridge's hooks replace the positional embedding row by row and read the queries and keys.
Weights are used as they are: nothing is folded or centred.
"""

import logging
import math
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from rich.console import Console
from rich.progress import track
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from gpt2_helix.judging.errors import SubjectError
from gpt2_helix.models.config import Config, Head

with warnings.catch_warnings():
    # The import sets a warning filter and a log level for the whole process; undo both.
    _level = logging.getLogger("transformers").level
    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.model_bridge.generalized_components import (
        AttentionBridge,
        LinearBridge,
        NormalizationBridge,
    )
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    logging.getLogger("transformers").setLevel(_level)

Tables = Float[Tensor, "doctoring position d_model"]
Item = TypeVar("Item")

VOCABULARY_AT_A_TIME = 32
"""Positions whose distributions are held at once: at GPT-2's vocabulary 70 MB for 11 doctorings."""
QUERIES_AT_A_TIME = 128
ROWS_AT_A_TIME = 4
"""Doctorings in one batch. With more, at GPT-2's width, the allocator returns freed memory to the
system, and getting it back costs more than the larger batch saves."""


@dataclass(frozen=True)
class WindowStatistics:
    """One window of text under every doctoring.

    Attributes
    ----------
    kl
        Mean over positions of KL(first doctoring || this one), nats.
    loss
        Mean next-token loss, nats.
    same_top
        Share of positions whose most probable token is the same as under the first doctoring; a
        tie for first place counts.
    """

    kl: Float[np.ndarray, " doctoring"]
    loss: Float[np.ndarray, " doctoring"]
    same_top: Float[np.ndarray, " doctoring"]


@dataclass(frozen=True)
class PreviousToken:
    """Every head under every doctoring, over all windows of text.

    Attributes
    ----------
    share
        Share of queries that give the previous token more attention than any other key but the
        first token.
    attention
        Mean attention to the previous token.
    """

    share: Float[np.ndarray, "doctoring layer head"]
    attention: Float[np.ndarray, "doctoring layer head"]


class _Attention(AttentionBridge):
    """transformers' own attention, one fused product for q, k and v, with the bridge's hooks."""

    hook_aliases = {"hook_z": "o.hook_in"}  # noqa: RUF012
    property_aliases: dict[str, str] = {}  # noqa: RUF012


def _leave_to_transformers(adapter: Any) -> None:
    """Keep the bridge from splitting attention and LayerNorm up, which doubles the time."""
    config = adapter.cfg
    blocks = adapter.component_mapping["blocks"].submodules
    blocks["attn"] = _Attention(
        name="attn",
        config=config,
        submodules={"qkv": LinearBridge(name="c_attn"), "o": LinearBridge(name="c_proj")},
    )
    for part, name in ((blocks, "ln1"), (blocks, "ln2"), (adapter.component_mapping, "ln_final")):
        part[name] = NormalizationBridge(
            name=part[name].name, config=config, use_native_layernorm_autograd=True
        )


class Runner:
    """A GPT-2 that can be run under doctored positions.

    Parameters
    ----------
    config
        Its sizes.
    weights
        All tensors of ``models.gpt2.shapes``, by name.
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
        for layer, window in enumerate(config.windows):
            if window:
                attention = model.get_submodule(f"transformer.h.{layer}.attn")
                restrict = partial(self._restrict, window)
                attention.register_forward_pre_hook(restrict, with_kwargs=True)
        model.train(False).to(self.device)
        self.config = config
        self.bridge: TransformerBridge = build_bridge_from_module(
            model,
            "GPT2LMHeadModel",
            hf_config=model.config,
            post_adapter_hook=_leave_to_transformers,
        )
        self._model = model

    def tables(self, doctored: Sequence[Float[np.ndarray, "position d_model"]]) -> Tables:
        """Stack doctored position matrices."""
        stacked = np.stack([W_pos.astype(np.float32) for W_pos in doctored])
        return torch.from_numpy(stacked).to(self.device)

    @torch.inference_mode()
    def patterns(
        self, tokens: Int[np.ndarray, " token"], tables: Tables, heads: Sequence[Head]
    ) -> Float[np.ndarray, "doctoring head token token"]:
        """Attention patterns of some heads on a short text under every doctoring."""
        found: dict[Head, Tensor] = {}

        def hook(head: Head) -> tuple[str, Callable[..., None]]:
            def keep(value: Tensor, hook: Any) -> None:
                query, key = self._query_key(value, head.layer)
                scores = query[:, head.head] @ key[:, head.head].transpose(1, 2)
                unseen = _unseen(len(tokens), self._window(head.layer)).to(scores.device)
                found[head] = scores.masked_fill(unseen, -torch.inf).softmax(-1)

            return f"blocks.{head.layer}.attn.qkv.hook_out", keep

        rows = self._tokens(tokens).expand(len(tables), -1)
        self._hidden(rows, tables, hooks=[hook(head) for head in heads])
        return torch.stack([found[head] for head in heads], dim=1).cpu().numpy()

    @torch.inference_mode()
    def windows(
        self,
        windows: Int[np.ndarray, "window token"],
        tables: Tables,
    ) -> list[WindowStatistics]:
        """Run windows of text under every doctoring.

        Parameters
        ----------
        windows
            Tokens.
        tables
            Doctored position matrices; the first is what the others are compared with.
        """
        n, length = len(tables), windows.shape[1]
        size = VOCABULARY_AT_A_TIME * n * self.config.vocab_size
        # Allocating this for every few positions would cost as much as computing the numbers.
        space = torch.empty(2, size, device=self.device)
        found = []
        for window in _progress("text", windows, len(windows)):
            tokens = self._tokens(window)

            def run(rows: list[int], tokens: Tensor = tokens) -> Tensor:
                return self._hidden(tokens.expand(len(rows), length), tables[rows])[0]

            hidden = torch.cat(list(_in_parts(run, n)))
            kl, loss, same = self._compare(hidden, tokens, space)
            found.append(
                WindowStatistics(
                    (kl / length).numpy(),
                    (loss / (length - 1)).numpy(),
                    (same / length).numpy(),
                )
            )
        return found

    @torch.inference_mode()
    def previous_token(
        self, windows: Int[np.ndarray, "window token"], tables: Tables, first_query: int
    ) -> PreviousToken:
        """Attention of every head to the previous token, for queries from ``first_query`` on."""
        found = []
        for window in _progress("heads", windows, len(windows)):
            tokens = self._tokens(window)

            def run(rows: list[int], tokens: Tensor = tokens) -> Tensor:
                seen: list[Tensor] = []

                def hook(layer: int) -> tuple[str, Callable[..., None]]:
                    def keep(qkv: Tensor, hook: Any) -> None:
                        of_rows = [self._previous_token(row, layer, first_query) for row in qkv]
                        seen.append(torch.stack(of_rows))

                    return f"blocks.{layer}.attn.qkv.hook_out", keep

                hooks = [hook(layer) for layer in range(self.config.n_layer)]
                self._hidden(tokens.expand(len(rows), -1), tables[rows], hooks=hooks)
                return torch.stack(seen, dim=1)

            found.append(torch.cat(list(_in_parts(run, len(tables)))))
        share, attention = torch.stack(found).double().mean(0).unbind(-1)
        return PreviousToken(share.cpu().numpy(), attention.cpu().numpy())

    @torch.inference_mode()
    def entering(
        self,
        windows: Int[np.ndarray, "window token"],
        W_pos: Float[np.ndarray, "n_positions d_model"],
        layers: Collection[int],
        silent_layers: Collection[int] = (),
    ) -> dict[int, Float[np.ndarray, "window position d_model"]]:
        """Residual stream that enters some layers, on windows of text under one doctoring.

        The heads of ``silent_layers`` write nothing; their biases stay.
        """
        found: dict[int, Tensor] = {}

        def keep(layer: int, value: Tensor, hook: Any) -> None:
            found[layer] = value

        def silence(value: Tensor, hook: Any) -> Tensor:
            return torch.zeros_like(value)

        reading = [(f"blocks.{n}.hook_resid_pre", partial(keep, n)) for n in layers]
        silencing = [(f"blocks.{n}.attn.o.hook_in", silence) for n in silent_layers]
        table = self.tables([W_pos]).expand(len(windows), -1, -1)
        self._hidden(self._tokens(windows), table, hooks=[*reading, *silencing])
        return {layer: value.cpu().numpy() for layer, value in found.items()}

    @torch.inference_mode()
    def continuations(
        self,
        prefix: Int[np.ndarray, " prefix"],
        tails: Int[np.ndarray, "tail token"],
        tables: Tables,
    ) -> Float[np.ndarray, "doctoring tail vocabulary"]:
        """Next-token probabilities after a common prefix and each of several tails.

        The prefix is run once for each doctoring. The tails follow side by side in one sequence.
        Each has the positions that it would have alone, and a mask that lets it see the prefix
        and itself; so the cached keys and values need not be copied.
        """
        n, length = tails.shape
        place = torch.arange(n * length)
        own = place[:, None] // length == place[None] // length
        mask = torch.cat(
            [
                torch.ones(n * length, len(prefix), dtype=torch.bool),
                own & (place[:, None] >= place[None]),
            ],
            dim=1,
        ).to(self.device)[None, None]
        positions = torch.arange(len(prefix), len(prefix) + length).repeat(n)
        packed = self._tokens(tails.reshape(-1))

        def run(rows: list[int]) -> Tensor:
            some = tables[rows]
            _, cache = self._hidden(self._tokens(prefix).expand(len(rows), -1), some, cache=True)
            hidden, _ = self._hidden(
                packed.expand(len(rows), -1), some, positions, past=cache, mask=mask
            )
            last = hidden.view(len(rows), n, length, -1)[:, :, -1]
            return self._finite(last @ self._unembedding).softmax(-1).cpu()

        parts = _in_parts(run, len(tables))
        n_parts = math.ceil(len(tables) / ROWS_AT_A_TIME)
        return torch.cat(list(_progress("repetition", parts, n_parts))).numpy()

    @property
    def _unembedding(self) -> Float[Tensor, "d_model vocabulary"]:
        return self._model.lm_head.weight.T

    def _tokens(self, tokens: Int[np.ndarray, "*row token"]) -> Int[Tensor, "*row token"]:
        return torch.from_numpy(tokens.astype(np.int64)).to(self.device)

    def _hidden(
        self,
        tokens: Int[Tensor, "row token"],
        W_pos: Float[Tensor, "row n_positions d_model"],
        positions: Int[Tensor, " token"] | None = None,
        *,
        hooks: Sequence[tuple[str, Callable[..., Any]]] = (),
        past: Any = None,
        mask: Tensor | None = None,
        cache: bool = False,
    ) -> tuple[Float[Tensor, "row position d_model"], Any]:
        """Final residual stream after LayerNorm, each row with its own position matrix."""
        if positions is None:
            positions = torch.arange(tokens.shape[1])
        if int(positions.max()) >= W_pos.shape[1]:
            raise SubjectError(
                f"text: expected at most {W_pos.shape[1]} tokens, the model's context, "
                f"found {int(positions.max()) + 1}"
            )

        seen = past.get_seq_length() if past is not None else 0
        keys = torch.cat([torch.arange(seen), positions])
        self._behind = (positions[:, None] - keys).to(self.device)

        def doctor(value: Tensor, hook: Any) -> Tensor:
            return W_pos[:, positions]

        with self.bridge.hooks(fwd_hooks=[("pos_embed.hook_out", doctor), *hooks]):
            out = self._model.transformer(
                tokens,
                position_ids=positions[None].to(self.device),
                past_key_values=past,
                attention_mask=mask,
                use_cache=cache or past is not None,
            )
        return out.last_hidden_state, out.past_key_values

    def _window(self, layer: int) -> int | None:
        return self.config.windows[layer] if self.config.windows else None

    def _restrict(
        self, window: int, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Before a block's attention: let it see no more than the latest positions."""
        mask = kwargs.get("attention_mask")
        near = self._behind < window
        kwargs["attention_mask"] = near & (self._behind >= 0 if mask is None else mask)
        return args, kwargs

    def _query_key(
        self, qkv: Float[Tensor, "row position qkv"], layer: int
    ) -> tuple[
        Float[Tensor, "row head position d_head"], Float[Tensor, "row head position d_head"]
    ]:
        """Queries, scaled so that their products with the keys are the scores, and keys."""
        query, key, _ = qkv.view(*qkv.shape[:2], 3, self.config.n_head, -1).permute(2, 0, 3, 1, 4)
        over_layer = layer + 1 if self.config.scores_over_layer else 1
        root = query.shape[-1] ** 0.5 if self.config.scaled else 1
        return query / (root * over_layer), key

    def _previous_token(
        self, qkv: Float[Tensor, "position qkv"], layer: int, first: int
    ) -> Float[Tensor, "head share_and_attention=2"]:
        """Share and mean over queries; no pattern of all queries and keys is kept."""
        n = len(qkv)
        query, key = (part[0] for part in self._query_key(qkv[None], layer))
        won, attention = (torch.empty(len(query), n - first, device=qkv.device) for _ in range(2))
        for a in range(first, n, QUERIES_AT_A_TIME):
            z = min(a + QUERIES_AT_A_TIME, n)
            at, before = torch.arange(z - a), torch.arange(a - 1, z - 1)
            scores = query[:, a:z] @ key[:, :z].transpose(1, 2)
            unseen = _unseen(z, self._window(layer))[a:]
            scores.masked_fill_(unseen.to(qkv.device), -torch.inf)
            previous = scores[:, at, before]
            attention[:, a - first : z - first] = (previous - scores.logsumexp(-1)).exp()
            scores[:, at, before] = -torch.inf
            won[:, a - first : z - first] = (previous > scores[..., 1:].amax(-1)).float()
        return torch.stack([won.mean(-1), attention.mean(-1)], dim=-1)

    def _compare(
        self,
        hidden: Float[Tensor, "doctoring position d_model"],
        tokens: Int[Tensor, " token"],
        space: Float[Tensor, "2 size"],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Sums over positions of KL, loss and agreement, a few positions at a time."""
        n, length = hidden.shape[:2]
        vocabulary = self.config.vocab_size
        kl, loss, same = (torch.zeros(n, dtype=torch.float64) for _ in range(3))
        for a in range(0, length, VOCABULARY_AT_A_TIME):
            z = min(a + VOCABULARY_AT_A_TIME, length)
            m = z - a
            logits, log_p = (s[: m * n * vocabulary].view(m * n, vocabulary) for s in space)
            rows = hidden[:, a:z].transpose(0, 1).reshape(m * n, -1)
            torch.mm(rows, self._unembedding, out=logits)
            torch.log_softmax(logits, -1, out=log_p)
            by_position = log_p.view(m, n, vocabulary)
            p = torch.exp(by_position[:, 0], out=logits[:m])
            cross = self._finite(torch.bmm(by_position, p[:, :, None])[..., 0])
            kl += (cross[:, :1] - cross).double().sum(0).cpu()
            top = p.argmax(-1)[:, None, None].expand(m, n, 1)
            tops = by_position.gather(-1, top)[..., 0] >= by_position.amax(-1)
            same += tops.double().sum(0).cpu()
            target = tokens[a + 1 : z + 1]
            at = target[:, None, None].expand(len(target), n, 1)
            loss -= by_position[: len(target)].gather(-1, at)[..., 0].double().sum(0).cpu()
        return kl, loss, same

    def _finite(self, values: Tensor) -> Tensor:
        if not torch.isfinite(values).all():
            raise SubjectError("model: expected finite logits, found NaN or infinite ones")
        return values


@cache
def _unseen(n: int, window: int | None) -> Bool[Tensor, "query key"]:
    """Which positions a position does not see: later ones, and those before the window."""
    behind = torch.arange(n)[:, None] - torch.arange(n)
    return (behind < 0) | (behind >= (window or n))


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


def _in_parts(run: Callable[[list[int]], Tensor], n_rows: int) -> Iterator[Tensor]:
    """Run some rows at a time; if memory runs out, halve their number and say so."""
    size, done = ROWS_AT_A_TIME, 0
    while done < n_rows:
        rows = list(range(done, min(done + size, n_rows)))
        try:
            part = run(rows)
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error) or size == 1:
                raise
            size = (size + 1) // 2
            print(
                f"memory: not enough for more, continuing with {size} rows at once", file=sys.stderr
            )
            continue
        done += len(rows)
        yield part


def _out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed; on the CPU torch has no error type for it."""
    return (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        or "can't allocate memory" in str(error)
        or "not enough memory" in str(error)
    )


def _progress(what: str, items: Iterable[Item], total: int) -> Iterable[Item]:
    """Iterate with a progress bar and the time left, if stderr is a terminal."""
    console, disable = Console(stderr=True), not sys.stderr.isatty()
    return track(items, f"{what:10}", total, console=console, transient=True, disable=disable)

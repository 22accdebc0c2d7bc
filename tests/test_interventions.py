"""Each intervention against transformers with the same edit written by hand, module by module."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gpt2_helix.models import runner as runner_module
from gpt2_helix.models.config import Head
from gpt2_helix.models.interventions import Hook, hold, no_mask, replace_pattern, silence, window
from gpt2_helix.suite.live import Live
from tiny_models import N, close, made, saved

NAMES = ["gpt2", "gpt_neo", "opt", "gpt2-over-layer"]
TOKENS = np.random.default_rng(6).integers(0, 50, (6, N))
HEAD, OWN = Head(1, 2), slice(16, 24)
PATTERN = np.tril(np.random.default_rng(7).random((N, N))).astype(np.float32)
LESS = np.random.default_rng(8).standard_normal((N, 32)).astype(np.float32)


@dataclass(frozen=True)
class Parts:
    """Modules of a block of transformers, whatever the architecture calls them."""

    norm: nn.Module
    attention: nn.Module
    values: nn.Module
    out: nn.Module


def parts(model: Any, layer: int) -> Parts:
    if hasattr(model, "model"):
        block = model.model.decoder.layers[layer]
        attention = block.self_attn
        return Parts(block.self_attn_layer_norm, attention, attention.v_proj, attention.out_proj)
    block = model.transformer.h[layer]
    if hasattr(block.attn, "attention"):
        attention = block.attn.attention
        return Parts(block.ln_1, attention, attention.v_proj, attention.out_proj)
    return Parts(block.ln_1, block.attn, block.attn.c_attn, block.attn.c_proj)


def into_out(part: Parts, change: Callable[[Tensor], Tensor]) -> Any:
    """Change what the heads of a block have written before the output projection."""
    return part.out.register_forward_pre_hook(lambda module, args: (change(args[0].clone()),))


def silenced(part: Parts) -> Iterator[Any]:
    yield into_out(part, torch.zeros_like)


def held(part: Parts, z: Tensor) -> Iterator[Any]:
    def change(value: Tensor) -> Tensor:
        value[:, 1:, OWN] = z
        return value

    yield into_out(part, change)


def replaced(part: Parts) -> Iterator[Any]:
    seen: list[Tensor] = []

    def change(value: Tensor) -> Tensor:
        value[:, :, OWN] = torch.tensor(PATTERN) @ seen.pop()[:, :, -32:][:, :, OWN]
        return value

    yield part.values.register_forward_hook(lambda module, args, out: seen.append(out))
    yield into_out(part, change)


def masked(part: Parts, seen: Tensor) -> Iterator[Any]:
    own = dict(part.attention.named_buffers()).get("bias")
    if own is not None:  # GPT-Neo's own causal mask and window.
        own[:, :, :N, :N] = seen

    def change(module: Any, args: Any, options: dict[str, Any]) -> Any:
        additive = torch.zeros(N, N).masked_fill(~seen, -1e30)
        return args, {**options, "attention_mask": additive.expand(len(TOKENS), 1, N, N)}

    yield part.attention.register_forward_pre_hook(change, with_kwargs=True)


def read_less(part: Parts) -> Iterator[Any]:
    less = torch.tensor(LESS)
    yield part.norm.register_forward_pre_hook(lambda module, args: (args[0] - less,))


@contextmanager
def edited(hooks: Iterator[Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for handle in hooks:
            stack.callback(handle.remove)
        yield


@torch.no_grad()
def theirs(model: Any) -> Any:
    return model(torch.tensor(TOKENS), output_hidden_states=True, output_attentions=True)


def mean_z(model: Any) -> Tensor:
    """What the head writes on average over positions and rows."""
    found: list[Tensor] = []
    part = parts(model, HEAD.layer)
    hook = part.out.register_forward_pre_hook(lambda module, args: found.append(args[0]))
    with edited(iter([hook])):
        theirs(model)
    return found[0][:, :, OWN].mean(dim=(0, 1))


SEEN = torch.ones(N, N, dtype=torch.bool)
Edit = Callable[[Any], tuple[Iterator[Any], Sequence[Hook]]]
EDITS: dict[str, Edit] = {
    "silence": lambda m: (silenced(parts(m, 0)), [silence(0)]),
    "hold": lambda m: (
        held(parts(m, HEAD.layer), mean_z(m)),
        [hold(HEAD, mean_z(m).numpy())],
    ),
    "replace-pattern": lambda m: (
        replaced(parts(m, HEAD.layer)),
        replace_pattern(HEAD, PATTERN, n_head=4),
    ),
    "no-mask": lambda m: (masked(parts(m, 0), SEEN), [no_mask(0)]),
    "window": lambda m: (masked(parts(m, 0), SEEN.tril().triu(-4)), [window(0, 5)]),
}


def close_streams(found: Any, expected: Any) -> None:
    """To five digits of the largest number: streams have no size of their own."""
    scale = abs(found).max()
    close(found / scale, expected / scale)


def same_as_theirs(subject: Live, hooks: Sequence[Hook], expected: Any) -> None:
    """Streams that enter each layer, and the pattern of each head of each layer."""
    streams = subject.model.runner.streams(subject.model.W_pos, TOKENS, range(3), hooks)
    for layer in (1, 2):
        close_streams(streams[layer], expected.hidden_states[layer])
    for row, stream in enumerate(streams[2]):
        close(subject.model.attention(2).pattern(stream, range(4)), expected.attentions[2][row])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("edit", EDITS)
def test_an_intervention_is_what_an_edit_by_hand_does(edit: str, name: str, tmp_path: Any) -> None:
    model = made(name)
    subject = saved(model, tmp_path / "model", "model.safetensors")
    intact = theirs(model).hidden_states[2]
    by_hand, hooks = EDITS[edit](model)
    with edited(by_hand):
        expected = theirs(model)
    assert abs(expected.hidden_states[2] - intact).max() > 0.01
    same_as_theirs(subject, hooks, expected)
    # Nothing of it stays.
    close_streams(subject.model.runner.streams(subject.model.W_pos, TOKENS, [2])[2], intact)


@pytest.mark.parametrize("name", NAMES)
def test_heads_read_less_while_the_stream_goes_on(name: str, tmp_path: Any) -> None:
    model = made(name)
    subject = saved(model, tmp_path / "model", "model.safetensors")
    with edited(read_less(parts(model, 2))):
        expected = theirs(model)
    streams = subject.model.runner.streams(subject.model.W_pos, TOKENS, [2])[2]
    for row, stream in enumerate(streams):
        close(
            subject.model.attention(2).pattern(stream - LESS, range(4)), expected.attentions[2][row]
        )
    close_streams(streams, theirs(model).hidden_states[2])


def test_on_attention_that_the_bridge_splits_up_the_same_comparison_fails(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It divides scores that the model does not divide, and has no hook for the mask."""
    monkeypatch.setattr(runner_module, "_leave_to_transformers", lambda adapter: None)
    model = made("gpt2-unscaled")
    subject = saved(model, tmp_path / "model", "model.safetensors")
    with pytest.raises(AssertionError):
        same_as_theirs(subject, [], theirs(model))

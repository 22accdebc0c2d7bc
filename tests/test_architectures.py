"""Tiny random models of each architecture: what is measured is what transformers computes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
)

from gpt2_helix.judging.errors import MissingInputError, SubjectError
from gpt2_helix.measure import helix, kernels
from gpt2_helix.models.attention_alone import AttentionAlone
from gpt2_helix.models.config import Head
from gpt2_helix.models.model import Model
from gpt2_helix.models.runner import Runner
from gpt2_helix.suite.subjects import open_subject
from hub_server import Hub, ask, commit_of, live_in, serve

N = 48
ENDS: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}


def gpt2(**changed: Any) -> GPT2LMHeadModel:
    sizes: dict[str, Any] = {
        "n_layer": 3,
        "n_head": 4,
        "n_embd": 32,
        "n_positions": 64,
        "vocab_size": 50,
    }
    return GPT2LMHeadModel(GPT2Config(**sizes, **ENDS, **changed))


def gpt_neo() -> GPTNeoForCausalLM:
    return GPTNeoForCausalLM(
        GPTNeoConfig(
            num_layers=3,
            num_heads=4,
            hidden_size=32,
            max_position_embeddings=64,
            vocab_size=50,
            intermediate_size=40,
            attention_types=[[["global", "local", "local"], 1]],
            window_size=7,
            **ENDS,
        )
    )


def opt() -> OPTForCausalLM:
    return OPTForCausalLM(
        OPTConfig(
            num_hidden_layers=3,
            num_attention_heads=4,
            hidden_size=32,
            max_position_embeddings=64,
            vocab_size=50,
            ffn_dim=40,
            word_embed_proj_dim=32,
            **ENDS,
        )
    )


def bert() -> BertModel:
    return BertModel(
        BertConfig(
            num_hidden_layers=3,
            num_attention_heads=4,
            hidden_size=32,
            max_position_embeddings=64,
            vocab_size=50,
            intermediate_size=40,
        )
    )


MADE: dict[str, Callable[[], PreTrainedModel]] = {
    "gpt2": gpt2,
    "gpt2-untied": lambda: gpt2(tie_word_embeddings=False),
    "gpt2-unscaled": lambda: gpt2(scale_attn_weights=False),
    "gpt2-over-layer": lambda: gpt2(scale_attn_by_inverse_layer_idx=True),
    "gpt_neo": gpt_neo,
    "opt": opt,
    "bert": bert,
}
CAUSAL = [name for name in MADE if name != "bert"]


def made(name: str) -> Any:
    """A model with weights large enough that its attention is far from uniform."""
    torch.manual_seed(5)
    model = MADE[name]()
    model.set_attn_implementation("eager")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    model.train(False)
    return model


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=0, atol=1e-5)


def write(model: Any, folder: Path, kind: str) -> None:
    folder.mkdir()
    declared = {**model.config.to_dict(), "previous_token_heads": [[1, 2]]}
    declared["heads_looking_back"] = [[0, 1]]
    (folder / "config.json").write_text(json.dumps(declared, default=str))
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    if kind == "pytorch_model.bin":
        torch.save(tensors, folder / kind)
    else:
        save_file({name: tensor.numpy() for name, tensor in tensors.items()}, folder / kind)


def opened(spec: str) -> Model:
    subject = open_subject(spec, Path("no-data"))
    assert isinstance(subject, Model)
    return subject


def saved(model: Any, folder: Path, kind: str) -> Model:
    write(model, folder, kind)
    return opened(str(folder))


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serve({"tiny/model": {}}) as hub:
        yield hub


POSITIONS = ("wpe.weight", "embed_positions.weight", "position_embeddings.weight")


@pytest.mark.parametrize("place", ["folder", "hub"])
@pytest.mark.parametrize("kind", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("name", MADE)
def test_positions_and_attention_are_those_of_transformers(
    name: str, kind: str, place: str, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attention in block 0 to positions alone, and in every block to what transformers feeds it."""
    model = made(name)
    write(model, tmp_path / "model", kind)
    if place == "folder":
        subject = opened(str(tmp_path / "model"))
    else:
        files = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
        hub.repositories["tiny/model@step-5"] = files
        live_in(monkeypatch, tmp_path / "hf")
        ask(monkeypatch, hub.endpoint)
        subject = opened("hub:tiny/model@step-5")
        assert subject.commit == commit_of("step-5")
    stored = next(t for n, t in model.state_dict().items() if n.endswith(POSITIONS))
    np.testing.assert_array_equal(subject.W_pos, stored[-64:])
    body = model if isinstance(model, BertModel) else model.base_model
    tokens = torch.arange(N)[None]
    with torch.no_grad():
        nothing = torch.zeros(1, N, model.config.hidden_size)
        from_positions = body(inputs_embeds=nothing, output_attentions=True).attentions[0]
        out = body(tokens, output_attentions=True, output_hidden_states=True)
    causal = name != "bert"
    fed = [(0, subject.W_pos, from_positions)]
    if causal:
        fed += [(i, out.hidden_states[i][0].numpy(), out.attentions[i]) for i in range(3)]
    else:
        # What enters a block of BERT was normalised by the one before, which ours does itself.
        entering = model.embeddings.word_embeddings(tokens)[0].detach().numpy() + subject.W_pos[:N]
        fed += [(0, entering, out.attentions[0])]
    for layer, entering, expected in fed:
        for head in range(4):
            block = subject.attention(layer)
            close(kernels.pattern(entering, block, head, N, causal=causal), expected[0, head])
    assert subject.measure(helix.shape).axis in (0, 1, 2)


@pytest.mark.parametrize("name", CAUSAL)
def test_a_model_is_run_as_transformers_runs_it(name: str, tmp_path: Path) -> None:
    model = made(name)
    subject = saved(model, tmp_path / "model", "model.safetensors")
    tokens = np.random.default_rng(3).integers(0, 50, N)
    with torch.no_grad():
        ids = torch.from_numpy(tokens)[None]
        out = model(ids, labels=ids, output_attentions=True)
    runner: Runner = subject.runner
    tables = runner.tables([subject.W_pos, subject.W_pos[::-1].copy()])
    (found,) = runner.windows(tokens[None], tables)
    close(found.loss[0], out.loss)
    assert abs(found.loss[1] - found.loss[0]) > 0.01
    heads = [Head(layer, head) for layer in range(3) for head in range(4)]
    patterns = runner.patterns(tokens, tables, heads)[0]
    for head, pattern in zip(heads, patterns, strict=True):
        close(pattern, out.attentions[head.layer][0, head.head])
    attention = runner.previous_token(tokens[None], tables, 1).attention[0]
    for head, pattern in zip(heads, patterns, strict=True):
        close(attention[head.layer, head.head], pattern.diagonal(-1).mean())


@pytest.mark.parametrize("name", ["gpt_neo", "opt"])
def test_continuations_are_those_of_whole_texts(name: str, tmp_path: Path) -> None:
    model = made(name)
    subject = saved(model, tmp_path / "model", "model.safetensors")
    rng = np.random.default_rng(4)
    prefix, tails = rng.integers(0, 50, 20), rng.integers(0, 50, (3, 5))
    tables = subject.runner.tables([subject.W_pos])
    found = subject.runner.continuations(prefix, tails, tables)[0]
    for tail, probabilities in zip(tails, found, strict=True):
        with torch.no_grad():
            logits = model(torch.from_numpy(np.concatenate([prefix, tail]))[None]).logits
        close(probabilities, logits[0, -1].softmax(-1))


@pytest.mark.parametrize("name", ["gpt_neo", "opt"])
def test_attention_alone_is_the_model_without_its_mlps(name: str, tmp_path: Path) -> None:
    model = made(name)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter_name.endswith(("mlp.c_proj.weight", "fc2.weight")):
                parameter.zero_()
    subject = saved(model, tmp_path / "model", "model.safetensors")
    tokens = torch.randn(1, N, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        out = model.double().base_model(
            inputs_embeds=tokens.double(), output_hidden_states=True, output_attentions=True
        )
    entering = tokens.numpy() + subject.W_pos[:N]
    alone = AttentionAlone(subject.W_pos, N, 3, 4, subject.block, np.float64)
    for layer, stream in enumerate(alone.streams(entering, 2)):
        scale = abs(stream).max()  # GPT-Neo computes its scores in float32, whatever it is given.
        close(stream[0] / scale, out.hidden_states[layer][0] / scale)
        for head, pattern in enumerate(alone.patterns(stream, layer, range(4))):
            close(pattern[0], out.attentions[layer][0, head])


def test_bert_is_measured_but_not_run(tmp_path: Path) -> None:
    subject = saved(made("bert"), tmp_path / "model", "model.safetensors")
    with pytest.raises(MissingInputError, match="a causal model"):
        _ = subject.runner
    with pytest.raises(MissingInputError, match="a causal model"):
        _ = subject.attention_alone


def test_an_old_bert_is_read(tmp_path: Path) -> None:
    model = made("bert")
    new = saved(model, tmp_path / "new", "model.safetensors")
    state = {
        f"bert.{name}".replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in model.state_dict().items()
    }
    (tmp_path / "old").mkdir()
    (tmp_path / "old/config.json").write_text((tmp_path / "new/config.json").read_text())
    torch.save(state, tmp_path / "old/pytorch_model.bin")
    old = opened(str(tmp_path / "old"))
    np.testing.assert_array_equal(old.attention(0).ln_weight, new.attention(0).ln_weight)


def test_missing_tensors_have_the_names_of_their_architecture(tmp_path: Path) -> None:
    model = made("opt")
    saved(model, tmp_path / "model", "pytorch_model.bin")
    state = model.state_dict()
    del state["model.decoder.layers.0.self_attn.k_proj.weight"]
    torch.save(state, tmp_path / "model/pytorch_model.bin")
    subject = opened(str(tmp_path / "model"))
    with pytest.raises(MissingInputError) as error:
        subject.attention(0)
    assert "decoder.layers.0.self_attn.k_proj.weight" in error.value.missing


def test_a_model_that_normalises_after_attention_is_blocked(tmp_path: Path) -> None:
    model = made("opt")
    saved(model, tmp_path / "model", "model.safetensors")
    path = tmp_path / "model/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "do_layer_norm_before": False}))
    subject = opened(str(tmp_path / "model"))
    with pytest.raises(MissingInputError, match="a LayerNorm before attention"):
        subject.attention(0)


def changed(folder: Path, name: str, **declared: Any) -> Model:
    """One of the models with something else in its configuration; None leaves it out."""
    saved(made(name), folder, "model.safetensors")
    path = folder / "config.json"
    content = {**json.loads(path.read_text()), **declared}
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
    return opened(str(folder))


def test_an_unknown_activation_function_blocks_what_runs_the_model(tmp_path: Path) -> None:
    subject = changed(tmp_path / "model", "gpt2", activation_function="no-such")
    assert subject.measure(helix.shape).turns > 0
    with pytest.raises(MissingInputError, match=r"that transformers has \('no-such'\)"):
        _ = subject.runner


def test_an_activation_function_that_is_not_named_is_that_of_the_architecture(
    tmp_path: Path,
) -> None:
    assert made("opt").config.activation_function == "relu"
    for name, expected in (("opt", "relu"), ("gpt2", "gelu_new"), ("gpt_neo", "gelu_new")):
        subject = changed(tmp_path / name, name, activation_function=None)
        assert subject.config.activation == expected


@pytest.mark.parametrize(
    "kinds", [[], [[["global"], 2]], [[["global"], 4]], [[["global", "local"], 2]], [[["far"], 3]]]
)
def test_attention_must_be_of_as_many_layers_as_there_are(tmp_path: Path, kinds: list[Any]) -> None:
    with pytest.raises(SubjectError, match="expected attention_types of 3 layers in all"):
        changed(tmp_path / "model", "gpt_neo", attention_types=kinds, attention_layers=None)

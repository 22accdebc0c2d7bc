"""Tiny random models of each architecture: what is measured is what transformers computes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertModel

from gpt2_helix.doctoring import average_in_groups
from gpt2_helix.judging.errors import InputError, MissingInputError
from gpt2_helix.measure import helix, kernels
from gpt2_helix.models import on_text
from gpt2_helix.models.config import Head
from gpt2_helix.models.runner import Runner
from gpt2_helix.suite.live import Live
from hub_server import Hub, commit_of, live_in, serve
from support import opened
from tiny_models import CAUSAL, MADE, N, close, made, saved, write


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serve({"tiny/model": {}}) as hub:
        yield hub


def stored(model: Any) -> torch.Tensor:
    """The model's positions; an OPT has two rows more, before them."""
    names = ("wpe.weight", "embed_positions.weight", "position_embeddings.weight")
    tensors: dict[str, torch.Tensor] = model.state_dict()
    return next(tensor for name, tensor in tensors.items() if name.endswith(names))


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
        subject = opened(tmp_path / "model")
        assert kind in subject.digests
    else:
        files = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
        hub.repositories["tiny/model@step-5"] = files
        live_in(monkeypatch, tmp_path / "hf", hub.endpoint)
        subject = opened("hub:tiny/model@step-5")
        assert subject.commit == commit_of("step-5")
    np.testing.assert_array_equal(subject.model.W_pos, stored(model)[-64:])
    body = model if isinstance(model, BertModel) else model.base_model
    tokens = torch.arange(N)[None]
    with torch.no_grad():
        nothing = torch.zeros(1, N, model.config.hidden_size)
        from_positions = body(inputs_embeds=nothing, output_attentions=True).attentions[0]
        out = body(tokens, output_attentions=True, output_hidden_states=True)
    causal = name != "bert"
    fed = [(0, subject.model.W_pos, from_positions)]
    if causal:
        fed += [(i, out.hidden_states[i][0].numpy(), out.attentions[i]) for i in range(3)]
    else:
        # What enters a block of BERT was normalised by the one before, which ours does itself.
        entering = (
            model.embeddings.word_embeddings(tokens)[0].detach().numpy() + subject.model.W_pos[:N]
        )
        fed += [(0, entering, out.attentions[0])]
    for layer, entering, expected in fed:
        for head in range(4):
            block = subject.model.attention(layer)
            close(kernels.pattern(entering, block, head, N, causal=causal), expected[0, head])
    assert subject.measure(helix.shape).axis in (0, 1, 2)
    bare = kernels.pattern(subject.model.W_pos, subject.model.attention(0), 0, N, causal=False)
    assert np.triu(bare, 1).max() > 0
    close(bare.sum(1), 1)


@pytest.mark.parametrize("name", CAUSAL)
def test_a_model_is_run_as_transformers_runs_it(name: str, tmp_path: Path) -> None:
    model = made(name)
    subject = saved(model, tmp_path / "model", "model.safetensors")
    tokens = np.random.default_rng(3).integers(0, 50, N)
    with torch.no_grad():
        ids = torch.from_numpy(tokens)[None]
        out = model(ids, labels=ids, output_attentions=True)
    runner: Runner = subject.model.runner
    tables = runner.tables([subject.model.W_pos, subject.model.W_pos[::-1].copy()])
    (found,) = on_text.window_statistics(runner, tokens[None], tables)
    close(found.loss[0], out.loss)
    assert abs(found.loss[1] - found.loss[0]) > 0.01
    heads = [Head(layer, head) for layer in range(3) for head in range(4)]
    patterns = on_text.patterns(runner, tokens, tables, heads)[0]
    for head, pattern in zip(heads, patterns, strict=True):
        close(pattern, out.attentions[head.layer][0, head.head])
    attention = on_text.previous_token(runner, tokens[None], tables, 1).attention[0, 0]
    for head, pattern in zip(heads, patterns, strict=True):
        close(attention[head.layer, head.head], pattern.diagonal(-1).mean())


@pytest.mark.parametrize("name", CAUSAL)
def test_continuations_are_those_of_whole_texts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_text, "ROWS_AT_A_TIME", 2)
    model = made(name)
    subject = saved(model, tmp_path / "model", "model.safetensors")
    rng = np.random.default_rng(4)
    prefix, tails = rng.integers(0, 50, 40), rng.integers(0, 50, (5, 6))
    tables = [average_in_groups(subject.model.W_pos, k) for k in (1, 5, 20)]
    runner: Runner = subject.model.runner
    for table, found in zip(
        tables, on_text.continuations(runner, prefix, tails, runner.tables(tables)), strict=True
    ):
        with torch.no_grad():
            stored(model)[-64:] = torch.from_numpy(table)
            for tail, probabilities in zip(tails, found, strict=True):
                whole = torch.from_numpy(np.concatenate([prefix, tail]))[None]
                close(probabilities, model(whole).logits[0, -1].softmax(-1))


@pytest.mark.parametrize("name", ["gpt_neo", "opt"])
def test_attention_alone_is_the_model_without_its_mlps(name: str, tmp_path: Path) -> None:
    model = made(name)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter_name.endswith(("mlp.c_proj.weight", "fc2.weight")):
                parameter.zero_()
    subject = saved(model, tmp_path / "model", "model.safetensors")
    alone = subject.attention_alone
    vectors = alone.tokens[:2, :N]
    with torch.no_grad():
        out = model.base_model(
            inputs_embeds=torch.tensor(vectors), output_hidden_states=True, output_attentions=True
        )
    for layer, stream in alone.runner.streams(subject.model.W_pos, vectors, range(3)).items():
        scale = abs(stream).max()
        close(stream / scale, out.hidden_states[layer] / scale)
        for draw, expected in zip(stream, out.attentions[layer], strict=True):
            close(alone.block(layer).pattern(draw, range(4)), expected)


def test_bert_is_measured_but_not_run(tmp_path: Path) -> None:
    subject = saved(made("bert"), tmp_path / "model", "model.safetensors")
    with pytest.raises(MissingInputError, match="a causal model"):
        _ = subject.model.runner
    with pytest.raises(MissingInputError, match="a causal model"):
        _ = subject.attention_alone


def test_an_old_bert_is_read(tmp_path: Path) -> None:
    model = made("bert")
    new = saved(model, tmp_path / "new", "model.safetensors")
    state = {
        f"bert.{name}".replace("Norm.weight", "Norm.gamma").replace(
            "Norm.bias", "Norm.beta"
        ): tensor
        for name, tensor in model.state_dict().items()
    }
    (tmp_path / "old").mkdir()
    (tmp_path / "old/config.json").write_text((tmp_path / "new/config.json").read_text())
    torch.save(state, tmp_path / "old/pytorch_model.bin")
    old = opened(tmp_path / "old")
    np.testing.assert_array_equal(
        old.model.attention(0).ln_weight, new.model.attention(0).ln_weight
    )


def test_missing_tensors_have_the_names_of_their_architecture(tmp_path: Path) -> None:
    model = made("opt")
    saved(model, tmp_path / "model", "pytorch_model.bin")
    state = model.state_dict()
    del state["model.decoder.layers.0.self_attn.k_proj.weight"]
    torch.save(state, tmp_path / "model/pytorch_model.bin")
    subject = opened(tmp_path / "model")
    with pytest.raises(MissingInputError) as error:
        subject.model.attention(0)
    assert "decoder.layers.0.self_attn.k_proj.weight" in error.value.missing


def changed(folder: Path, name: str, **declared: Any) -> Live:
    """One of the models with something else in its configuration; None leaves it out."""
    saved(made(name), folder, "model.safetensors")
    path = folder / "config.json"
    content = {**json.loads(path.read_text()), **declared}
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
    return opened(folder)


def test_a_model_that_normalises_after_attention_is_blocked(tmp_path: Path) -> None:
    subject = changed(tmp_path / "model", "opt", do_layer_norm_before=False)
    with pytest.raises(MissingInputError, match="a LayerNorm before attention"):
        subject.model.attention(0)


def test_an_unknown_activation_function_blocks_what_runs_the_model(tmp_path: Path) -> None:
    subject = changed(tmp_path / "model", "gpt2", activation_function="no-such")
    assert subject.measure(helix.shape).turns > 0
    with pytest.raises(MissingInputError, match=r"that transformers has \('no-such'\)"):
        _ = subject.model.runner


def test_an_activation_function_that_is_not_named_is_that_of_the_architecture(
    tmp_path: Path,
) -> None:
    assert made("opt").config.activation_function == "relu"
    for name, expected in (("opt", "relu"), ("gpt2", "gelu_new"), ("gpt_neo", "gelu_new")):
        subject = changed(tmp_path / name, name, activation_function=None)
        assert subject.model.config.activation == expected


@pytest.mark.parametrize(
    "kinds", [[], [[["global"], 2]], [[["global"], 4]], [[["global", "local"], 2]], [[["far"], 3]]]
)
def test_attention_must_be_of_as_many_layers_as_there_are(tmp_path: Path, kinds: list[Any]) -> None:
    with pytest.raises(InputError, match="expected attention_types of 3 layers in all"):
        changed(tmp_path / "model", "gpt_neo", attention_types=kinds, attention_layers=None)

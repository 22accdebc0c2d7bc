"""Of a model on the hub no more is received than is read, and what was received is kept."""

import json
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants, hf_hub_download
from safetensors.numpy import save

import known
from gpt2_helix.judging.errors import HubUnreachableError, InputError
from gpt2_helix.models import gpt2
from gpt2_helix.models.architectures import ARCHITECTURES, AsGPT2
from gpt2_helix.models.config import config_from, read_config
from gpt2_helix.models.model import Model
from gpt2_helix.suite.live import Live
from gpt2_helix.suite.subjects import identity, is_replication, open_subject, received
from gpt2_helix.weights import ranged
from gpt2_helix.weights.files import open_weights
from gpt2_helix.weights.hub import HubTensors, Parts, Repository
from gpt2_helix.weights.pins import HUB_MODELS, HubModel
from gpt2_helix.weights.tensors import Array, Tensors, sha256_of_tensor
from hub.model import MODEL, UNPINNED, WEIGHTS
from hub_server import COMMIT, Fault, Hub
from support import opened, refused
from tiny_models import MADE, made, write

SIZES = {**known.SIZES, "n_layer": 3, "n_head": 4, "n_embd": 128, "n_positions": 256}
SIZES = {**SIZES, "vocab_size": 3000}
TENSORS = known.tensors(SIZES)
ATTENTION = {
    name: tensor for name, tensor in TENSORS.items() if gpt2.KEPT_WITHOUT_MLPS.fullmatch(name)
}
SPEC = f"hub:{MODEL}@{COMMIT}"


@pytest.fixture(autouse=True)
def files(hub: Hub) -> dict[str, bytes]:
    """What the hub has: a whole GPT-2, most of which is no attention."""
    content = {"config.json": json.dumps(SIZES).encode(), WEIGHTS: save(TENSORS)}
    hub.repositories[MODEL] = content
    return content


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: dict[str, bytes]) -> None:
    """Let that model be GPT-2 small, under its name."""
    path = tmp_path / "pinned.json"
    path.write_bytes(files["config.json"])
    known.know(monkeypatch, TENSORS, path)
    model = HubModel(MODEL, COMMIT, tensors=HUB_MODELS["gpt2"].tensors)
    monkeypatch.setitem(HUB_MODELS, "gpt2", model)


def attend(subject: Live) -> None:
    """Read all that attention alone is made of."""
    _ = subject.model.without_mlps
    for layer in range(3):
        block = subject.model.attention(layer)
        np.testing.assert_array_equal(block.weight, TENSORS[f"h.{layer}.attn.c_attn.weight"])


def nbytes(tensors: dict[str, Array]) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())


MOST = nbytes(ATTENTION) + (len(ATTENTION) + 3) * ranged.BLOCK
"""Bytes: those tensors, the header, and what is read ahead with each."""


def test_attention_is_received_alone_and_once(hub: Hub, files: dict[str, bytes]) -> None:
    subject = opened(SPEC)
    assert hub.served[WEIGHTS] < TENSORS["wpe.weight"].nbytes + 3 * ranged.BLOCK
    attend(subject)
    assert nbytes(ATTENTION) < hub.served[WEIGHTS] < MOST < len(files[WEIGHTS]) / 2
    read, size = hub.served[WEIGHTS] / 1e6, len(files[WEIGHTS]) / 1e6
    assert received(subject) == f"{read:.1f} of {size:.1f} MB received from the hub"
    hub.forget()
    again = opened(SPEC)
    attend(again)
    assert hub.requests == []
    assert received(again) == ""


def test_another_tensor_brings_the_whole_file_which_then_serves(
    hub: Hub, files: dict[str, bytes]
) -> None:
    subject = opened(SPEC)
    _ = subject.model.runner
    assert hub.served[WEIGHTS] < len(files[WEIGHTS]) + MOST
    hub.forget()
    again = opened(SPEC)
    attend(again)
    assert hub.requests == []
    assert received(again) == ""


def test_a_file_that_is_cached_whole_serves_for_all(hub: Hub) -> None:
    for name in ("config.json", WEIGHTS):
        hf_hub_download(MODEL, name, revision=COMMIT)
    hub.forget()
    attend(opened(SPEC))
    assert hub.requests == []


def test_what_was_received_before_a_cut_is_not_received_again(hub: Hub) -> None:
    first = opened(SPEC)
    first.model.attention(0)
    hub.faults = [Fault(WEIGHTS, cut=2000)]
    with pytest.raises(HubUnreachableError, match="found no answer"):
        first.model.attention(1)
    hub.forget()
    attend(opened(SPEC))
    block = {name: t for name, t in ATTENTION.items() if name.startswith("h.0.")}
    before = {n: t for n, t in block.items() if "ln_1" in n or "c_attn" in n}
    assert hub.served[WEIGHTS] < MOST - nbytes(before) - TENSORS["wpe.weight"].nbytes


def test_without_a_network_what_is_kept_serves(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    attend(opened(SPEC))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.forget()
    attend(opened(SPEC))
    assert hub.requests == []


def test_a_part_that_is_spoilt_where_it_is_kept_is_received_again(hub: Hub, home: Path) -> None:
    attend(opened(SPEC))
    (kept,) = home.rglob("h.1.attn.c_attn.weight-*.safetensors")
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    hub.forget()
    attend(opened(SPEC))
    assert hub.served[WEIGHTS] > TENSORS["h.1.attn.c_attn.weight"].nbytes


@pytest.mark.usefixtures("pinned")
@pytest.mark.parametrize("name", ["wpe.weight", "h.1.attn.c_attn.weight", "h.2.ln_1.bias"])
def test_a_part_of_a_pinned_model_is_compared_when_it_is_received(
    hub: Hub, files: dict[str, bytes], name: str
) -> None:
    hub.faults = [Fault(WEIGHTS, flip=files[WEIGHTS].index(TENSORS[name].tobytes()) + 7)]
    with refused(f"{MODEL}: expected {name} with sha256 {sha256_of_tensor(TENSORS[name])}, found"):
        attend(opened("gpt2"))
    hub.forget()
    attend(opened("gpt2"))


@pytest.mark.usefixtures("pinned")
@pytest.mark.parametrize("spec", ["gpt2", SPEC, f"hub:{MODEL}"])
def test_a_pinned_model_is_counted_as_it_is_read(hub: Hub, spec: str) -> None:
    subject = opened(spec)
    assert identity(subject.digests) == f"1 of {len(TENSORS)} tensors, each as published"
    attend(subject)
    count = f"{len(ATTENTION)} of {len(TENSORS)} tensors, each as published"
    assert identity(subject.digests) == count
    assert not is_replication(subject)
    _ = subject.model.runner
    attend(opened(spec))
    assert identity(opened(spec).digests).startswith(f"{len(TENSORS)} of {len(TENSORS)} tensors")


@pytest.mark.usefixtures("pinned")
def test_with_the_positions_of_gpt2_small_the_rest_is_read_before_it_is_believed(
    hub: Hub, files: dict[str, bytes]
) -> None:
    other = {name: tensor.copy() for name, tensor in TENSORS.items()}
    hub.repositories["a/copy"] = {**files, WEIGHTS: save(other)}
    other["h.2.mlp.c_fc.weight"][0, 0] += 1
    hub.repositories["a/tuned"] = {**files, WEIGHTS: save(other)}
    assert not is_replication(opened("hub:a/copy"))
    tuned = opened("hub:a/tuned")
    assert is_replication(tuned)
    assert identity(tuned.digests).startswith("not GPT-2 small: h.2.mlp.c_fc.weight differs")
    assert hub.served[WEIGHTS] < 2 * (len(files[WEIGHTS]) + 2**18)


def test_a_part_larger_than_the_configuration_says_is_not_read(
    hub: Hub, files: dict[str, bytes]
) -> None:
    name = "h.0.attn.c_attn.weight"
    files[WEIGHTS] = save({**TENSORS, name: np.zeros((4096, 384), np.float32)})
    subject = opened(SPEC)
    with refused(f"{MODEL}: expected {name} of 49152 numbers at most, as in config.json"):
        subject.model.attention(0)
    assert hub.served[WEIGHTS] < MOST


@pytest.mark.parametrize("whole", [False, True])
def test_names_on_the_hub_are_checked_as_in_a_folder(
    hub: Hub, files: dict[str, bytes], whole: bool
) -> None:
    files["config.json"] = json.dumps({**SIZES, "n_layer": 2}).encode()
    for name in ["config.json", WEIGHTS] if whole else []:
        hf_hub_download(MODEL, name, revision=COMMIT)
    with refused(f"{MODEL}: expected tensors of 2 layers as in config.json, found h.2."):
        opened(SPEC).model.attention(0)


def test_only_what_attention_is_made_of_is_a_part() -> None:
    config = config_from(SIZES, "test")
    names = gpt2.of_attention(ARCHITECTURES["gpt2"])
    for prefix in ("", "transformer."):
        parts = {name for name in gpt2.shapes(config) if names.fullmatch(prefix + name)}
        assert parts == set(ATTENTION)
    tensors = HubTensors(Repository(UNPINNED), Parts(("wpe.weight",), (3, 2)))
    assert not tensors._is_part("h.0.ln_1.weight")
    with pytest.raises(InputError):
        open_subject(f"hub:{MODEL}@../x", Path("no-data"))


class Spied(Tensors):
    """Tensors that remember which of them were read."""

    def __init__(self, held: Tensors) -> None:
        self.held, self.stored, self.read = held, held.stored, set[str]()

    def __getitem__(self, name: str) -> Array:
        self.read.add(name)
        return self.held[name]


@pytest.mark.parametrize("name", MADE)
def test_attention_of_every_architecture_is_made_of_parts(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write(made(name), folder, WEIGHTS)
    config = read_config(folder / "config.json")
    spied, architecture = Spied(open_weights(folder / WEIGHTS)), config.architecture
    model = Model(name, config, AsGPT2(spied, architecture))
    for layer in range(config.n_layer):
        model.attention(layer)
    if architecture.causal:
        _ = model.without_mlps
    parts = gpt2.of_attention(architecture)
    assert spied.read
    assert not {key for key in spied.read if not parts.fullmatch(key)}
    large = ("wte", "word_embeddings", "embed_tokens", "c_fc", "fc1", "fc2.weight", "intermediate")
    assert not {key for key in spied if parts.fullmatch(key) and any(n in key for n in large)}

"""Files and configurations that are not what they say: refused in one line, and never run."""

import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save
from safetensors.torch import save as save_torch

from gpt2_helix.judging.errors import InputError, MissingInputError
from gpt2_helix.models.architectures import ARCHITECTURES
from gpt2_helix.models.config import TOO_MANY, read_config
from gpt2_helix.weights.checkpoint import CheckpointFile
from gpt2_helix.weights.tensors import Array, SafetensorsFile, Tensors
from support import CONFIG, Folder, checkpoint, helix_rows, opened, refused

UNTIMED = settings(deadline=None, max_examples=50)
TENSORS: dict[str, Array] = {
    "wpe.weight": np.ones((3, 2), np.float32),
    "b": np.arange(5, dtype=np.float16),
}
SAFETENSORS = save(TENSORS)


CHECKPOINT = checkpoint(TENSORS)


Kind = Callable[[BinaryIO, str], Tensors]
BOTH = ((SAFETENSORS, SafetensorsFile), (CHECKPOINT, CheckpointFile))


@contextmanager
def read_or_refused() -> Iterator[None]:
    """Let through a refusal, if it is one short line."""
    said = ""
    try:
        yield
    except InputError as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 500


@pytest.mark.parametrize(("content", "kind"), BOTH)
def test_a_sound_file_is_read(content: bytes, kind: Kind) -> None:
    tensors = kind(io.BytesIO(content), "here")
    assert set(tensors) == set(TENSORS)
    assert "other" not in tensors
    for name, tensor in TENSORS.items():
        found = tensors[name]
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, tensor)


@pytest.mark.parametrize("shape", [(7, 3), (0, 3), ()])
def test_bfloat16_becomes_the_float32_that_torch_makes_of_it(shape: tuple[int, ...]) -> None:
    """Among tensors of other kinds, so that it begins somewhere in the file."""
    made = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 1e30
    tensors = {"a": torch.ones(5), "b": made.bfloat16(), "c": torch.ones(3).half()}
    tensors["d"] = torch.tensor([-0.0, 1e-40, 3.38e38]).bfloat16()
    found = SafetensorsFile(io.BytesIO(save_torch(tensors)), "here")
    for name, tensor in tensors.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], tensor.float().numpy(), strict=True)
        np.testing.assert_array_equal(np.signbit(found[name]), tensor.float().signbit())


@pytest.mark.parametrize(("content", "kind"), BOTH)
@UNTIMED
@given(changes=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=4))
@example(changes=[(0, 255)])
def test_a_file_with_some_bytes_changed(
    content: bytes, kind: Kind, changes: list[tuple[int, int]]
) -> None:
    changed = bytearray(content)
    for at, byte in changes:
        changed[at % len(content)] = byte
    with read_or_refused():
        tensors = kind(io.BytesIO(changed), "here")
        for name in tensors:
            assert tensors[name].size <= len(content)


@pytest.mark.parametrize(("content", "kind"), BOTH)
@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, 0.99])
def test_a_file_that_is_cut_short(content: bytes, kind: Kind, keep: float) -> None:
    part = content[: int(keep if keep >= 1 else keep * len(content))]
    with pytest.raises(InputError, match="expected"):
        list(kind(io.BytesIO(part), "here").values())


def test_integers_in_a_checkpoint_are_not_taken_for_weights() -> None:
    held = CheckpointFile(io.BytesIO(checkpoint({"a": np.ones(3, np.int64)})), "here")
    with pytest.raises(InputError, match=r"expected floating-point numbers, found torch\.int64"):
        held["a"]


def test_a_part_of_a_larger_storage_is_not_taken_for_a_whole_one() -> None:
    numbers = torch.arange(100.0)
    file = io.BytesIO()
    torch.save({"a": numbers[10:20], "b": numbers.reshape(10, 10).T}, file)
    tensors = CheckpointFile(file, "here")
    np.testing.assert_array_equal(tensors["a"], np.arange(10, 20, dtype=np.float32))
    np.testing.assert_array_equal(tensors["b"], np.arange(100).reshape(10, 10).T)


def test_a_compressed_storage_is_not_unpacked() -> None:
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(checkpoint({"a": np.zeros(10**5, np.float32)}))) as plain,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for record in plain.namelist():
            archive.writestr(record, plain.read(record))
    with pytest.raises(InputError, match="found 400000 bytes for a"):
        CheckpointFile(packed, "here")["a"]


def test_code_that_comes_with_a_model_is_not_run(folder: Folder, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    path = folder(config={"auto_map": {"AutoModel": "evil.Evil"}, "trust_remote_code": True})
    (path / "evil.py").write_text(f"open({str(ran)!r}, 'w')")
    pickled = b"cposix\nsystem\n(S'touch " + bytes(ran) + b"'\ntR."
    (path / "pytorch_model.bin").write_bytes(pickled)
    opened(path)
    (path / "model.safetensors").unlink()
    with pytest.raises(InputError, match="found a file that is no zip archive"):
        opened(path)
    assert not ran.exists()


NEAR = st.integers(-2, 24) | st.integers() | st.floats() | st.booleans() | st.none()
JSON: st.SearchStrategy[Any] = (
    NEAR | st.text(max_size=5) | st.lists(NEAR, max_size=2) | st.just({"gpt2": [{}]})
)
SIZE = st.sampled_from([1, 2, 3, 4, 6, 12, TOO_MANY - 1]) | JSON
KEYS = sorted({key for a in ARCHITECTURES.values() for key in a.keys.values()})


@settings(deadline=None)
@given(
    st.sampled_from(sorted(ARCHITECTURES)) | JSON,
    st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, SIZE)),
)
def test_a_configuration_of_anything_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: Any, declared: dict[str, Any]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "configured"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**declared, "model_type": kind}))
    (folder / "model.safetensors").write_bytes(SAFETENSORS)
    with read_or_refused():
        config = read_config(folder / "config.json")
        for size in (config.n_layer, config.n_head, config.n_embd, config.n_positions):
            assert 0 < size < TOO_MANY
    # The tensors that the file holds fit no such configuration, or they are read.
    with suppress(InputError, MissingInputError):
        opened(folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 2**19, "expected JSON, found something else"),
        (" " * (2**20 + 1), "expected at most 1048576 bytes, found 1048577"),
        ('{"model_type": "' + "x" * 2**19 + '"}', "expected a model_type with learned"),
        ('{"model_type": {"gpt2": 1}}', "expected a model_type with learned"),
        (json.dumps({**CONFIG, "n_layer": 10**9}), "expected n_layer to be a positive int below"),
        (json.dumps(CONFIG).replace("1e-05", "NaN"), "expected layer_norm_epsilon to be"),
        (json.dumps(CONFIG).replace("1e-05", "1" + 5000 * "0"), "expected JSON, found"),
        (json.dumps(CONFIG)[:-1] + ', "n_layer": 1}', "the name 'n_layer' stands twice"),
        (json.dumps({**CONFIG, "tie_word_embeddings": "no"}), "to be true or false, found 'no'"),
    ],
)
def test_a_hostile_configuration_is_refused_in_one_line(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with refused(said):
        read_config(path)


HEADS = ("[[0.9, 1.9]]", "true", "Infinity", "[[Infinity, 0]]", "[[true, false]]", '[["2", "2"]]')


@pytest.mark.parametrize("heads", [*HEADS, "[[2, 2], [2, 2]]", "[[2, 2, 2]]", "[[-1, 0]]", "null"])
@pytest.mark.parametrize("key", ["previous_token_heads", "heads_looking_back"])
def test_heads_that_are_no_pairs_of_numbers(tmp_path: Path, key: str, heads: str) -> None:
    path = tmp_path / "config.json"
    rest = {name: value for name, value in CONFIG.items() if name != key}
    path.write_text(f'{json.dumps(rest)[:-1]}, "{key}": {heads}}}')
    with refused(f"expected {key} as different pairs of a layer below 12"):
        read_config(path)


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "loop"])
def test_a_configuration_that_is_no_file_is_not_waited_for(folder: Folder, kind: str) -> None:
    path = folder() / "config.json"
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "device" else path)
    with refused("config.json: expected"):
        opened(path.parent)


@pytest.mark.parametrize(
    ("kind", "beyond"),
    [
        ("gpt2", "transformer.h.12.ln_1.bias"),
        ("gpt_neo", "h.12.attn.attention.q_proj.weight"),
        ("opt", "model.decoder.layers.99999999999999.fc1.bias"),
        ("bert", "encoder.layer.12.output.LayerNorm.gamma"),
    ],
)
def test_layers_that_the_configuration_does_not_have(kind: str, beyond: str) -> None:
    check = ARCHITECTURES[kind].check_names
    check([beyond.replace("12", "11").replace("9", "1")[:40], "wpe.weight"], 2**40, "here")
    with refused(f"here: expected tensors of 12 layers as in config.json, found {beyond}"):
        check(["wpe.weight", beyond], 12, "here")


@pytest.mark.parametrize("changed", [{"n_layer": 1}, {"n_layer": 2}])
def test_a_configuration_of_fewer_layers_than_there_are(
    folder: Folder, changed: dict[str, int]
) -> None:
    layers = {f"h.{i}.ln_1.weight": np.ones(768, np.float32) for i in range(2)}
    none: dict[str, Any] = {"previous_token_heads": [], "heads_looking_back": []}
    path = folder(config={**none, **changed}, tensors={"wpe.weight": helix_rows(), **layers})
    if changed["n_layer"] == 2:
        opened(path)
        return
    with refused("expected tensors of 1 layers as in config.json, found h.1.ln_1.weight"):
        opened(path)


def test_two_names_for_one_tensor(folder: Folder) -> None:
    rows = helix_rows()
    path = folder(tensors={"wpe.weight": rows, "transformer.wpe.weight": -rows})
    with refused("expected one name for a tensor, found transformer.wpe.weight and wpe.weight"):
        opened(path)
    bert = ARCHITECTURES["bert"]
    names = ["bert.embeddings.LayerNorm.weight", "embeddings.LayerNorm.gamma"]
    with refused("expected one name for a tensor"):
        bert.check_names(names, 12, "here")


def _with_pickle(content: bytes, old: bytes, new: bytes) -> bytes:
    """An archive of PyTorch whose pickle is another."""
    changed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as before,
        zipfile.ZipFile(changed, "w") as after,
    ):
        for name in before.namelist():
            record = before.read(name)
            after.writestr(name, record.replace(old, new) if name.endswith(".pkl") else record)
    return changed.getvalue()


MATRIX = torch.arange(12.0).reshape(3, 4)
STRIDE = b"K\x04K\x01\x86"
ODD = {
    "sparse": {"a": MATRIX.to_sparse()},
    "compressed": {"b": MATRIX, "a": MATRIX.to_sparse_coo().float().coalesce()},
    "meta": {"a": torch.empty(3, 4, device="meta")},
    "another on meta": {"b": MATRIX, "a": torch.empty(3, 4, device="meta")},
    "turned sign": {"a": MATRIX.to(torch.complex64).conj().imag},
}


@pytest.mark.parametrize("what", [*ODD, "negative stride", "both negative", "negative offset"])
def test_a_checkpoint_of_tensors_that_are_not_stored_as_they_are(what: str) -> None:
    if what in ODD:
        content = checkpoint(ODD[what])
    else:
        new = {
            "negative stride": b"J\xfc\xff\xff\xffK\x01\x86",
            "both negative": b"J\xfc\xff\xff\xffJ\xff\xff\xff\xff\x86",
        }
        old = STRIDE if what in new else b"QK\x00"
        content = _with_pickle(checkpoint({"a": MATRIX}), old, new.get(what, b"QJ\xff\xff\xff\xff"))
    with refused("here: expected a PyTorch checkpoint of tensors by name, found "):
        CheckpointFile(io.BytesIO(content), "here")["a"]

"""GPT-2 small is known by its tensors: one bit of one of them, and it is another model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import known
from gpt2_helix import cli, places
from gpt2_helix.judging.errors import InputError
from gpt2_helix.judging.records import RecordedSubject
from gpt2_helix.models.identity import GPT2_SMALL, fits
from gpt2_helix.suite import recording
from gpt2_helix.suite.subjects import (
    identity,
    is_replication,
    said_of_weights,
    weaker_evidence,
)
from gpt2_helix.weights import pins, versions
from gpt2_helix.weights.pins import GPT2_SMALL_TENSORS, HUB_MODELS, is_gpt2_small
from gpt2_helix.weights.tensors import Array, sha256_of_each, sha256_of_tensor
from support import ROOT, Folder, opened, refused

REAL = ROOT.parent / "shared/gpt2"
KINDS = [name for name in known.tensors() if not name.startswith("h.0.")]
WHOLE = f"{len(known.tensors())} of {len(known.tensors())} tensors, each as published"


@pytest.fixture
def gpt2(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small model that tests take for GPT-2 small."""
    path = folder(config=bare(known.SIZES), tensors=known.tensors())
    known.know(monkeypatch, known.tensors(), path / "config.json")
    return path


def bare(sizes: dict[str, object]) -> dict[str, object]:
    """A configuration that names no heads."""
    return {**sizes, "previous_token_heads": [], "heads_looking_back": []}


def change(folder: Path, **changed: Array) -> None:
    held = load_file(folder / "model.safetensors")
    save_file({**held, **changed}, folder / "model.safetensors")


def flipped(tensor: Array) -> Array:
    """The tensor with the lowest bit of one number turned."""
    numbers = tensor.copy()
    numbers.view(np.uint32).flat[3] ^= 1
    return numbers


def test_the_table_has_every_tensor_of_gpt2_small() -> None:
    from gpt2_helix.models.gpt2 import shapes

    assert set(GPT2_SMALL_TENSORS) == set(shapes(GPT2_SMALL))
    assert len(GPT2_SMALL_TENSORS) == 148
    assert HUB_MODELS["gpt2"].tensors is GPT2_SMALL_TENSORS


def test_with_every_tensor_as_published_it_is_gpt2_small(gpt2: Path) -> None:
    subject = opened(gpt2)
    assert is_gpt2_small(subject.digests)
    assert identity(subject.digests) == WHOLE
    assert not is_replication(subject)


def test_a_part_of_its_tensors_is_gpt2_small(gpt2: Path) -> None:
    held = {n: t for n, t in known.tensors().items() if "mlp" not in n and n != "wte.weight"}
    save_file(held, gpt2 / "model.safetensors")
    subject = opened(gpt2)
    assert is_gpt2_small(subject.digests)
    assert identity(subject.digests).startswith(f"{len(held)} of {len(known.tensors())} tensors")


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_one_bit_of_any_kind_of_tensor_and_it_is_another_model(
    gpt2: Path, name: str, prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = known.tensors()
    held[name] = flipped(held[name])
    save_file({prefix + n: t for n, t in held.items()}, gpt2 / "model.safetensors")
    subject = opened(gpt2)
    assert not is_gpt2_small(subject.digests)
    assert is_replication(subject)
    assert weaker_evidence(subject, places.DATA) == []
    assert subject.published_in is None
    found, published = sha256_of_tensor(held[name]), pins.GPT2_SMALL_TENSORS[name]
    assert identity(subject.digests) == (
        f"not GPT-2 small: {name} differs, {found[:8]}, published {published[:8]}"
    )
    into = tmp_path / "into"
    command = ["record", "positions", "--into", str(into), "--subject"]
    assert cli.main([*command, "gpt2", "--weights", str(gpt2)]) == 2
    said = capsys.readouterr().err
    assert f"expected gpt2's {name} with sha256 {published}, found {found}" in said
    assert not into.exists()


def test_what_differs_is_not_recorded_among_the_records_of_gpt2_small(
    gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = tmp_path / "into"
    cli.record(str(gpt2), "positions", into)
    before = {path: path.read_bytes() for path in into.iterdir()}
    assert is_gpt2_small(RecordedSubject("gpt2", into).digests)
    tensor = known.tensors()["h.1.attn.c_attn.weight"]
    change(gpt2, **{"h.1.attn.c_attn.weight": flipped(tensor)})
    with refused(f"--into: expected GPT-2 small for {into}, found {gpt2}, not GPT-2 small: h.1."):
        cli.record(str(gpt2), "architecture", into)
    assert {path: path.read_bytes() for path in into.iterdir()} == before
    # Nor in its folder if that is empty.
    monkeypatch.setattr(places, "DATA", tmp_path / "data")
    with refused("expected GPT-2 small for"):
        cli.record(str(gpt2), "positions", tmp_path / "data" / "gpt2")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "changed",
    [
        {"layer_norm_epsilon": 1e-3},
        {"n_head": 4},
        {"scale_attn_by_inverse_layer_idx": True},
        {"activation_function": "relu"},
        {"previous_token_heads": [[1, 1]]},
    ],
)
def test_with_another_configuration_it_is_another_model(
    gpt2: Path, changed: dict[str, object]
) -> None:
    path = gpt2 / "config.json"
    assert identity(opened(gpt2).digests) == WHOLE
    path.write_text(json.dumps(known.declared(path), indent=7))
    assert identity(opened(gpt2).digests) == WHOLE  # Other bytes say the same.
    path.write_text(json.dumps({**known.declared(path), **changed}))
    subject = opened(gpt2)
    assert not is_gpt2_small(subject.digests)
    assert identity(subject.digests).startswith("not GPT-2 small: config.json differs, ")


def test_a_tensor_that_gpt2_small_does_not_have(gpt2: Path) -> None:
    change(gpt2, **{"score.weight": np.ones(3, np.float32)})
    said = identity(opened(gpt2).digests)
    assert said.startswith("not GPT-2 small: score.weight differs, ")
    assert said.endswith("which GPT-2 small does not have")


def test_masks_are_no_weights_and_the_unembedding_is_the_embedding(gpt2: Path) -> None:
    masks = {"h.0.attn.bias": np.ones((64, 64), np.uint8)}
    change(gpt2, **masks, **{"lm_head.weight": known.tensors()["wte.weight"]})
    assert is_gpt2_small(opened(gpt2).digests)
    change(gpt2, **{"lm_head.weight": flipped(known.tensors()["wte.weight"])})
    assert identity(opened(gpt2).digests).startswith("not GPT-2 small: lm_head.weight differs")


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_a_lower_precision_is_not_verified(
    gpt2: Path, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from safetensors.torch import save_file as save_torch

    dtype = getattr(torch, precision)
    low = {name: torch.from_numpy(t).to(dtype) for name, t in known.tensors().items()}
    rounded = sha256_of_tensor(low["wpe.weight"].float().numpy())
    monkeypatch.setitem(pins.ROUNDED_W_POS, precision, rounded)
    save_torch(low, gpt2 / "model.safetensors")
    subject = opened(gpt2)
    assert identity(subject.digests).startswith(f"GPT-2 small in {precision}, not verified")
    told = f"its positions are those of GPT-2 small in {precision}, not verified: "
    assert said_of_weights(subject).startswith(told)
    assert is_replication(subject)


def test_doubles_are_compared_without_rounding(gpt2: Path) -> None:
    held: dict[str, Any] = {n: t.astype(np.float64) for n, t in known.tensors().items()}
    save_file(held, gpt2 / "model.safetensors")
    assert is_gpt2_small(opened(gpt2).digests)
    held["ln_f.bias"][2] *= 1 + 1e-12
    save_file(held, gpt2 / "model.safetensors")
    assert identity(opened(gpt2).digests).startswith("not GPT-2 small: ln_f.bias differs")


def test_a_model_in_memory_is_known_by_its_tensors_too(gpt2: Path) -> None:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from gpt2_helix.models.sources import open_in_memory

    sizes = {name: size for name, size in known.SIZES.items() if name != "model_type"}
    held: Any = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0))  # type: ignore[arg-type]
    held.load_state_dict(
        {f"transformer.{n}": torch.from_numpy(t) for n, t in known.tensors().items()}, strict=False
    )
    assert identity(open_in_memory(held).digests) == WHOLE
    with torch.no_grad():
        held.transformer.h[1].mlp.c_fc.bias[0] += 1
    model = open_in_memory(held)
    assert identity(model.digests).startswith("not GPT-2 small: h.1.mlp.c_fc.bias differs")


def test_a_file_that_changes_while_it_is_open(gpt2: Path) -> None:
    subject = opened(gpt2)
    path = gpt2 / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[content.index(known.tensors()["h.0.attn.c_attn.weight"].tobytes())] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    with pytest.raises(InputError, match=r"h\.0\.attn\.c_attn\.weight with sha256 .* as when it"):
        subject.model.attention(0)


def test_digests_are_made_once_for_a_version_of_a_file(
    gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def spy(tensors: Any, names: list[str]) -> dict[str, str]:
        made.extend(names)
        return sha256_of_each(tensors, names)

    monkeypatch.setattr(versions, "sha256_of_each", spy)
    monkeypatch.setattr(versions, "LARGE", 0)
    monkeypatch.setattr(versions, "CACHE", tmp_path / "cache")
    for _ in range(2):
        assert identity(opened(gpt2).digests) == WHOLE
        assert len(made) == len(known.tensors())
    tensor = known.tensors()["h.1.ln_2.bias"]
    change(gpt2, **{"h.1.ln_2.bias": flipped(tensor)})
    assert identity(opened(gpt2).digests).startswith("not GPT-2 small: h.1.ln_2.bias differs")
    # A folder of notes that cannot be written, or a note that is spoilt, does no harm.
    for note in (tmp_path / "cache/digests").iterdir():
        note.write_text(note.read_text().replace('"sha256": {', '"sha256": 3, "x": {'))
    assert identity(opened(gpt2).digests).startswith("not GPT-2 small: h.1.ln_2.bias differs")
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(versions, "CACHE", tmp_path / "file/cache")
    assert identity(opened(gpt2).digests).startswith("not GPT-2 small: h.1.ln_2.bias differs")


def test_a_record_is_gpt2_smalls_only_if_no_digest_contradicts() -> None:
    recorded = RecordedSubject("gpt2", places.DATA / "gpt2").digests
    assert is_gpt2_small(recorded)
    for name in ("wpe.weight", "h.3.attn.c_attn.weight", "config.json"):
        assert not is_gpt2_small({**recorded, name: "0" * 64})
    assert not is_gpt2_small({n: d for n, d in recorded.items() if n != "wpe.weight"})
    assert not is_gpt2_small({})


@pytest.mark.skipif(not REAL.is_dir(), reason="the tensors of GPT-2 small are not at hand")
def test_the_real_tensors_are_each_as_published() -> None:
    subject = opened(REAL)
    assert fits(subject.model.config)
    assert identity(subject.digests) == "123 of 148 tensors, each as published"
    assert is_gpt2_small(subject.digests)
    assert recording.open_live("gpt2", str(REAL)).name == "gpt2"
    rounded = subject.model.W_pos.astype(np.float16).astype(np.float32)
    assert pins.ROUNDED_W_POS["float16"] == sha256_of_tensor(rounded)

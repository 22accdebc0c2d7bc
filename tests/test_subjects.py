"""Good folders, partial ones, and all that can be wrong with one."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpt2_helix.judging.errors import HubUnreachableError, MissingInputError
from gpt2_helix.judging.records import RecordedSubject
from gpt2_helix.measure import helix, kernels
from gpt2_helix.suite import controls
from gpt2_helix.suite.live import Live
from gpt2_helix.suite.subjects import open_subject
from gpt2_helix.texts import TextInputs
from gpt2_helix.weights.pins import HUB_MODELS
from support import ROOT, Folder, helix_rows, opened, refused


def test_a_partial_folder_offers_what_it_has(folder: Folder) -> None:
    subject = opened(folder())
    assert subject.measure(helix.shape).turns > 2
    with pytest.raises(MissingInputError) as missing:
        subject.measure(kernels.local_heads)
    assert missing.value.missing == [
        "h.0.ln_1.weight",
        "h.0.ln_1.bias",
        "h.0.attn.c_attn.weight",
        "h.0.attn.c_attn.bias",
    ]


def test_a_prefix_before_the_names_and_half_precision_are_read(folder: Folder) -> None:
    rows = helix_rows().astype(np.float16)
    subject = opened(folder(tensors={"transformer.wpe.weight": rows}))
    assert subject.model.W_pos.dtype == np.float32
    np.testing.assert_array_equal(subject.model.W_pos, rows.astype(np.float32))


def test_scores_that_are_divided_by_the_layer_are(folder: Folder) -> None:
    tensors = {
        "wpe.weight": helix_rows(),
        "h.1.ln_1.weight": np.ones(768, np.float32),
        "h.1.ln_1.bias": np.zeros(768, np.float32),
        "h.1.attn.c_attn.weight": np.eye(768, 2304, dtype=np.float32),
        "h.1.attn.c_attn.bias": np.zeros(2304, np.float32),
    }
    plain = opened(folder("plain", tensors=tensors))
    scaled = opened(folder("scaled", {"scale_attn_by_inverse_layer_idx": True}, tensors))
    (one, key), (half, same) = (
        subject.model.attention(1).query_key(subject.model.W_pos, [0])
        for subject in (plain, scaled)
    )
    np.testing.assert_array_equal(half, one / 2)
    np.testing.assert_array_equal(key, same)


def test_a_measurement_is_made_once(folder: Folder) -> None:
    subject = opened(folder())
    assert subject.measure(helix.shape) is subject.measure(helix.shape)


def test_files_that_are_not_there(folder: Folder) -> None:
    for name, line in (
        ("config.json", "expected a config.json, found none"),
        ("model.safetensors", "expected a model.safetensors or a pytorch_model.bin, found none"),
    ):
        path = folder(f"without-{name}")
        (path / name).unlink()
        with refused(line):
            opened(path)


@pytest.mark.parametrize("text", ["{", "[1]", "\x00", '{"model_type": "gpt2"}'])
def test_a_config_that_is_none(folder: Folder, text: str) -> None:
    path = folder()
    (path / "config.json").write_text(text)
    with refused("config.json: expected"):
        opened(path)


NO_POSITIONS = "expected a model_type with learned absolute positions"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"n_head": 0}, "expected"),
        ({"n_embd": -1}, "expected"),
        ({"n_layer": "12"}, "expected"),
        ({"n_positions": True}, "expected"),
        ({"n_head": 7}, "expected"),
        ({"n_head": 1, "n_positions": 5}, "expected n_positions to be 6 or more, found"),
        ({"n_head": 1, "n_embd": 3}, "expected n_embd to be 4 or more, found"),
        ({"model_type": "llama"}, NO_POSITIONS),
        ({"model_type": "gpt_neox"}, NO_POSITIONS),
        ({"model_type": None}, NO_POSITIONS),
    ],
)
def test_a_config_of_another_model(folder: Folder, changed: dict[str, object], said: str) -> None:
    with refused(said):
        opened(folder(config=changed))


@pytest.mark.parametrize(
    ("start", "keep"), [("", 0), ("", 4), ("", 100), ("", 3_000_000), ("\xff" * 8, None)]
)
def test_a_file_that_is_not_whole(folder: Folder, start: str, keep: int | None) -> None:
    weights = folder() / "model.safetensors"
    whole = weights.read_bytes()[:keep]
    weights.write_bytes(start.encode("latin-1") + whole[len(start) :])
    with refused("expected a whole safetensors file"):
        opened(weights.parent)


@pytest.mark.parametrize(
    ("W_pos", "said"),
    [
        (helix_rows()[:1000], ("shape (1024, 768)", "found (1000, 768)")),
        (np.zeros((1024, 768), np.int32), ("wpe.weight as F16, BF16, F32 or F64, found I32",)),
    ],
)
def test_positions_of_another_kind(folder: Folder, W_pos: Any, said: tuple[str, ...]) -> None:
    with refused("expected", *said):
        opened(folder(tensors={"wpe.weight": W_pos}))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite(folder: Folder, value: float) -> None:
    rows = helix_rows()
    rows[500, 7] = value
    with refused("found 1 of 786432 that are NaN or infinite"):
        opened(folder(tensors={"wpe.weight": rows}))


@pytest.mark.parametrize("repo", ["gpt2", "a--b/c", "-a/c", "a/c.git", "a/b/c", "a/c@../d"])
def test_a_repository_that_the_hub_cannot_have(repo: str) -> None:
    with refused("expected hub:OWNER/NAME[@REVISION], found 'hub:"):
        opened(f"hub:{repo}")


def test_an_unknown_name(folder: Folder) -> None:
    with refused("published:NAME or a folder"):
        opened("gpt-5")
    with refused("expected one of shuffled-rows"):
        opened(f"control:worse:{folder()}")


def test_a_control_is_made_the_same_way_twice_and_leaves_its_subject_alone(folder: Folder) -> None:
    subject = opened(folder())
    before = subject.model.W_pos.copy()
    for name in ("shuffled-rows", "gaussian-rows", "random-walk", "phase-randomised"):
        one, other = (controls.broken_copy(subject, name) for _ in range(2))
        assert isinstance(one, Live)
        assert isinstance(other, Live)
        np.testing.assert_array_equal(one.model.W_pos, other.model.W_pos)
        assert not np.array_equal(one.model.W_pos, before)
    np.testing.assert_array_equal(subject.model.W_pos, before)


@pytest.mark.parametrize("name", ["shuffled-rows", "groups-one-too-large"])
def test_a_control_keeps_the_commit_and_the_text_of_its_subject(folder: Folder, name: str) -> None:
    plain = opened(folder()).model
    corpus = TextInputs((Path("corpus.txt"),))
    subject = Live("hub:some/model", replace(plain, commit="c0ffee"), corpus)
    control = controls.broken_copy(subject, name)
    assert isinstance(control, Live)
    assert control.commit == "c0ffee"
    assert control.material is corpus
    assert control.model.file is plain.file


def test_minilm_is_read_from_its_package() -> None:
    subject = opened("minilm")
    assert subject.model.W_pos.shape == (512, 384)


def test_a_digest_that_is_not_the_pinned_one(offline: Path) -> None:
    model = HUB_MODELS["gpt2"]
    snapshot = offline / f"models--openai-community--gpt2/snapshots/{model.revision}"
    snapshot.mkdir(parents=True)
    with refused("HF_HUB_OFFLINE is set", kind=HubUnreachableError):
        opened("gpt2")
    text = json.dumps({"model_type": "gpt2"}).ljust(model.size["config.json"])
    (snapshot / "config.json").write_text(text)
    with refused(f"expected digest {model.sha256['config.json']}, found"):
        opened("gpt2")


@pytest.mark.usefixtures("offline")
def test_without_a_name_what_is_recorded_serves() -> None:
    subject = open_subject(None, ROOT / "data")
    assert isinstance(subject, RecordedSubject)
    assert subject.measure(helix.shape).axis in (0, 1, 2)


LONG = "x" * 300
BAD_NAMES = ("", LONG, f"a/{LONG}", "a/" * 3000, "nul\0", "b\udcff", f"control:one-row:{LONG}")


@pytest.mark.parametrize("name", [*BAD_NAMES, f"recorded:{LONG}", "recorded:b\udcff"])
def test_what_can_be_no_name_is_one_line(name: str) -> None:
    with refused("--subject: expected a name"):
        opened(name)


@pytest.mark.parametrize(
    "name", ["recorded:", "recorded:..", "recorded:../../x", "published:../gpt2"]
)
def test_records_are_in_the_folder_of_records(name: str) -> None:
    with refused("--subject: expected the name of a folder in "):
        open_subject(name, ROOT / "data")


def test_a_file_is_no_folder(folder: Folder) -> None:
    with refused("--subject: expected a folder, found "):
        opened(folder() / "model.safetensors")

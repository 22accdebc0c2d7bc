"""Good folders, partial ones, and all that can be wrong with one."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from gpt2_helix.judging.errors import HubUnreachableError, InputError, MissingInputError
from gpt2_helix.judging.records import RecordedSubject
from gpt2_helix.measure import helix, kernels
from gpt2_helix.suite import controls
from gpt2_helix.suite.live import Live
from gpt2_helix.suite.subjects import open_subject
from gpt2_helix.texts import TextInputs
from gpt2_helix.weights.pins import HUB_MODELS
from support import Folder, helix_rows

NO_DATA = Path("no-data")


def opened(spec: object) -> Live:
    subject = open_subject(str(spec), NO_DATA)
    assert isinstance(subject, Live)
    return subject


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


def test_no_config(folder: Folder) -> None:
    path = folder()
    (path / "config.json").unlink()
    with pytest.raises(InputError, match=r"expected a config\.json, found none"):
        opened(path)


@pytest.mark.parametrize("text", ["{", "[1]", "\x00", '{"model_type": "gpt2"}'])
def test_a_config_that_is_none(folder: Folder, text: str) -> None:
    path = folder()
    (path / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config\.json: expected"):
        opened(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n_head", 0),
        ("n_embd", -1),
        ("n_layer", "12"),
        ("n_positions", True),
        ("n_head", 7),
    ],
)
def test_sizes_that_are_none(folder: Folder, key: str, value: object) -> None:
    with pytest.raises(InputError, match="expected"):
        opened(folder(config={key: value}))


@pytest.mark.parametrize(("size", "least"), [("n_positions", 6), ("n_embd", 4)])
def test_sizes_that_leave_no_curve(folder: Folder, size: str, least: int) -> None:
    small = {"n_head": 1, size: least - 1}
    with pytest.raises(InputError, match=f"expected {size} to be {least} or more, found"):
        opened(folder(config=small))


@pytest.mark.parametrize("kind", ["llama", "gpt_neox", None])
def test_no_learned_positions(folder: Folder, kind: str | None) -> None:
    with pytest.raises(InputError, match="expected a model_type with learned absolute positions"):
        opened(folder(config={"model_type": kind}))


def test_no_weights(folder: Folder) -> None:
    path = folder()
    (path / "model.safetensors").unlink()
    with pytest.raises(
        InputError, match=r"expected a model\.safetensors or a pytorch_model\.bin, found none"
    ):
        opened(path)


@pytest.mark.parametrize("keep", [0, 4, 100, 3_000_000])
def test_a_truncated_file(folder: Folder, keep: int) -> None:
    weights = folder() / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(InputError, match="expected a whole safetensors file"):
        opened(weights.parent)


def test_a_header_of_garbage(folder: Folder) -> None:
    weights = folder() / "model.safetensors"
    weights.write_bytes(b"\xff" * 8 + weights.read_bytes()[8:])
    with pytest.raises(InputError, match="expected a whole safetensors file"):
        opened(weights.parent)


def test_the_wrong_shape(folder: Folder) -> None:
    path = folder(tensors={"wpe.weight": helix_rows()[:1000]})
    with pytest.raises(InputError, match=r"shape \(1024, 768\).*found \(1000, 768\)"):
        opened(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite(folder: Folder, value: float) -> None:
    rows = helix_rows()
    rows[500, 7] = value
    with pytest.raises(InputError, match="found 1 of 786432 that are NaN or infinite"):
        opened(folder(tensors={"wpe.weight": rows}))


def test_integers_for_positions(folder: Folder, tmp_path: Path) -> None:
    path = folder()
    save_file({"wpe.weight": np.zeros((1024, 768), np.int32)}, path / "model.safetensors")
    with pytest.raises(
        InputError, match=r"expected wpe\.weight as F16, BF16, F32 or F64, found I32"
    ):
        opened(path)


def test_an_unknown_name() -> None:
    with pytest.raises(InputError, match="published:NAME or a folder"):
        opened("gpt-5")


@pytest.mark.parametrize("repo", ["gpt2", "a--b/c", "-a/c", "a/c.git", "a/b/c", "a/c@../d"])
def test_a_repository_that_the_hub_cannot_have(repo: str) -> None:
    with pytest.raises(InputError, match=r"expected hub:OWNER/NAME\[@REVISION\], found 'hub:"):
        opened(f"hub:{repo}")


def test_an_unknown_control(folder: Folder) -> None:
    with pytest.raises(InputError, match="expected one of shuffled-rows"):
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


@pytest.fixture
def cached_gpt2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache that holds a wrong file under GPT-2's name, with no network."""
    model = HUB_MODELS["gpt2"]
    home = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(home))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    snapshot = home / "models--openai-community--gpt2" / "snapshots" / str(model.revision)
    snapshot.mkdir(parents=True)
    return snapshot


def test_a_digest_that_is_not_the_pinned_one(cached_gpt2: Path) -> None:
    size = HUB_MODELS["gpt2"].size["config.json"]
    (cached_gpt2 / "config.json").write_text(json.dumps({"model_type": "gpt2"}).ljust(size))
    pinned = HUB_MODELS["gpt2"].sha256["config.json"]
    with pytest.raises(InputError, match=f"expected digest {pinned}, found"):
        open_subject("gpt2", NO_DATA)


@pytest.mark.usefixtures("cached_gpt2")
def test_no_network_and_no_cache_is_said_at_once() -> None:
    with pytest.raises(HubUnreachableError, match="HF_HUB_OFFLINE is set"):
        open_subject("gpt2", NO_DATA)


@pytest.mark.usefixtures("cached_gpt2")
def test_without_a_name_what_is_recorded_serves(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent
    subject = open_subject(None, root / "data")
    assert isinstance(subject, RecordedSubject)
    assert subject.measure(helix.shape).axis in (0, 1, 2)

"""What is asked of a hub, over real sockets."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants, hf_hub_download
from safetensors.numpy import save

from gpt2_helix.judging.errors import HubUnreachableError, InputError
from gpt2_helix.weights.hub import Repository
from gpt2_helix.weights.pins import HubModel
from hub.model import (
    AHEAD,
    CHECKPOINT,
    FILES,
    MODEL,
    MOVING,
    OTHER,
    PINNED,
    TENSORS,
    UNPINNED,
    W_POS,
    WEIGHTS,
    config,
    tensors,
)
from hub_server import COMMIT, Hub, commit_of
from support import Hostile, checkpoint, refused


def test_the_positions_are_received_alone_and_once(hub: Hub) -> None:
    np.testing.assert_array_equal(tensors()["wpe.weight"], W_POS)
    assert W_POS.nbytes < hub.served[WEIGHTS] <= W_POS.nbytes + AHEAD
    hub.forget()
    np.testing.assert_array_equal(tensors()["wpe.weight"], W_POS)
    assert "wpe.weight" in tensors()
    assert hub.requests == []


def test_another_tensor_brings_the_whole_file_once(hub: Hub, home: Path) -> None:
    for _ in range(2):
        np.testing.assert_array_equal(tensors()["wte.weight"], OTHER)
        assert hub.total <= len(FILES[WEIGHTS])
    assert len([r for r in hub.requests if r.startswith("GET /delivery")]) == 1
    hub.forget()
    # It lies where transformers looks for it, and it serves for the positions too.
    assert hf_hub_download(MODEL, WEIGHTS, revision=COMMIT).startswith(str(home / "hub"))
    np.testing.assert_array_equal(tensors()["wpe.weight"], W_POS)
    assert hub.requests == []


def test_what_other_programs_have_cached_is_used(hub: Hub) -> None:
    for name in FILES:
        hf_hub_download(MODEL, name, revision=COMMIT)
    hub.forget()
    np.testing.assert_array_equal(tensors()["wpe.weight"], W_POS)
    assert config().read_bytes() == FILES["config.json"]
    assert hub.requests == []


@pytest.mark.parametrize("model", [PINNED, UNPINNED])
def test_a_file_in_the_cache_is_refused_if_spoilt_and_not_if_shared(
    model: HubModel, home: Path
) -> None:
    # huggingface_hub puts what came by Xet among the blobs of all repositories, under another hash.
    blob = Path(hf_hub_download(MODEL, WEIGHTS, revision=COMMIT)).resolve()
    shared = home / "hub/blobs/ab" / ("ab" * 32)
    shared.parent.mkdir(parents=True)
    blob.rename(shared)
    blob.symlink_to(shared)
    np.testing.assert_array_equal(tensors(model)["wte.weight"], OTHER)
    shared.write_bytes(FILES[WEIGHTS][:-1] + b"x")
    with pytest.raises(InputError, match=f"expected digest {PINNED.sha256[WEIGHTS]}, found"):
        tensors(model)["wte.weight"]


def test_positions_spoilt_in_the_cache_are_received_again(hub: Hub, home: Path) -> None:
    tensors(UNPINNED)["wpe.weight"]
    (kept,) = home.rglob("positions-*.safetensors")
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    hub.forget()
    np.testing.assert_array_equal(tensors(UNPINNED)["wpe.weight"], W_POS)
    assert hub.served[WEIGHTS] > W_POS.nbytes


def test_a_branch_is_resolved_to_a_commit_which_is_kept_to(hub: Hub) -> None:
    branch = replace(MOVING, revision="checkpoint-100")
    hub.repositories[f"{MODEL}@checkpoint-100"] = {
        "config.json": FILES["config.json"],
        WEIGHTS: save({"wpe.weight": -W_POS}),
    }
    assert Repository(branch).commit == commit_of("checkpoint-100")
    np.testing.assert_array_equal(tensors(branch)["wpe.weight"], -W_POS)
    assert Repository(MOVING).commit == COMMIT
    del hub.repositories[f"{MODEL}@checkpoint-100"]
    assert Repository(branch).commit == commit_of("checkpoint-100")


def test_positions_are_received_alone_out_of_a_checkpoint(hub: Hub) -> None:
    stored = {f"transformer.h.{i}.ln_1.bias": np.zeros(128, np.float32) for i in range(150)}
    stored |= {"transformer.wte.weight": OTHER, "transformer.wpe.weight": W_POS.astype(np.float16)}
    hub.repositories[MODEL] = {**FILES, CHECKPOINT: checkpoint(stored)}
    del hub.repositories[MODEL][WEIGHTS]
    expected = W_POS.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(tensors(UNPINNED)["wpe.weight"], expected)
    assert hub.served[CHECKPOINT] <= W_POS.nbytes / 2 + 2 * AHEAD
    assert hub.served[CHECKPOINT] < len(hub.repositories[MODEL][CHECKPOINT]) / 3
    assert WEIGHTS not in hub.served
    asked = [request for request in hub.requests if request.startswith(f"HEAD /{MODEL}/resolve")]
    assert [request.rpartition("/")[2] for request in asked] == [WEIGHTS, CHECKPOINT]
    whole = tensors(UNPINNED)
    np.testing.assert_array_equal(whole["transformer.wte.weight"], OTHER)
    np.testing.assert_array_equal(whole["transformer.wpe.weight"], expected)
    assert set(whole) == set(stored)


def test_safetensors_are_preferred(hub: Hub) -> None:
    hub.repositories[MODEL][CHECKPOINT] = checkpoint({"wpe.weight": -W_POS})
    np.testing.assert_array_equal(tensors(UNPINNED)["wpe.weight"], W_POS)
    assert CHECKPOINT not in hub.served


def test_no_weights_at_all(hub: Hub) -> None:
    del hub.repositories[MODEL][WEIGHTS]
    with refused(f"expected a {WEIGHTS} or a {CHECKPOINT}, found none"):
        tensors(UNPINNED)["wpe.weight"]


@pytest.mark.parametrize("name", ["wpe.weight", "h.0.attn.c_attn.weight"])
def test_a_checkpoint_that_would_run_something(hub: Hub, tmp_path: Path, name: str) -> None:
    content = checkpoint({"wpe.weight": W_POS, "x": Hostile(tmp_path / "created")})
    hub.repositories[MODEL] = {"config.json": FILES["config.json"], CHECKPOINT: content}
    with refused("unsupported GLOBAL posix.system"):
        tensors(UNPINNED)[name]
    assert not (tmp_path / "created").exists()


def test_a_checkpoint_from_before_zip_archives(hub: Hub) -> None:
    old = checkpoint(TENSORS, _use_new_zipfile_serialization=False)
    hub.repositories[MODEL] = {"config.json": FILES["config.json"], CHECKPOINT: old}
    for name in TENSORS:
        with refused("found a file that is no zip archive, as PyTorch wrote before 1.6"):
            tensors(UNPINNED)[name]


def test_a_token_goes_to_the_hub_and_to_nobody_else(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.known_token)
    tensors()["wpe.weight"]
    tensors()["wte.weight"]
    told = {host for host, token in hub.tokens if token}
    assert told == {f"127.0.0.1:{hub.port}"}
    assert {host for host, _ in hub.tokens} == {*told, f"localhost:{hub.port}"}


@pytest.mark.parametrize("name", TENSORS)
def test_a_token_that_is_no_longer_good(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_stale")
    np.testing.assert_array_equal(tensors()[name], TENSORS[name])
    said = capsys.readouterr().err
    assert said.count(f"hub: {hub.endpoint} refuses the token; asking without it") == 1
    assert [token for _, token in hub.tokens if token] == ["Bearer hf_stale"]


def test_offline(hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for ask_for in (config, lambda: tensors()["wpe.weight"]):
        expected = f"in {home}/hub, as HF_HUB_OFFLINE is set, found none"
        with refused(expected, kind=HubUnreachableError):
            ask_for()
    assert not tensors().are_available()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert tensors().are_available()
    tensors()["wpe.weight"]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.forget()
    assert list(tensors()) == ["wpe.weight"]
    np.testing.assert_array_equal(tensors()["wpe.weight"], W_POS)
    assert hub.requests == []

"""What is asked of a hub, over real sockets, and what happens on a bad day."""

import hashlib
import io
import json
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import constants, hf_hub_download
from safetensors.numpy import save

from gpt2_helix.judging.errors import HubUnreachableError, MissingInputError, SubjectError
from gpt2_helix.weights import hub as hub_module
from gpt2_helix.weights import ranged
from gpt2_helix.weights.hub import HubTensors, Repository
from gpt2_helix.weights.pins import HubModel
from gpt2_helix.weights.tensors import sha256_of_tensor
from hub_server import COMMIT, Fault, Hub, ask, commit_of, live_in, serve
from support import checkpoint

MODEL = "subject/model"
WEIGHTS = "model.safetensors"
CHECKPOINT = "pytorch_model.bin"
POSITIONS = ("wpe.weight", "transformer.wpe.weight")
SHAPE = (512, 128)
rng = np.random.default_rng(0)
W_POS = rng.standard_normal(SHAPE).astype(np.float32)
OTHER = rng.standard_normal((3000, 128)).astype(np.float32)
TENSORS = {"wpe.weight": W_POS, "wte.weight": OTHER}
FILES = {"config.json": b'{"model_type": "gpt2"}', WEIGHTS: save(TENSORS)}
MOVING = HubModel(MODEL)
UNPINNED = HubModel(MODEL, COMMIT)
PINNED = HubModel(
    MODEL,
    COMMIT,
    size={name: len(content) for name, content in FILES.items()},
    sha256={name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()},
    W_pos_sha256=sha256_of_tensor(W_POS),
)
AHEAD = 3 * ranged.BLOCK
"""Bytes that may be received besides the positions: header, directory and what follows them."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve({MODEL: dict(FILES)}) as hub:
        yield hub


@pytest.fixture(autouse=True)
def home(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's machine: an empty ``HF_HOME``, and that hub."""
    home = tmp_path / "hf"
    live_in(monkeypatch, home)
    ask(monkeypatch, hub.endpoint)
    return home


def tensors(model: HubModel = PINNED, shape: tuple[int, int] = SHAPE) -> HubTensors:
    """The model's tensors, as another process would find them."""
    return HubTensors(Repository(model), POSITIONS, shape)


def config(model: HubModel = PINNED) -> Path:
    return Repository(model).fetch("config.json")


def one_line(error: pytest.ExceptionInfo[SubjectError]) -> str:
    said = str(error.value)
    assert "\n" not in said
    assert len(said) < 500
    return said


# --- what is asked for ------------------------------------------------------------------------


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
def test_a_file_spoilt_in_the_cache_is_refused(model: HubModel) -> None:
    path = Path(hf_hub_download(MODEL, WEIGHTS, revision=COMMIT)).resolve()
    path.write_bytes(FILES[WEIGHTS][:-1] + b"x")
    with pytest.raises(SubjectError, match=f"expected digest {PINNED.sha256[WEIGHTS]}, found"):
        tensors(model)["wte.weight"]


@pytest.mark.parametrize("model", [PINNED, UNPINNED])
def test_a_file_that_repositories_share_is_not_called_spoilt(model: HubModel, home: Path) -> None:
    # huggingface_hub puts what came by Xet among the blobs of all repositories, under another hash.
    blob = Path(hf_hub_download(MODEL, WEIGHTS, revision=COMMIT)).resolve()
    shared = home / "hub/blobs/ab" / ("ab" * 32)
    shared.parent.mkdir(parents=True)
    blob.rename(shared)
    blob.symlink_to(shared)
    np.testing.assert_array_equal(tensors(model)["wte.weight"], OTHER)
    shared.write_bytes(FILES[WEIGHTS][:-1] + b"x")
    with pytest.raises(SubjectError, match=f"expected digest {PINNED.sha256[WEIGHTS]}, found"):
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


# --- PyTorch checkpoints ----------------------------------------------------------------------


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
    with pytest.raises(SubjectError) as error:
        tensors(UNPINNED)["wpe.weight"]
    assert f"expected a {WEIGHTS} or a {CHECKPOINT}, found none" in one_line(error)


@pytest.mark.parametrize("name", ["wpe.weight", "h.0.attn.c_attn.weight"])
def test_a_checkpoint_that_would_run_something(hub: Hub, tmp_path: Path, name: str) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, (f"touch {tmp_path}/created",)

    file = io.BytesIO()
    torch.save({"wpe.weight": torch.from_numpy(W_POS), "x": Hostile()}, file)
    hub.repositories[MODEL] = {"config.json": FILES["config.json"], CHECKPOINT: file.getvalue()}
    with pytest.raises(SubjectError) as error:
        tensors(UNPINNED)[name]
    assert "unsupported GLOBAL posix.system" in one_line(error)
    assert not (tmp_path / "created").exists()


def test_a_checkpoint_from_before_zip_archives(hub: Hub) -> None:
    old = checkpoint(TENSORS, _use_new_zipfile_serialization=False)
    hub.repositories[MODEL] = {"config.json": FILES["config.json"], CHECKPOINT: old}
    for name in TENSORS:
        with pytest.raises(SubjectError) as error:
            tensors(UNPINNED)[name]
        assert "found a file that is no zip archive, as PyTorch wrote before 1.6" in one_line(error)


# --- credentials ------------------------------------------------------------------------------


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


# --- faults -----------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def test_connection_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ask(monkeypatch, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(HubUnreachableError) as error:
        config()
    assert "found no answer ([Errno 111] Connection refused)" in one_line(error)


def test_a_name_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    ask(monkeypatch, "http://no-such-host.invalid")
    with pytest.raises(HubUnreachableError) as error:
        config()
    assert "expected it from commit" not in one_line(error)
    assert "from http://no-such-host.invalid, found no answer" in one_line(error)


def test_a_hub_that_never_answers(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "ANSWER_WITHIN_S", 0.3)
    hub.faults = [Fault(silent=True)]
    began = time.monotonic()
    with pytest.raises(HubUnreachableError, match="found no answer"):
        config()
    assert time.monotonic() - began < 5
    assert len(hub.requests) == 1


def test_a_question_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    with pytest.raises(TimeoutError, match=r"nothing in 0\.05 s; with HF_HUB_ETAG_TIMEOUT=60"):
        hub_module._within(0.05, never.wait)
    never.set()


def test_a_login_page_is_no_hub(hub: Hub) -> None:
    hub.faults = [Fault(portal=True)]
    with pytest.raises(HubUnreachableError) as error:
        config()
    assert "found an answer that names none, as from a proxy or a login page" in one_line(error)


def test_a_mirror_that_tells_no_sizes(hub: Hub) -> None:
    for name in TENSORS:
        hub.faults = [Fault(unsized=True)]
        assert config(UNPINNED).read_bytes() == FILES["config.json"]
        np.testing.assert_array_equal(tensors(UNPINNED)[name], TENSORS[name])


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (401, "HTTP 401 Unauthorized", SubjectError),
        (404, "HTTP 404 Not Found", SubjectError),
        (429, "HTTP 429 Too Many Requests (try again in '60' s)", HubUnreachableError),
        (500, "HTTP 500 Internal Server Error", HubUnreachableError),
    ],
)
def test_a_refusal_is_said_and_not_argued_with(
    hub: Hub, status: int, said: str, kind: type[SubjectError]
) -> None:
    for ask_for in (config, lambda: tensors()["wpe.weight"], lambda: tensors()["wte.weight"]):
        hub.forget()
        hub.faults = [Fault(status=status, retry_after=60 if status == 429 else None)]
        with pytest.raises(SubjectError) as error:
            ask_for()
        assert said in one_line(error)
        assert error.type is kind
        assert len(hub.requests) == 1


@pytest.mark.parametrize("fault", [{"cut": 100_000}, {"stall": 100_000}])
def test_a_body_that_breaks_off_is_taken_up_where_it_broke(hub: Hub, fault: dict[str, int]) -> None:
    hub.faults = [Fault(WEIGHTS, times=2, **fault)]  # type: ignore[arg-type]
    np.testing.assert_array_equal(tensors()["wpe.weight"], W_POS)
    assert hub.served[WEIGHTS] <= W_POS.nbytes + AHEAD


@pytest.mark.parametrize("fault", [{"cut": 1000}, {"stall": 0}])
def test_a_body_that_gets_nowhere_is_given_up(hub: Hub, fault: dict[str, int]) -> None:
    hub.faults = [Fault(WEIGHTS, **fault)]  # type: ignore[arg-type]
    with pytest.raises(HubUnreachableError, match="found no answer"):
        tensors()["wpe.weight"]
    assert sum("GET /delivery" in request for request in hub.requests) == ranged.STRIKES
    hub.forget()
    np.testing.assert_array_equal(tensors()["wpe.weight"], W_POS)


def test_a_download_that_breaks_off_is_taken_up_in_the_same_run(hub: Hub) -> None:
    hub.faults = [Fault(WEIGHTS, times=1, cut=500_000)]
    np.testing.assert_array_equal(tensors()["wte.weight"], OTHER)
    assert hub.served[WEIGHTS] <= len(FILES[WEIGHTS]) + 500_000


def test_a_flipped_byte_of_the_positions(hub: Hub) -> None:
    start = len(FILES[WEIGHTS]) - W_POS.nbytes - OTHER.nbytes
    hub.faults = [Fault(WEIGHTS, flip=start + 1000)]
    with pytest.raises(SubjectError, match=f"with sha256 {PINNED.W_pos_sha256}, found"):
        tensors()["wpe.weight"]
    hub.forget()
    np.testing.assert_array_equal(tensors()["wpe.weight"], W_POS)


def test_a_flipped_byte_of_positions_in_a_checkpoint(hub: Hub) -> None:
    content = checkpoint({"wpe.weight": W_POS})
    hub.repositories[MODEL] = {"config.json": FILES["config.json"], CHECKPOINT: content}
    hub.faults = [Fault(CHECKPOINT, flip=content.index(W_POS[9].tobytes()))]
    with pytest.raises(SubjectError, match="found Bad CRC-32"):
        tensors(UNPINNED)["wpe.weight"]


@pytest.mark.parametrize("model", [PINNED, UNPINNED])
@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_of_a_file(hub: Hub, home: Path, model: HubModel, name: str) -> None:
    hub.faults = [Fault(name, flip=20)]
    with pytest.raises(SubjectError, match="expected digest"):
        Repository(model).fetch(name)
    hub.forget()
    assert Repository(model).fetch(name).read_bytes() == FILES[name]


def test_another_revision_than_was_asked_for(hub: Hub) -> None:
    hub.faults = [Fault(commit="d" * 40)]
    with pytest.raises(SubjectError) as error:
        config()
    assert f"expected it from commit {COMMIT} at {hub.endpoint}, found commit 'dddd" in one_line(
        error
    )


def test_a_revision_that_is_not_there() -> None:
    with pytest.raises(SubjectError, match="found HTTP 404"):
        config(replace(PINNED, revision="a" * 40))


def test_a_file_larger_than_is_pinned_is_not_downloaded(hub: Hub) -> None:
    hub.faults = [Fault(WEIGHTS, size=10**12)]
    with pytest.raises(SubjectError, match=f"bytes at most, found {10**12} announced"):
        tensors()["wte.weight"]
    assert WEIGHTS not in hub.served


def test_a_small_file_that_is_large_is_not_downloaded(hub: Hub) -> None:
    hub.faults = [Fault("config.json", size=10**12)]
    with pytest.raises(SubjectError, match=f"bytes at most, found {10**12} announced"):
        config(UNPINNED)


def test_a_server_that_knows_no_ranges(hub: Hub) -> None:
    hub.faults = [Fault(WEIGHTS, whole=True)]
    np.testing.assert_array_equal(tensors()["wpe.weight"], W_POS)


def test_a_server_that_compresses(hub: Hub) -> None:
    hub.faults = [Fault("config.json", gzip=True)]
    assert config().read_bytes() == FILES["config.json"]


@pytest.mark.parametrize("name", ["another", "../../../escaped", "/tmp/escaped", "..%2Fescaped"])
def test_names_that_the_hub_gives_are_no_paths(hub: Hub, tmp_path: Path, name: str) -> None:
    hub.faults = [Fault(etag=name)]
    with pytest.raises(SubjectError, match=f"expected {hub.endpoint} to give a digest, found"):
        config(UNPINNED)
    hub.faults = [Fault(commit=name)]
    with pytest.raises(SubjectError, match="found commit"):
        config(MOVING)
    assert not list(tmp_path.rglob("*escaped*"))
    assert not Path("/tmp/escaped").exists()


def test_a_full_disk(hub: Hub, home: Path) -> None:
    # No file may grow beyond 1 MB: as far as a program can tell, a disk that fills up.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    try:
        with pytest.raises(SubjectError) as error:
            tensors()["wte.weight"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "expected to write there, found File too large" in one_line(error)
    np.testing.assert_array_equal(tensors()["wte.weight"], OTHER)


def test_a_cache_that_cannot_be_written(home: Path) -> None:
    home.write_text("no folder")
    with pytest.raises(SubjectError) as error:
        config()
    assert f"{home}/" in one_line(error)
    assert "expected to write there, found Not a directory" in one_line(error)


def test_positions_that_cannot_be_kept(home: Path) -> None:
    config()
    (home / "assets").write_text("no folder")
    with pytest.raises(SubjectError, match="expected to write there, found Not a directory"):
        tensors()["wpe.weight"]


# --- offline ----------------------------------------------------------------------------------


def test_offline(hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for ask_for in (config, lambda: tensors()["wpe.weight"]):
        with pytest.raises(HubUnreachableError) as error:
            ask_for()
        assert f"in {home}/hub, as HF_HUB_OFFLINE is set, found none" in one_line(error)
    assert not tensors().are_available()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert tensors().are_available()
    tensors()["wpe.weight"]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.forget()
    assert list(tensors()) == ["wpe.weight"]
    np.testing.assert_array_equal(tensors()["wpe.weight"], W_POS)
    assert hub.requests == []


# --- hostile files ----------------------------------------------------------------------------


def header(entries: object, length: int | None = None, rest: int = 200_000) -> bytes:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + bytes(rest)


def entry(shape: tuple[int, ...], start: int, stop: int) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [start, stop]}


GOOD = entry((200, 250), 0, 200_000)
HOSTILE = {
    "length": header(b"{}", 2**63),
    "nesting": header(b"[" * 10_000),
    "larger than its shape": header({"wpe.weight": entry(SHAPE, 0, 10**12)}),
    "beyond the end": header({"wpe.weight": entry((10**6, 768), 0, 3072 * 10**6)}),
    "overlap": header({"wpe.weight": GOOD, "x": entry((100,), 400, 800)}),
    "gap": header({"wpe.weight": entry((100,), 0, 400), "x": entry((49_800,), 800, 200_000)}),
    "twins": header(b'{"a": %b, "a": %b}' % ((json.dumps(GOOD).encode(),) * 2)),
    "unknown type": header({"wpe.weight": {**GOOD, "dtype": "Q7"}}),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_header_is_refused_before_anything_is_read(hub: Hub, what: str) -> None:
    hub.repositories[MODEL][WEIGHTS] = HOSTILE[what]
    with pytest.raises(SubjectError) as error:
        tensors(UNPINNED)["wpe.weight"]
    assert f"{MODEL}/{WEIGHTS}: expected" in one_line(error)
    assert hub.served[WEIGHTS] <= AHEAD


def test_a_matrix_larger_than_the_configuration_says_is_not_read(hub: Hub) -> None:
    hub.repositories[MODEL][WEIGHTS] = save({"wpe.weight": np.zeros((9999, 128), np.float32)})
    with pytest.raises(SubjectError, match=r"as in config\.json, found \(9999, 128\)"):
        tensors(UNPINNED)["wpe.weight"]
    assert hub.served[WEIGHTS] <= AHEAD


def test_a_model_without_positions(hub: Hub) -> None:
    hub.repositories[MODEL][WEIGHTS] = save({"wte.weight": OTHER})
    with pytest.raises(MissingInputError):
        tensors(UNPINNED)["wpe.weight"]

"""What is asked of a hub, over real sockets, and what happens on a bad day."""

import hashlib
import json
import resource
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants, hf_hub_download
from safetensors.numpy import save

from gpt2_helix.judging.errors import HubUnreachableError, InputError, MissingInputError
from gpt2_helix.weights import hub as hub_module
from gpt2_helix.weights import ranged
from gpt2_helix.weights.hub import HubTensors, Repository
from gpt2_helix.weights.pins import HubModel
from gpt2_helix.weights.tensors import sha256_of_tensor
from hub_server import COMMIT, Fault, Hub, ask, commit_of, live_in, serve
from support import Hostile, checkpoint, refused

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
    live_in(monkeypatch, home, hub.endpoint)
    return home


def tensors(model: HubModel = PINNED) -> HubTensors:
    """The model's tensors, as another process would find them."""
    return HubTensors(Repository(model), POSITIONS, SHAPE)


def config(model: HubModel = PINNED) -> Path:
    return Repository(model).fetch("config.json")


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


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [("http://127.0.0.1:1", "([Errno 111] Connection refused)"), ("http://no-such.invalid", "(")],
)
def test_no_hub_at_that_address(monkeypatch: pytest.MonkeyPatch, endpoint: str, why: str) -> None:
    ask(monkeypatch, endpoint)
    with refused(f"from {endpoint}, found no answer {why}", kind=HubUnreachableError) as error:
        config()
    assert "expected it from commit" not in str(error.value)


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


TOO_LARGE = f"bytes at most, found {10**12} announced"


@pytest.mark.parametrize(
    ("fault", "model", "said"),
    [
        (Fault(portal=True), PINNED, "found an answer that names none, as from a proxy or a login"),
        (Fault(commit="d" * 40), PINNED, f"from commit {COMMIT} at HUB, found commit 'dddd"),
        (Fault(), replace(PINNED, revision="a" * 40), "found HTTP 404"),
        (Fault("config.json", size=10**12), UNPINNED, TOO_LARGE),
        (Fault(WEIGHTS, size=10**12), PINNED, TOO_LARGE),
    ],
)
def test_what_a_hub_announces_is_refused_before_a_file_is_received(
    hub: Hub, fault: Fault, model: HubModel, said: str
) -> None:
    hub.faults = [fault]
    with refused(said.replace("HUB", hub.endpoint)) as error:
        Repository(model).fetch(fault.file or "config.json")
    assert (error.type is HubUnreachableError) == fault.portal
    assert hub.total == 0


@pytest.mark.parametrize(
    "fault", [Fault(unsized=True), Fault(WEIGHTS, whole=True), Fault("config.json", gzip=True)]
)
def test_a_hub_that_leaves_out_what_it_may(hub: Hub, fault: Fault) -> None:
    for name, tensor in TENSORS.items():
        hub.faults = [replace(fault)]
        assert config(UNPINNED).read_bytes() == FILES["config.json"]
        np.testing.assert_array_equal(tensors(UNPINNED)[name], tensor)


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (401, "HTTP 401 Unauthorized", InputError),
        (404, "HTTP 404 Not Found", InputError),
        (429, "HTTP 429 Too Many Requests (try again in '60' s)", HubUnreachableError),
        (500, "HTTP 500 Internal Server Error", HubUnreachableError),
    ],
)
def test_a_refusal_is_said_and_not_argued_with(
    hub: Hub, status: int, said: str, kind: type[InputError]
) -> None:
    for ask_for in (config, lambda: tensors()["wpe.weight"], lambda: tensors()["wte.weight"]):
        hub.forget()
        hub.faults = [Fault(status=status, retry_after=60 if status == 429 else None)]
        with refused(said) as error:
            ask_for()
        assert error.type is kind
        assert len(hub.requests) == 1


@pytest.mark.parametrize("fault", [Fault(cut=100_000), Fault(stall=100_000)])
def test_a_body_that_breaks_off_is_taken_up_where_it_broke(hub: Hub, fault: Fault) -> None:
    hub.faults = [replace(fault, file=WEIGHTS, times=2)]
    np.testing.assert_array_equal(tensors()["wpe.weight"], W_POS)
    assert hub.served[WEIGHTS] <= W_POS.nbytes + AHEAD


@pytest.mark.parametrize("fault", [Fault(WEIGHTS, cut=1000), Fault(WEIGHTS, stall=0)])
def test_a_body_that_gets_nowhere_is_given_up(hub: Hub, fault: Fault) -> None:
    hub.faults = [replace(fault)]
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
    with pytest.raises(InputError, match=f"with sha256 {PINNED.W_pos_sha256}, found"):
        tensors()["wpe.weight"]
    hub.forget()
    np.testing.assert_array_equal(tensors()["wpe.weight"], W_POS)


def test_a_flipped_byte_of_positions_in_a_checkpoint(hub: Hub) -> None:
    content = checkpoint({"wpe.weight": W_POS})
    hub.repositories[MODEL] = {"config.json": FILES["config.json"], CHECKPOINT: content}
    hub.faults = [Fault(CHECKPOINT, flip=content.index(W_POS[9].tobytes()))]
    with pytest.raises(InputError, match="found Bad CRC-32"):
        tensors(UNPINNED)["wpe.weight"]


@pytest.mark.parametrize("model", [PINNED, UNPINNED])
@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_of_a_file(hub: Hub, home: Path, model: HubModel, name: str) -> None:
    hub.faults = [Fault(name, flip=20)]
    with pytest.raises(InputError, match="expected digest"):
        Repository(model).fetch(name)
    hub.forget()
    assert Repository(model).fetch(name).read_bytes() == FILES[name]


@pytest.mark.parametrize("name", ["another", "../../../escaped", "/tmp/escaped", "..%2Fescaped"])
def test_names_that_the_hub_gives_are_no_paths(hub: Hub, tmp_path: Path, name: str) -> None:
    hub.faults = [Fault(etag=name)]
    with pytest.raises(InputError, match=f"expected {hub.endpoint} to give a digest, found"):
        config(UNPINNED)
    hub.faults = [Fault(commit=name)]
    with pytest.raises(InputError, match="found commit"):
        config(MOVING)
    assert not list(tmp_path.rglob("*escaped*"))
    assert not Path("/tmp/escaped").exists()


def test_a_full_disk(hub: Hub, home: Path) -> None:
    # No file may grow beyond 1 MB: as far as a program can tell, a disk that fills up.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    try:
        with refused("expected to write there, found File too large"):
            tensors()["wte.weight"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    np.testing.assert_array_equal(tensors()["wte.weight"], OTHER)


def test_a_cache_that_cannot_be_written(home: Path) -> None:
    home.write_text("no folder")
    with refused(f"{home}/", "expected to write there, found Not a directory"):
        config()


def test_positions_that_cannot_be_kept(home: Path) -> None:
    config()
    (home / "assets").write_text("no folder")
    with pytest.raises(InputError, match="expected to write there, found Not a directory"):
        tensors()["wpe.weight"]


# --- offline ----------------------------------------------------------------------------------


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
    found = "the name 'a' stands twice in its header" if what == "twins" else ""
    with refused(f"{MODEL}/{WEIGHTS}: expected", found):
        tensors(UNPINNED)["wpe.weight"]
    assert hub.served[WEIGHTS] <= AHEAD


def test_a_matrix_larger_than_the_configuration_says_is_not_read(hub: Hub) -> None:
    hub.repositories[MODEL][WEIGHTS] = save({"wpe.weight": np.zeros((9999, 128), np.float32)})
    with pytest.raises(InputError, match=r"as in config\.json, found \(9999, 128\)"):
        tensors(UNPINNED)["wpe.weight"]
    assert hub.served[WEIGHTS] <= AHEAD


def test_a_model_without_positions(hub: Hub) -> None:
    hub.repositories[MODEL][WEIGHTS] = save({"wte.weight": OTHER})
    with pytest.raises(MissingInputError):
        tensors(UNPINNED)["wpe.weight"]

"""A bad day of a hub, over real sockets."""

import json
import resource
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from gpt2_helix.judging.errors import HubUnreachableError, InputError, MissingInputError
from gpt2_helix.weights import hub as hub_module
from gpt2_helix.weights import ranged
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
    SHAPE,
    TENSORS,
    UNPINNED,
    W_POS,
    WEIGHTS,
    config,
    tensors,
)
from hub_server import COMMIT, Fault, Hub, ask
from support import checkpoint, refused


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
    with pytest.raises(InputError, match=f"with sha256 {PINNED.tensors['wpe.weight']}, found"):
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


@pytest.mark.parametrize("blocked", ["", "assets"])
def test_a_cache_that_cannot_be_written(home: Path, blocked: str) -> None:
    if blocked:
        config()
    (home / blocked).write_text("no folder")
    with refused(f"{home}/", "expected to write there, found Not a directory"):
        tensors()["wpe.weight"] if blocked else config()


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
    found = "the name 'a' stands twice" if what == "twins" else ""
    with refused(f"{MODEL}/{WEIGHTS}: expected", found):
        tensors(UNPINNED)["wpe.weight"]
    assert hub.served[WEIGHTS] <= AHEAD


def test_a_matrix_larger_than_the_configuration_says_is_not_read(hub: Hub) -> None:
    hub.repositories[MODEL][WEIGHTS] = save({"wpe.weight": np.zeros((9999, 128), np.float32)})
    with refused("as in config.json, found (9999, 128)"):
        tensors(UNPINNED)["wpe.weight"]
    assert hub.served[WEIGHTS] <= AHEAD


def test_a_model_without_positions(hub: Hub) -> None:
    hub.repositories[MODEL][WEIGHTS] = save({"wte.weight": OTHER})
    with pytest.raises(MissingInputError):
        tensors(UNPINNED)["wpe.weight"]

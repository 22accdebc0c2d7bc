"""From a hub to a verdict, over real sockets: what is fetched, and what happens on a bad day."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from gpt2_helix.errors import HubUnreachableError
from gpt2_helix.models.built import SEED, RandomWeights
from gpt2_helix.models.config import config_from
from gpt2_helix.weights import download
from gpt2_helix.weights.tensors import Array, sha256_of_tensor
from hub_server import COMMIT, Fault, Hub, serve
from support import CONFIG, ROOT, Run, helix_rows

MODEL = "subject/model"
WEIGHTS = "model.safetensors"
FAST = ("-k", "144_heads")
POSITIONS = ("-k", "neighbours")
ATTENTION = ("-k", "local_heads")
W_POS_BYTES = 1024 * 768 * 4
AT_ONCE_S = 30
"""Five seconds, and what starting Python may take on a busy machine; a retry takes a minute."""
USAGE_ERROR = int(pytest.ExitCode.USAGE_ERROR)


def gpt2_shaped() -> dict[str, Array]:
    """Positions on a helix, the first block's attention at random, and a large tensor unread."""
    random = RandomWeights(config_from({**CONFIG, "n_layer": 1, "vocab_size": 3000}, "test"))
    unread = np.random.default_rng(SEED).standard_normal((3000, 768), dtype=np.float32)
    return {**random, "wpe.weight": helix_rows(), "wte.weight": unread}


TENSORS = gpt2_shaped()
FILES = {"config.json": json.dumps(CONFIG).encode(), WEIGHTS: save(TENSORS)}
PINNED: dict[str, Any] = {
    "repo": MODEL,
    "revision": COMMIT,
    "size": {name: len(content) for name, content in FILES.items()},
    "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()},
    "W_pos_sha256": sha256_of_tensor(TENSORS["wpe.weight"]),
}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve({MODEL: dict(FILES)}) as hub:
        yield hub


class Machine:
    """A user's machine: a folder for ``HF_HOME``, and a hub that it asks."""

    def __init__(self, home: Path, endpoint: str) -> None:
        self.home = home
        self.endpoint = endpoint
        self.seconds = 0.0

    def command(
        self, selection: Sequence[str], subject: str | None, models: dict[str, Any] | None
    ) -> list[str]:
        named = [] if subject is None else ["--subject", subject]
        script = str(ROOT / "tests/hub_run.py")
        table = json.dumps({"gpt2": PINNED} if models is None else models)
        options = ["claims/", "-q", "-p", "no:cacheprovider", *named, *selection]
        return [sys.executable, script, table, *options]

    def environment(self, **more: str) -> dict[str, str]:
        of_hub = {"HF_HOME": str(self.home), "HF_ENDPOINT": self.endpoint}
        quick = {"HF_HUB_DOWNLOAD_TIMEOUT": "2", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        meddling = ("hf_", "http_proxy", "https_proxy", "all_proxy")
        kept = {k: v for k, v in os.environ.items() if not k.lower().startswith(meddling)}
        return {**kept, **quick, **of_hub, "COLUMNS": "160", **more}

    def run(
        self,
        *selection: str,
        subject: str | None = "gpt2",
        models: dict[str, Any] | None = None,
        before: Sequence[str] = (),
        **environment: str,
    ) -> Run:
        began = time.monotonic()
        ran = subprocess.run(
            [*before, *self.command(selection, subject, models)],
            cwd=ROOT,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            check=False,
        )
        self.seconds = time.monotonic() - began
        return ran

    def kept(self) -> set[str]:
        """Names of the files that are kept, of a model."""
        return {p.name for p in self.home.rglob("*") if p.is_file() and ".lock" not in p.name}


@pytest.fixture
def machine(tmp_path: Path, hub: Hub) -> Machine:
    return Machine(tmp_path / "hf", hub.endpoint)


def one_line(ran: Run) -> str:
    """The one line that a run which could not judge must have printed."""
    output = (ran.stdout + ran.stderr).strip().splitlines()
    assert ran.returncode == USAGE_ERROR, (ran.returncode, output)
    assert len(output) == 1, output
    return output[0]


def stopped(ran: Run) -> str:
    """The line of a run that found out about its weights only when a claim asked for them."""
    assert ran.returncode == USAGE_ERROR, (ran.returncode, ran.stdout, ran.stderr)
    assert "Traceback" not in ran.stdout + ran.stderr
    assert "confirmed" not in ran.stdout
    assert "REFUTED" not in ran.stdout
    return next(line for line in ran.stdout.splitlines() if "Exit: " in line)


# --- what is fetched --------------------------------------------------------------------------


def test_helix_claims_fetch_the_positions_alone_and_once(hub: Hub, machine: Machine) -> None:
    ran = machine.run("-k", "helix")
    assert ran.returncode == 0, ran.stdout
    assert "6 confirmed, 0 refuted, 0 blocked" in ran.stdout
    print(f"bytes served for -k helix: {hub.served}, of {len(FILES[WEIGHTS])}")
    assert hub.served["config.json"] == len(FILES["config.json"])
    assert W_POS_BYTES < hub.served[WEIGHTS] <= W_POS_BYTES + 2**14
    hub.forget()
    assert machine.run(*POSITIONS).returncode == 0
    assert hub.requests == []


def test_attention_claims_fetch_the_whole_file_once(hub: Hub, machine: Machine) -> None:
    ran = machine.run(*ATTENTION)
    assert "0 confirmed, 1 refuted, 0 blocked" in ran.stdout, ran.stdout
    print(f"bytes served for -k local_heads: {hub.served}, of {len(FILES[WEIGHTS])}")
    assert hub.served[WEIGHTS] <= len(FILES[WEIGHTS]) + W_POS_BYTES + 2**14
    hub.forget()
    again = machine.run(*ATTENTION)
    assert "0 confirmed, 1 refuted, 0 blocked" in again.stdout
    assert hub.requests == []
    assert machine.kept() >= {"config.json", WEIGHTS}


def test_what_huggingface_hub_has_cached_is_used_as_it_is(hub: Hub, machine: Machine) -> None:
    download = (
        f"from huggingface_hub import snapshot_download as s; s({MODEL!r}, revision={COMMIT!r})"
    )
    subprocess.run(
        [sys.executable, "-c", download],
        env=machine.environment(HF_HUB_DISABLE_PROGRESS_BARS="1"),
        check=True,
    )
    hub.forget()
    assert machine.run(*POSITIONS, HF_HUB_OFFLINE="1").returncode == 0
    assert hub.requests == []
    blob = next(machine.home.rglob(WEIGHTS)).resolve()
    blob.write_bytes(FILES[WEIGHTS][:-1] + b"x")
    unpinned = {"gpt2": {"repo": MODEL, "revision": COMMIT}}
    ran = machine.run(*POSITIONS, models=unpinned, HF_HUB_OFFLINE="1")
    assert f"expected digest {PINNED['sha256'][WEIGHTS]}, found" in one_line(ran)


def test_without_a_subject_gpt2_is_read_from_the_hub(hub: Hub, machine: Machine) -> None:
    ran = machine.run(*POSITIONS, subject=None)
    assert "subject: gpt2 at c0ffee00, live" in ran.stdout
    assert hub.served[WEIGHTS] < len(FILES[WEIGHTS])


def test_a_token_is_shown_to_the_hub_and_to_nobody_else(hub: Hub, machine: Machine) -> None:
    assert machine.run(*POSITIONS, HF_TOKEN="hf_secret").returncode == 0
    told = {host for host, token in hub.tokens if token}
    assert told == {f"127.0.0.1:{hub.port}"}
    assert {host for host, _ in hub.tokens} == {*told, f"localhost:{hub.port}"}


# --- faults -----------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def test_connection_refused(machine: Machine) -> None:
    machine.endpoint = f"http://127.0.0.1:{free_port()}"
    assert "no answer ([Errno 111] Connection refused)" in one_line(machine.run(*FAST))
    assert machine.seconds < AT_ONCE_S


def test_a_name_that_does_not_exist(machine: Machine) -> None:
    machine.endpoint = "http://no-such-host.invalid"
    assert "expected it from http://no-such-host.invalid, found no answer" in one_line(
        machine.run(*FAST)
    )
    assert machine.seconds < AT_ONCE_S


def test_a_hub_that_never_answers_is_given_five_seconds(hub: Hub, machine: Machine) -> None:
    hub.faults = [Fault(silent=True)]
    line = one_line(machine.run(*FAST))
    assert "found no answer" in line
    assert machine.seconds < AT_ONCE_S
    assert len(hub.requests) == 1


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "HTTP 401 Unauthorized"),
        (404, "HTTP 404 Not Found"),
        (429, "HTTP 429 Too Many Requests (try again in '60' s)"),
        (500, "HTTP 500 Internal Server Error"),
    ],
)
def test_a_refusal_is_said_and_not_argued_with(
    hub: Hub, machine: Machine, status: int, said: str
) -> None:
    hub.faults = [Fault(status=status, retry_after=60 if status == 429 else None)]
    assert said in one_line(machine.run(*FAST))
    assert len(hub.requests) == 1
    hub.forget()
    hub.faults = [Fault(WEIGHTS, status=status, retry_after=60 if status == 429 else None)]
    assert said in one_line(machine.run(*POSITIONS))


def test_a_hub_that_is_broken_leaves_what_is_recorded(hub: Hub, machine: Machine) -> None:
    hub.faults = [Fault(status=503)]
    ran = machine.run(*FAST, subject=None)
    assert ran.returncode == 0, ran.stdout
    assert "gpt2, recorded on" in ran.stdout


@pytest.mark.parametrize("fault", [{"cut": 1_000_000}, {"stall": 1_000_000}])
def test_a_body_that_breaks_off_is_taken_up_where_it_broke(
    hub: Hub, machine: Machine, fault: dict[str, int]
) -> None:
    hub.faults = [Fault(WEIGHTS, times=2, **fault)]  # type: ignore[arg-type]
    assert machine.run(*POSITIONS).returncode == 0
    assert hub.served[WEIGHTS] <= W_POS_BYTES + 2**14
    assert sum("GET /delivery" in request for request in hub.requests) > 2


@pytest.mark.parametrize("fault", [{"cut": 1000}, {"stall": 0}])
def test_a_body_that_gets_nowhere_is_given_up(
    hub: Hub, machine: Machine, fault: dict[str, int]
) -> None:
    hub.faults = [Fault(WEIGHTS, **fault)]  # type: ignore[arg-type]
    assert "found no answer" in one_line(machine.run(*POSITIONS))
    assert sum("GET /delivery" in request for request in hub.requests) == 3
    hub.forget()
    assert machine.run(*POSITIONS).returncode == 0


def test_a_flipped_byte_of_the_positions_is_no_verdict(hub: Hub, machine: Machine) -> None:
    # The header says where they are; this is somewhere in the middle of them.
    length = int.from_bytes(FILES[WEIGHTS][:8], "little")
    start = json.loads(FILES[WEIGHTS][8 : 8 + length])["wpe.weight"]["data_offsets"][0]
    hub.faults = [Fault(WEIGHTS, flip=8 + length + start + W_POS_BYTES // 2)]
    assert f"expected wpe.weight with sha256 {PINNED['W_pos_sha256']}, found" in one_line(
        machine.run(*POSITIONS)
    )
    hub.forget()
    assert machine.run(*POSITIONS).returncode == 0


def test_a_flipped_byte_of_the_file_is_no_verdict(hub: Hub, machine: Machine) -> None:
    hub.faults = [Fault(WEIGHTS, flip=len(FILES[WEIGHTS]) - 1)]
    expected = PINNED["sha256"][WEIGHTS]
    assert f"expected bytes with digest {expected}, received some with" in stopped(
        machine.run(*ATTENTION)
    )
    assert WEIGHTS not in machine.kept()
    assert f"{WEIGHTS}.partial" not in machine.kept()


def test_a_flipped_byte_of_a_small_file_is_no_verdict(hub: Hub, machine: Machine) -> None:
    hub.faults = [Fault("config.json", flip=20)]
    assert f"expected bytes with digest {PINNED['sha256']['config.json']}" in one_line(
        machine.run(*FAST)
    )
    unpinned = {"gpt2": {"repo": MODEL, "revision": COMMIT}}
    hub.forget()
    hub.faults = [Fault("config.json", flip=20)]
    assert "expected bytes with digest" in one_line(machine.run(*FAST, models=unpinned))


def test_a_file_spoilt_in_the_cache_is_no_verdict(hub: Hub, machine: Machine) -> None:
    machine.run(*ATTENTION)
    weights = next(machine.home.rglob(WEIGHTS))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert f"{weights}: expected digest {PINNED['sha256'][WEIGHTS]}, found" in one_line(
        machine.run(*POSITIONS)
    )
    weights.unlink()
    positions = next(machine.home.rglob("positions.safetensors"))
    content = bytearray(positions.read_bytes())
    content[-1] ^= 1
    positions.write_bytes(content)
    hub.forget()
    assert machine.run(*POSITIONS).returncode == 0
    assert hub.served[WEIGHTS] >= W_POS_BYTES


def test_another_revision_than_was_asked_for(hub: Hub, machine: Machine) -> None:
    hub.faults = [Fault(commit="d" * 40)]
    line = one_line(machine.run(*FAST))
    assert f"expected it from commit {COMMIT} at {hub.endpoint}, found commit 'dddd" in line


def test_a_revision_that_is_not_there(machine: Machine) -> None:
    absent = {"gpt2": {**PINNED, "revision": "a" * 40}}
    assert "found HTTP 404" in one_line(machine.run(*FAST, models=absent))


def test_another_size_than_is_pinned_is_not_downloaded(hub: Hub, machine: Machine) -> None:
    hub.faults = [Fault(WEIGHTS, size=10**12)]
    assert f"expected {len(FILES[WEIGHTS])} bytes, found {10**12} announced" in one_line(
        machine.run(*POSITIONS)
    )
    assert WEIGHTS not in hub.served


def test_a_server_that_knows_no_ranges(hub: Hub, machine: Machine) -> None:
    hub.faults = [Fault(WEIGHTS, whole=True)]
    assert machine.run(*POSITIONS).returncode == 0


def test_a_server_that_compresses(hub: Hub, machine: Machine) -> None:
    hub.faults = [Fault("config.json", gzip=True)]
    assert machine.run(*FAST).returncode == 0


def test_a_hub_that_names_no_digest(hub: Hub, machine: Machine) -> None:
    hub.faults = [Fault(etag="another")]
    unpinned = {"gpt2": {"repo": MODEL, "revision": COMMIT}}
    line = one_line(machine.run(*FAST, models=unpinned))
    assert f"expected {hub.endpoint} to give a digest, found 'another'" in line


def test_a_question_is_given_up_after_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert download.REACHABLE_WITHIN_S == 5
    monkeypatch.setattr(download, "REACHABLE_WITHIN_S", 0.05)
    never = threading.Event()
    with pytest.raises(HubUnreachableError, match="no answer"):
        download.ask(never.wait, "a name that is looked up for ever")
    never.set()


def test_a_full_disk(hub: Hub, machine: Machine) -> None:
    # No file may grow beyond 4 MB: as far as a program can tell, a disk that fills up.
    limited = ("sh", "-c", 'ulimit -f 8192; exec "$@"', "sh")
    line = stopped(machine.run(*ATTENTION, before=limited))
    assert f"{WEIGHTS}: expected to write there, found File too large" in line
    assert WEIGHTS not in machine.kept()
    hub.forget()
    assert "1 refuted" in machine.run(*ATTENTION).stdout
    assert hub.served[WEIGHTS] < len(FILES[WEIGHTS])


def test_a_cache_that_cannot_be_written(machine: Machine) -> None:
    machine.home.mkdir()
    (machine.home / "assets").write_text("no folder")
    line = one_line(machine.run(*FAST))
    assert f"{machine.home}/assets/" in line
    assert "config.json: expected to write there, found Not a directory" in line
    # Where there is no hub either, what is recorded does without both.
    machine.endpoint = f"http://127.0.0.1:{free_port()}"
    ran = machine.run(*FAST, subject=None)
    assert ran.returncode == 0, ran.stdout
    assert "gpt2, recorded on" in ran.stdout


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes wherever it likes")
def test_a_cache_without_write_permission(machine: Machine) -> None:
    machine.home.mkdir()
    machine.home.chmod(0o500)
    assert "expected to write there, found Permission denied" in one_line(machine.run(*FAST))


def test_two_processes_at_once_download_once(hub: Hub, machine: Machine) -> None:
    hub.faults = [Fault(WEIGHTS, pace=0.005)]
    both = [
        subprocess.Popen(
            machine.command(ATTENTION, "gpt2", None),
            cwd=ROOT,
            env=machine.environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate()[0] for process in both]
    assert all("0 confirmed, 1 refuted, 0 blocked" in output for output in outputs), outputs
    assert hub.served[WEIGHTS] <= len(FILES[WEIGHTS]) + W_POS_BYTES + 2 * 2**14


def test_an_interrupted_download_is_resumed(hub: Hub, machine: Machine) -> None:
    hub.faults = [Fault(WEIGHTS, pace=0.02)]
    process = subprocess.Popen(
        machine.command(ATTENTION, "gpt2", None),
        cwd=ROOT,
        env=machine.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    half = len(FILES[WEIGHTS]) // 2
    while hub.served.get(WEIGHTS, 0) < W_POS_BYTES + half:
        time.sleep(0.01)
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    output = process.communicate()[0]
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert "confirmed" not in output.replace("0 confirmed", "")
    hub.forget()
    ran = machine.run(*ATTENTION)
    assert "0 confirmed, 1 refuted, 0 blocked" in ran.stdout
    print(f"bytes served after Ctrl-C: {hub.served}, of {len(FILES[WEIGHTS])}")
    assert hub.served[WEIGHTS] < len(FILES[WEIGHTS]) - half + 2**20


# --- offline ----------------------------------------------------------------------------------


def test_offline_and_without_a_cache(hub: Hub, machine: Machine) -> None:
    line = one_line(machine.run(*FAST, HF_HUB_OFFLINE="1"))
    assert f"expected config.json in {machine.home}, as HF_HUB_OFFLINE is set, found none" in line
    assert hub.requests == []


def test_a_cache_carried_to_another_machine(hub: Hub, machine: Machine, tmp_path: Path) -> None:
    machine.run(*ATTENTION)
    text = (ROOT / "ARTIFACT.md").read_text()
    here, there = re.findall(r"^(?:H=|tar ).*$", text, re.MULTILINE)
    other = Machine(tmp_path / "other" / "hf", "http://127.0.0.1:9")
    for line, home in ((here, machine.home), (there, other.home)):
        environment = {**os.environ, "HF_HOME": str(home)}
        subprocess.run(["sh", "-c", line], cwd=tmp_path, env=environment, check=True)
    machine.home.rename(tmp_path / "gone")
    hub.forget()
    ran = other.run(*ATTENTION, HF_HUB_OFFLINE="1")
    assert "0 confirmed, 1 refuted, 0 blocked" in ran.stdout
    folder = next(other.home.rglob(WEIGHTS)).parent
    ran = other.run(*POSITIONS, subject=str(folder), HF_HUB_OFFLINE="1")
    assert ran.returncode == 0, ran.stdout
    assert hub.requests == []


# --- safety -----------------------------------------------------------------------------------


def test_a_repository_with_nothing_but_a_pickle(hub: Hub, machine: Machine) -> None:
    hub.repositories[MODEL] = {"config.json": FILES["config.json"], "pytorch_model.bin": b"x"}
    line = one_line(machine.run(*POSITIONS))
    assert "found only pytorch_model.bin, a pickle" in line
    assert "pytorch_model.bin" not in hub.served


@pytest.mark.parametrize("name", ["../../../escaped", "/tmp/escaped", "..%2F..%2Fescaped"])
def test_names_that_the_hub_gives_are_no_paths(
    hub: Hub, machine: Machine, tmp_path: Path, name: str
) -> None:
    hub.faults = [Fault(etag=name)]
    assert machine.run(*POSITIONS).returncode == 0
    hub.faults = [Fault(commit=name)]
    moving = {"gpt2": {"repo": MODEL}}
    machine.home = tmp_path / "home" / "hf"
    assert "found commit" in one_line(machine.run(*FAST, models=moving))
    assert not list(tmp_path.rglob("*escaped*"))
    assert not Path("/tmp/escaped").exists()


def hostile(header: bytes, rest: bytes = b"", length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header + rest


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (hostile(b"{}", b"x" * 200_000, 2**63), "expected a header of 1 to"),
        (hostile(b"[" * 10_000, b"x" * 200_000), "expected a header in JSON"),
        (
            hostile(
                b'{"wpe.weight": {"dtype": "F32", "shape": [1024, 768], "data_offsets": '
                b"[0, 1000000000000]}}",
                b"x" * 200_000,
            ),
            "expected of 'wpe.weight' 3145728 bytes",
        ),
        (
            hostile(
                b'{"wpe.weight": {"dtype": "F32", "shape": [1000000, 768], "data_offsets": '
                b"[0, 3072000000]}}",
                b"x" * 200_000,
            ),
            "expected tensors up to byte",
        ),
    ],
)
def test_a_hostile_header_is_refused_before_anything_is_read(
    hub: Hub, machine: Machine, content: bytes, said: str
) -> None:
    hub.repositories[MODEL][WEIGHTS] = content
    unpinned = {"gpt2": {"repo": MODEL, "revision": COMMIT}}
    assert said in one_line(machine.run(*POSITIONS, models=unpinned))
    assert hub.served[WEIGHTS] <= 2**16


def test_a_matrix_larger_than_the_configuration_says_is_not_read(
    hub: Hub, machine: Machine
) -> None:
    hub.repositories[MODEL][WEIGHTS] = save({"wpe.weight": np.zeros((4096, 768), np.float32)})
    unpinned = {"gpt2": {"repo": MODEL, "revision": COMMIT}}
    line = one_line(machine.run(*POSITIONS, models=unpinned))
    assert "of shape (1024, 768) as in config.json, found F32 (4096, 768)" in line
    assert hub.served[WEIGHTS] <= 2**14


# --- more subjects ----------------------------------------------------------------------------


def report(machine: Machine, tmp_path: Path, *selection: str, **options: Any) -> dict[str, Any]:
    path = tmp_path / "report.json"
    ran = machine.run(*selection, "--claims-json", str(path), **options)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    content: dict[str, Any] = json.loads(path.read_text()) | {"printed": ran.stdout}
    return content


def test_another_model_is_a_replication_and_its_commit_and_digest_are_told(
    hub: Hub, machine: Machine, tmp_path: Path
) -> None:
    medium = {"n_layer": 24, "n_head": 16, "n_embd": 1024}
    rows = helix_rows(1024, 1024)
    hub.repositories["openai-community/gpt2-medium"] = {
        "config.json": json.dumps({**CONFIG, **medium}).encode(),
        WEIGHTS: save({"transformer.wpe.weight": rows, "wte.weight": rows}),
    }
    models = {"gpt2": PINNED, "gpt2-medium": {"repo": "openai-community/gpt2-medium"}}
    content = report(machine, tmp_path, *POSITIONS, subject="gpt2-medium", models=models)
    assert content["subject"]["replication"] is True
    assert content["subject"]["commit"] == COMMIT
    assert content["subject"]["digests"]["wpe.weight"] == sha256_of_tensor(rows)
    assert "gpt2-medium at c0ffee00, live, a replication: not GPT-2 small" in content["printed"]
    assert "replication  " in content["printed"]
    assert hub.served[WEIGHTS] <= rows.nbytes + 2**14
    assert not any("wte" in request for request in hub.requests)
    content = report(machine, tmp_path, *POSITIONS, models=models)
    assert content["subject"]["replication"] is False
    assert "replication" not in content["printed"]
    hub.forget()
    report(machine, tmp_path, *POSITIONS, subject="gpt2-medium", models=models, HF_HUB_OFFLINE="1")
    assert hub.requests == []


OTHERS: dict[str, tuple[dict[str, float], str, int]] = {
    "opt": (
        {"num_hidden_layers": 12, "num_attention_heads": 12},
        "model.decoder.embed_positions.weight",
        2,
    ),
    "gpt_neo": (
        {"num_layers": 12, "num_heads": 12, "layer_norm_epsilon": 1e-5},
        "transformer.wpe.weight",
        0,
    ),
    "bert": (
        {"num_hidden_layers": 12, "num_attention_heads": 12, "layer_norm_eps": 1e-12},
        "bert.embeddings.position_embeddings.weight",
        0,
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_each_architecture_names_its_positions(
    hub: Hub, machine: Machine, tmp_path: Path, kind: str
) -> None:
    sizes, name, padding = OTHERS[kind]
    rows = helix_rows(600, 256).astype(np.float16)
    noise = np.full((padding, 256), 100, np.float16)
    config = {"model_type": kind, "hidden_size": 256, "max_position_embeddings": 600, **sizes}
    config["num_attention_heads" if kind != "gpt_neo" else "num_heads"] = 8
    hub.repositories[MODEL] = {
        "config.json": json.dumps(config).encode(),
        WEIGHTS: save({name: np.concatenate([noise, rows]), "zz": np.zeros(10**6, np.float32)}),
    }
    models = {"gpt2": PINNED, kind: {"repo": MODEL, "revision": COMMIT}}
    content = report(machine, tmp_path, *POSITIONS, subject=kind, models=models)
    assert sha256_of_tensor(rows.astype(np.float32)) in content["subject"]["digests"].values()
    assert hub.served[WEIGHTS] < rows.nbytes + noise.nbytes + 2**14 + 1

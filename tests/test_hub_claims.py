"""From a hub to a verdict, as a user runs it; ``test_hub.py`` has what can go wrong on the way."""

import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save

from gpt2_helix.models.built import SEED, RandomWeights
from gpt2_helix.models.config import config_from
from gpt2_helix.weights.pins import HUB_MODELS, HubModel
from gpt2_helix.weights.tensors import sha256_of_tensor
from hub_server import COMMIT, Fault, Hub, ask, commit_of, live_in, serve
from support import CONFIG, ROOT, Claims, Run, checkpoint, helix_rows

MODEL = "subject/model"
WEIGHTS = "model.safetensors"
POSITIONS = ("-k", "neighbours")
ATTENTION = ("-k", "local_heads")
SIZES = {**CONFIG, "n_embd": 192, "previous_token_heads": [], "heads_looking_back": [[0, 3]]}
UNREAD = np.random.default_rng(SEED).standard_normal((3000, 768), dtype=np.float32)
TENSORS = {
    **RandomWeights(config_from({**SIZES, "n_layer": 1, "vocab_size": 3000}, "test")),
    "wpe.weight": helix_rows(1024, 192),
    "wte.weight": UNREAD,
}
FILES = {"config.json": json.dumps(SIZES).encode(), WEIGHTS: save(TENSORS)}
GPT2 = {
    "repo": MODEL,
    "revision": COMMIT,
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

    def start(self, *selection: str, subject: str | None = "gpt2", **more: str) -> "Process":
        """Run ``pytest claims/``, with the local model for GPT-2."""
        of_hub = {"HF_HOME": str(self.home), "HF_ENDPOINT": self.endpoint}
        quick = {"HF_HUB_DOWNLOAD_TIMEOUT": "2", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        meddling = ("hf_", "http_proxy", "https_proxy", "all_proxy")
        kept = {k: v for k, v in os.environ.items() if not k.lower().startswith(meddling)}
        named = [] if subject is None else ["--subject", subject]
        script = [sys.executable, str(ROOT / "tests/hub_run.py"), json.dumps({"gpt2": GPT2})]
        return subprocess.Popen(
            [*script, "claims/", "-q", "-p", "no:cacheprovider", *named, *selection],
            cwd=ROOT,
            env={**kept, **quick, **of_hub, "COLUMNS": "160", **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *selection: str, subject: str | None = "gpt2", **more: str) -> Run:
        process = self.start(*selection, subject=subject, **more)
        output = process.communicate()[0]
        return subprocess.CompletedProcess(process.args, process.returncode, output)


Process = subprocess.Popen[str]


@pytest.fixture
def machine(tmp_path: Path, hub: Hub) -> Machine:
    return Machine(tmp_path / "hf", hub.endpoint)


@pytest.fixture
def here(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_claims: Claims) -> Claims:
    """The same in this process."""
    live_in(monkeypatch, tmp_path / "hf")
    ask(monkeypatch, hub.endpoint)
    monkeypatch.setitem(
        HUB_MODELS, "gpt2", HubModel(MODEL, COMMIT, W_pos_sha256=GPT2["W_pos_sha256"])
    )
    return functools.partial(run_claims, offline=False)


def test_without_a_subject_gpt2_is_read_from_the_hub_once(
    hub: Hub, machine: Machine, here: Claims
) -> None:
    ran = machine.run(*POSITIONS, "-v", subject=None)
    assert ran.returncode == 0, ran.stdout
    assert "subject: gpt2 at c0ffee00\nevidence: live, from wpe.weight" in ran.stdout
    assert "replication" not in ran.stdout
    assert hub.served[WEIGHTS] < len(FILES[WEIGHTS])
    hub.forget()
    assert here("--subject", "gpt2", *POSITIONS).returncode == 0
    assert hub.requests == []


def test_a_slow_hub_leaves_the_record_and_says_how_to_wait(hub: Hub, machine: Machine) -> None:
    hub.faults = [Fault(silent=True)]
    ran = machine.run("-v", "-k", "144_heads", subject=None, HF_HUB_ETAG_TIMEOUT="1")
    assert ran.returncode == 0, ran.stdout
    assert re.search(r"\nevidence: recorded on [0-9-]+, from wpe.weight", ran.stdout)
    assert re.search(r"\nnot measured now: .*no answer \(", ran.stdout)
    assert "HF_HUB_ETAG_TIMEOUT=60" in ran.stdout
    assert len(hub.requests) == 1


def test_what_cannot_be_read_is_one_line(hub: Hub, here: Claims) -> None:
    hub.faults = [Fault(status=503)]
    ran = here("--subject", "gpt2", "-q", *POSITIONS)
    assert ran.returncode == int(pytest.ExitCode.USAGE_ERROR)
    (line,) = (ran.stdout + ran.stderr).strip().splitlines()
    assert "found HTTP 503 Service Unavailable" in line


def test_any_model_of_the_hub_at_a_branch(hub: Hub, here: Claims, tmp_path: Path) -> None:
    rows = helix_rows(600, 256).astype(np.float16)
    noise = np.full((2, 256), 100, np.float16)
    name = "model.decoder.embed_positions.weight"
    config = {
        "model_type": "opt",
        "hidden_size": 256,
        "max_position_embeddings": 600,
        "num_hidden_layers": 12,
        "num_attention_heads": 8,
    }
    hub.repositories["meta/opt"] = {}
    hub.repositories["meta/opt@step-5"] = {
        "config.json": json.dumps(config).encode(),
        "pytorch_model.bin": checkpoint({name: np.concatenate([noise, rows])}),
    }
    path = tmp_path / "report.json"
    ran = here(*POSITIONS, "--subject", "hub:meta/opt@step-5", "--claims-json", str(path))
    assert ran.returncode == 0, ran.stdout
    about: dict[str, Any] = json.loads(path.read_text())["subject"]
    assert about["name"] == "hub:meta/opt@step-5"
    assert about["commit"] == commit_of("step-5")
    assert about["replication"] is True
    assert about["digests"]["wpe.weight"] == sha256_of_tensor(rows.astype(np.float32))
    assert f"at {commit_of('step-5')[:8]}, a replication: not GPT-2 small" in ran.stdout


def test_two_runs_at_once_download_once(hub: Hub, machine: Machine) -> None:
    hub.faults = [Fault(WEIGHTS, pace=0.01)]
    both = [machine.start(*ATTENTION) for _ in range(2)]
    outputs = [process.communicate()[0] for process in both]
    assert all("0 confirmed, 1 refuted, 0 blocked" in output for output in outputs), outputs
    W_pos = TENSORS["wpe.weight"]
    assert hub.served[WEIGHTS] <= len(FILES[WEIGHTS]) + 2 * (W_pos.nbytes + 2**17)


def test_an_interrupted_download_leaves_nothing_half_done(hub: Hub, machine: Machine) -> None:
    hub.faults = [Fault(WEIGHTS, pace=0.01)]
    process = machine.start(*ATTENTION)
    half = TENSORS["wpe.weight"].nbytes + len(FILES[WEIGHTS]) // 2
    while hub.served.get(WEIGHTS, 0) < half:
        time.sleep(0.01)
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    output = process.communicate()[0]
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert "confirmed" not in output.replace("0 confirmed", "")
    assert not list(machine.home.rglob("*.incomplete"))
    assert not list(machine.home.rglob(WEIGHTS))


def test_a_cache_carried_to_another_machine(
    hub: Hub, here: Claims, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, other = tmp_path / "hf", tmp_path / "other" / "hf"
    here("--subject", "gpt2", *ATTENTION)
    text = (ROOT / "ARTIFACT.md").read_text()
    pack, unpack = re.findall(r"^(?:H=|tar ).*$", text, re.MULTILINE)
    pack = pack.replace("models--openai-community--gpt2", "models--subject--model")
    for line, folder in ((pack, home), (unpack, other)):
        environment = {**os.environ, "HF_HOME": str(folder)}
        subprocess.run(["sh", "-c", line], cwd=tmp_path, env=environment, check=True)
    home.rename(tmp_path / "gone")
    hub.forget()
    live_in(monkeypatch, other)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    ran = here("--subject", "gpt2", *ATTENTION)
    assert "0 confirmed, 1 refuted, 0 blocked" in ran.stdout
    snapshot = next(other.rglob(WEIGHTS)).parent
    ran = here("--subject", str(snapshot), *POSITIONS)
    assert ran.returncode == 0, ran.stdout
    assert hub.requests == []

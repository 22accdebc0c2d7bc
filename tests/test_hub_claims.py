"""From a hub to a verdict, as a user runs it; ``hub/test_faults.py`` has what can go wrong."""

import functools
import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from huggingface_hub import constants, file_download
from safetensors.numpy import save

from gpt2_helix.models import identity
from gpt2_helix.models.built import BUILT, SEED, RandomWeights, word_tokenizer
from gpt2_helix.models.config import config_from
from gpt2_helix.weights import pins, ranged
from gpt2_helix.weights.pins import HUB_MODELS, HubModel
from gpt2_helix.weights.tensors import sha256_of_tensor
from hub_server import COMMIT, Fault, Hub, commit_of, live_in, serve, start_in
from support import CONFIG, ROOT, Claims, Judge, choose, helix_rows, start_python

MODEL = "subject/model"
WEIGHTS = "model.safetensors"
POSITIONS = ("-k", "neighbours")
ATTENTION = ("-k", "local_heads and not idle")
SIZES = {**CONFIG, "n_embd": 192, "previous_token_heads": [], "heads_looking_back": [[0, 3]]}
UNREAD = np.random.default_rng(SEED).standard_normal((3000, 768), dtype=np.float32)
TENSORS = {
    **RandomWeights(config_from({**SIZES, "n_layer": 1, "vocab_size": 3000}, "test")),
    "wpe.weight": helix_rows(1024, 192),
    "wte.weight": UNREAD,
}
FILES = {"config.json": json.dumps(SIZES).encode(), WEIGHTS: save(TENSORS)}
DIGESTS = {name: sha256_of_tensor(tensor) for name, tensor in TENSORS.items()}
SUBJECT = ("--subject", f"hub:{MODEL}@{COMMIT}")


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve({MODEL: dict(FILES)}) as hub:
        yield hub


@pytest.fixture
def home(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's ``HF_HOME``, for processes that ask this hub."""
    start_in(monkeypatch, tmp_path / "hf", hub.endpoint)
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "2")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path / "hf"


def start(*options: str) -> subprocess.Popen[str]:
    """Start ``pytest claims/``."""
    return start_python("-m", "pytest", "claims/", "-q", "-p", "no:cacheprovider", *options)


@pytest.fixture
def here(hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch, judge: Judge) -> Judge:
    """``pytest claims/`` in this process, with the model of this hub for GPT-2."""
    live_in(monkeypatch, home, hub.endpoint)
    monkeypatch.setattr(pins, "GPT2_SMALL_TENSORS", DIGESTS)
    monkeypatch.setattr(identity, "GPT2_SMALL", config_from(SIZES, "test"))
    monkeypatch.setitem(HUB_MODELS, "gpt2", HubModel(MODEL, COMMIT, tensors=DIGESTS))
    return functools.partial(judge, offline=False)


def test_without_a_subject_gpt2_is_read_from_the_hub_once(hub: Hub, here: Judge) -> None:
    ran = here(*POSITIONS, "-v")
    assert ran.code == 0, ran.out
    assert "subject: gpt2 at c0ffee00: 1 of 16 tensors, each as published\n" in ran.out
    assert "replication" not in ran.out
    assert hub.served[WEIGHTS] < len(FILES[WEIGHTS])
    hub.forget()
    process = start(*POSITIONS, *SUBJECT)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    assert hub.requests == []


@pytest.mark.usefixtures("home")
def test_a_slow_hub_leaves_the_record_and_says_how_to_wait(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.faults = [Fault(silent=True)]
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "1")
    process = start("-v", "-k", "144_heads")
    output = process.communicate()[0]
    assert process.returncode == 0, output
    told = " ".join(output.split())
    assert re.search(r"\d+ of 148 tensors, each as published evidence: recorded on [0-9-]+", told)
    assert re.search(r" not measured now: .*no answer \(.*HF_HUB_ETAG_TIMEOUT=60", told)
    assert len(hub.requests) == 1


def test_any_model_of_the_hub_at_a_branch(hub: Hub, here: Judge) -> None:
    rows = helix_rows(1024, 192, seed=1).astype(np.float16)
    weights = save({"wpe.weight": rows})
    hub.repositories[f"{MODEL}@step-5"] = {**FILES, WEIGHTS: weights}
    ran = here(*POSITIONS, subject=f"hub:{MODEL}@step-5")
    assert ran.code == 0, ran.out
    about = ran.report["subject"]
    assert about["name"] == f"hub:{MODEL}@step-5"
    assert about["commit"] == commit_of("step-5")
    assert about["replication"] is True
    assert about["digests"]["wpe.weight"] == sha256_of_tensor(rows.astype(np.float32))
    assert f"at {commit_of('step-5')[:8]}, a replication: not GPT-2 small" in ran.out


@pytest.mark.usefixtures("home")
def test_two_runs_at_once_read_no_more_than_their_claims_need(hub: Hub) -> None:
    hub.faults = [Fault(WEIGHTS, pace=0.01)]
    both = [start(*ATTENTION, *SUBJECT) for _ in range(2)]
    outputs = [process.communicate()[0] for process in both]
    assert all("1 refuted" in output for output in outputs), outputs
    read = ("wpe.weight", "h.0.ln_1", "h.0.attn.c_attn")
    needed = sum(tensor.nbytes for name, tensor in TENSORS.items() if name.startswith(read))
    # At worst each reads it all: the header's length of 8 bytes, what stands around, and tensors.
    assert needed < hub.served[WEIGHTS] <= 2 * (needed + 6 * ranged.BLOCK + 8)
    assert hub.served[WEIGHTS] < len(FILES[WEIGHTS]) / 2


WHOLE = f"""
from pathlib import Path
from gpt2_helix.suite.subjects import open_subject
open_subject("{SUBJECT[1]}", Path("data")).model.tensors["wte.weight"]
"""


def test_an_interrupted_download_leaves_nothing_half_done(hub: Hub, home: Path) -> None:
    hub.faults = [Fault(WEIGHTS, pace=0.01)]
    process = start_python("-c", WHOLE)
    half = TENSORS["wpe.weight"].nbytes + len(FILES[WEIGHTS]) // 2
    while hub.served.get(WEIGHTS, 0) < half:
        time.sleep(0.01)
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    output = process.communicate()[0]
    assert "KeyboardInterrupt" in output
    assert not list(home.rglob("*.incomplete"))
    assert not list(home.rglob(WEIGHTS))


def test_a_cache_carried_to_another_machine(
    hub: Hub, here: Judge, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other" / "hf"
    here(*ATTENTION, subject="gpt2")
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
    ran = here(*ATTENTION, subject="gpt2")
    assert "1 refuted" in ran.out
    ran = here(*POSITIONS, subject="gpt2")
    assert ran.code == 0, ran.out
    assert hub.requests == []


@pytest.fixture
def complete(hub: Hub, here: Judge, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """The same, but a model that has everything, and with every file pinned."""
    config, tensors = BUILT["untrained"]()
    held = {name: tensors[name] for name in tensors}
    sizes = {key: getattr(config, key) for key in ("n_layer", "n_head", "n_embd", "vocab_size")}
    declared = {**CONFIG, **sizes, "n_positions": config.n_positions}
    files = {
        "config.json": json.dumps(declared).encode(),
        "tokenizer.json": word_tokenizer().to_str().encode(),
        WEIGHTS: save(held),
    }
    pinned = HubModel(
        MODEL,
        COMMIT,
        size={name: len(content) for name, content in files.items()},
        sha256={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        tensors={name: sha256_of_tensor(tensor) for name, tensor in held.items()},
    )
    hub.repositories[MODEL] = files
    monkeypatch.setattr(pins, "GPT2_SMALL_TENSORS", pinned.tensors)
    monkeypatch.setattr(identity, "GPT2_SMALL", config)
    monkeypatch.setitem(HUB_MODELS, "gpt2", pinned)
    # Little of what decides nothing here.
    larger = ("average-10", "average-20")
    choose(monkeypatch, "repetition", other_pairs=2, every_offset=("average-5",), larger=larger)
    return here


def test_every_claim_is_judged_after_a_download_that_was_cut(
    hub: Hub, complete: Judge, run_claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_little = ("--subject", "gpt2", "--windows", "2")
    whole = len(hub.repositories[MODEL][WEIGHTS])
    monkeypatch.setattr(file_download, "time", SimpleNamespace(sleep=lambda seconds: None))
    hub.faults = [Fault(WEIGHTS, cut=whole // 2)]
    cut = run_claims(*on_little, "-k", "first_word", offline=False)
    assert f"{WEIGHTS}: expected it from {hub.endpoint}, found no answer" in cut.stderr
    hub.forget()
    ran = complete(*on_little)
    assert not {"blocked", "error"} & set(ran.verdicts.values()), ran.out
    assert hub.served[WEIGHTS] <= whole + ranged.BLOCK + 8
    hub.forget()
    again = complete(*on_little)
    assert "subject: gpt2 at c0ffee00: 64 of 64 tensors, each as published\n" in again.out
    assert again.verdicts == ran.verdicts
    assert hub.requests == []

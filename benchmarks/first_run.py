"""What the first run of the claims costs where the hub can be reached.

Serves a GPT-2 small of random weights from a hub on this machine, so nothing is waited for but this
machine itself, and runs ``pytest claims/`` on it as a user would, in a process of its own. Prints a
Markdown table with a line for each of these runs:

positions
    The claims that read the position matrix alone; nothing is cached yet.
positions and attention
    The claims that do not run the whole model; nothing is cached yet.
all, cut once
    All claims; nothing is cached yet, and the download of the whole file breaks off in the middle
    and is taken up where it broke.
all, again
    All claims, with what the run before has cached.

Its columns are wall time in seconds, megabytes of files received from the hub, and the largest
resident memory of the process in MiB. A run that ends before its claims are judged stops it all.

``python benchmarks/first_run.py [FOLDER]`` serves the files of a folder instead. Options that are
not its own go to pytest: ``--windows=2`` runs less text. ``--only N`` stops after so many runs, and
``--tiny`` serves a model of five narrow layers, to try this file itself.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from safetensors.numpy import save
from transformers import GPT2Config

from gpt2_helix.models.built import BUILT, RandomWeights, segments, word_tokenizer
from gpt2_helix.models.config import config_from
from gpt2_helix.weights.tensors import ByName

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from hub_server import COMMIT, Fault, Hub, serve  # noqa: E402

MODEL = "benchmark/model"
WEIGHTS = "model.safetensors"
HEADS = {
    "previous_token_heads": [[2, 2], [3, 3], [4, 11]],
    "heads_looking_back": [[0, 3], [0, 4], [0, 7]],
}
"""Those that the post names, so that none is looked for."""
WATCHED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Runs a command from a small process: the peak of what this one starts begins with its own."""
TEXTS = 16
"""As many windows of text as the claims run."""


class Phase(NamedTuple):
    """A run of claims."""

    name: str
    chosen: tuple[str, ...]  # What pytest is asked for.
    fresh: bool = True  # Whether nothing is cached before.
    cut: bool = False  # Whether the download of the whole file breaks off.


PHASES = (
    Phase("positions", tuple(map("claims/test_{}.py".format, ("helix", "positions", "averaging")))),
    Phase("positions and attention", ("claims", "-m", "not whole_model")),
    Phase("all, cut once", ("claims",), cut=True),
    Phase("all, again", ("claims",), fresh=False),
)


class Cost(NamedTuple):
    """What a run took."""

    seconds: float
    megabytes: float
    peak_mib: float


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="serve its files")
    parser.add_argument("--only", type=int, default=len(PHASES), metavar="N", help="runs to make")
    parser.add_argument("--tiny", action="store_true", help="serve a very small model")
    asked, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as made:
        if asked.folder:
            files = {path.name: path.read_bytes() for path in asked.folder.iterdir()}
        else:
            files = _random_model(tiny=asked.tiny)
            options = ["--corpus", str(_texts(Path(made, "texts"))), *options]
        print("| run | s | MB received | peak MiB |\n| --- | ---: | ---: | ---: |", flush=True)
        with serve({MODEL: files}) as hub:
            for number, phase in enumerate(PHASES[: asked.only]):
                home = Path(made, f"home-{number if phase.fresh else number - 1}")
                cost = _run(hub, phase, home, options)
                numbers = f"{cost.seconds:.1f} | {cost.megabytes:.1f} | {cost.peak_mib:.0f}"
                print(f"| {phase.name} | {numbers} |", flush=True)


def _texts(folder: Path) -> Path:
    """Write texts of words that the tokenizer knows, one for each window."""
    folder.mkdir()
    for number, text in enumerate(segments(TEXTS)):
        (folder / f"{number:02}.txt").write_text(text, encoding="utf-8")
    return folder


def _random_model(*, tiny: bool) -> dict[str, bytes]:
    """Files of a model before any training, with the tokenizer of the models made here."""
    tensors: ByName
    if tiny:
        made, tensors = BUILT["untrained"]()
        sizes = ("n_layer", "n_head", "n_embd", "n_positions", "vocab_size")
        of_made = {size: getattr(made, size) for size in sizes}
        declared = GPT2Config(**of_made, bos_token_id=0, eos_token_id=0).to_dict()
    else:
        declared = GPT2Config().to_dict()
        tensors = RandomWeights(config_from(declared, "benchmark"))
    return {
        "config.json": json.dumps({**declared, **HEADS}).encode(),
        "tokenizer.json": word_tokenizer().to_str().encode(),
        WEIGHTS: save({name: tensors[name] for name in tensors}),
    }


def _run(hub: Hub, phase: Phase, home: Path, options: list[str]) -> Cost:
    """Judge the claims of a phase in a process, and wait for it."""
    hub.forget()
    if phase.cut:
        # No tensor alone is as long: what breaks off is the download of the whole file.
        hub.faults = [Fault(WEIGHTS, times=1, cut=len(hub.repositories[MODEL][WEIGHTS]) // 2)]
    command = [sys.executable, "-m", "pytest", *phase.chosen, "-q", "-p", "no:cacheprovider"]
    command += ["--subject", f"hub:{MODEL}@{COMMIT}", *options]
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(("HF_", "HTTP"))}
    environment = {**kept, "HF_HOME": str(home), "HF_ENDPOINT": hub.endpoint}
    begin = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-c", WATCHED, *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - begin
    *said, last = ran.stdout.splitlines()
    code, peak_kib = map(int, last.split())
    if code not in (0, 1):  # 1: some claim is refuted.
        sys.exit("\n".join([f"{phase.name}: pytest ended with {code}", *said[-40:]]))
    return Cost(seconds, hub.total / 1e6, peak_kib / 2**10)


if __name__ == "__main__":
    main()

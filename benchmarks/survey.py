"""What a survey of checkpoints costs: ``python benchmarks/survey.py FOLDER``.

A hub on this machine serves the positions of the model in FOLDER, in half precision, as one
checkpoint after the other, each in a ``pytorch_model.bin`` of GPT-2 small's size. Prints the rows
a minute with one worker on one core and on two, and with two workers on one core each, Dask's start
included, the bytes that each row reads, and what all checkpoints of Stanford's five seeds would
cost. The network costs nothing here; and a
helix costs more than the positions of an early checkpoint, on which a test ends sooner.
"""

import functools
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from gpt2_helix.models import gpt2
from gpt2_helix.models.architectures import W_POS
from gpt2_helix.suite.live import Live
from gpt2_helix.suite.subjects import open_subject

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import hub_server  # noqa: E402

REPO = "lab/gpt2"
STEPS = range(0, 1200, 100)
ALL_CHECKPOINTS = 5 * 609
FAMILY = "helix"


def checkpoint(folder: str) -> tuple[bytes, bytes]:
    """``config.json`` and ``pytorch_model.bin``; all tensors but the positions are zero."""
    subject = open_subject(folder, ROOT / "data")
    assert isinstance(subject, Live)
    model = subject.model
    state = {
        name: torch.zeros(shape, dtype=torch.float16)
        for name, shape in gpt2.shapes(model.config).items()
    }
    state[W_POS] = torch.from_numpy(model.W_pos.astype(np.float16))
    file = io.BytesIO()
    torch.save({f"transformer.{name}": tensor for name, tensor in state.items()}, file)
    return Path(folder, "config.json").read_bytes(), file.getvalue()


def seconds(workers: int, threads: int, endpoint: str, scratch: Path) -> float:
    """Wall time of one survey with nothing cached, by workers with so many cores each."""
    shutil.rmtree(scratch, ignore_errors=True)
    steps = ",".join(map(str, STEPS))
    command = [sys.executable, "-m", "gpt2_helix", "survey", f"hub:{REPO}@checkpoint-{{{steps}}}"]
    options = ["--claims", FAMILY, "--into", str(scratch / "survey")]
    options += ["--workers", str(workers), "--threads", str(threads)]
    begin = time.perf_counter()
    subprocess.run(
        [*command, *options],
        cwd=ROOT,
        env={**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(scratch / "hf")},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - begin


def main(folder: str) -> None:
    """Print rows a minute, bytes a row, and the cost of all checkpoints."""
    config, weights = checkpoint(folder)
    hub_server.etag = functools.cache(hub_server.etag)  # The server's own work is not measured.
    files = {"config.json": config, "pytorch_model.bin": weights}
    branches = {f"{REPO}@checkpoint-{step}": files for step in STEPS}
    with hub_server.serve({REPO: {}, **branches}) as hub, tempfile.TemporaryDirectory() as scratch:
        found = []
        for workers, threads in ((1, 1), (1, 2), (2, 1)):
            hub.forget()
            wall = seconds(workers, threads, hub.endpoint, Path(scratch, "run"))
            found.append(rows_a_minute := 60 * len(STEPS) / wall)
            print(f"workers_{workers}_of_{threads}_cores_rows_a_minute {rows_a_minute:.1f}")
        print(f"two_workers_over_one {found[2] / found[0]:.2f}")
        row = hub.total / len(STEPS)
    print(f"file_bytes {len(weights)}\nrow_bytes {row:.0f}")
    print(f"all_checkpoints {ALL_CHECKPOINTS}")
    print(f"all_checkpoints_gb {ALL_CHECKPOINTS * row / 1e9:.1f}")
    print(f"all_checkpoints_hours_2_workers {ALL_CHECKPOINTS / rows_a_minute / 60:.1f}")


if __name__ == "__main__":
    main(sys.argv[1])

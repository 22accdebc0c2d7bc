"""What tests are made of: models, processes, refusals, and the names of the fixtures' types."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gpt2_helix import parameters
from gpt2_helix.judging.errors import InputError
from gpt2_helix.weights.tensors import Array

if TYPE_CHECKING:
    from gpt2_helix.suite.live import Live

ROOT = Path(__file__).parent.parent
CONFIG = {
    "model_type": "gpt2",
    "n_layer": 12,
    "n_head": 12,
    "n_embd": 768,
    "n_positions": 1024,
    "layer_norm_epsilon": 1e-5,
    "previous_token_heads": [[2, 2], [3, 3], [4, 11]],
    "heads_looking_back": [[0, 3], [0, 4], [0, 7]],
}
SMALL = {"n_positions": 258, "n_embd": 96}
"""Sizes of a model on which claims about positions are judged quickly."""
Run = subprocess.CompletedProcess[str]
Folder = Callable[..., Path]
Claims = Callable[..., Run]


@dataclass(frozen=True)
class Judged:
    """A run of claims that wrote its verdicts: exit code, what it said, and the report."""

    code: int
    out: str
    report: dict[str, Any]

    @property
    def claims(self) -> dict[str, Any]:
        return {claim["id"]: claim for claim in self.report["claims"]}

    @property
    def verdicts(self) -> dict[str, str]:
        return {name: claim["verdict"] for name, claim in self.claims.items()}


Judge = Callable[..., Judged]


@contextmanager
def refused(
    *said: str, kind: type[Exception] = InputError
) -> Iterator[pytest.ExceptionInfo[Exception]]:
    """Expect an error of one short line that says all this."""
    with pytest.raises(kind) as error:
        yield error
    line = str(error.value)
    for part in said:
        assert part in line
    assert "\n" not in line
    assert len(line) < 500


def helix_rows(n: int = 1024, d_model: int = 768, turns: float = 3, seed: int = 0) -> Array:
    """A perfect helix in random directions, with a little noise on every entry."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, n)
    angle = 2 * np.pi * turns * t
    coordinates = np.stack([np.cos(angle), np.sin(angle), 4 * (2 * t - 1)], axis=1)
    directions = np.linalg.qr(rng.standard_normal((d_model, 3)))[0].T
    noise = 0.002 * rng.standard_normal((n, d_model))
    return (coordinates @ directions + noise).astype(np.float32)


def run_python(*arguments: str, cwd: Path = ROOT, **environment: str) -> Run:
    """Run Python, with these variables besides those of the environment."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def start_python(*arguments: str) -> subprocess.Popen[str]:
    """Start Python, to be interrupted; what it says of errors is in its output."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Where the suite itself runs in the background of a shell, it ignores SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def opened(spec: object) -> "Live":
    """A model by its name or its folder, without records."""
    from gpt2_helix.suite.live import Live  # Once its shapes are checked: see conftest.
    from gpt2_helix.suite.subjects import open_subject

    subject = open_subject(str(spec), Path("no-data"))
    assert isinstance(subject, Live)
    return subject


def small(folder: Folder) -> Path:
    """A small model folder: a helix for positions."""
    return folder(config=SMALL, tensors={"wpe.weight": helix_rows(258, 96)})


def checkpoint(tensors: Mapping[str, Any], **how: Any) -> bytes:
    """What ``torch.save`` writes of these: arrays, or anything else as it is."""
    import torch  # Most tests need none.

    file = io.BytesIO()
    arrays = {name: torch.from_numpy(t) for name, t in tensors.items() if isinstance(t, np.ndarray)}
    torch.save({**tensors, **arrays}, file, **how)
    return file.getvalue()


@dataclass(frozen=True)
class Hostile:
    """Something that makes a file when it is unpickled."""

    file: Path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.file}",)


def choose(monkeypatch: pytest.MonkeyPatch, family: str, **changed: object) -> None:
    """Measure a family with other choices than those of params.yaml, whether they work or not."""
    of = parameters.of

    def chosen(name: str, *path: Path) -> dict[str, object]:
        return {**of(name, *path), **changed} if name == family else of(name, *path)

    monkeypatch.setattr(parameters, "of", chosen)

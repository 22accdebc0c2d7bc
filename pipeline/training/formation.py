"""How the curve forms: W_pos and what averaging it costs, measured while a model is trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int
from safetensors.torch import save_file
from torch import Tensor

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.measure import helix
from gpt2_helix.models import on_text
from gpt2_helix.models.config import Head
from gpt2_helix.models.runner import Runner

GROUP_SIZES = (5, 10, 20, 50, 100)
LOOKS = 30
"""Looks at a model on the way, apart from the one before the first step."""
KEPT = 2
"""W_pos is kept at every second look, so that a model stays below 4 MB with its snapshots."""
TABLE = "formation.csv"
SNAPSHOTS = "W_pos.safetensors"


@dataclass(frozen=True)
class Stage:
    """A model at one step of its training; its shape is that of ``measure.helix``."""

    step: int  # Steps taken.
    loss: float  # Mean next-token loss on held-out text, nats.
    explained: float
    neighbour_correlation: float  # See the function of this name.
    climb: float
    turns: float
    one_sign: float
    steady_climb: float
    adjacent_neighbour: float
    # Loss with positions averaged in groups of this size, minus loss, nats.
    loss_change_5: float
    loss_change_10: float
    loss_change_20: float
    loss_change_50: float
    loss_change_100: float
    # Mean attention to the previous token, the first token left out, of the head with the most.
    previous_token: float
    head: str  # That head, such as ``L0H3``.


def look_at(
    step: int, runner: Runner, W_pos: Positions, windows: Int[np.ndarray, "window token"]
) -> Stage:
    """Measure a model on windows of text."""
    names = [doctoring.INTACT, *(f"average-{k}" for k in GROUP_SIZES)]
    tables = runner.tables([doctoring.doctor(W_pos, name)[: windows.shape[1]] for name in names])
    loss = np.mean(
        [window.loss for window in on_text.window_statistics(runner, windows, tables)], axis=0
    )
    found = on_text.previous_token(runner, windows, tables[:1], first_query=1)
    attention = found.attention[:, 0].mean(0)
    layer, head = np.unravel_index(attention.argmax(), attention.shape)
    shape = helix.shape(W_pos)
    return Stage(
        step=step,
        loss=float(loss[0]),
        explained=shape.explained,
        neighbour_correlation=neighbour_correlation(W_pos),
        climb=shape.climb,
        turns=shape.turns,
        one_sign=shape.one_sign,
        steady_climb=helix.steady_climb(helix.principal_curve(W_pos).scores[1:-1]),
        adjacent_neighbour=shape.adjacent_neighbour,
        previous_token=float(attention.max()),
        head=str(Head(int(layer), int(head))),
        **{
            f"loss_change_{k}": float(doctored - loss[0])
            for k, doctored in zip(GROUP_SIZES, loss[1:], strict=True)
        },
    )


def neighbour_correlation(W_pos: Positions) -> float:
    """Mean cosine between rows i and i + 1, for the rows 1 .. n-2 minus their mean.

    It is 0 for rows that know nothing of each other, and 1 for a smooth curve.
    """
    rows = W_pos[1:-1].astype(np.float64)
    rows -= rows.mean(axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return float((rows[1:] * rows[:-1]).sum(axis=1).mean())


def looks(steps: int) -> list[int]:
    """Steps after which to look at a model: the first is 0, the last the end of training."""
    return np.unique(np.linspace(0, steps, LOOKS + 1).round().astype(int)).tolist()


def kept(steps: int) -> list[int]:
    """Those of ``looks`` at which W_pos is kept; the last is in the model itself."""
    return looks(steps)[:-1:KEPT]


def write_snapshots(snapshots: Mapping[int, Tensor], path: Path) -> None:
    """Write W_pos by step."""
    save_file({f"step {step:05}": W_pos for step, W_pos in snapshots.items()}, path)
    path.chmod(0o644)

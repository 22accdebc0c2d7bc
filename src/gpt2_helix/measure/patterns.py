"""Attention patterns of the main previous-token heads on the beginning of a text.

They are drawn, and no claim judges them, so finding the heads settles nothing here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxtyping import Int
from numpy import ndarray

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.models.config import Head

if TYPE_CHECKING:
    import gpt2_helix.models.runner  # not at run time: it imports torch, which is slow


@dataclass(frozen=True)
class Patterns:
    """Attention patterns on the first tokens of the first window of text, by doctoring and head."""

    # Row i has the attention that position i pays to positions 0 .. i.
    by_doctoring: dict[str, dict[str, list[list[float]]]]


def of_main_heads(
    runner: "gpt2_helix.models.runner.Runner",
    W_pos: Positions,
    windows: Int[ndarray, "window token"],
    main_heads: Sequence[Head],
    *,
    positions: int = 50,
    doctorings: Sequence[str] = ("intact", "average-10"),
) -> Patterns:
    """Run the beginning of a text under each doctoring."""
    from gpt2_helix.models import on_text  # Not above: it imports torch, which is slow.

    tables = runner.tables(list(doctoring.doctor_all(W_pos, doctorings).values()))
    found = on_text.patterns(runner, windows[0, :positions], tables, main_heads)
    by_doctoring = {
        name: {
            str(head): [row[: i + 1].tolist() for i, row in enumerate(pattern)]
            for head, pattern in zip(main_heads, patterns, strict=True)
        }
        for name, patterns in zip(doctorings, found, strict=True)
    }
    return Patterns(by_doctoring)

"""Attention patterns of the main previous-token heads on the beginning of a text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxtyping import Int
from numpy import ndarray

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.parameters import PARAMETERS
from gpt2_helix.subjects.config import Head

if TYPE_CHECKING:
    import gpt2_helix.runner  # not at run time: it brings torch, which other claims do without

_CHOSEN = PARAMETERS["patterns"]
N_POSITIONS: int = _CHOSEN["positions"]
GROUP_SIZE: int = _CHOSEN["group_size"]


@dataclass(frozen=True)
class Patterns:
    """Attention patterns on the first tokens of the first window of text.

    Attributes
    ----------
    intact, doctored
        Head to its pattern; row i has the attention that position i pays to positions 0 .. i.
    """

    intact: dict[str, list[list[float]]]
    doctored: dict[str, list[list[float]]]


def of_main_heads(
    runner: "gpt2_helix.runner.Runner",
    W_pos: Positions,
    windows: Int[ndarray, "window position"],
    main_heads: Sequence[Head],
) -> Patterns:
    """Run the beginning of a text, on intact positions and on their means in groups."""
    tables = runner.tables([W_pos, doctoring.average_in_groups(W_pos, GROUP_SIZE)])
    found = runner.patterns(windows[0, :N_POSITIONS], tables, main_heads)
    intact, doctored = (
        {
            str(head): [row[: i + 1].tolist() for i, row in enumerate(pattern)]
            for head, pattern in zip(main_heads, patterns, strict=True)
        }
        for patterns in found
    )
    return Patterns(intact, doctored)

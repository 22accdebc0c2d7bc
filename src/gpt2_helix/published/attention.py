"""Attention of the whole GPT-2 small to the previous token, as others published it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from gpt2_helix.doctoring import INTACT
from gpt2_helix.judging import records
from gpt2_helix.measure import published
from gpt2_helix.measure.heads import AVERAGED


@dataclass(frozen=True)
class PreviousToken:
    """Mean attention to the previous token on text, head by head.

    Attributes
    ----------
    heads
        Names of all 144 heads, such as ``L0H3``, layer after layer.
    intact, averaged
        On the author's pictures, intact and averaged in groups of ten: means over the 49 queries
        at positions 152 .. 200, ``<|endoftext|>`` being 0, middle of each colour's level.
    notebook_heads
        Names of the 48 heads of the layers that the notebook shows: 0, 2, 4 and 5.
    notebook
        On its first prompt, of 25 tokens: means over the queries 2 .. 24.
    """

    heads: list[str]
    intact: Float[np.ndarray, "144"]
    averaged: Float[np.ndarray, "144"]
    notebook_heads: list[str]
    notebook: Float[np.ndarray, "48"]


def read_previous_token(data: Path) -> PreviousToken:
    """Read it from the records in ``data/published``.

    Raises
    ------
    MissingInputError
        If there are none.
    """
    folder = data / "published"
    pictures = records.read(folder / "pictures", published.windows, published.Windows)
    notebook = records.read(folder / "notebook", published.prompts, published.Prompts)
    intact, averaged = (pictures.by_doctoring[name].attention for name in (INTACT, AVERAGED))
    on_first = notebook.by_prompt["first"].attention
    return PreviousToken(
        list(intact),
        np.array(list(intact.values())),
        np.array(list(averaged.values())),
        list(on_first),
        np.array(list(on_first.values())),
    )

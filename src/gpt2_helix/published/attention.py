"""Attention of the whole GPT-2 small to the previous token, as others published it."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float


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
    FileNotFoundError
        If there are none.
    """
    pictures = _measured(data / "published/pictures")["windows"]["by_doctoring"]
    notebook = _measured(data / "published/notebook")["prompts"]["by_prompt"]["first"]["attention"]
    intact, averaged = (pictures[name]["attention"] for name in ("intact", "average-10"))
    return PreviousToken(
        list(intact),
        np.array(list(intact.values())),
        np.array(list(averaged.values())),
        list(notebook),
        np.array(list(notebook.values())),
    )


def _measured(folder: Path) -> dict[str, dict[str, dict[str, dict[str, dict[str, float]]]]]:
    content = json.loads((folder / "published.json").read_text(encoding="utf-8"))
    measured: dict[str, dict[str, dict[str, dict[str, dict[str, float]]]]] = content["measured"]
    return measured

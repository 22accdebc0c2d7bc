"""One number for each head of GPT-2 small that a notebook of TransformerLens shows."""

import json
from pathlib import Path

import numpy as np

from gpt2_helix.judging.errors import InputError
from pipeline.digitising import published
from pipeline.digitising.pictures import HEADS, LAYERS, sha256_of_files

FILE = "previous-token.json"
"""The notebook's own numbers, under ``scores``: layer by head."""


def read_scores(folder: Path) -> tuple[published.Scores, str]:
    """Read the scores and the sha256 of their file, as of ``pictures.Pictures``.

    ``InputError`` if the file is missing, or does not hold a share of attention for every head.
    """
    path = folder / FILE
    try:
        attention = np.array(json.loads(path.read_bytes())["scores"], dtype=np.float64)
    except FileNotFoundError:
        raise InputError(f"{path}: expected scores of heads, found none") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected scores of heads, found {error!r}") from None
    if attention.shape != (LAYERS, HEADS):
        raise InputError(
            f"{path}: expected scores of shape {(LAYERS, HEADS)}, found {attention.shape}"
        )
    if not ((attention >= 0) & (attention <= 1)).all():
        raise InputError(f"{path}: expected attention from 0 to 1, found other numbers")
    return published.scores(attention), sha256_of_files([path])

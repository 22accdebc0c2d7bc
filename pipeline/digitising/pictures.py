"""Attention patterns read back from the post's author's pictures of all 144 heads.

Each picture is a figure of matplotlib's ``matshow`` with ``vmin=0, vmax=1``: 50 queries down and
50 keys across, in colours of viridis. A colour is one of 256 levels, and level n stands for
attention from n/256 to (n+1)/256; two pairs of neighbouring levels share a colour.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from gpt2_helix.doctoring import INTACT
from gpt2_helix.judging.errors import InputError
from gpt2_helix.measure.heads import AVERAGED
from pipeline.digitising.published import Patterns

_ByColour = Int[np.ndarray, " colour"]

LAYERS = HEADS = 12
SIZE = (480, 480)
LEFT, TOP, CELL = 72.0, 102.0, 5.952
"""Pixels: where the matrix begins, and a cell's side."""
CELLS = 50
LEVELS = 256
SUFFIX = {INTACT: "", AVERAGED: "_with_averaged_posembed"}
"""What the name of a picture ends in, by doctoring."""
SUM_OF_ROUNDING = 1e-6
"""What a row of float32 attention can sum to above 1."""
_RGB = np.array([1 << 16, 1 << 8, 1])
"""Makes one number of a colour."""


@dataclass(frozen=True)
class Pictures:
    """All pictures, digitised."""

    names: list[str]  # Of the heads, layer after layer.
    # Bounds of each number, by doctoring.
    low: dict[str, Patterns]
    high: dict[str, Patterns]
    sha256: str  # Of the list of files as ``sha256sum`` prints it, sorted by name.


def read_pictures(folder: Path) -> Pictures:
    """Read and check the 288 pictures of a folder; other files in it do not matter.

    ``InputError`` if one is missing, or is not what the author drew: one line on the first.
    """
    names = [f"L{layer}H{head}" for layer in range(LAYERS) for head in range(HEADS)]
    files = {
        doctoring: [folder / f"pattern_{name}{suffix}.png" for name in names]
        for doctoring, suffix in SUFFIX.items()
    }
    bounds = {
        doctoring: np.stack([read_picture(path) for path in paths], axis=1)
        for doctoring, paths in files.items()
    }
    return Pictures(
        names,
        {doctoring: low for doctoring, (low, _) in bounds.items()},
        {doctoring: high for doctoring, (_, high) in bounds.items()},
        sha256_of_files([path for paths in files.values() for path in paths]),
    )


def read_picture(path: Path) -> Float[np.ndarray, "bound=2 query=50 key=50"]:
    """Read one picture: lower and upper bounds of the attention of 50 queries to 50 keys.

    ``InputError`` if it is not there or cut short, has another size, other colours than viridis
    has, attention to later keys, or a row that sums to more than 1.
    """
    bounds = _bounds(_cells(path), path)
    if np.triu(bounds[0], 1).any():
        query, key = np.argwhere(np.triu(bounds[0], 1))[0]
        raise InputError(
            f"{path}: expected no attention to later keys, found {bounds[0, query, key]:.3g} from "
            f"row {query} to column {key}"
        )
    if (most := bounds[0].sum(1).max()) > 1 + SUM_OF_ROUNDING:
        raise InputError(f"{path}: expected rows that sum to at most 1, found {most:.4g}")
    # What is masked is 0 and no level's range.
    bounds[1] = np.tril(bounds[1])
    return bounds


def sha256_of_files(files: list[Path]) -> str:
    """sha256 of what ``sha256sum`` prints of files, sorted by name."""
    lines = sorted((path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files)
    listed = "".join(f"{sha256}  {name}\n" for name, sha256 in lines)
    return hashlib.sha256(listed.encode()).hexdigest()


def _cells(path: Path) -> Int[np.ndarray, "query=50 key=50 rgb=3"]:
    """Colour of each cell, the same from its centre to two pixels right and down.

    The frame covers two pixels of the first row and column, and none of these.
    """
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.size != SIZE:
                width, height = image.size
                raise InputError(
                    f"{path}: expected {SIZE[0]} x {SIZE[1]} pixels, found {width} x {height}"
                )
            pixels = np.asarray(image.convert("RGB"), dtype=np.int64)
    except FileNotFoundError:
        raise InputError(f"{path}: expected a picture, found none") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: expected a whole PNG, found {error}") from None
    centre = (np.arange(CELLS) + 0.5) * CELL
    rows, columns = (TOP + centre).astype(int), (LEFT + centre).astype(int)
    samples = np.stack(
        [pixels[np.ix_(rows + down, columns + right)] for down in range(3) for right in range(3)]
    )
    if (samples != samples[0]).any():
        raise InputError(f"{path}: expected {CELLS} x {CELLS} cells of {CELL} pixels, found none")
    return samples[0]


def _bounds(
    cells: Int[np.ndarray, "query=50 key=50 rgb=3"], path: Path
) -> Float[np.ndarray, "bound=2 query=50 key=50"]:
    """Bounds of the levels that have these colours."""
    found, (codes, lowest, highest) = cells @ _RGB, _viridis()
    at = np.searchsorted(codes, found).clip(max=len(codes) - 1)
    if (unknown := codes[at] != found).any():
        query, key = np.argwhere(unknown)[0]
        raise InputError(
            f"{path}: expected colours of viridis, found {tuple(cells[query, key].tolist())} in "
            f"row {query}, column {key}"
        )
    return np.stack([lowest[at] / LEVELS, (highest[at] + 1) / LEVELS])


@cache
def _viridis() -> tuple[_ByColour, _ByColour, _ByColour]:
    """Distinct colours in ascending order, and the first and last level of each."""
    of_levels = mpl.colormaps["viridis"](np.arange(LEVELS), bytes=True)[:, :3].astype(int) @ _RGB
    codes, lowest = np.unique(of_levels, return_index=True)
    _, from_end = np.unique(of_levels[::-1], return_index=True)
    return codes, lowest, LEVELS - 1 - from_end

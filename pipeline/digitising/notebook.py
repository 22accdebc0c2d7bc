"""Attention patterns of whole layers that a notebook of TransformerLens shows, as numbers."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, ValidationError

from gpt2_helix.judging.errors import InputError, first_mistake
from pipeline.digitising.pictures import HEADS, sha256_of_files
from pipeline.digitising.published import Patterns

SHOWN = {"first": (0, 2, 4, 5), "second": (0, 5)}
"""Layers that the notebook shows of each of its two prompts."""
NOTEBOOK = ".ipynb"
ROUNDING = 1e-5
"""How far from 1 a row of float32 attention may sum."""
_LAYER = re.compile(r"Layer (\d+)")


@dataclass(frozen=True)
class Notebook:
    """Patterns of the notebook, by prompt, ``<|endoftext|>`` left out."""

    names: dict[str, list[str]]  # Of the heads.
    patterns: dict[str, Patterns]
    sha256: str  # As of ``pictures.Pictures``.


class Shown(BaseModel):
    """One layer on one prompt; ``attention`` is head by query by key."""

    prompt: str
    layer: int
    tokens: list[str]
    attention: list[list[list[float]]]


def read_notebook(path: Path) -> Notebook:
    """Read the notebook, or a folder with a JSON file for each layer that it shows.

    Such a file is called ``first-L0.json`` and holds ``prompt``, ``layer``, ``tokens`` and
    ``attention`` (head, query, key). ``InputError`` if a layer is missing, or is no attention:
    one line on the first.
    """
    wanted = [(prompt, layer) for prompt, layers in SHOWN.items() for layer in layers]
    is_notebook = path.suffix == NOTEBOOK
    files = [path] if is_notebook else [path / f"{p}-L{layer}.json" for p, layer in wanted]
    found = _outputs(path) if is_notebook else map(_file, files)
    shown = {(layer.prompt, layer.layer): layer for layer in found}
    if missing := [key for key in wanted if key not in shown]:
        prompt, layer = missing[0]
        raise InputError(f"{path}: expected layer {layer} on the {prompt} prompt, found none")
    return Notebook(
        {p: [f"L{x}H{head}" for x in SHOWN[p] for head in range(HEADS)] for p in SHOWN},
        {p: np.concatenate([_attention(shown[p, x], path) for x in SHOWN[p]]) for p in SHOWN},
        sha256_of_files(files),
    )


def _file(path: Path) -> Shown:
    try:
        return _shown(path.read_bytes(), path)
    except FileNotFoundError:
        raise InputError(f"{path}: expected a layer of the notebook, found none") from None


def _shown(text: str | bytes, path: Path) -> Shown:
    try:
        return Shown.model_validate_json(text)
    except ValidationError as error:
        where, why = first_mistake(error)
        raise InputError(f"{path}: expected {where or 'JSON'} of a layer, found {why}") from None


def _outputs(path: Path) -> Iterator[Shown]:
    """Patterns in a notebook's outputs: pages that hold ``"tokens"`` and ``"attention"``."""
    try:
        cells = json.loads(path.read_bytes())["cells"]
    except FileNotFoundError:
        raise InputError(f"{path}: expected a notebook, found none") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected a notebook, found {error!r}") from None
    prompts: list[list[str]] = []
    for cell in cells:
        outputs = cell.get("outputs", [])
        printed = "".join(part for out in outputs for part in out.get("text", []))
        for out in outputs:
            page = "".join(out.get("data", {}).get("text/html", []))
            tokens, attention = _value(page, "tokens"), _value(page, "attention")
            if (layer := _LAYER.search(printed)) and tokens and attention:
                if tokens not in prompts:
                    prompts.append(tokens)
                if (which := prompts.index(tokens)) < len(SHOWN):
                    of = {"layer": int(layer[1]), "tokens": tokens, "attention": attention}
                    yield _shown(json.dumps({"prompt": list(SHOWN)[which], **of}), path)


def _value(page: str, key: str) -> Any:
    """The first JSON list that follows a key in a page; None if there is none."""
    for found in re.finditer(rf'"{key}":\s*(?=\[)', page):
        try:
            return json.JSONDecoder().raw_decode(page, found.end())[0]
        except ValueError:
            continue  # A page's own code may use the same word.
    return None


def _attention(shown: Shown, path: Path) -> Float[np.ndarray, "head=12 query key"]:
    """Check the attention of a layer; leave out ``<|endoftext|>``."""
    where = f"{path}: layer {shown.layer} on the {shown.prompt} prompt"
    n = len(shown.tokens)
    try:
        attention = np.array(shown.attention, dtype=np.float64)
    except ValueError:
        attention = np.empty(0)
    if attention.shape != (HEADS, n, n):
        raise InputError(
            f"{where}: expected attention of shape {(HEADS, n, n)}, found {attention.shape}"
        )
    if np.triu(attention, 1).any():
        raise InputError(f"{where}: expected no attention to later keys, found some")
    sums = attention.sum(2)
    if not (np.abs(sums - 1) <= ROUNDING).all() or (attention < 0).any():
        off = sums.ravel()[np.abs(sums - 1).argmax()]
        raise InputError(f"{where}: expected rows that sum to 1, found {off:.6g}")
    return attention[:, 1:, 1:]

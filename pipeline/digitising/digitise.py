"""From what others published to records in ``data/published``."""

from pathlib import Path
from typing import Any

import numpy as np

from gpt2_helix.doctoring import INTACT
from gpt2_helix.judging import records
from gpt2_helix.measure import heads, patterns
from gpt2_helix.models.config import MAIN_HEADS_OF_GPT2_SMALL as MAIN_HEADS
from pipeline.digitising import published
from pipeline.digitising.notebook import NOTEBOOK, SHOWN, read_notebook
from pipeline.digitising.pictures import read_pictures

SEED = 0

RANDOM_ORDER, SHIFTED = "heads-in-random-order", "averaged-shifted"
PICTURES, NOTEBOOK_FOLDER = "pictures", "notebook"
SOURCES = {
    PICTURES: {
        "repository": "adamyedidia/resid_viewer",
        "commit": "cce15e9389549036f2cdf85df187c102bf137554",
        "path": "experiments/pngs",
        "licence": "MIT, copyright 2023 Adam Yedidia",
    },
    NOTEBOOK_FOLDER: {
        "repository": "TransformerLensOrg/TransformerLens",
        "commit": "58b007f8bb0be10c056a82b6e673c98ff679bc2c",
        "path": "demos/Head_Detector_Demo.ipynb",
        "licence": "MIT, copyright 2022 TransformerLensOrg",
    },
}


def digitise(source: Path, into: Path) -> list[Path]:
    """Record what was published into a folder ``pictures`` or ``notebook``, as its files show.

    The source is a folder of the author's pictures; or the notebook, or a folder with its layers.
    """
    is_notebook = source.suffix == NOTEBOOK or any(source.glob(f"{next(iter(SHOWN))}-L*.json"))
    return _notebook(source, into) if is_notebook else _pictures(source, into)


def _pictures(folder: Path, into: Path) -> list[Path]:
    found = read_pictures(folder)
    middle = {d: (found.low[d] + found.high[d]) / 2 for d in found.low}
    all_heads = published.all_heads(middle, found.names)
    order = np.random.default_rng(SEED).permutation(len(found.names))
    shifted = {**middle, heads.AVERAGED: published.shifted(middle[heads.AVERAGED])}
    of_controls = {
        RANDOM_ORDER: published.in_random_order(all_heads, order.tolist()),
        SHIFTED: published.all_heads(shifted, found.names),
    }
    shown = patterns.Patterns(
        {
            doctoring: {
                str(head): [
                    row[: i + 1].tolist()
                    for i, row in enumerate(of_all[found.names.index(str(head))])
                ]
                for head in MAIN_HEADS
            }
            for doctoring, of_all in middle.items()
        }
    )
    windows = published.windows(found.low, found.high, found.names)
    into, source = into / PICTURES, {**SOURCES[PICTURES], "sha256": found.sha256}
    return [
        records.write(
            into,
            "heads",
            {},
            _of_heads(all_heads),
            {name: _of_heads(broken) for name, broken in of_controls.items()},
            source,
        ),
        records.write(into, "published", {}, {published.windows: windows}, {}, source),
        records.write(into, "patterns", {}, {patterns.of_main_heads: shown}, {}, source),
    ]


def _notebook(path: Path, into: Path) -> list[Path]:
    """The first prompt, of which it shows most layers, is what claims are asked of."""
    found = read_notebook(path)
    prompt = next(iter(SHOWN))
    all_heads = published.all_heads({INTACT: found.patterns[prompt]}, found.names[prompt])
    order = np.random.default_rng(SEED).permutation(len(found.names[prompt]))
    broken = published.in_random_order(all_heads, order.tolist())
    prompts = published.prompts(found.patterns, found.names)
    into, source = into / NOTEBOOK_FOLDER, {**SOURCES[NOTEBOOK_FOLDER], "sha256": found.sha256}
    return [
        records.write(
            into, "heads", {}, _of_heads(all_heads), {RANDOM_ORDER: _of_heads(broken)}, source
        ),
        records.write(into, "published", {}, {published.prompts: prompts}, {}, source),
    ]


def _of_heads(found: heads.AllHeads) -> dict[records.Measurement, Any]:
    """What claims ask; of intact positions alone, nothing on survival."""
    results: dict[records.Measurement, Any] = {
        heads.all_heads: found,
        heads.main_heads: heads.main_heads(lambda _: found, MAIN_HEADS),
    }
    if heads.AVERAGED in found.share:
        results[heads.survival] = heads.survival(lambda _: found, MAIN_HEADS)
    return results

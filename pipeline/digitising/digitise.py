"""From what others published to records in ``data/published``."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from gpt2_helix.doctoring import INTACT
from gpt2_helix.judging import records
from gpt2_helix.measure import heads, patterns
from gpt2_helix.models.config import MAIN_HEADS_OF_GPT2_SMALL as MAIN_HEADS
from gpt2_helix.models.config import Head
from pipeline.digitising import published
from pipeline.digitising.notebook import NOTEBOOK, SHOWN, read_notebook
from pipeline.digitising.pictures import read_pictures
from pipeline.digitising.scores import FILE, read_scores

SEED = 0

RANDOM_ORDER, SHIFTED, ASKED_OF = "heads-in-random-order", "averaged-shifted", "asked-of-"
LOSE = (Head(0, 4), Head(0, 7), Head(1, 0))
"""Heads of the first layers that lose attention when positions are averaged."""
PICTURES, NOTEBOOK_FOLDER, SCORES = "pictures", "notebook", "scores"
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
    SCORES: {
        "repository": "TransformerLensOrg/TransformerLens",
        "commit": "ea3989dd0331f933d4527ec195ce9b655d4018fa",
        "path": "demos/Exploratory_Analysis_Demo.ipynb",
        "licence": "MIT, copyright 2022 TransformerLensOrg",
    },
}


def digitise(source: Path, into: Path) -> list[Path]:
    """Record what was published into ``pictures``, ``notebook`` or ``scores``, as its files show.

    The source is a folder of the author's pictures; the notebook, or a folder with its layers; or
    a folder with the scores of another notebook.
    """
    if holds_scores(source):
        return _scores(source, into)
    is_notebook = source.suffix == NOTEBOOK or any(source.glob(f"{next(iter(SHOWN))}-L*.json"))
    return _notebook(source, into) if is_notebook else _pictures(source, into)


def holds_scores(source: Path) -> bool:
    """Whether it is the folder with scores, which must be recorded before the pictures."""
    return (source / FILE).exists()


def _pictures(folder: Path, into: Path) -> list[Path]:
    found = read_pictures(folder)
    middle = {d: (found.low[d] + found.high[d]) / 2 for d in found.low}
    # A group has one border, where heads may lose more than elsewhere.
    observe = partial(published.observed, names=found.names, unit=published.GROUP)
    intact = observe(middle)
    order = np.random.default_rng(SEED).permutation(len(found.names)).tolist()
    shifted = {**middle, heads.AVERAGED: published.shifted(middle[heads.AVERAGED])}
    scored, scores_of = _recorded_scores(into)
    of_controls = {
        RANDOM_ORDER: _of_heads(
            published.in_random_order(intact, order),
            dict(zip(scored, (list(scored.values())[i] for i in order), strict=True)),
        ),
        SHIFTED: _survival(observe(shifted), MAIN_HEADS),
        **{f"{ASKED_OF}{head}": _survival(intact, [head]) for head in LOSE},
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
    measured = {**_of_heads(intact, scored), **_survival(intact, MAIN_HEADS)}
    windows = published.windows(found.low, found.high, found.names)
    into, source = into / PICTURES, {**SOURCES[PICTURES], **scores_of, "sha256": found.sha256}
    return [
        records.write(into, "heads", {}, measured, of_controls, source),
        records.write(into, "published", {}, {published.windows: windows}, {}, source),
        records.write(into, "patterns", {}, {patterns.of_main_heads: shown}, {}, source),
    ]


def _notebook(path: Path, into: Path) -> list[Path]:
    """The first prompt, of which it shows most layers, is what claims are asked of."""
    found = read_notebook(path)
    prompt = next(iter(SHOWN))
    names = found.names[prompt]
    intact = published.observed({INTACT: found.patterns[prompt]}, names, whole=True)
    order = np.random.default_rng(SEED).permutation(len(names))
    broken = published.in_random_order(intact, order.tolist())
    prompts = published.prompts(found.patterns, found.names)
    into, source = into / NOTEBOOK_FOLDER, {**SOURCES[NOTEBOOK_FOLDER], "sha256": found.sha256}
    return [
        records.write(
            into, "heads", {}, _of_heads(intact), {RANDOM_ORDER: _of_heads(broken)}, source
        ),
        records.write(into, "published", {}, {published.prompts: prompts}, {}, source),
    ]


def _scores(folder: Path, into: Path) -> list[Path]:
    found, sha256 = read_scores(folder)
    source = {**SOURCES[SCORES], "sha256": sha256}
    return [records.write(into / SCORES, "published", {}, {published.scores: found}, {}, source)]


def _recorded_scores(into: Path) -> tuple[heads.ByHead, dict[str, str]]:
    """Scores that were recorded before, by head, and where they come from; nothing if none were."""
    if not (into / SCORES).is_dir():
        return {}, {}
    found = records.RecordedSubject(SCORES, into / SCORES)
    return found.measure(published.scores).attention, {SCORES: str(found.source)}


def _of_heads(
    found: heads.Observed, scores: Mapping[str, float] = MappingProxyType({})
) -> dict[records.Measurement, Any]:
    """What claims ask of intact positions.

    Places by attention are those by the scores, as no other source shows all of it.
    """
    main = heads.main_heads(lambda _: found, MAIN_HEADS)
    by_scores = heads.places(scores, main.share) if scores else None
    return {
        heads.all_heads: heads.all_heads(lambda _: found),
        heads.main_heads: replace(main, place_by_attention=by_scores),
        heads.profiles: heads.profiles(lambda _: found, MAIN_HEADS),
    }


def _survival(found: heads.Observed, asked: Sequence[Head]) -> dict[records.Measurement, Any]:
    return {heads.survival: heads.survival(lambda _: found, asked)}

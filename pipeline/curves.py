"""The curves that figures draw and no claim judges."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gpt2_helix import parameters
from gpt2_helix.doctoring import Positions
from gpt2_helix.judging import records
from gpt2_helix.judging.errors import HubUnreachableError, InputError, MissingInputError
from gpt2_helix.judging.files import check_folder
from gpt2_helix.measure import helix
from gpt2_helix.suite.live import Live
from gpt2_helix.suite.recording import open_live
from pipeline import tables


@dataclass(frozen=True)
class Surrogates:
    """What PCA makes of smooth random curves."""

    # The statistic of every surrogate of ``helix.phantom``, by seed.
    random_walks: list[float]
    phase_randomised: list[float]
    # The curve of the one whose statistic is largest.
    closest_random_walk: helix.Curve
    closest_phase_randomised: helix.Curve


FILES = ("curve.csv", "surrogate_curves.csv", "surrogates.csv")


def record(spec: str, folder: Path, weights: str | None = None, strict: bool = False) -> None:
    """Write the curves of a subject.

    If its weights are not available, the curves stay and one line says so; with ``strict``, that
    is an error.
    """
    check_folder("--into", folder)
    try:
        write(open_live(spec, weights), folder)
    except (HubUnreachableError, MissingInputError) as error:
        if strict:
            raise
        print(f"{folder.name} curves: weights not available ({error}), {_kept(folder)}")


def write(subject: Live, folder: Path) -> None:
    """Write the curve itself, and what PCA makes of noise."""
    curve = subject.measure(helix.principal_curve).scores
    smooth = subject.measure(surrogates)
    closest = np.hstack([smooth.closest_random_walk, smooth.closest_phase_randomised])
    climbs = zip(smooth.random_walks, smooth.phase_randomised, strict=True)
    axes = ("pc1", "pc2", "pc3")
    contents: list[tuple[list[str], Iterable[Iterable[float]]]] = [
        (["position", *axes], ([i, *row] for i, row in enumerate(curve))),
        (
            ["position", *(f"{null}_{pc}" for null in ("walk", "phase") for pc in axes)],
            ([i, *row] for i, row in enumerate(closest, 1)),
        ),
        (
            ["seed", "random_walk", "phase_randomised"],
            ([seed, *both] for seed, both in enumerate(climbs)),
        ),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for file, (header, rows) in zip(FILES, contents, strict=True):
        tables.write(folder / file, header, rows)
        print(folder / file)


def surrogates(W_pos: Positions) -> Surrogates:
    """Draw every surrogate that ``helix.phantom`` may meet, and keep the closest curves."""
    seeds = range(parameters.of("helix")["surrogates"])
    nulls = helix.nulls(W_pos[1:-1])
    with helix.side_by_side() as pool:
        climbs = [
            list(pool.map(lambda seed, curve=curve: helix.surrogate_climb(curve(seed)), seeds))
            for curve in nulls
        ]
    walk, phase = (curve(int(np.argmax(climb))) for curve, climb in zip(nulls, climbs, strict=True))
    return Surrogates(climbs[0], climbs[1], walk, phase)


def _kept(folder: Path) -> str:
    """What happens to curves that cannot be measured; their record is that of the helix."""
    day = records.keep(folder, "helix", parameters.of("helix"))
    if not all((folder / file).exists() for file in FILES):
        raise InputError(f"{folder}: expected {', '.join(FILES)}, found not all of them")
    return f"kept as recorded {day}" if day else "not measured"

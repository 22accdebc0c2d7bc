"""The curves that figures draw and no claim judges."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from gpt2_helix.cli import open_model
from gpt2_helix.judging import records
from gpt2_helix.judging.errors import HubUnreachableError, MissingInputError, SubjectError
from gpt2_helix.measure import helix
from gpt2_helix.models.model import Model
from gpt2_helix.parameters import PARAMETERS
from pipeline import tables

FILES = ("curve.csv", "surrogate_curves.csv", "surrogates.csv")


def record(spec: str, folder: Path, weights: str | None = None, strict: bool = False) -> None:
    """Write the curves of a subject.

    If its weights are not available, the curves stay and one line says so; with ``strict``, that
    is an error.
    """
    records.check_folder("--into", folder)
    try:
        write(open_model(spec, weights), folder)
    except (HubUnreachableError, MissingInputError) as error:
        if strict:
            raise
        print(f"{folder.name} curves: weights not available ({error}), {_kept(folder)}")


def write(model: Model, folder: Path) -> None:
    """Write the curve itself, and what PCA makes of noise."""
    curve = model.measure(helix.principal_curve).scores
    smooth = model.measure(helix.surrogates)
    closest = np.hstack([smooth.closest_random_walk, smooth.closest_phase_randomised])
    axes = ("pc1", "pc2", "pc3")
    contents: list[tuple[list[str], Iterable[Iterable[float]]]] = [
        (["position", *axes], ([i, *row] for i, row in enumerate(curve))),
        (
            ["position", *(f"{null}_{pc}" for null in ("walk", "phase") for pc in axes)],
            ([i, *row] for i, row in enumerate(closest, 1)),
        ),
        (
            ["seed", "random_walk", "phase_randomised"],
            zip(range(helix.SURROGATES), smooth.random_walks, smooth.phase_randomised, strict=True),
        ),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for file, (header, rows) in zip(FILES, contents, strict=True):
        tables.write(folder / file, header, rows)
        print(folder / file)


def _kept(folder: Path) -> str:
    """What happens to curves that cannot be measured; their record is that of the helix."""
    day = records.keep(folder, "helix", PARAMETERS.by_family["helix"])
    if not all((folder / file).exists() for file in FILES):
        raise SubjectError(f"{folder}: expected {', '.join(FILES)}, found not all of them")
    return f"kept as recorded {day}" if day else "not measured"

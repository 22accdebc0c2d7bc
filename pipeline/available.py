"""Which weights are available, as a file that the pipeline can depend on."""

from pathlib import Path
from typing import Any

from gpt2_helix.judging import records
from gpt2_helix.judging.errors import HubUnreachableError, MissingInputError
from gpt2_helix.models import gpt2
from gpt2_helix.suite.recording import open_live


def look(name: str, into: Path, weights: str | None = None, strict: bool = False) -> None:
    """Write which weights of a model of the hub are available, as JSON.

    The file holds the digests of its configuration and positions, and the tensors that are
    missing; it is the same on every machine that has the same tensors. If there are none it is
    empty and one line says so; with ``strict``, any that is missing is an error.
    """
    try:
        subject = open_live(name, weights)
        model = subject.model
        missing = model.missing(list(gpt2.shapes(model.config)))
        if strict and missing:
            raise MissingInputError(missing, model.name)
        found: dict[str, Any] = {"digests": subject.digests, "missing": missing}
    except HubUnreachableError as error:
        if strict:
            raise
        print(f"{name}: weights not available ({error}), its records stay")
        found = {}
    into.parent.mkdir(parents=True, exist_ok=True)
    records.write_json(into, found)

"""Which weights are available, as a file that the pipeline can depend on."""

from pathlib import Path
from typing import Any

from gpt2_helix.judging.errors import HubUnreachableError, MissingInputError
from gpt2_helix.judging.files import check_file, write_json
from gpt2_helix.models import gpt2
from gpt2_helix.suite.recording import open_live
from gpt2_helix.weights.files import KINDS


def look(name: str, into: Path, weights: str | None = None, strict: bool = False) -> None:
    """Write which weights of a model of the hub are available, as JSON.

    The file holds the digests of its configuration and of the tensors that were read to know it,
    all of them in a folder; and the tensors that are missing. If there are none it is
    empty and one line says so; with ``strict``, any that is missing is an error.
    """
    into.parent.mkdir(parents=True, exist_ok=True)
    check_file("--into", into)
    try:
        subject = open_live(name, weights)
        model = subject.model
        missing = model.missing(list(gpt2.shapes(model.config)))
        if strict and missing:
            raise MissingInputError(missing, model.name)
        digests = {name: sha256 for name, sha256 in subject.digests.items() if name not in KINDS}
        found: dict[str, Any] = {"digests": digests, "missing": missing}
    except HubUnreachableError as error:
        if strict:
            raise
        print(f"{name}: weights not available ({error}), its records stay")
        found = {}
    write_json(into, found)

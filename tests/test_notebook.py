"""The notebook gives the outputs that are committed with it, without a network."""

import warnings
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from support import ROOT

NOTEBOOK = ROOT / "notebooks/tour.ipynb"


def told(notebook: Any) -> list[str]:
    """The text of every output but warnings; of a figure, what it is."""
    return [
        str(output.get("text") or output["data"]["text/plain"])
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.get("name") != "stderr"
    ]


def test_the_outputs_are_those_that_are_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of the client and its sockets.
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        committed = told(notebook)
        NotebookClient(notebook, timeout=300).execute(cwd=str(NOTEBOOK.parent))
    assert len(committed) > 5
    assert told(notebook) == committed

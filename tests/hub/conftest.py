"""A hub with that model, and a user who has nothing of it yet."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.model import FILES, MODEL
from hub_server import Hub, live_in, serve


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve({MODEL: dict(FILES)}) as hub:
        yield hub


@pytest.fixture(autouse=True)
def home(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's machine: an empty ``HF_HOME``, and that hub."""
    home = tmp_path / "hf"
    live_in(monkeypatch, home, hub.endpoint)
    return home

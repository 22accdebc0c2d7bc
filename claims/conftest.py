"""Which model is under test: the one that ``--subject`` names."""

import pytest

from gpt2_helix import verdicts


def pytest_sessionstart(session: pytest.Session) -> None:
    """Open it before any claim is collected, so that a wrong name ends the run at once."""
    if not session.config.option.collectonly:
        verdicts.put_under_test(session.config)

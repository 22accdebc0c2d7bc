"""``python hub_run.py MODELS ARGUMENTS``: pytest with other models in the table than the real ones.

The real models' digests cannot be served by a test, so that the table of this process, and of no
other, is given models whose digests are those of what the test's server has. MODELS is JSON: name
to the fields of ``HubModel``.
"""

import json
import signal
import sys

import pytest


class Table:
    """A plugin that fills the table."""

    def pytest_configure(self) -> None:
        from gpt2_helix.weights.pins import HUB_MODELS, HubModel

        told = json.loads(sys.argv[1])
        HUB_MODELS.update({name: HubModel(**fields) for name, fields in told.items()})


if __name__ == "__main__":
    # Also where whoever started the tests in the background had it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(pytest.main(sys.argv[2:], plugins=[Table()]))

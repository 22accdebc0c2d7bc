"""One line on a terminal that says what is being judged, and how long the rest will take."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpt2_helix.judging.suite import Plan
from gpt2_helix.judging.trial import Trial

if TYPE_CHECKING:
    from rich.text import Text


class Progress:
    """The line of a trial; where stderr is no terminal, nothing is shown."""

    def __init__(self, trial: Trial, n_claims: int, plan: Plan | None) -> None:
        self.n_claims, self.plan = n_claims, plan
        self.begun, self.now = 0, ""
        trial.tell = self._told

    def _told(self, what: str) -> None:
        self.now = what

    @contextmanager
    def next_claim(self) -> Iterator[None]:
        """Show the line while a claim is judged."""
        self.begun += 1
        if not sys.stderr.isatty():
            yield
            return
        from rich.console import Console  # Not above: these are slow to import.
        from rich.live import Live

        console = Console(stderr=True)
        with Live(get_renderable=self._line, console=console, transient=True, auto_refresh=True):
            yield

    def _line(self) -> "Text":
        from rich.text import Text

        left = self.plan.left() if self.plan else ""
        said = f"claim {self.begun} of {self.n_claims}{f', {left}' if left else ''}: {self.now}"
        return Text(said, no_wrap=True, overflow="ellipsis")

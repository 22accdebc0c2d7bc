"""How long the claims that run the whole of a model will take, from the time of one window."""

import time
from collections.abc import Sequence

from gpt2_helix import doctoring, parameters
from gpt2_helix.judging.claim import Claim
from gpt2_helix.measure import repetition
from gpt2_helix.suite.live import Live

WHOLE_MODEL = ("F", "D")
"""What claims need that run the whole of a model."""
CONTROLS_ON_TEXT = {"heads": 1, "output": 2}
"""Controls that run the same model, each on a quarter of the windows unless that leaves it open."""
WORTH_TELLING_S = 30
TOKENS_OF_A_TAIL = 12
"""About as many as the prompt has from the first word of the pair to its end."""


class WholeModelPlan:
    """Tokens that are to be run through the model, and how long each takes.

    Making it runs the first window, which loads the model and may download it.
    ``MissingInputError`` if the model cannot be run.
    """

    def __init__(self, subject: Live, claims: Sequence[Claim]) -> None:
        from gpt2_helix.models import on_text  # Not above: it imports torch, which is slow.

        asked = [claim for claim in claims if claim.needs in WHOLE_MODEL]
        families = {claim.id.partition(".")[0] for claim in asked}
        runner, window = subject.model.runner, subject.windows[:1]
        self._tokens = _to_run(subject, families)
        tables = runner.tables([subject.model.W_pos[: window.shape[1]]])
        on_text.window_statistics(runner, window[:, :32], tables)  # The first run is a slow one.
        begin = time.perf_counter()
        on_text.window_statistics(runner, window, tables)
        seconds = (time.perf_counter() - begin) / window.size * self._tokens
        self._done, self._began = 0, 0.0
        self.said = ""
        if seconds > WORTH_TELLING_S:
            self.said = (
                f"about {_in_words(seconds)} on this machine for claims that run the whole "
                f'model ({len(asked)}); -m "not whole_model" leaves them out'
            )
        runner.ran = self._ran

    def _ran(self, tokens: int) -> None:
        self._began = self._began or time.perf_counter()
        self._done += tokens

    def left(self) -> str:
        """How long the rest of the runs will take, going by those that are done."""
        if not self._done:
            return ""
        if self._done >= self._tokens:
            return "more windows than planned"
        seconds = (time.perf_counter() - self._began) / self._done * (self._tokens - self._done)
        return f"about {_in_words(seconds)} to go"


def _to_run(subject: Live, families: set[str]) -> int:
    """Tokens to run, if each control is refuted on its first windows."""
    n_windows, length = subject.windows.shape
    doctorings = len(parameters.of("output")["doctorings"])
    rows = {"heads": 2, "output": doctorings - 2 * ("heads" in families)}
    on_text = families & rows.keys()
    quarters = max(n_windows // 4, 2)
    windows = sum(rows[f] * (n_windows + quarters * CONTROLS_ON_TEXT[f]) for f in on_text)
    return windows * length + ("repetition" in families) * _to_repeat()


def _to_repeat() -> int:
    """Tokens of the repetition prompt under every doctoring, its two tails among them."""
    chosen = parameters.of("repetition")
    offsets = sum(doctoring.group_size(name) or 1 for name in chosen["every_offset"])
    rows = 1 + offsets + len(chosen["larger"])
    return int(rows * (chosen["first_word_at"] + len(repetition.BOTH) * TOKENS_OF_A_TAIL))


def _in_words(seconds: float) -> str:
    """A time in minutes, or in seconds if it is short."""
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"

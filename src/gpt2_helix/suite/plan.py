"""How long the claims that run the whole of a model will take, from the time of one window."""

import time
from collections.abc import Sequence

from gpt2_helix import parameters
from gpt2_helix.judging.claim import Claim
from gpt2_helix.judging.errors import MissingInputError
from gpt2_helix.measure import repetition
from gpt2_helix.suite.live import Live

WHOLE_MODEL = ("F", "D")
"""What claims need that run the whole of a model."""
CONTROLS_ON_TEXT = {"heads": 1, "output": 2}
"""Controls that run the same model, each on a quarter of the windows unless that leaves it open."""
WORTH_TELLING_S = 30
RUNS = 3
"""Of the first window, the fastest of which counts: the first is slow, as other programs may be."""


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
        self.tokens = _to_run(subject, families)
        tables = runner.tables([subject.model.W_pos[: window.shape[1]]])
        taken = []
        for _ in range(RUNS):
            begin = time.perf_counter()
            on_text.window_statistics(runner, window, tables)
            taken.append(time.perf_counter() - begin)
        seconds = min(taken) / window.size * self.tokens
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
        if self._done >= self.tokens:
            return "more to run than planned"
        seconds = (time.perf_counter() - self._began) / self._done * (self.tokens - self._done)
        return f"about {_in_words(seconds)} to go"


def _to_run(subject: Live, families: set[str]) -> int:
    """Tokens to run, if each control is refuted on its first windows."""
    n_windows, length = subject.windows.shape
    doctorings = len(parameters.of("output")["doctorings"])
    rows = {"heads": 2, "output": doctorings - 2 * ("heads" in families)}
    on_text = families & rows.keys()
    quarters = max(n_windows // 4, 2)
    windows = sum(rows[f] * (n_windows + quarters * CONTROLS_ON_TEXT[f]) for f in on_text)
    return windows * length + (_to_repeat(subject) if "repetition" in families else 0)


def _to_repeat(subject: Live) -> int:
    """Tokens of the prompt under every doctoring, both orders; none if it does not fit the model.

    The control, and the intact prompt by itself, are a run each.
    """
    try:
        prompt = subject.prompt
    except MissingInputError:
        return 0
    chosen = parameters.of("repetition")
    rows = 2 + len(repetition.wanted(chosen["every_offset"], chosen["larger"]))
    tails = len(repetition.BOTH) * (prompt.n_tokens - len(prompt.prefix))
    return rows * (len(prompt.prefix) + tails)


def _in_words(seconds: float) -> str:
    """A time in minutes, or in seconds if it is short."""
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"

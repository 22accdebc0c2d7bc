"""A model that is measured in this run, with all that a measurement can ask for."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int
from threadpoolctl import threadpool_limits

from gpt2_helix import doctoring, parameters, prompts, texts
from gpt2_helix.judging import records
from gpt2_helix.judging.claim import Found, Subject
from gpt2_helix.judging.errors import MissingInputError
from gpt2_helix.measure import cause, named_heads
from gpt2_helix.measure.agreement import PublishedHeads
from gpt2_helix.models.config import HEADS_OF_GPT2_SMALL, Head, chosen_heads, head_named
from gpt2_helix.models.interventions import Pattern, average_of_past
from gpt2_helix.models.model import Model
from gpt2_helix.models.readings import Readings, Rule, Tokens
from gpt2_helix.suite.published import published_heads
from gpt2_helix.texts import TextInputs
from gpt2_helix.weights.pins import is_gpt2_small

Result = TypeVar("Result")


# Without a repr: pytest shows the subject where an assertion fails, and would print its tensors.
@dataclass(eq=False, repr=False)
class Live(Subject):
    """A model under test; its attributes, and those of ``model``, are what measurements name."""

    name: str
    model: Model
    material: TextInputs  # Text to run through it.
    doctor: Callable[..., doctoring.Positions] = doctoring.doctor
    # What "plain average" means: the pattern for a number of positions.
    average: Callable[[int], Pattern] = average_of_past
    # Heads that attend by a rule, through attention alone.
    rules: Mapping[Head, Rule] = field(default_factory=dict)
    published_in: Path | None = None  # What others measured of it, if anyone did.
    intact: "Live | None" = None  # What this is a broken copy of.
    whole: "Live | None" = None  # What this is the same as, on fewer windows of text.

    def __post_init__(self) -> None:
        self.commit = self.model.commit
        self.digests = {**self.model.digests, **self.model.read}
        self.found: dict[str, Found] = self.intact.found if self.intact else {}
        self._measured: dict[Callable[..., Any], Any] = {}

    @property
    def families(self) -> set[str]:
        """Families of which something was measured."""
        return {records.family(measurement) for measurement in self._measured}

    def broken(self, **changed: Any) -> "Live":
        """Copy the subject with something else in it; heads stay those of the intact one."""
        return replace(self, intact=self.intact or self, **changed)

    @cached_property
    def on_a_quarter(self) -> "Live | None":
        """The same on the first quarter of the windows of text; None if that is less than two."""
        n_windows = self.n_windows // 4
        if n_windows < 2:
            return None
        return self.broken(material=replace(self.material, n_windows=n_windows), whole=self)

    @property
    def n_windows(self) -> int:
        """How many windows of text are run."""
        asked = self.material.n_windows
        return int(parameters.of("output")["windows"]) if asked is None else asked

    def measure(self, measurement: Callable[..., Result]) -> Result:
        """Call a measurement once, with what its parameters name.

        Those that only go by name are choices of ``params.yaml``; the others are attributes. A
        broken copy that has all of these from the intact subject has its result too.
        """
        if measurement not in self._measured:
            self._measured[measurement] = self._measure(measurement)
        return self._measured[measurement]

    def _measure(self, measurement: Callable[..., Result]) -> Result:
        chosen = parameters.of(records.family(measurement))
        named = inspect.signature(measurement).parameters.values()
        asked = [one.name for one in named if one.kind is not one.KEYWORD_ONLY]
        if self.whole and not {"windows", "measure"} & set(asked):
            return self.whole.measure(measurement)
        arguments = {name: self._attribute(name) for name in asked}
        whole = self.intact
        if (
            whole
            and whole.model is self.model
            and all(_same(found, whole._attribute(name)) for name, found in arguments.items())
        ):
            return whole.measure(measurement)  # What is broken has no part in it.
        choices = {one.name: chosen[one.name] for one in named if one.kind is one.KEYWORD_ONLY}
        # One thread for numpy: sums are then the same on every machine, and matrices this
        # small gain nothing from more. torch has threads of its own.
        with threadpool_limits(1, user_api="blas"):
            return measurement(**arguments, **choices)

    def _attribute(self, name: str) -> Any:
        return getattr(self if hasattr(type(self), name) else self.model, name)

    @property
    def random_tokens(self) -> Tokens:
        """What attention alone is fed in place of tokens."""
        return Tokens(parameters.of("attention_only")["token_std"])

    @cached_property
    def attention_alone(self) -> Readings:
        """The model with its MLPs taken out, on random vectors in place of tokens.

        ``MissingInputError`` if it has too few positions, or ``without_mlps`` cannot be made.
        """
        model, chosen, whole = self.model, parameters.of("attention_only"), self.intact
        if whole and whole.model is model and whole.rules == self.rules:
            alone = whole.attention_alone  # The same, and costly to run again.
            return alone if self.doctor is whole.doctor else alone.doctoring_by(self.doctor)
        runner = model.without_mlps
        positions, queries = self._window()
        tokens = self.random_tokens.draw(chosen["draws"], positions, model.config.n_embd)
        return Readings(
            runner,
            model.reached,
            model.W_pos,
            tokens,
            queries,
            doctor=self.doctor,
            rules=self.rules,
        )

    def on_text(self) -> "Live":
        """The same subject, with the whole model on text in place of attention alone.

        Windows of text take the place of draws of random tokens.
        """
        whole, model = self.broken(), self.model
        positions, queries = self._window()
        windows = self._windows(parameters.of("attention_only")["draws"], positions)
        whole.attention_alone = Readings(
            model.runner, model.attention, model.W_pos, windows, queries, pair=1
        )
        return whole

    def _window(self) -> tuple[int, slice]:
        """How many positions attention alone is fed, and the queries that are averaged."""
        chosen = parameters.of("attention_only")
        found, least = self.model.config.n_positions, chosen["least_positions"]
        if found < least:
            raise MissingInputError([f"{least} positions"], "the position matrix")
        positions = min(chosen["positions"], found)
        return positions, slice(chosen["first_query"], positions)

    @cached_property
    def published(self) -> PublishedHeads:
        """What others published of the attention of all heads of the whole model.

        ``MissingInputError`` if nothing is: GPT-2 small alone has it, and its broken copies.
        """
        if self.published_in is None:
            raise MissingInputError(["published attention of all its heads"], self.name)
        return published_heads(self.published_in)

    @cached_property
    def windows(self) -> Int[np.ndarray, "window token"]:
        """Windows of text, as tokens."""
        return self._windows(self.n_windows, min(texts.WINDOW, self.model.config.n_positions))

    def _windows(self, n_windows: int, length: int) -> Int[np.ndarray, "window token"]:
        corpus = self.material.texts(n_windows)
        return texts.windows(self.model.tokenizer, corpus, n_windows, length)

    @cached_property
    def prompt(self) -> prompts.RepetitionPrompt:
        """The prompt that asks to repeat."""
        chosen = parameters.of("repetition")
        tokenizer, n_positions = self.model.tokenizer, self.model.config.n_positions
        if file := self.material.prompt:
            pairs = chosen["other_pairs"]
            return prompts.prompt_from_file(tokenizer, n_positions, file, other_pairs=pairs)
        sizes = {name: chosen[name] for name in ("exchanges", "first_word_at", "other_pairs")}
        return prompts.generated_prompt(tokenizer, n_positions, **sizes)

    @property
    def main_heads(self) -> tuple[Head, ...]:
        """The main previous-token heads; see ``_heads``."""
        return (self.intact or self)._heads("previous_token_heads")

    @property
    def heads_looking_back(self) -> tuple[Head, ...]:
        """The heads of layer 0 that look just behind; see ``_heads``."""
        return (self.intact or self)._heads("heads_looking_back")

    @property
    def heads_by_cost(self) -> tuple[Head, ...]:
        """The heads of layer 0, that which does most for the main heads first; found in each copy.

        See ``cause.costs``.
        """
        return tuple(map(head_named, self.measure(cause.costs).cost))

    @property
    def leading_head(self) -> Head:
        """The first of ``heads_by_cost``."""
        return self.heads_by_cost[0]

    def _heads(self, name: str) -> tuple[Head, ...]:
        """Heads that the configuration or the post names, or else those that are found.

        ``MissingInputError`` if nobody names any and they cannot be found.
        """
        config = self.model.config
        named: tuple[Head, ...] = getattr(config, name)
        if not named and is_gpt2_small(self.digests):
            named = HEADS_OF_GPT2_SMALL[name]
        if named:
            return named
        if not config.architecture.causal:
            why = f"{name} in config.json (heads are found in causal models alone)"
            raise MissingInputError([why], self.name)
        if name not in self.found:
            self.found[name] = self.measure(named_heads.BY_NAME[name])
        return chosen_heads(self.found[name])


def _same(one: Any, other: Any) -> bool:
    """Whether two arguments are the same object, or equal heads."""
    return one is other or (isinstance(one, tuple) and one == other)

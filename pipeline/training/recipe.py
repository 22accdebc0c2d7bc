"""Recipes: how the models that ship are trained, as ``params.yaml`` says."""

from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from gpt2_helix.judging.errors import SubjectError, first_mistake
from gpt2_helix.parameters import PARAMETERS

Kind = Literal["echo", "text", "periodic", "crowded", "segments", "exchanges"]
"""A kind of document; see ``documents.MAKERS``."""


class Phase(BaseModel):
    """Steps that share one kind of batch.

    Attributes
    ----------
    steps
        How many.
    length, rows
        Tokens of a document, and documents in a batch.
    anywhere
        True if a document starts at a random position, False if it starts at position 0.
    reset_weights
        True if all weights but the positions return to their first values when the phase begins.
    W_pos_rate
        Learning rate of the positions, as a multiple of that of the other weights.
    documents
        Share of each kind of document.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: PositiveInt
    length: PositiveInt
    rows: PositiveInt
    anywhere: bool
    reset_weights: bool
    W_pos_rate: PositiveFloat
    documents: dict[Kind, Annotated[float, Field(gt=0, le=1)]]

    @model_validator(mode="after")
    def _shares(self) -> "Phase":
        if not np.isclose(total := sum(self.documents.values()), 1):
            raise ValueError(f"documents: expected shares that add up to 1, found {total:g}")
        return self


class Recipe(BaseModel):
    """All that decides the bytes of a trained model, but for its seed and its text.

    Attributes
    ----------
    n_layer, n_head, n_embd, n_positions, vocab_size
        Sizes of the model.
    std, W_pos_std
        Standard deviation of the first weights, and of the first positions.
    threads
        Threads that torch uses.
    learning_rate, warm_up, cool_down
        Highest rate; steps in which it rises from 0, and steps in which it falls to 0.
    betas, weight_decay
        Of AdamW.
    bfloat16
        True to multiply matrices in bfloat16 (torch autocast).
    phases
        What the model learns from, in order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_layer: PositiveInt
    n_head: PositiveInt
    n_embd: PositiveInt
    n_positions: PositiveInt
    vocab_size: PositiveInt
    std: PositiveFloat
    W_pos_std: PositiveFloat
    threads: PositiveInt
    learning_rate: PositiveFloat
    warm_up: PositiveInt
    cool_down: PositiveInt
    betas: tuple[float, float]
    weight_decay: NonNegativeFloat
    bfloat16: bool
    phases: tuple[Phase, ...]

    @property
    def sizes(self) -> dict[str, Any]:
        """Sizes, by the names that a GPT-2's config.json has for them."""
        names = ("n_layer", "n_head", "n_embd", "n_positions", "vocab_size")
        return {name: getattr(self, name) for name in names}

    @property
    def steps(self) -> int:
        """Steps of all phases."""
        return self._ends[-1]

    @property
    def resets(self) -> list[int]:
        """Steps at which all weights but the positions have their first values."""
        starts = [0, *self._ends[:-1]]
        return [
            start
            for start, phase in zip(starts, self.phases, strict=True)
            if start == 0 or phase.reset_weights
        ]

    def phase_of(self, step: int) -> Phase:
        """Phase that a step belongs to; steps are counted from 0."""
        return self.phases[int(np.searchsorted(self._ends, step, side="right"))]

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of a step: it rises after each reset and falls at the end, in a line."""
        start = max(start for start in self.resets if start <= step)
        rise = (step + 1 - start) / self.warm_up
        fall = (self.steps - step) / self.cool_down
        return float(self.learning_rate * min(1, rise, fall))

    @cached_property
    def _ends(self) -> list[int]:
        return np.cumsum([phase.steps for phase in self.phases]).tolist()


def read_recipe(name: str) -> Recipe:
    """Recipe of this name in ``params.yaml``.

    Raises
    ------
    SubjectError
        If it lacks a choice, or holds one that does not work.
    """
    try:
        return Recipe.model_validate(getattr(PARAMETERS, name))
    except ValidationError as error:
        where, why = first_mistake(error)
        raise SubjectError(f"params.yaml: {name}.{where}: {why}") from None

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

from gpt2_helix import parameters
from gpt2_helix.judging.errors import InputError, first_mistake

Kind = Literal["echo", "text", "periodic", "crowded", "segments", "exchanges"]
"""A kind of document; see ``documents.MAKERS``."""


class Phase(BaseModel):
    """Steps that share one kind of batch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: PositiveInt
    length: PositiveInt  # Tokens of a document.
    rows: PositiveInt  # Documents in a batch.
    anywhere: bool  # Whether a document starts at a random position, or else at position 0.
    reset_weights: bool  # Whether it begins with all but the positions at their first values.
    W_pos_rate: PositiveFloat  # Learning rate of the positions over that of the other weights.
    documents: dict[Kind, Annotated[float, Field(gt=0, le=1)]]  # Share of each kind.

    @model_validator(mode="after")
    def _shares(self) -> "Phase":
        if not np.isclose(total := sum(self.documents.values()), 1):
            raise ValueError(f"documents: expected shares that add up to 1, found {total:g}")
        return self


class Recipe(BaseModel):
    """All that decides the bytes of a trained model, but for its seed and its text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_layer: PositiveInt
    n_head: PositiveInt
    n_embd: PositiveInt
    n_positions: PositiveInt
    vocab_size: PositiveInt
    std: PositiveFloat  # Standard deviation of the first weights.
    W_pos_std: PositiveFloat  # And of the first positions.
    threads: PositiveInt  # That torch uses.
    learning_rate: PositiveFloat  # The highest.
    warm_up: PositiveInt  # Steps in which it rises from 0.
    cool_down: PositiveInt  # Steps in which it falls to 0.
    betas: tuple[float, float]  # Of AdamW, as is the next.
    weight_decay: NonNegativeFloat
    bfloat16: bool  # Whether to multiply matrices in bfloat16 (torch autocast).
    phases: tuple[Phase, ...]  # What the model learns from, in order.

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
    """Recipe of this name in ``params.yaml``; ``InputError`` if a choice of it does not work."""
    try:
        return Recipe.model_validate(parameters.of(name))
    except ValidationError as error:
        where, why = first_mistake(error)
        raise InputError(f"params.yaml: {name}.{where}: {why}") from None

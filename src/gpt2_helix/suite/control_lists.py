"""Names of controls, by what they break; ``controls`` makes them."""

OF_POSITIONS = (
    "shuffled-rows",
    "gaussian-rows",
    "random-walk",
    "phase-randomised",
    "sinusoidal",
    "one-row",
)
OF_WEIGHTS = (*OF_POSITIONS, "random-weights", "medium-size", "looking-back", "minilm")
WITHOUT_ORDER = (
    "shuffled-rows",
    "reversed-rows",
    "no-positions",
    "gaussian-rows",
    "random-walk",
    "sinusoidal",
)
"""Broken positions, with which attention alone must not find the previous token."""
BREAK_ATTENTION_ALONE = (*WITHOUT_ORDER, "random-weights")
"""Every claim on attention alone must be refuted on these."""
OF_ATTENTION_ALONE = (
    *BREAK_ATTENTION_ALONE,
    "idle-first-layer",
    "published-heads-in-random-order",
)
OF_BEHAVIOUR = ("shuffled-rows", "exact-positions", "untrained")

"""Names of controls, by what they break; ``controls`` makes them."""

OF_POSITIONS = (
    "shuffled-rows",
    "gaussian-rows",
    "random-walk",
    "phase-randomised",
    "sinusoidal",
    "one-row",
)
OF_WEIGHTS = (
    *OF_POSITIONS,
    "random-weights",
    "medium-size",
    "local-heads-in-their-place",
    "minilm",
)
WITHOUT_ORDER = ("no-positions", "shuffled-rows")
"""Positions with which heads look nowhere through attention alone: they lack what is presumed."""
OF_BEHAVIOUR = ("shuffled-rows", "exact-positions", "untrained")

"""The models that ship in ``data/``."""

SEEDS = {"mini": ("mini", "mini-1", "mini-2"), "text": ("text", "text-1", "text-2")}
"""Their names, by the recipe of ``params.yaml`` that they were trained with; the seed of each is
its place."""
SHIPPED = tuple(name for seeds in SEEDS.values() for name in seeds)

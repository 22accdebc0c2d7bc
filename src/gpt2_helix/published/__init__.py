"""Measurements of the whole GPT-2 small that others published, read from ``data/published``."""

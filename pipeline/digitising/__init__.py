"""Reads pictures and a notebook that others published into records in ``data/published``.

No picture enters the repository.
"""

"""Measurements of the whole GPT-2 small that others published: pictures and a notebook's numbers.

``digitise`` turns them into records in ``data/published``; no picture enters the repository.
"""

"""Transformers: what they are made of, how they are run, and how their heads are read."""

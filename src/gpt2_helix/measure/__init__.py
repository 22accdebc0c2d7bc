"""Measurements: pure functions from arrays to small frozen results.

A measurement names its parameters after what a subject offers (``config``, ``W_pos``,
``attention``), so that ``Subject.measure`` can call it, and annotates its result, so that a
recorded one can be read back.
"""

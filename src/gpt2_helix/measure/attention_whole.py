"""The measurements on attention alone, made on the whole model: with MLPs, and on text.

Windows of text take the place of draws of random tokens, fewer of them, so an extended positional
embedding has more of its words left in it. Recorded beside the claims and judged by none.
"""

from collections.abc import Sequence

from gpt2_helix.doctoring import Positions
from gpt2_helix.measure import attention_only, extended
from gpt2_helix.models.config import Head
from gpt2_helix.models.readings import Readings


def main_heads(
    W_pos: Positions, whole_model: Readings, main_heads: Sequence[Head]
) -> attention_only.MainHeads:
    """Measure the main heads on text; see ``attention_only.main_heads``."""
    return attention_only.main_heads(W_pos, whole_model, main_heads)


def all_heads(W_pos: Positions, whole_model: Readings) -> attention_only.AllHeads:
    """Measure every head on text; see ``attention_only.all_heads``."""
    return attention_only.all_heads(W_pos, whole_model)


def averaged(
    W_pos: Positions, whole_model: Readings, main_heads: Sequence[Head]
) -> attention_only.Averaged:
    """Measure the main heads on averaged positions; see ``attention_only.averaged``."""
    return attention_only.averaged(W_pos, whole_model, main_heads)


def first_layer(
    W_pos: Positions, whole_model: Readings, main_heads: Sequence[Head]
) -> attention_only.WithoutLayer0:
    """Measure them with the heads of layer 0 silenced; see ``attention_only.first_layer``."""
    return attention_only.first_layer(W_pos, whole_model, main_heads)


def fed(W_pos: Positions, whole_model: Readings, main_heads: Sequence[Head]) -> extended.Fed:
    """Measure them fed extended embeddings alone, and content alone; see ``extended.fed``."""
    return extended.fed(W_pos, whole_model, main_heads)


def fed_averaged(
    W_pos: Positions, whole_model: Readings, main_heads: Sequence[Head]
) -> extended.Averaged:
    """The same made from averaged positions; see ``extended.averaged``."""
    return extended.averaged(W_pos, whole_model, main_heads)

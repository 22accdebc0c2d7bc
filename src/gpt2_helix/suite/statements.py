"""The statements of Yedidia's post that the claims test, in this project's words.

Each claim carries one of these names. A reader asks whether a statement is so; the claims say how
that is measured.
"""

import re

from gpt2_helix.judging.suite import Statement, Words

STATEMENTS = {
    "heads": Statement(
        "GPT-2 small has 12 attention heads in each of 12 layers.",
        ("architecture.144-heads", "heads"),
    ),
    "learned": Statement(
        "Its position vectors are learned, 1024 of them.",
        ("positions.learned-1024", "positions"),
    ),
    "helix": Statement(
        "They form a helix in their three leading principal components.",
        ("helix.circle", "turns"),
    ),
    "averaging": Statement(
        "Averaged in groups, positions of a group share one vector, and it stays on the helix.",
        ("averaging.stays-on-the-helix", "distance_at_10"),
    ),
    "unchanged": Statement(
        "Averaged in groups of 5, 10 or 20, the output hardly changes.",
        ("output.unchanged-to-20", "loss_change_20"),
    ),
    "breaks": Statement(
        "Between groups of 50 and 100 it breaks.",
        ("output.breaks-by-100", "loss_change_100"),
    ),
    "repeats": Statement(
        "Asked to repeat two words, it is 99 % sure of the first, averaged or not.",
        ("repetition.survives-averaging", "probability"),
    ),
    "previous-token": Statement(
        "The main previous-token heads keep working when positions are averaged.",
        ("heads.survive-averaging", "kept_share"),
    ),
    "not-by-position": Statement(
        "So they do not look up the previous position in the position vectors.",
        ("kernels.main-heads-ignore-raw-positions", "previous"),
    ),
    "backwards": Statement(
        "Attention that only looks backwards still points them to nearby tokens.",
        ("kernels.averaging", "look_back_at_10"),
    ),
    "extended": Statement(
        "Early layers build extended positional embeddings, and later heads use those.",
        ("extended.enough", "from_extended"),
    ),
}
WORDS = Words(
    said_by="the post",
    needs={
        "config": "a config.json",
        "P": "the position matrix",
        "A": "the attention weights",
        "A, D": "the attention weights and published measurements",
        "D": "the whole model",  # Or what was published of it; but that would have been found.
        "F": "the whole model",
    },
    replication="a replication: not GPT-2 small",
    digests=re.compile(r"wpe|position|\.(json|safetensors|bin)$"),
    unblocked_by="--subject gpt2 and a network, or --subject FOLDER",
    unblocked_by_on_replication="--subject FOLDER",
)

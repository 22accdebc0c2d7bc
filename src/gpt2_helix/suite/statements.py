"""The statements that the claims test, in this project's words; what was found on each.

Most are of Yedidia's post; those marked as ours are not. Each claim carries the name of one. A
reader asks whether a statement is so; the claims say how that is measured, and the finding gives
their numbers in a sentence.
"""

import re

from gpt2_helix.judging.suite import Finding, Statement, Words

STATEMENTS = {
    "heads": Statement(
        "GPT-2 small has 12 attention heads in each of 12 layers.",
        ["{architecture.144-heads/layers} x {architecture.144-heads/heads_a_layer}"],
    ),
    "learned": Statement(
        "Its position vectors are learned, 1024 of them.",
        [
            "sinusoids leave {positions.learned-1024/beyond_sinusoids:.0%}",
        ],
    ),
    "helix": Statement(
        "They form a helix in their three leading principal components.",
        [
            "{helix.three-components/explained:.0%} of the variance",
            "{helix.circle/turns:.1f} turns",
            "beside random curves p = {helix.not-phantom/p_value:.2g}",
        ],
    ),
    "averaging": Statement(
        "Averaged in groups, positions stay on the helix.",
        [
            "means of ten lie {averaging.stays-on-the-helix/distance_at_10:.2%} of its radius "
            "off, of a hundred {averaging.stays-on-the-helix/distance_at_100:.0%}",
        ],
    ),
    "unchanged": Statement(
        "Averaged in groups of 5, 10 or 20, the output hardly changes.",
        [
            "at 20 the loss changes by {output.unchanged-to-20/loss_change_20:.3f} nats a token, "
            "{output.unchanged-to-20/same_top_20:.0%} of first choices stay",
        ],
    ),
    "breaks": Statement(
        "In groups of about 50 to 100 it starts to break down.",
        [
            "at 100 the loss grows by {output.breaks-by-100/loss_change_100:.2f} nats",
            "the main heads, attention alone, keep {attention-only.breaks-by-100/kept_50:.0%} at "
            "50, {attention-only.breaks-by-100/kept_100:.0%} at 100",
        ],
    ),
    "repeats": Statement(
        "Repeating two words it is 99 % sure of the first, averaged or not.",
        [
            "{repetition.first-word/probability:.1%} sure",
            "averaged {repetition.survives-averaging/probability:.1%}",
        ],
    ),
    "previous-token": Statement(
        "Averaged, the main previous-token heads keep working.",
        [
            "by 10, author's pictures: {heads.survive-averaging@published/kept_attention:.0%} kept",
            "by 10, whole model: {heads.survive-averaging@measured/kept_attention:.0%} kept",
            "by 20, attention alone: {attention-only.survives-averaging/kept_20:.0%}",
        ],
    ),
    "not-by-position": Statement(
        "They do not look up the previous position in the position vectors.",
        [
            "fed these alone they give it "
            "{kernels.main-heads-ignore-raw-positions/previous:max .0%}",
            "layer 0 silenced: {cause.first-layer/kept:.0%} kept",
        ],
    ),
    "backwards": Statement(
        "That attention looks only backwards makes up for averaging.",
        [
            "intact, no mask in layer 0: {cause.causal-mask/kept:.0%} kept",
            "one head uniform: {cause.plain-average/kept:.0%}",
        ],
    ),
    "extended": Statement(
        "Early layers build extended positional embeddings, which later heads use.",
        [
            "fed these alone: {extended.enough/from_extended:.0%} kept",
            "rebuilt at 20: {cause.rebuilt/share_20:.0%}",
        ],
    ),
    "alone": Statement(
        "Attention alone makes them look near; to pick the token before takes more.",
        ["they prefer it for {attention-only.not-previous/share:.0%} of queries"],
        ours=True,
    ),
    "one-head": Statement(
        "One head of layer 0, which averages the past, does most of the rebuilding.",
        [
            "held at its mean, it costs {cause.one-head/cost:.0%}; any other at most "
            "{cause.one-head/cost_of_next:.0%}"
        ],
        ours=True,
    ),
    "local": Statement(
        "Layer 0 has heads that look just behind; little of it depends on them.",
        [
            "held alone: {cause.local-heads-idle/local_held:.0%} kept; the others alone: "
            "{cause.local-heads-idle/others_held:.0%}",
        ],
        ours=True,
    ),
    "components": Statement(
        "The helix's three components are not enough for it; ten are.",
        ["{cause.components/on_3:.0%} kept on three, {cause.components/on_10:.0%} on ten"],
        ours=True,
    ),
}
FOUND = (
    Finding(
        "attention-only.survives-averaging",
        "Averaged by 20, the main heads still look just behind",
        "{attention-only.survives-averaging/kept_20:.0%} kept",
        "by 100: {attention-only.breaks-by-100/kept_100:.0%}; no positions: "
        "{attention-only.survives-averaging/kept_without_positions:.0%}",
    ),
    Finding(
        "cause.rebuilt",
        "Where they read, positions of a group differ again",
        "{cause.rebuilt/share_20:.0%} of what averaging took is back",
        "by 100: {cause.rebuilt/share_100:.0%}",
    ),
    Finding(
        "cause.one-head",
        "One head of layer 0, which averages the past, does most of the rebuilding",
        "held at its mean, {cause.one-head/share_held:.0%} is back as layer 1 begins",
        "otherwise {cause.one-head/share:.0%}",
    ),
    Finding(
        "heads.survive-averaging",
        "In the whole model, by the author's pictures, groups of ten change these heads little",
        "{heads.survive-averaging@published/kept_attention:.0%} kept",
        "attention to each offset changes by at most "
        "{heads.survive-averaging@published/profile_moved:max .3f}",
    ),
    Finding(
        "heads.survive-averaging",
        "In the whole model groups of ten change these heads little",
        "{heads.survive-averaging@measured/kept_attention:.0%} kept",
        "attention to each offset changes by at most "
        "{heads.survive-averaging@measured/profile_moved:max .3f}",
    ),
    Finding(
        "attention-only.not-previous",
        "Attention alone looks near, not at the token before",
        "the main heads prefer it for {attention-only.not-previous/share:.0%} of queries",
        "in the whole model {heads.main-previous-token/share:.0%}",
    ),
    Finding(
        "helix.circle",
        "Positions are a helix",
        "{helix.three-components/explained:.0%} of the variance in 3-D, "
        "{helix.circle/turns:.1f} turns",
        "random curves: p = {helix.not-phantom/p_value:.2g}",
    ),
)
SHIPPED = {
    "mini": [
        "a foil, trained to repeat",
        "it gives the first of two words {repetition.first-word/probability:min .1%}, but needs "
        "exact positions: in groups of five "
        "{repetition.survives-averaging/probability:max .1%} at most",
    ],
    "text": [
        "a foil, trained on plain text alone",
        "it hardly needs positions: in groups of 20 its loss changes by "
        "{output.unchanged-to-20/loss_change_20:.3f} nats a token",
    ],
}
"""On models that ship: what they are for, and what was found."""
WORDS = Words(
    said_by="the post",
    found=FOUND,
    subjects=SHIPPED,
    note="Heads: attention alone (no MLPs, random tokens), or pictures. Kept: of attention "
    "just behind the query. Described: bounds set after looking.",
    needs={
        "config": "a config.json",
        "P": "the position matrix",
        "A": "the attention weights",
        "A, D": "the attention weights and published measurements",
        "D": "the whole model",  # Or what was published of it; but that would have been found.
        "F": "the whole model",
    },
    lacks={
        "attention": "its main heads give the token before less than a tenth",
        "layers_below": "no layer stands below its main heads",
        "halves": "half of the draws share no curve with the other half",
        "attention_from_extended": "fed these alone, they give the token before less than a tenth",
        "kept_20": "averaged by 20, its main heads do not keep working",
        "loss_change_20": "averaged by 20, its output has changed already",
        "same_top_20": "averaged by 20, its output has changed already",
        "intact": "it is not sure of the first word with its positions intact",
        "cost": "no head of layer 0 does most of the rebuilding",
        "next_over_cost": "no head of layer 0 does most of the rebuilding",
    },
    replication="a replication: not GPT-2 small",
    digests=re.compile(r"wpe|position|\.(json|safetensors|bin)$"),
    unblocked_by="run online, or with --subject FOLDER",
    unblocked_by_on_replication="--subject FOLDER",
)

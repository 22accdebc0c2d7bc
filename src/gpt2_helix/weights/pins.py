"""The models on the hub that have a name here, and what pins them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files


@dataclass(frozen=True)
class HubModel:
    """A model on the Hugging Face hub; what is pinned of it is checked."""

    repo: str
    # A commit, or a branch or tag: the commit it stands for when it is first read is kept to.
    revision: str = "main"
    size: dict[str, int] = field(default_factory=dict)  # Of files, in bytes.
    sha256: dict[str, str] = field(default_factory=dict)  # Of files, hexadecimal.
    W_pos_sha256: str | None = None  # Of the positions as little-endian float32.


HUB_MODELS = {
    "gpt2": HubModel(
        repo="openai-community/gpt2",
        revision="607a30d783dfa663caf39e06633721c8d4cfcd7e",
        size={
            "config.json": 665,
            "merges.txt": 456_318,
            "model.safetensors": 548_105_171,
            "vocab.json": 1_042_301,
        },
        sha256={
            "config.json": "0daed7749b4f02b8f76240d5444551d7b08712dab4d0adb8239c56ba823bb7b4",
            "merges.txt": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
            "model.safetensors": "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
            "vocab.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
        },
        W_pos_sha256="29c69587e2af826b7c159c38620a32e549a925e6d9a0dc37cb563f377f5be772",
    ),
    # Not pinned by digest: nobody of this project has held their files. What is read is reported.
    "gpt2-medium": HubModel(
        "openai-community/gpt2-medium", "6dcaa7a952f72f9298047fd5137cd6e4f05f41da"
    ),
    "gpt2-large": HubModel(
        "openai-community/gpt2-large", "32b71b12589c2f8d625668d2335a01cac3249519"
    ),
    "gpt2-xl": HubModel("openai-community/gpt2-xl", "15ea56dee5df4983c59b2538573817e1667135e2"),
    "distilgpt2": HubModel("distilbert/distilgpt2", "2290a62682d06624634c1f46a6ad5be0f47f38aa"),
    "alias-gpt2-small-x21": HubModel("stanford-crfm/alias-gpt2-small-x21"),
    "battlestar-gpt2-small-x49": HubModel("stanford-crfm/battlestar-gpt2-small-x49"),
    "caprica-gpt2-small-x81": HubModel("stanford-crfm/caprica-gpt2-small-x81"),
    "darkmatter-gpt2-small-x343": HubModel("stanford-crfm/darkmatter-gpt2-small-x343"),
    "expanse-gpt2-small-x777": HubModel("stanford-crfm/expanse-gpt2-small-x777"),
    "opt-125m": HubModel("facebook/opt-125m", "27dcfa74d334bc871f3234de431e71c6eeba5dd6"),
    "gpt-neo-125m": HubModel("EleutherAI/gpt-neo-125m", "21def0189f5705e2521767faed922f1f15e7d7db"),
    "bert-base-uncased": HubModel(
        "google-bert/bert-base-uncased", "86b5e0934494bd15c9632b12f734a8a67f723594"
    ),
}

GPT2_SMALL_TENSORS: dict[str, str] = json.loads(
    files("gpt2_helix.weights").joinpath("gpt2_small.json").read_text(encoding="utf-8")
)
"""Hexadecimal sha256 of GPT-2 small's tensors as little-endian float32, by name: of all but the
token embedding and the MLP matrices, which are pinned only as a part of the whole file."""


def is_gpt2_small(digests: Mapping[str, str]) -> bool:
    """Whether these are the digests of GPT-2 small, known by that of its positions."""
    return HUB_MODELS["gpt2"].W_pos_sha256 in digests.values()

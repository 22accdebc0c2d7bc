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
    # Of tensors by GPT-2's names, as sha256_of_tensor makes them.
    tensors: Mapping[str, str] = field(default_factory=dict)


_TABLE = json.loads(
    files("gpt2_helix.weights").joinpath("gpt2_small.json").read_text(encoding="utf-8")
)
GPT2_SMALL_TENSORS: dict[str, str] = _TABLE["tensors"]
"""Hexadecimal sha256 of all 148 tensors of GPT-2 small, by name, as little-endian float32.

Another project published them: Will DePue's WebGPT, in the Git LFS pointers of its own copy of the
weights; the file says where. Their attention masks are no weights, and have no digest there.
"""
ROUNDED_W_POS: dict[str, str] = _TABLE["rounded_wpe.weight"]
"""The same of its positions alone, rounded to a lower precision, by the name of that."""

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
        tensors=GPT2_SMALL_TENSORS,
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

CONFIG = "config.json"
FITTING_CONFIG = "config.json (fits)"
"""What digests call a ``config.json`` of other bytes that says the same as GPT-2 small's."""
W_POS, TIED = "wpe.weight", {"lm_head.weight": "wte.weight"}


def differing(digests: Mapping[str, str]) -> dict[str, str | None]:
    """What in some digests is not GPT-2 small's, by name, with the digest that it should have.

    None stands for a tensor that GPT-2 small does not have. Digests of whole files of weights say
    nothing: a part of GPT-2 small is GPT-2 small.
    """
    known = dict(GPT2_SMALL_TENSORS)
    known |= {name: known[same] for name, same in TIED.items() if same in known}
    known |= {CONFIG: HUB_MODELS["gpt2"].sha256.get(CONFIG, digests.get(CONFIG, ""))}
    return {
        name: known.get(name)
        for name, digest in digests.items()
        if name != FITTING_CONFIG
        and not name.endswith((".safetensors", ".bin"))
        and known.get(name) != digest
    }


def is_gpt2_small(digests: Mapping[str, str]) -> bool:
    """Whether these digests are GPT-2 small's: its positions are there, and nothing differs."""
    return W_POS in digests and not differing(digests)

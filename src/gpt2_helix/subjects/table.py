"""The models that have a name here, and the digests that pin them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HubModel:
    """A model on the Hugging Face hub.

    Attributes
    ----------
    repo, revision
        Repository id and commit.
    sha256
        File name to the hexadecimal sha256 that its bytes must have.
    W_pos_sha256
        Hexadecimal sha256 of the position matrix as little-endian float32.
    """

    repo: str
    revision: str
    sha256: dict[str, str]
    W_pos_sha256: str


HUB_MODELS = {
    "gpt2": HubModel(
        repo="openai-community/gpt2",
        revision="607a30d783dfa663caf39e06633721c8d4cfcd7e",
        sha256={
            "config.json": "0daed7749b4f02b8f76240d5444551d7b08712dab4d0adb8239c56ba823bb7b4",
            "merges.txt": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
            "model.safetensors": "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
            "vocab.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
        },
        W_pos_sha256="29c69587e2af826b7c159c38620a32e549a925e6d9a0dc37cb563f377f5be772",
    ),
}

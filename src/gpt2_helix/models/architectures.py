"""Architectures with learned absolute positions: which of their tensors are GPT-2's.

The rest of the project knows GPT-2's names and layouts alone. An architecture says what each of
GPT-2's tensors is made of, so a GPT-Neo or an OPT is measured and run as the GPT-2 that computes
the same, and the attention of a BERT is read from the same places.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from gpt2_helix.judging.errors import InputError
from gpt2_helix.weights.tensors import Array, ByName

W_POS = "wpe.weight"
"""GPT-2's name of the position matrix."""
ADDED = "added"
"""Our name of a matrix whose first row is added to every position before block 0."""
Names = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Architecture:
    """Where an architecture keeps what GPT-2 has."""

    # What may stand before every tensor name, depending on the class that saved the file.
    prefix: str
    keys: Mapping[str, str]  # Our name of a setting to its name in config.json.
    # GPT-2's name of a tensor to the names of those that it is made of, side by side, with ``{i}``
    # for the number of the block and ``{before}`` for that of the one before it; no names stand
    # for zeros. Empty where the names are GPT-2's.
    names: Names = field(default_factory=dict)
    first_block: Names = field(default_factory=dict)  # The same, for what is different in block 0.
    blocks: str = r"h\."  # Before the number of a block, in names of tensors.
    padding: int = 0  # Rows of the stored position matrix before that of the first position.
    scaled: bool = True  # Whether attention scores are divided by the square root of d_head.
    causal: bool = True  # Whether a position sees only those before it.
    activation: str = "gelu_new"  # Of the MLP where config.json names none.
    # Ends of tensor names to what they are called in old files.
    old_names: Mapping[str, str] = field(default_factory=dict)

    def sources(self, name: str) -> tuple[str, ...]:
        """Names of the tensors that one of GPT-2's is made of; ``KeyError`` if there are none."""
        if not self.names:
            return (name,)
        block = re.fullmatch(r"h\.(\d+)\.(.+)", name)
        if block is None:
            return self.names[name]
        i, part = int(block[1]), f"h.{{i}}.{block[2]}"
        found = self.first_block.get(part, self.names[part]) if i == 0 else self.names[part]
        return tuple(source.format(i=i, before=i - 1) for source in found)

    def plain(self, stored: str) -> str:
        """The name of a tensor in a file without what may stand before it, or what it once was."""
        name = stored.removeprefix(self.prefix)
        for new, old in self.old_names.items():
            if name.endswith(old):
                return name.removesuffix(old) + new
        return name

    def check_names(self, names: Iterable[str], n_layer: int, where: str) -> None:
        """Refuse tensors of layers that a configuration does not have, and two names for one.

        ``InputError``; else what is not looked for would be left out in silence.
        """
        known: dict[str, str] = {}
        for stored in names:
            plain = self.plain(stored)
            if (before := known.setdefault(plain, stored)) != stored:
                raise InputError(
                    f"{where}: expected one name for a tensor, found {before} and {stored:.160}"
                )
            block = re.match(rf"{self.blocks}(\d+)\.", plain)
            if block and not int(block[1][:9]) < n_layer:
                raise InputError(
                    f"{where}: expected tensors of {n_layer} layers as in config.json, "
                    f"found {stored:.160}"
                )

    def stored_names(self, source: str) -> tuple[str, ...]:
        """Names that a tensor can have in a file."""
        old = [
            source.removesuffix(new) + before
            for new, before in self.old_names.items()
            if source.endswith(new)
        ]
        return tuple(prefix + name for name in (source, *old) for prefix in ("", self.prefix))

    @property
    def stored_W_pos(self) -> tuple[str, ...]:  # noqa: N802
        """Names that the position matrix can have in a file."""
        return self.stored_names(self.sources(W_POS)[0])


class AsGPT2(ByName):
    """A model's tensors under GPT-2's names, in its layouts: matrices (in, out), q, k, v in one."""

    def __init__(self, tensors: ByName, architecture: Architecture) -> None:
        self._tensors, self._architecture = tensors, architecture

    def __getitem__(self, name: str) -> Array:
        if not self._architecture.names:
            return self._stored(name)
        parts = [self._stored(source) for source in self._architecture.sources(name)]
        if not parts:  # A layer without a bias.
            width = self[name.replace("bias", "weight")].shape[1]
            return np.zeros(width, np.float32)
        if name == W_POS:
            return parts[0][self._architecture.padding :]
        if name == ADDED:
            return parts[0][0]
        if name.startswith("h.") and parts[0].ndim == 2:
            parts = [part.T for part in parts]
        return np.ascontiguousarray(np.concatenate(parts, axis=-1))

    def __contains__(self, name: object) -> bool:
        if name == ADDED and not self._architecture.names:
            return False
        try:
            sources = self._architecture.sources(str(name))
        except KeyError:
            return False
        if not sources:
            return str(name).replace("bias", "weight") in self
        return all(self._stored_name(source) for source in sources)

    def __iter__(self) -> Iterator[str]:
        raise NotImplementedError("a model is asked for the tensors that a measurement needs")

    def __len__(self) -> int:
        return len(self._tensors)

    def _stored(self, source: str) -> Array:
        stored = self._stored_name(source)
        if stored is None:
            raise KeyError(source)
        return self._tensors[stored]

    def _stored_name(self, source: str) -> str | None:
        stored = self._architecture.stored_names(source)
        return next((name for name in stored if name in self._tensors), None)


def _linear(ours: str, *theirs: str) -> dict[str, tuple[str, ...]]:
    """Weight and bias of a linear layer, which may be several side by side."""
    return {
        f"{ours}.{part}": tuple(f"{name}.{part}" for name in theirs) for part in ("weight", "bias")
    }


_SIZES = ("n_layer", "n_head", "n_embd", "n_positions", "layer_norm_epsilon", "n_inner")
_GPT2_KEYS = {**{name: name for name in _SIZES}, "activation": "activation_function"}
_KEYS = {
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_embd": "hidden_size",
    "n_positions": "max_position_embeddings",
}

_NEO = "h.{i}.attn.attention."
_OPT = "decoder.layers.{i}."
_BERT = "encoder.layer.{i}."

ARCHITECTURES = {
    "gpt2": Architecture("transformer.", _GPT2_KEYS),
    "gpt_neo": Architecture(
        "transformer.",
        {
            **_KEYS,
            "n_layer": "num_layers",
            "n_head": "num_heads",
            "layer_norm_epsilon": "layer_norm_epsilon",
            "n_inner": "intermediate_size",
            "activation": "activation_function",
        },
        {
            **{name: (name,) for name in ("wte.weight", W_POS, "lm_head.weight")},
            **_linear("ln_f", "ln_f"),
            **_linear("h.{i}.ln_1", "h.{i}.ln_1"),
            **_linear("h.{i}.ln_2", "h.{i}.ln_2"),
            "h.{i}.attn.c_attn.weight": tuple(f"{_NEO}{p}_proj.weight" for p in "qkv"),
            "h.{i}.attn.c_attn.bias": (),
            **_linear("h.{i}.attn.c_proj", f"{_NEO}out_proj"),
            **_linear("h.{i}.mlp.c_fc", "h.{i}.mlp.c_fc"),
            **_linear("h.{i}.mlp.c_proj", "h.{i}.mlp.c_proj"),
        },
        scaled=False,
    ),
    "opt": Architecture(
        "model.",
        {**_KEYS, "n_inner": "ffn_dim", "activation": "activation_function"},
        {
            "wte.weight": ("decoder.embed_tokens.weight",),
            W_POS: ("decoder.embed_positions.weight",),
            "lm_head.weight": ("lm_head.weight",),
            **_linear("ln_f", "decoder.final_layer_norm"),
            **_linear("h.{i}.ln_1", f"{_OPT}self_attn_layer_norm"),
            **_linear("h.{i}.ln_2", f"{_OPT}final_layer_norm"),
            **_linear("h.{i}.attn.c_attn", *(f"{_OPT}self_attn.{p}_proj" for p in "qkv")),
            **_linear("h.{i}.attn.c_proj", f"{_OPT}self_attn.out_proj"),
            **_linear("h.{i}.mlp.c_fc", f"{_OPT}fc1"),
            **_linear("h.{i}.mlp.c_proj", f"{_OPT}fc2"),
        },
        blocks=r"decoder\.layers\.",
        padding=2,
        activation="relu",
    ),
    "bert": Architecture(
        "bert.",
        {
            **_KEYS,
            "layer_norm_epsilon": "layer_norm_eps",
            "n_inner": "intermediate_size",
            "activation": "hidden_act",
        },
        {
            "wte.weight": ("embeddings.word_embeddings.weight",),
            W_POS: ("embeddings.position_embeddings.weight",),
            ADDED: ("embeddings.token_type_embeddings.weight",),
            # BERT normalises what leaves a block; it is what enters the next one.
            **_linear("h.{i}.ln_1", "encoder.layer.{before}.output.LayerNorm"),
            **_linear(
                "h.{i}.attn.c_attn",
                *(f"{_BERT}attention.self.{p}" for p in ("query", "key", "value")),
            ),
            **_linear("h.{i}.attn.c_proj", f"{_BERT}attention.output.dense"),
            **_linear("h.{i}.mlp.c_proj", f"{_BERT}output.dense"),
        },
        first_block=_linear("h.{i}.ln_1", "embeddings.LayerNorm"),
        blocks=r"encoder\.layer\.",
        causal=False,
        activation="gelu",
        old_names={"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"},
    ),
}

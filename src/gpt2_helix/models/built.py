"""Models made here: two written by formula, whose mechanism is known, and one never trained.

All read the same small language: the words of ``texts.WORDS`` and the repetition prompt around
them, one token each.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split

from gpt2_helix import texts
from gpt2_helix.judging.errors import SubjectError
from gpt2_helix.models import by_formula, gpt2
from gpt2_helix.models.config import (
    LOCAL_HEADS_OF_GPT2_SMALL,
    MAIN_HEADS_OF_GPT2_SMALL,
    Config,
    config_from,
)
from gpt2_helix.models.model import Model
from gpt2_helix.weights.tensors import Array

SEED = 20230810
"""Of all that is drawn at random; the day the post appeared."""

SEGMENTS, SEGMENT_LENGTH = 8, 20


class RandomWeights(Mapping[str, Array]):
    """GPT-2's initialisation: every tensor from the seed and its own name, made when asked for.

    Matrices are Gaussian of standard deviation 0.02, biases zero, LayerNorm weights one
    (Radford et al. 2019).
    """

    def __init__(self, config: Config) -> None:
        self._shapes = gpt2.shapes(config)

    def __getitem__(self, name: str) -> Array:
        shape = self._shapes[name]
        if len(shape) == 1:
            return np.full(shape, float(name.endswith("weight")), dtype=np.float32)
        rng = np.random.default_rng([SEED, zlib.crc32(name.encode())])
        return 0.02 * rng.standard_normal(shape, dtype=np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)


SMALL: dict[str, Any] = {
    "n_layer": 5,
    "n_head": 12,
    "n_embd": 48,
    "n_positions": by_formula.N_POSITIONS,
    "vocab_size": len(by_formula.VOCABULARY),
    "previous_token_heads": MAIN_HEADS_OF_GPT2_SMALL,
    "heads_looking_back": LOCAL_HEADS_OF_GPT2_SMALL,
}


def _untrained() -> tuple[dict[str, Any], Mapping[str, Array]]:
    declared = {"model_type": "gpt2", "layer_norm_epsilon": 1e-5, **SMALL}
    return declared, RandomWeights(config_from(declared, "built"))


BUILT: dict[str, Callable[[], tuple[dict[str, Any], Mapping[str, Array]]]] = {
    "exact-positions": partial(by_formula.exact_positions, SEED),
    "causal-kernel": partial(by_formula.causal_kernel, SEED),
    "untrained": _untrained,
}
"""What makes each model: the fields of its config.json, and its tensors."""


def open_built(name: str, material: texts.Material) -> Model:
    """Make a model of ``BUILT``, with its own text of repeated segments.

    Raises
    ------
    SubjectError
        If another text is given: its vocabulary is that of the repetition prompt.
    """
    if material.corpus:
        raise SubjectError(
            f"--corpus: expected none with built:{name}, which knows only "
            f"{len(by_formula.VOCABULARY)} tokens, found {material.corpus[0]}"
        )
    declared, tensors = BUILT[name]()
    subject = Model(
        f"built:{name}", config_from(declared, name), tensors, digests={}, material=material
    )
    subject.tokenizer = word_tokenizer()
    subject.windows = texts.windows(
        subject.tokenizer,
        [repeated_segments(seed) for seed in range(material.n_windows)],
        material.n_windows,
        texts.WINDOW,
    )
    return subject


def word_tokenizer() -> Tokenizer:
    """Split as GPT-2 does, a word with the space before it, and look each piece up."""
    vocabulary = {token: number for number, token in enumerate(by_formula.VOCABULARY)}
    made = Tokenizer(WordLevel(vocabulary, unk_token=by_formula.NEWLINE))
    made.pre_tokenizer = Split(Regex(r" ?\w+| ?[^\w\s]|\n"), behavior="isolated")
    return made


def repeated_segments(seed: int) -> str:
    """Text of one window: eight segments of twenty words, no word in two, in random order."""
    rng = np.random.default_rng([SEED, seed])
    words = rng.permutation(texts.WORDS)[: SEGMENTS * SEGMENT_LENGTH]
    segments = words.reshape(SEGMENTS, SEGMENT_LENGTH)
    order = rng.integers(SEGMENTS, size=texts.WINDOW // SEGMENT_LENGTH + 1)
    return "".join(f" {word}" for word in segments[order].ravel())

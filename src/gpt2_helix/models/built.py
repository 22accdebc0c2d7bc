"""Models made here: two written by formula, whose mechanism is known, and one never trained.

All read the same small language: the words of ``prompts.WORDS`` and the repetition prompt around
them, one token each.
"""

import zlib
from collections.abc import Callable
from functools import partial

import numpy as np
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split

from gpt2_helix import prompts, texts
from gpt2_helix.models import by_formula, gpt2
from gpt2_helix.models.config import LOCAL_HEADS_OF_GPT2_SMALL, MAIN_HEADS_OF_GPT2_SMALL, Config
from gpt2_helix.models.model import Model
from gpt2_helix.weights.tensors import Array, ByName, Tensors

SEED = 20230810
"""Of all that is drawn at random; the day the post appeared."""

SEGMENTS, SEGMENT_LENGTH = 8, 20


class RandomWeights(Tensors):
    """GPT-2's initialisation: every tensor from the seed and its own name, made when asked for.

    Matrices are Gaussian of standard deviation 0.02, biases zero, LayerNorm weights one
    (Radford et al. 2019).
    """

    def __init__(self, config: Config) -> None:
        self.stored = gpt2.shapes(config)

    def __getitem__(self, name: str) -> Array:
        shape = self.stored[name]
        if len(shape) == 1:
            return np.full(shape, float(name.endswith("weight")), dtype=np.float32)
        rng = np.random.default_rng([SEED, zlib.crc32(name.encode())])
        return 0.02 * rng.standard_normal(shape, dtype=np.float32)


def _untrained() -> tuple[Config, RandomWeights]:
    config = Config(
        "gpt2",
        n_layer=5,
        n_head=12,
        n_embd=48,
        n_positions=by_formula.N_POSITIONS,
        layer_norm_epsilon=1e-5,
        vocab_size=len(by_formula.VOCABULARY),
        n_inner=192,
        activation="gelu_new",
        previous_token_heads=MAIN_HEADS_OF_GPT2_SMALL,
        heads_looking_back=LOCAL_HEADS_OF_GPT2_SMALL,
    )
    return config, RandomWeights(config)


BUILT: dict[str, Callable[[], tuple[Config, ByName]]] = {
    "exact-positions": partial(by_formula.exact_positions, SEED),
    "causal-kernel": partial(by_formula.causal_kernel, SEED),
    "untrained": _untrained,
}
"""What makes each model: its sizes and its tensors."""


def open_built(name: str) -> Model:
    """Make a model of ``BUILT``; its text is ``segments``."""
    config, tensors = BUILT[name]()
    return Model(f"built:{name}", config, tensors, own_tokenizer=word_tokenizer())


def segments(n_windows: int) -> list[str]:
    """Text for so many windows."""
    return [repeated_segments(seed) for seed in range(n_windows)]


def word_tokenizer() -> Tokenizer:
    """Split as GPT-2 does, a word with the space before it, and look each piece up."""
    vocabulary = {token: number for number, token in enumerate(by_formula.VOCABULARY)}
    made = Tokenizer(WordLevel(vocabulary, unk_token=by_formula.NEWLINE))
    made.pre_tokenizer = Split(Regex(r" ?\w+| ?[^\w\s]|\n"), behavior="isolated")
    return made


def repeated_segments(seed: int) -> str:
    """Text of one window: eight segments of twenty words, no word in two, in random order."""
    rng = np.random.default_rng([SEED, seed])
    words = rng.permutation(prompts.WORDS)[: SEGMENTS * SEGMENT_LENGTH]
    segments = words.reshape(SEGMENTS, SEGMENT_LENGTH)
    order = rng.integers(SEGMENTS, size=texts.WINDOW // SEGMENT_LENGTH + 1)
    return "".join(f" {word}" for word in segments[order].ravel())

"""What models are trained on: text, and documents made of random tokens or of prompts.

A recipe says which kinds of document it uses. Random strings said over and over are what Olsson et
al. (2022) find induction heads with; segments come back after a gap; exchanges are of the kind
that the repetition claims ask with. In an echo, half of the tokens come back two places on, so
the token before the last one is all that there is to know.

All that is random is drawn from the seed and the number of the step, so that training that was
interrupted can continue as if it had not been.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from gpt2_helix import prompts, texts
from gpt2_helix.texts import Tokens
from pipeline.training.recipe import Kind, Recipe

SEGMENT = (2, 120)
"""Tokens of the shortest and of the longest segment that comes back."""
FEWEST = 32
"""Fewest different tokens that a crowded string is drawn from."""
LONGEST_STRING = 12
"""Words of the longest string that an exchange asks for."""
OFTEN = 2000
"""Times that the tokenizer sees each word of the prompts, more often than most of the text's."""


@dataclass(frozen=True)
class Language:
    """Text to learn from, and its tokenizer."""

    tokenizer: Tokenizer  # Byte-level BPE, in which each of ``prompts.WORDS`` is one token.
    works: list[str]
    tokens: list[Tokens]  # The same works.


def read_language(folder: Path, vocab_size: int) -> Language:
    """Read the works in a folder, and train a tokenizer on them."""
    works = texts.read_texts([folder])
    tokenizer = texts.byte_level(BPE())
    trainer = BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[texts.BEGIN],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    words = [prompts.exchange(prompts.WORDS)] * OFTEN
    tokenizer.train_from_iterator([*works, *words], trainer)
    return Language(tokenizer, works, [texts.encode(tokenizer, work) for work in works])


def batch(
    recipe: Recipe, language: Language, seed: int, step: int
) -> tuple[Int[np.ndarray, "row token"], Int[np.ndarray, "row token"]]:
    """Documents of one step, and the positions of their tokens.

    Every document begins with ``<|endoftext|>``. Where the recipe says ``anywhere`` it starts at a
    random position, like one of several documents packed into a row of ``n_positions``.
    """
    rng = np.random.default_rng([seed, step])
    phase = recipe.phase_of(step)
    shares = [phase.documents.get(kind, 0) for kind in MAKERS]
    kinds = rng.choice(list(MAKERS), size=phase.rows, p=shares)
    rows = [MAKERS[kind](language, rng, phase.length - 1) for kind in kinds]
    begin = texts.begin_token(language.tokenizer)
    tokens = np.stack([np.concatenate([[begin], row]) for row in rows])
    last = recipe.n_positions - phase.length if phase.anywhere else 0
    starts = rng.integers(last + 1, size=(phase.rows, 1))
    return tokens, starts + np.arange(phase.length)


def random_tokens(
    tokenizer: Tokenizer, rng: np.random.Generator, size: int | tuple[int, int]
) -> Int[np.ndarray, "..."]:
    """Draw tokens, all but ``<|endoftext|>`` equally likely."""
    return rng.integers(1, tokenizer.get_vocab_size(), size=size)


def _echo(language: Language, rng: np.random.Generator, length: int) -> Tokens:
    """Random tokens, half of which repeat the last but one."""
    tokens = random_tokens(language.tokenizer, rng, length)
    again = rng.random(length) < 0.5
    for i in range(2, length):
        if again[i]:
            tokens[i] = tokens[i - 2]
    return tokens


def _passage(language: Language, rng: np.random.Generator, length: int) -> Tokens:
    sizes = np.array([len(work) for work in language.tokens])
    # By the root of their sizes: one large work would leave little room for the others.
    work = language.tokens[rng.choice(len(sizes), p=np.sqrt(sizes) / np.sqrt(sizes).sum())]
    start = rng.integers(len(work) - length)
    return work[start : start + length]


def _periodic(language: Language, rng: np.random.Generator, length: int) -> Tokens:
    """A random string over and over.

    Its period is at least a fifth of the row: with a shorter one, a guess among the few tokens
    seen so far does nearly as well as finding the one that comes next.
    """
    period = _log_uniform(rng, length // 5, length // 2)
    return np.resize(random_tokens(language.tokenizer, rng, period), length)


def _crowded(language: Language, rng: np.random.Generator, length: int) -> Tokens:
    """A random string over and over, of so few tokens that one alone does not tell the next."""
    few = rng.permutation(np.arange(1, language.tokenizer.get_vocab_size()))
    few = few[: _log_uniform(rng, FEWEST, few.size)]
    return np.resize(rng.choice(few, _log_uniform(rng, length // 5, length // 2)), length)


def _segments(language: Language, rng: np.random.Generator, length: int) -> Tokens:
    """One segment again and again with text between; half of the segments are random, half text."""
    longest = min(SEGMENT[1], length // 4)
    size = _log_uniform(rng, SEGMENT[0], longest)
    is_random = rng.random() < 0.5
    segment = (
        random_tokens(language.tokenizer, rng, size) if is_random else _passage(language, rng, size)
    )
    parts: list[Tokens] = []
    while sum(map(len, parts)) < length:
        parts += [segment, _passage(language, rng, _log_uniform(rng, 1, longest))]
    return np.concatenate(parts)[:length]


def _exchanges(language: Language, rng: np.random.Generator, length: int) -> Tokens:
    """Exchanges like those of the repetition prompt, each string with its own number of words."""
    longest = rng.integers(2, LONGEST_STRING + 1)
    said = ""
    while (found := texts.encode(language.tokenizer, said)).size < length:
        sizes = rng.integers(1, longest + 1, size=1 + length // 20)
        said += "".join(
            prompts.exchange(rng.choice(prompts.WORDS, size=n, replace=False).tolist())
            for n in sizes
        )
    return found[:length]


MAKERS: dict[Kind, Callable[[Language, np.random.Generator, int], Tokens]] = {
    "echo": _echo,
    "text": _passage,
    "periodic": _periodic,
    "crowded": _crowded,
    "segments": _segments,
    "exchanges": _exchanges,
}


def _log_uniform(rng: np.random.Generator, low: int, high: int) -> int:
    return int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))

"""The prompt that asks a model to repeat a string of words.

It is made with the model's own tokenizer, so GPT-2 and the models built here share this code.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from gpt2_helix.judging.errors import InputError, MissingInputError
from gpt2_helix.texts import TextInputs, Tokens, begin_token, check_corpus, encode, read_text

Pair = tuple[str, str]

WORDS = tuple(files("gpt2_helix").joinpath("words.txt").read_text(encoding="utf-8").split())
"""Words of the repetition prompts: each, with a space before it, is one token of GPT-2, and none is
the beginning of another."""

PAIR: Pair = ("apple", "orange")
OTHER_PAIRS = 20
SEED = 20230810
LEAST_PREFIX = 3
UNEVEN = 4
"""Largest difference in words between two strings of a prompt."""


@dataclass(frozen=True)
class RepetitionPrompt:
    """A prompt that ends where the first word of a pair should be repeated."""

    prefix: Tokens  # Up to the pair; the same for every pair.
    # Pair to the tokens from its first word to the end of the prompt, all of one length.
    tails: dict[Pair, Tokens]
    # Word to the tokens that count as it: those whose text, stripped and case-folded, is the word,
    # its plural, or a prefix of it of at least three letters.
    variants: dict[str, list[int]] = field(repr=False)

    @cached_property
    def n_tokens(self) -> int:
        """Tokens of the whole prompt."""
        return len(self.prefix) + len(next(iter(self.tails.values())))


def draw_pairs(n: int) -> list[Pair]:
    """Other pairs of words, the same in every run, each in both orders."""
    words = [w for w in WORDS if w not in PAIR]
    drawn = np.random.default_rng(SEED).permutation(words)[: 2 * n].tolist()
    pairs = list(zip(drawn[::2], drawn[1::2], strict=True))
    return [*pairs, *((b, a) for a, b in pairs)]


def generated_prompt(
    tokenizer: Tokenizer,
    n_positions: int,
    *,
    exchanges: int = 20,
    first_word_at: int = 499,
    other_pairs: int = OTHER_PAIRS,
) -> RepetitionPrompt:
    """Exchanges that repeat random strings of words, then one with the pair.

    The lengths of the strings put the pair's first word where it is asked for: at position 499 the
    next position shares its group at every group size that is tried.
    ``MissingInputError`` if the prompt is longer than the context, or a word is not one token: the
    model can then be asked all but to repeat.
    """
    rng = np.random.default_rng(SEED)
    up_to_pair = _question(PAIR).rpartition(_words(PAIR))[0]
    fixed = 1 + exchanges * len(encode(tokenizer, exchange(WORDS[:1])))
    spare = first_word_at - fixed - len(encode(tokenizer, up_to_pair))
    lengths = np.ones(exchanges, dtype=int)
    for _ in range(spare // 2):
        lengths[rng.choice(np.flatnonzero(lengths < lengths.min() + UNEVEN))] += 1
    strings = [rng.choice(WORDS, size=n, replace=False).tolist() for n in lengths]
    # An exchange holds each word twice, so an odd number of tokens needs a line end in front.
    before = "\n" * (spare % 2) + "".join(map(exchange, strings))
    try:
        prompt = _prompt(tokenizer, lambda pair: before + _question(pair), n_positions, other_pairs)
        if (found := len(prompt.prefix)) != first_word_at:
            raise _NoFitError(
                f"prompt: expected the pair at position {first_word_at}, found {found}; "
                "is each word one token of this tokenizer?"
            )
    except _NoFitError as why:
        needed = f"what the repetition prompt needs ({why})"
        raise MissingInputError([needed], "the model") from None
    return prompt


class _NoFitError(InputError):
    """The prompt does not fit the model."""


def check(given: TextInputs) -> None:
    """Refuse what cannot be run, before anything is measured.

    ``InputError`` if there are fewer than two windows, the corpus cannot be read, or the pair of
    words is not in the user's own prompt; ``TypeError`` if the number of windows is none.
    """
    if isinstance(given.n_windows, bool) or not isinstance(given.n_windows, int | None):
        raise TypeError(
            f"windows: expected a number or None, found {type(given.n_windows).__name__}"
        )
    if given.n_windows is not None and given.n_windows < 2:
        raise InputError(f"windows: expected 2 or more, found {given.n_windows}")
    check_corpus(given.corpus)
    if given.prompt is not None:
        _text(given.prompt)


def _text(path: Path) -> str:
    text = read_text(path).rstrip("\n")
    if (words := " ".join(PAIR)) not in text:
        raise InputError(f"{path}: expected {words!r} in the prompt, found no such words")
    return text


def prompt_from_file(
    tokenizer: Tokenizer, n_positions: int, path: Path, *, other_pairs: int = OTHER_PAIRS
) -> RepetitionPrompt:
    """Read a prompt of the user's own; other pairs take the place of ``apple orange``.

    ``InputError`` if the pair is not in the file, the prompt is longer than the context, or a
    word is not one token.
    """
    before, _, after = _text(path).rpartition(" ".join(PAIR))
    return _prompt(
        tokenizer, lambda pair: before + " ".join(pair) + after, n_positions, other_pairs
    )


def _words(words: Sequence[str]) -> str:
    return "".join(f" {word}" for word in words)


def exchange(words: Sequence[str]) -> str:
    """One exchange: a string of words, requested and repeated."""
    return f'{_question(words)}{_words(words)}"\n'


def _question(words: Sequence[str]) -> str:
    return f'User: Repeat this string exactly: "{_words(words)}"\nAssistant: "'


def _prompt(
    tokenizer: Tokenizer, text: Callable[[Pair], str], n_positions: int, other_pairs: int
) -> RepetitionPrompt:
    pairs = [PAIR, PAIR[::-1], *draw_pairs(other_pairs)]
    begin = begin_token(tokenizer)
    tokens = [[begin, *encode(tokenizer, text(pair)).tolist()] for pair in pairs]
    for pair, ids in zip(pairs, tokens, strict=True):
        if len(ids) != len(tokens[0]):
            raise _NoFitError(
                f"prompt: expected each word to be one token, found {' '.join(pair)!r} to take "
                f"{len(ids) - len(tokens[0])} more than {' '.join(pairs[0])!r}"
            )
    if len(tokens[0]) > n_positions:
        raise _NoFitError(f"prompt: expected at most {n_positions} tokens, found {len(tokens[0])}")
    encoded = np.array(tokens)
    first = int((encoded != encoded[0]).any(axis=0).argmax())
    return RepetitionPrompt(
        prefix=encoded[0, :first],
        tails={pair: ids[first:] for pair, ids in zip(pairs, encoded, strict=True)},
        variants=_variants(tokenizer, {pair[0] for pair in pairs}),
    )


def _variants(tokenizer: Tokenizer, words: set[str]) -> dict[str, list[int]]:
    accepted: dict[str, list[str]] = {}
    for word in words:
        prefixes = [word[:n] for n in range(LEAST_PREFIX, len(word) + 1)]
        for text in [*prefixes, f"{word}s", f"{word}es"]:
            accepted.setdefault(text, []).append(word)
    found: dict[str, list[int]] = {word: [] for word in words}
    for token in range(tokenizer.get_vocab_size()):
        for word in accepted.get(tokenizer.decode([token]).strip().casefold(), []):
            found[word].append(token)
    return found

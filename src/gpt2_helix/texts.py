"""What is run through a model: windows of natural text, and the prompt that asks to repeat.

Both are made with the model's own tokenizer, so GPT-2 and the models built here share this code.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import numpy as np
from jaxtyping import Int
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from gpt2_helix.judging.errors import MissingInputError, SubjectError
from gpt2_helix.parameters import PARAMETERS

Tokens = Int[np.ndarray, " _token"]
Pair = tuple[str, str]

WORDS = tuple(files("gpt2_helix").joinpath("words.txt").read_text(encoding="utf-8").split())
"""Words of the repetition prompts: each, with a space before it, is one token of GPT-2, and none is
the beginning of another."""

BEGIN, OPT_BEGIN = "<|endoftext|>", "</s>"
WINDOW = 512
PAIR: Pair = ("apple", "orange")
EXCHANGES = PARAMETERS.repetition.exchanges
FIRST_WORD_AT = PARAMETERS.repetition.first_word_at
"""Position of the pair's first word; the next position shares its group at every group size."""
OTHER_PAIRS = PARAMETERS.repetition.other_pairs
WINDOWS = PARAMETERS.output.windows
SEED = 20230810
LEAST_PREFIX = 3
DATASET = "hub:"
DOCUMENTS = 400
"""Documents of a dataset that are read, from its beginning; short ones give no window."""
UNEVEN = 4
"""Largest difference in words between two strings of a prompt."""


@dataclass(frozen=True)
class Material:
    """What text to use.

    Attributes
    ----------
    corpus
        Text files, folders or datasets; windows are taken from each in turn. Empty: the default.
    n_windows
        Windows of text, two or more.
    prompt
        A prompt of the user's own that contains ``apple orange``, instead of the generated one.
    """

    corpus: tuple[Path, ...] = ()
    n_windows: int = WINDOWS
    prompt: Path | None = None


@dataclass(frozen=True)
class RepetitionPrompt:
    """A prompt that ends where the first word of a pair should be repeated.

    Attributes
    ----------
    prefix
        Tokens up to the pair; the same for every pair.
    tails
        Pair to the tokens from its first word to the end of the prompt, all of one length.
    variants
        Word to the tokens that count as it: those whose text, stripped and case-folded, is the
        word, its plural, or a prefix of it of at least three letters.
    """

    prefix: Tokens
    tails: dict[Pair, Tokens]
    variants: dict[str, list[int]] = field(repr=False)

    @cached_property
    def n_tokens(self) -> int:
        """Tokens of the whole prompt."""
        return len(self.prefix) + len(next(iter(self.tails.values())))


def tokenizer(file: Callable[[str], Path | None], name: str) -> Tokenizer:
    """Read a model's tokenizer: GPT-2's ``vocab.json`` and ``merges.txt``, or ``tokenizer.json``.

    Raises
    ------
    MissingInputError
        If it has neither.
    SubjectError
        If the files do not hold a tokenizer.
    """
    vocabulary, merges = file("vocab.json"), file("merges.txt")
    whole = None if vocabulary and merges else file("tokenizer.json")
    try:
        if whole:
            return Tokenizer.from_file(str(whole))
        if vocabulary and merges:
            return byte_level(BPE.from_file(str(vocabulary), str(merges)))
    except Exception as error:  # The library raises nothing more specific.
        raise SubjectError(
            f"{whole or vocabulary}: expected a tokenizer, found something else ({error})"
        ) from None
    raise MissingInputError(["tokenizer.json", "vocab.json", "merges.txt"], name)


def byte_level(model: BPE) -> Tokenizer:
    """Make a tokenizer that splits text as GPT-2 does and merges bytes as the model says."""
    made = Tokenizer(model)
    made.pre_tokenizer = ByteLevel(add_prefix_space=False)
    made.decoder = ByteLevelDecoder()
    return made


def windows(
    tokenizer: Tokenizer, texts: Sequence[str], n_windows: int, length: int
) -> Int[np.ndarray, "window token"]:
    """Cut texts into windows that begin with ``<|endoftext|>``, taking from each text in turn.

    Raises
    ------
    SubjectError
        If the texts are empty or too short for so many windows, or ``n_windows < 2``.
    """
    if n_windows < 2:
        raise SubjectError(f"windows: expected 2 or more, found {n_windows}")
    body = length - 1
    cut = [encode(tokenizer, text) for text in texts]
    pieces = [[t[a : a + body] for a in range(0, len(t) - body + 1, body)] for t in cut]
    in_turn = [p[i] for i in range(n_windows) for p in pieces if i < len(p)]
    if len(in_turn) < n_windows:
        raise SubjectError(
            f"corpus: expected text for {n_windows} windows of {body} tokens, "
            f"found {sum(map(len, cut))} tokens, enough for {len(in_turn)}"
        )
    begin = np.full((n_windows, 1), begin_token(tokenizer))
    return np.concatenate([begin, np.stack(in_turn[:n_windows])], axis=1)


def read_texts(paths: Sequence[Path]) -> list[str]:
    """Read text files, all ``.txt`` files of a folder, or a dataset (see ``dataset_texts``).

    Raises
    ------
    SubjectError
        If a file is not there, empty, or not UTF-8 text.
    """
    texts = []
    for path in paths:
        if str(path).startswith(DATASET):
            texts += dataset_texts(str(path))
            continue
        texts += map(read_text, sorted(path.glob("*.txt")) if path.is_dir() else [path])
    if not texts:
        raise SubjectError(f"corpus: expected text files, found none in {list(map(str, paths))}")
    return texts


def read_text(file: Path) -> str:
    """Read one text file; errors as for ``read_texts``."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SubjectError(f"{file}: expected UTF-8 text, found {error}") from None
    if not text.strip():
        raise SubjectError(f"{file}: expected text, found none")
    return text


def dataset_texts(spec: str) -> list[str]:
    """Read the first documents of a Parquet file in a dataset on the hub.

    Parameters
    ----------
    spec
        ``hub:OWNER/NAME@COMMIT:FILE``, the commit in full; documents are in its ``text`` column.

    Raises
    ------
    SubjectError
        If the specification is wrong, or the file cannot be read or downloaded.
    """
    asked = re.fullmatch(r"hub:([\w.-]+/[\w.-]+)@([0-9a-f]{40}):([\w./-]+\.parquet)", spec)
    if asked is None:
        raise SubjectError(
            "corpus: expected hub:OWNER/NAME@COMMIT:FILE.parquet with a commit of 40 hexadecimal "
            f"digits, found {spec}"
        )
    # Here, not above: few runs need a dataset, and these packages are slow to import.
    import pyarrow
    import pyarrow.parquet
    from huggingface_hub import hf_hub_download

    repo, commit, file = asked.groups()
    try:
        path = hf_hub_download(repo, file, repo_type="dataset", revision=commit)
        column = pyarrow.parquet.read_table(path, columns=["text"])["text"]
    except (OSError, RuntimeError, ValueError, pyarrow.ArrowException) as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise SubjectError(f"corpus: expected {spec} with a text column, found {why}") from None
    return [str(text) for text in column.slice(0, DOCUMENTS).to_pylist()]


def other_pairs() -> list[Pair]:
    """Other pairs of words, the same in every run, each in both orders."""
    words = [w for w in WORDS if w not in PAIR]
    drawn = np.random.default_rng(SEED).permutation(words)[: 2 * OTHER_PAIRS].tolist()
    pairs = list(zip(drawn[::2], drawn[1::2], strict=True))
    return [*pairs, *((b, a) for a, b in pairs)]


def generated_prompt(tokenizer: Tokenizer, n_positions: int, seed: int = SEED) -> RepetitionPrompt:
    """Twenty exchanges that repeat random strings of words, then one with the pair.

    The lengths of the strings put the pair's first word at position 499.

    Raises
    ------
    MissingInputError
        If the prompt is longer than the context, or a word is not one token: the model can then
        be asked all but to repeat.
    """
    rng = np.random.default_rng(seed)
    up_to_pair = _question(PAIR).rpartition(_words(PAIR))[0]
    fixed = 1 + EXCHANGES * len(encode(tokenizer, exchange(WORDS[:1])))
    spare = FIRST_WORD_AT - fixed - len(encode(tokenizer, up_to_pair))
    lengths = np.ones(EXCHANGES, dtype=int)
    for _ in range(spare // 2):
        lengths[rng.choice(np.flatnonzero(lengths < lengths.min() + UNEVEN))] += 1
    strings = [rng.choice(WORDS, size=n, replace=False).tolist() for n in lengths]
    # An exchange holds each word twice, so an odd number of tokens needs a line end in front.
    before = "\n" * (spare % 2) + "".join(map(exchange, strings))
    prompt = _prompt(tokenizer, lambda pair: before + _question(pair), n_positions, _no_fit)
    if len(prompt.prefix) != FIRST_WORD_AT:
        raise _no_fit(
            f"prompt: expected the pair at position {FIRST_WORD_AT}, found {len(prompt.prefix)}; "
            "is each word one token of this tokenizer?"
        )
    return prompt


def _no_fit(why: str) -> MissingInputError:
    """Make the error for a model that the generated prompt does not fit."""
    return MissingInputError([f"what the repetition prompt needs ({why})"], "the model")


def prompt_from_file(tokenizer: Tokenizer, n_positions: int, path: Path) -> RepetitionPrompt:
    """Read a prompt of the user's own; other pairs take the place of ``apple orange``.

    Raises
    ------
    SubjectError
        If the pair is not in the file, the prompt is longer than the context, or a word is
        not one token.
    """
    text = read_text(path).rstrip("\n")
    here = " ".join(PAIR)
    before, found, after = text.rpartition(here)
    if not found:
        raise SubjectError(f"{path}: expected {here!r} in the prompt, found no such words")
    return _prompt(
        tokenizer, lambda pair: before + " ".join(pair) + after, n_positions, SubjectError
    )


def _words(words: Sequence[str]) -> str:
    return "".join(f" {word}" for word in words)


def exchange(words: Sequence[str]) -> str:
    """One exchange: a string of words, requested and repeated."""
    return f'{_question(words)}{_words(words)}"\n'


def _question(words: Sequence[str]) -> str:
    return f'User: Repeat this string exactly: "{_words(words)}"\nAssistant: "'


def _prompt(
    tokenizer: Tokenizer,
    text: Callable[[Pair], str],
    n_positions: int,
    refused: Callable[[str], Exception],
) -> RepetitionPrompt:
    pairs = [PAIR, PAIR[::-1], *other_pairs()]
    begin = begin_token(tokenizer)
    tokens = [[begin, *encode(tokenizer, text(pair)).tolist()] for pair in pairs]
    for pair, ids in zip(pairs, tokens, strict=True):
        if len(ids) != len(tokens[0]):
            raise refused(
                f"prompt: expected each word to be one token, found {' '.join(pair)!r} to take "
                f"{len(ids) - len(tokens[0])} more than {' '.join(pairs[0])!r}"
            )
    if len(tokens[0]) > n_positions:
        raise refused(f"prompt: expected at most {n_positions} tokens, found {len(tokens[0])}")
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


def encode(tokenizer: Tokenizer, text: str) -> Tokens:
    """Text as tokens, without special tokens before or after it."""
    return np.array(tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int64)


def begin_token(tokenizer: Tokenizer) -> int:
    """Token id of what a text begins with: ``<|endoftext|>``, or ``</s>`` in OPT's vocabulary.

    Raises
    ------
    SubjectError
        If there is no such token.
    """
    for name in (OPT_BEGIN, BEGIN):
        if (token := tokenizer.token_to_id(name)) is not None:
            return int(token)
    raise SubjectError(f"tokenizer: expected a token {BEGIN}, found none")

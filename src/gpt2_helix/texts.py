"""Natural text as a model reads it: cut into windows of tokens by the model's own tokenizer."""

import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from gpt2_helix.judging.errors import InputError, MissingInputError

Tokens = Int[np.ndarray, " _token"]

BEGIN, OPT_BEGIN = "<|endoftext|>", "</s>"
WINDOW = 512
DATASET = "hub:"
DOCUMENTS = 400
"""Documents of a dataset that are read, from its beginning; short ones give no window."""


@dataclass(frozen=True)
class TextInputs:
    """What text to use."""

    # Text files, folders or datasets; windows are taken from each in turn. Empty: the default.
    corpus: tuple[Path, ...] = ()
    n_windows: int | None = None  # Two or more; None for as many as the parameters say.
    # A prompt of the user's own that contains ``apple orange``, instead of the generated one.
    prompt: Path | None = None
    # Makes texts for a number of windows, instead of the corpus.
    made: Callable[[int], list[str]] | None = None

    def texts(self, n_windows: int) -> list[str]:
        """Texts that so many windows are taken from."""
        return self.made(n_windows) if self.made else read_texts(self.corpus)


def tokenizer(file: Callable[[str], Path | None], name: str) -> Tokenizer:
    """Read a model's tokenizer: GPT-2's ``vocab.json`` and ``merges.txt``, or ``tokenizer.json``.

    ``MissingInputError`` if it has neither, ``InputError`` if they do not hold a tokenizer.
    """
    vocabulary, merges = file("vocab.json"), file("merges.txt")
    whole = None if vocabulary and merges else file("tokenizer.json")
    try:
        if whole:
            return Tokenizer.from_file(str(whole))
        if vocabulary and merges:
            return byte_level(BPE.from_file(str(vocabulary), str(merges)))
    except Exception as error:  # The library raises nothing more specific.
        raise InputError(
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

    ``InputError`` if the texts are too short for so many windows, or ``n_windows < 2``.
    """
    if n_windows < 2:
        raise InputError(f"windows: expected 2 or more, found {n_windows}")
    body = length - 1
    cut = [encode(tokenizer, text) for text in texts]
    pieces = [[t[a : a + body] for a in range(0, len(t) - body + 1, body)] for t in cut]
    in_turn = [p[i] for i in range(n_windows) for p in pieces if i < len(p)]
    if len(in_turn) < n_windows:
        raise InputError(
            f"corpus: expected text for {n_windows} windows of {body} tokens, "
            f"found {sum(map(len, cut))} tokens, enough for {len(in_turn)}"
        )
    begin = np.full((n_windows, 1), begin_token(tokenizer))
    return np.concatenate([begin, np.stack(in_turn[:n_windows])], axis=1)


def read_texts(paths: Sequence[Path]) -> list[str]:
    """Read text files, all ``.txt`` files of a folder, or a dataset (see ``dataset_texts``).

    ``InputError`` if a file is not there, empty, or not UTF-8 text.
    """
    texts = []
    for path in paths:
        if str(path).startswith(DATASET):
            texts += dataset_texts(str(path))
            continue
        try:
            files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
        except OSError as error:
            raise InputError(f"corpus: expected text files, found {error}") from None
        texts += map(read_text, files)
    if not texts:
        raise InputError(f"corpus: expected text files, found none in {list(map(str, paths))}")
    return texts


def read_text(file: Path) -> str:
    """Read one text file; errors as for ``read_texts``."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise InputError(f"{file}: expected UTF-8 text, found another kind of file")
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{file}: expected UTF-8 text, found {why}") from None
    if not text.strip():
        raise InputError(f"{file}: expected text, found none")
    return text


def check_corpus(paths: Sequence[Path]) -> None:
    """Refuse what ``read_texts`` would, but for what only the hub knows of a dataset."""
    for path in paths:
        if str(path).startswith(DATASET):
            _in_dataset(str(path))
        else:
            read_texts([path])


def _in_dataset(spec: str) -> tuple[str, str, str]:
    """Repository, commit and file of a dataset's name."""
    asked = re.fullmatch(r"hub:([\w.-]+/[\w.-]+)@([0-9a-f]{40}):([\w./-]+\.parquet)", spec)
    if asked is None:
        raise InputError(
            "corpus: expected hub:OWNER/NAME@COMMIT:FILE.parquet with a commit of 40 hexadecimal "
            f"digits, found {spec}"
        )
    return asked[1], asked[2], asked[3]


def dataset_texts(spec: str) -> list[str]:
    """Read the first documents, in the column ``text``, of a Parquet file on the hub.

    ``InputError`` if it is not named as ``hub:OWNER/NAME@COMMIT:FILE.parquet`` with the commit in
    full, or cannot be read or downloaded.
    """
    repo, commit, file = _in_dataset(spec)
    # Here, not above: few runs need a dataset, and these packages are slow to import.
    import pyarrow
    import pyarrow.parquet
    from huggingface_hub import hf_hub_download

    try:
        path = hf_hub_download(repo, file, repo_type="dataset", revision=commit)
        column = pyarrow.parquet.read_table(path, columns=["text"])["text"]
    except (OSError, RuntimeError, ValueError, pyarrow.ArrowException) as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"corpus: expected {spec} with a text column, found {why}") from None
    return [str(text) for text in column.slice(0, DOCUMENTS).to_pylist()]


def encode(tokenizer: Tokenizer, text: str) -> Tokens:
    """Text as tokens, without special tokens before or after it."""
    return np.array(tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int64)


def begin_token(tokenizer: Tokenizer) -> int:
    """Token id of what a text begins with: ``<|endoftext|>``, or ``</s>`` in OPT's vocabulary.

    ``InputError`` if there is no such token.
    """
    for name in (OPT_BEGIN, BEGIN):
        if (token := tokenizer.token_to_id(name)) is not None:
            return int(token)
    raise InputError(f"tokenizer: expected a token {BEGIN}, found none")

"""Windows, prompts and tokenizers, good and bad."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split

from gpt2_helix import prompts, texts
from gpt2_helix.judging.errors import InputError, MissingInputError
from gpt2_helix.models.built import repeated_segments, word_tokenizer
from gpt2_helix.suite.subjects import open_subject
from support import ROOT, Folder, opened, refused

CORPUS = ROOT / "data" / "texts"


@pytest.fixture
def tokenizer() -> Tokenizer:
    return word_tokenizer()


def test_the_shipped_texts_are_enough_for_sixteen_windows() -> None:
    read = texts.read_texts([CORPUS])
    assert len(read) == 3
    # GPT-2 takes a token for some four characters of English; six is safely more than it needs.
    assert sum(len(text) // (6 * texts.WINDOW) for text in read) >= 16


def test_windows_take_turns_among_texts(tokenizer: Tokenizer) -> None:
    ones, twos = " apple" * 30, " orange" * 30
    cut = texts.windows(tokenizer, [ones, twos], 4, 10)
    assert cut.shape == (4, 10)
    assert (cut[:, 0] == tokenizer.token_to_id(texts.BEGIN)).all()
    assert [tokenizer.id_to_token(w[1]) for w in cut] == [" apple", " orange"] * 2


@pytest.mark.parametrize(("n_windows", "message"), [(1, "expected 2 or more"), (9, "enough for 6")])
def test_too_few_windows(tokenizer: Tokenizer, n_windows: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        texts.windows(tokenizer, [" apple" * 30, " orange" * 30], n_windows, 10)


def test_what_is_no_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "spaces.txt").write_text(" \n")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for name, said in (
        ("spaces.txt", "expected text, found none"),
        ("bytes.txt", "expected UTF-8 text"),
        ("none.txt", "expected UTF-8 text"),
        ("folder", "expected text files, found none"),
        ("fifo", "expected UTF-8 text, found another kind of file"),
        ("x" * 300, "File name too long"),
        ("nul\0", "embedded null byte"),
    ):
        with refused(said):
            texts.read_texts([tmp_path / name])


COMMIT = "0123456789abcdef0123456789abcdef01234567"
DATASET = f"hub:some/texts@{COMMIT}"


@pytest.fixture
def dataset(offline: Path) -> None:
    """A dataset in the hub's cache, with no network."""
    folder = offline / "datasets--some--texts" / "snapshots" / COMMIT / "data"
    folder.mkdir(parents=True)
    table = pyarrow.table({"text": [" apple" * 30, " orange" * 30], "n": [1, 2]})
    pyarrow.parquet.write_table(table, folder / "train.parquet")
    pyarrow.parquet.write_table(table.select(["n"]), folder / "other.parquet")


@pytest.mark.usefixtures("dataset")
def test_a_dataset_of_the_hub_gives_its_text_column(tokenizer: Tokenizer) -> None:
    read = texts.read_texts([Path(f"{DATASET}:data/train.parquet")])
    assert texts.windows(tokenizer, read, 4, 10).shape == (4, 10)


@pytest.mark.usefixtures("dataset")
@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (f"{DATASET}:data/other.parquet", f"expected {DATASET}:data/other.parquet with a"),
        (f"{DATASET}:data/absent.parquet", f"expected {DATASET}:data/absent.parquet with a"),
        ("hub:some/texts:a.parquet", "with a commit of 40 hexadecimal digits"),
        (f"{DATASET}:a.bin", "with a commit of 40 hexadecimal digits"),
        (f"hub:a--b/c@{COMMIT}:a.parquet", "column, found Cannot"),
        (f"{DATASET}:../a.parquet", "column, found Invalid"),
    ],
)
def test_a_dataset_that_gives_no_text_is_one_line(spec: str, said: str) -> None:
    with refused(said):
        texts.dataset_texts(spec)


def test_the_prompt_puts_the_pair_where_it_shares_every_group(tokenizer: Tokenizer) -> None:
    prompt = prompts.generated_prompt(tokenizer, 512)
    at = len(prompt.prefix)
    assert at == 499
    assert all((at - 1) // k == at // k for k in (5, 10, 20, 50, 100, 200))
    assert len(prompt.tails) == 2 + 2 * prompts.OTHER_PAIRS
    tail = prompt.tails["apple", "orange"]
    assert [tokenizer.id_to_token(t) for t in tail[:3]] == [" apple", " orange", '"']
    assert tokenizer.id_to_token(tail[-1]) == ' "'
    assert prompt.prefix[0] == tokenizer.token_to_id(texts.BEGIN)
    assert (prompt.prefix == tokenizer.token_to_id(" exactly")).sum() == 20 + 1
    assert set(prompt.tails) == {pair[::-1] for pair in prompt.tails}


def test_a_context_too_short_for_the_prompt(tokenizer: Tokenizer) -> None:
    with pytest.raises(MissingInputError, match="expected at most 500 tokens, found 506"):
        prompts.generated_prompt(tokenizer, 500)


def test_variants_are_the_word_its_plural_and_its_beginnings() -> None:
    words = ["<|endoftext|>", " apple", "Apple", " apples", " app", " ap", " applesauce", " orange"]
    made = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[0]))
    found = prompts._variants(made, {"apple"})["apple"]
    assert [words[i] for i in found] == [" apple", "Apple", " apples", " app"]


def test_a_prompt_of_the_users_own(tokenizer: Tokenizer, tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_text('User: Repeat this string exactly: " apple orange"\nAssistant: "\n')
    prompt = prompts.prompt_from_file(tokenizer, 512, file)
    assert tokenizer.id_to_token(prompt.tails["orange", "apple"][0]) == " orange"
    assert tokenizer.id_to_token(prompt.tails["orange", "apple"][-1]) == ' "'
    with pytest.raises(InputError, match="expected at most 8 tokens, found 16"):
        prompts.prompt_from_file(tokenizer, 8, file)
    file.write_text("Say it.")
    with pytest.raises(InputError, match="expected 'apple orange' in the prompt"):
        prompts.prompt_from_file(tokenizer, 512, file)
    with pytest.raises(InputError, match="expected UTF-8 text"):
        prompts.prompt_from_file(tokenizer, 512, CORPUS)


def test_a_word_that_is_more_than_one_token() -> None:
    vocabulary = {piece: i for i, piece in enumerate([texts.BEGIN, *map(chr, range(32, 127))])}
    letters = Tokenizer(WordLevel(vocabulary, unk_token=texts.BEGIN))
    letters.pre_tokenizer = Split(Regex("."), behavior="isolated")
    with pytest.raises(MissingInputError, match="expected each word to be one token, found '"):
        prompts.generated_prompt(letters, 4096)


def test_a_tokenizer_that_does_not_fit_the_vocabulary(folder: Folder) -> None:
    path = folder(config={"vocab_size": 50})
    word_tokenizer().save(str(path / "tokenizer.json"))
    with pytest.raises(InputError, match="expected a tokenizer of at most 50 tokens"):
        _ = opened(path).model.tokenizer


def test_no_tokenizer_and_a_broken_one(folder: Folder) -> None:
    path = folder()
    subject = opened(path)
    with pytest.raises(MissingInputError, match=r"vocab\.json"):
        _ = subject.model.tokenizer
    (path / "tokenizer.json").write_text(json.dumps({"model": 1}))
    with pytest.raises(InputError, match="expected a tokenizer, found something else"):
        _ = subject.model.tokenizer


def test_gpt2s_own_files_make_its_tokenizer(folder: Folder) -> None:
    """Byte-level pieces with merges, in GPT-2's two files."""
    path = folder()
    pieces = ["<|endoftext|>", *map(chr, range(33, 127)), "Ġ", "ap", "Ġap", "Ċ"]
    (path / "vocab.json").write_text(json.dumps({p: i for i, p in enumerate(pieces)}))
    (path / "merges.txt").write_text("#version: 0.2\na p\nĠ ap\n")
    subject = opened(path)
    ids = subject.model.tokenizer.encode("ap ap\n").ids
    assert [pieces[i] for i in ids] == ["ap", "Ġap", "Ċ"]
    assert subject.model.tokenizer.decode(ids) == "ap ap\n"


def test_repeated_segments_repeat_and_differ_by_window() -> None:
    one, other = repeated_segments(0).split(), repeated_segments(1).split()
    assert one != other
    assert len(one) >= 511
    assert len(set(one)) == 160
    assert np.unique(one, return_counts=True)[1].max() > 1


def test_a_prompt_is_checked_before_anything_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    for content, said in (("apple pear", "expected 'apple orange'"), ("", "expected text")):
        file.write_text(content)
        with refused(said):
            open_subject("mini", ROOT / "data", texts.TextInputs(prompt=file))
    file.write_text("apple orange")
    open_subject("mini", ROOT / "data", texts.TextInputs(prompt=file))

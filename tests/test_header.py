"""Headers and configurations that lie: refused, by name, before anything is allocated for them."""

import json
import math
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from gpt2_helix.errors import MissingInputError, SubjectError
from gpt2_helix.models.config import ARCHITECTURES, TOO_MANY, read_config
from gpt2_helix.models.model import Model
from gpt2_helix.subjects import open_subject
from gpt2_helix.weights.header import (
    LARGEST_HEADER,
    WIDTHS,
    HeaderError,
    header_length,
    parse_header,
)
from gpt2_helix.weights.tensors import SafetensorsFile
from support import CONFIG, Folder

UNTIMED = settings(deadline=None)
DATA = Path("no-data")


def entry(start: Any, stop: Any, shape: Any = (1,), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def file_of(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header + data


@contextmanager
def within(megabytes: float) -> Iterator[None]:
    """What is done here must not allocate more at any time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < megabytes * 2**20
    finally:
        tracemalloc.stop()


TWINS = b'{"a": %b, "a": %b}' % (2 * (json.dumps(entry(0, 4)).encode(),))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (file_of(b"{}", length=2**64 - 1), "expected a header of 1 to 2 bytes"),
        (file_of(b"{}" * LARGEST_HEADER, length=2 * LARGEST_HEADER), "expected a header of 1 to"),
        (file_of(b"{}", length=0), "found 0"),
        (file_of(b"[" * LARGEST_HEADER), "expected a header in JSON, found RecursionError"),
        (file_of(b"\xff\xfe"), "expected a header in JSON, found UnicodeDecodeError"),
        (file_of(b"[]"), "expected a JSON object, found list"),
        (file_of(TWINS, bytes(4)), "expected names that differ, found 'a' twice"),
        (file_of(json.dumps({"a": 1}).encode()), "expected of 'a' an object, found int"),
        (file_of(json.dumps({"a": entry(0, 8)}).encode(), bytes(8)), "4 bytes for F32"),
        (file_of(json.dumps({"a": entry(0, 4)}).encode()), "expected tensors up to byte"),
        (file_of(json.dumps({"a": entry(0, 4)}).encode(), bytes(8)), "expected tensors up to"),
        (file_of(json.dumps({"a": entry(-4, 0)}).encode()), "expected of 'a' two data_offsets"),
        (file_of(json.dumps({"a": entry(4, 0)}).encode()), "4 bytes for F32 [1], found -4"),
        (file_of(json.dumps({"a": entry(0, 1e3)}).encode()), "expected of 'a' two data_offsets"),
        (file_of(json.dumps({"a": entry(0, 4, [True])}).encode()), "expected of 'a' a shape"),
        (file_of(json.dumps({"a": entry(0, 4, [2**62] * 9)}).encode()), "expected of 'a' a shape"),
        (file_of(json.dumps({"a": entry(0, 4, [2**62] * 8)}).encode()), "bytes for F32 [46116860"),
        (file_of(json.dumps({"a": entry(0, 4, [1], ["F32"])}).encode()), "a known dtype"),
        (
            file_of(json.dumps({"a": entry(0, 4), "b": entry(0, 4)}).encode(), bytes(4)),
            "expected 'b' at byte",
        ),
        (
            file_of(json.dumps({"a": entry(0, 4), "b": entry(8, 12)}).encode(), bytes(12)),
            "expected 'b' at byte",
        ),
    ],
)
def test_a_hostile_file_is_refused_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with within(4), pytest.raises(SubjectError, match="expected a whole safetensors file") as error:
        SafetensorsFile(path)
    assert said in str(error.value)
    assert len(str(error.value)) < 500
    assert "\n" not in str(error.value)


TRUE = save({"wpe.weight": np.zeros((3, 2), np.float32), "b": np.zeros(5, np.float16)})
TRUE_LENGTH = header_length(TRUE[:8], len(TRUE))
TRUE_HEADER = TRUE[8 : 8 + TRUE_LENGTH]


def check(text: bytes, file_size: int) -> None:
    """A header is refused as such, or its tensors fill the file, one after the other."""
    try:
        entries = parse_header(text, file_size)
    except HeaderError:
        return
    end = 8 + len(text)
    for found in sorted(entries.values(), key=lambda e: (e.start, e.stop)):
        assert found.start == end
        assert found.stop - found.start == WIDTHS[found.dtype] * math.prod(found.shape)
        end = found.stop
    assert end == file_size


def test_a_true_header_is_read() -> None:
    entries = parse_header(TRUE_HEADER, len(TRUE))
    assert {name: (e.dtype, e.shape) for name, e in entries.items()} == {
        "wpe.weight": ("F32", (3, 2)),
        "b": ("F16", (5,)),
    }


@UNTIMED
@given(st.binary(max_size=200), st.integers(0, 400))
@example(b"[" * 100_000, 200_000)
@example(b'{"a":' * 100_000, 200_000)
@example(b'{"a": ' + b"9" * 100_000 + b"}", 200_000)
def test_any_bytes_are_a_header_or_are_refused(text: bytes, file_size: int) -> None:
    check(text, file_size)


@UNTIMED
@given(st.lists(st.tuples(st.integers(0, TRUE_LENGTH - 1), st.integers(0, 255)), max_size=4))
def test_a_header_with_some_bytes_changed(changes: list[tuple[int, int]]) -> None:
    text = bytearray(TRUE_HEADER)
    for at, byte in changes:
        text[at] = byte
    check(bytes(text), len(TRUE))


NEAR = st.integers(-2, 24) | st.integers() | st.floats() | st.booleans() | st.none()
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from([*WIDTHS, "F128", None, 1, []]),
        "shape": st.lists(NEAR, max_size=3) | NEAR,
        "data_offsets": st.lists(NEAR, min_size=1, max_size=3) | NEAR,
    },
)


@UNTIMED
@given(st.dictionaries(st.text(max_size=3), ENTRY | NEAR, max_size=3), st.integers(0, 24))
def test_entries_of_any_kind(entries: dict[str, Any], data: int) -> None:
    text = json.dumps(entries).encode()
    check(text, 8 + len(text) + data)


JSON: st.SearchStrategy[Any] = (
    NEAR | st.text(max_size=5) | st.lists(NEAR, max_size=2) | st.just({"gpt2": [{}]})
)
SIZE = st.sampled_from([1, 2, 3, 4, 6, 12, TOO_MANY - 1]) | JSON
KEYS = sorted({key for a in ARCHITECTURES.values() for key in a.keys if key})


@UNTIMED
@given(
    st.sampled_from(sorted(ARCHITECTURES)) | JSON,
    st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, SIZE)),
)
def test_a_configuration_of_anything_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: Any, declared: dict[str, Any]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "configured"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**declared, "model_type": kind}))
    (folder / "model.safetensors").write_bytes(TRUE)
    said = ""
    try:
        config = read_config(folder / "config.json")
    except SubjectError as refused:
        said = str(refused)
    else:
        for size in (config.n_layer, config.n_head, config.n_embd, config.n_positions):
            assert 0 < size < TOO_MANY
    assert "\n" not in said
    assert len(said) < 500
    # The tensors that the file holds fit no such configuration, or they are read.
    with suppress(SubjectError, MissingInputError):
        assert isinstance(open_subject(str(folder), DATA), Model)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 2**19, "expected JSON, found something else"),
        (" " * (2**20 + 1), "expected at most 1048576 bytes, found 1048577"),
        ('{"model_type": "' + "x" * 2**19 + '"}', "expected a model_type with learned"),
        ('{"model_type": {"gpt2": 1}}', "expected a model_type with learned"),
        (json.dumps({**CONFIG, "n_layer": 10**9}), "expected n_layer to be a positive int below"),
        (json.dumps(CONFIG).replace("1e-05", "NaN"), "expected layer_norm_epsilon to be"),
        (json.dumps(CONFIG).replace("1e-05", "1" + 5000 * "0"), "expected JSON, found"),
    ],
)
def test_a_hostile_configuration_is_refused_in_one_line(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with within(8), pytest.raises(SubjectError) as error:
        read_config(path)
    assert said in str(error.value)
    assert len(str(error.value)) < 500


def test_code_that_comes_with_a_model_is_not_run(folder: Folder, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    path = folder(config={"auto_map": {"AutoModel": "evil.Evil"}, "trust_remote_code": True})
    (path / "evil.py").write_text(f"open({str(ran)!r}, 'w')")
    (path / "pytorch_model.bin").write_bytes(b"cposix\nsystem\n(S'touch " + bytes(ran) + b"'\ntR.")
    assert isinstance(open_subject(str(path), DATA), Model)
    assert not ran.exists()


def test_a_folder_with_nothing_but_a_pickle_is_refused_with_the_reason(folder: Folder) -> None:
    path = folder()
    (path / "model.safetensors").rename(path / "pytorch_model.bin")
    with pytest.raises(SubjectError, match=r"found only pytorch_model\.bin, a pickle"):
        open_subject(str(path), DATA)

"""Models on the Hugging Face hub: the whole file, or no more of it than the positions.

Addresses, caches and credentials are huggingface_hub's, so that ``HF_HOME``, ``HF_ENDPOINT``,
``HF_TOKEN`` and ``HF_HUB_OFFLINE`` mean what they mean everywhere. What the hub's own cache holds
is used; what is downloaded here goes beside it, into the assets folder of ``HF_HOME``, where a
model's folder is one that ``--subject`` takes. No part of a file name comes from the hub except a
commit of forty hexadecimal digits. Everything is checked before it is used.
"""

import hashlib
import re
import sys
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from io import BytesIO
from pathlib import Path

import numpy as np
from huggingface_hub import HfFileMetadata, constants, model_info, try_to_load_from_cache
from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from safetensors import safe_open
from safetensors.numpy import save

from gpt2_helix.errors import HubUnreachableError, MissingInputError, SubjectError
from gpt2_helix.models.config import Config
from gpt2_helix.models.table import HubModel
from gpt2_helix.weights import download
from gpt2_helix.weights.header import (
    LENGTH_BYTES,
    Entry,
    HeaderError,
    header_length,
    parse_header,
)
from gpt2_helix.weights.tensors import (
    KINDS,
    PICKLE,
    WEIGHTS,
    Array,
    SafetensorsFile,
    only_a_pickle,
    sha256_of_tensor,
)
from gpt2_helix.weights.versions import CACHE, sha256_of_version

POSITIONS = "positions.safetensors"
"""Where the position matrix is kept when it is all that was read of a file."""
LARGEST = 2**24
"""Bytes of any file but the weights; vocabularies have a million or two."""
AGAIN = "delete the file to download it anew"
DIGEST = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
"""The hub names a large file by its sha256 and a small one as git does."""
FIRST_BYTES = 2**14
"""Asked for first; GPT-2 small's header fits."""


class HubTensors(Mapping[str, Array]):
    """The tensors of a model on the hub.

    The position matrix alone is read as a byte range (about 3 MB of GPT-2 small's 548) and kept;
    any other tensor brings the whole file, once. Which tensors there are is read from the header.

    Raises
    ------
    HubUnreachableError
        If nothing is cached and the hub does not answer.
    SubjectError
        If bytes are not those that are pinned, or the file is none to be read.
    """

    def __init__(self, model: HubModel, config: Config, commit: str) -> None:
        self._model = model
        self._commit = commit
        self._names_of_W_pos = config.architecture.stored_W_pos
        self._shape = (config.n_positions + config.architecture.padding, config.n_embd)

    def __getitem__(self, name: str) -> Array:
        if name not in self._names_of_W_pos:
            return self._file[name]
        if not self.is_whole():
            return self._positions
        return self._file[self._stored_in(self._file)]

    def __contains__(self, name: object) -> bool:
        return name in self._names_of_W_pos or name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names))

    def __len__(self) -> int:
        return len(self._names)

    def are_available(self) -> bool:
        """Whether every tensor is cached or the hub answers."""
        try:
            return self.is_whole() or bool(self._header)
        except HubUnreachableError:
            return False

    def is_whole(self) -> bool:
        """Whether the whole file is cached."""
        return _cached(self._model, WEIGHTS, self._commit) is not None

    @cached_property
    def _file(self) -> SafetensorsFile:
        return SafetensorsFile(fetch(self._model, WEIGHTS))

    @cached_property
    def _names(self) -> frozenset[str]:
        if self.is_whole():
            return frozenset(self._file)
        try:
            return frozenset(self._header)
        except HubUnreachableError:
            return frozenset(self._names_of_W_pos[:1])

    @cached_property
    def _header(self) -> dict[str, Entry]:
        """The header of the file, without the file."""
        size = _announced(self._model, WEIGHTS, self._commit).size or 0
        try:
            first = self._range(0, min(FIRST_BYTES, size))
            end = LENGTH_BYTES + header_length(first, size)
            first += self._range(len(first), end)
            return parse_header(first[LENGTH_BYTES:end], size)
        except HeaderError as error:
            raise SubjectError(f"{self._model.repo}/{WEIGHTS}: {error}") from None

    @cached_property
    def _positions(self) -> Array:
        path = folder_of(self._model, self._commit) / POSITIONS
        if (kept := self._kept(path)) is None:
            with _writing(path), WeakFileLock(path.with_name(POSITIONS + ".lock")):
                kept = self._kept(path)  # Another process may have read it meanwhile.
                if kept is None:
                    kept = self._read()
                    digest = {"sha256": sha256_of_tensor(kept)}
                    partial = path.with_name(POSITIONS + ".partial")
                    partial.write_bytes(save({self._names_of_W_pos[0]: kept}, metadata=digest))
                    partial.replace(path)
        return kept

    def _kept(self, path: Path) -> Array | None:
        """What was read before, if it still is what it was then."""
        if not path.exists():
            return None
        try:
            kept = SafetensorsFile(path)[self._names_of_W_pos[0]]
            with safe_open(path, framework="numpy") as file:
                noted = (file.metadata() or {}).get("sha256")
        except (SubjectError, KeyError):
            return None
        return kept if sha256_of_tensor(kept) == (self._model.W_pos_sha256 or noted) else None

    def _read(self) -> Array:
        """Read the position matrix as a byte range; no more is kept than config.json says."""
        where = f"{self._model.repo}/{WEIGHTS}"
        stored = self._stored_in(self._header)
        entry = self._header[stored]
        if entry.dtype not in KINDS or entry.shape != self._shape:
            raise SubjectError(
                f"{where}: expected {stored} as F16, F32 or F64 of shape {self._shape} as in "
                f"config.json, found {entry.dtype} {entry.shape}"
            )
        values = np.frombuffer(self._range(entry.start, entry.stop), KINDS[entry.dtype])
        W_pos = values.reshape(entry.shape).astype("<f4")
        found, pinned = sha256_of_tensor(W_pos), self._model.W_pos_sha256
        if pinned and found != pinned:
            raise SubjectError(f"{where}: expected {stored} with sha256 {pinned}, found {found}")
        return W_pos

    def _stored_in(self, names: Container[str]) -> str:
        for name in self._names_of_W_pos:
            if name in names:
                return name
        raise MissingInputError([self._names_of_W_pos[0]], f"{self._model.repo}/{WEIGHTS}")

    def _range(self, start: int, stop: int) -> bytes:
        into = BytesIO()
        download.receive(self._model.repo, WEIGHTS, self._commit, start, stop, into.write)
        return into.getvalue()


def commit_of(model: HubModel) -> str:
    """The commit that a model is read at: the pinned one, or ``main`` when it was first asked for.

    Raises
    ------
    HubUnreachableError, SubjectError
        If it is neither pinned nor known from before, and the hub does not say.
    """
    if model.revision is not None:
        return model.revision
    known = folder_of(model, "main")
    if known.is_file():
        text = known.read_text(encoding="ascii", errors="replace").strip()
        if download.COMMIT.fullmatch(text):
            return text
    cached = try_to_load_from_cache(model.repo, "config.json", revision="main")
    if isinstance(cached, str):
        return Path(cached).parent.name
    _require_online(model, "config.json")
    commit = str(download.head(model.repo, "config.json", "main").commit_hash)
    with _writing(known):
        known.write_text(commit + "\n", encoding="ascii")
    return commit


def fetch(model: HubModel, filename: str) -> Path:
    """Path of a file of the model, from a cache or downloaded into one, checked.

    Raises
    ------
    HubUnreachableError
        If it is not cached and the hub does not answer.
    SubjectError
        If the hub refuses, nothing can be written, or bytes are not those that are pinned.
    """
    commit = commit_of(model)
    path = _cached(model, filename, commit)
    if path is None:
        path = _download(model, filename, commit)
    size, pinned = model.size.get(filename), model.sha256.get(filename)
    if size is not None and (found := path.stat().st_size) != size:
        raise SubjectError(f"{path}: expected {size} bytes, found {found}; {AGAIN}")
    # A file in the hub's own cache is a link to one that has its digest for a name.
    expected = pinned or path.resolve().name
    if DIGEST.fullmatch(expected) and (digest := _digest_like(expected, path)) != expected:
        raise SubjectError(f"{path}: expected digest {expected}, found {digest}; {AGAIN}")
    return path


def folder_of(model: HubModel, commit: str) -> Path:
    """Where what is downloaded of a model is kept."""
    return CACHE / model.repo.replace("/", "--") / commit


def _cached(model: HubModel, filename: str, commit: str) -> Path | None:
    own = folder_of(model, commit) / filename
    if own.is_file():
        return own
    found = try_to_load_from_cache(model.repo, filename, revision=commit)
    return Path(found) if isinstance(found, str) else None


def _download(model: HubModel, filename: str, commit: str) -> Path:
    """Download a file; what an earlier attempt received of it is not asked for again."""
    path = folder_of(model, commit) / filename
    partial = path.with_name(filename + ".partial")
    announced = _announced(model, filename, commit)
    size = announced.size or 0
    expected = model.sha256.get(filename) or announced.etag or ""
    if not DIGEST.fullmatch(expected):
        raise SubjectError(
            f"{model.repo}/{filename}: expected {constants.ENDPOINT} to give a digest, "
            f"found {expected!r:.80}"
        )
    with _writing(path), WeakFileLock(path.with_name(filename + ".lock")):
        if path.is_file():
            return path  # Another process has downloaded it while this one waited.
        with partial.open("ab") as into:
            if into.tell() > size:
                into.truncate(0)
            have = into.seek(0, 2)
            with _bar(filename, have, size) as advance:

                def write(received: bytes) -> None:
                    into.write(received)
                    advance(len(received))

                download.receive(model.repo, filename, commit, have, size, write)
        found = _digest_like(expected, partial)
        if found != expected:
            partial.unlink()
            raise SubjectError(
                f"{model.repo}/{filename}: expected bytes with digest {expected}, "
                f"received some with {found}; they are deleted"
            )
        partial.replace(path)
    return path


@contextmanager
def _bar(filename: str, have: int, size: int) -> Iterator[Callable[[int], None]]:
    """Show how much of a file is there and how long the rest takes, where someone looks on."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(filename, total=size, completed=have)
        yield lambda received: progress.advance(task, received)


def _announced(model: HubModel, filename: str, commit: str) -> HfFileMetadata:
    """What the hub says of a file, if that agrees with what is known of it."""
    _require_online(model, filename)
    what = f"{model.repo}/{filename}"
    try:
        found = download.head(model.repo, filename, commit)
    except HubUnreachableError:
        raise
    except SubjectError:
        if filename == WEIGHTS and PICKLE in _files(model, commit):
            raise SubjectError(f"{what}: expected it, found {only_a_pickle()}") from None
        raise
    size = found.size or 0
    pinned = model.size.get(filename, size)
    if size != pinned:
        raise SubjectError(f"{what}: expected {pinned} bytes, found {size} announced")
    if filename != WEIGHTS and size > LARGEST:
        raise SubjectError(f"{what}: expected at most {LARGEST} bytes, found {size} announced")
    return found


def _files(model: HubModel, commit: str) -> set[str]:
    """Names of the files of a repository, as far as the hub tells them."""
    timeout = download.REACHABLE_WITHIN_S
    try:
        info = download.ask(
            lambda: model_info(model.repo, revision=commit, timeout=timeout), model.repo
        )
    except SubjectError:
        return set()
    return {file.rfilename for file in info.siblings or []}


def _digest_like(expected: str, path: Path) -> str:
    """Digest of a file, of the kind of the one it is to be compared to."""
    if len(expected) == 64:
        return sha256_of_version(path)
    prefix = b"blob %d\0" % path.stat().st_size
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.sha1(prefix)).hexdigest()


def _require_online(model: HubModel, what: str) -> None:
    if constants.HF_HUB_OFFLINE:
        raise HubUnreachableError(
            f"{model.repo}: expected {what} in {constants.HF_HOME}, as HF_HUB_OFFLINE is set, "
            "found none"
        )


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Make the folder of a file, and turn what goes wrong with it or in it into one line."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise SubjectError(
            f"{path}: expected to write there, found {error.strerror or error}; "
            "HF_HOME names another place"
        ) from None

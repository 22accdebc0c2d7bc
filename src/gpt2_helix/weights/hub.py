"""Models on the Hugging Face hub: whole files, or no more of them than the positions.

Addresses, caches, credentials and downloads are huggingface_hub's, so that ``HF_HOME``,
``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HUB_OFFLINE`` and ``HF_HUB_ETAG_TIMEOUT`` mean what they mean
everywhere, and a file is downloaded once for all programs. Added here: a limit on the time for
the first answer, digests, errors of one line, and the positions read alone.
"""

import hashlib
import multiprocessing
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TypeVar

from huggingface_hub import (
    HfFileMetadata,
    constants,
    get_hf_file_metadata,
    get_token,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]
from safetensors.numpy import save_file

from gpt2_helix.errors import HubUnreachableError, MissingInputError, SubjectError
from gpt2_helix.models.table import HubModel
from gpt2_helix.weights.files import KINDS, PARTS, Part, open_weights
from gpt2_helix.weights.ranged import NoSuchFileError, RangedFile, refusing
from gpt2_helix.weights.tensors import Array, SafetensorsFile, Tensors, sha256_of_tensor
from gpt2_helix.weights.versions import CACHE, sha256_of_version

LARGEST = 2**24
"""Bytes of any file but the weights; vocabularies have a million or two."""
LARGEST_WEIGHTS = 2**36
COMMIT = re.compile(r"[0-9a-f]{40}")
DIGEST = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
"""The hub names a large file by its sha256 and a small one as git does."""
ANSWER_WITHIN_S = float(os.environ.get("HF_HUB_ETAG_TIMEOUT") or 5)
"""Seconds for the first answer; without the variable half of what huggingface_hub gives it."""
AGAIN = "delete the file to download it again"

Answer = TypeVar("Answer")


class Repository:
    """A model's repository on the hub, read at one commit.

    Parameters
    ----------
    model
        Which one, and what its files must be.
    """

    def __init__(self, model: HubModel) -> None:
        self.model = model
        self.name = model.repo
        self._token: bool | None = None
        """None for what huggingface_hub would send; False once the hub has refused that."""

    @cached_property
    def commit(self) -> str:
        """The commit; of a branch or a tag the one in the cache, from when it was first read.

        Raises
        ------
        HubUnreachableError, SubjectError
            If it is not known, and the hub does not say.
        """
        if COMMIT.fullmatch(self.model.revision):
            return self.model.revision
        return self._fetch("config.json", self.model.revision).parent.name

    @cached_property
    def weights(self) -> str:
        """Name of the file of weights: one that is cached, or else one that the hub has.

        Raises
        ------
        HubUnreachableError, SubjectError
            If none is cached, and the hub does not answer or has none.
        """
        for name in KINDS:
            if self.cached(name):
                return name
        for name in KINDS:
            with suppress(NoSuchFileError):
                self._announced(name, self.commit)
                return name
        raise SubjectError(f"{self.name}: expected a {' or a '.join(KINDS)}, found none")

    def cached(self, filename: str) -> Path | None:
        """Path of a file in the cache; None if it is not there."""
        found = try_to_load_from_cache(self.name, filename, revision=self.commit)
        return Path(found) if isinstance(found, str) else None

    def fetch(self, filename: str) -> Path:
        """Path of a file, from the cache or downloaded into it, checked.

        Raises
        ------
        HubUnreachableError
            If it is not cached and the hub does not answer.
        NoSuchFileError, SubjectError
            If there is no such file, the hub refuses, nothing can be written, or the bytes are not
            those that are pinned or announced.
        """
        return self._fetch(filename, self.commit)

    def open(self, filename: str) -> RangedFile:
        """Open a file on the hub, to be read in ranges; errors as for ``fetch``."""
        size = self._announced(filename, self.commit).size
        url = hf_hub_url(self.name, filename, revision=self.commit)
        headers = build_hf_headers(token=self._token)
        return RangedFile(url, headers, size, f"{self.name}/{filename}", ANSWER_WITHIN_S)

    def _fetch(self, filename: str, revision: str) -> Path:
        size, pinned = self.model.size.get(filename), self.model.sha256.get(filename)
        found = try_to_load_from_cache(self.name, filename, revision=revision)
        if isinstance(found, str):
            path = Path(found)
            # A link to a file that has the digest for a name; that may be a link itself, to one
            # which is shared between repositories and has another kind of name.
            _check(path, size, pinned or (path.readlink().name if path.is_symlink() else ""))
            return path
        what, digest = f"{self.name}/{filename}", self._announced(filename, revision).etag or ""
        if not DIGEST.fullmatch(digest):  # huggingface_hub makes it a part of a path.
            raise SubjectError(
                f"{what}: expected {constants.ENDPOINT} to give a digest, found {digest!r:.80}"
            )
        with refusing(what):
            path = Path(
                hf_hub_download(
                    self.name,
                    filename,
                    revision=revision,
                    token=self._token,
                    etag_timeout=ANSWER_WITHIN_S,
                )
            )
        try:
            _check(path, size, pinned or digest)
        except SubjectError:
            path.resolve().unlink()
            raise
        return path

    def _announced(self, filename: str, revision: str) -> HfFileMetadata:
        """What the hub says of a file, if that agrees with what is known; one question."""
        what = f"{self.name}/{filename}"
        if constants.HF_HUB_OFFLINE:
            raise HubUnreachableError(
                f"{self.name}: expected {filename} in {constants.HF_HUB_CACHE}, "
                "as HF_HUB_OFFLINE is set, found none"
            )
        url = hf_hub_url(self.name, filename, revision=revision)
        with refusing(what):
            found = self._ask(
                lambda: get_hf_file_metadata(url, token=self._token, timeout=ANSWER_WITHIN_S)
            )
        commit, size = found.commit_hash, found.size
        expected = f"{what}: expected it from commit {revision} at {constants.ENDPOINT}"
        if commit is None:
            raise HubUnreachableError(
                f"{expected}, found an answer that names none, as from a proxy or a login page"
            )
        if not COMMIT.fullmatch(commit) or (COMMIT.fullmatch(revision) and commit != revision):
            raise SubjectError(f"{expected}, found commit {commit!r:.60}")
        limit = self.model.size.get(filename, LARGEST_WEIGHTS if filename in KINDS else LARGEST)
        if size is not None and size > limit:
            raise SubjectError(f"{what}: expected {limit} bytes at most, found {size} announced")
        return found

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        """Ask with the user's token; if that is refused, ask once more without it, and say so."""
        try:
            return _within(ANSWER_WITHIN_S, question)
        except HfHubHTTPError as error:
            sent = get_token() and not constants.HF_HUB_DISABLE_IMPLICIT_TOKEN
            if error.response.status_code != 401 or not sent or self._token is False:
                raise
        print(f"hub: {constants.ENDPOINT} refuses the token; asking without it", file=sys.stderr)
        self._token = False
        return _within(ANSWER_WITHIN_S, question)


class HubTensors(Tensors[object]):
    """The tensors of a model on the hub.

    The position matrix alone is read in ranges (about 3 MB of GPT-2 small's 548) and kept; any
    other tensor brings the whole file, once. Which tensors there are, the file's header says.

    Parameters
    ----------
    repository
        Where they are.
    names, shape
        Of the position matrix: what it may be called, and its rows and columns.

    Raises
    ------
    HubUnreachableError
        If nothing is cached and the hub does not answer.
    SubjectError
        If bytes are not those that are pinned, or the file is none to be read.
    """

    def __init__(
        self, repository: Repository, names: tuple[str, ...], shape: tuple[int, int]
    ) -> None:
        self._repository, self._names, self._shape = repository, names, shape

    def __getitem__(self, name: str) -> Array:
        if name in self._names and not self._whole_is_cached():
            return self._positions
        return self._whole[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names or name in self.stored

    def are_available(self) -> bool:
        """Whether every tensor is cached or the hub answers."""
        with suppress(HubUnreachableError):
            return self._whole_is_cached() or bool(self._part)
        return False

    def _whole_is_cached(self) -> bool:
        return any(self._repository.cached(name) for name in KINDS)

    @cached_property
    def _whole(self) -> Mapping[str, Array]:
        return open_weights(self._repository.fetch(self._repository.weights))

    @cached_property
    def _part(self) -> Part:
        name = self._repository.weights
        return PARTS[name](self._repository.open(name), f"{self._repository.name}/{name}")

    @property
    def stored(self) -> Mapping[str, object]:  # type: ignore[override]
        """Tensors by name; where only the positions are kept and nobody answers, those."""
        with suppress(HubUnreachableError):
            return self._whole if self._whole_is_cached() else self._part
        return dict.fromkeys(self._names[:1])

    @cached_property
    def _positions(self) -> Array:
        repository = self._repository
        folder = CACHE / repository.name.replace("/", "--") / repository.commit
        pinned = self._repository.model.W_pos_sha256
        for path in folder.glob("positions-*.safetensors"):
            with suppress(SubjectError, KeyError):
                kept = SafetensorsFile(path)[self._names[0]]
                if sha256_of_tensor(kept) == (pinned or path.stem.removeprefix("positions-")):
                    return kept
        W_pos = self._read()
        digest = sha256_of_tensor(W_pos)
        if pinned and digest != pinned:
            raise SubjectError(
                f"{self._repository.name}: expected {self._names[0]} with sha256 {pinned}, "
                f"found {digest}"
            )
        with refusing(self._repository.name):
            folder.mkdir(parents=True, exist_ok=True)
            partial = folder / f"{os.getpid()}.partial"
            save_file({self._names[0]: W_pos}, partial)
            partial.replace(folder / f"positions-{digest}.safetensors")
        return W_pos

    def _read(self) -> Array:
        """Read the position matrix alone; no more is received than config.json says it has."""
        stored = next((name for name in self._names if name in self._part), None)
        if stored is None:
            raise MissingInputError([self._names[0]], self._repository.name)
        if (shape := tuple(self._part.stored[stored].shape)) != self._shape:
            raise SubjectError(
                f"{self._repository.name}: expected {stored} of shape {self._shape} as in "
                f"config.json, found {shape}"
            )
        return self._part[stored].astype("<f4")


def _check(path: Path, size: int | None, digest: str) -> None:
    """Compare a file to its size and digest, where these are known."""
    is_size = path.stat().st_size
    if size is not None and is_size != size:
        raise SubjectError(f"{path}: expected {size} bytes, found {is_size}; {AGAIN}")
    if not DIGEST.fullmatch(digest):
        return
    if len(digest) == 64:
        found = sha256_of_version(path)
    else:
        found = hashlib.sha1(b"blob %d\0" % is_size + path.read_bytes()).hexdigest()
    if found != digest:
        raise SubjectError(f"{path}: expected digest {digest}, found {found}; {AGAIN}")


def _within(seconds: float, question: Callable[[], Answer]) -> Answer:
    """Ask in a thread that is left behind when time is up: looking up a name can hang for long."""
    pool = ThreadPool(1)
    asked = pool.apply_async(question)
    pool.close()
    try:
        return asked.get(seconds)
    except multiprocessing.TimeoutError:
        raise TimeoutError(
            f"nothing in {seconds:g} s; with HF_HUB_ETAG_TIMEOUT=60 it is given a minute"
        ) from None

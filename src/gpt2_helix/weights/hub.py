"""Models on the Hugging Face hub: whole files, or no more of them than the positions.

Addresses, caches, credentials and downloads are huggingface_hub's, so that ``HF_HOME``,
``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HUB_OFFLINE`` and ``HF_HUB_ETAG_TIMEOUT`` mean what they mean
everywhere, and a file is downloaded once for all programs. Added here: a limit on the time for
the first answer, digests, errors of one line, and the positions read alone.
"""

import multiprocessing
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from functools import cache, cached_property, partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TypeVar

import huggingface_hub as hf
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]
from huggingface_hub.utils.sha import git_hash
from safetensors.numpy import save_file

from gpt2_helix.judging.errors import HubUnreachableError, InputError, MissingInputError
from gpt2_helix.weights.files import KINDS, open_weights
from gpt2_helix.weights.pins import HubModel
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

Answer = TypeVar("Answer")


class Repository:
    """A model's repository on the hub, read at one commit.

    Whatever is asked for raises ``HubUnreachableError`` if it is not cached and the hub does not
    answer; ``NoSuchFileError`` or another ``InputError`` if there is no such file, the hub
    refuses, nothing can be written, or the bytes are not those that are pinned or announced.
    """

    def __init__(self, model: HubModel) -> None:
        self.model = model
        self._token: bool | None = None
        """None sends the user's token, as huggingface_hub does; False, once it is refused, none."""
        self._announced = cache(self._ask)
        """What the hub says of a file at a revision, asked once."""

    @cached_property
    def commit(self) -> str:
        """The commit; that of a branch or a tag is kept from when it was first read."""
        if COMMIT.fullmatch(self.model.revision):
            return self.model.revision
        return self.fetch("config.json", self.model.revision).parent.name

    @property
    def cached_weights(self) -> str | None:
        """Name of the file of weights in the cache; None if there is none."""
        return next(filter(self._cached, KINDS), None)

    @cached_property
    def whole(self) -> Tensors:
        """The tensors of the file of weights, which is downloaded if it is not cached."""
        return open_weights(self.fetch(self._weights))

    @property
    def tensors(self) -> Tensors:
        """The same tensors: the whole file if it is cached, or else in part."""
        return self.whole if self.cached_weights else self.part

    @cached_property
    def part(self) -> Tensors:
        """The same tensors, each received when it is read."""
        where = f"{self.model.repo}/{self._weights}"
        size = self._announced(self._weights, self.commit).size
        url = hf.hf_hub_url(self.model.repo, self._weights, revision=self.commit)
        headers = build_hf_headers(token=self._token)
        file = RangedFile(url, headers, size, where, ANSWER_WITHIN_S)
        return KINDS[self._weights](file, where)

    def fetch(self, filename: str, revision: str | None = None) -> Path:
        """Path of a file, of the commit by default; from the cache or downloaded, and checked."""
        revision = revision or self.commit
        repo, pinned = self.model.repo, self.model.sha256.get(filename)
        if path := self._cached(filename, revision):
            # A link to a file that has the digest for a name; that may be a link itself, to one
            # which is shared between repositories and has another kind of name.
            _check(path, pinned or (path.readlink().name if path.is_symlink() else ""))
            return path
        digest = self._announced(filename, revision).etag or ""
        if not DIGEST.fullmatch(digest):  # huggingface_hub makes it a part of a path.
            raise InputError(
                f"{repo}/{filename}: expected {constants.ENDPOINT} to give a digest, "
                f"found {digest!r:.80}"
            )
        with refusing(f"{repo}/{filename}"):
            path = Path(hf.hf_hub_download(repo, filename, revision=revision, token=self._token))
        try:
            _check(path, pinned or digest)
        except InputError:
            path.resolve().unlink()
            raise
        return path

    @cached_property
    def _weights(self) -> str:
        """The file of weights that is cached, or else the first that the hub has."""
        if name := self.cached_weights:
            return name
        for name in KINDS:
            with suppress(NoSuchFileError):
                self._announced(name, self.commit)
                return name
        raise InputError(f"{self.model.repo}: expected a {' or a '.join(KINDS)}, found none")

    def _cached(self, filename: str, revision: str | None = None) -> Path | None:
        revision = revision or self.commit
        found = hf.try_to_load_from_cache(self.model.repo, filename, revision=revision)
        return Path(found) if isinstance(found, str) else None

    def _ask(self, filename: str, revision: str) -> hf.HfFileMetadata:
        """Ask the hub about a file; what it says must agree with what is known."""
        repo, where = self.model.repo, f"{self.model.repo}/{filename}"
        if constants.HF_HUB_OFFLINE:
            raise HubUnreachableError(
                f"{repo}: expected {filename} in {constants.HF_HUB_CACHE}, "
                "as HF_HUB_OFFLINE is set, found none"
            )
        with refusing(where):
            found = self._metadata(hf.hf_hub_url(repo, filename, revision=revision))
        commit, size = found.commit_hash, found.size
        expected = f"{where}: expected it from commit {revision} at {constants.ENDPOINT}"
        if commit is None:
            raise HubUnreachableError(
                f"{expected}, found an answer that names none, as from a proxy or a login page"
            )
        if not COMMIT.fullmatch(commit) or (COMMIT.fullmatch(revision) and commit != revision):
            raise InputError(f"{expected}, found commit {commit!r:.60}")
        limit = self.model.size.get(filename, LARGEST_WEIGHTS if filename in KINDS else LARGEST)
        if size is not None and size > limit:
            raise InputError(f"{where}: expected {limit} bytes at most, found {size} announced")
        return found

    def _metadata(self, url: str) -> hf.HfFileMetadata:
        """Ask with the user's token; if that is refused, ask once more without it, and say so."""
        ask = partial(hf.get_hf_file_metadata, url, token=self._token, timeout=ANSWER_WITHIN_S)
        try:
            return _within(ANSWER_WITHIN_S, ask)
        except HfHubHTTPError as error:
            sent = "Authorization" in error.response.request.headers
            if error.response.status_code != 401 or not sent:
                raise
        print(f"hub: {constants.ENDPOINT} refuses the token; asking without it", file=sys.stderr)
        self._token = False
        return self._metadata(url)


class HubTensors(Tensors):
    """The tensors of a repository.

    The position matrix alone is read in ranges (about 3 MB of GPT-2 small's 548) and kept; any
    other tensor brings the whole file, once. The file's header says which tensors there are.
    ``names`` are what the position matrix may be called, and ``shape`` is what it must have.
    """

    def __init__(
        self, repository: Repository, names: tuple[str, ...], shape: tuple[int, int]
    ) -> None:
        self._repository, self._names, self._shape = repository, names, shape

    def __getitem__(self, name: str) -> Array:
        if name in self._names and not self._repository.cached_weights:
            return self._positions
        return self._repository.whole[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names or name in self.stored

    @property
    def stored(self) -> Mapping[str, object]:  # type: ignore[override]
        """Tensors by name; the positions alone if no more is kept and the hub does not answer."""
        with suppress(HubUnreachableError):
            return self._repository.tensors
        return dict.fromkeys(self._names[:1])

    def are_available(self) -> bool:
        """Whether every tensor is cached or the hub answers."""
        with suppress(HubUnreachableError):
            return bool(self._repository.tensors)
        return False

    @cached_property
    def _positions(self) -> Array:
        model, name = self._repository.model, self._names[0]
        folder = CACHE / model.repo.replace("/", "--") / self._repository.commit
        for path in folder.glob(f"positions-{model.W_pos_sha256 or '*'}.safetensors"):
            with suppress(InputError, OSError, KeyError), path.open("rb") as file:
                kept = SafetensorsFile(file, str(path))[name]
                if path.stem == f"positions-{sha256_of_tensor(kept)}":
                    return kept
        W_pos = self._read()
        digest = sha256_of_tensor(W_pos)
        if model.W_pos_sha256 not in (None, digest):
            raise InputError(
                f"{model.repo}: expected {name} with sha256 {model.W_pos_sha256}, found {digest}"
            )
        with refusing(model.repo):
            folder.mkdir(parents=True, exist_ok=True)
            unfinished = folder / f"{os.getpid()}.partial"
            save_file({name: W_pos}, unfinished)
            unfinished.replace(folder / f"positions-{digest}.safetensors")
        return W_pos

    def _read(self) -> Array:
        """Read the position matrix alone; no more is received than config.json says it has."""
        repo, part = self._repository.model.repo, self._repository.part
        name = next((name for name in self._names if name in part), None)
        if name is None:
            raise MissingInputError([self._names[0]], repo)
        if (shape := tuple(part.stored[name].shape)) != self._shape:
            raise InputError(
                f"{repo}: expected {name} of shape {self._shape} as in config.json, found {shape}"
            )
        return part[name].astype("<f4")


def _check(path: Path, digest: str) -> None:
    """Compare a file to its digest, where that is known."""
    if not DIGEST.fullmatch(digest):
        return
    found = sha256_of_version(path) if len(digest) == 64 else git_hash(path.read_bytes())
    if found != digest:
        raise InputError(
            f"{path}: expected digest {digest}, found {found}; delete the file to download it again"
        )


def _within(seconds: float, question: Callable[[], Answer]) -> Answer:
    """Ask in a thread that is left behind when time is up: looking up a name can hang for long."""
    with closing(ThreadPool(1)) as pool:
        asked = pool.apply_async(question)
    try:
        return asked.get(seconds)
    except multiprocessing.TimeoutError:
        raise TimeoutError(
            f"nothing in {seconds:g} s; with HF_HUB_ETAG_TIMEOUT=60 it is given a minute"
        ) from None

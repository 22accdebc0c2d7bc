"""Models on the Hugging Face hub: whole files, or no more of them than is read.

Addresses, caches, credentials and downloads are huggingface_hub's, so that ``HF_HOME``,
``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HUB_OFFLINE`` and ``HF_HUB_ETAG_TIMEOUT`` mean what they mean
everywhere, and a file is downloaded once for all programs. Added here: a limit on the time for
the first answer, digests, errors of one line, and tensors that are read alone.
"""

import math
import multiprocessing
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache, cached_property, partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, TypeVar

import huggingface_hub as hf
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    validate_repo_id,
)
from huggingface_hub.utils.sha import git_hash
from safetensors.numpy import save_file

from gpt2_helix.judging.errors import HubUnreachableError, InputError, MissingInputError
from gpt2_helix.weights.files import KINDS, open_weights
from gpt2_helix.weights.pins import W_POS, HubModel
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
        self._downloaded = False
        """Whether the file of weights was received whole."""
        self._announced = cache(self._ask)
        """What the hub says of a file at a revision, asked once."""

    @cached_property
    def commit(self) -> str:
        """The commit; that of a branch or a tag is kept from when it was first read."""
        return self.known_commit or self.fetch("config.json", self.model.revision).parent.name

    @property
    def known_commit(self) -> str | None:
        """The commit, if it is known without asking the hub."""
        if COMMIT.fullmatch(self.model.revision):
            return self.model.revision
        found = self._cached("config.json", self.model.revision)
        return found.parent.name if found else None

    @property
    def cached_weights(self) -> str | None:
        """Name of the file of weights in the cache; None if there is none."""
        return next(filter(self._cached, KINDS), None)

    @cached_property
    def weights(self) -> Path:
        """Path of the file of weights, which is downloaded if it is not cached."""
        return self.fetch(self._weights)

    @cached_property
    def whole(self) -> Tensors:
        """The tensors of that file."""
        return open_weights(self.weights)

    @cached_property
    def part(self) -> Tensors:
        """The same tensors, each received from the hub when it is read."""
        return KINDS[self._weights](self._remote, f"{self.model.repo}/{self._weights}")

    @cached_property
    def _remote(self) -> RangedFile:
        """The file of weights on the hub."""
        where = f"{self.model.repo}/{self._weights}"
        size = self._announced(self._weights, self.commit).size
        url = hf.hf_hub_url(self.model.repo, self._weights, revision=self.commit)
        headers = build_hf_headers(token=self._token)
        return RangedFile(url, headers, size, where, ANSWER_WITHIN_S)

    @property
    def received(self) -> tuple[int, int] | None:
        """Bytes of the file of weights that were received in this run, and all that it has.

        None if nothing was, as all that was read is kept here.
        """
        # What cached_property has made already: to ask would begin to receive.
        made: dict[str, Any] = vars(self)
        remote: RangedFile | None = made.get("_remote")
        size = made["weights"].stat().st_size if "weights" in made else 0
        whole = size if self._downloaded else 0
        part = remote.received if remote else 0
        return (whole + part, int(remote.size) if remote else size) if whole + part else None

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
        self._downloaded |= filename in KINDS
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


def is_repository(repo: str, revision: str) -> bool:
    """Whether the hub can have a repository of this name, and a revision of that."""
    try:
        validate_repo_id(repo)
    except HFValidationError:
        return False
    return "/" in repo and re.fullmatch(r"(?!.*\.\.)[\w./+-]{0,200}", revision) is not None


@dataclass(frozen=True)
class Parts:
    """What is read of a file of weights by itself, by the names that it may have there."""

    positions: tuple[str, ...]  # The position matrix.
    shape: tuple[int, int]  # Of it, rows and columns, as config.json says.
    others: re.Pattern[str] = re.compile(r"(?!)")  # Other names, in full; by default none.
    largest: int = 0  # Most numbers that one of the others has.
    # Refuses the names of all tensors, if they contradict config.json.
    check: Callable[[Iterable[str]], None] = lambda names: None


class HubTensors(Tensors):
    """The tensors of a repository.

    Its parts are read in ranges and kept, each when it is asked for: of GPT-2 small the positions
    (3 MB of 548) and what attention alone is made of (117 MB). Any other tensor brings the whole
    file, once; and if that is cached, it serves for all. The file's header says which there are.
    What was kept is not asked for again, whatever ended the run.
    """

    def __init__(self, repository: Repository, parts: Parts) -> None:
        self._repository, self._parts = repository, parts

    def __getitem__(self, name: str) -> Array:
        if self._repository.cached_weights or not self._is_part(name):
            return self._whole[name]
        return self._positions if name in self._parts.positions else self._part(name, name)

    def __contains__(self, name: object) -> bool:
        return name in self._kept or name in self._parts.positions or name in self.stored

    @property
    def stored(self) -> Mapping[str, object]:  # type: ignore[override]
        """Tensors by name; those that are kept if the hub does not answer, or positions alone."""
        with suppress(HubUnreachableError):
            return self._whole if self._repository.cached_weights else self._alone
        return dict.fromkeys([self._parts.positions[0], *sorted(self._kept)])

    def are_available(self) -> bool:
        """Whether every tensor is cached or the hub answers."""
        with suppress(HubUnreachableError):
            return bool(self._whole if self._repository.cached_weights else self._alone)
        return False

    @cached_property
    def _whole(self) -> Tensors:
        self._parts.check(self._repository.whole)
        return self._repository.whole

    @cached_property
    def _alone(self) -> Tensors:
        self._parts.check(self._repository.part)
        return self._repository.part

    def _is_part(self, name: str) -> bool:
        return name in self._parts.positions or bool(self._parts.others.fullmatch(name))

    @cached_property
    def _kept(self) -> set[str]:
        """Names of parts that are kept, besides the positions."""
        stems = {path.stem for path in self._folder.glob("*.safetensors")}
        return set(filter(self._is_part, (stem.rpartition("-")[0] for stem in stems)))

    @cached_property
    def _folder(self) -> Path:
        return CACHE / self._repository.model.repo.replace("/", "--") / self._repository.commit

    @cached_property
    def _positions(self) -> Array:
        return self._part("positions", *self._parts.positions)

    def _part(self, called: str, *names: str) -> Array:
        """A tensor by one of its names that is kept, or read alone and kept; it is checked."""
        repo = self._repository.model.repo
        plain = W_POS if called == "positions" else called.removeprefix("transformer.")
        pinned = self._repository.model.tensors.get(plain)
        for path in self._folder.glob(f"{called}-{pinned or '*'}.safetensors"):
            with suppress(InputError, OSError, KeyError), path.open("rb") as file:
                kept = SafetensorsFile(file, str(path))[names[0]]
                if path.stem == f"{called}-{sha256_of_tensor(kept)}":
                    return kept
        tensor = self._read(names)
        digest = sha256_of_tensor(tensor)
        if pinned not in (None, digest):
            raise InputError(f"{repo}: expected {plain} with sha256 {pinned}, found {digest}")
        with refusing(repo):
            self._folder.mkdir(parents=True, exist_ok=True)
            unfinished = self._folder / f"{called}-{os.getpid()}.partial"
            save_file({names[0]: tensor}, unfinished)
            unfinished.replace(self._folder / f"{called}-{digest}.safetensors")
        return tensor

    def _read(self, names: tuple[str, ...]) -> Array:
        """Read a tensor alone; no more is received than config.json says it has."""
        repo, part = self._repository.model.repo, self._alone
        name = next((name for name in names if name in part), None)
        if name is None:
            raise MissingInputError([names[0]], repo)
        shape, largest = tuple(part.stored[name].shape), self._parts.largest
        if name in self._parts.positions and shape != self._parts.shape:
            raise InputError(
                f"{repo}: expected {name} of shape {self._parts.shape} as in config.json, "
                f"found {shape}"
            )
        if name not in self._parts.positions and math.prod(shape) > largest:
            raise InputError(
                f"{repo}: expected {name} of {largest} numbers at most, as in config.json, "
                f"found shape {shape}"
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

"""Models on the Hugging Face hub: the whole file, or no more of it than the positions.

Everything goes through huggingface_hub, so that ``HF_HOME``, ``HF_ENDPOINT``, ``HF_TOKEN`` and
``HF_HUB_OFFLINE`` mean what they mean everywhere. What is pinned is checked before it is used.
"""

import json
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np
from huggingface_hub import (
    HfFileSystem,
    cached_assets_path,
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)
from safetensors.numpy import save_file

from gpt2_helix.subjects.errors import HubUnreachableError, SubjectError
from gpt2_helix.subjects.table import HubModel
from gpt2_helix.subjects.tensors import Array, SafetensorsFile, sha256_of_file, sha256_of_tensor

WEIGHTS = "model.safetensors"
REACHABLE_WITHIN_S = 5.0
LARGEST_HEADER = 2**20
"""Bytes; GPT-2 small's header has 14,283 of them, GPT-2 XL's about 60,000."""


class HubTensors(Mapping[str, Array]):
    """The tensors of a model on the hub.

    The position matrix alone is read as a byte range (about 3 MB of GPT-2 small's 548) and kept
    beside the hub's cache; any other tensor brings the whole file into the hub's cache, once.

    Raises
    ------
    HubUnreachableError
        If nothing is cached and the hub does not answer.
    SubjectError
        If bytes are not those that are pinned.
    """

    def __init__(self, model: HubModel, W_pos_name: str) -> None:
        self._model = model
        self._W_pos_name = W_pos_name
        self._whole = _cached(model, WEIGHTS)
        self._file: SafetensorsFile | None = None
        self._positions_path = (
            cached_assets_path("gpt2-helix", namespace=model.repo, subfolder=model.revision)
            / "positions.safetensors"
        )

    def __getitem__(self, name: str) -> Array:
        if self._whole is None and name == self._W_pos_name:
            return self._positions()
        return self._whole_file()[name]

    def __iter__(self) -> Iterator[str]:
        if self._whole is None and not is_reachable(self._model):
            return iter([self._W_pos_name])
        return iter(self._whole_file())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name == self._W_pos_name or any(name == own for own in self)

    def can_be_had(self) -> bool:
        """Whether every tensor is cached or the hub answers."""
        return self._whole is not None or is_reachable(self._model)

    def _whole_file(self) -> SafetensorsFile:
        if self._file is None:
            self._file = SafetensorsFile(fetch(self._model, WEIGHTS))
            self._whole = self._file.path
        return self._file

    def _positions(self) -> Array:
        path = self._positions_path
        if path.exists():
            kept = SafetensorsFile(path)[self._W_pos_name]
            if sha256_of_tensor(kept) == self._model.W_pos_sha256:
                return kept
        _require_reachable(self._model)
        with _one_line(self._model, self._W_pos_name):
            W_pos = _read_range(self._model, self._W_pos_name)
        found = sha256_of_tensor(W_pos)
        if found != self._model.W_pos_sha256:
            raise SubjectError(
                f"{self._model.repo}: expected {self._W_pos_name} with sha256 "
                f"{self._model.W_pos_sha256}, found {found}"
            )
        partial = path.with_suffix(".partial")
        save_file({self._W_pos_name: W_pos}, partial)
        partial.replace(path)
        return W_pos


def fetch(model: HubModel, filename: str) -> Path:
    """Path of a file of the model, from the hub's cache or downloaded into it, digest checked."""
    path = _cached(model, filename)
    if path is None:
        _require_reachable(model)
        with _one_line(model, filename):
            path = Path(hf_hub_download(model.repo, filename, revision=model.revision))
    found = sha256_of_file(path)
    if found != model.sha256[filename]:
        raise SubjectError(
            f"{path}: expected sha256 {model.sha256[filename]}, found {found}; "
            "delete the file to download it anew"
        )
    return path


def is_reachable(model: HubModel) -> bool:
    """Whether the hub answers for this model within five seconds; one request, no retry.

    The request runs in a thread that is left behind when time is up, as looking up a name can
    hang for longer than any timeout that a socket takes.
    """
    if constants.HF_HUB_OFFLINE:
        return False
    answers: list[bool] = []

    def ask() -> None:
        url = hf_hub_url(model.repo, "config.json", revision=model.revision)
        try:
            get_hf_file_metadata(url, timeout=REACHABLE_WITHIN_S)
        except HfHubHTTPError:
            answers.append(True)  # It answered, if only to refuse: the download will say how.
        except (httpx2.HTTPError, OSError):
            answers.append(False)
        else:
            answers.append(True)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(REACHABLE_WITHIN_S)
    return bool(answers and answers[0])


def _require_reachable(model: HubModel) -> None:
    if not is_reachable(model):
        how = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "no answer"
        raise HubUnreachableError(
            f"{model.repo}: expected it in the cache ({constants.HF_HUB_CACHE}) or at "
            f"{constants.ENDPOINT}, found neither ({how})"
        )


def _cached(model: HubModel, filename: str) -> Path | None:
    found = try_to_load_from_cache(model.repo, filename, revision=model.revision)
    return Path(found) if isinstance(found, str) else None


@contextmanager
def _one_line(model: HubModel, what: str) -> Iterator[None]:
    """Turn what huggingface_hub raises into one line."""
    try:
        yield
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, httpx2.HTTPError) as error:
        raise HubUnreachableError(
            f"{model.repo}: expected {what} from {constants.ENDPOINT}, found {_first_line(error)}"
        ) from None
    except (HfHubHTTPError, OSError) as error:
        raise SubjectError(
            f"{model.repo}: expected {what} from {constants.ENDPOINT}, found {_first_line(error)}"
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _read_range(model: HubModel, name: str) -> Array:
    """Read the safetensors header, then the bytes of one tensor and nothing else."""
    where = f"{model.repo}/{WEIGHTS}"
    with HfFileSystem(skip_instance_cache=True).open(
        where, revision=model.revision, block_size=2**14
    ) as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > LARGEST_HEADER:
            raise SubjectError(
                f"{where}: expected a header of at most {LARGEST_HEADER} bytes, found {length}"
            )
        entry = json.loads(file.read(length)).get(name, {})
        if entry.get("dtype") != "F32":
            raise SubjectError(f"{where}: expected {name} as F32, found {entry.get('dtype')}")
        start, end = entry["data_offsets"]
        if end - start != 4 * int(np.prod(entry["shape"])):
            raise SubjectError(
                f"{where}: expected {entry['shape']} as {4 * int(np.prod(entry['shape']))} bytes, "
                f"found {end - start}"
            )
        file.seek(8 + length + start)
        values = np.frombuffer(file.read(end - start), dtype="<f4")
    return values.reshape(entry["shape"])

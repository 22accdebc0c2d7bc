"""Bytes of a file on the Hugging Face hub, asked for by plain HTTP.

``hf_hub_download`` starts again from nothing after an interruption, asks a hub that is down for a
minute and more, and fetches large files by a protocol of their own, so that what is received here
is asked for with huggingface_hub's client, addresses and headers, but by this module's few rules:
five seconds for the first answer, no retry of a refusal, and a body that breaks off is taken up
where it broke.
"""

import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import httpx2
from huggingface_hub import (
    HfFileMetadata,
    constants,
    get_hf_file_metadata,
    get_session,
    hf_hub_url,
)
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from gpt2_helix.errors import HubUnreachableError, SubjectError

REACHABLE_WITHIN_S = 5.0
STRIKES = 3
"""Times that a body may break off without having brought ``PROGRESS`` bytes."""
PROGRESS = 2**16
PAUSE_S = 0.5
COMMIT = re.compile(r"[0-9a-f]{40}")

Answer = TypeVar("Answer")


def ask(question: Callable[[], Answer], what: str) -> Answer:
    """Ask the hub something, once, and give it five seconds.

    The question runs in a thread that is left behind when time is up, as looking up a name can
    hang for longer than any timeout that a socket takes.

    Raises
    ------
    HubUnreachableError, SubjectError
        As ``refused`` tells them apart; the first too when time is up.
    """
    answers: list[Answer] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            answers.append(question())
        except Exception as error:
            errors.append(error)

    asking = threading.Thread(target=run, daemon=True)
    asking.start()
    asking.join(REACHABLE_WITHIN_S)
    if answers:
        return answers[0]
    raise refused(errors[0] if errors else TimeoutError("no answer in five seconds"), what)


def head(repo: str, filename: str, revision: str) -> HfFileMetadata:
    """What the hub says of a file: commit, size and digest; one request.

    Raises
    ------
    HubUnreachableError, SubjectError
        See ``ask``; the second too if the answer names another commit than was asked for.
    """
    what = f"{repo}/{filename}"
    url = hf_hub_url(repo, filename, revision=revision)
    found = ask(lambda: get_hf_file_metadata(url, timeout=REACHABLE_WITHIN_S), what)
    commit = found.commit_hash or ""
    if not COMMIT.fullmatch(commit) or (COMMIT.fullmatch(revision) and commit != revision):
        raise SubjectError(
            f"{what}: expected it from commit {revision} at {constants.ENDPOINT}, "
            f"found commit {commit!r:.60}"
        )
    if found.size is None:
        raise SubjectError(f"{what}: expected {constants.ENDPOINT} to give a size, found none")
    return found


def receive(
    repo: str,
    filename: str,
    commit: str,
    start: int,
    stop: int,
    write: Callable[[bytes], object],
) -> None:
    """Pass bytes ``start`` to ``stop`` of a file to ``write``, in order, each of them once.

    Of a server that does not know ranges, what was not asked for is dropped.

    Raises
    ------
    HubUnreachableError, SubjectError
        As ``refused`` tells them apart.
    OSError
        What ``write`` raised.
    """
    url = hf_hub_url(repo, filename, revision=commit)
    timeout = httpx2.Timeout(constants.HF_HUB_DOWNLOAD_TIMEOUT, connect=REACHABLE_WITHIN_S)
    position, strikes = start, 0
    while position < stop:
        before = position
        headers = build_hf_headers(headers={"Range": f"bytes={position}-{stop - 1}"})
        headers["Accept-Encoding"] = "identity"
        broken: Exception = httpx2.RemoteProtocolError("an empty body")
        try:
            with get_session().stream("GET", url, headers=headers, timeout=timeout) as response:
                if response.is_error:
                    raise _refusal(response, f"{repo}/{filename}")
                skip = position - _begins_at(response, position)
                for chunk in response.iter_bytes():
                    wanted = chunk[skip : skip + stop - position]
                    skip = max(skip - len(chunk), 0)
                    if wanted:
                        write(wanted)
                        position += len(wanted)
                    if position == stop:
                        return
        except httpx2.HTTPError as error:
            broken = error
        strikes = 0 if position - before >= PROGRESS else strikes + 1
        if strikes == STRIKES:
            raise refused(broken, f"{repo}/{filename} from byte {position} on")
        time.sleep(PAUSE_S)


def refused(error: Exception, what: str) -> SubjectError:
    """What the hub, or the way to it, raised: in one line.

    Returns
    -------
    ``HubUnreachableError`` if nobody answered, or a hub that is overloaded or broken; otherwise a
    plain ``SubjectError``, as asking later would not help.
    """
    if isinstance(error, HfHubHTTPError):
        return _refusal(error.response, what)
    expected = f"{what}: expected it from {constants.ENDPOINT}, found"
    if isinstance(error, httpx2.HTTPError | OSError):
        found = (str(error).strip() or type(error).__name__).splitlines()[0]
        return HubUnreachableError(f"{expected} no answer ({found})")
    return SubjectError(f"{expected} {type(error).__name__} ({str(error)[:120]!r})")


def _refusal(response: httpx2.Response, what: str) -> SubjectError:
    status = response.status_code
    said = f"HTTP {status} {httpx2.codes.get_reason_phrase(status)}"
    if why := response.headers.get("X-Error-Message"):
        said += f" ({why!r:.120})"
    if wait := response.headers.get("Retry-After"):
        said += f" (try again in {wait!r:.20} s)"
    kind = HubUnreachableError if status == 429 or status >= 500 else SubjectError
    return kind(f"{what}: expected it from {constants.ENDPOINT}, found {said}")


def _begins_at(response: httpx2.Response, asked: int) -> int:
    """First byte of a body: of a part as its header says, of a whole file 0."""
    if response.status_code != httpx2.codes.PARTIAL_CONTENT:
        return 0
    begin = asked
    with suppress(KeyError, ValueError, IndexError):
        begin = int(response.headers["Content-Range"].split()[1].partition("-")[0])
    if begin != asked:
        raise httpx2.RemoteProtocolError(f"bytes from {begin} on, not from {asked} on")
    return begin

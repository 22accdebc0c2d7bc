"""A file on the hub, read in ranges; and one line for each way in which a hub can fail."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx2
from fsspec.spec import AbstractBufferedFile
from huggingface_hub import constants, errors, get_session

from gpt2_helix.judging.errors import HubUnreachableError, InputError

BLOCK = 2**15
"""Fewest bytes to ask for: what is read next is often beside what was read."""
STRIKES = 3
"""Bodies in a row that may break off before they bring a block."""
PAUSE_S = 0.5


class NoSuchFileError(InputError):
    """The repository is there and does not have the file."""


class RangedFile(AbstractBufferedFile):  # type: ignore[misc]
    """A file behind an address, of which what is read is asked for, and a little ahead.

    Credentials in the headers do not go to another server that the address redirects to. A size
    that is not known is asked for with the first byte. Errors are those of ``refusing(where)``.
    """

    def __init__(
        self, url: str, headers: Mapping[str, str], size: int | None, where: str, connect_s: float
    ) -> None:
        self._where = where
        self._headers = {**headers, "Accept-Encoding": "identity"}
        self._timeout = httpx2.Timeout(constants.HF_HUB_DOWNLOAD_TIMEOUT, connect=connect_s)
        self.received = 0  # Bytes of bodies so far.
        super().__init__(None, url, "rb", BLOCK, size=size or self._ask_size(url))

    def _ask_size(self, url: str) -> int:
        with refusing(self._where), self._get(url, 0, 1) as answer:
            named = answer.headers.get("Content-Range") or answer.headers["Content-Length"]
            return int(named.rpartition("/")[2])

    def _fetch_range(self, start: int, stop: int) -> bytes:
        """Receive these bytes; a body that breaks off is resumed where it broke."""
        content, strikes = bytearray(), 0
        with refusing(f"{self._where} from byte {start} on"):
            while (begin := start + len(content)) < stop:
                try:
                    with self._get(self.path, begin, stop) as answer:
                        # A server that knows no ranges sends all of the file.
                        skip = 0 if answer.status_code == httpx2.codes.PARTIAL_CONTENT else begin
                        for part in answer.iter_bytes():
                            self.received += len(part)
                            content += part[skip:]
                            skip = max(skip - len(part), 0)
                            if start + len(content) >= stop:
                                break
                        else:
                            raise httpx2.RemoteProtocolError("a body that ends early")
                except httpx2.TransportError:
                    strikes = 0 if start + len(content) - begin >= BLOCK else strikes + 1
                    if strikes == STRIKES:
                        raise
                    time.sleep(PAUSE_S)
        return bytes(content[: stop - start])

    @contextmanager
    def _get(self, url: str, start: int, stop: int) -> Iterator[httpx2.Response]:
        headers = {**self._headers, "Range": f"bytes={start}-{stop - 1}"}
        with get_session().stream("GET", url, headers=headers, timeout=self._timeout) as answer:
            answer.raise_for_status()
            given = answer.headers.get("Content-Range", f"bytes {start}-")
            if not given.startswith(f"bytes {start}-"):
                raise httpx2.RemoteProtocolError(f"{given}, not bytes from {start} on")
            yield answer


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn what the hub, the way to it, or the disk raised into one line.

    It is a HubUnreachableError if nobody answered, or a hub that is overloaded or broken, and
    another InputError if asking again would not help.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        cause = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) else None
        raise _one_line(cause or error, f"{what}: expected it from {constants.ENDPOINT}") from None


def _one_line(error: BaseException, expected: str) -> InputError:
    found = (str(error).strip() or type(error).__name__).splitlines()[0]
    if isinstance(error, errors.HfHubHTTPError | httpx2.HTTPStatusError):
        status, headers = error.response.status_code, error.response.headers
        said = f"HTTP {status} {httpx2.codes.get_reason_phrase(status)}"
        if why := headers.get("X-Error-Message"):
            said += f" ({why!r:.120})"
        if wait := headers.get("Retry-After"):
            said += f" (try again in {wait!r:.20} s)"
        kind = HubUnreachableError if status == 429 or status >= 500 else InputError
        if isinstance(error, errors.RemoteEntryNotFoundError):
            kind = NoSuchFileError
        return kind(f"{expected}, found {said}")
    if isinstance(error, httpx2.HTTPError | TimeoutError):
        return HubUnreachableError(f"{expected}, found no answer ({found})")
    if isinstance(error, OSError) and error.errno:
        return InputError(
            f"{error.filename or constants.HF_HOME}: expected to write there, "
            f"found {error.strerror}; HF_HOME names another place"
        )
    return InputError(f"{expected}, found {type(error).__name__} ({found:.120})")

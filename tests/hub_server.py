"""A Hugging Face hub on 127.0.0.1, and what can go wrong with one.

It speaks the protocol as far as huggingface_hub does when it asks for a file: HEAD and GET of
resolve URLs, which for small files redirect within the hub and for large ones to a content
delivery network, here the same server under another name. It counts the bytes of the bodies that
it serves.
"""

import gzip
import hashlib
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from huggingface_hub import constants

from gpt2_helix.weights import hub as hub_module
from gpt2_helix.weights import ranged

COMMIT = "c0ffee" + 34 * "0"
LARGE = 100_000
CHUNK = 2**16
RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
DELIVERY = re.compile(
    r"/(?:delivery|api/resolve-cache)/(?P<repo>[^/]+/[^/]+)/(?P<revision>[^/]+)/(?P<file>.+)"
)


@dataclass
class Fault:
    """What goes wrong with answers about a file."""

    file: str = ""  # How the file's name ends; every file by default.
    times: int = 1000  # Answers that it spoils; after that all is well.
    status: int | None = None  # Refuse with this one.
    retry_after: int | None = None  # Seconds to name when refusing.
    cut: int | None = None  # Break the connection after so many bytes of a body.
    stall: int | None = None  # Say no more after so many bytes of a body.
    flip: int | None = None  # Byte of the file to serve with all its bits changed.
    silent: bool = False  # Accept the connection and never answer.
    pace: float = 0  # Seconds to wait after each 64 KiB.
    # What to claim in the headers instead of the truth.
    commit: str | None = None
    etag: str | None = None
    size: int | None = None
    whole: bool = False  # Ignore ranges.
    gzip: bool = False  # Ignore ranges, and compress what was asked for as it is.
    unsized: bool = False  # Tell no sizes before a body, as some mirrors do.
    portal: bool = False  # Answer with a page of its own, as the login page of a network does.

    @property
    def of_body(self) -> bool:
        before = (self.status, self.silent, self.commit, self.etag, self.size)
        return not any((*before, self.unsized, self.portal))


@dataclass
class Hub:
    """A running server."""

    repositories: dict[str, dict[str, bytes]]
    """Repository id to file name to content, at ``COMMIT``, which is also ``main``; and, under
    ``id@branch``, at another branch, whose commit is ``commit_of`` it."""
    faults: list[Fault] = field(default_factory=list)
    served: dict[str, int] = field(default_factory=dict)
    """Body bytes sent for each file since the last ``forget``."""
    requests: list[str] = field(default_factory=list)
    """Method and path of each request since then."""
    tokens: list[tuple[str, str]] = field(default_factory=list)
    """Host that each request was for, and the credentials that it brought."""
    known_token: str = "hf_known"  # The one that is not refused.
    port: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def total(self) -> int:
        return sum(self.served.values())

    def forget(self) -> None:
        """Count from nothing, with nothing going wrong."""
        self.faults, self.served, self.requests, self.tokens = [], {}, [], []

    def files(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Commit and files of a repository at a commit or a branch."""
        if revision in (COMMIT, "main"):
            return COMMIT, self.repositories[repo]
        for name, files in self.repositories.items():
            of, _, branch = name.partition("@")
            if of == repo and branch and revision in (branch, commit_of(branch)):
                return commit_of(branch), files
        return None

    def fault(self, file: str, *, body: bool) -> Fault:
        """What goes wrong with this answer: with its body, or with what comes before one."""
        for fault in self.faults:
            if file.endswith(fault.file) and fault.times > 0 and fault.of_body == body:
                fault.times -= 1
                return fault
        return Fault()


@contextmanager
def serve(repositories: dict[str, dict[str, bytes]]) -> Iterator[Hub]:
    hub = Hub(repositories)

    class Handler(Answer):
        state = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


def commit_of(branch: str) -> str:
    """The commit of a branch other than ``main``."""
    return hashlib.sha1(branch.encode()).hexdigest()


def etag(content: bytes) -> str:
    """What the hub calls a content: a large one by its sha256, a small one as git does."""
    if len(content) >= LARGE:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Answer(BaseHTTPRequestHandler):
    """One connection."""

    state: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.path != "/api/agent-harnesses":  # For huggingface_hub's own user agent, daily.
            self.state.requests.append(f"{self.command} {self.path}")
        brought = (self.headers.get("Host", ""), self.headers.get("Authorization", ""))
        self.state.tokens.append(brought)
        # A client that goes away is one of the things that are tested.
        with suppress(BrokenPipeError, ConnectionResetError):
            if asked := DELIVERY.fullmatch(self.path):
                self.deliver(*map(unquote, asked.groups()))
            elif asked := RESOLVE.fullmatch(self.path):
                repo, revision, file = map(unquote, asked.groups())
                self.resolve(repo, revision, file, brought[1])
            else:
                self.refuse(404, "RepoNotFound")

    def do_HEAD(self) -> None:
        self.do_GET()

    def resolve(self, repo: str, revision: str, file: str, token: str) -> None:
        fault = self.state.fault(file, body=False)
        if fault.silent:
            self.state.stopping.wait(30)
            return
        if fault.portal:
            self.send(200, {"Content-Type": "text/html", "ETag": '"portal"'}, 0)
            return
        if fault.status:
            self.refuse(fault.status, "", fault.retry_after)
            return
        known = ("", f"Bearer {self.state.known_token}")
        if repo not in self.state.repositories or token not in known:
            self.refuse(401, "RepoNotFound")
            return
        found = self.state.files(repo, revision)
        if found is None:
            self.refuse(404, "RevisionNotFound")
            return
        commit, content = found[0], found[1].get(file)
        if content is None:
            self.refuse(404, "EntryNotFound")
            return
        headers = {"X-Repo-Commit": fault.commit or commit}
        name = fault.etag or etag(content)
        if len(content) < LARGE:
            fault.times += 1  # It is the next answer that tells of the file.
            path = f"/api/resolve-cache/{repo}/{commit}/{file}"
            self.send(307, headers | {"Location": path})
            return
        headers |= {"X-Linked-Etag": f'"{name}"'}
        if not fault.unsized:
            headers |= {"X-Linked-Size": str(fault.size or len(content))}
        # Another name of this machine: to a client, another server.
        location = f"http://localhost:{self.state.port}/delivery/{repo}/{commit}/{file}"
        self.send(302, headers | {"Location": location})

    def deliver(self, repo: str, revision: str, file: str) -> None:
        fault = self.state.fault(file, body=self.command == "GET")
        found = self.state.files(repo, revision)
        assert found is not None
        content = found[1][file]
        headers = {
            "X-Repo-Commit": fault.commit or found[0],
            "ETag": f'"{fault.etag or etag(content)}"',
            "Accept-Ranges": "bytes",
        }
        if fault.flip is not None:
            at = fault.flip
            content = content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]
        status, body = 200, content
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if fault.gzip:
            body = gzip.compress(content)
            headers["Content-Encoding"] = "gzip"
        elif asked and not fault.whole:
            start, stop = int(asked[1]), min(int(asked[2] or len(content)) + 1, len(content))
            status, body = 206, content[start:stop]
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
        length = len(body) if fault.size is None else fault.size
        self.send(status, headers, None if fault.unsized else length)
        if self.command == "GET":
            self.body(file, body, fault)

    def body(self, file: str, body: bytes, fault: Fault) -> None:
        if fault.cut is not None and len(body) <= fault.cut:
            fault.times += 1  # This one was not cut.
        for start in range(0, len(body), CHUNK):
            part = body[start : start + CHUNK]
            for at in (fault.cut, fault.stall):
                part = part if at is None else part[: max(at - start, 0)]
            self.state.served[file] = self.state.served.get(file, 0) + len(part)
            self.wfile.write(part)
            if len(part) < len(body[start : start + CHUNK]):
                if fault.stall is not None:
                    self.state.stopping.wait(30)
                self.close_connection = True
                return
            time.sleep(fault.pace)

    def refuse(self, status: int, code: str, retry_after: int | None = None) -> None:
        headers = {"X-Error-Code": code} if code else {}
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        self.send(status, headers)

    def send(self, status: int, headers: dict[str, str], length: int | None = 0) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()


def live_in(monkeypatch: pytest.MonkeyPatch, home: Path, endpoint: str | None = None) -> None:
    """Make this process one of a user whose ``HF_HOME`` is empty, and who does not wait long."""
    if endpoint is not None:
        ask(monkeypatch, endpoint)
    monkeypatch.setattr(constants, "HF_HOME", str(home))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(hub_module, "CACHE", home / "assets/gpt2-helix")
    monkeypatch.setattr(hub_module, "ANSWER_WITHIN_S", 2.0)
    monkeypatch.setattr(ranged, "PAUSE_S", 0.01)


def start_in(monkeypatch: pytest.MonkeyPatch, home: Path, endpoint: str) -> None:
    """Make processes that are started from now on those of such a user."""
    meddling = ("hf_", "http_proxy", "https_proxy", "all_proxy")
    for name in [name for name in os.environ if name.lower().startswith(meddling)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(home))
    monkeypatch.setenv("HF_ENDPOINT", endpoint)


def ask(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Ask another hub."""
    template = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)

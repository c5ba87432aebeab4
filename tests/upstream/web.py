"""Mirrors in memory: what they have, what they do wrong, and what they were asked."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from typing import Any
from urllib.parse import urlsplit

from twisted.internet import error
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from zope.interface import implementer

from flocon.asking.dates import seconds_of
from tests.fakes import FakeResponse

PIECE = 4_096
#: A moment, and how it is written.
THEN = 1_795_500_000


def date(moment: int) -> str:
    return formatdate(moment, usegmt=True)


def entry(name: str, version: str, sha256: str, architecture: str = "x86_64") -> bytes:
    file_name = f"{name}-{version}-{architecture}.pkg.tar.zst"
    fields = {
        "FILENAME": file_name,
        "NAME": name,
        "VERSION": version,
        "CSIZE": "100",
        "SHA256SUM": sha256,
        "ARCH": architecture,
    }
    return "".join(f"%{key}%\n{value}\n\n" for key, value in fields.items()).encode()


def database(
    *names: str, version: str = "1-1", architecture: str = "x86_64", files: bool = False
) -> bytes:
    """Return a sync database of these packages, or their list of files."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in names:
            sha256 = (name + version).encode().hex().ljust(64, "0")[:64]
            members = {"desc": entry(name, version, sha256, architecture)}
            if files:
                members["files"] = b"%FILES%\nusr/\nusr/bin/" + name.encode() + b"\n"
            for member, data in members.items():
                info = tarfile.TarInfo(f"{name}-{version}/{member}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return gzip.compress(archive.getvalue(), mtime=0)


@implementer(IAgent)
class Web:
    """``files`` by URL: what is there, and when it was modified (None: that is not said)."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[bytes, int | None]] = {}
        #: What is answered instead of a file: a status, or a failure.
        self.faults: dict[str, int | Exception] = {}
        #: What is cut off files, and what they claim to be.
        self.short: dict[str, int] = {}
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[str] = []
        #: Called with each URL before it is answered.
        self.before: Callable[[str], None] = lambda _: None
        self.silent: set[str] = set()
        #: What is sent byte by byte, once in a while.
        self.dripping: set[str] = set()
        self.clock: Clock | None = None
        #: The last answer of each.
        self.answers: dict[str, FakeResponse] = {}

    def put(self, url: str, data: bytes, modified: int | None = THEN) -> None:
        self.files[url] = data, modified

    def mirror(
        self,
        root: str,
        databases: Mapping[str, Sequence[str]],
        *,
        last_update: int | None = THEN,
        modified: int = THEN,
        version: str = "1-1",
    ) -> None:
        """Put databases, each of some packages, where a mirror has them."""
        for repository, names in databases.items():
            url = f"{root}/{repository}/os/x86_64/{repository}"
            self.put(f"{url}.db", database(*names, version=version), modified)
            self.put(f"{url}.files", database(*names, version=version, files=True), modified)
        if last_update is not None:
            self.put(f"{root}/lastupdate", f"{last_update}\n".encode())

    def of(self, method: str = "GET") -> list[str]:
        """Return the paths that were asked for so, without hosts; and forget all."""
        asked = [urlsplit(url).path for one, url in self.asked if one == method]
        self.asked.clear()
        return asked

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: Any = None,  # noqa: N803
    ) -> Deferred[Any]:
        url = uri.decode("ascii")
        self.asked.append((method.decode(), url))
        self.before(url)
        if url in self.silent:
            return Deferred()
        fault = self.faults.get(url)
        if isinstance(fault, Exception):
            return fail(fault)
        if fault is not None or url not in self.files:
            host = url.rpartition("/")[0]
            if fault is None and not any(one.startswith(host[:12]) for one in self.files):
                return fail(error.ConnectionRefusedError())
            response = FakeResponse(404 if fault is None else fault, Headers(), 0)
            response.end()
            return succeed(response)
        return succeed(self._answer(method, url, headers or Headers()))

    def _answer(self, method: bytes, url: str, headers: Headers) -> FakeResponse:
        data, modified = self.files[url]
        fields = {} if modified is None else {"Last-Modified": [date(modified)]}
        since = seconds_of(next(iter(headers.getRawHeaders("If-Modified-Since", [])), None))
        if modified is not None and since is not None and modified <= since:
            response = FakeResponse(304, Headers(fields), 0)
            response.end()
            return response
        response = FakeResponse(200, Headers(fields), 0 if method == b"HEAD" else len(data))
        self.answers[url] = response
        if method == b"GET":
            self.bodies.append(urlsplit(url).path)
            if url in self.dripping:
                self._drip(response, data)
                return response
            kept = data[: len(data) - self.short.get(url, 0)]
            for position in range(0, len(kept), PIECE):
                response.send(kept[position : position + PIECE])
            (response.break_off if url in self.short else response.end)()
        return response

    def _drip(self, response: FakeResponse, data: bytes) -> None:
        if data and not response.left:
            response.send(data[:8])
            assert self.clock is not None
            self.clock.callLater(5.0, self._drip, response, data[8:])

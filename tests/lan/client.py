"""A client that asks a node as pacman does, and compares every byte at once.

It is what tests use where hundreds of downloads are made, or where it matters how long each file
took. What pacman would take for an error of its server is a complaint here.
"""

from __future__ import annotations

import http.client
import queue
import threading
import time
from typing import TYPE_CHECKING

from flocon.sources.packages import MOST_FETCHED_AGAIN
from tests.lan.lan import LOOPBACK_PORT

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from tests.lan.lan import Host
    from tests.lan.repository import Package, Repository

#: pacman gives up on a server that is silent for so many seconds.
PATIENCE = 10.0
CONNECTIONS = 5
#: The first and the last status of an interim answer, but for 101 (RFC 9110, 15.2).
INTERIM = 102, 199


class _Response(http.client.HTTPResponse):
    """An answer after interim ones, read over as curl does; http.client knows 100 alone."""

    def _read_status(self) -> tuple[int, int, str]:
        while True:
            told: tuple[int, int, str] = super()._read_status()  # type: ignore[misc]
            if not INTERIM[0] <= told[1] <= INTERIM[1]:
                return told
            http.client.parse_headers(self.fp)


class Complaint(Exception):  # noqa: N818 - what pacman would say
    """Something that makes pacman print an error line, or worse."""


class PacmanLike:
    """Downloads as pacman does: five kept connections, package then signature.

    ``resumed`` is the share of files of which an interrupted run left a part behind.
    """

    def __init__(self, host: Host, dice: random.Random, *, resumed: float = 0.0) -> None:
        self._host = host
        self._dice = dice
        self._resumed = resumed
        self._waiting: queue.SimpleQueue[tuple[str, Package]] = queue.SimpleQueue()
        self.complaints: list[str] = []
        #: Seconds that each file took.
        self.seconds: dict[str, float] = {}

    def download(self, repositories: Iterable[Repository]) -> None:
        """Download all packages, largest first; ``complaints`` tells what went wrong."""
        packages = [
            (one.name, package) for one in repositories for package in one.packages.values()
        ]
        for one in sorted(packages, key=lambda one: -one[1].size):
            self._waiting.put(one)
        threads = [threading.Thread(target=self._work) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while True:
            try:
                repository, package = self._waiting.get_nowait()
            except queue.Empty:
                break
            path = f"/{repository}/os/x86_64/{package.file_name}"
            for suffix, right in (("", package.path), (".sig", package.signature)):
                began = time.monotonic()
                try:
                    connection = connection or self._connect()
                    self._get(connection, path + suffix, right.read_bytes())
                except (Complaint, OSError, http.client.HTTPException) as error:
                    self.complaints.append(f"{right.name}: {type(error).__name__} {error}")
                    if connection is not None:
                        connection.close()
                    connection = None
                self.seconds[right.name] = time.monotonic() - began
        if connection is not None:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("localhost", LOOPBACK_PORT, timeout=PATIENCE)
        connection.response_class = _Response
        connection.sock = self._host.connect("127.0.0.1", LOOPBACK_PORT, timeout=PATIENCE)
        return connection

    def _get(self, connection: http.client.HTTPConnection, path: str, right: bytes) -> None:
        resumes = self._dice.random() < self._resumed
        # The rest of a large part comes from a mirror unverified, as pacman would take it.
        start = self._dice.randrange(min(len(right), MOST_FETCHED_AGAIN)) if resumes else 0
        headers = {"User-Agent": "pacman/6.0.2", "Accept": "*/*"}
        if start:
            headers["Range"] = f"bytes={start}-"
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        if response.status != (206 if start else 200):
            raise Complaint(f"answered {response.status}")
        position = start
        while chunk := response.read1(1 << 16):
            if chunk != right[position : position + len(chunk)]:
                raise Complaint(f"wrong bytes between {position} and {position + len(chunk)}")
            position += len(chunk)
        # http.client takes an answer for ended only once it was asked for more.
        response.read()
        if position != len(right):
            raise Complaint(f"ended after {position} of {len(right)} bytes")

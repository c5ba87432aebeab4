"""A node that answers what a test says, on a free port of this machine."""

from __future__ import annotations

import io
import json
import os
import sys
from argparse import Namespace
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from twisted.internet import defer, reactor
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site


class FakeNode(Resource):
    """``answers`` has a status and a body for each path; what is asked is noted in ``asked``."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[str] = []
        #: Bytes of an answer that are announced but not sent.
        self.withheld = 0

    def render(self, request: Request) -> bytes | int:
        path = request.path.decode()
        self.asked.append(f"{request.method.decode()} {request.uri.decode()}")
        status, value = self.answers.get(path, (404, b""))
        body: bytes = value if isinstance(value, bytes) else json.dumps(value).encode()
        request.setResponseCode(status)
        request.setHeader("Flocon-Source", "peer 10.0.0.2")
        if self.withheld and path.endswith(".zst"):
            request.setHeader("Content-Length", str(len(body)))
            request.write(body[: -self.withheld])
            request.loseConnection()
            return NOT_DONE_YET
        return body


class NodeTestCase(TestCase):
    """Runs commands in an empty folder against a fake node."""

    def setUp(self) -> None:
        self.node = FakeNode()
        site = Site(self.node)
        listening: Any = reactor.listenTCP(0, site, interface="127.0.0.1")  # type: ignore[arg-type]  # stubs: a Site is a factory
        self.addCleanup(listening.stopListening)
        self.port = listening.getHost().port
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.folder)
        self.out = io.StringIO()
        self.patch(sys, "stdout", self.out)

    def run_command(
        self, command: Callable[[Any, Namespace], Awaitable[None]], **options: Any
    ) -> defer.Deferred[None]:
        given = Namespace(**{"port": self.port, "json": False, **options})
        return defer.ensureDeferred(command(reactor, given))  # type: ignore[arg-type]  # a coroutine

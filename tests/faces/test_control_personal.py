"""What is told who asks, and what came along: by a real Unix socket, of which the kernel knows."""

from __future__ import annotations

import http.client
import os
import pwd
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from flocon.errors import BuildError
from flocon.faces.control import LARGEST_BODY, Control
from flocon.serving.site import Site
from tests.faces.test_control import FakeOperator


class Personal(TestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory(prefix="flocon-")
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name, "control"))
        self.heard: list[tuple[list[str], str, bytes]] = []
        control = Control(FakeOperator(), personal={"build": self.steer})
        site = Site(reactor, control, most_connections=4, kept=LARGEST_BODY)
        port = reactor.listenUNIX(self.path, site)  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)

    async def steer(self, words: list[str], who: str, body: bytes = b"") -> str:
        self.heard.append((words, who, body))
        if words == ["refuse"]:
            raise BuildError("no", "do something else")
        return "a text\nof lines"

    def post(self, path: str, body: bytes = b"") -> Deferred[tuple[int, str]]:
        def ask() -> tuple[int, str]:
            connection = http.client.HTTPConnection("localhost", timeout=20)
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(self.path)
            try:
                connection.request("POST", path, body=body, headers={"Connection": "close"})
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            except OSError:
                return 0, ""
            finally:
                connection.close()

        return deferToThread(ask)

    async def test_the_kernel_says_who_asks(self) -> None:
        self.assertEqual(await self.post("/build/approve/tool"), (200, "a text\nof lines\n"))
        me = pwd.getpwuid(os.getuid()).pw_name
        self.assertEqual(self.heard, [(["approve", "tool"], me, b"")])

    async def test_a_folder_comes_along(self) -> None:
        body = os.urandom(300_000)
        status, _ = await self.post("/build/add/%2Fhome%2Ftool", body)
        self.assertEqual(status, 200)
        self.assertEqual(self.heard[0][0], ["add", "/home/tool"])
        self.assertEqual(self.heard[0][2], body)

    async def test_a_refusal_is_a_sentence(self) -> None:
        self.assertEqual(await self.post("/build/refuse"), (409, "no; do something else\n"))

    async def test_more_than_a_recipe_can_have_is_not_read(self) -> None:
        await self.post("/build/add/%2Fx", bytes(LARGEST_BODY + 1))
        self.assertEqual(self.heard, [])

    async def test_too_many_words_are_nothing(self) -> None:
        status, _ = await self.post("/build" + "/x" * 65)
        self.assertEqual((status, self.heard), (404, []))

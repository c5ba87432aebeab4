"""A file that a command gets from the node, where the node or who takes it is not at ease."""

from __future__ import annotations

import hashlib
from typing import Any

from twisted.internet import reactor

from flocon.terminal import downloading
from flocon.terminal.asking import Node, NodeError
from tests.terminal.node import NodeTestCase

DATA = b"package" * 1000
PATH = "/tool-1-1-any.pkg.tar.zst"


class Downloading(NodeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.node.answers = {PATH: (200, DATA)}
        self.taken = bytearray()
        self.moved: list[int] = []

    async def download(self, write: Any = None) -> downloading.Received | None:
        node = Node(reactor, self.port)
        return await downloading.download(
            node, PATH, "tool", write or self.taken.extend, self.moved.append
        )

    async def test_all_of_it_is_taken_and_told(self) -> None:
        received = await self.download()
        self.assertEqual(bytes(self.taken), DATA)
        digest = hashlib.sha256(DATA).hexdigest()
        self.assertEqual(received, downloading.Received(len(DATA), digest, "peer 10.0.0.2"))
        self.assertEqual(self.moved[-1], len(DATA))

    async def test_what_nobody_has_is_none(self) -> None:
        self.node.answers = {}
        self.assertIsNone(await self.download())
        self.assertEqual(bytes(self.taken), b"")

    async def test_who_takes_it_may_refuse_it(self) -> None:
        def refuse(_: bytes) -> None:
            raise NodeError("no room")

        with self.assertRaises(NodeError) as caught:
            await self.download(refuse)
        self.assertEqual(str(caught.exception), "no room")
        self.assertEqual(self.moved, [])

    async def test_one_that_ends_early_is_no_file(self) -> None:
        self.node.withheld = 10
        with self.assertRaises(NodeError) as caught:
            await self.download()
        self.assertIn("tool: ended after", str(caught.exception))

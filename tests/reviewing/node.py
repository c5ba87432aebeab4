"""A node that answers ``flocon build`` what a test says, and notes what it is told."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

from flocon.reviewing import verbs
from flocon.terminal.asking import Node, NodeError
from tests.builds.told import look
from tests.terminal.node import NodeTestCase


class BuildTestCase(NodeTestCase):
    """``answers`` has by the first two words, or the first, what is said; an error is raised."""

    def setUp(self) -> None:
        super().setUp()
        self.did: list[tuple[str, ...]] = []
        self.bodies: list[bytes] = []
        self.looks: dict[str, dict[str, Any]] = {"paru": look()}
        self.says: dict[str, str | NodeError] = {}
        test = self

        async def hand(_: Node, *words: str, body: bytes = b"", **__: float) -> str:
            assert words[0] == "build"
            if words[1] == "look":
                return json.dumps(test.looks[words[2]])
            test.did.append(words[1:])
            test.bodies.append(body)
            said = test.says.get(words[1], "done\n")
            if isinstance(said, NodeError):
                raise said
            return said

        self.patch(Node, "hand", hand)

    def answer(self, *lines: str) -> None:
        """Have a person type this."""
        self.patch(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))

    async def run_build(self, verb: str, **options: Any) -> str:
        """Run a command; return what it printed."""
        given = {"yes": False, "json": False, **options}
        await self.run_command(verbs.run, verb=verb, **given)
        return self.out.getvalue()

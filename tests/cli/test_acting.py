"""``flocon prefetch``: what it says once the node is done; and whom ``flocon ban`` can mean."""

from __future__ import annotations

from typing import Any

from flocon.cli import acting
from flocon.terminal.asking import Node, NodeError
from tests.terminal.node import NodeTestCase

MIB = 1 << 20
_ONE = "1 package, 1.0 MiB, is ready"


class Ahead(NodeTestCase):
    async def fetched(self, said: str = "", **state: Any) -> str:
        told = {
            "left_out": 0,
            "running": False,
            "done": 0,
            "fetched": 0,
            "total": 0,
            "bytes": 0,
            "total_bytes": 0,
        }
        self.node.answers["/status.json"] = (200, {"prefetch": {**told, **state}})

        async def tell(*_: str) -> str:
            return said

        self.patch(Node, "tell", tell)
        await self.run_command(acting.prefetch, no_wait=False)
        return self.out.getvalue()

    async def test_all_of_it_is_said_with_its_bytes(self) -> None:
        state: dict[str, Any] = {"total": 3, "fetched": 3, "bytes": 5 * MIB, "total_bytes": 5 * MIB}
        said = await self.fetched("", **state)
        wanted = "3 packages, 5.0 MiB, are ready: all that pacman would upgrade is here now\n"
        self.assertEqual(said, wanted)

    async def test_what_the_store_has_no_room_for_is_said(self) -> None:
        said = await self.fetched(total=1, fetched=1, bytes=MIB, total_bytes=MIB, left_out=4)
        self.assertEqual(said, f"{_ONE}; the store has no room for 4 more packages\n")

    async def test_where_there_is_room_for_nothing_it_is_not_said_that_all_is_here(self) -> None:
        said = await self.fetched("nothing to fetch: all is here", left_out=1)
        self.assertEqual(said, "nothing is fetched; the store has no room for 1 package\n")

    async def test_one_is_one(self) -> None:
        said = await self.fetched(total=1, fetched=1, bytes=MIB, total_bytes=MIB)
        self.assertTrue(said.startswith(_ONE), said)

    async def test_what_nobody_could_deliver_is_counted(self) -> None:
        said = await self.fetched(total=3, fetched=1, bytes=MIB, total_bytes=3 * MIB)
        self.assertEqual(said, "1 of 3 packages ready; 2 packages nobody could deliver\n")

    async def test_where_there_is_nothing_the_nodes_own_sentence_stands(self) -> None:
        self.assertEqual(await self.fetched("nothing to fetch"), "nothing to fetch\n")


class Judging(NodeTestCase):
    async def test_what_can_mean_no_peer_asks_nobody(self) -> None:
        for command in (acting.ban, acting.pardon):
            for word, said in ((" ", "an empty word"), ("x" * 129, "more than 128 characters")):
                with self.assertRaises(NodeError) as caught:
                    await self.run_command(command, peer=word)
                self.assertIn(said, str(caught.exception))
        self.assertEqual(self.node.asked, [])

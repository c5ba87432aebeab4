"""``flocon build approve`` and ``reject``: what was shown is what is decided."""

from __future__ import annotations

from flocon.terminal.asking import NodeError
from flocon.terminal.deciding import UnansweredError
from tests.builds.told import COMMIT, look
from tests.reviewing.node import BuildTestCase


class Deciding(BuildTestCase):
    async def test_yes_has_the_commit_built_that_was_shown(self) -> None:
        self.answer("y")
        said = await self.run_build("approve", name="paru")
        self.assertEqual(self.did, [("approve", "paru", COMMIT)])
        self.assertIn("+pkgname=paru\n", said)
        self.assertIn(f"Have this built: paru 1.0-1 ({COMMIT[:12]})?", said)
        self.assertTrue(said.endswith("done\n"))

    async def test_no_decides_nothing(self) -> None:
        self.answer("n")
        said = await self.run_build("approve", name="paru")
        self.assertEqual(self.did, [])
        self.assertIn("paru goes on waiting\n", said)

    async def test_nor_does_who_does_not_answer(self) -> None:
        self.answer()
        with self.assertRaises(UnansweredError):
            await self.run_build("approve", name="paru")
        self.assertEqual(self.did, [])

    async def test_reject_asks_too(self) -> None:
        self.answer("y")
        self.assertIn("Never build this: ", await self.run_build("reject", name="paru"))
        self.assertEqual(self.did, [("reject", "paru", COMMIT)])

    async def test_what_is_held_is_signed_with_what_was_shown_of_it(self) -> None:
        surprise = {"package": "paru", "what": "is setuid", "detail": "usr/bin/paru"}
        self.looks["paru"] = look(stage="held", digest="d" * 64, held=[surprise])
        self.answer("y")
        said = await self.run_build("approve", name="paru")
        self.assertIn("paru: is setuid: usr/bin/paru\n", said)
        self.assertIn("Sign and publish it so: ", said)
        self.assertEqual(self.did, [("approve", "paru", "d" * 64)])

    async def test_where_nothing_waits_nothing_is_asked(self) -> None:
        self.looks["paru"] = look(stage="published", proposed="")
        with self.assertRaisesRegex(NodeError, "nothing of paru waits"):
            await self.run_build("approve", name="paru")

    async def test_a_commit_can_be_named(self) -> None:
        self.answer("y")
        await self.run_build("approve", name=f"paru@{COMMIT[:8].upper()}")
        self.assertEqual(self.did, [("approve", "paru", COMMIT)])

    async def test_another_commit_than_the_named_one_is_not_decided(self) -> None:
        with self.assertRaisesRegex(NodeError, "waits with aaaaaaaaaaaa, and not with bbbbbbb"):
            await self.run_build("approve", name="paru@bbbbbbb")
        self.assertEqual(self.did, [])

    async def test_yes_can_be_said_before_for_a_named_commit_alone(self) -> None:
        self.assertEqual(await self.run_build("approve", name="paru@aaaaaaa", yes=True), "done\n")
        self.assertEqual(self.did, [("approve", "paru", "aaaaaaa")])
        for name in ("paru", "paru@", "paru@aaaaaa"):
            with self.assertRaisesRegex(NodeError, "--yes needs what is meant: paru@COMMIT"):
                await self.run_build("approve", name=name, yes=True)

    async def test_json_asks_nothing(self) -> None:
        with self.assertRaisesRegex(NodeError, "--json asks nothing"):
            await self.run_build("approve", name="paru", json=True)
        said = await self.run_build("approve", name="paru@aaaaaaa", yes=True, json=True)
        self.assertEqual(said, '{\n "said": "done"\n}\n')

    async def test_nothing_that_a_stranger_wrote_reaches_the_terminal_as_it_is(self) -> None:
        evil = "\x1b]0;x\x07\x9b2J\r\u202e"
        self.looks["paru"] = look(
            version=evil, reasons=[evil], files={"PKGBUILD": evil, evil: evil}, names=[evil]
        )
        self.answer("n")
        said = await self.run_build("approve", name="paru")
        self.assertFalse(set(evil) - set("]0;x2J") & set(said))

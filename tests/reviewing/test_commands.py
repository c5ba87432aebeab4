"""``flocon build``: the words that ask and tell the node without a question."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from twisted.internet import task

from flocon.reviewing import following
from flocon.terminal.asking import Node, NodeError
from tests.builds.told import NOW, builds, watched
from tests.reviewing.node import BuildTestCase


class Status(BuildTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(time, "time", lambda: NOW)

    async def status(self, *recipes: dict[str, Any], names: Sequence[str] = (), **more: Any) -> str:
        self.node.answers["/builds.json"] = (200, builds(*recipes, **more))
        return await self.run_build("status", names=names)

    async def test_what_is_watched_is_told(self) -> None:
        said = await self.status(watched(), watched("other", "published", version="1.0-1"))
        self.assertEqual(
            [" ".join(line.split()) for line in said.splitlines()],
            [
                "paru 1.0-1 -> 2.0-1 waits for a person PKGBUILD: line 3 was changed",
                "decide by 'flocon build approve paru', or reject",
                "other 1.0-1 published",
                "asked 1 min ago whether anything is new",
            ],
        )

    async def test_where_nothing_is_it_says_what_to_type(self) -> None:
        self.assertIn("flocon build add NAME' does that", await self.status())

    async def test_where_nothing_is_built_it_says_what_to_do(self) -> None:
        said = await self.status(used=False, problem="set it up first", polled=0.0)
        self.assertEqual(said, "set it up first\n")
        said = await self.status(used=False, polled=0.0)
        self.assertIn("systemctl enable --now flocon-sign.socket flocon-build.socket'", said)

    async def test_a_name_that_is_not_watched_is_said(self) -> None:
        with self.assertRaisesRegex(NodeError, "nosuch is not watched"):
            await self.status(watched(), names=("nosuch",))

    async def test_json_is_what_the_node_says(self) -> None:
        self.node.answers["/builds.json"] = (200, builds(watched()))
        said = await self.run_build("status", names=[], json=True)
        self.assertEqual(json.loads(said), builds(watched()))


class Telling(BuildTestCase):
    async def test_each_word_is_told_with_its_recipe(self) -> None:
        for verb in ("rebuild", "cancel", "remove"):
            await self.run_build(verb, name="paru")
        await self.run_build("hold", name="paru", off=False)
        await self.run_build("hold", name="paru", off=True)
        await self.run_build("check", names=["paru", "other"])
        self.assertEqual(
            self.did,
            [
                *(("rebuild", "paru"), ("cancel", "paru"), ("remove", "paru")),
                *(("hold", "paru"), ("hold", "paru", "off"), ("check", "paru", "other")),
            ],
        )

    async def test_a_refusal_is_an_error(self) -> None:
        self.says["rebuild"] = NodeError("paru is not watched")
        with self.assertRaisesRegex(NodeError, "paru is not watched"):
            await self.run_build("rebuild", name="paru")

    async def test_the_link_is_printed_in_a_line_of_its_own(self) -> None:
        self.says["web"] = "http://localhost:19433/review/x\n"
        said = await self.run_build("web")
        self.assertEqual(said.splitlines()[-1], "http://localhost:19433/review/x")

    async def test_the_history_is_told_in_rows(self) -> None:
        entry = {"when": NOW, "base": "paru", "what": "approved", "by": "ada"}
        entry |= {"against": ["C", "E"]}
        self.says["history"] = f"{json.dumps(entry)}\n"
        said = await self.run_build("history", names="paru")
        self.assertEqual(self.did, [("history", "paru")])
        self.assertIn("paru  approved  by ada, against C E\n", said)

    async def test_what_is_proposed_is_shown_and_nothing_asked(self) -> None:
        said = await self.run_build("diff", name="paru")
        self.assertIn("+pkgname=paru\n", said)
        self.assertEqual(self.did, [])


class Naming(BuildTestCase):
    async def test_a_repository_in_front_is_said_to_be_no_part_of_a_name(self) -> None:
        for verb, given in (
            ("status", {"names": ["home/paru"]}),
            ("check", {"names": ["other", "home/paru"]}),
            ("approve", {"name": "home/paru@abc1234", "yes": False}),
            ("remove", {"name": "home/paru"}),
            ("add", {"words": ["home/paru"]}),
        ):
            with self.assertRaisesRegex(NodeError, "name the recipe by paru alone"):
                await self.run_build(verb, **given)
        self.assertEqual(self.did, [])


class Log(BuildTestCase):
    """A log that grows by a piece each time that it is asked for."""

    def setUp(self) -> None:
        super().setUp()
        self.log, self.pieces = "", ["one\ntw", "o\n\x1b[2Jthree\r", "four"]
        self.running = True
        self.stage = self.why = ""
        self.complaints: list[str] = []
        self.patch(following, "complain", lambda text: self.complaints.append(str(text)))

        async def later(*_: object) -> None:
            if self.pieces:
                self.log += self.pieces.pop(0)
            else:
                self.running = False

        self.patch(task, "deferLater", later)

        async def hand(_: Node, *words: str, **__: Any) -> str:
            at = int(words[3])
            head = {"next": len(self.log), "running": self.running, "job": "1", "result": ""}
            if not self.running:
                head["result"] = "built"
            else:
                head |= {"result": self.stage, "why": self.why}
            # The node ends all that it says by an end of line.
            return f"{json.dumps(head)}\n{self.log[at:]}\n"

        self.patch(Node, "hand", hand)

    async def test_it_is_followed_until_the_build_ends(self) -> None:
        said = await self.run_build("log", name="paru", follow=True)
        self.assertEqual(said, "one\ntwo\n\\x1b[2Jthree\nfour\n")
        self.assertEqual(self.complaints, ["paru: built"])

    async def test_who_follows_is_told_once_what_it_waits_for(self) -> None:
        self.stage, self.why = "blocked", "waits for lib"
        await self.run_build("log", name="paru", follow=True)
        self.assertEqual(self.complaints, ["paru: blocked, waits for lib", "paru: built"])

    async def test_otherwise_what_is_there_is_all(self) -> None:
        self.log, self.stage = self.pieces[0], "building"
        self.assertEqual(await self.run_build("log", name="paru", follow=False), "one\ntw\n")
        self.assertEqual(self.complaints, ["paru: building; --follow goes on"])

    async def test_what_is_not_being_built_is_not_said_to_be(self) -> None:
        self.stage, self.why = "blocked", "waits for lib"
        self.assertEqual(await self.run_build("log", name="paru", follow=False), "")
        self.assertEqual(self.complaints, ["paru: blocked, waits for lib; --follow goes on"])

    async def test_json_has_all_of_it(self) -> None:
        said = await self.run_build("log", name="paru", follow=True, json=True)
        told = json.loads(said)
        self.assertEqual((told["log"], told["result"]), ("one\ntwo\n\x1b[2Jthree\rfour", "built"))

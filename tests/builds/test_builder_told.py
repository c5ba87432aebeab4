"""What the doctor is told of the builder, by a builder at a real socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from flocon.builds import builder_told
from flocon.builds.builder_told import BuilderTold, lacking
from tests.builds.test_keeper import run
from tests.builds.world import WorldTestCase

if TYPE_CHECKING:
    from flocon.programs.talking import Conversation, Message


class BuilderToldTests(WorldTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.said: dict[str, Any] = {"lacks": [], "missing": []}
        self.builder.answer = self.answer
        self.told = BuilderTold(reactor)

    def answer(self, message: Message, conversation: Conversation) -> None:
        conversation.say({**self.said, "done": True})

    async def reasons(self) -> str:
        await self.begun()
        await self.told.look(self.settings.builder)
        return "; ".join(f"{one['reason']} ({one['remedy']})" for one in self.told.problems)

    @run
    async def test_nothing_is_told_of_one_that_lacks_nothing_which_is_not_asked_again(self) -> None:
        self.assertEqual([await self.reasons(), await self.reasons()], ["", ""])
        self.assertEqual(self.builder.requests, [{"do": "describe"}])

    @run
    async def test_what_it_cannot_wall_in_is_told(self) -> None:
        self.said["lacks"] = ["there is no control group"]
        self.assertIn("not walled in as it could be: there is no control", await self.reasons())

    @run
    async def test_what_is_not_installed_is_told_until_it_is(self) -> None:
        self.said |= {"missing": ["bwrap cannot be found"], "remedy": "pacman -S bubblewrap"}
        self.assertEqual(await self.reasons(), "bwrap cannot be found (pacman -S bubblewrap)")
        self.said["missing"] = []
        self.assertEqual(await self.reasons(), "")

    @run
    async def test_one_that_ends_at_once_is_told(self) -> None:
        self.builder.answer = lambda _, conversation: conversation.leave_now()
        self.assertIn("the builder ended meanwhile", await self.reasons())

    @run
    async def test_one_that_is_silent_holds_nobody_for_long(self) -> None:
        self.patch(builder_told, "PATIENCE", 0.1)
        self.builder.answer = lambda *_: None
        self.assertIn("it is silent for 0.1 s", await self.reasons())

    @run
    async def test_without_a_socket_nothing_is_asked(self) -> None:
        await self.begun()
        await self.told.look(str(self.folder / "nothing"))
        self.assertEqual(self.told.problems, ())


class LackingTests(SynchronousTestCase):
    def test_what_is_no_answer_is_told_plainly_or_not_at_all(self) -> None:
        said = {"lacks": ["a\x1b[2J" * 500, 7, *["more"] * 99], "missing": {}, "remedy": 9}
        told = list(lacking(said))
        self.assertEqual(len(told), builder_told.MOST_SAID)
        self.assertTrue(all(one["reason"].isprintable() for one in told))
        self.assertEqual(list(lacking({})), [])

"""What stands in the mirror's place on a node that is none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import MirrorError
from flocon.mirrors.steering import Steering
from flocon.node.mirroring import Mirroring
from flocon.node.unmirrored import Unmirrored


class UnmirroredTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.none = Unmirrored()

    def ask(self, path: str) -> Any:
        return self.successResultOf(start(self.none.questions()[path]({})))

    def test_who_steers_it_is_told_what_to_set(self) -> None:
        for words in (["mirror", "refresh"], ["mirror", "clean"], ["snapshot", "take", "x"]):
            steering = start(self.none.commands()[words[0]](words[1:]))
            told = str(self.failureResultOf(steering, MirrorError).value)
            self.assertIn("no mirror for the LAN", told)
            self.assertIn("serve = true in [mirror]", told)

    def test_a_question_is_answered_with_why_there_is_nothing_to_tell(self) -> None:
        for path in ("/snapshots.json", "/snapshots/diff.json"):
            self.assertIn("no mirror for the LAN", self.ask(path)["refused"])
        self.assertIn("no mirror for the LAN", self.ask("/generation.json")["problem"])
        self.assertIs(self.ask("/mirror.json")["serves"], False)

    def test_it_can_be_asked_and_told_all_that_a_mirror_can(self) -> None:
        steering = Steering.__new__(Steering)  # of no node
        self.assertEqual(self.none.questions().keys(), steering.questions().keys())
        public = {name for name in dir(Mirroring) if not name.startswith("_")}
        self.assertEqual(public - set(dir(Unmirrored)), set())

    def test_nobody_is_told_of_a_mirror(self) -> None:
        tell: list[Callable[[], Any]] = [self.none.status, lambda: list(self.none.tell())]
        self.assertEqual([one() for one in tell], [None, []])


def start(work: Awaitable[Any]) -> Deferred[Any]:
    async def wait() -> Any:
        return await work

    return Deferred.fromCoroutine(wait())

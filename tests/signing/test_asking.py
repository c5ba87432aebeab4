"""How the signer is asked, and what its answers become."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from flocon.errors import RepositoryError
from flocon.programs.reception import Reception
from flocon.programs.talking import MOST_FILES, Conversation, Message
from flocon.signing.asking import ask


class AskingTests(TestCase):
    def setUp(self) -> None:
        # A socket's path has 107 bytes at most.
        folder = tempfile.TemporaryDirectory(prefix="flocon-")
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name, "socket"))
        self.answers: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.files: list[bytes] = []
        self.leaves = False
        self.reception = Reception(reactor, self.received)
        self.reception.listen(self.path)
        self.addCleanup(lambda: self.do(self.reception.stop()))

    def do(self, coroutine: Coroutine[Any, Any, None]) -> Deferred[None]:
        return Deferred.fromCoroutine(coroutine)

    def received(self, conversation: Conversation, message: Message) -> None:
        self.asked.append(dict(message.values))
        self.files = [os.pread(one, 100, 0) for one in message.files]
        message.close()
        for answer in self.answers:
            conversation.say(answer)
        if self.leaves:
            conversation.leave()

    async def refused(self, **more: Any) -> str:
        try:
            await ask(reactor, self.path, {"do": "list"}, **more)
        except RepositoryError as error:
            return str(error)
        raise self.failureException("it was not refused")

    def test_answers_are_put_together(self) -> Deferred[None]:
        async def run() -> None:
            self.answers = [
                {"packages": [1, 2], "step": "a"},
                {"packages": [3], "step": "b", "done": True},
                {"packages": [4], "done": True},
            ]
            heard: list[Any] = []
            told = await ask(reactor, self.path, {"do": "list"}, heard=heard.append)
            self.assertEqual(told, {"packages": [1, 2, 3], "step": "b", "done": True})
            self.assertEqual(heard, self.answers[:2])

        return self.do(run())

    def test_files_go_along(self) -> Deferred[None]:
        async def run() -> None:
            self.answers = [{"done": True}]
            descriptor = os.memfd_create("package")
            os.write(descriptor, b"package")
            await ask(reactor, self.path, {"do": "add"}, [descriptor])
            self.assertEqual(self.files, [b"package"])
            # They stay the caller's.
            os.close(descriptor)

        return self.do(run())

    def test_a_refusal_is_the_signers_sentence(self) -> Deferred[None]:
        async def run() -> None:
            self.answers = [{"error": "no room", "remedy": "make some"}]
            self.assertEqual(await self.refused(), "no room; make some")

        return self.do(run())

    def test_one_that_ends_before_it_has_answered_is_said(self) -> Deferred[None]:
        async def run() -> None:
            self.answers, self.leaves = [{"step": "signed"}], True
            self.assertIn("journalctl -u flocon-sign", await self.refused())

        return self.do(run())

    def test_one_that_does_not_answer_is_waited_for_so_long(self) -> Deferred[None]:
        async def run() -> None:
            self.assertIn("has not answered", await self.refused(patience=0.05))

        return self.do(run())

    def test_one_that_is_not_there_is_said_with_what_starts_it(self) -> Deferred[None]:
        async def run() -> None:
            self.path += "-not"
            self.assertIn("flocon-sign.socket", await self.refused())

        return self.do(run())

    def test_more_files_than_can_be_handed_over_are_not(self) -> Deferred[None]:
        async def run() -> None:
            many = [0] * (MOST_FILES + 1)
            self.assertIn("at most 250", await self.refused(files=many))
            self.assertEqual(self.asked, [])

        return self.do(run())

    def test_who_gives_up_leaves(self) -> Deferred[None]:
        async def run() -> None:
            asking = Deferred.fromCoroutine(ask(reactor, self.path, {"do": "list"}))
            asking.addErrback(lambda _: None)
            while not self.asked:
                await deferLater(reactor, 0.01)
            asking.cancel()
            while self.reception._present:
                await deferLater(reactor, 0.01)

        return self.do(run())

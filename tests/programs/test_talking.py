"""Messages between programs of one machine, by a real Unix socket."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet import defer, reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase

from flocon.programs.talking import LARGEST_MESSAGE, MOST_FILES, Conversation, Message, connect

if TYPE_CHECKING:
    from collections.abc import Coroutine


class TalkingTests(TestCase):
    """One end says, the other keeps what it heard."""

    def setUp(self) -> defer.Deferred[None]:  # type: ignore[override]
        return defer.Deferred.fromCoroutine(self._open())

    async def _open(self) -> None:
        self.heard: defer.DeferredQueue[Message] = defer.DeferredQueue()
        self.over: defer.Deferred[None] = defer.Deferred()
        self.server: Conversation | None = None

        def build(_: object) -> Conversation:
            self.server = Conversation(
                lambda _, message: self.heard.put(message), lambda _: self.over.callback(None)
            )
            return self.server

        # A socket's path has 107 bytes at most.
        folder = tempfile.TemporaryDirectory(prefix="flocon-")
        self.addCleanup(folder.cleanup)
        path = folder.name + "/socket"
        factory = Factory()
        factory.noisy = False
        factory.protocol = lambda: build(None)
        port = reactor.listenUNIX(path, factory)  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        self.ended: list[Conversation] = []
        self.logged: list[str] = []
        note: Any = self._note
        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)
        self.client = await connect(
            UNIXClientEndpoint(reactor, path), Conversation(lambda *_: None, self.ended.append)
        )
        self.addCleanup(self._close)

    def test_who_cancels_while_it_begins_is_told_by_the_usual_word(self) -> None:
        endpoint = TCP4ClientEndpoint(MemoryReactorClock(), "127.0.0.1", 1)
        conversation = Conversation(lambda *_: None, lambda _: None)
        begun = defer.Deferred.fromCoroutine(connect(endpoint, conversation))
        begun.cancel()
        self.failureResultOf(begun, defer.CancelledError)

    def test_nothing_of_it_is_logged(self) -> None:
        self.assertEqual([one for one in self.logged if "OneShot" in one or "Starting" in one], [])

    def _note(self, event: dict[str, Any]) -> None:
        self.logged.append(str(formatEvent(event)))

    async def _closed(self) -> None:
        self.client.transport.abortConnection()
        await self.over

    def _close(self) -> defer.Deferred[None] | None:
        return None if self.over.called else self._do(self._closed())

    def _do(self, coroutine: Coroutine[Any, Any, None]) -> defer.Deferred[None]:
        return defer.Deferred.fromCoroutine(coroutine)

    def test_what_is_said_arrives(self) -> defer.Deferred[None]:
        async def talk() -> None:
            self.client.say({"do": "list", "names": ["a", "b"]})
            message = await self.heard.get()
            self.assertEqual(message.values, {"do": "list", "names": ["a", "b"]})
            self.assertEqual(message.files, ())

        return self._do(talk())

    def test_files_arrive_open_with_their_message(self) -> defer.Deferred[None]:
        async def talk() -> None:
            for text in (b"one", b"two"):
                read, write = os.pipe()
                os.write(write, text)
                os.close(write)
                self.client.say({"do": "take", "what": text.decode()}, [read])
                os.close(read)
            for text in (b"one", b"two"):
                message = await self.heard.get()
                self.assertEqual(message.values["what"], text.decode())
                self.assertEqual(os.read(message.files[0], 10), text)
                message.close()

        return self._do(talk())

    def test_more_files_than_bytes_arrive_too(self) -> defer.Deferred[None]:
        async def talk() -> None:
            with Path(os.devnull).open("rb") as nothing:
                self.client.say({}, [nothing.fileno()] * MOST_FILES)
            message = await self.heard.get()
            self.assertEqual(len(message.files), MOST_FILES)
            message.close()

        return self._do(talk())

    def test_the_kernel_says_who_asks(self) -> defer.Deferred[None]:
        async def talk() -> None:
            self.client.say({})
            await self.heard.get()
            assert self.server is not None
            caller = self.server.caller
            self.assertEqual((caller.process, caller.user), (os.getpid(), os.getuid()))

        return self._do(talk())

    def assertLeft(self, said: bytes) -> defer.Deferred[None]:
        async def talk() -> None:
            self.client.transport.write(said)
            await self.over
            self.assertEqual(self.heard.pending, [])

        return self._do(talk())

    def test_who_says_no_json_is_left(self) -> defer.Deferred[None]:
        return self.assertLeft(b"hello\n")

    def test_who_says_no_object_is_left(self) -> defer.Deferred[None]:
        return self.assertLeft(b"[1]\n")

    def test_who_announces_files_that_never_came_is_left(self) -> defer.Deferred[None]:
        return self.assertLeft(b'{"files":1}\n')

    def test_who_says_too_much_is_left(self) -> defer.Deferred[None]:
        return self.assertLeft(b"x" * (LARGEST_MESSAGE + 1))

    def test_files_that_no_message_announces_are_closed(self) -> defer.Deferred[None]:
        async def talk() -> None:
            mine, theirs = socket.socketpair()
            self.client.transport.sendFileDescriptor(theirs.fileno())
            self.client.transport.write(b"{")
            while self.server is None or not self.server._arrived:
                await _soon()
            theirs.close()
            self.client.transport.abortConnection()
            await self.over
            self.assertEqual(mine.recv(1), b"")
            mine.close()

        return self._do(talk())


def _soon() -> defer.Deferred[None]:
    later: defer.Deferred[None] = defer.Deferred()
    reactor.callLater(0, later.callback, None)
    return later

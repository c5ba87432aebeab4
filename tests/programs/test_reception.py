"""Who is let in at a program's socket, for how long, and when the program may end."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.errors import ConfigurationError
from flocon.programs import reception
from flocon.programs.reception import (
    LONGEST_SILENCE,
    MOST_CONVERSATIONS,
    MOST_OF_ONE_USER,
    Reception,
    handed_over,
)
from flocon.programs.talking import Caller, Conversation, Message


class ReceptionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.heard: list[Any] = []
        self.ended: list[Conversation] = []
        self.busy: set[Conversation | None] = set()
        self.reception = Reception(
            self.clock,
            lambda _, message: self.heard.append(message.values),
            self.ended.append,
            is_busy=lambda conversation: conversation in self.busy,
        )

    def come(self, user: int = 1) -> Conversation:
        visitor = reception._Visitor(self.reception)
        self.patch(type(visitor), "caller", property(lambda one: Caller(1, one.user, 1)))
        visitor.user = user  # type: ignore[attr-defined]
        visitor.makeConnection(StringTransport())
        return visitor

    def is_out(self, visitor: Conversation) -> bool:
        transport: Any = visitor.transport
        return bool(transport.disconnected)

    def test_who_is_let_in_is_heard(self) -> None:
        self.come().dataReceived(b'{"do":"list"}\n')
        self.assertEqual(self.heard, [{"do": "list"}])

    def test_one_user_holds_so_many_conversations(self) -> None:
        for _ in range(MOST_OF_ONE_USER):
            self.assertFalse(self.is_out(self.come()))
        self.assertTrue(self.is_out(self.come()))
        self.assertFalse(self.is_out(self.come(user=2)))
        self.assertEqual(self.reception.refused, 1)

    def test_all_users_together_hold_so_many(self) -> None:
        users = range(MOST_CONVERSATIONS)
        self.assertFalse(any(self.is_out(self.come(user)) for user in users))
        self.assertTrue(self.is_out(self.come(user=1_000)))

    def test_who_leaves_makes_room(self) -> None:
        first, *_ = [self.come() for _ in range(MOST_OF_ONE_USER)]
        first.connectionLost()
        self.assertEqual(self.ended, [first])
        self.assertFalse(self.is_out(self.come()))

    def test_who_was_not_let_in_is_not_heard(self) -> None:
        for _ in range(MOST_OF_ONE_USER):
            self.come()
        late = self.come()
        read, write = os.pipe()
        os.close(write)
        self.reception.heard(late, Message({"do": "list"}, (read,)))
        self.assertEqual(self.heard, [])
        self.assertRaises(OSError, os.fstat, read)
        late.connectionLost()
        self.assertEqual(self.ended, [])

    def test_who_is_silent_for_too_long_is_left(self) -> None:
        visitor = self.come()
        self.clock.advance(LONGEST_SILENCE - 1)
        visitor.dataReceived(b"{}\n")
        self.clock.advance(LONGEST_SILENCE - 1)
        self.assertFalse(self.is_out(visitor))
        self.clock.advance(1)
        self.assertTrue(self.is_out(visitor))

    def test_who_waits_for_an_answer_is_not_silent(self) -> None:
        visitor = self.come()
        self.busy = {visitor}
        self.clock.advance(LONGEST_SILENCE)
        self.assertFalse(self.is_out(visitor))
        self.busy = set()
        self.reception.worked(visitor)
        self.clock.advance(LONGEST_SILENCE - 1)
        self.assertFalse(self.is_out(visitor))
        self.clock.advance(1)
        self.assertTrue(self.is_out(visitor))


class EndingTests(TestCase):
    """A program on a socket that systemd holds."""

    def setUp(self) -> None:
        # A socket's path has 107 bytes at most.
        folder = tempfile.TemporaryDirectory(prefix="flocon-")
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name, "socket"))
        self.silence = 0.05
        self.busy = False
        self.reception = Reception(
            global_reactor,
            lambda *_: None,
            is_busy=lambda _: self.busy,
            silence=self.silence,
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(self.reception.stop()))

    def lent(self) -> socket.socket:
        """Return a socket as systemd holds it; the reception gets another descriptor of it."""
        held = socket.socket(socket.AF_UNIX)
        self.addCleanup(held.close)
        held.bind(self.path)
        held.listen()
        Path(self.path).chmod(0o600)
        self.patch(reception, "handed_over", lambda *_: held.fileno())
        held.setblocking(False)
        return held

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        global_reactor.callLater(seconds, call)

    def test_it_ends_once_nobody_asks(self) -> Deferred[None]:
        self.lent()
        self.reception.listen()
        return self.reception.over

    def test_who_comes_afterwards_finds_the_socket_that_systemd_holds(self) -> Deferred[None]:
        self.lent()
        self.reception.listen()

        def ended(_: None) -> Deferred[None]:
            return Deferred.fromCoroutine(self.reception.stop()).addCallback(connect)

        def connect(_: None) -> None:
            self.assertEqual(Path(self.path).stat().st_mode & 0o777, 0o600)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(self.path)

        return self.reception.over.addCallback(ended)

    def test_it_does_not_while_something_is_done(self) -> Deferred[None]:
        self.lent()
        self.busy = True
        self.reception.listen()
        still: list[bool] = []

        def done() -> None:
            still.append(self.reception.over.called)
            self.busy = False

        self.after(4 * self.silence, done)
        return self.reception.over.addCallback(lambda _: self.assertEqual(still, [False]))

    def test_one_on_a_path_of_its_own_does_not_end(self) -> Deferred[None]:
        self.reception.listen(self.path)
        later: Deferred[None] = Deferred()
        self.after(4 * self.silence, lambda: later.callback(None))
        return later.addCallback(lambda _: self.assertFalse(self.reception.over.called))

    def test_a_socket_that_a_kill_left_is_replaced(self) -> None:
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(self.path)
        Path(self.path + ".lock").symlink_to("999999999")
        self.reception.listen(self.path)

    def test_a_path_that_cannot_be_had_is_said(self) -> None:
        error = self.assertRaises(
            ConfigurationError, self.reception.listen, "/nonexistent/folder/socket"
        )
        self.assertIn("/nonexistent/folder/socket", str(error))
        error = self.assertRaises(ConfigurationError, self.reception.listen, "x" * 200)
        self.assertIn("x" * 200, str(error))

    def test_without_systemd_a_path_has_to_be_named(self) -> None:
        self.patch(reception, "handed_over", lambda *_: None)
        self.assertIn("--listen", str(self.assertRaises(ConfigurationError, self.reception.listen)))


class HandedOverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.socket.close)
        self.folder = tempfile.TemporaryDirectory(prefix="flocon-")
        self.addCleanup(self.folder.cleanup)
        self.socket.bind(self.folder.name + "/socket")

    def found(self, **environment: str) -> int | None:
        named = {"LISTEN_PID": "7", "LISTEN_FDNAMES": "x", **environment}
        return handed_over(named, 7, first=self.socket.fileno())

    def test_a_listening_unix_socket_is_taken(self) -> None:
        self.socket.listen()
        self.assertEqual(self.found(), self.socket.fileno())
        self.assertFalse(os.get_blocking(self.socket.fileno()))

    def test_one_for_another_process_is_not(self) -> None:
        self.socket.listen()
        self.assertIsNone(self.found(LISTEN_PID="8"))

    def test_one_that_does_not_listen_is_not(self) -> None:
        self.assertIsNone(self.found())

    def test_where_none_is_named_none_is_taken(self) -> None:
        self.socket.listen()
        self.assertIsNone(self.found(LISTEN_FDNAMES=""))

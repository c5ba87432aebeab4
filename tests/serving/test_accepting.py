"""A port without descriptors is counted, not listened to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.task import Clock
from twisted.logger import Logger, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

import flocon
from flocon.serving.accepting import MOST_IN_A_TURN, PAUSE, Accepting
from flocon.serving.site import MOST_LEAVING

#: Listens with so few descriptors that none is left, and prints what was logged and counted.
CODE = """
import resource, socket, sys
from collections import Counter
from twisted.internet import protocol, reactor
from twisted.logger import globalLogPublisher
from flocon.serving.accepting import Accepting
lines, counters = [], Counter()
factory = protocol.Factory.forProtocol(protocol.Protocol)
factory.noisy = False
port = reactor.listenTCP(0, factory, interface="127.0.0.1")
Accepting(reactor, counters).watch(port)
globalLogPublisher.addObserver(lines.append)
clients = [socket.socket() for _ in range(40)]
used = max(one.fileno() for one in clients) + 1
resource.setrlimit(resource.RLIMIT_NOFILE, (used + 5, used + 5))
for one in clients:
    one.connect(("127.0.0.1", port.getHost().port))
def end():
    print(len([one for one in lines if one["log_level"].name in ("info", "warn")]))
    print(counters["not accepted"])
    reactor.stop()
reactor.callLater(0.5, end)
reactor.run()
"""


class Refusing(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.counters = Clock(), Counter[str]()
        self.accepting = Accepting(self.clock, self.counters)
        self.lines: list[Any] = []
        observer: Any = self.lines.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def test_a_line_a_minute_however_many_are_refused(self) -> None:
        for _ in range(50):
            self.accepting({"log_format": "EMFILE encountered"})
            self.accepting({"log_format": "closed", "address": ("10.0.0.1", 5)})
            self.accepting({"log_format": "again"})
        self.assertEqual((len(self.lines), self.counters), (1, {"not accepted": 50}))
        self.clock.advance(PAUSE)
        self.accepting({"acceptError": "EMFILE"})
        self.assertEqual((len(self.lines), self.counters), (2, {"not accepted": 51}))

    def test_what_accepts_nothing_is_left_alone(self) -> None:
        self.accepting.watch(object())

    def test_of_a_rush_no_more_are_taken_in_a_turn_than_can_make_room(self) -> None:
        taken: list[int] = []
        port: Any = mock.Mock(_logger=Logger(), numberAccepts=100)
        port.doRead = lambda: taken.append(port.numberAccepts)
        self.accepting.watch(port)
        port.doRead()
        # Twisted has more of them from turn to turn, and fewer again.
        port.numberAccepts += 20
        port.doRead()
        port.numberAccepts = 3
        port.doRead()
        self.assertEqual(taken, [MOST_IN_A_TURN, MOST_IN_A_TURN, 3])
        self.assertLessEqual(2 * MOST_IN_A_TURN, MOST_LEAVING)

    def test_a_real_port_without_descriptors_says_it_once(self) -> None:
        environment = os.environ | {"PYTHONPATH": str(Path(flocon.__file__).parent.parent)}
        told = subprocess.run(
            [sys.executable, "-c", CODE], check=True, capture_output=True, env=environment
        )
        lines, refused = map(int, told.stdout.split())
        self.assertGreaterEqual(refused, 30)
        self.assertLessEqual(lines, 3)
        self.assertEqual(told.stderr, b"")

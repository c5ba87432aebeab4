"""The thread of mDNS as the node knows it, with a library that is played."""

from __future__ import annotations

import threading
from typing import Any

from twisted.internet import defer, reactor, task
from twisted.trial.unittest import TestCase

from flocon.mdns import responder as responder_module
from flocon.mdns.mdns import Mdns
from flocon.mdns.services import PACSERVE, Found, Wish
from tests.mdns.test_responder import LINKS, OWN, Network
from tests.mdns.test_services import found


class Threads(TestCase):
    timeout = 20

    def setUp(self) -> None:
        self.network = Network()
        self.patch(responder_module, "Library", self.network.open)
        self.told: list[tuple[str, tuple[Found, ...], str]] = []
        self.mdns = Mdns(reactor, self._changed)
        self.mdns.start()
        self.addCleanup(self.mdns.stop)

    def _changed(self, kind: str, all_of: tuple[Found, ...]) -> None:
        self.told.append((kind, all_of, threading.current_thread().name))

    async def until(self, predicate: Any) -> None:
        while not predicate():
            await task.deferLater(reactor, 0.005)

    @defer.inlineCallbacks
    def test_what_is_found_is_told_in_the_reactor_s_thread(self) -> Any:
        one = found("a")
        self.network.services[PACSERVE, "a"] = one
        self.mdns.ask(Wish(LINKS, OWN))
        yield defer.Deferred.fromCoroutine(self.until(lambda: self.told))
        self.assertEqual(self.told, [(PACSERVE, (one,), threading.current_thread().name)])

    @defer.inlineCallbacks
    def test_it_describes_itself(self) -> Any:
        self.mdns.ask(Wish(LINKS, OWN))
        yield defer.Deferred.fromCoroutine(self.until(lambda: self.mdns.describe()["announced"]))
        told = self.mdns.describe()
        self.assertEqual((told["announced"], told["host"]), ("flocon on ada", "ada-flocon.local"))
        self.assertEqual((told["why"], told["clashed"]), ("", False))

    @defer.inlineCallbacks
    def test_its_end_comes_after_its_goodbye_and_once(self) -> Any:
        self.mdns.ask(Wish(LINKS, OWN))
        yield defer.Deferred.fromCoroutine(self.until(lambda: self.mdns.describe()["announced"]))
        yield self.mdns.stop()
        self.assertEqual(self.network.opened[0].said[-1], "goodbye")
        yield self.mdns.stop()
        self.mdns.ask(Wish((), None))

    @defer.inlineCallbacks
    def test_an_end_at_once_is_an_end(self) -> Any:
        yield self.mdns.stop()
        self.assertEqual(self.network.opened, [])

    @defer.inlineCallbacks
    def test_the_first_failure_is_told_in_the_log_and_others_are_counted(self) -> Any:
        self.network.problem = OSError("no port")
        self.mdns.ask(Wish(LINKS, OWN))
        yield defer.Deferred.fromCoroutine(self.until(lambda: self.mdns.describe()["why"]))
        self.assertEqual(self.mdns.describe()["why"], "no port")
        self.assertEqual(self.mdns.describe()["datagrams"], {"failures": 1})

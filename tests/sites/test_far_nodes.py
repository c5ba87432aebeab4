"""What pumps between far nodes, presence and the group: sockets, timers, questions."""

from __future__ import annotations

import random
import socket
from dataclasses import replace
from ipaddress import ip_interface, ip_network
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.resolving import is_own
from flocon.datagrams.introductions import Introduction, encode_introduction
from flocon.datagrams.messages import SITES, decode, encode
from flocon.datagrams.unicast import UnicastProtocol
from flocon.machine.links import Link
from flocon.presence.own_announcement import Identity
from flocon.presence.presence import Presence
from flocon.presence.presence_events import Told
from flocon.sites import far_nodes as module
from flocon.sites import names as names_module
from flocon.sites.far_nodes import FarNodes, far_nodes
from flocon.sites.names import DOUBT_PAUSE
from flocon.sites.sites import Sites
from flocon.sites.telling import describe, tell
from tests.datagrams.loopback_group import Reactor as Loopback
from tests.datagrams.loopback_group import free_port
from tests.datagrams.test_messages import REST
from tests.inline import InlinePool

LINKS = [Link("eth0", 2, (ip_interface("10.7.1.5/24"),))]
NEIGHBOUR, FAR = "10.7.1.9", "10.9.0.1"


class Reactor(Loopback):
    """With threads that run at once."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = InlinePool()

    def getThreadPool(self) -> InlinePool:  # noqa: N802
        return self.pool

    def callFromThread(self, call: Any, *arguments: Any) -> None:  # noqa: N802
        call(*arguments)


class Multicast:
    """Keeps what is said to the group."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.woken = 0

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def wake(self) -> None:
        self.woken += 1


class FarNodesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        identity = Identity("f" * 16, "0" * 8, "here")
        chance = random.Random(1)
        self.presence = Presence(
            identity,
            chance=chance,
            beat=30,
            port=19432,
            system="arch",
            abilities=frozenset({SITES}),
        )
        self.multicast = Multicast()
        self.asked: list[tuple[tuple[str, int], int]] = []
        self.answers: list[Deferred[str | None]] = []
        self.port = free_port()
        self.sent: list[tuple[tuple[str, int], bytes]] = []
        self.far = FarNodes(
            self.reactor,
            Sites(self.presence, chance=chance, port=self.port),
            self.presence,
            self.multicast,  # type: ignore[arg-type]
            port=self.port,
            ask=self.ask,
        )
        self.patch(UnicastProtocol, "send", lambda _, data, to: self.send(to, data))
        self.presence.networks_changed(0, LINKS)
        self.presence.start(0)

    def send(self, to: tuple[str, int], data: bytes) -> bool:
        self.sent.append((to, data))
        return True

    async def ask(self, place: tuple[str, int], since: int) -> str | None:
        self.asked.append((place, since))
        answer: Deferred[str | None] = Deferred()
        self.answers.append(answer)
        return await answer

    def start(self, *static: str, networks: tuple[str, ...] = ()) -> None:
        self.far.use(static, [ip_network(one) for one in networks])
        self.far.set_links(LINKS)
        self.far.startService()
        self.addCleanup(self.stop)
        self.reactor.advance(0)

    def stop(self) -> None:
        if self.far.running:
            self.far.stopService()
        self.reactor.advance(0)

    def test_without_a_setting_it_has_no_socket_and_no_timer(self) -> None:
        self.start()
        self.assertEqual((self.reactor.readers, self.reactor.getDelayedCalls()), ([], []))

    def test_with_one_it_has_a_socket_of_each_ip_version(self) -> None:
        self.start(FAR)
        self.assertEqual(len(self.reactor.readers), 2)
        self.far.use([], [])
        self.reactor.advance(0)
        self.assertEqual(self.reactor.readers, [])

    def test_whom_the_operator_names_is_greeted_with_what_was_said_last(self) -> None:
        self.start(FAR)
        self.assertEqual(self.sent, [((FAR, self.port), self.presence.last_said)])
        self.reactor.pump([0.5] * 70)
        self.assertEqual(len(self.sent), 6)

    def test_a_name_that_means_this_machine_is_not_greeted(self) -> None:
        self.start("10.7.1.5")
        self.assertEqual(self.sent, [])
        [told] = describe(self.far, self.presence)
        self.assertEqual(
            (told["state"], told["why"]), ("unknown", "it leads to this machine itself")
        )

    def test_a_named_host_that_writes_from_a_new_address_is_found_there(self) -> None:
        addresses = ["10.9.0.1"]
        self.patch(names_module, "_look_up_host", lambda _: list(addresses))
        self.patch(names_module, "in_own_thread", lambda _, __, call, host: succeed(call(host)))
        self.start("nas")
        addresses[:] = ["10.9.0.2"]
        self.reactor.advance(DOUBT_PAUSE)
        del self.sent[:]
        self.far._receive(("10.9.0.2", self.port), b"flocon 1\n")
        self.reactor.advance(0)
        self.assertEqual([place[0] for place, _ in self.sent], ["10.9.0.2"])

    def test_nor_is_an_own_address_on_a_link_without_multicast(self) -> None:
        """One list of names for all machines has those of a VPN, too."""
        self.far.sites.believing.permitted.own = lambda address: address == "10.8.0.1"
        self.start("10.8.0.1", "10.8.0.2")
        self.assertEqual([place[0] for place, _ in self.sent], ["10.8.0.2"])

    def test_the_kernel_is_asked_which_addresses_are_own(self) -> None:
        one = far_nodes(self.reactor, self.presence, self.multicast, None, 1)  # type: ignore[arg-type]
        self.assertIs(one.sites.believing.permitted.own, is_own)

    def test_who_is_told_of_is_asked_once_and_then_presence_knows_it(self) -> None:
        said = replace(REST, node="a" * 16, epoch="11111111", sequence=3, port=19432)
        self.presence.receive(0, NEIGHBOUR, encode(said))
        self.presence.answered(0, NEIGHBOUR, 19432, "11111111")
        self.start()
        there = replace(said, node="b" * 16, epoch="22222222", generation=7)
        data = encode_introduction(Introduction("a" * 16, FAR, there))
        self.far.event(Told(NEIGHBOUR, data))
        self.reactor.pump([0.1] * 16)
        self.assertEqual(self.asked, [((FAR, 19432), 7)])
        self.answers[0].callback("22222222")
        peer = self.presence.peer("b" * 16)
        assert peer is not None
        self.assertEqual((peer.far, peer.proved, peer.address), (True, True, FAR))
        self.assertGreater(self.multicast.woken, 0)
        self.assertEqual(self.far.sites.told_by("b" * 16), "a" * 16)

    def test_a_correspondent_is_told_what_the_group_is_and_the_group_of_it(self) -> None:
        self.start(FAR)
        said = encode(replace(REST, node="b" * 16, epoch="22222222", port=19432))
        self.far._receive((FAR, self.port), said)
        self.reactor.advance(0)
        self.answers[0].callback("22222222")
        for event in self.presence.take_events():
            self.far.event(event)
        self.sent.clear()
        self.far.said(b"what is said")
        self.assertIn(((FAR, self.port), b"what is said"), self.sent)
        self.reactor.advance(0.2)
        self.assertEqual(len(self.multicast.sent), 1)
        self.assertEqual(decode(said).node, "b" * 16)
        [told] = describe(self.far, self.presence)
        self.assertEqual((told["state"], told["peers"]), ("good", [REST.name]))

    def test_one_that_does_not_greet_back_and_is_known_all_the_same_is_not_silent(self) -> None:
        """As from behind a router that changes addresses: a neighbour has told of it."""
        self.test_who_is_told_of_is_asked_once_and_then_presence_knows_it()
        self.far.use([FAR], [])
        self.reactor.pump([0.5] * 20)
        [told] = describe(self.far, self.presence)
        self.assertEqual((told["state"], told["why"]), ("good", ""))
        self.assertEqual(list(tell(self.far, self.presence)), [])

    def test_a_question_that_still_runs_at_the_stop_tells_nobody(self) -> None:
        self.start(FAR)
        said = encode(replace(REST, node="b" * 16, epoch="22222222", port=19432))
        self.far._receive((FAR, self.port), said)
        self.reactor.advance(0)
        self.stop()
        self.assertIsNone(self.presence.peer("b" * 16))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_socket_that_was_lost_is_opened_again(self) -> None:
        self.start(FAR)
        for one in list(self.far._sockets.values()):
            one.transport.stopListening()
        self.reactor.advance(0)
        self.assertEqual(self.reactor.readers, [])
        self.reactor.advance(module.REOPEN)
        self.assertEqual(len(self.reactor.readers), 2)

    def test_a_port_that_another_program_has_is_said_and_had_once_it_is_free(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("", self.port))
            self.start(FAR)
            self.reactor.pump([module.REOPEN] * 10)
            self.assertEqual(len(self.reactor.readers), 1)
            self.assertIn("to itself", next(tell(self.far, self.presence))["reason"])
            self.assertEqual(self.far.counters["no IPv4 socket"], 11)
        self.reactor.advance(module.REOPEN)
        self.assertEqual((len(self.reactor.readers), self.far.taken), (2, set()))
        self.assertNotIn("to itself", next(tell(self.far, self.presence))["reason"])

    def test_the_doctor_tells_who_does_not_answer_and_what_leads_nowhere(self) -> None:
        self.start(FAR, "127.0.0.1")
        told = list(tell(self.far, self.presence))
        self.assertEqual([one["check"] for one in told], ["other networks"])
        self.assertIn("127.0.0.1 in peers.static leads nowhere", told[0]["reason"])
        self.assertIn("another machine's address", told[0]["remedy"])
        self.far.names.problems["srv:example.org"] = "DNS lists none"
        self.patch(self.far.names, "_names", ("srv:example.org",))
        [listed] = tell(self.far, self.presence)
        self.assertIn("service _flocon._tcp example.org", listed["remedy"])
        self.patch(self.far.names, "_names", (FAR, "127.0.0.1"))
        self.reactor.pump([0.5] * 20)
        told = list(tell(self.far, self.presence))
        self.assertIn(f"{FAR} in peers.static ({FAR}) does not answer", told[0]["reason"])
        self.assertTrue(all(one["remedy"] and one["wrong"] for one in told))

    def test_at_rest_it_wakes_up_for_greetings_alone(self) -> None:
        self.start(FAR)
        self.reactor.pump([1.0] * 60)
        before = len(self.sent)
        woken = self.multicast.woken
        self.reactor.pump([1.0] * 60)
        self.assertEqual(len(self.sent) - before, 4)
        self.assertLessEqual(self.multicast.woken - woken, 8)

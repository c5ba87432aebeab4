"""What DNS lists as the nodes of a domain, asked of a name server on the loopback."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import globalLogPublisher
from twisted.names import dns, server
from twisted.names.authority import FileAuthority
from twisted.names.common import ResolverBase
from twisted.trial.unittest import TestCase

from flocon.sites import dns as module
from flocon.sites.dns import hosts_listed


class _Authority(FileAuthority):
    """Knows the hosts of two domains."""

    records: Any
    soa: Any

    def __init__(self) -> None:
        # There is no file.
        ResolverBase.__init__(self)
        self._cache: dict[str, Any] = {}
        name = b"_flocon._tcp.example.org"
        records = [
            dns.Record_SRV(10, 1, 19432, b"second.example.org"),
            dns.Record_SRV(5, 1, 19432, b"first.example.org"),
            dns.Record_SRV(10, 9, 19432, b"weighty.example.org"),
        ]
        self.records = {name: records, b"_flocon._tcp.none.org": [dns.Record_SRV(0, 0, 0, b"")]}
        self.soa = b"example.org", dns.Record_SOA(b"example.org", b"root.example.org")


class _Short(DatagramProtocol):
    """Answers that the answer is too long for it."""

    transport: Any

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        message = dns.Message()
        message.fromStr(datagram)
        message.answer = message.trunc = 1
        self.transport.write(message.toStr(), addr)


class HostsListedTests(TestCase):
    def setUp(self) -> None:
        self.factory = factory = server.DNSServerFactory(authorities=[_Authority()])
        factory.noisy = False
        self.port: Any = reactor.listenUDP(  # type: ignore[attr-defined]
            0, dns.DNSDatagramProtocol(factory), interface="127.0.0.1"
        )
        self.addCleanup(self.port.stopListening)

    def listed(self, domain: str) -> Deferred[list[str]]:
        servers = [("127.0.0.1", self.port.getHost().port)]
        return Deferred.fromCoroutine(hosts_listed(reactor, domain, servers))

    async def test_the_hosts_come_by_priority_and_weight(self) -> None:
        hosts = await self.listed("example.org")
        self.assertEqual(hosts, ["first.example.org", "weighty.example.org", "second.example.org"])

    async def test_a_domain_of_which_none_are_listed_says_so(self) -> None:
        try:
            await self.listed("other.example.org")
        except OSError as error:
            self.assertIn("_flocon._tcp.other.example.org", str(error.strerror))
        else:
            self.fail("there is none")

    async def test_what_is_too_long_for_a_datagram_is_asked_for_by_a_stream(self) -> None:
        listening: Any = reactor
        stream = listening.listenTCP(0, self.factory, interface="127.0.0.1")
        self.addCleanup(stream.stopListening)
        number = stream.getHost().port
        port = listening.listenUDP(number, _Short(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        hosts = await hosts_listed(reactor, "example.org", [("127.0.0.1", number)])
        self.assertEqual(len(hosts), 3)

    async def test_a_root_for_a_host_means_that_there_is_none(self) -> None:
        self.assertEqual(await self.listed("none.org"), [])

    async def test_nothing_is_written_into_the_log(self) -> None:
        written: list[Any] = []
        observer: Any = written.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        await self.listed("example.org")
        self.assertEqual(written, [])

    async def test_a_server_that_answers_rubbish_or_nothing_is_said(self) -> None:
        self.patch(module, "TIMEOUTS", (0.1,))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            try:
                await hosts_listed(reactor, "example.org", [silent.getsockname()])
            except OSError as error:
                self.assertIn("127.0.0.1: no answer", str(error.strerror))
            else:
                self.fail("nobody answered")

    def test_what_is_no_answer_to_the_question_is_not_taken(self) -> None:
        question = dns.Message(7)
        question.addQuery(b"a.example", dns.SRV)
        other = dns.Message(7, answer=1)
        other.addQuery(b"b.example", dns.SRV)
        self.assertFalse(module._answers(other, question))
        for rubbish in (b"", b"\0" * 5, b"\xff" * 40, question.toStr()[:-3]):
            read = module._read(rubbish)
            self.assertTrue(read is None or not module._answers(read, question), rubbish)

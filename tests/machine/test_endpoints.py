"""What endpoint descriptions name, and how one is said that Twisted knows by itself."""

from __future__ import annotations

from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.endpoints import BACKLOG, as_tcp, with_backlog


def listened(description: str) -> tuple[int, int, str]:
    """Return the port, the backlog and the interface at which an endpoint listens."""
    reactor = MemoryReactor()
    serverFromString(reactor, description).listen(Factory())
    [(port, _, backlog, interface)] = reactor.tcpServers
    return port, backlog, interface


class AsTcpTests(SynchronousTestCase):
    def test_it_means_what_tcp6_means_to_twisted(self) -> None:
        for described in (
            "tcp6:19432",
            "tcp6:port=19432",
            r"tcp6:19432:interface=\:\:",
            r"tcp6:19432:interface=fe80\:\:1%eth0:backlog=7",
            "tcp6:19432:backlog=7",
        ):
            said = as_tcp(described)
            self.assertTrue(said.startswith("tcp:"), said)
            self.assertEqual(listened(said), listened(described))

    def test_what_is_no_tcp6_stays_as_it_is(self) -> None:
        for described in ("tcp:19432", r"tcp:1:interface=\:\:1", "unix:/run/x", "systemd:INET6:3"):
            self.assertEqual(as_tcp(described), described)

    def test_words_that_tcp_has_in_another_order_stay_as_they_are(self) -> None:
        described = r"tcp6:19432:7:\:\:1"
        self.assertEqual(as_tcp(described), described)


class WithBacklogTests(SynchronousTestCase):
    def test_a_rush_may_wait_where_nothing_is_said_of_it(self) -> None:
        for described, interface in (
            ("tcp:19432", ""),
            ("tcp:port=19432", ""),
            (r"tcp6:19432:interface=fe80\:\:1%eth0", "fe80::1%eth0"),
        ):
            said = listened(with_backlog(described))
            self.assertEqual(said, (19432, BACKLOG, interface))

    def test_what_its_operator_said_stays(self) -> None:
        for described in ("tcp:19432:backlog=7", r"tcp6:19432:7:\:\:1", "tcp:19432:127.0.0.1:7"):
            self.assertEqual(with_backlog(described), described)

    def test_what_listens_otherwise_stays(self) -> None:
        for described in ("unix:/run/x", "systemd:INET6:3", "tor:19432"):
            self.assertEqual(with_backlog(described), described)

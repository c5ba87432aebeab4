"""What caching proxies of the LAN are asked, and by which way: on the LAN, by names as they are."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred

from flocon.asking.answer import Head
from flocon.asking.fetch import Wanted
from flocon.asking.mirrors import LOOP_HEADER, MOST_REDIRECTS, loop_mark
from flocon.asking.proxies import ENVIRONMENT
from flocon.asking.resolving import Names
from flocon.asking.small import fetch_small_with_head
from flocon.errors import Broken, Refused, Unreachable
from flocon.parents.agent import ParentAgent
from tests.asking.test_mirrors import LIMITS, MirrorsTestCase, ok, redirect, status

NAME = "gtk++-1:2.0-1-x86_64.pkg.tar.zst"


class ParentAgentTests(MirrorsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.near = {"127.0.0.1"}
        self.found = {"nas": ["127.0.0.1"], "mirror.example.org": ["127.0.0.1"]}
        self.take({})

    def take(self, environment: dict[str, str]) -> None:
        agent = ParentAgent(
            reactor,
            2.0,
            names=Names(reactor, lambda name: self.found.get(name, [])),
            is_near=lambda address: address in self.near,
            environment=environment,
            proxy=ENVIRONMENT,
        )
        self.addCleanup(agent.closeCachedConnections)
        self.parents = agent

    def fetch(self, url: str) -> Deferred[tuple[Head, bytes]]:
        wanted = Wanted(url, "nas")
        return ensureDeferred(fetch_small_with_head(self.parents, reactor, wanted, LIMITS, 1_000))

    async def test_names_stand_in_it_as_they_are_and_in_no_other_way(self) -> None:
        server = self.serve(lambda _: status(404))
        with self.assertRaises(Refused):
            await self.fetch(f"http://nas:{server.port}/core/{NAME}")
        self.assertEqual(server.targets, [f"/core/{NAME}"])

    async def test_it_bears_this_nodes_mark(self) -> None:
        server = self.serve(lambda _: ok())
        head, data = await self.fetch(f"http://nas:{server.port}/")
        self.assertEqual((data, head.elsewhere), (b"body", ""))
        self.assertEqual(server.asked[0].headers[LOOP_HEADER.lower()], loop_mark())

    async def test_what_is_not_on_the_lan_is_not_connected_to(self) -> None:
        server = self.serve(lambda _: ok())
        self.near.clear()
        with self.assertRaises(Unreachable):
            await self.fetch(f"http://nas:{server.port}/")
        self.assertEqual(server.asked, [])

    async def test_no_proxy_of_the_operators_stands_in_between(self) -> None:
        server, proxy = self.serve(lambda _: ok()), self.serve(lambda _: status(403))
        self.take({"http_proxy": f"http://127.0.0.1:{proxy.port}"})
        await self.fetch(f"http://nas:{server.port}/")
        self.assertEqual((len(server.asked), proxy.asked), (1, []))

    async def test_where_it_sends_to_a_mirror_the_proxy_does_and_it_is_told(self) -> None:
        server = self.serve(lambda _: redirect("http://mirror.example.org/file"))
        proxy = self.serve(lambda _: ok(b"the mirror's"))
        self.take({"http_proxy": f"http://127.0.0.1:{proxy.port}"})
        head, data = await self.fetch(f"http://nas:{server.port}/file")
        self.assertEqual((head.elsewhere, data), ("mirror.example.org", b"the mirror's"))
        self.assertEqual(proxy.targets, ["http://mirror.example.org/file"])

    async def test_where_it_sends_on_within_itself_it_is_itself(self) -> None:
        server = self.serve(lambda asked: ok() if asked.target == "/b" else redirect("/b"))
        head, _ = await self.fetch(f"http://nas:{server.port}/a")
        self.assertEqual(head.elsewhere, "")

    async def test_it_may_send_on_so_often_and_no_more(self) -> None:
        server = self.serve(lambda asked: redirect(asked.target + "x"))
        with self.assertRaises(Broken):
            await self.fetch(f"http://nas:{server.port}/")
        self.assertEqual(len(server.asked), MOST_REDIRECTS + 1)

    async def test_it_sends_nobody_to_this_machine(self) -> None:
        own = self.serve(lambda _: ok())
        server = self.serve(lambda _: redirect(f"http://localhost:{own.port}/"))
        with self.assertRaises((Broken, Unreachable)):
            await self.fetch(f"http://nas:{server.port}/")
        self.assertEqual(own.asked, [])

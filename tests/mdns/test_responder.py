"""What the thread of mDNS does, with a library that is played."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from ipaddress import IPv4Interface
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.links import Link
from flocon.mdns import responder as responder_module
from flocon.mdns.responder import MOST, Responder
from flocon.mdns.rests import FIRST, FIRST_TRY, MOST_REMEMBERED
from flocon.mdns.services import FLOCON, PACSERVE, Found, Names, Own, Wish
from flocon.mdns.sieve import Sieve
from tests.mdns.test_services import found
from tests.mdns.virtual_loop import run

LINKS = (Link("eth0", 2, (IPv4Interface("10.0.0.1/24"),)),)
OTHERS = (Link("eth0", 2, (IPv4Interface("10.0.0.7/24"),)),)
OWN = Own("0123456789abcdef", "89abcdef", "ada", 19432, "arch", ("x86_64",))
WISH = Wish(LINKS, OWN)


class Network:
    """What the played libraries share: services that are there, names that others have."""

    def __init__(self) -> None:
        self.services: dict[tuple[str, str], Found] = {}
        self.taken: set[str] = set()
        self.remembered = 0
        self.problem: Exception | None = None
        self.opened: list[PlayedLibrary] = []

    def open(self, links: tuple[Link, ...], sieve: Sieve, **told: Any) -> PlayedLibrary:
        if self.problem is not None:
            raise self.problem
        self.opened.append(PlayedLibrary(self, links, **told))
        return self.opened[-1]


class PlayedLibrary:
    """An instance of the library: ``said`` is what it announced, in order."""

    def __init__(
        self,
        network: Network,
        links: tuple[Link, ...],
        *,
        heard: Callable[[str, str], None],
        left: Callable[[str, str], None],
        clashed: Callable[[], None],
    ) -> None:
        self._network = network
        self.links = links
        self.networks: object = ()
        self.heard, self.left, self.clashed = heard, left, clashed
        self.said: list[object] = []
        self.asked: list[float] = []
        self.closed = False

    async def begin(self) -> None:
        for kind, name in self._network.services:
            self.heard(kind, name)

    @property
    def remembered(self) -> int:
        return self._network.remembered

    async def look_up(self, kind: str, name: str) -> Found | None:
        await asyncio.sleep(0.1)
        return self._network.services.get((kind, name))

    async def is_taken(self, names: Names) -> bool:
        return names.host in self._network.taken

    async def announce(self, own: Own, names: Names) -> bool:
        if names.instance in self._network.taken:
            return False
        self.said.append((own, names.host))
        return True

    async def renew(self, own: Own, names: Names) -> None:
        self.said.append(("renewed", own, names.host))

    async def withdraw(self) -> None:
        self.said.append("goodbye")

    async def be_on(self, links: tuple[Link, ...]) -> None:
        self.links = links

    def ask(self) -> None:
        self.asked.append(asyncio.get_running_loop().time())
        for kind, name in self._network.services:
            self.heard(kind, name)

    async def close(self) -> None:
        self.said.append("goodbye")
        self.closed = True


class ResponderTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network()
        self.patch(responder_module, "Library", self.network.open)
        self.told: list[tuple[str, tuple[Found, ...]]] = []
        self.failures: list[BaseException] = []
        self.asleep = 0.0

    def play(self, script: Callable[[Responder], Coroutine[Any, Any, None]]) -> None:
        """Run a responder beside a script, in virtual time, and stop it."""

        async def both() -> None:
            loop = asyncio.get_running_loop()
            one = Responder(
                loop,
                Sieve(),
                tell=lambda kind, all_of: self.told.append((kind, all_of)),
                failed=self.failures.append,
                asleep=lambda: self.asleep,
            )
            running = loop.create_task(one.run())
            try:
                await script(one)
            finally:
                one.stop()
                await running

        run(both())

    @property
    def library(self) -> PlayedLibrary:
        return self.network.opened[-1]

    def pacserve(self, name: str, **changed: object) -> Found:
        one = found(name, **changed)
        self.network.services[PACSERVE, name] = one
        return one


class Announcing(ResponderTestCase):
    def test_nothing_is_opened_without_a_link(self) -> None:
        async def script(one: Responder) -> None:
            one.ask(Wish((), OWN))
            await asyncio.sleep(60)

        self.play(script)
        self.assertEqual(self.network.opened, [])

    def test_it_announces_and_says_goodbye(self) -> None:
        async def script(one: Responder) -> None:
            one.ask(WISH)
            await asyncio.sleep(5)
            self.assertEqual(one.names, Names("flocon on ada", "ada-flocon"))

        self.play(script)
        self.assertEqual(self.library.said, [(OWN, "ada-flocon"), "goodbye"])
        self.assertTrue(self.library.closed)

    def test_what_changed_is_said_under_the_same_name(self) -> None:
        changed = replace(OWN, architectures=("x86_64", "any"))

        async def script(one: Responder) -> None:
            one.ask(WISH)
            await asyncio.sleep(5)
            one.ask(Wish(LINKS, changed))
            await asyncio.sleep(5)

        self.play(script)
        self.assertEqual(self.library.said[1], ("renewed", changed, "ada-flocon"))

    def test_another_name_is_taken_after_a_goodbye(self) -> None:
        async def script(one: Responder) -> None:
            one.ask(WISH)
            await asyncio.sleep(5)
            one.ask(Wish(LINKS, replace(OWN, name="grace")))
            await asyncio.sleep(5)

        self.play(script)
        self.assertEqual(self.library.said[1], "goodbye")
        self.assertEqual(self.library.said[2][1], "grace-flocon")  # type: ignore[index]

    def test_other_links_are_followed_and_told(self) -> None:
        async def script(one: Responder) -> None:
            one.ask(WISH)
            await asyncio.sleep(5)
            one.ask(Wish(OTHERS, OWN))
            await asyncio.sleep(5)

        self.play(script)
        self.assertEqual(self.library.links, OTHERS)
        self.assertEqual(self.library.said[1], ("renewed", OWN, "ada-flocon"))

    def test_links_that_were_made_anew_are_joined_anew(self) -> None:
        """A bridge, or an adapter that was pulled, has the same address and another number."""

        async def script(one: Responder) -> None:
            one.ask(WISH)
            await asyncio.sleep(5)
            one.ask(Wish((replace(LINKS[0], index=7),), OWN))
            await asyncio.sleep(5)
            self.assertEqual([each.closed for each in self.network.opened], [True, False])
            self.assertIsNotNone(one.names)

        self.play(script)

    def test_without_links_it_is_closed_and_opened_again(self) -> None:
        async def script(one: Responder) -> None:
            for wish in (WISH, Wish((), OWN), WISH):
                one.ask(wish)
                await asyncio.sleep(5)

        self.play(script)
        self.assertEqual([one.closed for one in self.network.opened], [True, True])


class Clashing(ResponderTestCase):
    def test_a_name_that_is_taken_gets_the_id(self) -> None:
        for taken in ("ada-flocon", "flocon on ada"):
            self.network.taken = {taken}

            async def script(one: Responder) -> None:
                one.ask(WISH)
                await asyncio.sleep(5)
                self.assertTrue(one.has_clashed)

            self.play(script)
            self.assertEqual(self.library.said[0], (OWN, "ada-01234567-flocon"), taken)

    def test_who_comes_later_has_it_renamed_once(self) -> None:
        async def script(one: Responder) -> None:
            one.ask(WISH)
            await asyncio.sleep(5)
            for _ in range(100):
                self.library.clashed()
                await asyncio.sleep(1)

        self.play(script)
        said = [(OWN, "ada-flocon"), "goodbye", (OWN, "ada-01234567-flocon"), "goodbye"]
        self.assertEqual(self.library.said, said)

    def test_on_another_network_it_bears_its_own_name_again(self) -> None:
        away = (Link("eth0", 2, (IPv4Interface("10.5.0.1/24"),)),)
        for between in ((), away, OTHERS):
            self.network.taken = {"ada-flocon"}

            async def script(one: Responder, between: tuple[Link, ...] = between) -> None:
                one.ask(WISH)
                await asyncio.sleep(5)
                self.assertTrue(one.has_clashed)
                self.network.taken = set()
                for links in (between, between or LINKS):
                    one.ask(Wish(links, OWN))
                    await asyncio.sleep(5)
                # The same network, where another address is this machine's, is no other one.
                self.assertEqual(one.has_clashed, between == OTHERS)

            self.play(script)

    def test_where_every_name_is_taken_it_stands_still(self) -> None:
        self.network.taken = {"flocon on ada", "flocon on ada (01234567)"}

        async def script(one: Responder) -> None:
            one.ask(WISH)
            await asyncio.sleep(5)
            self.assertIn("answers to this node's names", one.why)

        self.play(script)
        self.assertTrue(self.library.closed)


class Finding(ResponderTestCase):
    def test_what_is_there_is_told_and_that_it_left(self) -> None:
        one = self.pacserve("a")

        async def script(responder: Responder) -> None:
            responder.ask(WISH)
            await asyncio.sleep(5)
            self.library.left(PACSERVE, "a")
            await asyncio.sleep(5)

        self.play(script)
        self.assertEqual(self.told, [(PACSERVE, (one,)), (PACSERVE, ())])

    def test_a_stop_ends_all_that_was_found(self) -> None:
        self.pacserve("a")

        async def script(responder: Responder) -> None:
            responder.ask(WISH)
            await asyncio.sleep(5)

        self.play(script)
        self.assertEqual(self.told[-1], (PACSERVE, ()))

    def test_nodes_among_pacserves_are_left_out(self) -> None:
        self.pacserve("a", texts=("id=arch", "flocon=0123456789abcdef"))
        other = self.pacserve("b")

        async def script(responder: Responder) -> None:
            responder.ask(WISH)
            await asyncio.sleep(5)
            self.assertEqual(self.told, [(PACSERVE, (other,))])

        self.play(script)

    def test_this_node_is_not_found_by_itself(self) -> None:
        async def script(responder: Responder) -> None:
            responder.ask(WISH)
            await asyncio.sleep(5)
            name = f"flocon on ada.{FLOCON}"
            self.network.services[FLOCON, name] = found("flocon on ada")
            self.library.heard(FLOCON, name)
            await asyncio.sleep(5)

        self.play(script)
        self.assertEqual(self.told, [])

    def test_many_at_once_are_told_together_and_within_the_bound(self) -> None:
        for number in range(1_000):
            self.pacserve(f"x{number:04}")

        async def script(responder: Responder) -> None:
            responder.ask(WISH)
            await asyncio.sleep(10)

        self.play(script)
        self.assertLessEqual(len(self.told), 12)
        self.assertEqual(max(len(all_of) for _, all_of in self.told), MOST[PACSERVE])

    def test_a_machine_that_was_switched_off_is_missed_within_minutes(self) -> None:
        self.pacserve("a")

        async def script(responder: Responder) -> None:
            responder.ask(WISH)
            await asyncio.sleep(30)
            del self.network.services[PACSERVE, "a"]
            await asyncio.sleep(270)
            self.assertEqual(self.told[-1], (PACSERVE, ()))

        self.play(script)


class Resting(ResponderTestCase):
    def test_a_flood_ends_it_for_a_while(self) -> None:
        self.pacserve("a")

        async def script(responder: Responder) -> None:
            responder.ask(WISH)
            await asyncio.sleep(5)
            self.network.remembered = MOST_REMEMBERED + 1
            await asyncio.sleep(10)
            self.assertTrue(self.library.closed)
            self.assertIn("without end", responder.why)
            self.assertEqual(self.told[-1], (PACSERVE, ()))
            self.network.remembered = 0
            await asyncio.sleep(FIRST + 5)
            self.assertEqual(responder.why, "")
            self.assertEqual(len(self.network.opened), 2)

        self.play(script)

    def test_after_a_sleep_all_is_found_and_told_anew(self) -> None:
        async def script(responder: Responder) -> None:
            responder.ask(WISH)
            await asyncio.sleep(5)
            self.asleep = 5.0
            await asyncio.sleep(15)
            self.assertEqual(len(self.network.opened), 1)
            self.asleep = 3_600.0
            await asyncio.sleep(15)
            self.assertEqual(len(self.network.opened), 2)
            self.assertIsNotNone(responder.names)

        self.play(script)

    def test_a_port_that_cannot_be_had_is_tried_again(self) -> None:
        self.network.problem = OSError(98, "Address already in use")

        async def script(responder: Responder) -> None:
            responder.ask(WISH)
            await asyncio.sleep(FIRST_TRY / 2)
            self.assertEqual(responder.why, "a program has UDP port 5353 to itself")
            self.network.problem = None
            await asyncio.sleep(FIRST_TRY)
            self.assertIsNotNone(responder.names)

        self.play(script)
        self.assertEqual(len(self.failures), 1)

    def test_other_links_do_not_end_a_rest(self) -> None:
        self.network.problem = OSError(98, "Address already in use")

        async def script(responder: Responder) -> None:
            for number in range(20):
                responder.ask(Wish(LINKS if number % 2 else OTHERS, OWN))
                await asyncio.sleep(0.1)

        self.play(script)
        self.assertEqual(len(self.failures), 1)

"""When the thread of mDNS asks again who is there, with a library that is played."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Interface

from flocon.machine.links import Link
from flocon.mdns.responder import ASK_EVERY, Responder
from flocon.mdns.services import PACSERVE, Wish
from tests.mdns.test_responder import LINKS, OWN, WISH, ResponderTestCase


class AskingAgain(ResponderTestCase):
    """Whoever was cut off from this machine for a while announces itself to nobody."""

    def test_one_that_was_cut_off_is_found_again(self) -> None:
        one = self.pacserve("a")

        async def script(responder: Responder) -> None:
            responder.ask(WISH)
            await asyncio.sleep(5)
            self.library.left(PACSERVE, "a")
            await asyncio.sleep(ASK_EVERY + 5)

        self.play(script)
        self.assertEqual(self.told[:3], [(PACSERVE, (one,)), (PACSERVE, ()), (PACSERVE, (one,))])

    def test_on_another_link_it_is_asked_who_is_there(self) -> None:
        wifi = Link("wlan0", 3, (IPv4Interface("10.1.0.1/24"),))

        async def script(responder: Responder) -> None:
            responder.ask(WISH)
            await asyncio.sleep(10)
            one = self.pacserve("a")
            responder.ask(Wish((*LINKS, wifi), OWN))
            await asyncio.sleep(5)
            self.assertEqual(self.told, [(PACSERVE, (one,))])
            self.assertEqual(len(self.library.asked), 3)

        self.play(script)

    def test_it_is_asked_seldom(self) -> None:
        async def script(responder: Responder) -> None:
            responder.ask(WISH)
            await asyncio.sleep(3_600)

        self.play(script)
        self.assertLess(len(self.library.asked), 13)

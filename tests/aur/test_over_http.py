"""The AUR's RPC, asked over real connections of the stand-in for the AUR."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from twisted.internet import reactor as real_reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from flocon.asking.mirrors import MirrorAgent, mirror_agent
from flocon.aur.aur import Aur
from flocon.errors import Refused, SourceError
from tests.aur.recipes import recipe
from tests.aur.standin import StandIn
from tests.needs import leave_out

reactor: Any = real_reactor


class OverHttp(TestCase):
    timeout = 60

    def setUp(self) -> None:
        leave_out("" if shutil.which("git") else "git cannot be found")
        self.stand_in = StandIn(Path(self.mktemp()).absolute())
        self.site = self.stand_in.serve()
        self.addCleanup(self.site.stop)
        # A proxy of this machine's is none of this test's.
        agent, closing = mirror_agent(reactor, 5.0, "")
        self.addCleanup(self.close, closing)
        self.aur = Aur(reactor, agent, self.site.address)

    async def close(self, agent: MirrorAgent) -> None:
        # One whose answer nobody read is put back once its end was seen.
        await deferLater(reactor, 0)
        await agent.closeCachedConnections()

    async def test_what_was_pushed_is_known(self) -> None:
        files = recipe("foo++", "1:2-3", names=["foo++", "foo-doc"], depends=["bar>=1"])
        self.stand_in.push("foo++", files, when=1_000)
        found = await self.aur.info(["foo++", "foo-doc", "none"])
        self.assertEqual([*found], ["foo++", "foo-doc"])
        self.assertEqual(found["foo-doc"].base, "foo++")
        self.assertEqual(found["foo++"].version, "1:2-3")
        self.assertEqual(found["foo++"].depends, ("bar>=1",))
        self.assertEqual(found["foo++"].last_modified, 1_000)

    async def test_what_is_unchanged_is_not_sent_again(self) -> None:
        self.stand_in.push("foo", recipe("foo"))
        first = await self.aur.info(["foo"])
        self.assertEqual(await self.aur.info(["foo"]), first)
        (sent, again) = self.site.answered()
        self.assertEqual((sent, again), (200, 304))
        self.stand_in.push("foo", recipe("foo", "2-1"))
        self.assertEqual((await self.aur.info(["foo"]))["foo"].version, "2-1")

    async def test_hundreds_are_asked_for_in_a_few_questions(self) -> None:
        names = [f"package-with-a-long-name-{number}" for number in range(500)]
        self.assertEqual(await self.aur.info(names), {})
        self.assertLessEqual(len(self.stand_in.asked()), 6)

    async def test_a_name_that_another_package_provides_is_found(self) -> None:
        self.stand_in.push("foo-git", recipe("foo-git", provides=["foo=1"]))
        (found,) = await self.aur.search_provides("foo")
        self.assertEqual(found.name, "foo-git")

    async def test_the_time_it_asks_for_is_given_to_it(self) -> None:
        self.stand_in.trouble(429, retry_after=1_000)
        with self.assertRaises(Refused) as caught:
            await self.aur.info(["foo"])
        self.assertEqual((caught.exception.status, caught.exception.retry_after), (429, 1_000.0))
        self.stand_in.trouble(None)
        self.stand_in.asked()
        with self.assertRaises(SourceError):
            await self.aur.info(["foo"], urgent=True)
        self.assertEqual(self.stand_in.asked(), [])

    async def test_one_that_hangs_up_has_failed(self) -> None:
        self.stand_in.trouble(0)
        with self.assertRaises(SourceError):
            await self.aur.info(["foo"])

"""A person is told once, by each way that is set."""

from __future__ import annotations

import json
import os
import shlex
from base64 import b64encode
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from flocon.approving import notices
from flocon.approving.messages import message
from flocon.approving.notices import APART, MOST_TOLD, OF_ONE, TOGETHER, Notices
from flocon.settings.settings import Build
from tests.builds.told import builds, watched
from tests.connections.floods import FloodFactory
from tests.fakes import FakeReactor


class Whether(SynchronousTestCase):
    """What is told, and how often; by the journal alone."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.file = Path(self.mktemp())
        self.told = builds()
        self.begin()

    def begin(self) -> None:
        self.notices = Notices(self.reactor, Build, lambda: self.told, lambda: "nas", self.file)
        self.said: list[str] = []
        self.patch(self.notices, "_log", self)

    def warn(self, _: str, text: str) -> None:
        self.said.append(text)

    def change(self, *recipes: dict[str, Any], seconds: float = APART + TOGETHER) -> list[str]:
        self.told = builds(*recipes)
        self.notices.changed()
        self.reactor.advance(seconds)
        said, self.said[:] = [*self.said], []
        return said

    def test_what_waits_is_told_once(self) -> None:
        self.assertEqual(self.change(watched()), ["flocon on nas: paru waits for you: paru"])
        self.assertEqual(self.change(watched()), [])

    def test_what_does_not_is_not(self) -> None:
        self.assertEqual(self.change(watched(stage="published")), [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_the_next_thing_that_waits_of_it_is(self) -> None:
        self.change(watched())
        self.assertEqual(len(self.change(watched(notice="another"))), 1)

    def test_commits_of_one_recipe_are_not_told_each_time(self) -> None:
        told = [
            self.change(watched(notice=f"waits paru {number}"), seconds=3_600.0)
            for number in range(24)
        ]
        self.assertEqual(len([said for said in told if said]), 4)
        # The last one is told some time later, and others are told at once.
        others = self.change(watched(notice="waits paru 23"), watched("yay", notice="waits yay 1"))
        self.assertEqual(others, ["flocon on nas: yay waits for you: yay"])
        self.reactor.advance(OF_ONE)
        self.assertEqual(self.said, ["flocon on nas: paru waits for you: paru"])

    def test_a_commit_that_was_decided_of_is_not_told_later(self) -> None:
        self.change(watched(notice="waits paru 1"))
        self.change(watched(notice="waits paru 2"))
        self.change(watched(stage="published"))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_nor_again_after_a_new_start(self) -> None:
        self.change(watched())
        self.begin()
        self.assertEqual(self.change(watched()), [])

    def test_what_comes_together_is_told_together(self) -> None:
        self.assertEqual(self.change(watched("a"), seconds=TOGETHER / 2), [])
        self.assertEqual(
            self.change(watched("a"), watched("b")), ["flocon on nas: 2 recipes wait for you: a, b"]
        )

    def test_two_messages_are_apart(self) -> None:
        self.change(watched("a"), seconds=TOGETHER)
        self.assertEqual(self.change(watched("b"), seconds=APART - TOGETHER), [])
        self.assertEqual(len(self.change(watched("b"), seconds=2 * TOGETHER)), 1)

    def test_what_was_decided_meanwhile_is_not_told(self) -> None:
        self.change(watched(), seconds=TOGETHER / 2)
        self.assertEqual(self.change(watched(stage="queued")), [])

    def test_what_is_remembered_is_bounded(self) -> None:
        for part in range(3):
            few = (watched(f"{part}-{number}") for number in range(MOST_TOLD // 2))
            self.change(*few)
        self.assertEqual(len(json.loads(self.file.read_text())), MOST_TOLD)

    def test_a_damaged_note_harms_nothing(self) -> None:
        self.file.write_text('{"a": 1}')
        self.begin()
        self.assertEqual(len(self.change(watched())), 1)

    def test_at_the_end_nothing_is_told(self) -> None:
        self.change(watched(), seconds=0)
        self.notices.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class _Takes(Resource):
    isLeaf = True

    def __init__(self, status: int) -> None:
        super().__init__()
        self._status = status
        self.taken: list[tuple[bytes, bytes]] = []
        self.asked: list[tuple[str | None, ...]] = []

    def render(self, request: Request) -> bytes:
        assert request.content is not None
        self.taken.append((request.getHeader("Title") or "", request.content.read()))  # type: ignore[arg-type]
        self.asked.append((request.getHeader("Host"), request.getHeader("Authorization")))
        request.setResponseCode(self._status)
        return b"x" * 100_000


class How(TestCase):
    """The ways, as they are."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    async def tell(self, **set_: Any) -> dict[str, str]:
        """Have a recipe told of; return what went wrong."""
        telling = Notices(
            installed, lambda: Build(**set_), builds, lambda: "nas", self.folder / "told.json"
        )
        self.patch(telling, "_log", self)
        await telling.tell(message([watched()], "nas"))
        return telling.problems

    def warn(self, *_: Any, **__: Any) -> None:
        """Take what the journal would."""

    def program(self, text: str, name: str = "tell") -> str:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    async def test_a_program_is_given_names_and_the_text(self) -> None:
        said = self.folder / "said"
        there = shlex.quote(str(said))
        program = self.program(f'echo "$@" > {there}; cat >> {there}')
        self.assertEqual(await self.tell(notify_command=(program, "admins")), {})
        first, second, *_ = said.read_text().splitlines()
        self.assertEqual((first, second), ("admins paru", "paru 2.0-1: waits for a person"))

    async def test_one_that_fails_is_told_of_with_its_last_words(self) -> None:
        program = self.program("cat >/dev/null; echo one >&2; echo no network >&2; exit 3")
        problems = await self.tell(notify_command=(program,))
        self.assertEqual(problems, {"notify_command": f"{program}: no network"})

    async def test_one_that_is_not_there_is_told_of(self) -> None:
        problems = await self.tell(notify_command=("/nonexistent",))
        self.assertEqual(problems, {"notify_command": "/nonexistent: is not installed"})

    async def test_a_mail_goes_to_sendmail(self) -> None:
        there = shlex.quote(f"{self.folder}/said")
        self.program(f'echo "$@" > {there}; cat >> {there}', "sendmail")
        path = f"{self.folder}:{os.environ['PATH']}"
        self.patch(os, "environ", {**os.environ, "PATH": path})
        self.assertEqual(await self.tell(notify_mail="root"), {})
        said = (self.folder / "said").read_text()
        self.assertTrue(said.startswith("-i -- root\nTo: root\nSubject: flocon on nas: paru waits"))

    async def serve(self, status: int) -> tuple[str, _Takes]:
        takes = _Takes(status)
        listening: Any = installed.listenTCP(0, Site(takes), interface="127.0.0.1")  # type: ignore[arg-type]  # stubs: a Site is a factory
        self.addCleanup(listening.stopListening)
        return f"http://127.0.0.1:{listening.getHost().port}/topic", takes

    async def test_an_address_is_sent_the_text(self) -> None:
        url, takes = await self.serve(200)
        self.assertEqual(await self.tell(notify_url=url), {})
        [(title, body)] = takes.taken
        self.assertEqual(title, "flocon on nas: paru waits for you")
        self.assertTrue(body.startswith(b"paru 2.0-1: waits"))

    async def test_a_password_is_told_to_it_and_to_nobody_else(self) -> None:
        url, takes = await self.serve(200)
        place = url.removeprefix("http://").partition("/")[0]
        with_password = url.replace(place, f"ann:se%20cret@{place}")
        self.assertEqual(await self.tell(notify_url=with_password), {})
        self.assertEqual(takes.asked, [(place, f"Basic {b64encode(b'ann:se cret').decode()}")])
        problems = await self.tell(notify_url=f"{with_password}\u00e9")
        self.assertEqual(problems, {"notify_url": "not an address that can be asked"})

    async def test_one_that_refuses_is_told_of(self) -> None:
        url, _ = await self.serve(403)
        problems = await self.tell(notify_url=url)
        self.assertEqual(problems, {"notify_url": "the address: answered 403"})

    async def test_one_that_answers_without_end_is_left(self) -> None:
        again = {
            b"": b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000,
            b"HTTP/1.1 200 OK\r\n": b"a: b\r\n" * 10_000,
            b"HTTP/1.1 200 OK\r\nb: ": b"b" * 60_000,
        }
        for beginning, more in again.items():
            flood = FloodFactory(beginning, more)
            listening: Any = installed.listenTCP(0, flood, interface="127.0.0.1")
            self.addCleanup(listening.stopListening)
            url = f"http://127.0.0.1:{listening.getHost().port}/topic"
            problems = await self.tell(notify_url=url)
            self.assertIn("notify_url", problems)
            self.assertNotEqual(problems["notify_url"], "did not answer in time")

    async def test_one_that_says_nothing_is_told_of_in_a_sentence(self) -> None:
        self.patch(notices, "PATIENCE", 0.05)
        silent: Any = Factory.forProtocol(Protocol)
        listening: Any = installed.listenTCP(0, silent, interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        url = f"http://127.0.0.1:{listening.getHost().port}/topic"
        self.assertEqual(await self.tell(notify_url=url), {"notify_url": "did not answer in time"})

"""The keys of a repository, over restarts and kills."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.errors import RepositoryError
from flocon.signing.gpg import Gpg
from flocon.signing.keyholder import Keyholder, has_keys, make, sweep, user_of

NOW = 1_800_000_000.5


class KeyholderTests(TestCase):
    def setUp(self) -> Deferred[None]:  # type: ignore[override]
        folder = tempfile.TemporaryDirectory(prefix="flocon-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name, "keys", "home")
        self.now = NOW
        return Deferred.fromCoroutine(self.begin())

    async def begin(self) -> None:
        self.holder = await make(reactor, self.folder, "home", "nas", self.wall)
        self.addCleanup(lambda: self.do(self.holder.rest()))

    def wall(self) -> float:
        return self.now

    def do(self, coroutine: Coroutine[Any, Any, None]) -> Deferred[None]:
        return Deferred.fromCoroutine(coroutine)

    def again(self) -> Keyholder:
        """Return what another process would find."""
        return Keyholder(reactor, self.folder, "home", self.wall)

    def test_another_process_finds_the_same_keys(self) -> None:
        self.holder.begin()
        self.assertEqual(self.again().keys, self.holder.keys)

    def test_nobody_else_can_read_them(self) -> None:
        for path in (self.folder, self.folder.parent, self.folder / "keys.json"):
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)

    def test_each_second_is_later_than_the_one_before(self) -> None:
        self.now += 10
        first = self.holder.begin()
        self.assertEqual(first, int(self.now))
        self.assertEqual(self.holder.begin(), first + 1)
        self.now -= 86_400
        self.assertEqual(self.holder.begin(), first + 2)

    def test_no_signature_is_older_than_the_key(self) -> None:
        self.now -= 86_400
        self.assertGreater(self.holder.begin(), int(NOW))

    def test_a_second_is_given_once_whatever_ends_the_program(self) -> None:
        first = self.holder.begin()
        self.assertEqual(self.again().begin(), first + 1)

    def test_a_second_is_later_than_what_others_have(self) -> None:
        # The signer's home was put back from an older copy.
        self.assertEqual(self.holder.begin(published=int(NOW) + 50), int(NOW) + 51)

    def test_another_key_is_announced_before_it_signs(self) -> Deferred[None]:
        async def run() -> None:
            first = self.holder.keys.current
            await self.holder.prepare("nas")
            self.assertEqual(self.holder.keys.current, first)
            second = self.holder.keys.next
            self.assertEqual(self.holder.keys.handed_out, (first, second))
            with self.assertRaises(RepositoryError) as caught:
                await self.holder.prepare("nas")
            self.assertIn("already", str(caught.exception))
            self.holder.switch()
            self.assertEqual(self.again().keys.current, second)
            self.assertEqual(self.again().keys.revoked, (first,))
            self.assertTrue(self.again().keys.is_switching)
            self.holder.switched()
            self.assertFalse(self.again().keys.is_switching)

        return self.do(run())

    def test_there_is_no_switch_without_another_key(self) -> None:
        self.assertRaises(RepositoryError, self.holder.switch)

    def test_keys_that_a_kill_left_half_made_go(self) -> None:
        left = self.folder.with_name(".abc")
        left.mkdir()
        (left / "gnupg").mkdir()
        sweep(self.folder.parent)
        self.assertFalse(left.exists())
        self.assertTrue(has_keys(self.folder))

    def test_damaged_keys_are_said_to_be(self) -> None:
        path = self.folder / "keys.json"
        good = json.loads(path.read_text())
        for change in (
            {"current": "x"},
            {"next": 7},
            {"revoked": ["x"]},
            {"signed": "x"},
        ):
            path.write_text(json.dumps({**good, **change}))
            self.assertIn("damaged", str(self.assertRaises(RepositoryError, self.again)))
        for text in ("", "[", "[]", "{}", "[" * 10_000):
            path.write_text(text)
            self.assertIn("damaged", str(self.assertRaises(RepositoryError, self.again)))

    def test_what_fails_while_keys_are_made_leaves_nothing(self) -> Deferred[None]:
        other = self.folder.with_name("other")

        async def fail(*_: object) -> str:
            raise RepositoryError("gpg makes no key", "")

        self.patch(Gpg, "make_key", fail)

        async def run() -> None:
            made = Deferred.fromCoroutine(make(reactor, other, "other", "nas", self.wall))
            await self.assertFailure(made, RepositoryError)
            self.assertEqual([path.name for path in other.parent.iterdir()], ["home"])

        return self.do(run())

    def test_a_lost_home_is_no_repository(self) -> None:
        shutil.rmtree(self.folder / "gnupg")
        (self.folder / "keys.json").unlink()
        self.assertFalse(has_keys(self.folder))


class UserTests(SynchronousTestCase):
    def test_a_key_says_what_it_is_for_and_where(self) -> None:
        self.assertEqual(user_of("home", "nas"), "home repository <flocon@nas>")

    def test_a_hosts_name_can_be_anything(self) -> None:
        for host, wanted in (("", "localhost"), ("a b>", "a-b"), ("x" * 300, "x" * 200)):
            self.assertEqual(user_of("home", host), f"home repository <flocon@{wanted}>")

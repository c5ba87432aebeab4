"""What anybody may read of a repository is what the signer says of it."""

from __future__ import annotations

import shutil
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from flocon.errors import RepositoryError
from flocon.publishing.keys import lines
from flocon.publishing.published import may_ask, read_key, read_list
from tests.signing.case import SignerCase, made


class PublishedTests(SignerCase):
    async def same_list(self) -> None:
        told = await self.told("list", repository="home")
        self.assertEqual(read_list(self.published, "home"), told)

    async def same_key(self) -> dict[str, Any]:
        told = await self.told("key", repository="home")
        found = await read_key(reactor, self.published, "home")
        self.assertEqual(found, {name: told[name] for name in found})
        # The rest is of what only the signer has.
        self.assertEqual(told.keys() - found.keys(), {"key", "home", "revocation"})
        self.assertTrue([*lines(found)])
        return found

    def test_packages_and_older_versions(self) -> Deferred[None]:
        async def run() -> None:
            await self.told("init", name="home")
            await self.same_list()
            for version in ("1.0-1", "2.0-1"):
                await self.told("add", [made("foo", version), made("bar", version)], trusted=True)
            await self.told("rollback", package="foo")
            await self.same_list()

        return self.do(run())

    def test_keys_that_take_each_others_place(self) -> Deferred[None]:
        async def run() -> None:
            await self.told("init", name="home")
            first = await self.same_key()
            await self.told("replace")
            both = await self.same_key()
            self.assertTrue(both["next"])
            await self.told("switch")
            last = await self.same_key()
            self.assertEqual(last["fingerprint"], both["next"])
            self.assertEqual(last["revoked"], [first["fingerprint"]])

        return self.do(run())

    def test_which_one_has_to_be_said_where_there_are_several(self) -> Deferred[None]:
        async def run() -> None:
            for name, problem in (("", "nothing is published"), ("home", "nothing is published")):
                error = self.assertRaises(RepositoryError, read_list, self.published, name)
                self.assertIn(problem, str(error))
            await self.told("init", name="home")
            self.assertEqual(read_list(self.published, "")["name"], "home")
            await self.told("init", name="office")
            for name, problem in (("", "home, office"), ("other", "no repository other")):
                error = self.assertRaises(RepositoryError, read_list, self.published, name)
                self.assertIn(problem, str(error))

        return self.do(run())

    def test_what_is_not_signed_by_its_keys_is_said(self) -> Deferred[None]:
        async def run() -> None:
            for name in ("home", "office"):
                await self.told("init", name=name)
            key = self.published / "home" / "key.gpg"
            shutil.copyfile(self.published / "office" / "key.gpg", key)
            try:
                await read_key(reactor, self.published, "home")
            except RepositoryError as error:
                self.assertIn("not signed as it should be", str(error))
            else:
                self.fail("it was taken")

        return self.do(run())

    def test_a_signer_that_is_not_there_cannot_be_asked(self) -> None:
        self.assertFalse(may_ask("/nonexistent/socket"))

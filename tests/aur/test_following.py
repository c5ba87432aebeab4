"""Whether upstream's git repositories moved on, and what is in them."""

from __future__ import annotations

import os

from flocon.asking.resolving import Names
from flocon.aur import following as following_module
from flocon.aur.following import Following
from flocon.aur.git import git_environment
from flocon.errors import Refused, SourceError, Unreachable
from tests.aur.git_case import GitCase, reactor


class FollowingCase(GitCase):
    def setUp(self) -> None:
        super().setUp()
        self.commit = self.aur.push_source("up", {"a": b"1"}, tag="v1")
        self.source = f"git+{self.site.source('up')}"
        #: What names mean, and which places may be asked.
        self.addresses: dict[str, list[str]] = {}
        self.forbidden: set[tuple[str, int]] = set()
        self.asked_for: list[tuple[str, int]] = []
        self.following = self.make()

    def make(self, **environment: str) -> Following:
        # A proxy of this machine's is none of this test's.
        without = {name: one for name, one in os.environ.items() if not name.endswith("_proxy")}
        return Following(
            reactor,
            self.folder,
            environment=git_environment({**without, **environment}),
            permit=self.permit,
            names=Names(reactor, lambda host: self.addresses.get(host, [])),
        )

    def permit(self, address: str, port: int) -> bool:
        self.asked_for.append((address, port))
        return (address, port) not in self.forbidden

    @property
    def port(self) -> int:
        return int(self.site.address.rpartition(":")[2])


class Heads(FollowingCase):
    async def test_a_source_is_at_the_head_of_its_repository(self) -> None:
        self.assertEqual(await self.following.head(f"name::{self.source}"), self.commit)
        newer = self.aur.push_source("up", {"a": b"2"})
        self.assertEqual(await self.following.head(self.source + "?signed"), newer)

    async def test_a_source_of_a_branch_is_at_that(self) -> None:
        other = self.aur.push_source("up", {"a": b"2"}, branch="next/x")
        self.assertEqual(await self.following.head(f"{self.source}#branch=next/x"), other)

    async def test_a_branch_that_is_not_there_is_refused(self) -> None:
        for branch in ("none", "", "*", "../HEAD"):
            with self.assertRaises(Refused) as caught:
                await self.following.head(f"{self.source}#branch={branch}")
            self.assertEqual(caught.exception.status, 404)

    async def test_what_is_pinned_or_no_git_by_http_is_not_followed(self) -> None:
        self.aur.asked()
        for source in (
            f"{self.source}#commit={self.commit}",
            f"{self.source}#tag=v1",
            f"{self.source}#something",
            self.site.source("up"),
            "git+ssh://git@example.org/x.git",
            "git+file:///etc",
            "git://example.org/x.git",
            "hg+https://example.org/x",
            "local.patch",
            "",
        ):
            self.assertEqual(await self.following.head(source), "")
        self.assertEqual(self.aur.asked(), [])

    async def test_a_repository_that_is_not_there_is_refused(self) -> None:
        with self.assertRaises(Refused):
            await self.following.head(f"git+{self.site.source('none')}")


class Places(FollowingCase):
    async def test_a_name_is_asked_at_the_address_that_was_looked_at(self) -> None:
        self.addresses["source.test"] = ["10.0.0.1", "127.0.0.1"]
        self.forbidden.add(("10.0.0.1", self.port))
        source = f"git+http://source.test:{self.port}/sources/up.git"
        self.assertEqual(await self.following.head(source), self.commit)
        self.assertEqual(self.asked_for, [("10.0.0.1", self.port), ("127.0.0.1", self.port)])

    async def test_an_address_that_may_not_be_asked_is_not(self) -> None:
        self.forbidden.add(("127.0.0.1", self.port))
        self.addresses["source.test"] = ["127.0.0.1"]
        self.aur.asked()
        for host in ("127.0.0.1", "source.test"):
            with self.assertRaises(Unreachable) as caught:
                await self.following.head(f"git+http://{host}:{self.port}/sources/up.git")
            self.assertIn("[build] networks", str(caught.exception))
        self.assertEqual(self.aur.asked(), [])

    async def test_other_ways_to_write_an_address_are_none(self) -> None:
        self.forbidden.add(("127.0.0.1", self.port))
        self.aur.asked()
        for host in ("2130706433", "0x7f000001", "127.1", "0177.0.0.1", "localhost"):
            with self.assertRaises(SourceError):
                await self.following.head(f"git+http://{host}:{self.port}/sources/up.git")
        self.assertEqual(self.aur.asked(), [])

    async def test_a_name_without_an_address_is_said_to_have_none(self) -> None:
        with self.assertRaises(Unreachable) as caught:
            await self.following.head("git+https://none.test/x.git")
        self.assertEqual(str(caught.exception), "none.test: has a name that cannot be looked up")

    async def test_who_has_moved_is_followed(self) -> None:
        moved = self.moved_site(self.moved_site(self.site.address))
        self.assertEqual(await self.following.head(f"git+{moved}/sources/up.git"), self.commit)

    async def test_nobody_sends_to_where_nobody_may_be_asked(self) -> None:
        moved = self.moved_site(self.site.address)
        self.forbidden.add(("127.0.0.1", self.port))
        self.aur.asked()
        with self.assertRaises(Unreachable):
            await self.following.head(f"git+{moved}/sources/up.git")
        self.assertEqual(self.aur.asked(), [])

    async def test_who_sends_in_a_circle_is_not_followed_for_long(self) -> None:
        target = self.silent_site()
        for _ in range(5):
            target = self.moved_site(target)
        with self.assertRaises(Unreachable) as caught:
            await self.following.head(f"git+{target}/x.git")
        self.assertIn("moved more than 3 times", str(caught.exception))

    async def test_a_proxy_looks_names_up_itself(self) -> None:
        # The stand-in reads no more of what it is asked for than the path.
        following = self.make(http_proxy=self.site.address)
        source = "git+http://source.test/sources/up.git"
        self.assertEqual(await following.head(source), self.commit)
        self.assertEqual(self.asked_for, [])


class Reaching(FollowingCase):
    def impostor(self) -> str:
        """Return a commit that the repository gives who asks for it, and no branch leads to."""
        commit = self.aur.push_source("up", {"evil": b"1"}, branch="evil")
        repository = "sources/up.git"
        self.aur._git("update-ref", "refs/pull/1/head", commit, repository=repository)
        self.aur._git("update-ref", "-d", "refs/heads/evil", repository=repository)
        for setting in ("allowAnySHA1InWant", "allowFilter"):
            self.aur._git("config", f"uploadpack.{setting}", "true", repository=repository)
        return commit

    async def test_tags_and_commits_of_branches_are_found(self) -> None:
        newer = self.aur.push_source("up", {"a": b"2"})
        for name in ("v1", self.commit, self.commit.upper(), newer):
            self.assertIs(await self.following.reaches(self.source, name), True, name)

    async def test_a_branch_is_found_where_one_is_followed_alone(self) -> None:
        """It moves on: whoever may push to it makes of it what he likes, later."""
        self.aur.push_source("up", {"a": b"2"}, branch="abcdef1")
        for name in ("main", "abcdef1"):
            self.assertIs(await self.following.reaches(self.source, name), False, name)
            followed = f"{self.source}#branch={name}"
            self.assertIs(await self.following.reaches(followed, name), True, name)
        self.assertIs(await self.following.reaches(f"{self.source}#branch=v1", "v1"), False)

    async def test_a_tag_called_like_a_strangers_commit_does_not_make_it_known(self) -> None:
        impostor = self.impostor()
        for name in (impostor, impostor.upper()):
            tag = f"refs/tags/{name}"
            self.aur._git("update-ref", tag, self.commit, repository="sources/up.git")
            self.assertIs(await self.following.reaches(self.source, name), False, name)

    async def test_an_earlier_commit_of_a_branch_is_found(self) -> None:
        self.aur.push_source("old", {"a": b"1"})
        earlier = self.aur.push_source("old", {"a": b"2"})
        self.aur.push_source("old", {"a": b"3"})
        source = f"git+{self.site.source('old')}"
        self.assertIs(await self.following.reaches(source, earlier), True)
        self.assertEqual(list(self.folder.iterdir()), [])

    async def test_a_commit_of_a_strangers_copy_is_not(self) -> None:
        self.assertIs(await self.following.reaches(self.source, self.impostor()), False)

    async def test_what_is_nowhere_is_not_found(self) -> None:
        for name in ("f" * 40, "v2", "refs/heads/main", "HEAD", self.commit[:12], ""):
            self.assertIs(await self.following.reaches(self.source, name), False, name)

    async def test_what_cannot_be_told_is_not_told(self) -> None:
        for source in ("git+ssh://example.org/x", "local", f"git+{self.site.source('none')}"):
            self.assertIsNone(await self.following.reaches(source, self.commit), source)
        self.patch(following_module, "LARGEST_HISTORY", 10)
        self.assertIsNone(await self.following.reaches(self.source, "f" * 40))
        self.assertEqual(list(self.folder.iterdir()), [])

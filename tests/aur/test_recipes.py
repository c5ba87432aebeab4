"""Histories of recipes, fetched by git from a stand-in for the AUR."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.web.server import Site as WebSite
from twisted.web.static import File

from flocon.aur import folder as folder_module
from flocon.aur import recipes as recipes_module
from flocon.aur.folder import count_packs
from flocon.errors import (
    Broken,
    BuildError,
    RecipeError,
    Refused,
    SourceError,
    Stalled,
    StoreError,
    Unreachable,
)
from flocon.recipes.recipe import CommitNote, TreeFile
from tests.aur.git_case import GitCase, processes_with, reactor
from tests.aur.recipes import recipe
from tests.aur.standin import Blob


class Fetching(GitCase):
    async def fails(self, expected: type[SourceError], base: str = "foo", **named: Any) -> str:
        """Return what is said when it cannot be fetched."""
        with self.assertRaises(expected) as caught:
            await self.recipes.fetch(base, **named, urgent=True)
        return str(caught.exception)

    async def test_the_newest_commit_is_told(self) -> None:
        for version in ("1-1", "2-1"):
            commit = self.aur.push("foo", recipe("foo", version))
            self.assertEqual(await self.recipes.fetch("foo"), commit)
            self.assertEqual(await self.recipes.fetch("foo"), commit)

    async def test_a_recipe_that_the_aur_has_not_is_refused(self) -> None:
        self.aur.push("foo", recipe("foo"))
        with self.assertRaises(Refused) as caught:
            await self.recipes.fetch("bar")
        self.assertEqual(caught.exception.status, 404)

    async def test_a_name_that_is_none_is_never_asked_for(self) -> None:
        for base in ("../foo", "", "-x", "a/b"):
            with self.assertRaises(BuildError):
                await self.recipes.fetch(base)
        self.assertEqual(self.aur.asked(), [])

    async def test_why_the_aur_cannot_be_asked_is_told(self) -> None:
        self.aur.push("foo", recipe("foo"))
        place = self.site.address.removeprefix("http://")
        for status, expected, said in (
            (429, Refused, "answered 429"),
            (503, Refused, "answered 503"),
            (401, Refused, "answered 401"),
            (0, Unreachable, "Empty reply from server"),
        ):
            self.aur.trouble(status)
            told = await self.fails(expected)
            self.assertIn(said, told)
            self.assertTrue(told.startswith(f"{place}: "), told)

    async def test_after_a_failure_the_aur_is_left_alone_for_a_while(self) -> None:
        self.aur.push("foo", recipe("foo"))
        commit = self.aur.push("bar", recipe("bar"))
        self.aur.trouble(503)
        await self.fails(Refused)
        self.aur.trouble(None)
        self.aur.asked()
        with self.assertRaises(Unreachable) as caught:
            await self.recipes.fetch("bar")
        self.assertIn("s more: answered 503", str(caught.exception))
        self.assertEqual(self.aur.asked(), [])
        self.assertEqual(await self.recipes.fetch("bar", urgent=True), commit)
        self.assertEqual(await self.recipes.fetch("bar"), commit)

    async def test_what_the_aur_has_not_is_no_reason_to_leave_it_alone(self) -> None:
        commit = self.aur.push("foo", recipe("foo"))
        await self.fails(Refused, "bar")
        self.assertEqual(await self.recipes.fetch("foo"), commit)

    async def test_the_old_protocol_is_not_spoken(self) -> None:
        self.aur.push_source("up", {"a": b"1"})
        folder = self.aur.folder / "sources" / "up.git"
        self.aur._git("update-server-info", repository="sources/up.git")
        site = WebSite(File(str(folder)))
        site.noisy = False
        address = self.listen(site)
        self.assertIn("old protocol", await self.fails(Broken, address=address))

    async def test_nobody_there_is_unreachable(self) -> None:
        self.site.stop()
        self.assertIn("Failed to connect", await self.fails(Unreachable))

    async def test_a_password_in_an_address_is_told_to_nobody(self) -> None:
        self.site.stop()
        address = self.site.address.replace("://", "://alice:secret@")
        told = await self.fails(Unreachable, address=f"{address}/foo.git")
        self.assertNotIn("secret", told)

    async def test_silence_ends_in_time_with_all_that_was_started(self) -> None:
        self.patch(recipes_module, "LONGEST_FETCH", 1.0)
        address = self.silent_site()
        self.assertIn("took longer than 1 s", await self.fails(Stalled, address=address))
        self.assertEqual(processes_with(address), [])

    async def test_cancelled_git_ends_with_all_that_it_started(self) -> None:
        address = self.silent_site()
        coming = Deferred.fromCoroutine(self.recipes.fetch("foo", address))
        while not any("remote-http" in line for line in processes_with(address)):
            await deferLater(reactor, 0.02)
        coming.cancel()
        with self.assertRaises(CancelledError):
            await coming
        self.assertEqual(processes_with(address), [])

    async def test_cancelled_at_any_moment_the_next_one_brings_all(self) -> None:
        seen = []
        for moment in range(16):
            files = recipe("foo", f"1-{moment}")
            seen.append((self.aur.push("foo", files, parent=None if moment % 4 else ""), files))
            coming = Deferred.fromCoroutine(self.recipes.fetch("foo"))
            await deferLater(reactor, moment * 0.008)
            coming.cancel()
            with contextlib.suppress(CancelledError):
                await coming
        commit, files = seen[-1]
        self.assertEqual(await self.recipes.fetch("foo"), commit)
        read = await self.recipes.read("foo", commit)
        self.assertEqual({name: one.data for name, one in read.files.items()}, files)

    async def test_more_than_there_is_room_for_is_refused(self) -> None:
        self.patch(folder_module, "MOST_BYTES", 100_000)
        self.aur.push("foo", {"large": os.urandom(200_000)})
        self.assertIn("sent more than the 100000 bytes", await self.fails(Broken))

    async def test_a_history_that_others_filled_is_begun_anew(self) -> None:
        self.patch(folder_module, "MOST_BYTES", 250_000)
        for _ in range(2):
            self.aur.push("foo", {"large": os.urandom(100_000)}, parent="")
            await self.recipes.fetch("foo")
        commit = self.aur.push("foo", {"large": os.urandom(100_000)}, parent="")
        self.assertEqual(await self.recipes.fetch("foo"), commit)
        self.assertEqual((await self.recipes.read("foo", commit)).base, "foo")
        later = self.aur.push("foo", recipe("foo", "2-1"))
        self.assertEqual(await self.recipes.fetch("foo"), later)
        self.assertTrue(await self.recipes.is_ancestor("foo", commit, later))
        self.assertEqual([one.name for one in self.folder.glob("foo*")], ["foo.git"])

    async def test_what_is_here_stays_where_the_new_one_is_too_large_in_any_case(self) -> None:
        known = self.aur.push("foo", recipe("foo"))
        await self.recipes.fetch("foo")
        self.patch(folder_module, "MOST_BYTES", 100_000)
        self.aur.push("foo", {"large": os.urandom(200_000)})
        for _ in range(2):
            self.assertIn("sent more than", await self.fails(Broken))
        self.assertEqual((await self.recipes.read("foo", known)).commit, known)
        self.assertEqual([one.name for one in self.folder.glob("foo*")], ["foo.git"])

    async def test_what_was_too_large_once_is_fetched_when_it_is_not_any_more(self) -> None:
        self.patch(folder_module, "MOST_BYTES", 100_000)
        self.aur.push("foo", {"large": os.urandom(200_000)})
        await self.fails(Broken)
        commit = self.aur.push("foo", recipe("foo"), parent="")
        self.assertEqual(await self.recipes.fetch("foo"), commit)

    async def test_all_histories_together_have_a_bound(self) -> None:
        self.aur.push("foo", {"large": os.urandom(80_000)})
        self.aur.push("bar", {"large": os.urandom(80_000)})
        await self.recipes.fetch("foo")
        self.patch(folder_module, "MOST_BYTES_OF_ALL", 100_000)
        await self.fails(Broken, "bar")

    async def test_settings_of_this_machine_are_not_read(self) -> None:
        home = Path(self.mktemp()).absolute()
        home.mkdir()
        (home / ".gitconfig").write_text('[url "http://127.0.0.1:1/"]\n\tinsteadOf = http://\n')
        self.recipes = self.make_recipes(HOME=str(home), GIT_DIR="/nowhere")
        commit = self.aur.push("foo", recipe("foo"))
        self.assertEqual(await self.recipes.fetch("foo"), commit)

    async def test_what_a_killed_git_left_is_in_nobodys_way(self) -> None:
        self.aur.push("foo", recipe("foo"))
        await self.recipes.fetch("foo")
        place = self.folder / "foo.git"
        leftovers = [
            place / "config.lock",
            place / "refs/flocon/head.lock",
            place / "refs/flocon/new.lock",
            place / "objects/pack/tmp_pack_AbCdEf",
        ]
        for leftover in leftovers:
            leftover.touch()
        commit = self.aur.push("foo", recipe("foo", "2-1"))
        self.assertEqual(await self.recipes.fetch("foo"), commit)
        self.assertEqual([one for one in leftovers if one.exists()], [])

    async def test_a_repository_that_was_damaged_is_fetched_anew(self) -> None:
        commit = self.aur.push("foo", recipe("foo"))
        await self.recipes.fetch("foo")
        for pack in (self.folder / "foo.git/objects/pack").iterdir():
            pack.chmod(0o600)
            pack.write_bytes(b"")
        self.assertEqual(await self.recipes.fetch("foo"), commit)
        self.assertIn("PKGBUILD", (await self.recipes.read("foo", commit)).files)

    async def test_what_was_forgotten_is_fetched_anew(self) -> None:
        commit = self.aur.push("foo", recipe("foo"))
        await self.recipes.fetch("foo")
        await self.recipes.forget("foo")
        self.assertEqual(list(self.folder.iterdir()), [])
        self.assertEqual(await self.recipes.fetch("foo"), commit)

    async def test_many_fetches_do_not_become_many_files(self) -> None:
        self.patch(recipes_module, "MOST_PACKS", 3)
        first = self.aur.push("foo", recipe("foo"))
        for release in range(1, 7):
            self.aur.push("foo", recipe("foo", f"1-{release}"), when=release)
            await self.recipes.fetch("foo")
        self.assertLessEqual(count_packs(self.folder, "foo"), 4)
        self.assertIn("PKGBUILD", (await self.recipes.read("foo", first)).files)

    async def test_a_folder_that_cannot_be_written_is_told(self) -> None:
        (self.folder / "foo.git").write_text("no folder")
        with self.assertRaises(StoreError):
            await self.recipes.fetch("foo")


class ByAddress(GitCase):
    async def test_another_repository_is_fetched_by_its_address(self) -> None:
        files = recipe("foo")
        commit = self.aur.push_source("packages", files)
        self.assertEqual(await self.recipes.fetch("foo", self.site.source("packages")), commit)
        self.assertEqual(
            (await self.recipes.read("foo", commit)).read("PKGBUILD"), files["PKGBUILD"]
        )

    async def test_a_branch_is_named_behind_it(self) -> None:
        self.aur.push_source("packages", recipe("foo"))
        commit = self.aur.push_source("packages", recipe("foo", "2-1"), branch="next/one")
        address = f"git+{self.site.source('packages')}#branch=next/one"
        self.assertEqual(await self.recipes.fetch("foo", address), commit)

    async def test_it_is_asked_only_where_sources_may_be(self) -> None:
        self.aur.push_source("packages", recipe("foo"))
        port = int(self.site.address.rpartition(":")[2])
        self.recipes = self.make_recipes(permit=lambda _, asked: asked != port)
        self.aur.asked()
        address = self.site.source("packages")
        for one in (
            address,
            address.replace(self.site.address, self.moved_site(self.site.address)),
        ):
            with self.assertRaises(Unreachable) as caught:
                await self.recipes.fetch("foo", one)
            self.assertIn("[build] networks", str(caught.exception))
        self.assertEqual(self.aur.asked(), [])

    async def test_who_has_moved_is_followed(self) -> None:
        commit = self.aur.push_source("packages", recipe("foo"))
        address = f"{self.moved_site(self.site.address)}/sources/packages.git"
        self.assertEqual(await self.recipes.fetch("foo", address), commit)

    async def test_what_is_no_address_is_not_asked(self) -> None:
        for address in (
            "file:///etc",
            "/etc",
            "ssh://example.org/x",
            "git://example.org/x",
            "ext::sh -c true",
            "http://",
            "http://[x",
            "https://example.org/x y",
            "https://example.org/x#tag=1",
            "https://example.org/x#branch=",
            "https://example.org/x#branch=-x",
            "https://example.org/x#branch=a..b",
            "https://example.org/x#branch=a:refs/heads/b",
            "https://example.org/x#branch=a.lock",
            "--upload-pack=x",
        ):
            with self.assertRaises(BuildError):
                await self.recipes.fetch("foo", address)

    async def test_another_protocol_is_not_followed_to(self) -> None:
        target = Path(self.mktemp()).absolute()
        address = self.moved_site(f"file://{target}")
        with self.assertRaises(SourceError):
            await self.recipes.fetch("foo", address)


class Copies(GitCase):
    async def test_while_the_aur_is_away_its_copy_is_asked(self) -> None:
        commit = self.aur.push("foo", recipe("foo"))
        self.aur.copy_now()
        self.aur.trouble(503)
        self.aur.trouble(None, of="copy")
        self.assertEqual(await self.recipes.fetch("foo"), commit)

    async def test_a_copy_that_leads_on_is_believed(self) -> None:
        self.aur.push("foo", recipe("foo"))
        await self.recipes.fetch("foo")
        commit = self.aur.push("foo", recipe("foo", "2-1"))
        self.aur.copy_now()
        self.aur.trouble(503, of="git")
        self.assertEqual(await self.recipes.fetch("foo"), commit)

    async def test_a_copy_that_is_behind_is_as_good_as_none(self) -> None:
        self.aur.push("foo", recipe("foo"))
        self.aur.copy_now()
        commit = self.aur.push("foo", recipe("foo", "2-1"))
        await self.recipes.fetch("foo")
        self.aur.trouble(503, of="git")
        with self.assertRaises(Refused) as caught:
            await self.recipes.fetch("foo")
        self.assertEqual(caught.exception.status, 503)
        self.assertEqual((await self.recipes.notes("foo"))[0].commit, commit)

    async def test_what_the_aur_has_not_is_not_looked_for_in_its_copy(self) -> None:
        self.aur.push("foo", recipe("foo"))
        self.aur.copy_now()
        self.aur.asked()
        with self.assertRaises(Refused):
            await self.recipes.fetch("bar")
        self.assertEqual([line for line in self.aur.asked() if "/copy" in line], [])

    async def test_both_away_the_aurs_own_failure_is_told(self) -> None:
        self.aur.push("foo", recipe("foo"))
        self.aur.trouble(503)
        self.aur.trouble(0, of="copy")
        with self.assertRaises(Refused):
            await self.recipes.fetch("foo")


class Reading(GitCase):
    async def test_a_recipe_is_read_as_it_lies_there(self) -> None:
        files: dict[str, bytes | Blob] = {
            **recipe("foo", install="post_install() { :; }\n"),
            "keys/pgp/A.asc": b"key\r\n",
            "run.sh": Blob("100755", b"#!/bin/sh\n"),
            "link": Blob("120000", b"/etc/passwd"),
            "empty": b"",
            # What of this would hold for a checkout or an archive.
            ".gitattributes": b"PKGBUILD export-ignore\n* text eol=crlf ident\n",
        }
        commit = self.aur.push("foo", files)
        await self.recipes.fetch("foo")
        read = await self.recipes.read("foo", commit)
        self.assertEqual((read.base, read.commit), ("foo", commit))
        expected = {
            name: TreeFile(int(one.mode, 8), one.data)
            if isinstance(one, Blob)
            else TreeFile(0o100644, one)
            for name, one in files.items()
        }
        self.assertEqual(dict(read.files), expected)

    async def test_an_earlier_one_is_read_too(self) -> None:
        files = recipe("foo")
        commit = self.aur.push("foo", files)
        self.aur.push("foo", recipe("foo", "2-1"))
        await self.recipes.fetch("foo")
        read = await self.recipes.read("foo", commit)
        self.assertEqual(read.read("PKGBUILD"), files["PKGBUILD"])

    async def test_what_is_not_here_is_said_to_be(self) -> None:
        self.aur.push("foo", recipe("foo"))
        await self.recipes.fetch("foo")
        for commit in ("f" * 40, "HEAD", "refs/flocon/head", "--all", "", "1234"):
            with self.assertRaises(BuildError):
                await self.recipes.read("foo", commit)
        with self.assertRaises(BuildError):
            await self.recipes.read("bar", "f" * 40)

    async def test_a_recipe_that_is_none_is_refused(self) -> None:
        commits = [
            self.aur.push("foo", {"sub": Blob("160000", b"f" * 40)}),
            self.aur.push("foo", {"large": b"x" * (3 << 20)}),
            self.aur.push("foo", {f"file{number}": b"" for number in range(1_001)}),
            self.aur.push("foo", {"a\tb": b""}),
        ]
        await self.recipes.fetch("foo")
        for commit in commits:
            with self.assertRaises(RecipeError):
                await self.recipes.read("foo", commit)

    async def test_a_tree_that_no_git_makes_by_itself_is_refused(self) -> None:
        self.aur.push("foo", {"b": b"text"})
        tree = self.git("rev-parse", "HEAD^{tree}")
        blob = self.git("rev-parse", "HEAD:b")
        for other in (f"100644 blob {blob}\ta", f"040000 tree {tree}\ta"):
            # "a" is a link, and another "a" beside it is written through that.
            listed = f"120000 blob {blob}\ta\n{other}\n"
            made = self.git("mktree", given=listed.encode())
            commit = self.git("commit-tree", "-m", "x", made)
            self.aur.rewind("foo", commit)
            self.assertEqual(await self.recipes.fetch("foo"), commit)
            with self.assertRaises(RecipeError):
                await self.recipes.read("foo", commit)

    def git(self, *words: str, given: bytes = b"") -> str:
        words = tuple(one.replace("HEAD", self.aur.head("foo")) for one in words)
        return self.aur._git(*words, repository="aur.git", given=given)


class History(GitCase):
    async def test_commits_are_told_newest_first(self) -> None:
        first = self.aur.push("foo", recipe("foo"), when=1_000, subject="Begin")
        second = self.aur.push(
            "foo", recipe("foo", "2-1"), when=2_000, author="Ä B", mail="b@x", subject="Go\n\non"
        )
        await self.recipes.fetch("foo")
        notes = await self.recipes.notes("foo")
        expected = [
            CommitNote(second, "Ä B", "b@x", 2_000, "Go"),
            CommitNote(first, "An Author", "author@example.org", 1_000, "Begin"),
        ]
        self.assertEqual(notes, expected)
        self.assertEqual(await self.recipes.notes("foo", first), expected[:1])
        self.assertEqual(await self.recipes.notes("foo", until=first), expected[1:])
        self.assertEqual(await self.recipes.notes("foo", second), [])

    async def test_long_words_are_cut(self) -> None:
        self.aur.push("foo", recipe("foo"), author="a" * 9_000, subject="s" * 90_000)
        await self.recipes.fetch("foo")
        (note,) = await self.recipes.notes("foo")
        self.assertEqual((len(note.author), len(note.subject)), (120, 240))

    async def test_so_many_are_told(self) -> None:
        self.patch(recipes_module, "MOST_NOTES", 2)
        for release in range(4):
            self.aur.push("foo", recipe("foo", f"1-{release}"))
        await self.recipes.fetch("foo")
        self.assertEqual(len(await self.recipes.notes("foo")), 2)

    async def test_of_no_history_there_is_nothing_to_tell(self) -> None:
        self.assertEqual(await self.recipes.notes("foo"), [])

    async def test_what_leads_to_what_is_told(self) -> None:
        first = self.aur.push("foo", recipe("foo"))
        second = self.aur.push("foo", recipe("foo", "2-1"))
        await self.recipes.fetch("foo")
        leads = self.recipes.is_ancestor
        self.assertTrue(await leads("foo", first, second))
        self.assertTrue(await leads("foo", first, first))
        self.assertFalse(await leads("foo", second, first))
        self.assertFalse(await leads("foo", "f" * 40, second))
        self.assertFalse(await leads("foo", "", second))
        self.assertFalse(await leads("bar", first, second))

    async def test_a_history_that_was_rewritten_leads_no_more_to_what_it_was(self) -> None:
        good = self.aur.push("foo", recipe("foo"))
        bad = self.aur.push("foo", recipe("foo", "2-1"))
        await self.recipes.fetch("foo")
        self.aur.rewind("foo", good)
        self.assertEqual(await self.recipes.fetch("foo"), good)
        self.assertFalse(await self.recipes.is_ancestor("foo", bad, good))
        fresh = self.aur.push("foo", recipe("foo", "3-1"), parent="")
        self.assertEqual(await self.recipes.fetch("foo"), fresh)
        self.assertFalse(await self.recipes.is_ancestor("foo", good, fresh))

    async def test_what_was_newest_once_can_be_read_whatever_becomes_of_it(self) -> None:
        self.patch(recipes_module, "MOST_PACKS", 0)
        seen = []
        for version in range(3):
            files = recipe("foo", f"{version}-1")
            seen.append((self.aur.push("foo", files, parent=""), files["PKGBUILD"]))
            await self.recipes.fetch("foo")
        for commit, text in seen:
            self.assertEqual((await self.recipes.read("foo", commit)).read("PKGBUILD"), text)

    async def test_only_so_many_of_those_are_kept(self) -> None:
        self.patch(recipes_module, "MOST_PACKS", 0)
        self.patch(recipes_module, "MOST_SEEN", 2)
        seen = []
        for version in range(5):
            seen.append(self.aur.push("foo", recipe("foo", f"{version}-1"), parent=""))
            await self.recipes.fetch("foo")
        with self.assertRaises(BuildError):
            await self.recipes.read("foo", seen[0])
        for commit in seen[2:]:
            await self.recipes.read("foo", commit)

"""What is found in the databases of this machine, and what follows from those that were sent."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.pacman.entries import Entry, PackedEntries
from flocon.pacman.listing import Database, Listing, Target

SHA256 = bytes(range(32))


def database(repository: str, *contents: tuple[str, int]) -> Database:
    entries = {
        name: Entry(repository, name, "n", "v", size, bytes([size]) * 32) for name, size in contents
    }
    return Database(repository, repository * 2, 1.0, entries)


class Further(SynchronousTestCase):
    """What mirrors sent through this node lists, and yet less follows from it."""

    def setUp(self) -> None:
        self.own = Entry("core", "a-1-1-any.pkg.tar", "a", "1-1", 1, SHA256)
        self.sent = Entry("core", "a-2-1-any.pkg.tar", "a", "2-1", 2, SHA256)
        self.elsewhere = Entry("extra", self.own.file_name, "a", "1-1", 3, SHA256)
        self.listing = Listing(
            (Database("core", "x", 0.0, {self.own.file_name: self.own}),),
            (
                Database("core", "y", 0.0, {self.sent.file_name: self.sent}),
                Database("extra", "z", 0.0, {self.elsewhere.file_name: self.elsewhere}),
            ),
        )

    def test_it_is_found_behind_what_pacman_has(self) -> None:
        self.assertEqual(self.listing.find(self.sent.file_name), (self.sent,))
        self.assertEqual(self.listing.find(self.sent.file_name, "core"), (self.sent,))
        self.assertEqual(self.listing.find(self.sent.file_name, "extra"), ())
        self.assertEqual(self.listing.find(self.own.file_name), (self.own, self.elsewhere))
        self.assertEqual(self.listing.find(self.own.file_name, "extra"), (self.elsewhere,))

    def test_it_is_not_told_of_nor_fetched_ahead(self) -> None:
        self.assertEqual(self.listing.digests(), (("core", "x"),))
        sent = Target("core", "a", "2-1", self.sent.file_name)
        self.assertIsNone(self.listing.target(sent))
        self.assertEqual(self.listing.named("a"), [self.own])
        self.assertEqual(
            self.listing.named("a", further=True), [self.own, self.sent, self.elsewhere]
        )
        self.assertEqual(len(self.listing), 1)

    def test_a_listing_with_it_is_another_one(self) -> None:
        self.assertNotEqual(self.listing, Listing(self.listing.databases))


class Finding(SynchronousTestCase):
    def setUp(self) -> None:
        self.listing = Listing(
            (database("core", ("a", 1), ("b", 2)), database("testing", ("a", 3), ("c", 4)))
        )

    def sizes(self, file_name: str, repository: str = "") -> list[int]:
        return [entry.size for entry in self.listing.find(file_name, repository)]

    def test_a_name_is_found_in_every_repository_in_their_order(self) -> None:
        self.assertEqual(self.sizes("a"), [1, 3])
        self.assertEqual(self.sizes("c"), [4])
        self.assertEqual(self.sizes("d"), [])

    def test_with_a_repository_a_name_is_found_in_that_one_only(self) -> None:
        self.assertEqual(self.sizes("a", "testing"), [3])
        self.assertEqual(self.sizes("b", "testing"), [])
        self.assertEqual(self.sizes("a", "unknown"), [])

    def test_what_a_peers_database_lists_is_not_fetched_ahead(self) -> None:
        entry = Entry("core", "a-1-1-any.pkg.tar", "a", "1-1", 1, SHA256)
        for from_peer, expected in ((False, entry), (True, None)):
            entries = {entry.file_name: entry}
            listing = Listing((Database("core", "x", 0.0, entries, from_peer=from_peer),))
            for name in (entry.file_name, ""):
                self.assertIs(listing.target(Target("", "a", "1-1", name)), expected)

    def test_what_pacman_would_install_is_found_in_its_repository_and_version(self) -> None:
        own, other = (
            Entry(one, "a-1-1-any.pkg.tar", "a", "1-1", 1, SHA256) for one in ("core", "testing")
        )
        listing = Listing(
            tuple(Database(one.repository, "x", 0.0, {one.file_name: one}) for one in (own, other))
        )
        for name in (own.file_name, ""):
            for repository, expected in (("core", own), ("testing", other), ("extra", None)):
                self.assertIs(listing.target(Target(repository, "a", "1-1", name)), expected)
            self.assertIsNone(listing.target(Target("core", "a", "1-2", name)))

    def test_a_package_is_found_by_its_own_name_alone(self) -> None:
        names = ["a-1-1-any", "a-b-1-1-any", "a-2-1-any", "b-1-1-any"]
        entries = [
            Entry("core", f"{name}.pkg.tar.zst", name[: -len("-1-1-any")], "1-1", 1, SHA256)
            for name in names
        ]
        for held in (PackedEntries("core", entries), {one.file_name: one for one in entries}):
            listing = Listing((Database("core", "d", 1.0, held),))
            for wanted in ("a", "a-b", "b", "c"):
                expected = sorted(one.file_name for one in entries if one.name == wanted)
                found = [one.file_name for one in listing.named(wanted)]
                self.assertEqual(found, expected)

    def test_it_tells_how_much_is_listed_and_by_which_databases(self) -> None:
        self.assertEqual(len(self.listing), 4)
        self.assertEqual(
            self.listing.digests(), (("core", "corecore"), ("testing", "testingtesting"))
        )
        self.assertIs(self.listing.database("core"), self.listing.databases[0])
        self.assertIsNone(self.listing.database("extra"))
        self.assertEqual(len(Listing()), 0)

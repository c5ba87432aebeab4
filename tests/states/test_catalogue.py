"""What the states in use list, and whether that is known."""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred

from flocon.states import catalogue
from flocon.states.catalogue import Catalogue
from flocon.states.generation import DatabaseFiles, Generation
from tests.states.states_case import (
    CORE,
    EXTRA,
    StatesTestCase,
    file_name,
    keep,
    sha256_of,
)

OLD, NEW = {"a": "1-1", "b": "1-1"}, {"a": "2-1", "b": "1-1"}


class CatalogueTests(StatesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.catalogue = Catalogue(self.reactor, self.archive)
        self.old = self.generation(core=OLD, extra={"e": "1-1"})
        self.new = self.generation(core=NEW, extra={"e": "1-1"})

    def use(self, *generations: Generation) -> None:
        self.done(self.catalogue.use(generations))

    def lists(self, name: str, version: str) -> bool | None:
        return self.catalogue.lists(file_name(name, version), sha256_of(name, version))

    def test_a_package_is_found_where_it_is_listed_and_nowhere_else(self) -> None:
        self.use(self.old)
        entry = self.catalogue.entry(CORE, file_name("a", "1-1"))
        self.assertEqual(entry and (entry.name, entry.version), ("a", "1-1"))
        for where, name, version in ((EXTRA, "a", "1-1"), (CORE, "a", "2-1"), (CORE, "e", "1-1")):
            self.assertIsNone(self.catalogue.entry(where, file_name(name, version)))

    def test_all_states_in_use_are_asked_and_no_other(self) -> None:
        self.use(self.new, self.old)
        self.assertEqual([self.lists("a", "1-1"), self.lists("a", "2-1")], [True, True])
        self.use(self.new)
        self.assertEqual([self.lists("a", "1-1"), self.lists("a", "2-1")], [False, True])
        self.assertIsNone(self.catalogue.entry(CORE, file_name("a", "1-1")))

    def test_of_two_states_the_first_says_what_a_package_is(self) -> None:
        other = keep(self.archive, self.rebuilt())
        rebuilt = Generation(int(self.now), "mirror", {CORE: DatabaseFiles(other)})
        for first, second in ((self.old, rebuilt), (rebuilt, self.old)):
            self.use(first, second)
            database = self.catalogue.database(first, CORE)
            assert database is not None
            self.assertEqual(
                self.catalogue.entry(CORE, file_name("a", "1-1")),
                database.entries[file_name("a", "1-1")],
            )

    def test_what_was_built_anew_since_makes_way_for_what_is_given_out(self) -> None:
        rebuilt = Generation(
            int(self.now), "mirror", {CORE: DatabaseFiles(keep(self.archive, self.rebuilt()))}
        )
        other = bytes(32)
        self.use(self.old, rebuilt)
        self.assertIs(self.lists("a", "1-1"), True)
        self.assertIs(self.catalogue.lists(file_name("a", "1-1"), other), False)
        self.use(rebuilt, self.old)
        self.assertIs(self.lists("a", "1-1"), False)
        self.assertIs(self.lists("b", "1-1"), True)
        self.assertIs(self.catalogue.lists(file_name("a", "1-1"), other), True)
        self.use(self.old)
        self.assertIs(self.lists("a", "1-1"), True)

    def rebuilt(self) -> bytes:
        """Return a database that has other bytes under a's name."""
        right = sha256_of("a", "1-1").hex().encode()
        descriptor = self.archive.open_piece(self.old.databases[CORE].database)
        with os.fdopen(descriptor, "rb") as file:
            return file.read().replace(right, b"0" * 64)

    def test_a_database_that_both_have_is_read_once(self) -> None:
        self.use(self.old)
        before = self.catalogue.database(self.old, EXTRA)
        self.use(self.new, self.old)
        self.assertIs(self.catalogue.database(self.new, EXTRA), before)
        self.assertEqual(len(self.catalogue.databases), 3)

    def test_another_content_under_a_listed_name_is_not_listed(self) -> None:
        self.use(self.old)
        self.assertFalse(self.catalogue.lists(file_name("a", "1-1"), sha256_of("a", "2-1")))

    def test_before_any_were_read_nobody_knows_what_is_listed(self) -> None:
        self.reactor.pool.hold("_read")
        using = Deferred.fromCoroutine(self.catalogue.use([self.new]))
        self.assertIsNone(self.lists("a", "1-1"))
        self.reactor.pool.resume()
        self.successResultOf(using)
        self.assertFalse(self.lists("a", "1-1"))

    def test_until_others_were_read_those_before_are_listed(self) -> None:
        self.use(self.old)
        self.reactor.pool.hold("_joined")
        using = Deferred.fromCoroutine(self.catalogue.use([self.new]))
        self.assertTrue(self.lists("a", "1-1"))
        self.reactor.pool.resume()
        self.successResultOf(using)
        self.assertEqual([self.lists("a", "1-1"), self.lists("a", "2-1")], [False, True])

    def test_what_would_list_too_much_with_the_others_is_not_used(self) -> None:
        self.patch(catalogue, "MOST_LISTED", 2)
        self.use(self.old)
        self.assertIsNotNone(self.catalogue.entry(CORE, file_name("a", "1-1")))
        self.assertIsNone(self.catalogue.entry(EXTRA, file_name("e", "1-1")))
        self.assertIsNone(self.lists("e", "1-1"))

    def test_where_one_cannot_be_read_that_is_said_and_the_others_are_listed(self) -> None:
        piece = self.old.databases[CORE].database
        (self.folder / "content" / piece.sha256).write_bytes(b"x" * piece.size)
        self.use(self.old)
        self.assertIsNone(self.catalogue.entry(CORE, file_name("a", "1-1")))
        self.assertIsNotNone(self.catalogue.entry(EXTRA, file_name("e", "1-1")))
        # Something may be listed that nobody could read: nothing counts as not listed.
        self.assertIsNone(self.lists("z", "1-1"))

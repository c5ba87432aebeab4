"""What other nodes are given of the LAN's state."""

from __future__ import annotations

import os
from dataclasses import replace

from twisted.internet.defer import Deferred, succeed

from flocon.databases import lan_state
from flocon.errors import StoreError
from flocon.mirrors.giving import Giving
from flocon.states.generation import Generation, Where
from tests.states.states_case import BEGINNING, CORE, StatesTestCase, database, keep

OLD, NEW = {"a": "1-1"}, {"a": "2-1"}


class GivingTestCase(StatesTestCase):
    def begin(self) -> None:
        super().begin()
        self.private: set[str] = set()
        #: The lists of files that were asked for and are not here.
        self.wanted: list[tuple[str, Where]] = []
        self.giving = Giving(self.states, lambda name: name in self.private, self.with_files)

    def with_files(self, generation: Generation, where: Where) -> Deferred[Generation | None]:
        self.wanted.append((generation.identity, where))
        return succeed(None)

    def files(self) -> set[str]:
        state = self.giving.state()
        assert state is not None
        return {name for _, name in state.files}

    def content(self, generation: Generation, name: str) -> tuple[bytes, float]:
        """Return what a file has, and its date."""
        opened = self.done(self.giving.open(generation.identity, "x86_64", name))
        try:
            return os.pread(opened.fileno(), 1 << 20, 0), opened.modified
        finally:
            opened.close()


class Telling(GivingTestCase):
    def test_before_anything_is_published_nothing_is_told(self) -> None:
        self.assertIsNone(self.giving.told())
        self.read(core=OLD)
        self.assertIsNone(self.giving.state())

    def test_it_is_what_is_published_and_since_when(self) -> None:
        self.publish(core=OLD)
        self.now += 100
        new = self.publish(core=NEW)
        told = lan_state.load(self.giving.told() or b"")
        assert told is not None
        self.assertEqual((told.identity, told.since), (new.identity, BEGINNING + 100))
        piece = new.databases[CORE].database
        file = told.files["x86_64", "core.db"]
        self.assertEqual((file.sha256, file.size), (piece.sha256, piece.size))

    def test_of_private_repositories_nothing_is_told(self) -> None:
        generation = self.publish(core=OLD, own=OLD)
        self.assertEqual(self.files(), {"core.db", "own.db"})
        self.private.add("own")
        self.giving.forget()
        self.assertEqual(self.files(), {"core.db"})
        self.refused(self.giving.open(generation.identity, "x86_64", "own.db"), StoreError)

    def test_a_list_of_files_that_comes_later_is_told_too(self) -> None:
        generation = self.publish(core=OLD)
        self.assertEqual(self.files(), {"core.db"})
        with self.archive.gathering():
            files = keep(self.archive, database({"files": "1-1"}))
            self.done(self.states.add(generation.with_files(CORE, files)))
        self.assertEqual(self.files(), {"core.db", "core.files"})
        self.assertEqual(self.content(generation, "core.files")[0], database({"files": "1-1"}))


class Opening(GivingTestCase):
    def test_a_file_bears_the_date_since_which_it_is_given_out(self) -> None:
        generation = self.publish(core=OLD)
        self.assertEqual(self.content(generation, "core.db"), (database(OLD), BEGINNING))

    def test_one_that_was_given_before_is_given_still(self) -> None:
        """Who was told of it may ask only now."""
        old = self.publish(core=OLD)
        self.publish(core=NEW)
        self.assertEqual(self.content(old, "core.db")[0], database(OLD))

    def test_a_state_that_is_given_again_bears_the_later_date(self) -> None:
        old = self.publish(core=OLD)
        self.publish(core=NEW)
        self.done(self.states.publish(old.identity))
        self.assertEqual(self.content(old, "core.db"), (database(OLD), BEGINNING + 2))

    def test_the_signature_is_the_same_states(self) -> None:
        def signed(packages: dict[str, str], signature: bytes) -> Generation:
            with self.archive.gathering():
                made = self.generation(core=packages)
                piece = keep(self.archive, signature)
                one = replace(made.databases[CORE], signature=piece)
                generation = Generation(made.made, made.source, {CORE: one})
                self.done(self.states.add(generation))
            self.done(self.states.publish(generation.identity))
            return generation

        old, new = signed(OLD, b"old"), signed(NEW, b"new")
        self.assertEqual(self.content(old, "core.db.sig")[0], b"old")
        self.assertEqual(self.content(new, "core.db.sig")[0], b"new")

    def test_nothing_else_is(self) -> None:
        generation = self.publish(core=OLD)
        waiting = self.read(core=NEW)
        for identity, architecture, name in (
            (waiting.identity, "x86_64", "core.db"),
            ("0" * 16, "x86_64", "core.db"),
            (generation.identity, "aarch64", "core.db"),
            *(
                (generation.identity, "x86_64", name)
                for name in ("extra.db", "core.db.sig", "core.files", "core", "", "../core.db")
            ),
        ):
            self.refused(self.giving.open(identity, architecture, name), StoreError)

    def test_a_list_of_files_that_is_not_here_is_brought(self) -> None:
        generation = self.publish(core=OLD, own=OLD)
        self.private.add("own")
        for name in ("core.files", "core.files.sig", "own.files", "extra.files"):
            self.refused(self.giving.open(generation.identity, "x86_64", name), StoreError)
        self.assertEqual(self.wanted, [(generation.identity, CORE)])

    def test_one_that_is_not_whole_any_more_is_not_given(self) -> None:
        generation = self.publish(core=OLD)
        piece = generation.databases[CORE].database
        (self.folder / "content" / piece.sha256).write_bytes(b"half")
        self.refused(self.giving.open(generation.identity, "x86_64", "core.db"), StoreError)

"""Lists of files: for who asks for them, and only of the packages that the state has."""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred

from flocon.pacman.keyring import Verdict
from flocon.states.generation import Generation, Where
from flocon.upstream.filelists import AGAIN
from tests.upstream.reading_case import CORE, EXTRA, ONE, SIGNATURE, TWO
from tests.upstream.test_refreshing import DATABASE, RefreshingCase
from tests.upstream.web import THEN, database

FILES = f"/core{DATABASE}core.files"


class FileListsCase(RefreshingCase):
    def setUp(self) -> None:
        super().setUp()
        self.refreshing.allow(True)
        self.clock.advance(0)
        self.web.of()
        self.web.bodies.clear()

    def find(self, where: Where = CORE) -> Deferred[Generation | None]:
        return self.refreshing.files.find(self.states.read[-1], where)

    def found(self) -> Generation | None:
        return self.successResultOf(self.find())

    def assert_given(self, generation: Generation | None, version: str = "1-1") -> None:
        assert generation is not None
        piece = generation.databases[CORE].files
        assert piece is not None
        with os.fdopen(self.archive.open_piece(piece), "rb") as file:
            self.assertEqual(file.read(), database("bash", version=version, files=True))


class OnDemand(FileListsCase):
    def test_none_is_fetched_unasked(self) -> None:
        self.assertFalse([path for path in self.web.bodies if path.endswith(".files")])

    def test_the_first_who_asks_has_it_fetched_and_the_next_has_it(self) -> None:
        self.assert_given(self.found())
        self.assertEqual(self.web.bodies, [FILES])
        self.assert_given(self.found())
        self.assertEqual(self.web.bodies, [FILES])

    def test_it_belongs_to_the_state_from_then_on(self) -> None:
        self.found()
        self.assert_given(self.states.read[-1])
        self.assertEqual(len(self.contents()), 3)

    def test_its_signature_comes_with_it(self) -> None:
        self.web.put(f"{ONE}{FILES}.sig", SIGNATURE)
        generation = self.found()
        assert generation is not None
        piece = generation.databases[CORE].files_signature
        self.assertEqual(piece.size if piece else 0, len(SIGNATURE))

    def test_one_of_other_packages_is_not_given(self) -> None:
        for root in (ONE, TWO):
            self.web.put(f"{root}{FILES}", database("bash", version="2-1", files=True))
        self.assertIsNone(self.found())
        self.assertEqual(len(self.contents()), 2)

    def test_nor_one_that_lacks_some_or_cannot_be_read(self) -> None:
        for data in (database(files=True), database("bash", "zsh", files=True), b"\x1f\x8b" * 99):
            for root in (ONE, TWO):
                self.web.put(f"{root}{FILES}", data)
            self.assertIsNone(self.found())
            self.clock.advance(AGAIN)

    def test_nor_one_with_the_signature_of_another(self) -> None:
        self.keyring.verdicts[SIGNATURE] = Verdict.BAD
        for root in (ONE, TWO):
            self.web.put(f"{root}{FILES}.sig", SIGNATURE)
        self.assertIsNone(self.found())

    def test_where_one_mirror_has_another_one_the_next_is_asked(self) -> None:
        self.web.put(f"{ONE}{FILES}", database("bash", version="2-1", files=True))
        self.assert_given(self.found())

    def test_what_nobody_has_is_asked_for_again_after_a_while_alone(self) -> None:
        for root in (ONE, TWO):
            self.web.faults[f"{root}{FILES}"] = 404
        self.assertIsNone(self.found())
        self.web.of()
        self.assertIsNone(self.found())
        self.assertEqual(self.web.of(), [])
        self.web.faults.clear()
        self.clock.advance(AGAIN)
        self.assert_given(self.found())

    def test_many_who_ask_at_once_have_it_fetched_once(self) -> None:
        self.clock.held = True
        waiting = [self.find() for _ in range(5)]
        self.clock.held = False
        self.clock.work()
        for one in waiting:
            self.assert_given(self.successResultOf(one))
        self.assertEqual(self.web.bodies, [FILES])

    def test_who_leaves_does_not_keep_it_from_the_others(self) -> None:
        self.clock.held = True
        first, second = self.find(), self.find()
        first.cancel()
        self.failureResultOf(first)
        self.clock.held = False
        self.clock.work()
        self.assert_given(self.successResultOf(second))

    def test_on_a_link_that_costs_none_is_fetched(self) -> None:
        self.refreshing.allow(False)
        self.assertIsNone(self.found())
        self.assertEqual(self.web.of(), [])

    def test_a_snapshots_stays_with_it(self) -> None:
        self.done(self.states.keep_snapshot("before", self.states.read[-1], THEN))
        self.found()
        self.assert_given(self.states.snapshots["before"][0])


class AsStatesFollow(FileListsCase):
    def next_state(self) -> None:
        for root in (ONE, TWO):
            self.move_on(root, THEN + 60, "2-1")
        self.read()

    def test_the_next_state_has_it_without_being_asked(self) -> None:
        self.found()
        self.next_state()
        self.assert_given(self.states.read[-1], "2-1")
        self.assertIsNone(self.states.read[-1].databases[EXTRA].files)

    def test_also_after_a_restart(self) -> None:
        self.found()
        self.refreshing.stop()
        self.refreshing = self.make()
        self.next_state()
        self.assert_given(self.states.read[-1], "2-1")

    def test_where_nothing_is_new_it_stays(self) -> None:
        self.found()
        self.read()
        self.assert_given(self.states.read[-1])

    def test_until_nobody_has_asked_for_long(self) -> None:
        self.found()
        self.clock.advance(self.settings.unused + 1)
        self.next_state()
        self.assertIsNone(self.states.read[-1].databases[CORE].files)

    def test_a_state_is_whole_without(self) -> None:
        self.found()
        self.web.faults = {f"{root}{FILES}": 500 for root in (ONE, TWO)}
        self.next_state()
        self.assertEqual(self.listed(), {"bash-2-1"})
        self.assertIsNone(self.states.read[-1].databases[CORE].files)

    def test_of_what_is_as_it_was_it_is_not_fetched_again(self) -> None:
        self.found()
        self.web.bodies.clear()
        self.web.put(f"{ONE}/lastupdate", str(THEN + 60).encode())
        self.web.put(f"{ONE}/extra{DATABASE}extra.db", database("vim", version="2-1"), THEN + 50)
        self.read()
        self.assertNotIn(FILES, self.web.bodies)
        self.assert_given(self.states.read[-1])

"""The mirrors are read: one state of one mirror, or nothing."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet import error

from flocon.errors import FloconError, MirrorError
from flocon.pacman.configuration import PacmanConfiguration, Repository, SignatureLevel
from flocon.pacman.keyring import Verdict
from flocon.states.generation import Where
from flocon.upstream import drafts, one_mirror, upstream
from flocon.upstream.groups import TRUST
from flocon.upstream.one_mirror import PAUSE, TRIES
from flocon.upstream.refreshing import Refreshing
from tests.upstream.reading_case import CORE, EXTRA, ONE, SIGNATURE, TWO, ReadingCase
from tests.upstream.web import THEN, database

DATABASE = "/os/x86_64/"


class RefreshingCase(ReadingCase):
    def setUp(self) -> None:
        super().setUp()
        self.came = 0
        #: Whether mirrors say when they changed last.
        self.notes = True
        self.web.mirror(ONE, {"core": ["bash"], "extra": ["vim"]})
        self.web.mirror(TWO, {"core": ["bash"], "extra": ["vim"]})
        self.refreshing = self.make()

    def make(self) -> Refreshing:
        refreshing = Refreshing(
            self.tools,
            settings=lambda: self.settings,
            configuration=lambda: self.configuration,
            states=self.states,
            came=self.count,
        )
        self.done(refreshing.start())
        self.addCleanup(refreshing.stop)
        return refreshing

    async def count(self) -> None:
        self.came += 1

    def read(self) -> str:
        return self.done(self.refreshing.read())

    def failing(self) -> str:
        return str(self.failureResultOf(self.start(self.refreshing.read()), FloconError).value)

    def listed(self, where: object = CORE) -> set[str]:
        """Return the packages that the newest state lists in a repository."""
        generation = self.states.read[-1]
        self.done(self.states.catalogue.use([generation]))
        found = self.states.catalogue.database(generation, where)  # type: ignore[arg-type]
        return set() if found is None else {one.partition("-x86")[0] for one in found.entries}

    def move_on(self, root: str, moment: int, version: str) -> None:
        names = {"core": ["bash"], "extra": ["vim"]}
        last_update = moment if self.notes else None
        self.web.mirror(root, names, last_update=last_update, modified=moment, version=version)


class Reading(RefreshingCase):
    def test_all_databases_come_from_one_mirror(self) -> None:
        told = self.read()
        self.assertEqual(self.listed(CORE), {"bash-1-1"})
        self.assertEqual(self.listed(EXTRA), {"vim-1-1"})
        self.assertTrue(all(url.startswith(ONE) for _, url in self.web.asked))
        self.assertIn("a newer state was read from one: 2 of 2 databases are new", told)
        self.assertEqual(self.states.read[-1].last_update, THEN)
        self.assertEqual(self.came, 1)

    def test_where_the_last_update_is_the_same_nothing_is_fetched(self) -> None:
        self.read()
        self.read()  # a mirror may change a little after it has said so
        self.web.of()
        told = self.read()
        self.assertEqual(self.web.of(), ["/lastupdate"])
        self.assertIn("one has nothing new", told)
        self.assertEqual(len(self.states.read), 1)

    def test_of_what_is_as_it_was_no_body_is_fetched(self) -> None:
        self.read()
        self.web.bodies.clear()
        self.web.put(f"{ONE}/lastupdate", str(THEN + 60).encode())
        self.web.put(f"{ONE}/core{DATABASE}core.db", database("bash", version="2-1"), THEN + 50)
        self.assertIn("1 of 2 databases are new", self.read())
        self.assertEqual(self.web.bodies, ["/lastupdate", f"/core{DATABASE}core.db", "/lastupdate"])
        self.assertEqual(self.listed(CORE), {"bash-2-1"})
        self.assertEqual(self.listed(EXTRA), {"vim-1-1"})

    def test_what_changes_a_little_after_it_was_said_is_read_all_the_same(self) -> None:
        self.read()
        self.web.put(f"{ONE}/lastupdate", str(THEN + 60).encode())
        self.read()
        self.web.put(f"{ONE}/core{DATABASE}core.db", database("bash", version="2-1"), THEN + 90)
        self.read()
        self.assertEqual(self.listed(CORE), {"bash-2-1"})

    def test_without_a_last_update_dates_tell(self) -> None:
        for root in (ONE, TWO):
            del self.web.files[f"{root}/lastupdate"]
        self.read()
        self.assertEqual(
            self.web.of("HEAD"), [f"/core{DATABASE}core.db", f"/extra{DATABASE}extra.db"]
        )
        self.assertIsNone(self.states.read[-1].last_update)
        self.web.bodies.clear()
        self.assertIn("nothing new", self.read())
        self.assertEqual(self.web.bodies, [])

    def test_the_same_state_is_as_old_as_it_was(self) -> None:
        self.read()
        made = self.states.read[-1].made
        self.clock.advance(7_200)
        self.web.put(f"{ONE}/lastupdate", str(THEN + 60).encode())
        self.read()
        self.assertEqual([one.made for one in self.states.read], [made])
        self.assertEqual(self.states.read[-1].last_update, THEN + 60)

    def test_a_signature_comes_with_its_database(self) -> None:
        self.web.put(f"{ONE}/core{DATABASE}core.db.sig", SIGNATURE)
        self.read()
        piece = self.states.read[-1].databases[CORE].signature
        assert piece is not None
        self.assertEqual(piece.size, len(SIGNATURE))
        self.assertIsNone(self.states.read[-1].databases[EXTRA].signature)

    def test_a_signature_may_come_later_than_its_database(self) -> None:
        self.read()
        self.web.put(f"{ONE}/lastupdate", str(THEN + 60).encode())
        self.web.put(f"{ONE}/core{DATABASE}core.db.sig", SIGNATURE)
        self.web.bodies.clear()
        self.read()
        self.assertIsNotNone(self.states.read[-1].databases[CORE].signature)
        self.assertNotIn(f"/core{DATABASE}core.db", self.web.bodies)

    def test_a_wrong_one_is_replaced_once_the_right_one_is_there(self) -> None:
        self.web.put(f"{ONE}/core{DATABASE}core.db.sig", SIGNATURE)
        self.read()
        self.web.put(f"{ONE}/lastupdate", str(THEN + 60).encode())
        right = SIGNATURE[:-1] + b"\x09"
        self.web.put(f"{ONE}/core{DATABASE}core.db.sig", right)
        self.read()
        piece = self.states.read[-1].databases[CORE].signature
        assert piece is not None
        self.assertEqual((self.folder / "content" / piece.sha256).read_bytes(), right)

    def test_a_restart_knows_what_was_read(self) -> None:
        self.read()
        self.read()
        self.refreshing.stop()
        self.refreshing = self.make()
        self.web.of()
        self.read()
        self.assertEqual(self.web.of(), ["/lastupdate"])


class Amid(RefreshingCase):
    """A mirror changes while it is read."""

    def moving(self, times: int) -> None:
        """Have the first mirror move on whenever extra is asked for, so often."""
        left = [times]

        def before(url: str) -> None:
            if url == f"{ONE}/extra{DATABASE}extra.db" and left[0]:
                left[0] -= 1
                number = times - left[0]
                self.move_on(ONE, THEN + number, f"{number + 1}-1")

        self.web.before = before

    def test_it_is_read_again_until_all_is_of_one_state(self) -> None:
        self.moving(1)
        reading = self.start(self.refreshing.read())
        self.assertNoResult(reading)
        self.assertEqual(self.states.read, [])
        self.clock.advance(PAUSE)
        self.successResultOf(reading)
        self.assertEqual((self.listed(CORE), self.listed(EXTRA)), ({"bash-2-1"}, {"vim-2-1"}))

    def test_without_a_last_update_that_is_seen_by_dates(self) -> None:
        self.moving(1)
        for root in (ONE, TWO):
            del self.web.files[f"{root}/lastupdate"]
        self.notes = False
        reading = self.start(self.refreshing.read())
        self.assertNoResult(reading)
        self.clock.advance(PAUSE)
        self.successResultOf(reading)
        self.assertEqual((self.listed(CORE), self.listed(EXTRA)), ({"bash-2-1"}, {"vim-2-1"}))

    def test_within_one_second_that_is_seen_by_dates_too(self) -> None:
        left = [1]

        def before(url: str) -> None:
            if url == f"{ONE}/extra{DATABASE}extra.db" and left:
                left.pop()
                self.move_on(ONE, THEN + 1, "2-1")
                self.web.put(f"{ONE}/lastupdate", str(THEN).encode())

        self.web.before = before
        reading = self.start(self.refreshing.read())
        self.assertNoResult(reading)
        self.clock.advance(PAUSE)
        self.successResultOf(reading)
        self.assertEqual((self.listed(CORE), self.listed(EXTRA)), ({"bash-2-1"}, {"vim-2-1"}))

    def test_one_that_changes_all_the_time_is_left_for_the_next(self) -> None:
        self.moving(TRIES)
        reading = self.start(self.refreshing.read())
        self.clock.pump([PAUSE] * TRIES)
        self.successResultOf(reading)
        self.assertEqual(self.states.read[-1].source, "two")

    def test_nothing_of_a_half_read_state_is_kept(self) -> None:
        self.moving(1)
        self.start(self.refreshing.read())
        self.clock.advance(PAUSE)
        pieces = {piece.sha256 for piece in self.states.read[-1].pieces()}
        self.assertEqual(self.contents(), pieces)

    def test_what_is_published_amid_takes_nothing_away(self) -> None:
        self.web.silent.add(f"{ONE}/extra{DATABASE}extra.db")
        reading = self.start(self.refreshing.read())
        self.done(self.states.refreshed())
        self.assertEqual(len(self.contents()), 1)
        reading.addErrback(lambda _: None)
        self.clock.advance(10)
        self.assertEqual(self.listed(CORE), {"bash-1-1"})


class LookingOn(RefreshingCase):
    def test_no_further_mirror_is_begun_once_the_look_has_had_its_time(self) -> None:
        self.web.silent.add(f"{ONE}/extra{DATABASE}extra.db")
        self.patch(upstream, "LONGEST_LOOK", 5.0)
        reading = self.start(self.refreshing.read())
        self.clock.advance(10.0)
        self.failureResultOf(reading, MirrorError)


class Faults(RefreshingCase):
    """The first mirror does something wrong, and the second is read."""

    def assert_second(self) -> None:
        reading = self.start(self.refreshing.read())
        self.clock.pump([10.0] * 8)
        self.successResultOf(reading)
        self.assertEqual(self.states.read[-1].source, "two")
        self.assertEqual((self.listed(CORE), self.listed(EXTRA)), ({"bash-1-1"}, {"vim-1-1"}))
        pieces = {piece.sha256 for piece in self.states.read[-1].pieces()}
        self.assertEqual(self.contents(), pieces)

    def test_it_refuses_the_connection(self) -> None:
        self.web.faults[f"{ONE}/lastupdate"] = error.ConnectionRefusedError()
        self.assert_second()

    def test_it_fails(self) -> None:
        self.web.faults[f"{ONE}/extra{DATABASE}extra.db"] = 503
        self.assert_second()

    def test_it_lacks_a_database(self) -> None:
        del self.web.files[f"{ONE}/extra{DATABASE}extra.db"]
        self.assert_second()

    def test_it_is_silent(self) -> None:
        self.web.silent.add(f"{ONE}/extra{DATABASE}extra.db")
        self.assert_second()

    def test_it_drips(self) -> None:
        self.web.dripping.add(f"{ONE}/extra{DATABASE}extra.db")
        self.assert_second()

    def test_it_has_had_its_time_for_all_of_it(self) -> None:
        self.web.silent.add(f"{ONE}/extra{DATABASE}extra.db")
        self.patch(one_mirror, "LONGEST_READING", 5.0)
        reading = self.start(self.refreshing.read())
        self.clock.advance(5.0)
        self.successResultOf(reading)
        self.assertEqual(self.states.read[-1].source, "two")

    def test_its_note_has_no_end(self) -> None:
        # What is no time says nothing, and no more of it is read than a time has.
        self.web.put(f"{ONE}/lastupdate", b"<html>" * 100_000)
        self.read()
        self.assertEqual(self.states.read[-1].source, "one")
        self.assertIsNone(self.states.read[-1].last_update)
        self.assertTrue(self.web.answers[f"{ONE}/lastupdate"].left)

    def test_it_sends_a_page(self) -> None:
        self.web.put(f"{ONE}/extra{DATABASE}extra.db", b"<!DOCTYPE html><p>hello" + b" " * 600)
        self.assert_second()

    def test_its_database_ends_early(self) -> None:
        self.web.short[f"{ONE}/extra{DATABASE}extra.db"] = 10
        self.assert_second()

    def test_its_database_was_cut_short_on_its_disk(self) -> None:
        self.web.put(f"{ONE}/extra{DATABASE}extra.db", database("vim")[:-20])
        self.assert_second()

    def test_its_database_is_larger_than_pacman_takes(self) -> None:
        self.patch(drafts, "LARGEST_DATABASE", 2_000)
        self.web.put(f"{ONE}/extra{DATABASE}extra.db", database(*map(str, range(900))))
        self.assert_second()

    def test_its_database_is_for_other_machines(self) -> None:
        other = database("vim", architecture="aarch64")
        self.web.put(f"{ONE}/extra{DATABASE}extra.db", other)
        self.assert_second()

    def test_its_signature_is_of_another_database(self) -> None:
        self.keyring.verdicts[SIGNATURE] = Verdict.BAD
        self.web.put(f"{ONE}/core{DATABASE}core.db.sig", SIGNATURE)
        self.assert_second()
        self.assertEqual(self.keyring.judged[0], database("bash"))

    def test_it_has_no_signature_where_pacman_needs_one(self) -> None:
        self.level = SignatureLevel.REQUIRED
        for name in ("core", "extra"):
            self.web.put(f"{TWO}/{name}{DATABASE}{name}.db.sig", SIGNATURE)
        self.web.put(f"{ONE}/core{DATABASE}core.db.sig", b"<!DOCTYPE html>")
        self.assert_second()

    def test_it_is_older_than_what_is_here(self) -> None:
        for root in (ONE, TWO):
            self.move_on(root, THEN + 100, "2-1")
        self.read()
        self.move_on(ONE, THEN, "1-1")
        self.move_on(TWO, THEN + 200, "3-1")
        self.read()
        self.assertEqual(self.states.read[-1].source, "two")
        self.assertEqual(self.listed(CORE), {"bash-3-1"})

    def test_a_repository_that_stays_back_for_two_days_is_believed(self) -> None:
        for root in (ONE, TWO):
            self.move_on(root, THEN + 100, "2-1")
        self.read()
        for root in (ONE, TWO):
            self.move_on(root, THEN, "1-1")
        # Also where it is looked once a day, more or less.
        self.clock.advance(90_000)
        self.assertIn("behind what is here", self.failing())
        self.clock.advance(TRUST - 90_000)
        reading = self.start(self.refreshing.read())
        self.clock.advance(PAUSE)
        self.successResultOf(reading)
        self.assertEqual(self.listed(CORE), {"bash-1-1"})

    def test_what_no_mirror_has_is_left_out_and_not_looked_for_all_over_each_time(self) -> None:
        for root in (ONE, TWO):
            del self.web.files[f"{root}/extra{DATABASE}extra.db"]
        self.read()
        self.assertEqual(set(self.states.read[-1].databases), {CORE})
        self.web.asked.clear()
        self.read()
        self.assertFalse([url for _, url in self.web.asked if url.startswith(TWO)])

    def test_what_no_mirror_has_and_what_none_is_known_for_is_told(self) -> None:
        self.assertEqual(self.refreshing.absent, [])
        for root in (ONE, TWO):
            del self.web.files[f"{root}/extra{DATABASE}extra.db"]
        self.settings = replace(self.settings, architectures=("x86_64", "aarch64"))
        self.read()
        self.assertEqual(
            self.refreshing.describe()["absent"],
            ["extra (x86_64)", "core (aarch64)", "extra (aarch64)"],
        )

    def test_what_was_there_lately_is_not_given_up_at_once(self) -> None:
        self.read()
        for root in (ONE, TWO):
            del self.web.files[f"{root}/extra{DATABASE}extra.db"]
            self.web.put(f"{root}/lastupdate", str(THEN + 60).encode())
        self.assertIn("has no more extra", self.failing())
        self.assertEqual(self.listed(EXTRA), {"vim-1-1"})

    def test_the_others_move_on_once_what_is_gone_is_not_mirrored_any_more(self) -> None:
        self.read()
        for root in (ONE, TWO):
            self.move_on(root, THEN + 60, "2-1")
            del self.web.files[f"{root}/extra{DATABASE}extra.db"]
        failure = self.failureResultOf(self.start(self.refreshing.read()), MirrorError).value
        self.assertIn("[mirror] repositories", failure.remedy)
        self.repositories = ("core",)
        self.read()
        self.assertEqual(self.listed(CORE), {"bash-2-1"})
        self.assertEqual(set(self.states.read[-1].databases), {CORE})


class LateSignatures(RefreshingCase):
    """Of a key that nobody here knows: mirrors copy one file after the other."""

    def setUp(self) -> None:
        super().setUp()
        for root in (ONE, TWO):
            self.sign(root, SIGNATURE)
        self.read()

    def sign(self, root: str, signature: bytes) -> None:
        for name in ("core", "extra"):
            self.web.put(f"{root}/{name}{DATABASE}{name}.db.sig", signature)

    def settled(self) -> str:
        """Return what came of a look, after all its tries."""
        reading = self.start(self.refreshing.read())
        reading.addErrback(lambda failure: str(failure.trap(FloconError) and failure.value))
        self.clock.pump([PAUSE] * (2 * TRIES))
        return self.successResultOf(reading)

    def test_the_one_of_the_database_before_is_not_of_the_next(self) -> None:
        for root in (ONE, TWO):
            self.move_on(root, THEN + 60, "2-1")
        self.sign(TWO, SIGNATURE[:-1] + b"\x09")
        self.settled()
        self.assertEqual(self.states.read[-1].source, "two")
        self.assertEqual(self.listed(CORE), {"bash-2-1"})

    def test_what_was_signed_is_not_given_without_a_signature(self) -> None:
        for root in (ONE, TWO):
            self.move_on(root, THEN + 60, "2-1")
            del self.web.files[f"{root}/core{DATABASE}core.db.sig"]
        self.sign(TWO, SIGNATURE)
        self.assertIn("has no signature of its core.db yet", self.settled())
        self.assertEqual(self.listed(CORE), {"bash-1-1"})

    def test_what_nobody_signs_any_more_is_given_in_the_end(self) -> None:
        for root in (ONE, TWO):
            self.move_on(root, THEN + 60, "2-1")
            for name in ("core", "extra"):
                del self.web.files[f"{root}/{name}{DATABASE}{name}.db.sig"]
        self.clock.advance(TRUST)
        self.settled()
        self.assertEqual(self.listed(CORE), {"bash-2-1"})
        self.assertIsNone(self.states.read[-1].databases[CORE].signature)


class All(RefreshingCase):
    def test_where_all_mirrors_fail_that_is_said_and_the_state_stays(self) -> None:
        self.read()
        for root in (ONE, TWO):
            self.web.faults[f"{root}/lastupdate"] = error.ConnectionRefusedError()
        told = self.failing()
        self.assertIn("one: refused the connection", told)
        self.assertIn("two: refused the connection", told)
        self.assertEqual(self.refreshing.problem, told)
        self.assertEqual(self.came, 1)
        self.assertEqual(self.listed(CORE), {"bash-1-1"})

    def test_nothing_to_mirror_says_what_to_set(self) -> None:
        self.repositories = ()
        told = self.failureResultOf(self.start(self.refreshing.read()), MirrorError).value
        self.assertIn("no repositories", str(told))
        self.assertIn("[mirror]", str(told))
        self.settings = type(self.settings)(serve=True, repositories=("core",))
        told = self.failureResultOf(self.start(self.refreshing.read()), MirrorError).value
        self.assertIn("no server is known for core", str(told))


class Apart(RefreshingCase):
    """A repository of somebody else."""

    roots = (ONE,)

    def setUp(self) -> None:
        super().setUp()
        self.settings = type(self.settings)(serve=True, repositories=("core", "extra", "home"))
        self.url = "http://home/x86_64/home.db"
        self.web.put(self.url, database("mine"))

    @property
    def configuration(self) -> PacmanConfiguration:
        one = super().configuration
        home = Repository("home", ("http://home/x86_64",))
        return replace(one, repositories=(*one.repositories, home))

    def test_it_is_read_by_itself(self) -> None:
        self.read()
        self.assertEqual(len(self.states.read[-1].databases), 3)
        self.assertEqual(self.states.read[-1].source, "one")

    def test_while_it_fails_the_others_move_on_and_it_stays_as_it_is(self) -> None:
        self.read()
        self.web.faults[self.url] = 500
        self.move_on(ONE, THEN + 60, "2-1")
        self.assertIn("home: answered 500", self.read())
        self.assertIn("home: answered 500", self.refreshing.problem)
        self.assertEqual(self.listed(CORE), {"bash-2-1"})
        self.assertEqual(len(self.states.read[-1].databases), 3)

    def test_while_the_others_fail_it_moves_on(self) -> None:
        self.read()
        self.web.faults[f"{ONE}/lastupdate"] = error.ConnectionRefusedError()
        self.web.put(self.url, database("mine", version="2-1"), THEN + 60)
        self.read()
        self.assertEqual(self.listed(Where("x86_64", "home")), {"mine-2-1"})
        self.assertEqual(self.listed(CORE), {"bash-1-1"})

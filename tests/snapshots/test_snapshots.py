"""States that are kept by a name, and the state that the LAN is to have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flocon.errors import MirrorError, Refused, Stalled
from flocon.settings.settings import Mirror as MirrorSettings
from flocon.snapshots import snapshots
from flocon.snapshots.sayings import moment
from flocon.snapshots.snapshots import Snapshots
from flocon.states.generation import Generation, Where
from flocon.states.publication import LATEST, SNAPSHOT
from tests.states.states_case import (
    BEGINNING,
    CORE,
    DAY,
    EXTRA,
    StatesTestCase,
    file_name,
    sha256_of,
)

OLD, NEW = {"a": "1-1", "b": "1-1"}, {"a": "2-1", "c": "1-1"}
ARCHIVE = "https://archive.example/repos/$date/$repo/os/$arch"


class SnapshotsTestCase(StatesTestCase):
    def begin(self) -> None:
        super().begin()
        self.settings = MirrorSettings(serve=True)
        self.mirrored: list[Where] = [CORE]
        #: By server, what an archive has there, or how it fails.
        self.archived: dict[str, Mapping[str, str] | Exception] = {}
        self.snapshots = Snapshots(
            self.reactor,
            states=self.states,
            archive=self.archive,
            settings=lambda: self.settings,
            mirrored=lambda: self.mirrored,
            read=self.read_archive,
        )
        self.done(self.snapshots.gather())

    async def read_archive(self, servers: Mapping[Where, Sequence[str]]) -> Generation:
        ((where, (server,)),) = servers.items()
        found = self.archived[server]
        if isinstance(found, Exception):
            raise found
        return self.generation(**{where.repository: found})

    def take(self, name: str = "", of: str = "now") -> str:
        return str(self.done(self.snapshots.take(name, of)))

    def use(self, word: str, **options: bool) -> str:
        return str(self.done(self.snapshots.use(word, **options)))

    def why_not(self, coroutine: Any) -> str:
        return self.refused(coroutine, MirrorError)

    def protects(self, name: str, version: str) -> bool:
        return self.snapshots.protects(file_name(name, version), sha256_of(name, version))

    @property
    def given(self) -> str | None:
        published = self.states.published
        return None if published is None else published[0].identity


class Taking(SnapshotsTestCase):
    def test_it_keeps_the_state_that_is_given_out(self) -> None:
        given = self.publish(core=OLD)
        self.now += 60
        self.read(core=NEW)
        self.take("before")
        self.assertEqual(self.states.snapshots, {"before": (given, BEGINNING + 60)})

    def test_it_keeps_another_state_by_a_word_for_it(self) -> None:
        self.publish(core=OLD)
        newest = self.read(core=NEW)
        self.take("after", "latest")
        self.take("again", newest.identity)
        self.assertEqual(
            {one.identity for one, _ in self.states.snapshots.values()}, {newest.identity}
        )

    def test_without_a_name_it_is_called_by_its_day(self) -> None:
        self.publish(core=OLD)
        for _ in range(3):
            self.take()
        names = ["2026-09-21", "2026-09-21-2", "2026-09-21-3"]
        self.assertEqual(list(self.states.snapshots), names)

    def test_its_databases_stay_when_the_state_is_not_read_any_more(self) -> None:
        old = self.publish(core=OLD)
        self.take("before")
        for day in range(1, 60):
            self.now = BEGINNING + day * DAY
            self.publish(core={"a": f"{day}-2"})
        self.assertNotIn(old.identity, [one.identity for one in self.states.read])
        self.assertTrue(all(map(self.archive.has, old.pieces())))

    def test_it_stays_over_a_restart(self) -> None:
        given = self.publish(core=OLD)
        self.take("before")
        self.states.close()
        self.begin()
        self.assertEqual(self.states.snapshots, {"before": (given, BEGINNING)})
        self.assertTrue(self.protects("a", "1-1"))

    def test_what_it_lists_is_protected(self) -> None:
        self.publish(core=OLD)
        self.take("before")
        self.publish(core=NEW)
        protected = [self.protects("a", "1-1"), self.protects("b", "1-1")]
        self.assertEqual([*protected, self.protects("a", "2-1")], [True, True, False])

    def test_a_file_of_that_name_with_another_content_is_not_protected(self) -> None:
        self.publish(core=OLD)
        self.take("before")
        self.assertFalse(self.snapshots.protects(file_name("a", "1-1"), sha256_of("b", "1-1")))

    def test_as_long_as_it_is_not_known_what_is_listed_all_is_protected(self) -> None:
        self.publish(core=OLD)
        unopened = Snapshots(
            self.reactor,
            states=self.states,
            archive=self.archive,
            settings=lambda: self.settings,
            mirrored=lambda: self.mirrored,
            read=self.read_archive,
        )
        self.assertTrue(unopened.protects(file_name("z", "9-9"), bytes(32)))
        self.done(unopened.gather())
        self.assertFalse(unopened.protects(file_name("z", "9-9"), bytes(32)))

    def test_what_is_listed_is_read_again_where_its_notes_are_damaged(self) -> None:
        self.publish(core=OLD)
        self.take("before")
        notes = self.folder / "snapshots" / "before.names"
        for damaged in (b"", b"x" * 16, notes.read_bytes()[:-8]):
            notes.write_bytes(damaged)
            self.states.close()
            self.begin()
            self.assertEqual([self.protects("a", "1-1"), self.protects("a", "2-1")], [True, False])

    def test_of_one_that_cannot_be_read_all_is_protected_until_it_is_dropped(self) -> None:
        old = self.publish(core=OLD)
        self.take("before")
        self.publish(core=NEW)
        (self.folder / "snapshots" / "before.names").unlink()
        (self.folder / "content" / old.databases[CORE].database.sha256).write_bytes(b"")
        self.states.close()
        self.begin()
        self.assertTrue(self.protects("z", "9-9"))
        self.done(self.snapshots.drop("before"))
        self.assertFalse(self.protects("a", "1-1"))

    def test_notes_of_another_state_are_not_taken_for_its_own(self) -> None:
        self.publish(core=OLD)
        self.take("before")
        self.publish(core=NEW)
        self.take("after")
        folder = self.folder / "snapshots"
        (folder / "before.names").write_bytes((folder / "after.names").read_bytes())
        self.states.close()
        self.begin()
        self.assertTrue(self.protects("b", "1-1"))

    def test_a_name_is_given_once(self) -> None:
        self.publish(core=OLD)
        self.take("before")
        self.assertIn("'before' already", self.why_not(self.snapshots.take("before")))

    def test_names_that_are_no_files_or_mean_another_state_are_refused(self) -> None:
        self.publish(core=OLD)
        words = ("../x", "a/b", ".x", "-x", "x" * 65, "latest", "now", "3d", "3 days behind")
        for name in (*words, "0123456789abcdef", "ä", "a\n"):
            self.assertIn("cannot be a snapshot's name", self.why_not(self.snapshots.take(name)))
        self.assertEqual(self.states.snapshots, {})

    def test_there_is_a_bound_to_their_number(self) -> None:
        self.publish(core=OLD)
        self.patch(snapshots, "MOST_SNAPSHOTS", 2)
        self.take("one")
        self.take("two")
        self.assertIn("as many as can be", self.why_not(self.snapshots.take("three")))

    def test_before_there_is_a_state_none_is_taken(self) -> None:
        self.assertIn("no state has been read", self.why_not(self.snapshots.take()))


class BroughtByOthers(SnapshotsTestCase):
    """Snapshots that are kept by another hand than this one's: from a folder that is imported."""

    def setUp(self) -> None:
        super().setUp()
        self.publish(core=OLD)
        self.take("before")
        self.done(self.states.keep_snapshot("brought", self.generation(core=NEW), BEGINNING))

    def test_all_is_protected_until_it_is_known_what_they_list(self) -> None:
        self.assertFalse(self.snapshots.is_gathered())
        self.assertTrue(self.protects("z", "9-9"))

    def test_what_they_list_is_protected_then(self) -> None:
        self.done(self.snapshots.gather())
        self.assertTrue(self.snapshots.is_gathered())
        protected = [
            self.protects("a", "1-1"),
            self.protects("a", "2-1"),
            self.protects("z", "9-9"),
        ]
        self.assertEqual(protected, [True, True, False])


class Using(SnapshotsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.old = self.publish(core=OLD)
        self.take("before")
        self.now += DAY
        self.new = self.publish(core=NEW)

    def test_it_is_given_out_at_once_and_later_than_what_was(self) -> None:
        since = self.states.published
        assert since is not None
        self.use("before")
        published = self.states.published
        assert published is not None
        self.assertEqual(published[0].identity, self.old.identity)
        self.assertGreater(published[1].since, since[1].since)

    def test_it_goes_forward_again(self) -> None:
        self.use("before")
        self.use("latest")
        self.assertEqual(self.given, self.new.identity)
        self.assertEqual(self.states.state.policy.kind, LATEST)

    def test_it_stays_in_use_over_a_restart(self) -> None:
        self.use("before")
        since = self.states.state.now
        self.states.close()
        self.begin()
        self.assertEqual(self.states.state.now, since)
        self.assertEqual(str(self.states.state.policy), "before")

    def test_how_installed_packages_follow_is_said(self) -> None:
        back = self.use("before")
        self.assertIn(f"'before', the state of {moment(self.old.made)}", back)
        self.assertIn("1 older, 0 newer than before: 'pacman -Syuu' takes", back)
        self.assertIn("1 package becomes newer by 'pacman -Syu'", self.use("latest"))

    def test_where_it_is_given_already_nothing_is_published_anew(self) -> None:
        since = self.states.state.now
        self.take("now-named")
        self.assertIn("already", self.use("now-named"))
        self.assertEqual(self.states.state.now, since)
        self.assertEqual(self.states.state.policy.kind, SNAPSHOT)

    def test_it_ends_by_itself_after_hold_at_most(self) -> None:
        said = self.use("before")
        self.assertIn("then the newest is given again", said)
        self.assertEqual(self.states.state.policy.until, int(self.now) + 30 * DAY)

    def test_without_an_end_where_it_is_told_to_be_longer(self) -> None:
        said = self.use("before", longer=True)
        self.assertNotIn("held until", said)
        self.assertEqual(self.states.state.policy.until, 0)

    def test_a_state_without_updates_for_longer_than_allowed_is_refused_unless_told(self) -> None:
        self.now += 31 * DAY
        self.assertIn("say --longer", self.why_not(self.snapshots.use("before")))
        self.assertEqual(self.given, self.new.identity)
        self.use("before", longer=True)
        self.assertEqual(self.given, self.old.identity)

    def test_lagging_behind_is_bounded_alike(self) -> None:
        self.assertIn("say --longer", self.why_not(self.snapshots.use("31 days behind")))
        self.use("31 days behind", longer=True)
        self.assertEqual(str(self.states.state.policy), "31 days behind")

    def test_behind_by_some_days_is_the_newest_that_is_so_old(self) -> None:
        self.use("1 day behind")
        self.assertEqual(self.given, self.old.identity)
        self.use("1h")
        self.assertEqual(self.given, self.old.identity)
        self.now += 3_600
        self.use("1h")
        self.assertEqual(self.given, self.new.identity)

    def test_what_is_not_there_is_refused(self) -> None:
        self.assertIn("no snapshot 'other'", self.why_not(self.snapshots.use("other")))
        for word in ("0 days behind", "99999 days behind"):
            self.assertIn("lag behind", self.why_not(self.snapshots.use(word)))
        self.assertEqual(self.given, self.new.identity)


class Dropping(SnapshotsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.old = self.publish(core=OLD)
        self.take("before")
        self.now += DAY
        self.new = self.publish(core=NEW)

    def drop(self, name: str) -> None:
        self.done(self.snapshots.drop(name))

    def test_what_it_alone_lists_is_protected_no_longer(self) -> None:
        self.take("after")
        self.drop("before")
        self.assertEqual([self.protects("a", "1-1"), self.protects("a", "2-1")], [False, True])
        self.assertEqual(
            sorted(one.name for one in (self.folder / "snapshots").iterdir()),
            ["after.json", "after.names"],
        )

    def test_with_the_last_one_nothing_is_protected(self) -> None:
        self.drop("before")
        self.assertFalse(self.protects("a", "1-1"))

    def test_what_the_lan_is_given_is_not_dropped(self) -> None:
        self.use("before")
        self.assertIn("use latest", self.why_not(self.snapshots.drop("before")))
        self.assertIn("before", self.states.snapshots)

    def test_what_was_given_lately_can_still_be_had(self) -> None:
        self.use("before")
        self.use("latest")
        self.drop("before")
        self.assertIsNotNone(self.states.find(self.old.identity))

    def test_what_is_not_there_is_refused(self) -> None:
        self.assertIn("no snapshot 'x'", self.why_not(self.snapshots.drop("x")))


class OfADay(SnapshotsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.settings = MirrorSettings(serve=True, archive=ARCHIVE)
        self.mirrored = [CORE, EXTRA]
        self.core = "https://archive.example/repos/2026/09/01/core/os/x86_64"
        self.extra = "https://archive.example/repos/2026/09/01/extra/os/x86_64"
        self.archived = {self.core: OLD, self.extra: {"e": "1-1"}}

    def take_day(self, day: str = "2026-09-01", name: str = "") -> str:
        return str(self.done(self.snapshots.take_day(day, name)))

    def test_it_is_read_from_the_archive_and_called_by_its_day(self) -> None:
        self.take_day()
        generation, taken = self.states.snapshots["2026-09-01"]
        self.assertEqual(set(generation.databases), {CORE, EXTRA})
        self.assertEqual(generation.age_from, 1_788_220_800)
        self.assertEqual(taken, BEGINNING)
        self.assertTrue(self.protects("e", "1-1"))
        self.assertTrue(all(map(self.archive.has, generation.pieces())))

    def test_it_is_not_what_the_lan_is_given_until_it_is_used(self) -> None:
        given = self.publish(core=NEW, extra={"e": "2-1"})
        self.take_day()
        self.assertEqual(self.given, given.identity)
        self.use("2026-09-01")
        self.assertEqual(self.given, self.states.snapshots["2026-09-01"][0].identity)

    def test_it_is_as_old_as_its_day_where_the_same_was_read_today(self) -> None:
        self.publish(core=OLD, extra={"e": "1-1"})
        self.settings = MirrorSettings(serve=True, archive=ARCHIVE, hold_at_most=DAY)
        self.take_day()
        self.assertIn("say --longer", self.why_not(self.snapshots.use("2026-09-01")))

    def test_what_the_archive_has_not_is_as_in_the_newest_state_and_said(self) -> None:
        newest = self.publish(core=NEW, extra={"e": "2-1"})
        self.archived[self.extra] = Refused("archive.example", 404)
        said = self.take_day()
        self.assertIn("does not have extra (x86_64): as in the newest state", said)
        databases = self.states.snapshots["2026-09-01"][0].databases
        self.assertEqual(databases[EXTRA], newest.databases[EXTRA])

    def test_an_archive_without_that_day_is_said_and_nothing_is_kept(self) -> None:
        for server in self.archived:
            self.archived[server] = Refused("archive.example", 404)
        self.assertIn("no state of 2026-09-01", self.why_not(self.snapshots.take_day("2026-09-01")))
        self.assertEqual(self.states.snapshots, {})

    def test_one_that_fails_amid_leaves_nothing(self) -> None:
        self.archived[self.extra] = Stalled("archive.example", "silent")
        self.refused(self.snapshots.take_day("2026-09-01"), Stalled)
        self.assertEqual(self.states.snapshots, {})
        self.publish(core=NEW)
        self.assertEqual(len(list((self.folder / "content").iterdir())), 1)

    def test_what_is_no_day_or_is_still_to_come_is_refused(self) -> None:
        for day, why in (("1.9.2026", "no day"), ("2026-02-30", "no day"), ("2027-01-01", "come")):
            self.assertIn(why, self.why_not(self.snapshots.take_day(day)))

    def test_without_an_archive_what_to_set_is_said(self) -> None:
        self.settings = MirrorSettings(serve=True)
        self.assertIn("set archive =", self.why_not(self.snapshots.take_day("2026-09-01")))


class Telling(SnapshotsTestCase):
    def test_which_packages_are_others_is_told(self) -> None:
        self.publish(core=OLD, extra={"e": "1-1"})
        self.take("before")
        self.publish(core=NEW, extra={"e": "1-1"})
        told = self.done(self.snapshots.compare("before", "latest"))
        changes = {one["name"]: (one["before"], one["after"]) for one in told["packages"]}
        self.assertEqual(changes, {"a": ("1-1", "2-1"), "b": ("1-1", None), "c": (None, "1-1")})
        numbers = [told[name] for name in ("older", "newer", "rebuilt", "added", "removed")]
        self.assertEqual(numbers, [0, 1, 0, 1, 1])

    def test_a_repository_that_only_one_has_is_named(self) -> None:
        self.publish(core=OLD)
        self.take("before")
        self.publish(core=OLD, extra={"e": "1-1"})
        told = self.done(self.snapshots.compare("before", "now"))
        self.assertEqual((told["only_after"], told["packages"]), (["extra (x86_64)"], []))

    def test_a_word_for_no_state_is_refused(self) -> None:
        self.publish(core=OLD)
        self.assertIn("no snapshot 'x'", self.why_not(self.snapshots.compare("x", "now")))

    def test_all_are_told_with_which_one_is_used(self) -> None:
        old = self.publish(core=OLD)
        self.take("before")
        self.now += DAY
        self.publish(core=NEW)
        self.use("before")
        told = self.snapshots.describe()
        self.assertEqual((told["policy"], told["held_until"]), ("before", int(self.now) + 30 * DAY))
        (snapshot,) = told["snapshots"]
        self.assertEqual(snapshot["generation"], old.identity)
        self.assertTrue(snapshot["in_use"] and snapshot["published"])
        self.assertEqual([one["published"] for one in told["generations"]], [True, False])

    def test_before_the_states_are_read_that_is_said(self) -> None:
        self.states.is_open = False
        self.assertIn("not read yet", self.why_not(self.snapshots.take()))
        self.assertIn("not read yet", self.why_not(self.snapshots.use("latest")))

"""What the mirror for the LAN says of itself, and what of that is not well."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.mirrors import telling
from flocon.states import publication
from flocon.states.generation import DatabaseFiles, Generation, Piece, Where
from tests.mirrors.told import DAY, NOW, clearing, clients, read, state, told, wanting

CORE = Where("x86_64", "core")


def generation(number: int, made: int = NOW, last_update: int | None = None) -> Generation:
    piece = Piece(f"{number:064x}", 5)
    return Generation(made, "mirror.example", {CORE: DatabaseFiles(piece)}, last_update)


class Describing(SynchronousTestCase):
    def describe(
        self,
        state: publication.State,
        *known: Generation,
        snapshots: dict[str, tuple[Generation, int]] | None = None,
    ) -> dict[str, Any]:
        named = {one.identity: one for one in known}
        return telling.describe(
            state,
            published=named.get(state.now.identity) if state.now else None,
            waiting=named.get(state.waiting),
            read=known,
            snapshots=snapshots or {},
            packages=lambda *_: 12,
        )

    def test_before_anything_was_read_there_is_nothing(self) -> None:
        told = self.describe(publication.State())
        self.assertEqual((told["published"], told["waiting"], told["refreshed"]), (None, None, 0))
        self.assertEqual((told["generations"], told["snapshots"]), ([], []))

    def test_each_key_of_a_whole_telling_is_there(self) -> None:
        found = self.describe(publication.State())
        self.assertEqual({*found, "serves", "problem", "missing"}, set(told()))

    def test_the_published_state_and_the_next_one_are_told(self) -> None:
        old, new = generation(1, NOW - DAY, NOW - 2 * DAY), generation(2)
        state = publication.publish(publication.State(), old.identity, NOW - 9)
        state = publication.wait_for(state, new.identity, NOW - 5)
        told = self.describe(state, old, new)
        published, waiting = told["published"], told["waiting"]
        self.assertEqual(published["generation"], old.identity)
        self.assertEqual((published["of"], published["since"]), (NOW - 2 * DAY, NOW - 9))
        self.assertEqual(
            published["databases"],
            [{"repository": "core", "architecture": "x86_64", "packages": 12, "signed": False}],
        )
        self.assertEqual((waiting["generation"], waiting["since"]), (new.identity, NOW - 5))

    def test_the_newest_comes_first(self) -> None:
        states = [generation(number, NOW + number) for number in (1, 2)]
        snapshots = {"a": (states[1], NOW), "b": (states[0], NOW + 5)}
        told = self.describe(publication.State(), *states, snapshots=snapshots)
        self.assertEqual([one["made"] for one in told["generations"]], [NOW + 2, NOW + 1])
        self.assertEqual([one["name"] for one in told["snapshots"]], ["b", "a"])

    def test_a_snapshot_in_use_is_told_to_be(self) -> None:
        states = [generation(number) for number in (1, 2)]
        snapshots = {"a": (states[0], NOW), "b": (states[1], NOW)}
        state = publication.publish(publication.State(), states[0].identity, NOW)
        policies = (publication.Policy(), None), (publication.Policy("snapshot", "b"), "b")
        for policy, used in policies:
            told = self.describe(replace(state, policy=policy), snapshots=snapshots)
            self.assertEqual(
                {one["name"]: one["in_use"] for one in told["snapshots"]},
                {"a": False, "b": used == "b"},
            )
            self.assertEqual(told["policy"], used or "latest")


class Missing(SynchronousTestCase):
    def test_what_the_waiting_state_lacks_is_told(self) -> None:
        lacks: dict[str, Any] = {"lacks": 2, "lacking": ["a.pkg.tar.zst"], "lacking_bytes": 7}
        whole = told(waiting=state(), wanting=wanting(state()["generation"], **lacks))
        wanted = {"packages": 2, "bytes": 7, "files": ["a.pkg.tar.zst"]}
        self.assertEqual(telling.missing(whole), wanted)

    def test_what_was_not_looked_for_is_not_known(self) -> None:
        known = wanting(state()["generation"], lacks=None)
        for whole in (
            told(waiting=state(), wanting=known),
            told(waiting=state(), wanting=wanting("another")),
            told(wanting=known),
            told(waiting=state()),
        ):
            self.assertIsNone(telling.missing(whole))


class Problems(SynchronousTestCase):
    def found(self, **changed: Any) -> list[dict[str, Any]]:
        return list(telling.problems(told(**changed), NOW))

    def assertOne(self, words: str, remedy: str, *, wrong: bool, **changed: Any) -> None:
        found = self.found(**changed)
        self.assertEqual([one["check"] for one in found], ["mirror"], found)
        self.assertIn(words, found[0]["reason"])
        self.assertIn(remedy, found[0]["remedy"])
        self.assertEqual(found[0]["wrong"], wrong)

    def test_one_that_is_well_has_none(self) -> None:
        self.assertEqual(self.found(), [])

    def test_one_that_has_just_begun_has_none(self) -> None:
        self.assertEqual(self.found(refreshed=0, published=None, generations=[]), [])

    def test_mirrors_that_cannot_be_read_are_a_warning_for_two_days(self) -> None:
        remedy = "flocon mirror refresh"
        for silent, wrong in ((DAY, False), (3 * DAY, True)):
            self.assertOne(
                "could not be read for",
                remedy,
                wrong=wrong,
                refreshed=NOW - silent,
                problem="it is",
            )
        self.assertOne("read: it is", remedy, wrong=True, refreshed=0, problem="it is")

    def test_nobody_who_reads_is_said(self) -> None:
        self.assertOne(
            "asked for a new state for 3 days", "refresh", wrong=False, refreshed=NOW - 3 * DAY
        )

    def test_clients_that_get_nothing_are_wrong(self) -> None:
        self.assertOne(
            "there is none that is called may",
            "flocon snapshot use latest",
            wrong=True,
            published=None,
            policy="may",
        )

    def test_what_waits_to_be_the_first_is_not(self) -> None:
        self.assertEqual(self.found(published=None, waiting=state()), [])

    def test_a_state_that_is_held_for_more_than_a_week_lacks_security_updates(self) -> None:
        held = {"policy": "may", "generations": [read(), read(8 * DAY)]}
        self.assertEqual(self.found(published=state(7 * DAY), **held), [])
        self.assertOne(
            "8 days old, without the security updates since: may is in use",
            "flocon snapshot diff now latest",
            wrong=False,
            published=state(8 * DAY),
            **held,
        )

    def test_an_old_state_that_waits_for_packages_says_how_many(self) -> None:
        self.assertOne(
            "8 days old: 3 packages, 5 B is not here yet",
            "flocon mirror status",
            wrong=False,
            published=state(8 * DAY),
            waiting=state(),
            missing={"packages": 3, "bytes": 5, "files": []},
        )

    def test_a_mirror_that_has_not_changed_for_days_is_behind(self) -> None:
        self.assertEqual(self.found(refreshed=NOW, generations=[read(2 * DAY)]), [])
        self.assertOne(
            "had not changed for 3 days: it is behind",
            "put another one first",
            wrong=False,
            refreshed=NOW,
            generations=[read(3 * DAY)],
        )

    def test_one_that_does_not_say_when_it_changed_may_be_as_it_should(self) -> None:
        given = state(30 * DAY)
        self.assertEqual(self.found(published=given, generations=[read(30 * DAY, says=False)]), [])

    def test_that_the_mirror_is_behind_is_said_once(self) -> None:
        self.assertOne(
            "it is behind",
            "put another one first",
            wrong=False,
            published=state(9 * DAY),
            generations=[read(9 * DAY)],
        )

    def test_a_clock_that_is_behind_is_said(self) -> None:
        for published in (state(since=NOW + DAY), state(-DAY)):
            words = "24 h after this machine's time"
            self.assertOne(words, "set-ntp", wrong=False, published=published)
        self.assertEqual(self.found(published=state(-300)), [])

    def test_room_that_is_too_small_for_what_is_wanted_is_said(self) -> None:
        missing = {"packages": 1, "bytes": 3 << 20, "files": []}
        room = clearing(9 << 20, 12 << 20)
        self.assertEqual(self.found(clearing=room, missing=missing), [])
        self.assertEqual(self.found(clearing=clearing(13 << 20, 12 << 20), missing=missing), [])
        room = clearing(10 << 20, 12 << 20)
        words = "has room for 2.0 MiB"
        self.assertOne(words, "max_size", wrong=False, clearing=room, missing=missing)


class Figures(SynchronousTestCase):
    def test_what_is_not_known_is_not_told(self) -> None:
        found = telling.figures(told(published=None, refreshed=0))
        self.assertEqual(
            found,
            {
                "failing": 0,
                "waiting": 0,
                "missing_packages": 0,
                "missing_bytes": 0,
                "snapshots": 0,
            },
        )

    def test_clients_are_counted(self) -> None:
        found = telling.figures(told(clients=clients(("10.0.0.2", 9, 1), ("10.0.0.3", 5, 2))))
        self.assertEqual(
            [found[f"client{name}"] for name in ("s", "_requests", "_bytes", "_fetched_bytes")],
            [2, 10, 14, 3],
        )

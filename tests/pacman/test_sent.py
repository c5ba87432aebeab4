"""What mirrors sent lists for a day, within bounds."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.pacman import sent
from flocon.pacman.entries import Entry, PackedEntries
from flocon.pacman.listing import Database
from flocon.pacman.sent import KEPT_FOR, MOST, MOST_OF_ONE, SentDatabases


def database(repository: str, digest: str, entries: int = 1) -> Database:
    packed = PackedEntries(
        repository,
        [
            Entry(repository, f"a-{number}-1-any.pkg.tar", "a", f"{number}-1", 1, bytes(32))
            for number in range(entries)
        ],
    )
    return Database(repository, digest, 0.0, packed)


@dataclass(frozen=True)
class Step:
    repository: str
    digest: int
    seconds: float


class Sent(SynchronousTestCase):
    def digests(self, kept: SentDatabases, now: float = 0.0) -> list[str]:
        return [one.digest for one in kept.current(now)]

    def test_the_newest_comes_first(self) -> None:
        kept = SentDatabases()
        kept.add(database("core", "a"), 0)
        kept.add(database("extra", "b"), 1)
        self.assertEqual(self.digests(kept, 2), ["b", "a"])

    def test_each_is_kept_for_a_day_and_longer_if_it_is_sent_again(self) -> None:
        kept = SentDatabases()
        kept.add(database("core", "a"), 0)
        kept.add(database("extra", "b"), 0)
        self.assertTrue(kept.renew("a", KEPT_FOR / 2))
        self.assertFalse(kept.renew("c", 0))
        self.assertEqual(self.digests(kept, KEPT_FOR - 1), ["a", "b"])
        self.assertEqual(self.digests(kept, KEPT_FOR), ["a"])
        self.assertEqual(self.digests(kept, 2 * KEPT_FOR), [])
        self.assertEqual(len(kept), 0)

    def test_what_pacman_has_itself_is_dropped(self) -> None:
        kept = SentDatabases()
        kept.add(database("core", "a"), 0)
        kept.drop({"a", "z"})
        self.assertEqual(self.digests(kept), [])

    def test_of_one_repository_only_the_newest_are_kept(self) -> None:
        kept = SentDatabases()
        for digest in "abcd":
            kept.add(database("core", digest), 0)
        self.assertEqual(self.digests(kept), ["d", "c"][:MOST_OF_ONE])

    def test_their_bytes_are_bounded(self) -> None:
        self.patch(sent, "MOST_BYTES", 900)
        kept = SentDatabases()
        kept.add(database("core", "a", 5), 0)
        kept.add(database("extra", "b", 5), 0)
        self.assertEqual(self.digests(kept), ["b", "a"])
        kept.add(database("third", "c", 6), 0)
        self.assertEqual(self.digests(kept)[0], "c")
        self.assertNotIn("a", self.digests(kept))
        kept.add(database("large", "d", 100), 0)
        self.assertNotIn("d", self.digests(kept))

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.builds(
                Step,
                st.sampled_from([f"r{number}" for number in range(20)]),
                st.integers(0, 40),
                st.floats(0, KEPT_FOR),
            ),
            max_size=60,
        )
    )
    def test_whatever_comes_all_bounds_hold(self, steps: list[Step]) -> None:
        kept = SentDatabases()
        now = 0.0
        for step in steps:
            now += step.seconds
            kept.add(database(step.repository, f"{step.repository} {step.digest}"), now)
            current = kept.current(now)
            self.assertLessEqual(len(current), MOST)
            self.assertEqual(current[0].digest, f"{step.repository} {step.digest}")
            repositories = [one.repository for one in current]
            self.assertLessEqual(max(map(repositories.count, repositories)), MOST_OF_ONE)
            self.assertEqual(len({one.digest for one in current}), len(current))

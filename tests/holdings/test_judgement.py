"""When a file may be offered, decided without a disk, a clock or a database."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.files import Content
from flocon.holdings.judgement import SETTLING, Next, Place, Verdict, is_superfluous, judge, rank

NOW = 1_700_000_000.0
OURS, OTHERS = bytes(32), bytes([1]) * 32


@dataclass(frozen=True)
class File:
    """What is known of a file."""

    size: int = 4
    modified: float = NOW - 1000
    signed: bool = True
    sha256: bytes | None = None
    confirmed: bool = False
    faulty: bool = False


HASHED = File(sha256=OURS)
LISTED = Content(4, OURS)

hashes = st.sampled_from([OURS, OTHERS])
files = st.builds(
    File,
    size=st.integers(0, 3),
    modified=st.sampled_from([NOW, NOW - SETTLING, NOW + 3600]),
    signed=st.booleans(),
    sha256=st.none() | hashes,
    confirmed=st.booleans(),
    faulty=st.booleans(),
)
places = st.sampled_from(Place)
listings = st.lists(st.builds(Content, st.integers(0, 3), hashes), max_size=3)


def verdict(
    file: File, *listed: Content, place: Place = Place.CACHE, needs_signature: bool = True
) -> Verdict:
    return judge(file, listed, place=place, needs_signature=needs_signature, now=NOW)


class JudgementTests(SynchronousTestCase):
    def test_what_was_hashed_and_is_listed_nowhere_is_offered_as_what_it_is(self) -> None:
        self.assertEqual(verdict(HASHED), Verdict(LISTED))

    def test_its_own_bytes_being_listed_is_worth_remembering_once(self) -> None:
        self.assertEqual(verdict(HASHED, LISTED), Verdict(LISTED, confirms=True))
        confirmed = replace(HASHED, confirmed=True)
        self.assertEqual(verdict(confirmed, LISTED), Verdict(LISTED))

    def test_what_was_confirmed_is_offered_whatever_is_listed_by_now(self) -> None:
        confirmed = replace(HASHED, confirmed=True)
        self.assertEqual(verdict(confirmed, Content(4, OTHERS)), Verdict(LISTED))

    def test_a_hash_that_contradicts_the_listed_one_is_told_with_it(self) -> None:
        self.assertEqual(verdict(HASHED, Content(4, OTHERS)), Verdict(expected=OTHERS))

    def test_in_the_store_it_is_damaged_for_good(self) -> None:
        found = verdict(HASHED, Content(4, OTHERS), place=Place.STORE)
        self.assertEqual(found, Verdict(expected=OTHERS, damaged=True))

    def test_another_size_than_the_listed_one_is_refused_and_not_damaged(self) -> None:
        self.assertEqual(verdict(HASHED, Content(5, OTHERS), place=Place.STORE), Verdict())
        self.assertEqual(verdict(File(), Content(5, OTHERS)), Verdict())

    def test_a_listed_file_is_offered_while_it_is_being_hashed(self) -> None:
        self.assertEqual(verdict(File(), LISTED), Verdict(LISTED, Next.HASH_FIRST))

    def test_of_the_store_or_of_two_listed_it_is_hashed_before(self) -> None:
        self.assertEqual(verdict(File(), LISTED, place=Place.STORE), Verdict(next=Next.HASH_FIRST))
        two = (LISTED, Content(4, OTHERS))
        self.assertEqual(verdict(File(), *two), Verdict(next=Next.HASH_FIRST))

    def test_one_that_is_listed_nowhere_is_hashed_once_it_cannot_grow_any_more(self) -> None:
        for modified, step in (
            (NOW, Next.LET_SETTLE),
            (NOW + SETTLING / 2, Next.LET_SETTLE),
            (NOW - SETTLING, Next.HASH),
            (NOW + SETTLING, Next.HASH),
        ):
            self.assertEqual(verdict(File(modified=modified)), Verdict(next=step))

    @given(files, listings, places, st.booleans())
    def test_nothing_faulty_empty_or_unsigned_is_offered_or_hashed(
        self, file: File, listed: list[Content], place: Place, needed: bool
    ) -> None:
        found = verdict(file, *listed, place=place, needs_signature=needed)
        if file.faulty or not file.size or (needed and not file.signed):
            self.assertEqual(found, Verdict())

    @given(files, listings, places)
    def test_whatever_is_offered_has_its_size_and_its_own_hash_or_a_listed_one(
        self, file: File, listed: list[Content], place: Place
    ) -> None:
        found = verdict(file, *listed, place=place, needs_signature=False).content
        if found is not None:
            self.assertEqual(found.size, file.size)
            if file.sha256 is None:
                self.assertIs(place, Place.CACHE)
                self.assertIn(found, listed)
            else:
                self.assertEqual(found.sha256, file.sha256)

    @given(files, listings, places)
    def test_what_could_be_offered_once_it_is_hashed_comes_to_be_hashed(
        self, file: File, listed: list[Content], place: Place
    ) -> None:
        file = replace(file, sha256=None, faulty=False, size=file.size or 1)
        found = verdict(file, *listed, place=place, needs_signature=False)
        unlisted = not listed and place is not Place.ADOPTED
        possible = unlisted or any(one.size == file.size for one in listed)
        self.assertEqual(found.next is not Next.NOTHING, possible)


class AdoptedTests(SynchronousTestCase):
    """What lies in another tool's folder, maybe not whole yet under its last name."""

    def judge(self, file: File, *listed: Content) -> Verdict:
        return verdict(file, *listed, place=Place.ADOPTED)

    def test_nothing_is_offered_before_it_was_hashed(self) -> None:
        self.assertEqual(self.judge(File(), LISTED), Verdict(next=Next.HASH_FIRST))
        self.assertEqual(self.judge(HASHED, LISTED), Verdict(LISTED, confirms=True))

    def test_what_no_database_lists_is_neither_read_nor_offered(self) -> None:
        self.assertEqual(self.judge(File()), Verdict())
        self.assertEqual(self.judge(HASHED), Verdict())

    def test_what_is_still_growing_is_not_read(self) -> None:
        self.assertEqual(self.judge(File(size=3), LISTED), Verdict())
        self.assertEqual(self.judge(File(size=0), LISTED), Verdict())

    def test_other_bytes_are_refused_and_not_complained_of(self) -> None:
        self.assertEqual(self.judge(HASHED, Content(4, OTHERS)), Verdict())

    def test_what_was_listed_once_is_offered_as_what_it_is(self) -> None:
        confirmed = replace(HASHED, confirmed=True)
        self.assertEqual(self.judge(confirmed, Content(4, OTHERS)), Verdict(LISTED))


class RankTests(SynchronousTestCase):
    def test_listed_comes_before_hashed_and_hashed_before_the_rest(self) -> None:
        other = Content(4, OTHERS)
        ways = [(other, False), (other, True), (LISTED, False), (LISTED, True)]
        ranks = [rank(content, verified=hashed, listed=[LISTED]) for content, hashed in ways]
        self.assertEqual(sorted(ranks), ranks)
        self.assertEqual(len(set(ranks)), 4)


class SuperfluousTests(SynchronousTestCase):
    """What the store need not keep."""

    def test_what_pacman_has_with_the_same_bytes_is(self) -> None:
        self.assertTrue(is_superfluous(HASHED, [replace(HASHED, sha256=OTHERS), HASHED]))

    def test_what_pacman_has_otherwise_is_not(self) -> None:
        for other in (
            replace(HASHED, sha256=OTHERS),
            replace(HASHED, size=5),
            replace(HASHED, signed=False),
            replace(HASHED, faulty=True),
            File(),
        ):
            self.assertFalse(is_superfluous(HASHED, [other]), other)

    def test_what_was_not_hashed_is_kept_unless_it_is_damaged(self) -> None:
        self.assertFalse(is_superfluous(File(), [File()]))
        self.assertTrue(is_superfluous(File(faulty=True), []))

    def test_without_a_signature_of_its_own_pacmans_needs_none(self) -> None:
        bare = replace(HASHED, signed=False)
        self.assertTrue(is_superfluous(bare, [bare]))

"""Whether a head is that of the file that is coming."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.answer import NOT_MODIFIED, OK, Head
from flocon.asking.source import Origin, Source
from flocon.errors import Broken, Contradicted
from flocon.files import Content
from flocon.transfers.promised import Here, Promised
from flocon.transfers.subjects import Subject

MIRROR = Source(Origin.MIRROR, "m", "m", "http://m/x")
LISTED = Subject("a", Content(5, bytes(32)))
NOTHING = Here(any=False, any_of_a_peer=False, begun=False)
SOME = Here(any=True, any_of_a_peer=False, begun=False)
TOLD = Here(any=True, any_of_a_peer=False, begun=True)


def head(size: int | None, modified: str | None = "v1", status: int = OK) -> Head:
    return Head(status, 0, size, modified, None)


class Refusing:
    """Finds something wrong with every head."""

    def head(self, source: Source, head: Head) -> str:
        return "is a page"


class Listed(SynchronousTestCase):
    def test_its_size_is_known_beforehand(self) -> None:
        promised = Promised(LISTED)
        self.assertEqual((promised.size, promised.size_of(head(None))), (5, 5))

    def test_another_size_is_refused(self) -> None:
        with self.assertRaises(Broken):
            Promised(LISTED).begins_anew(MIRROR, head(6), NOTHING)

    def test_none_is_refused_only_beside_a_peers_bytes(self) -> None:
        self.assertFalse(Promised(LISTED).begins_anew(MIRROR, head(None), SOME))
        beside = Here(any=True, any_of_a_peer=True, begun=False)
        with self.assertRaises(Broken):
            Promised(LISTED).begins_anew(MIRROR, head(None), beside)

    def test_another_date_of_it_is_no_other_version(self) -> None:
        promised = Promised(LISTED)
        promised.take(MIRROR, head(5, "v1"), first=True)
        self.assertFalse(promised.begins_anew(MIRROR, head(5, "v2"), TOLD))


class Unlisted(SynchronousTestCase):
    def setUp(self) -> None:
        self.promised = Promised(Subject("core.db", most=100))
        self.promised.take(MIRROR, head(5), first=True)

    def test_the_same_version_goes_on(self) -> None:
        self.assertFalse(self.promised.begins_anew(MIRROR, head(5), SOME))

    def test_another_version_begins_anew_where_nobody_was_told(self) -> None:
        for other in (head(6), head(5, "v2")):
            self.assertTrue(self.promised.begins_anew(MIRROR, other, SOME))

    def test_another_version_is_refused_where_somebody_was(self) -> None:
        for other in (head(6), head(5, "v2")):
            with self.assertRaises(Broken):
                self.promised.begins_anew(MIRROR, other, TOLD)

    def test_the_version_that_was_told_stays_the_only_one_when_it_begins_anew(self) -> None:
        self.promised.begin_anew(begun=True)
        self.assertIsNone(self.promised.head)
        with self.assertRaises(Broken):
            self.promised.begins_anew(MIRROR, head(6), NOTHING)
        self.assertFalse(self.promised.begins_anew(MIRROR, head(5), NOTHING))

    def test_begun_anew_before_anybody_was_told_any_version_will_do(self) -> None:
        self.promised.begin_anew(begun=False)
        self.assertFalse(self.promised.begins_anew(MIRROR, head(6), NOTHING))

    def test_more_than_it_may_have_is_refused(self) -> None:
        with self.assertRaises(Broken):
            self.promised.begins_anew(MIRROR, head(101), NOTHING)

    def test_the_first_head_stays_that_of_a_file_of_which_some_is_here(self) -> None:
        self.promised.take(MIRROR, head(5, "v2"), first=False)
        self.assertEqual(self.promised.version, "v1")

    def test_that_nothing_changed_fits_no_file_of_which_some_is_here(self) -> None:
        unchanged = head(None, status=NOT_MODIFIED)
        with self.assertRaises(Broken):
            self.promised.take_unchanged(MIRROR, unchanged, SOME)
        self.promised.take_unchanged(MIRROR, unchanged, NOTHING)
        self.assertTrue(self.promised.not_modified)

    def test_what_looks_closer_is_asked_first(self) -> None:
        checks: Any = Refusing()
        promised = Promised(Subject("core.db", checks=checks))
        with self.assertRaises(Contradicted):
            promised.begins_anew(MIRROR, head(5), NOTHING)
        with self.assertRaises(Contradicted):
            promised.take_unchanged(MIRROR, head(None, status=NOT_MODIFIED), NOTHING)

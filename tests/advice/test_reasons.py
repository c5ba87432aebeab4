"""What a person is told of why a source is asked, or not."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.advice.reasons import answer, database_answer, reason, why_not
from flocon.asking.source import Origin, Source
from flocon.files import Content
from flocon.pacman.entries import Entry

CONTENT = Content(9, bytes(32))
ENTRY = Entry("extra", "p-1-1-any.pkg.tar.zst", "p", "1-1", CONTENT.size, CONTENT.sha256, None)
MIRROR = Source(Origin.MIRROR, "m", "m", "http://m/extra.db")


class NotAsked(SynchronousTestCase):
    def told(self, **other: Any) -> str:
        known: dict[str, Any] = {"term": None, "able": True, "failing": False}
        entry, held = other.pop("entry", ENTRY), other.pop("held", None)
        return why_not(entry, held, **{**known, **other})

    def test_a_quarantine_comes_before_all(self) -> None:
        said = self.told(term="for good: wrong bytes", entry=None, able=False, failing=True)
        self.assertEqual(said, "in quarantine for good: wrong bytes")

    def test_what_no_database_lists_no_peer_is_asked_for(self) -> None:
        self.assertIn("only for what the sync databases list", self.told(entry=None))

    def test_other_bytes_are_not_wanted(self) -> None:
        self.assertIn("other bytes", self.told(held=Content(8, bytes(32)), able=False))

    def test_who_does_not_fetch_for_others_is_told_from_who_failed_and_who_comes_behind(
        self,
    ) -> None:
        self.assertIn("does not fetch [extra] for others", self.told(able=False, failing=True))
        self.assertIn("failed lately", self.told(failing=True))
        self.assertIn("comes behind this node", self.told())


class InPlace(SynchronousTestCase):
    def test_who_failed_comes_last_whatever_it_is(self) -> None:
        for role in ("holder", "earlier owner", "owner", "mirror"):
            self.assertIn("failed lately", reason(role, failing=True))
            self.assertNotIn("failed", reason(role, failing=False))


class Answered(SynchronousTestCase):
    def told(self, *roles: str, **other: Any) -> str:
        order = [{"role": role, "name": role, "address": "10.0.0.2"} for role in roles]
        known: dict[str, Any] = {"here": None, "arriving": None, "listed": [1], "order": order}
        return answer({**known, **other})

    def test_what_is_here_or_coming_is_told_before_any_source(self) -> None:
        self.assertIn("in its store", self.told("mirror", here={"origin": "store"}))
        coming = {"whole": False, "source": "mirror m"}
        self.assertIn("on its way here, from mirror m", self.told("mirror", arriving=coming))
        self.assertIn("just arrived", self.told(arriving={**coming, "whole": True}))

    def test_the_first_who_is_asked_is_named(self) -> None:
        self.assertIn("a peer holds it: holder", self.told("holder", "mirror"))
        self.assertIn("owner is asked to fetch it", self.told("earlier owner", "owner"))
        self.assertIn("fetches it itself: mirror", self.told("mirror"))
        self.assertIn("no sync database lists it", self.told("mirror", listed=[]))
        self.assertIn("nobody to ask", self.told("earlier owner"))

    def test_of_a_database_it_is_said_where_the_newest_is_looked_for(self) -> None:
        self.assertIn("the newest of peers and mirrors", database_answer("core", "lan", [MIRROR]))
        self.assertIn("m is asked first", database_answer("core", "mirror", [MIRROR]))
        self.assertIn("no mirror is known for core", database_answer("core", "mirror", []))

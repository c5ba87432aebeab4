"""Databases as peers are given them: of the state that this node gives to the LAN."""

from __future__ import annotations

from tests.faces.lan_case import GENERATION, LanTestCase

STATE = b'{"generation":"0123456789abcdef"}\n'


class OfTheState(LanTestCase):
    PATH = f"/state/{GENERATION}/x86_64/core.db"

    def setUp(self) -> None:
        super().setUp()
        self.shelf.state = STATE

    def test_it_is_told(self) -> None:
        found = self.get("/state")
        self.assertEqual((found.status, found.body), (200, STATE))
        self.assertEqual(found.headers["content-type"], "application/json")
        self.assertEqual(self.lan.counters["states"], 1)

    def test_where_none_is_given_there_is_none(self) -> None:
        self.shelf.state = None
        self.assertRefused(self.get("/state"), 404)
        self.assertRefused(self.get(self.PATH), 404)

    def test_a_file_of_it_is_sent_with_its_date(self) -> None:
        found = self.get(self.PATH)
        self.assertEqual((found.status, found.body), (200, b"database of the state"))
        self.assertIn("last-modified", found.headers)
        self.assertEqual(self.shelf.asked, [f"{GENERATION} x86_64 core.db"])
        self.assertEqual(self.lan.counters["databases"], 1)

    def test_its_signature_is_looked_up_in_the_same_state(self) -> None:
        self.get(f"{self.PATH}.sig")
        self.assertEqual(self.shelf.asked, [f"{GENERATION} x86_64 core.db.sig"])

    def test_of_a_private_repository_nothing_is(self) -> None:
        self.shelf.privacy.repositories = frozenset({"core"})
        self.assertRefused(self.get(self.PATH), 404)
        self.assertEqual(self.shelf.asked, [])

    def test_what_names_no_file_of_a_state_is_looked_up_nowhere(self) -> None:
        for path in (
            *("/state/", f"/state/{GENERATION}", f"/state/{GENERATION}/x86_64"),
            *(f"/state/{GENERATION}/x86_64/", f"/state/{GENERATION}/x86_64/core.db/x"),
            f"/state/{GENERATION}/..%2f..%2fetc/core.db",
            f"/state/{GENERATION}/../core.db",
            f"/state/{GENERATION}/x86_64/..%2fcore.db",
            f"/state/{GENERATION}/x86_64/core.db%00",
            f"/state/{GENERATION}/x86_64/a-1-1-any.pkg.tar.zst",
            f"/state/{GENERATION}/x86_64/core.db.sig.sig",
            f"/state/{GENERATION}//core.db",
        ):
            self.assertRefused(self.get(path), 404)
        self.assertEqual(self.shelf.asked, [])

    def test_a_page_and_a_browser_are_refused(self) -> None:
        for path in ("/state", self.PATH):
            found = self.browser.ask(path, Origin="http://evil.example").answer
            self.assertRefused(found, 403)

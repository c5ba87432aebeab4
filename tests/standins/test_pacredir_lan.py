"""In the place of pacredir's server there is what that has, and nothing more of the LAN face."""

from __future__ import annotations

from flocon.standins.pacredir_lan import PacredirLanFace
from tests.faces.lan_case import DATA, NAME, SIGNATURE, LanTestCase
from tests.faces.web import Browser


class PacredirLan(LanTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.face = PacredirLanFace(self.lan)
        self.browser = Browser(self.shelf.tools.reactor, self.face, "10.0.0.9")
        self.shelf.files[NAME] = DATA

    def test_packages_and_signatures_are_given(self) -> None:
        head = self.browser.ask(f"/pkg/{NAME}", "HEAD").answer
        self.assertEqual((head.status, head.headers["content-length"]), (200, str(len(DATA))))
        self.assertEqual(self.get(f"/pkg/{NAME}").body, DATA)
        self.assertEqual(self.get(f"/pkg/{NAME}.sig").body, SIGNATURE)
        self.assertEqual(self.get(f"/pkg/{NAME}", Range="bytes=10-").body, DATA[10:])

    def test_databases_are_if_they_are_shared(self) -> None:
        found = self.get("/db/core.db")
        self.assertEqual((found.status, found.body), (200, b"database"))
        self.assertIn("last-modified", found.headers)
        self.assertRefused(self.get("/db/extra.db"), 404)

    def test_nothing_else_is(self) -> None:
        self.lan.render = None  # type: ignore[assignment]  # it must not be asked
        for path in ("/inventory", "/knock", "/state", "/own/x", f"/relay/extra/x86_64/{NAME}"):
            self.assertRefused(self.get(path), 404)
        for path in ("/pkg", "/db", "//pkg/x", f"/content/{'0' * 64}/x", "/status.json"):
            self.assertRefused(self.get(path), 404)

    def test_pages_have_no_business_there_either(self) -> None:
        self.assertRefused(self.get(f"/pkg/{NAME}", Origin="http://evil.example"), 403)
        self.assertRefused(self.browser.ask(f"/pkg/{NAME}", host="evil.example").answer, 403)
        self.assertRefused(self.browser.ask(f"/pkg/{NAME}", "POST").answer, 405)

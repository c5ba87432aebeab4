"""What states are made of, for this machine's command: by content, and nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from flocon.clients.mirror_contents import MirrorContents
from flocon.files import Asked, Content
from flocon.pacman.entries import Entry
from flocon.states.archive import Archive
from flocon.states.generation import Piece
from flocon.transfers.subjects import Subject
from flocon.transfers.transfer import Transfer
from tests.faces.pacman_case import (
    CONTENT,
    DATA,
    NAME,
    PEER,
    SIGNATURE,
    HeldFile,
    LoopbackTestCase,
)
from tests.inline import InlinePool
from tests.states.states_case import keep

SHA256 = CONTENT.sha256.hex()
PACKAGE = f"/mirror/package/{SHA256}/{CONTENT.size}/{NAME}"
DATABASE = b"a database"


class ContentsTestCase(LoopbackTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.pool = InlinePool()
        self.patch(self.clock, "getThreadPool", lambda: self.pool)
        self.archive = Archive(Path(self.mktemp()))
        self.archive.open()
        self.addCleanup(self.archive.close)
        self.known: dict[str, Piece] = {}
        self.at_peers: set[tuple[str, Content]] = set()
        self.brought: list[tuple[Entry, bool]] = []
        brings: Any = self
        contents = MirrorContents(
            self.desk.parts(),
            archive=self.archive,
            piece=self.known.get,
            packages=brings,
            is_at_peers=lambda *asked: asked in self.at_peers,
        )
        self.face.contents = lambda: contents

    def ahead(self, asked: Asked, entry: Entry, *, mirrors: bool, spares: bool = True) -> Transfer:
        self.brought.append((entry, mirrors))
        return self.desk.transfers.join(
            Subject(asked.file.text, entry.content), self.desk.chooser(PEER)
        )


class Databases(ContentsTestCase):
    def keep(self) -> str:
        piece = keep(self.archive, DATABASE)
        self.known[piece.sha256] = piece
        return piece.sha256

    def test_content_of_a_state_is_sent(self) -> None:
        answer = self.get(f"/mirror/content/{self.keep()}")

        self.assertEqual((answer.status, answer.body), (200, DATABASE))

    def test_content_of_no_state_is_not(self) -> None:
        sha256 = self.keep()
        self.known.clear()

        self.assertRefused(self.get(f"/mirror/content/{sha256}"), 404)

    def test_content_that_is_gone_is_not(self) -> None:
        sha256 = hashlib.sha256(b"gone").hexdigest()
        self.known[sha256] = Piece(sha256, 4)

        self.assertRefused(self.get(f"/mirror/content/{sha256}"), 404)

    def test_nothing_else_of_the_archive_can_be_named(self) -> None:
        sha256 = self.keep()
        for path in (
            "/mirror/",
            "/mirror/content/",
            "/mirror/content/../state.json",
            "/mirror/content/..%2fstate.json",
            f"/mirror/content/{sha256}/x",
            f"/mirror/content/{sha256.upper()}",
            "/mirror/state.json",
        ):
            self.assertRefused(self.get(path), 404)

    def test_page_of_another_site_gets_nothing(self) -> None:
        answer = self.get(f"/mirror/content/{self.keep()}", **{"Sec-Fetch-Site": "cross-site"})

        self.assertEqual((answer.status, answer.body), (403, b""))


class Packages(ContentsTestCase):
    def test_held_one_is_sent_and_its_signature(self) -> None:
        self.desk.here[NAME] = HeldFile()

        self.assertEqual(self.get(PACKAGE).body, DATA)
        self.assertEqual(self.get(f"{PACKAGE}.sig").body, SIGNATURE)

    def test_another_content_of_that_name_is_not(self) -> None:
        self.desk.here[NAME] = HeldFile()

        path = PACKAGE.replace(SHA256, "0" * 64)
        self.assertRefused(self.get(path), 404)
        self.assertRefused(self.get(f"{path}.sig"), 404)

    def test_one_that_a_peer_holds_comes_from_the_lan_alone(self) -> None:
        self.at_peers.add((NAME, CONTENT))

        exchange = self.browser.ask(PACKAGE)
        self.asked(PEER).whole(DATA)

        self.assertEqual(exchange.answer.body, DATA)
        ((entry, mirrors),) = self.brought
        self.assertEqual((entry.file_name, entry.content, mirrors), (NAME, CONTENT, False))

    def test_one_that_nobody_holds_is_not_fetched(self) -> None:
        self.assertRefused(self.get(PACKAGE), 404)
        self.assertEqual(self.brought, [])

    def test_what_is_no_package_is_not_looked_for(self) -> None:
        for path in (
            PACKAGE.replace(NAME, "core.db"),
            PACKAGE.replace(NAME, "..%2fx"),
            PACKAGE.replace(f"/{CONTENT.size}/", "/-1/"),
            PACKAGE.replace(f"/{CONTENT.size}/", f"/{'9' * 40}/"),
        ):
            self.assertRefused(self.get(path), 404)

    def test_signature_of_one_that_has_just_come_is_waited_for(self) -> None:
        self.at_peers.add((NAME, CONTENT))
        exchange = self.browser.ask(PACKAGE)
        self.asked(PEER).whole(DATA)
        self.assertEqual(exchange.answer.body, DATA)

        exchange = self.browser.ask(f"{PACKAGE}.sig")
        self.desk.signs[0].callback(SIGNATURE)
        self.assertEqual(exchange.answer.body, SIGNATURE)

        other = PACKAGE.replace(SHA256, "0" * 64)
        self.assertRefused(self.get(f"{other}.sig"), 404)

    def test_signature_of_one_that_did_not_come_is_not_looked_for(self) -> None:
        self.at_peers.add((NAME, CONTENT))

        self.assertRefused(self.get(f"{PACKAGE}.sig"), 404)

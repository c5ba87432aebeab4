"""Own repositories as peers are given them."""

from __future__ import annotations

from flocon.errors import StoreError
from tests.faces.lan_case import LanTestCase
from tests.faces.web import OpenedBytes

TOLD = b'{"name":"home"}\n'


class Own:
    """One repository with one file of one generation."""

    def __init__(self) -> None:
        self.opened: list[OpenedBytes] = []

    def told(self, name: str) -> bytes | None:
        return TOLD if name == "home" else None

    def key(self, name: str) -> bytes | None:
        return b"a key" if name == "home" else None

    async def open(self, name: str, sequence: int, file_name: str) -> OpenedBytes:
        if (name, sequence, file_name) != ("home", 7, "home.db"):
            raise StoreError(file_name, "it is of no generation that is given")
        self.opened.append(OpenedBytes(b"a database"))
        return self.opened[-1]


class OwnTests(LanTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.shelf.own_repositories = self.own = Own()

    def test_newest_is_told(self) -> None:
        found = self.get("/own/home")
        self.assertEqual((found.status, found.body), (200, TOLD))
        self.assertEqual(found.headers["content-type"], "application/json")
        self.assertEqual(self.lan.counters["own"], 1)

    def test_a_file_and_the_key_are_sent(self) -> None:
        found = self.get("/own/home/7/home.db")
        self.assertEqual((found.status, found.body), (200, b"a database"))
        self.assertEqual([one.closed for one in self.own.opened], [1])
        self.assertEqual(self.get("/own/home/key").body, b"a key")

    def test_nothing_else_is_found(self) -> None:
        for path in (
            *("/own", "/own/", "/own/other", "/own/other/key", "/own/home/7", "/own/home/7/x"),
            *("/own/home/8/home.db", "/own/home/-7/home.db", "/own/home/7/home.db/x"),
            *("/own/home/%37%2fhome.db", "/own/../home", f"/own/home/{'7' * 16}/home.db"),
            *("/own/home/%d9%a7/home.db", "/own/a%20b"),
        ):
            self.assertRefused(self.get(path), 404)

    def test_where_there_are_none_nothing_is_found(self) -> None:
        self.shelf.own_repositories = None
        for path in ("/own/home", "/own/home/key", "/own/home/7/home.db"):
            self.assertRefused(self.get(path), 404)

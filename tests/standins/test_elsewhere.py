"""Who asks in another tool's place is told of files that he can have there, and of no others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.source import Origin, Source
from flocon.files import FileName, parse_file_name
from flocon.neighbours.standing import Standing
from flocon.pacman.entries import Entry
from flocon.pacman.listing import Database, Listing
from flocon.standins.elsewhere import Elsewhere

NAME = "gtk++-1:2.0-1-x86_64.pkg.tar.zst"


def entry(repository: str) -> Entry:
    return Entry(repository, NAME, "gtk++", "1:2.0-1", 5, b"x" * 32)


def file(name: str = NAME) -> FileName:
    parsed = parse_file_name(name)
    assert parsed is not None
    return parsed


class ElsewhereTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.standing = Standing()
        self.peers: dict[str, Any] = {}
        self.private: set[str] = set()
        self.foreign: dict[str, str] = {}
        databases = tuple(Database(one, "", 0.0, {NAME: entry(one)}) for one in ("core", "extra"))
        candidates: Any = SimpleNamespace(holders=self.holders)
        self.elsewhere = Elsewhere(
            self.clock,
            listing=lambda: Listing(databases),
            keeps=self.private.__contains__,
            candidates=candidates,
            standing=self.standing,
            peer=self.peers.get,
            known_at=self.foreign.get,
        )

    def holders(self, name: str, _: Entry, __: float) -> list[Source]:
        return [
            Source(Origin.PEER, node, node, f"http://{place}:19432/pkg/{name}", node=node)
            for node, place in (("a", "10.0.0.7"), ("b", "[fe80::1%25eth0]"), ("c", "10.0.0.8"))
        ]

    def know(self, *nodes: str, far: bool = False) -> None:
        self.peers.update({node: SimpleNamespace(far=far) for node in nodes})

    def test_the_best_node_is_told_of(self) -> None:
        self.know("a", "b", "c")
        where = self.elsewhere.holder(file(f"{NAME}.sig"), entry("core"))
        self.assertEqual(where, f"http://10.0.0.7:19432/pkg/{NAME}.sig")

    def test_not_one_of_another_network_nor_one_that_failed(self) -> None:
        self.know("a", far=True)
        self.know("b", "c")
        where = f"http://10.0.0.8:19432/pkg/{NAME}"
        self.assertEqual(self.elsewhere.holder(file(), entry("core")), where)
        for _ in range(9):
            self.standing.failed("c", 0.0)
        self.assertIsNone(self.elsewhere.holder(file(), entry("core")))

    def test_nor_one_whose_address_means_something_here_alone(self) -> None:
        self.know("b")
        self.assertIsNone(self.elsewhere.holder(file(), entry("core")))

    def test_nobody_hears_of_a_private_repository(self) -> None:
        self.assertEqual(len(self.elsewhere.listed(NAME, "")), 2)
        self.private.add("core")
        self.assertEqual([one.repository for one in self.elsewhere.listed(NAME, "")], ["extra"])
        self.assertEqual(self.elsewhere.listed(NAME, "core"), [])

    def test_another_tools_machine_has_it_below_its_root(self) -> None:
        self.assertIsNone(self.elsewhere.foreign(file()))
        self.foreign[NAME] = "http://10.0.0.9:15678/"
        where = f"http://10.0.0.9:15678/pkg/{NAME}.sig"
        self.assertEqual(self.elsewhere.foreign(file(f"{NAME}.sig")), where)

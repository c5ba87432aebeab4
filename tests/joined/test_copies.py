"""Copies of own packages: kept by some nodes, fetched as nobody waits, dropped if not listed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from flocon.joined.copies import Copies
from flocon.joined.known import Known, Trusted
from flocon.joined.sharing import is_ours
from flocon.joined.told import Generation
from flocon.pacman.entries import Entry
from flocon.pacman.listing import Database
from tests.inline import InlineReactor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flocon.files import Content

OWN = "a" * 16
OTHERS = ["b" * 16, "c" * 16]


def file_name(name: str) -> str:
    return f"{name}-1-1-any.pkg.tar.zst"


def entry(name: str, size: int = 10) -> Entry:
    digest = hashlib.sha256(name.encode()).digest()
    return Entry("home", file_name(name), name, "1-1", size, digest)


class Node:
    """What a node has around its copies."""

    def __init__(self) -> None:
        self.peers: list[Any] = []
        self.private = False
        self.held: dict[str, bytes] = {}
        self.at_peers: set[str] = set()
        self.fetched: list[str] = []
        self.news: Any = lambda _: None
        self.wanted: dict[str, set[str]] = {}

    # A neighbourhood

    def proved(self) -> list[Any]:
        return self.peers

    def is_private(self, _: str) -> bool:
        return self.private

    def acquainted(self) -> Deferred[None]:
        return succeed(None)

    def is_held(self, name: str, _: Content) -> bool:
        return name in self.at_peers

    def is_elsewhere(self, _: object) -> bool:
        return False

    # What the store has, and what brings it

    def holds(self, name: str, content: Content) -> bool:
        return self.held.get(name) == content.sha256

    def find(self, *_: object) -> None:
        return None

    def __iter__(self) -> Any:
        return iter(())

    def has_room_ahead(self, _: int) -> bool:
        return True

    def want_ahead(self, names: set[str], by: str) -> None:
        self.wanted[by] = names

    @property
    def accounts(self) -> Node:
        return self

    def ahead(self, asked: Any, one: Entry, *, mirrors: bool, spares: bool) -> Any:
        assert not mirrors
        self.fetched.append(one.file_name)
        self.held[one.file_name] = one.sha256
        done = SimpleNamespace(wait=lambda: succeed(None))
        return SimpleNamespace(finished=done, terms=SimpleNamespace(), followed=False)

    def sha256(self, name: str) -> bytes | None:
        return self.held.get(name)

    async def remove(self, names: Iterable[str]) -> list[str]:
        gone = [name for name in names if self.held.pop(name, None) is not None]
        self.removed = gone
        return gone


class CopiesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor, self.node = InlineReactor(), Node()
        self.file = Path(self.mktemp())
        self.known: dict[str, Known] = {}
        self.copies_wanted = 2
        self.own = SimpleNamespace(node=OWN, relays=True)
        self.make()
        self.names = [f"p{number}" for number in range(12)]
        self.repository(self.names)
        self.node.at_peers = {file_name(name) for name in self.names}

    def make(self, most: int = 1 << 30) -> None:
        node: Any = self.node
        means: Any = SimpleNamespace(
            arrivals=node, offering=node, packages=node, transfers=node, neighbourhood=node
        )
        self.copies = Copies(
            self.reactor,
            means,
            SimpleNamespace(known=self.known),  # type: ignore[arg-type]
            own=self.own,  # type: ignore[arg-type]
            copies=lambda: self.copies_wanted,
            most=most,
            shelf=node,
            file=self.file,
        )

    def repository(self, names: list[str], *, publishes: bool = False) -> None:
        trusted = Trusted("home", Path(), (), publishes, joined=True)
        known = self.known["home"] = Known(trusted)
        entries = {file_name(name): entry(name) for name in names}
        known.took(Generation("home", 5, 1, "", {}), Database("home", "", 0.0, entries), "")

    def add_peer(self, node: str, *abilities: str, address: str = "") -> None:
        able = frozenset(abilities or ("relay",))
        peer = SimpleNamespace(
            node=node, own=(("home", 5),), abilities=able, address=address or f"of {node}"
        )
        self.node.peers.append(peer)

    def run_copies(self, *, free: bool = True) -> None:
        self.copies.start(free=free)
        self.copies.changed()
        for _ in range(40):
            self.reactor.advance(0.5)

    def stop(self) -> None:
        self.copies.stop()

    def test_this_nodes_share_is_fetched_and_nothing_else(self) -> None:
        for node in OTHERS:
            self.add_peer(node)
        self.run_copies()
        expected = {
            file_name(name) for name in self.names if is_ours(OWN, set(OTHERS), file_name(name), 2)
        }
        self.assertEqual(set(self.node.held), expected)
        self.assertTrue(0 < len(expected) < len(self.names))
        self.assertEqual(
            self.copies.describe("home"), {"wanted": len(expected), "here": len(expected)}
        )
        self.stop()

    def test_the_maker_and_who_fetches_for_nobody_are_no_keepers(self) -> None:
        self.add_peer(OTHERS[0], "relay", "origin")
        self.add_peer(OTHERS[1], "store")
        self.run_copies()
        self.assertEqual(len(self.node.held), len(self.names))
        self.stop()

    def test_one_machine_that_is_many_nodes_is_not_all_that_keep_something(self) -> None:
        for number in range(200):
            self.add_peer(f"{number:016x}", address="10.0.0.66")
        self.run_copies()
        # It is one of two, so each package is kept here too.
        self.assertEqual(len(self.node.held), len(self.names))
        self.stop()

    def test_nothing_comes_while_each_byte_costs(self) -> None:
        self.run_copies(free=False)
        self.assertEqual(self.node.held, {})
        self.copies.allow(free=True)
        for _ in range(40):
            self.reactor.advance(0.5)
        self.assertEqual(len(self.node.held), len(self.names))
        self.stop()

    def test_who_fetches_for_nobody_keeps_nothing(self) -> None:
        self.own.relays = False
        self.run_copies()
        self.assertEqual(self.node.held, {})
        self.stop()

    def test_what_is_private_is_not_copied(self) -> None:
        self.node.private = True
        self.run_copies()
        self.assertEqual(self.node.held, {})
        self.stop()

    def test_what_this_machine_makes_itself_is_not_copied(self) -> None:
        self.repository(self.names, publishes=True)
        self.run_copies()
        self.assertEqual(self.node.held, {})
        self.stop()

    def test_without_copies_none_is_kept(self) -> None:
        self.copies_wanted = 0
        self.run_copies()
        self.assertEqual(self.node.held, {})
        self.stop()

    def test_nobody_is_asked_for_what_nobody_holds(self) -> None:
        self.node.at_peers = set()
        self.run_copies()
        self.assertEqual(self.node.fetched, [])
        self.stop()

    def test_what_is_not_listed_any_more_goes(self) -> None:
        self.run_copies()
        self.repository(self.names[1:])
        self.copies.changed()
        for _ in range(10):
            self.reactor.advance(0.5)
        self.assertEqual(self.node.removed, [file_name(self.names[0])])
        self.assertEqual(len(self.node.held), len(self.names) - 1)
        self.stop()

    def test_also_after_a_restart_and_nothing_that_was_never_a_copy(self) -> None:
        self.run_copies()
        self.stop()
        self.node.held[file_name("theirs")] = b""
        self.make()
        self.repository(self.names[2:])
        self.run_copies()
        self.assertEqual(set(self.node.removed), {file_name(name) for name in self.names[:2]})
        self.assertIn(file_name("theirs"), self.node.held)
        self.stop()

    def test_copies_stay_and_other_bytes_of_that_name_do_not(self) -> None:
        self.run_copies()
        name = file_name(self.names[0])
        self.assertTrue(self.copies.protects(name))
        self.node.held[name] = b"other"
        self.assertFalse(self.copies.protects(name))
        self.assertFalse(self.copies.protects(file_name("theirs")))
        self.stop()

    def test_no_more_is_kept_than_there_is_room_for(self) -> None:
        self.make(most=35)
        self.run_copies()
        self.assertEqual(len(self.node.held), 3)
        self.stop()

    def test_one_that_got_lost_comes_again(self) -> None:
        self.run_copies()
        name = file_name(self.names[0])
        del self.node.held[name]
        self.copies.held([SimpleNamespace(held=False, file_name=name)])  # type: ignore[list-item]
        for _ in range(20):
            self.reactor.advance(0.5)
        self.assertIn(name, self.node.held)
        self.stop()

    def test_damaged_notes_are_no_disaster(self) -> None:
        self.file.write_text(json.dumps({"x": 1}))
        self.make()
        self.run_copies()
        self.assertEqual(len(self.node.held), len(self.names))
        self.stop()

"""The node's inventory as its peers read it."""

from __future__ import annotations

from typing import Any

from flocon.answering.held import InMemory
from flocon.faces import lan_inventory
from flocon.files import Content
from flocon.holdings.inventory import Change
from flocon.neighbours import inventory_text
from flocon.neighbours.inventory_text import InventoryReader
from tests.faces.lan_case import FakeShelf, LanTestCase


class Inventories(LanTestCase):
    def setUp(self) -> None:
        super().setUp()
        for at in range(3):
            self.shelf.inventory.put(f"p{at}-1-1-any.pkg.tar.zst", Content(at, bytes(32)))

    def read(self, query: str = "") -> InventoryReader:
        found = self.get("/inventory" + query)
        self.assertEqual(found.status, 200)
        self.assertTrue(found.whole)
        reader = InventoryReader()
        reader.feed(found.body)
        self.assertTrue(reader.ended)
        self.assertEqual((reader.epoch, reader.generation), (FakeShelf.epoch, 3))
        return reader

    def test_the_whole(self) -> None:
        reader = self.read()
        self.assertTrue(reader.whole)
        self.assertEqual(list(reader.take()), self.shelf.inventory.whole())

    def test_what_changed_since(self) -> None:
        reader = self.read("?since=2")
        self.assertFalse(reader.whole)
        self.assertEqual(
            list(reader.take()), [Change("p2-1-1-any.pkg.tar.zst", Content(2, bytes(32)))]
        )
        self.assertEqual(self.read("?since=3").count, 0)

    def test_what_cannot_be_told_since_is_the_whole(self) -> None:
        for query in (
            "?since=4",
            "?since=-1",
            "?since=x",
            "?since=",
            "?since=1&since=2",
            "?since=" + "9" * 16,
        ):
            self.assertTrue(self.read(query).whole, query)

    def test_who_missed_many_changes_reads_the_whole(self) -> None:
        self.patch(lan_inventory, "MOST_CHANGES", 2)
        self.assertFalse(self.read("?since=1").whole)
        self.assertTrue(self.read("?since=0").whole)

    def test_a_thousand_changes_do_not_cost_the_whole(self) -> None:
        for number in range(10, 1_010):
            content = Content(number, number.to_bytes(32))
            self.shelf.inventory.put(f"q{number}-1-1-any.pkg.tar.zst", content)
        reader = InventoryReader()
        reader.feed(self.get("/inventory?since=3").body)
        self.assertEqual((reader.whole, reader.count), (False, 1_000))

    def test_what_changed_is_written_once_for_all_who_missed_the_same(self) -> None:
        written: list[int] = []
        changes = self.shelf.inventory.since

        def format_inventory(epoch: str, generation: int, some: Any, *, whole: bool) -> Any:
            written.append(generation)
            return formatted(epoch, generation, some, whole=whole)

        formatted = inventory_text.format_inventory
        self.patch(lan_inventory, "format_inventory", format_inventory)
        bodies = {self.get("/inventory?since=1").body for _ in range(5)}
        self.assertEqual((len(bodies), len(written)), (1, 1))
        self.assertEqual(self.read("?since=2").count, len(changes(2) or ()))
        self.shelf.inventory.put("p9-1-1-any.pkg.tar.zst", Content(9, bytes(32)))
        self.assertIn(b" p9-1-1-any", self.get("/inventory?since=1").body)
        self.assertEqual(len(written), 3)

    def test_the_whole_is_written_once_for_each_generation(self) -> None:
        written: list[int] = []

        def in_memory(data: bytes) -> InMemory:
            written.append(len(data))
            return InMemory(data)

        self.patch(lan_inventory, "InMemory", in_memory)
        for _ in range(5):
            self.read()
        self.assertEqual(len(written), 1)
        self.shelf.inventory.put("p3-1-1-any.pkg.tar.zst", Content(3, bytes(32)))
        self.assertIn(b" p3-1-1-any", self.get("/inventory").body)
        self.assertEqual(len(written), 2)

    def test_who_reads_the_whole_slowly_gets_what_it_began_with(self) -> None:
        for at in range(3_000):
            self.shelf.inventory.put(f"q{at}-1-1-any.pkg.tar.zst", Content(at, bytes(32)))
        slow = self.browser.ask("/inventory")
        transport: Any = slow.transport
        write = transport.write

        def write_and_be_full(data: bytes) -> None:
            write(data)
            transport.producer.pauseProducing()

        transport.write = write_and_be_full
        self.shelf.reactor.advance(0)
        sent = len(slow.raw)
        self.assertFalse(slow.answer.whole)
        self.shelf.inventory.put("p3-1-1-any.pkg.tar.zst", Content(3, bytes(32)))
        self.browser.ask("/inventory")
        self.shelf.reactor.advance(0)
        self.assertEqual(len(slow.raw), sent)
        transport.write = write
        transport.producer.resumeProducing()
        self.assertTrue(slow.answer.whole)
        self.assertNotIn(b" p3-1-1-any", slow.answer.body)

    def test_head_has_no_body(self) -> None:
        found = self.browser.ask("/inventory", "HEAD").answer
        self.assertEqual(found.body, b"")
        self.assertNotEqual(found.headers["content-length"], "0")

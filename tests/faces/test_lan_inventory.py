"""The node's inventory as its peers read it."""

from __future__ import annotations

import errno
import operator
import os
from typing import Any
from unittest import mock

from twisted.internet.testing import StringTransport

from flocon.answering.held import Editions, InMemory
from flocon.answering.turns import TURN
from flocon.faces import lan_inventory
from flocon.faces.lan_inventory import InventoryAnswers
from flocon.files import Content
from flocon.holdings.inventory import Change
from flocon.neighbours import inventory_text
from flocon.neighbours.inventory_text import InventoryReader
from tests.faces.lan_case import FakeShelf, LanTestCase
from tests.faces.web import Exchange


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

    def changed(self, count: int) -> None:
        for number in range(10, 10 + count):
            content = Content(number, number.to_bytes(32))
            self.shelf.inventory.put(f"q{number}-1-1-any.pkg.tar.zst", content)

    def test_whoever_missed_how_much_of_it_what_changed_is_written_once(self) -> None:
        self.changed(1_000)
        written = self.editions()
        for since in range(0, 900, 53):
            reader = InventoryReader()
            reader.feed(self.get(f"/inventory?since={since}").body)
            self.assertEqual(reader.generation, 1_003)
            self.assertEqual(list(reader.take()), self.shelf.inventory.since(since))
            self.assertTrue(reader.ended)
        self.assertEqual(len(written), 1)

    def test_what_changed_is_not_in_memory_for_each_who_reads_it_slowly(self) -> None:
        self.changed(1_000)
        for since in range(20):
            exchange = self.full(f"/inventory?since={since}")
            self.assertFalse(exchange.answer.whole)
            self.assertLess(len(exchange.raw), 70_000)

    def test_who_reads_old_changes_slowly_is_cut_off_where_they_are_many(self) -> None:
        self.patch(lan_inventory, "Editions", lambda: Editions(most=400_000))
        self.lan._inventory = InventoryAnswers(self.shelf.parts())
        readers = []
        for number in range(5):
            self.changed(1_000)
            self.shelf.inventory.remove("q10-1-1-any.pkg.tar.zst")
            self.shelf.inventory.put(f"r{number}-1-1-any.pkg.tar.zst", Content(1, bytes(32)))
            readers.append(self.full(f"/inventory?since={number}"))
        self.assertTrue(readers[0].cut)
        self.assertFalse(readers[-1].cut)

    def test_without_descriptors_it_is_told_so(self) -> None:
        self.changed(1_000)

        def in_memory(_: bytes) -> InMemory:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        self.patch(lan_inventory, "InMemory", in_memory)
        self.assertEqual(self.get("/inventory?since=0").status, 503)
        self.assertEqual(self.get("/inventory").status, 503)

    def test_of_a_thousand_who_wait_for_the_whole_some_go_on_in_each_turn(self) -> None:
        self.changed(2_500)
        send = InventoryAnswers._send

        async def takes_its_time(*arguments: Any) -> None:
            self.shelf.reactor.rightNow += TURN
            await send(*arguments)

        self.patch(InventoryAnswers, "_send", takes_its_time)
        exchanges = [self.browser.ask("/inventory") for _ in range(9)]
        whole = []
        for _ in range(20):
            # One turn of the reactor: calls that come up meanwhile are the next one's.
            now = self.shelf.reactor.seconds()
            for call in [one for one in self.shelf.reactor.calls if one.getTime() <= now]:
                self.shelf.reactor.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)
            whole.append(sum(one.answered and one.answer.whole for one in exchanges))
        self.assertEqual(whole[-1], 9)
        self.assertLessEqual(max(map(operator.sub, whole[1:], whole)), 2)

    def editions(self) -> list[int]:
        """Return what gets the size of each text that is put into memory."""
        written: list[int] = []

        def in_memory(data: bytes) -> InMemory:
            written.append(len(data))
            return InMemory(data)

        self.patch(lan_inventory, "InMemory", in_memory)
        return written

    def full(self, path: str) -> Exchange:
        """Ask, and take no more than the first part of the answer."""
        real = StringTransport.write

        def write(transport: Any, data: bytes) -> None:
            real(transport, data)
            if len(data) > 1_000:
                transport.producer.pauseProducing()

        with mock.patch.object(StringTransport, "write", write):
            return self.browser.ask(path)

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

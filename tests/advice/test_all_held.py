"""All that is held, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.advice import all_held
from flocon.advice.search import Search
from flocon.files import Content
from flocon.foreign.place import Place, Tool
from flocon.holdings.inventory import Change, Inventory
from flocon.neighbours.replicas import Holders
from tests.advice.turns import TURN, Turns

if TYPE_CHECKING:
    from collections.abc import Coroutine

_FILE = st.tuples(st.integers(0, 30), st.integers(0, 2))


def name_of(number: int) -> str:
    return f"made{number}-1-1-any.pkg.tar.zst"


def pacserve(address: str) -> Place:
    return Place(Tool.PACSERVE, address, 15678)


def change(number: int, digest: int = 0, *, held: bool = True) -> Change:
    return Change(name_of(number), Content(10, bytes([digest]) * 32), held)


class AllHeldTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Hold nothing, and know of nobody who does."""
        self.clock = Turns()
        self.holders = Holders()
        self.inventory = Inventory()
        self.listings: list[tuple[Place, str, int | None]] = []
        offering: Any = mock.Mock(inventory=self.inventory)
        offering.find.return_value = None
        pacman: Any = mock.Mock()
        pacman.listing.find.return_value = ()
        self.search = Search(
            self.clock,
            node=lambda: "0" * 16,
            offering=offering,
            pacman=pacman,
            neighbourhood=mock.Mock(holders=self.holders),
            presence=mock.Mock(peer=lambda _: None, nodes_at=self.nodes_at),
            foreign=lambda: self.listings,
        )

    def nodes_at(self, address: str) -> frozenset[str]:
        """Have a node "p" at the address "p", and so on."""
        return frozenset({address})

    def page(self, **fields: str) -> Any:
        return self.finish(self.search.page(fields))

    def finish(self, asked: Coroutine[Any, Any, Any]) -> Any:
        asking = Deferred.fromCoroutine(asked)
        for _ in range(1_000):
            if asking.called:
                break
            self.clock.advance(TURN)
        return self.successResultOf(asking)

    def all_pages(self, of: str = "lan") -> list[dict[str, Any]]:
        """Return the files of all pages, as the command puts them together."""
        files: list[dict[str, Any]] = []
        page = self.page(of=of)
        while True:
            files += page["files"]
            if page["next"] is None:
                return files
            page = self.page(of=of, **page["next"])

    def hold(self, *files: tuple[int, int]) -> None:
        for number, digest in files:
            one = change(number, digest)
            self.inventory.put(one.file_name, one.content)

    @given(own=st.dictionaries(st.integers(0, 30), st.integers(0, 2)), peers=st.sets(_FILE))
    def test_pages_together_are_all_files_once_by_name(
        self, own: dict[int, int], peers: set[tuple[int, int]]
    ) -> None:
        self.begin()
        self.patch(all_held, "PAGE", 4)
        self.hold(*own.items())
        self.holders.replace("p", 1, [change(*one) for one in peers])
        told = [(row["file"], bytes.fromhex(row["sha256"])[0]) for row in self.all_pages()]
        wanted = {(name_of(number), digest) for number, digest in {*own.items(), *peers}}
        self.assertEqual(told, sorted(wanted))
        here = [row["file"] for row in self.all_pages("here")]
        self.assertEqual(here, sorted(name_of(number) for number in own))

    def test_of_this_machine_no_peers_are_told(self) -> None:
        self.hold((1, 0))
        self.holders.replace("p", 1, [change(1), change(2)])
        [row] = self.all_pages("here")
        self.assertEqual((row["file"], row["holders"]), (name_of(1), []))

    def test_of_the_lan_each_file_has_its_holders(self) -> None:
        self.holders.replace("p", 1, [change(1)])
        self.holders.replace("q", 1, [change(1), change(2)])
        told = {row["file"]: [one["node"] for one in row["holders"]] for row in self.all_pages()}
        self.assertEqual(told, {name_of(1): ["p", "q"], name_of(2): ["q"]})

    def test_what_other_tools_machines_list_stands_among_them(self) -> None:
        self.listings = [(pacserve("a"), name_of(2), None), (pacserve("b"), name_of(2), 7)]
        self.listings.append((pacserve("b"), "no package", 7))
        self.holders.replace("p", 1, [change(1), change(3)])
        first, foreign, last = self.all_pages()
        self.assertEqual([first["file"], last["file"]], [name_of(1), name_of(3)])
        self.assertEqual((foreign["file"], foreign["sha256"]), (name_of(2), None))
        self.assertEqual(foreign["size"], 7)
        where = [one["name"] for one in foreign["holders"]]
        self.assertEqual(where, ["pacserve at a", "pacserve at b"])

    def test_what_a_node_on_the_same_machine_holds_is_told_once(self) -> None:
        self.holders.replace("p", 1, [change(1), change(2)])
        self.holders.replace("q", 1, [change(2), change(3)])
        files = [(1, 10), (2, 11), (3, None), (4, 10)]
        self.listings = [(pacserve("p"), name_of(number), size) for number, size in files]
        self.listings += [(pacserve("q"), name_of(1), 10), (pacserve("q"), name_of(3), None)]
        rows = [row for row in self.all_pages() if row["sha256"] is None]
        told = {row["file"]: [one["name"] for one in row["holders"]] for row in rows}
        at_p, at_q = "pacserve at p", "pacserve at q"
        expected = {
            name_of(1): [at_q],
            # Another size is another file; and "p" has no node that tells of the others.
            name_of(2): [at_p],
            name_of(3): [at_p],
            name_of(4): [at_p],
        }
        self.assertEqual(told, expected)
        found = self.finish(self.search.search({"part": "made1"}))
        names = [one["name"] for row in found["files"] for one in row["holders"]]
        self.assertEqual(sorted(names), ["", at_q])

    def test_what_other_tools_machines_list_is_listed_where_its_size_agrees(self) -> None:
        pacman: Any = self.search._pacman
        entry = mock.Mock(repository="extra", content=mock.Mock(size=7))
        pacman.listing.find.return_value = (entry,)
        told = []
        for size in (7, 8, None):
            self.listings = [(pacserve("a"), name_of(2), size)]
            told += [row["listed"] for row in self.all_pages()]
        self.assertEqual(told, [["extra"], [], ["extra"]])

    def test_what_left_before_it_was_described_is_not_told(self) -> None:
        self.holders.replace("p", 1, [change(1), change(2)])
        asking = Deferred.fromCoroutine(self.search.page({"of": "lan"}))
        self.holders.apply("p", 2, [change(1, held=False)], read=True)
        for _ in range(20):
            self.clock.advance(TURN)
        told = self.successResultOf(asking)
        assert told is not None
        self.assertEqual([row["file"] for row in told["files"]], [name_of(2)])

    def test_the_last_page_says_so_and_a_full_one_may_be_it(self) -> None:
        self.patch(all_held, "PAGE", 2)
        self.hold((1, 0), (2, 0))
        self.assertIsNone(self.page(of="here")["next"])
        self.hold((3, 0))
        self.assertIsNotNone(self.page(of="here")["next"])

    def test_a_question_that_makes_no_sense_is_refused(self) -> None:
        for fields in (
            {"of": "wan"},
            {"after": name_of(1)},
            {"sha256": "00" * 32},
            {"after": "no package", "sha256": "00" * 32},
            {"after": name_of(1), "sha256": "zz"},
            {"after": name_of(1), "sha256": "00"},
            {"part": "made"},
        ):
            self.assertIsNone(self.page(**fields), fields)

    def test_others_run_between_the_slices_of_a_large_lan(self) -> None:
        self.holders.replace("p", 1, [change(number) for number in range(2_000)])
        asking = Deferred.fromCoroutine(self.search.page({"of": "lan"}))
        turns = 0
        while not asking.called:
            self.clock.advance(TURN)
            turns += 1
        told = self.successResultOf(asking)
        assert told is not None
        self.assertEqual(len(told["files"]), all_held.PAGE)
        self.assertGreaterEqual(turns, all_held.PAGE // all_held.ROWS)

    def test_what_others_list_is_looked_at_in_slices_too(self) -> None:
        self.patch(all_held, "SLICE", 4)
        self.listings = [(pacserve("10.0.0.8"), name_of(number), 10) for number in range(30)]
        sizes: list[int] = []
        add = all_held._Lowest.add

        def noted(lowest: Any, keys: Any) -> None:
            keys = list(keys)
            sizes.append(len(keys))
            add(lowest, keys)

        self.patch(all_held._Lowest, "add", noted)
        self.assertEqual(len(self.page(of="lan")["files"]), 30)
        self.assertEqual(max(sizes), 4)

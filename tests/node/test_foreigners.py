"""What a node has of other tools' machines where there are none, and whom it may ask."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from ipaddress import ip_interface, ip_network
from types import SimpleNamespace
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.answering.visitors import Admission
from flocon.asking.source import Came, Origin
from flocon.files import Content
from flocon.foreign import foreign
from flocon.foreign.naming import RESOLVED_FOR
from flocon.foreign.place import Place, Tool
from flocon.foreign.reach import NODES_FOR
from flocon.machine.links import Link
from flocon.mdns.services import Found
from flocon.node.foreigners import Foreigners
from flocon.pacman.entries import Entry
from flocon.settings.settings import Foreign, Settings

NAME = "a-1-1-any.pkg.tar.zst"
ENTRY = Entry("core", NAME, "a", "1-1", 10, bytes(32))
LINK = Link("eth0", 2, (ip_interface("10.0.0.1/24"), ip_interface("fd00::1/64")))


class ForeignersTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.held: set[str] = set()
        self.private: set[str] = set()
        self.nodes: list[Any] = []
        self.banned: dict[str, str] = {}
        self.admission = Admission()
        self.admission.links = (LINK,)
        self.make()

    def make(self, **foreign: Any) -> None:
        neighbourhood = SimpleNamespace(
            proved=lambda: self.nodes,
            is_held=lambda name, _: name in self.held,
            is_private=lambda repository: repository in self.private,
            news=lambda _: None,
        )
        configuration = SimpleNamespace(architectures=("x86_64",))
        listing = SimpleNamespace(find=lambda name: [ENTRY] if name == NAME else [])
        self.candidates, self.means = SimpleNamespace(), SimpleNamespace()
        self.reporter, self.why = SimpleNamespace(), SimpleNamespace()
        desk = SimpleNamespace(candidates=self.candidates, means=self.means, reporter=self.reporter)
        parts: Any = SimpleNamespace(
            settings=Settings(foreign=Foreign(**{"pacserve": False, **foreign})),
            desk=desk,
            mdns=SimpleNamespace(),
            why=self.why,
            neighbourhood=neighbourhood,
            offenders=SimpleNamespace(term=lambda address: self.banned.get(address, "")),
            admission=self.admission,
            pacman=SimpleNamespace(listing=listing, configuration=configuration),
        )
        self.foreigners = Foreigners(self.clock, parts)
        self.foreigners.links_changed((LINK,))

    def start(self) -> None:
        self.foreigners.startService()
        self.addCleanup(self.foreigners.stopService)


class NoneThere(ForeignersTestCase):
    def test_where_there_are_none_nobody_is_waited_for(self) -> None:
        self.start()
        self.assertIsNone(self.foreigners.look(NAME, ENTRY.content))
        self.assertEqual(self.foreigners.holders(ENTRY), ())
        self.assertEqual(self.foreigners.describe(), [])
        self.assertEqual(list(self.foreigners.listings()), [])
        self.assertEqual(list(self.foreigners.tell()), [])
        self.assertEqual((self.foreigners.pacserves(), self.foreigners.known_at(NAME)), ([], None))
        self.assertEqual(self.foreigners.counters, Counter())
        self.foreigners.pacserves_changed(())
        self.foreigners.face(None)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_of_the_room_is_imported_for_them(self) -> None:
        program = (
            "import sys; import flocon.node.foreigners;"
            "print(*[name for name in sys.modules if name.startswith('flocon.foreign')])"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        self.assertEqual(done.stdout.split(), [])


class MayBeAsked(ForeignersTestCase):
    """Which addresses are asked, whoever says that something is there."""

    def may(self, address: str, *, named: bool = False) -> bool:
        return self.foreigners._made()._places._may(address, named)

    def test_only_what_is_on_our_own_links(self) -> None:
        self.assertTrue(self.may("10.0.0.7"))
        self.assertTrue(self.may("fd00::7"))
        for address in ("10.0.1.7", "203.0.113.7", "2001:db8::1", "nonsense", ""):
            self.assertFalse(self.may(address), address)

    def test_not_where_a_node_is_only_told_of_to_be(self) -> None:
        """It may ask here, which is not for whoever tells of it to have this machine ask there."""
        self.admission.also = {"10.0.1.7"}.__contains__
        self.assertTrue(self.admission.admits("10.0.1.7"))
        self.assertFalse(self.may("10.0.1.7"))
        self.admission.networks = (ip_network("10.0.1.0/24"),)
        self.assertTrue(self.may("10.0.1.7"))

    def test_never_this_machine_itself(self) -> None:
        for address in ("10.0.0.1", "fd00::1", "127.0.0.1", "127.1.2.3", "::1"):
            self.assertFalse(self.may(address), address)

    def test_whom_the_operator_names_wherever_it_is(self) -> None:
        self.assertTrue(self.may("203.0.113.7", named=True))

    def test_nobody_in_quarantine_even_if_named(self) -> None:
        self.banned["10.0.0.7"] = "in quarantine for another hour: it lied"
        self.assertFalse(self.may("10.0.0.7"))
        self.assertFalse(self.may("10.0.0.7", named=True))

    def test_no_node_which_tells_itself_what_it_holds(self) -> None:
        self.assertTrue(self.may("10.0.0.7"))
        self.nodes = [SimpleNamespace(address="10.0.0.7")]
        self.clock.advance(NODES_FOR)
        self.assertFalse(self.may("10.0.0.7"))


class Browsed(ForeignersTestCase):
    """What mDNS tells of, which is all of it each time."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(foreign, "own_id", lambda: "arch")
        self.start()

    def tell(self, **addresses: str) -> list[str]:
        texts = ("id=arch", "arch=x86_64", "something=else")
        self.foreigners.pacserves_changed(
            tuple(
                Found(f"pacserve on {name}", f"{name}.local", (address, "fd00::7"), 7_078, texts)
                for name, address in addresses.items()
            )
        )
        return [one["address"] for one in self.foreigners.describe()]

    def test_who_is_told_of_is_known_by_its_best_address(self) -> None:
        self.assertEqual(self.tell(ada="10.0.0.7", bob="10.0.0.8"), ["10.0.0.7", "10.0.0.8"])
        [ada, _] = self.foreigners.describe()
        self.assertEqual((ada["found"], ada["name"]), ("mdns", "pacserve on ada"))

    def test_who_is_told_of_no_more_is_forgotten(self) -> None:
        self.tell(ada="10.0.0.7", bob="10.0.0.8")
        self.assertEqual(self.tell(bob="10.0.0.8"), ["10.0.0.8"])
        self.assertEqual(self.tell(), [])

    def test_none_is_where_the_operator_wants_none(self) -> None:
        self.make(pacredir=False)
        self.assertEqual(self.tell(ada="10.0.0.7"), [])

    def test_who_has_moved_is_where_it_is_now(self) -> None:
        self.tell(ada="10.0.0.7")
        self.assertEqual(self.tell(ada="10.0.0.9"), ["10.0.0.9"])


class Named(ForeignersTestCase):
    def test_they_are_looked_at_once_the_node_runs(self) -> None:
        self.make(hosts=("10.99.0.7",))
        self.start()
        self.assertEqual([one["address"] for one in self.foreigners.describe()], ["10.99.0.7"])
        [told] = self.foreigners.describe()
        self.assertEqual((told["kind"], told["found"]), ("pacredir", "setting"))

    def test_names_are_looked_up_again_by_whoever_asks_for_a_file(self) -> None:
        self.make(hosts=("10.99.0.7",))
        self.start()
        with mock.patch("flocon.foreign.naming.Naming.find") as find:
            self.foreigners.look(NAME, ENTRY.content)
            self.assertEqual(find.call_count, 0)
            self.clock.advance(RESOLVED_FOR)
            self.foreigners.look(NAME, ENTRY.content)
            self.assertEqual(find.call_count, 1)
            self.foreigners.links_changed((LINK,))
            self.foreigners.look(NAME, ENTRY.content)
            self.assertEqual(find.call_count, 2)

    def test_what_cannot_be_asked_is_told_to_the_doctor(self) -> None:
        self.make(hosts=("https://ada/",))
        self.start()
        [told] = self.foreigners.tell()
        self.assertIn("https://ada/, in [foreign] hosts, cannot be asked", told["reason"])


class Looked(ForeignersTestCase):
    """When other tools' machines are asked for a file."""

    def setUp(self) -> None:
        super().setUp()
        self.start()
        self.foreign = mock.Mock()
        self.waiting: Deferred[None] = Deferred()
        self.foreign.look.return_value = self.waiting
        self.foreigners._foreign = self.foreign
        self.foreigners._pool = mock.Mock()

    def test_for_what_is_listed_and_held_by_no_node(self) -> None:
        self.assertIs(self.foreigners.look(NAME, ENTRY.content), self.waiting)
        self.foreign.look.assert_called_once_with(NAME, ENTRY.size)

    def test_not_for_what_a_node_holds(self) -> None:
        self.held.add(NAME)
        self.assertIsNone(self.foreigners.look(NAME, ENTRY.content))

    def test_not_for_what_no_database_lists(self) -> None:
        self.assertIsNone(self.foreigners.look("b-1-1-any.pkg.tar.zst", Content(1, bytes(32))))
        self.assertIsNone(self.foreigners.look(NAME, Content(10, b"x" * 32)))

    def test_nobody_hears_of_a_private_repository(self) -> None:
        self.private.add("core")
        self.assertIsNone(self.foreigners.look(NAME, ENTRY.content))
        self.assertEqual(self.foreigners.holders(ENTRY), ())
        self.foreign.look.assert_not_called()

    def test_what_has_it_is_a_peer_that_is_no_node(self) -> None:
        self.foreign.holding.return_value = [Place(Tool.PACREDIR, "10.0.0.7", 7_078)]
        [source] = self.foreigners.holders(ENTRY)
        self.assertEqual((source.origin, source.came), (Origin.PEER, Came.PEER))
        self.assertEqual((source.key, str(source)), ("10.0.0.7", "pacredir at 10.0.0.7"))
        self.assertEqual(source.url, f"http://10.0.0.7:7078/pkg/{NAME}")


class Changed(ForeignersTestCase):
    """What the operator wants otherwise holds at once."""

    def change(self, **foreign: Any) -> list[str]:
        wanted = {"pacserve": False, **foreign}
        self.foreigners.settings_changed(Foreign(**wanted))
        return [one["address"] for one in self.foreigners.describe()]

    def test_who_is_named_now_is_known_and_who_is_not_any_more_forgotten(self) -> None:
        self.start()
        self.assertEqual(self.change(hosts=("10.99.0.7", "10.99.0.8")), ["10.99.0.7", "10.99.0.8"])
        self.assertEqual(self.change(hosts=("10.99.0.8",)), ["10.99.0.8"])
        self.assertEqual(self.change(), [])

    def test_what_was_wrong_with_one_that_is_named_no_more_is_not_told(self) -> None:
        self.start()
        self.change(hosts=("https://ada/",))
        self.assertEqual(len(list(self.foreigners.tell())), 1)
        self.change()
        self.assertEqual(list(self.foreigners.tell()), [])

    def test_pacredirs_that_were_found_are_known_as_long_as_they_are_wanted(self) -> None:
        self.patch(foreign, "own_id", lambda: "")
        self.start()
        found = Found("pacserve on ada", "ada.local", ("10.0.0.7",), 7_078, ())
        self.foreigners.pacserves_changed((found,))
        self.assertEqual(self.change(pacredir=False), [])
        self.assertEqual(self.change(pacredir=True), ["10.0.0.7"])

    def test_pacserves_group_is_heard_as_long_as_that_is_wanted(self) -> None:
        group = mock.Mock(problem="", counters=Counter())
        with mock.patch("flocon.foreign.group.Group", return_value=group) as made:
            self.start()
            self.change(pacserve=True)
            self.assertEqual(made.call_count, 1)
            group.set_links.assert_called_once_with((LINK,))
            said = b"ThreadedServers.Pacserve/2013.05.12 http://ada:15678/"
            self.foreigners._received("10.0.0.7", said)
            self.assertEqual(self.change(pacserve=True, hosts=("10.99.0.8",))[0], "10.0.0.7")
            group.close.assert_not_called()
            self.assertEqual(self.change(hosts=("10.99.0.8",)), ["10.99.0.8"])
            group.close.assert_called_once_with()

"""What a person changes of a node, put together as it runs but with no socket open."""

from __future__ import annotations

import errno
import os
from dataclasses import fields, replace
from functools import partial
from ipaddress import IPv4Interface
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.logger import ILogObserver, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from flocon.ahead.ahead import Readiness
from flocon.asking.source import Came
from flocon.books.ledger import _today
from flocon.books.recent import Answered
from flocon.books.savings import Day
from flocon.datagrams.messages import MOST_CLAIMED, Announcement, Kind, decode, encode
from flocon.errors import AmbiguousPeer, DatagramError, NotHeld, UnknownPeer
from flocon.files import Content
from flocon.machine.links import Link
from flocon.node.service import Node
from flocon.operator.reloading import PAUSE
from flocon.pacman.configuration import PacmanConfiguration, Repository
from flocon.pacman.database_files import Loaded, Stamp
from flocon.settings.options import load
from flocon.settings.settings import Settings
from tests.fakes import FakeReactor

HONEST = "0123456789abcdef"
LIAR = "f" * 16


class OperatorTestCase(SynchronousTestCase):
    """A node, and an honest peer that it has heard."""

    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.config, store = folder / "flocon.toml", folder / "store"
        self.config.write_text('name = "own"\n')
        self.clock = FakeReactor()
        given = {"config": self.config, "store": store}
        node = Node(self.clock, load(given), lambda: load(given))
        self.parts = node.parts
        self.parts.presence.start(0.0)
        link = Link("eth0", 2, (IPv4Interface("10.0.0.1/24"),))
        self.parts.presence.networks_changed(0.0, [link])
        self.said = Announcement(
            Kind.HELLO, HONEST, "0" * 8, 1, "ada", 19432, "arch", (), 30.0, 0, 0
        )
        self.hear("10.0.0.2")

    def hear(self, address: str, **changed: object) -> None:
        said = replace(self.said, **changed)  # type: ignore[arg-type]  # as the test says
        self.parts.presence.receive(self.clock.seconds(), address, encode(said))

    def states(self) -> dict[str, str]:
        return {peer["address"]: peer["state"] for peer in self.parts.status.describe()["peers"]}


class Anew(OperatorTestCase):
    """What of flocon.toml is in force after it was read anew, and what is said of the rest."""

    def read(self, text: str) -> str:
        self.config.write_text(text)
        said: list[str] = []

        @implementer(ILogObserver)
        def log(event: dict[str, Any]) -> None:
            said.append(formatEvent(event))

        globalLogPublisher.addObserver(log)
        self.addCleanup(globalLogPublisher.removeObserver, log)
        self.parts.reloading.ask()
        self.clock.advance(PAUSE)
        [sentence] = [one for one in said if one.startswith("settings read anew")]
        return sentence

    def test_each_key_that_needs_no_restart_is_in_force(self) -> None:
        said = self.read(
            'name = "own"\n[peers]\nrelays = 3\nbandwidth = "1M"\nnetworks = ["10.8.0.0/16"]\n'
            'relayed_per_day = "2G"\nprivate = ["ours"]\n'
        )
        self.assertEqual(said, "settings read anew")
        self.assertLess(self.parts.pacer.allowance(lambda: None), 1 << 20)
        self.assertEqual([str(one) for one in self.parts.admission.networks], ["10.8.0.0/16"])
        self.assertTrue(self.parts.desk.privacy.keeps("ours"))
        self.assertEqual(self.parts.desk.relaying.relays.a_day, 2 << 30)
        self.assertEqual(self.parts.desk.for_peers._most(), 3)

    def test_other_tools_machines_and_folders_need_none(self) -> None:
        folder = Path(self.mktemp()).resolve()
        said = self.read(
            f'name = "own"\n[foreign]\nhosts = ["10.99.0.7"]\n[store]\nadopt = ["{folder}"]\n'
        )
        self.assertEqual(said, "settings read anew")
        self.assertEqual(self.parts.foreign._settings.hosts, ("10.99.0.7",))
        [adopted] = self.parts.holdings.describe_adopted()
        self.assertEqual(adopted["path"], str(folder))

    def test_of_builds_and_own_repositories_places_need_a_restart(self) -> None:
        said = self.read(
            'name = "own"\n[repo]\nkeys = "/k"\ncopies = 7\n'
            '[build]\nstate = "/s"\nbuilder = "/b"\nauto = "never"\nmemory = "1G"\n'
        )
        names = "repo.keys, build.state, build.builder"
        self.assertEqual(said, f"settings read anew; a restart is needed for: {names}")
        found = self.parts.reloading.settings
        self.assertEqual((found.repo.copies, found.build.auto), (7, "never"))
        self.assertEqual((found.build.memory, found.build.state), (1 << 30, Settings().build.state))

    def test_of_a_mirror_for_the_lan_what_it_serves_and_where_needs_a_restart(self) -> None:
        said = self.read(
            'name = "own"\n[mirror]\nserve = true\nlisten = ["tcp:1"]\nrepositories = ["ours"]\n'
            'architectures = ["aarch64"]\nupstream = { aarch64 = [] }\npaths = { a = "$arch" }\n'
            'networks = ["10.8.0.0/16"]\nrefresh = "off"\npublish = "at once"\n'
            'publish_within = "1h"\nunused = "1d"\npins = ["linux"]\nkeep = 5\nmax_age = "3d"\n'
            'hold_at_most = "2d"\narchive = "https://h/$date/$repo/os/$arch"\n'
        )
        fixed = ("serve", "listen", "repositories", "architectures", "upstream", "paths")
        names = ", ".join(f"mirror.{name}" for name in fixed)
        self.assertEqual(said, f"settings read anew; a restart is needed for: {names}")
        found, before = self.parts.reloading.settings.mirror, Settings().mirror
        self.assertEqual((found.pins, found.keep, found.refresh), (("linux",), 5, ()))
        names_of = [field.name for field in fields(found)]
        same = {name for name in names_of if getattr(found, name) == getattr(before, name)}
        self.assertEqual(same, set(fixed))

    def test_each_key_that_needs_one_is_named_as_the_file_does(self) -> None:
        said = self.read('name = "other"\n[store]\nmax_size = "1G"\n[presence]\nbeat = 5\n')
        wanted = "settings read anew; a restart is needed for: name, store.max_size, presence.beat"
        self.assertEqual(said, wanted)


class Upgrading(OperatorTestCase):
    """What is said of what is ready for the next upgrade."""

    def said_of(self, **counts: int) -> str:
        self.parts.ahead.readiness = lambda: Readiness(**counts)  # type: ignore[method-assign]
        return str(self.parts.status.describe()["ahead"]["text"])

    def test_how_many_are_ready_and_what_is_only_at_mirrors(self) -> None:
        said = self.said_of(wanted=25, ready=23, ready_bytes=312 << 20, only_at_mirrors=2)
        words = "23 of 25 packages ready for the next upgrade, 312.0 MiB; 2 only at mirrors"
        self.assertEqual(said, words)

    def test_what_is_on_the_way_and_what_is_left_out(self) -> None:
        said = self.said_of(wanted=9, coming=4, left_out=1)
        ready = "0 of 9 packages ready for the next upgrade, 0 B"
        self.assertEqual(said, f"{ready}; 4 on the way; 1 left out")

    def test_one_is_one_and_none_is_nothing(self) -> None:
        one = "1 of 1 package ready for the next upgrade, 7 B"
        self.assertEqual(self.said_of(wanted=1, ready=1, ready_bytes=7), one)
        self.assertEqual(self.said_of(), "")

    def test_bytes_ahead_are_told_with_it(self) -> None:
        self.parts.ledger.fetched_ahead("zlib-1.3-1-x86_64.pkg.tar.zst", 7)
        told = self.parts.status.describe()["ahead"]
        self.assertEqual((told["used_bytes"], told["waiting_bytes"]), (0, 7))

    def test_what_left_before_pacman_asked_was_for_nothing(self) -> None:
        name, content = "zlib-1.3-1-x86_64.pkg.tar.zst", Content(7, b"x" * 32)
        self.parts.ledger.fetched_ahead(name, 7)
        inventory = self.parts.holdings.offering.inventory
        self.parts.following.inventory_changed(inventory.put(name, content))
        self.parts.following.inventory_changed(inventory.remove(name))
        self.assertEqual(self.parts.ledger.ahead.unused_bytes, 7)

    def test_metrics_have_the_same_numbers(self) -> None:
        self.said_of(wanted=25, ready=23, wanted_bytes=9)
        figures = self.parts.status.figures()
        self.assertEqual(figures.upgrade_packages["ready"], 23)
        self.assertEqual(figures.upgrade_bytes["wanted"], 9)


class Counting(OperatorTestCase):
    def test_what_came_of_other_tools_machines_is_no_refusal_of_peers(self) -> None:
        self.parts.foreign.pacserves_changed(())
        self.parts.foreign.nudged("10.0.0.7", 15_678)
        foreign: Any = self.parts.foreign._foreign
        foreign.received("10.0.0.8", b"nonsense")
        foreign.ended("pacserve:10.0.0.7", 0, None)
        self.addCleanup(foreign.stop)
        figures = self.parts.status.figures()
        self.assertEqual(figures.foreign, {"datagrams of nobody": 1})
        self.assertEqual([kind for kind in figures.lan_refusals if kind.startswith("foreign")], [])
        named: Any = SimpleNamespace(describe=lambda: {"datagrams": {"limited": 3}})
        self.parts.mdns._named = named
        self.assertEqual(self.parts.status.figures().mdns_datagrams, {"limited": 3})

    def test_the_lan_as_a_whole_is_summed_over_those_who_tell(self) -> None:
        self.parts.ledger.savings.days[_today()] = Day(3 << 20, 1 << 20, 0.0, 9 << 20)
        self.assertEqual(
            self.parts.status.describe()["lan"],
            {"nodes": 1, "saved_bytes": 3 << 20, "crossed_bytes": 1 << 20},
        )
        self.hear("10.0.0.2", sequence=2, savings=(100, 20))
        self.assertEqual(
            self.parts.status.describe()["lan"],
            {"nodes": 2, "saved_bytes": 103 << 20, "crossed_bytes": 21 << 20},
        )

    def test_a_liar_is_bounded_and_counts_no_more_once_it_is_in_quarantine(self) -> None:
        self.hear("10.0.0.2", sequence=2, savings=(MOST_CLAIMED, MOST_CLAIMED))
        with self.assertRaises(DatagramError):
            self.hear("10.0.0.2", sequence=3, savings=(MOST_CLAIMED + 1, 0))
        self.assertEqual(self.parts.status.describe()["lan"]["saved_bytes"], MOST_CLAIMED << 20)
        self.parts.operator.ban("ada")
        self.assertEqual(self.parts.status.describe()["lan"]["nodes"], 1)

    def test_what_this_node_saved_goes_out_with_its_next_datagram(self) -> None:
        self.parts.presence.take_datagrams()
        for came, size in ((Came.PEER, 5 << 20), (Came.MIRROR, 2 << 20), (Came.OWNER, 9 << 20)):
            self.parts.ledger.began(came)
            self.parts.ledger.ended(came, size, 1.0)
        self.assertEqual(self.parts.presence.take_datagrams(), [])
        self.parts.presence.rejoin(5.0)
        [datagram, *_] = self.parts.presence.take_datagrams()
        self.assertEqual(decode(datagram).savings, (5, 2))

    def took(self) -> list[tuple[str, str, bool]]:
        rows = self.parts.status.describe()["takers"]
        return [(one["address"], one["name"], one["peer"]) for one in rows]

    def test_who_took_what_is_told_by_address_and_by_the_peer_there(self) -> None:
        self.parts.traffic.to_peer("10.0.0.2", 5)
        self.parts.traffic.to_peer("10.0.0.9", 3)
        self.assertEqual(self.took(), [("10.0.0.2", "ada", True), ("10.0.0.9", "", False)])
        [row] = self.parts.status.describe()["peers"]
        self.assertEqual(row["taken_bytes"], 5)

    def test_a_name_that_somebody_else_took_is_not_told_of_who_took_what(self) -> None:
        self.parts.traffic.to_peer("10.0.0.2", 5)
        self.hear("10.0.0.66", node=LIAR)
        self.assertEqual(self.took(), [("10.0.0.2", "", True)])


class Judging(OperatorTestCase):
    def test_a_ban_says_whom_it_hit_and_is_in_the_status(self) -> None:
        said = self.parts.operator.ban("ada")
        self.assertEqual(said, f"ada at 10.0.0.2 ({HONEST}) is in quarantine for good")
        self.assertEqual(self.states(), {"10.0.0.2": "quarantine"})
        [row] = self.parts.status.describe()["quarantine"]
        self.assertEqual(row["text"], "for good: banned by hand")

    def test_a_ban_outlasts_a_change_of_name_and_a_new_start(self) -> None:
        self.parts.operator.ban("ada")
        self.hear("10.0.0.2", sequence=2, name="eve")
        self.assertEqual(self.states(), {"10.0.0.2": "quarantine"})
        self.hear("10.0.0.2", epoch="1" * 8, name="bob")
        self.assertEqual(self.states(), {"10.0.0.2": "quarantine"})

    def test_whom_datagrams_bring_back_has_not_failed_the_less(self) -> None:
        self.parts.standing.failed("10.0.0.2", self.clock.seconds())
        self.assertEqual(self.states(), {"10.0.0.2": "failing"})
        self.hear("10.0.0.2", kind=Kind.BYE, sequence=2)
        self.hear("10.0.0.2", kind=Kind.HELLO, sequence=3)
        self.parts.multicast.wake()
        self.assertEqual(self.states(), {"10.0.0.2": "failing"})

    def test_a_pardon_by_hand_forgets_failures_too(self) -> None:
        self.parts.operator.ban("ada")
        self.parts.standing.failed("10.0.0.2", self.clock.seconds())
        self.parts.operator.pardon("ada")
        self.assertEqual(self.states(), {"10.0.0.2": "good"})

    def test_a_name_that_somebody_else_took_hits_nobody(self) -> None:
        self.hear("10.0.0.66", node=LIAR)
        for act in (self.parts.operator.ban, self.parts.operator.pardon):
            with self.assertRaises(AmbiguousPeer):
                act("ada")
        self.assertEqual(set(self.states().values()), {"good"})
        self.assertIn(LIAR, self.parts.operator.ban("10.0.0.66"))
        self.assertEqual(self.states(), {"10.0.0.2": "good", "10.0.0.66": "quarantine"})

    def test_a_banned_peer_is_not_let_out_under_the_name_of_another(self) -> None:
        self.parts.operator.ban("ada")
        self.hear("10.0.0.66", node=LIAR)
        with self.assertRaises(AmbiguousPeer):
            self.parts.operator.pardon("ada")
        with self.assertRaises(NotHeld):
            self.parts.operator.pardon("10.0.0.66")
        self.assertEqual(self.states()["10.0.0.2"], "quarantine")

    def test_who_is_gone_is_pardoned_by_address_or_id_alone(self) -> None:
        for word in (HONEST, "10.0.0.2"):
            self.parts.offenders.quarantine.ban(HONEST, "10.0.0.2", 0.0, "banned by hand")
            self.hear("10.0.0.2", kind=Kind.BYE, sequence=9)
            with self.assertRaises(UnknownPeer):
                self.parts.operator.pardon("ada")
            self.assertEqual(self.parts.operator.pardon(word), f"{word} may be asked again")

    def test_all_ids_of_an_address_are_hit_and_counted(self) -> None:
        self.hear("10.0.0.2", node=LIAR, port=19433)
        self.assertTrue(
            self.parts.operator.ban("10.0.0.2").startswith("2 peers: ada at 10.0.0.2 (")
        )
        self.assertTrue(self.parts.operator.pardon("10.0.0.2").endswith(" may be asked again"))
        self.assertEqual(self.parts.status.describe()["quarantine"], [])


class Telling(OperatorTestCase):
    """What the doctor hears of what the node lives with."""

    def told(self) -> list[tuple[str, str, str]]:
        problems = [one for tell in self.parts.examination.tellers for one in tell()]
        return [(one["check"], one["reason"], one["remedy"]) for one in problems]

    def found_unusable(self, problem: str) -> None:
        pacman = self.parts.pacman
        pacman.configuration = PacmanConfiguration(
            (Repository("own"),), database_path=Path("/db"), files=(Path("/etc/pacman.conf"),)
        )
        pacman._databases.configure(pacman.configuration)
        pacman._databases._loaded = {"own": Loaded(Stamp(1, 2, 3, 4), None, problem)}

    def test_nothing_where_there_is_nothing(self) -> None:
        self.assertEqual(self.told(), [])

    def test_a_database_that_is_compressed_in_a_way_that_nothing_here_reads(self) -> None:
        self.found_unusable("compression: it is made with lz5; have it made with gzip")
        [(check, reason, remedy)] = self.told()
        self.assertEqual((check, remedy), ("databases", "have it made with gzip"))
        self.assertIn("/db/sync/own.db cannot be read (compression: it is made with lz5)", reason)
        self.assertIn("nothing of [own] is shared", reason)

    def test_a_database_that_is_damaged_or_closed(self) -> None:
        for problem, remedy in (
            ("compression: it ends too early", "pacman -Syy"),
            (os.strerror(errno.EACCES), "chmod a+r /db/sync/own.db"),
        ):
            self.found_unusable(problem)
            self.assertEqual([one[2] for one in self.told()], [remedy])

    def test_settings_that_were_read_anew_and_cannot_be(self) -> None:
        self.config.write_text("shop = 1\n")
        self.parts.reloading._reread = partial(load, {"config": self.config})
        self.parts.reloading._read()
        [(check, reason, _)] = self.told()
        self.assertEqual(check, "settings")
        self.assertIn("flocon.toml: shop: is not a key flocon knows", reason)
        self.config.write_text("")
        self.parts.reloading._read()
        self.assertEqual(self.told(), [])

    def test_a_proxy_that_is_none(self) -> None:
        self.patch(os, "environ", {"https_proxy": "socks5://10.0.0.1:1080"})
        [(check, reason, _)] = self.told()
        self.assertEqual(check, "proxy")
        self.assertIn("https_proxy in the node's environment is not used", reason)

    def test_no_socket_to_be_changed_by(self) -> None:
        self.parts.doors._control_path = self.config / "control"
        self.parts.doors.open_control(self.parts.control)
        [(check, reason, _)] = self.told()
        self.assertEqual(check, "control")
        self.assertIn(f"come by: {self.config}: {os.strerror(errno.EEXIST)}", reason)


class Reading(OperatorTestCase):
    """What the page makes of the status."""

    def recent(self, *sources: str) -> list[str]:
        for source in sources:
            self.parts.ledger.recent.add(
                Answered("a-1-1-any.pkg.tar.zst", "core", 0.0, 1.0, 200, source, 7)
            )
        rows = self.parts.status.page()["recent"]
        return [row["whence"] for row in reversed(rows)]

    def setUp(self) -> None:
        super().setUp()
        self.patch(self.parts.health, "_examine", self.nothing)

    async def nothing(self, _: object) -> dict[str, object]:
        return {}

    def test_names_stand_for_addresses(self) -> None:
        shown = self.recent("peer 10.0.0.2", "peer 10.0.0.2 for us", "mirror m", "store")
        self.assertEqual(shown, ["ada", "ada for us", "mirror m", "store"])

    def test_a_name_that_somebody_else_took_stands_for_nobody(self) -> None:
        self.hear("10.0.0.66", node=LIAR)
        shown = self.recent("peer 10.0.0.2", "peer 10.0.0.66 for us", "peer 10.0.0.7")
        self.assertEqual(shown, ["10.0.0.2", "10.0.0.66 for us", "10.0.0.7"])

    def test_signatures_are_not_listed(self) -> None:
        self.parts.ledger.recent.add(
            Answered("a-1-1-any.pkg.tar.zst.sig", "core", 0.0, 1.0, 200, "store", 7)
        )
        self.assertEqual(self.recent("store"), ["store"])

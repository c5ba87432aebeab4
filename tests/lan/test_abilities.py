"""What an operator can switch on, and what a metered link switches off.

Real nodes, a real pacman and an nginx mirror, as in ``test_main_job``; the repositories are small.
``busctl`` is not real: it stands for a NetworkManager.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.lan.case import LanTestCase
from tests.lan.lan import LAN_PORT, Host, Lan, Node, PacmanRun, environment, twistd, wait_until
from tests.lan.repository import Package, Repository, SigningKey, recipes

HOUR = 3_600.0
DAY = 24 * HOUR
LAN_DATABASES = {"databases": "lan"}


class SmallLab:
    """Three hosts and a mirror with two repositories; the databases of ``signed`` are signed."""

    def __init__(self) -> None:
        self.lan = Lan()
        atexit.register(self._close)
        self.first = self.lan.host("first", "10.77.0.1")
        self.second = self.lan.host("second", "10.77.0.2")
        self.third = self.lan.host("third", "10.77.0.3")
        self.mirror = self.lan.mirror()
        self.key = SigningKey(self.lan.folder / "key")
        self.key.make_keyring(self.lan.keyring)
        self.moving = self._repository("moving", 12)
        self.signed = self._repository("signed", 2)

    def _repository(self, name: str, count: int) -> Repository:
        repository = Repository(self.mirror.root, name, key=self.key)
        repository.add(recipes(count, seed=len(name), prefix=f"{name}-"))
        return repository

    def _close(self) -> None:
        if hasattr(self, "key"):
            self.key.close()
        self.lan.close()


@functools.cache
def _small_lab() -> SmallLab:
    return SmallLab()


class SmallTestCase(LanTestCase):
    """A test on the small LAN, with the repository ``moving``."""

    def setUp(self) -> None:
        self.need_lan()
        self.small = _small_lab()
        self.first, self.second, self.third = (
            self.small.first,
            self.small.second,
            self.small.third,
        )
        self.mirror, self.moving = self.small.mirror, self.small.moving
        self.use(self.small.lan, ["moving"])

    @property
    def packages(self) -> list[Package]:
        return list(self.moving.packages.values())

    def start(self, *hosts: Host, **options: Any) -> list[Node]:
        """Start nodes with the same options, and wait until they know each other."""
        nodes = [host.start_node(**options) for host in hosts]
        for node in nodes:
            node.wait_ready()
        self.meet(*nodes)
        return nodes


class DatabaseTests(SmallTestCase):
    """Where a database comes from, by ``databases`` in flocon.toml."""

    def start(self, *hosts: Host, **options: Any) -> list[Node]:
        """Start nodes; that they know of each other's file tells that they know the databases."""
        for host in hosts:
            self.hold(host, self.packages[-1:])
        return super().start(*hosts, **options)

    def publish(self, age: float, repository: Repository | None = None) -> bytes:
        """Have the mirror publish another database, ``age`` seconds ago; return it."""
        repository = repository or self.moving
        repository.bump([next(iter(repository.packages))])
        then = time.time() - age
        os.utime(repository.database, (then, then))
        return repository.database.read_bytes()

    def publish_signed(self, age: float) -> bytes:
        """Have the mirror publish another signed database; return it.

        Its signature is as old: pacman asks for one that is newer than its own, in whole seconds.
        """
        database = self.publish(age, self.small.signed)
        path = self.small.signed.database
        self.small.key.sign(path)
        then = path.stat().st_mtime
        os.utime(f"{path}.sig", (then, then))
        return database

    def give(self, host: Host, age: float) -> bytes:
        """Publish another database and give it to a host; return it."""
        database = self.publish(age)
        self.sync(host)
        self.assertEqual(_database(host), database)
        return database

    def refresh(self, host: Host, *options: str) -> PacmanRun:
        run = host.pacman("-Sy", *options)
        self.assert_clean(run)
        return run

    @property
    def given_by_mirror(self) -> list[tuple[str, int]]:
        """Databases that the mirror was asked for, and how it answered."""
        return [(one.file_name, one.status) for one in self.mirror.records() if one.is_database]

    def test_without_a_mirror_it_comes_from_the_peer_that_has_the_newest(self) -> None:
        self.give(self.second, 5 * HOUR)
        old = self.give(self.first, 3 * HOUR)
        new = self.give(self.third, 2 * HOUR)
        self.assertNotEqual(old, new)
        self.start(self.first, self.second, self.third, settings=LAN_DATABASES)
        self.mirror.stop()
        self.refresh(self.second)
        self.assertEqual(_database(self.second), new)
        # pacman compares with this next time.
        times = [_modified(host) for host in (self.second, self.third)]
        self.assertEqual(times[0], times[1])

    def test_a_mirror_out_of_reach_holds_it_up_for_seconds_only(self) -> None:
        self.give(self.second, 4 * DAY)
        new = self.give(self.first, 3 * DAY)
        self.start(self.first, self.second, settings=LAN_DATABASES)
        self.mirror.host.link("down")
        run = self.refresh(self.second)
        self.assertEqual(_database(self.second), new)
        self.assertLess(run.seconds, 8)

    def test_a_peers_newer_one_of_today_is_taken_before_the_mirrors(self) -> None:
        self.give(self.second, 3 * HOUR)
        new = self.give(self.first, 2 * HOUR)
        self.start(self.first, self.second, settings=LAN_DATABASES)
        self.refresh(self.second)
        self.assertEqual(_database(self.second), new)
        self.assertEqual(self.given_by_mirror, [])

    def test_a_peers_that_is_no_newer_leaves_it_to_the_mirror(self) -> None:
        self.give(self.first, 3 * HOUR)
        self.sync(self.second)
        self.start(self.first, self.second, settings=LAN_DATABASES)
        new = self.publish(2 * HOUR)
        self.refresh(self.second)
        self.assertEqual(_database(self.second), new)
        self.assertEqual(self.given_by_mirror, [("moving.db", 200)])

    def test_a_peers_of_yesterday_leaves_it_to_the_mirror(self) -> None:
        self.give(self.second, DAY + 3 * HOUR)
        stale = self.give(self.first, DAY + 2 * HOUR)
        self.start(self.first, self.second, settings=LAN_DATABASES)
        new = self.publish(DAY + HOUR)
        self.refresh(self.second)
        self.assertNotEqual(stale, new)
        self.assertEqual(_database(self.second), new)
        self.assertEqual(self.given_by_mirror, [("moving.db", 200)])

    def test_by_default_no_peer_is_asked_and_none_is_given_any(self) -> None:
        self.give(self.second, 4 * HOUR)
        self.give(self.first, 3 * HOUR)
        self.start(self.first, settings=LAN_DATABASES)
        asker = self.second.node()
        wait_until(lambda: "first" in asker.peers(), 10, "the second knows the first")
        new = self.publish(2 * HOUR)
        self.refresh(self.second)
        self.assertEqual(_database(self.second), new)
        self.assertEqual(self.given_by_mirror, [("moving.db", 200)])
        shared, kept = (
            self.third.request("/db/moving.db", address=host.address, port=LAN_PORT)
            for host in (self.first, self.second)
        )
        # The control: the first gives its own away, though nobody asked for it until now.
        self.assertEqual((shared.status, shared.body), (200, _database(self.first)))
        self.assertEqual((kept.status, kept.body), (404, b""))
        figures = self.first.request("/metrics").body.decode()
        self.assertIn('flocon_lan_answers_total{kind="databases"} 1.0', figures)

    def test_a_signed_one_and_its_signature_come_from_the_same_place(self) -> None:
        """A signature that belongs to another database makes pacman refuse both."""
        self.small.lan.repositories = ["signed", "moving"]
        self.publish_signed(3 * HOUR)
        self.sync(self.first, self.second)
        self.start(self.first, self.second, settings=LAN_DATABASES)
        new = self.publish_signed(2 * HOUR)
        self.refresh(self.second)
        self.assertEqual(_database(self.second, "signed"), new)
        # And now the other way round: the first gets both from the second.
        self.mirror.reset()
        self.refresh(self.first)
        self.assertEqual(_database(self.first, "signed"), new)
        asked = [record.file_name for record in self.mirror.records()]
        self.assertEqual([name for name in asked if name.startswith("signed")], [])

    def test_garbage_from_a_peer_is_found_out_and_the_mirrors_is_taken(self) -> None:
        """Pacman itself keeps it, and fails at it until a mirror has a newer one."""
        node = self._beside_a_liar("garbled")
        new = self.publish(HOUR)
        self.refresh(self.second)
        self.assertEqual(_database(self.second), new)
        self.assertIn("/db/moving.db", self._lies.read_text())
        self.assertEqual(len(node.status()["quarantine"]), 1)

    def test_garbage_from_a_peer_without_a_mirror_leaves_the_database_as_it_was(self) -> None:
        self._beside_a_liar("wrong-middle-byte")
        before = _database(self.second)
        self.mirror.stop()
        run = self.second.pacman("-Sy")
        control = self.second.pacman("-Sy", node=False)
        self.assertNotEqual(control.returncode, 0)
        self.assertEqual(run.returncode, control.returncode)
        self.assertEqual(_database(self.second), before)
        self.assertIn("/db/moving.db", self._lies.read_text())

    def test_a_date_that_a_peer_changes_between_two_answers_is_not_taken(self) -> None:
        """With it pacman would take no mirror's database until then."""
        self._beside_a_liar("another-date")
        new = self.publish(HOUR)
        self.refresh(self.second)
        self.assertEqual(_database(self.second), new)
        self.assertIn("another-date /db/moving.db", self._lies.read_text())
        self.assertLessEqual(_modified(self.second), time.time())

    def test_what_a_peer_made_up_is_not_handed_on(self) -> None:
        self.give(self.second, 3 * HOUR)
        lie = self.publish(2 * HOUR)
        root = self.third.folder / "root-of-lies"
        root.mkdir()
        shutil.copy2(self.moving.database, root / "moving.db")
        self._meet_liar(root, "none")
        self.refresh(self.second)
        self.assertEqual(_database(self.second), lie)
        asked = self.first.request("/db/moving.db", address=self.second.address, port=LAN_PORT)
        self.assertEqual((asked.status, asked.body), (404, b""))
        # The control: what a mirror has since is given away.
        new = self.publish(HOUR)
        self.refresh(self.second)
        self.assertEqual(_database(self.second), new)
        asked = self.first.request("/db/moving.db", address=self.second.address, port=LAN_PORT)
        self.assertEqual((asked.status, asked.body), (200, new))

    def test_a_liar_beside_signed_databases_is_found_out_before_pacman_has_a_byte(self) -> None:
        self.small.lan.repositories = ["signed", "moving"]
        self.publish_signed(3 * HOUR)
        self.sync(self.second)
        root = self.third.folder / "root-of-lies"
        root.mkdir()
        for suffix in ("", ".sig"):
            shutil.copyfile(f"{self.small.signed.database}{suffix}", root / f"signed.db{suffix}")
        new = self.publish_signed(HOUR)
        # A right database with the signature of another one, both as of now.
        shutil.copyfile(self.small.signed.database, root / "signed.db")
        os.utime(root / "signed.db", times=(time.time() - 60,) * 2)
        node = self._meet_liar(root, "none")
        self.refresh(self.second)
        self.assertIn("/db/signed.db.sig", self._lies.read_text())
        self.assertEqual(_database(self.second, "signed"), new)
        self.assertIn(("signed.db", 200), self.given_by_mirror)
        self.assertEqual(len(node.status()["quarantine"]), 1)

    def _beside_a_liar(self, fault: str) -> Node:
        """Start a node on the second host; what runs on the third gives a broken database away.

        It claims to be newer than the second's.
        """
        root = self.third.folder / "root-of-lies"
        root.mkdir()
        self.give(self.second, 3 * HOUR)
        shutil.copyfile(self.moving.database, root / "moving.db")
        os.utime(root / "moving.db", times=(time.time() - 2 * HOUR,) * 2)
        return self._meet_liar(root, fault)

    def _meet_liar(self, root: Path, fault: str) -> Node:
        self._lies = self.third.folder / "lies.log"
        role = f"peer@{self.third.address}={fault}@database"
        command = [sys.executable, "-m", "tests.lan.faults", "--root", str(root), role]
        self.third.start(command, log=self._lies)
        node = self.second.node(settings=LAN_DATABASES)
        wait_until(lambda: self.third.address in node.peers(), 10, "the liar is known")
        return node


class Link:
    """Says whether a host's link is metered, as NetworkManager would: a ``busctl`` of its own."""

    def __init__(self, host: Host, *, metered: bool) -> None:
        self._folder = host.folder / "metered"
        self._folder.mkdir()
        script = self._folder / "busctl"
        script.write_text(
            '#!/bin/sh\ncase "$*" in\n'
            f"*'.NetworkManager '*' Metered') cat {self._folder}/said ;;\n"
            "*) exit 1 ;;\nesac\n"
        )
        script.chmod(0o755)
        self.set(metered=metered)

    def set(self, *, metered: bool) -> None:
        """Say from now on that it is metered (1: yes), or that it is not (4: guessed, no)."""
        (self._folder / "said").write_text(f"u {1 if metered else 4}\n")

    def program(self, program: Sequence[str]) -> list[str]:
        """Return what runs a program that finds this ``busctl`` first."""
        return ["env", f"PATH={self._folder}:{environment()['PATH']}", *program]


class MeteredTests(SmallTestCase):
    """A node on a metered link fetches nothing for others."""

    def test_it_relays_only_while_the_link_is_free_and_gets_from_others_all_the_time(self) -> None:
        self.sync(self.first, self.second)
        link = Link(self.first, metered=True)
        metered, other = (
            self.first.start_node(program=link.program([twistd()])),
            self.second.start_node(),
        )
        for node in (metered, other):
            node.wait_ready()
        self.meet(metered, other)
        asked = self.packages[0]
        wait_metered(metered)
        wait_until(lambda: not self._is_an_owner_to(other), 10, "the other was told")
        self.assertEqual(self._ask_owner(asked), 503)
        self.assertEqual(self.mirror.records(), [])
        # All belongs to the other now, whoever asks.
        half = self.packages[::2]
        with ThreadPoolExecutor(2) as pool:
            for run in pool.map(lambda host: self.download(host, half), (self.first, self.second)):
                self.assert_clean(run)
        self.assert_mirror_gave_once(half)
        self.assertEqual({one.client for one in self.mirror.packages()}, {self.second.address})
        self.mirror.reset()
        # Another network: the link is looked at when the interfaces change.
        link.set(metered=False)
        self.first.link("down")
        self.first.link("up")
        wait_until(lambda: self._is_an_owner_to(other), 10, "the other was told")
        rest = self.packages[1::2]
        self.assertEqual(self._ask_owner(rest[0]), 200)
        self.assert_mirror_gave_once(rest[:1])
        self.assertEqual({one.client for one in self.mirror.packages()}, {self.first.address})

    def test_reading_the_settings_anew_does_not_make_a_metered_link_a_free_one(self) -> None:
        self.sync(self.first)
        link = Link(self.first, metered=True)
        node = self.first.node(program=link.program([twistd()]))
        wait_metered(node)
        node.send(signal.SIGHUP)
        wait_until(lambda: "settings read anew" in node.log_text, 5, "the settings are read")
        self.assertEqual(self._ask_owner(self.packages[0]), 503)

    def _is_an_owner_to(self, node: Node) -> bool:
        """Tell whether a node would ask the first to fetch any package for it."""
        return any(self._is_asked_to_fetch(node, package) for package in self.packages)

    def _is_asked_to_fetch(self, node: Node, package: Package) -> bool:
        answer = node.host.request(f"/why.json?file={quote(package.file_name)}")
        order = json.loads(answer.body)["order"]
        return any((one["role"], one["name"]) == ("owner", "first") for one in order)

    def _ask_owner(self, package: Package) -> int:
        path = f"/relay/moving/x86_64/{package.file_name}"
        headers = {"If-Match": f'"{package.sha256}"'}
        answer = self.second.request(
            path, address=self.first.address, port=LAN_PORT, headers=headers
        )
        return answer.status


def wait_metered(node: Node) -> None:
    wait_until(lambda: "the link is metered" in node.log_text, 10, "the link is known to cost")


def _database(host: Host, name: str = "moving") -> bytes:
    return (host.database_path / "sync" / f"{name}.db").read_bytes()


def _modified(host: Host) -> float:
    return (host.database_path / "sync" / "moving.db").stat().st_mtime

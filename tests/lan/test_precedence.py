"""pacman comes first: what nobody waits for stands still for it, on both sides, and is joined."""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
import time
from dataclasses import replace

from tests.lan.case import LanTestCase
from tests.lan.lan import LAN_PORT, Host, wait_until
from tests.lan.repository import MIB, install

#: Slow enough for two downloads to meet, as tc has it and in bytes per second.
LINK, RATE = "200mbit", 25_000_000
#: The least part of the time of a download for which all else must have stood still.
PART = 0.8


class Ahead:
    """A machine that asks a node for a package for which nobody waits."""

    def __init__(self, host: Host, node: Host, path: str) -> None:
        self.count = 0
        #: Seconds of the longest pause.
        self.paused = 0.0
        self._digest = hashlib.sha256()
        self._connection = http.client.HTTPConnection(node.address, LAN_PORT, timeout=60)
        self._connection.sock = host.connect(node.address, LAN_PORT, timeout=60)
        self._path = path
        self._failure = ""
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            self._connection.request("GET", self._path, headers={"Priority": "u=7"})
            answer = self._connection.getresponse()
            if answer.status != http.client.OK:
                self._failure = f"answered {answer.status}"
            came = time.monotonic()
            while data := answer.read1(1 << 16):
                now = time.monotonic()
                self.paused, came = max(self.paused, now - came), now
                self.count += len(data)
                self._digest.update(data)
        except (OSError, http.client.HTTPException) as error:
            self._failure = repr(error)
        finally:
            self._connection.close()

    def begun(self) -> bool:
        if self._failure:
            raise AssertionError(self._failure)
        return self.count > MIB

    def end(self) -> str:
        """Wait for all of it; return its SHA-256, or what went wrong."""
        self._thread.join(60)
        return self._failure or self._digest.hexdigest()


class Precedence(LanTestCase):
    def setUp(self) -> None:
        super().setUp()
        by_size = sorted(self.all_packages, key=lambda one: one.size)
        #: What nobody waits for, and what pacman asks for meanwhile.
        self.large, self.other = by_size[-1], by_size[-3]
        self.sync(self.first, self.second, self.third)

    def assert_stands_still(self, ahead: Ahead, host: Host) -> None:
        """Claim that what comes ahead stands still while a host's pacman downloads."""
        wait_until(ahead.begun, 20, "it has begun")
        self.assert_clean(self.download(host, [self.other]))
        self.assertLess(ahead.count, self.large.size)
        self.assertEqual(ahead.end(), self.large.sha256)
        self.assertGreater(ahead.paused, PART * self.other.size / RATE)

    def test_a_holder_gives_nothing_ahead_while_its_own_pacman_downloads(self) -> None:
        self.hold(self.first, [self.large])
        self.hold(self.second, [self.other])
        self.start_nodes(self.first, self.second)
        for host in (self.first, self.second):
            host.limit(LINK)
        ahead = Ahead(self.third, self.first, f"/pkg/{self.large.file_name}")
        self.assert_stands_still(ahead, self.first)
        self.assert_mirror_gave_no_packages()

    def test_nor_while_another_machines_pacman_downloads_from_it(self) -> None:
        self.hold(self.first, [self.large, self.other])
        self.start_nodes(self.first, self.second)
        self.first.limit(LINK)
        ahead = Ahead(self.third, self.first, f"/pkg/{self.large.file_name}")
        self.assert_stands_still(ahead, self.second)

    def test_a_node_fetches_nothing_ahead_while_its_own_pacman_downloads(self) -> None:
        self.start_nodes(self.first)
        self.mirror.host.limit(LINK)
        ahead = self.relayed()
        self.assert_stands_still(ahead, self.first)
        self.assert_mirror_gave_once([self.large, self.other])

    def test_pacman_joins_what_is_fetched_ahead_where_it_is(self) -> None:
        self.start_nodes(self.first)
        self.mirror.host.limit(LINK)
        ahead = self.relayed()
        wait_until(ahead.begun, 20, "it has begun")
        self.assert_clean(self.download(self.first, [self.large]))
        self.assert_cached(self.first, [self.large])
        self.assertEqual(ahead.end(), self.large.sha256)
        self.assert_mirror_gave_once([self.large])

    def test_pacman_joins_what_its_node_fetches_ahead_from_a_peer(self) -> None:
        self.hold(self.second, [self.large])
        install(self.first.database_path / "local", [replace(self.large.recipe, version="0-1")])
        self.second.limit(LINK)
        before = sent(self.second)
        self.start_nodes(self.first, self.second)
        wait_until(lambda: sent(self.second) > before + 8 * MIB, 20, "it comes ahead")
        self.assert_clean(self.download(self.first, [self.large]))
        self.assert_cached(self.first, [self.large])
        # What was on its way when pacman asked was sent in vain.
        self.assertLess(sent(self.second) - before, 1.1 * self.large.size)
        self.assert_mirror_gave_no_packages()

    def relayed(self) -> Ahead:
        """Have the first node fetch what nobody waits for."""
        path = f"/relay/extra/x86_64/{self.large.file_name}"

        def is_listed() -> bool:
            answer = self.third.request(
                path, method="HEAD", address=self.first.address, port=LAN_PORT
            )
            return answer.status == http.client.OK

        wait_until(is_listed, 20, "the databases are read")
        return Ahead(self.third, self.first, path)


def sent(host: Host) -> int:
    """Return the bytes that a host's link has sent."""
    told = json.loads(host.ip("-s", "-j", "link", "show", "eth0"))
    return int(told[0]["stats64"]["tx"]["bytes"])

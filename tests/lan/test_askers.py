"""What can be had by asking: from a node's LAN face, from elsewhere, and at whose cost."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.lan.case import LanTestCase
from tests.lan.lan import LAN_PORT, LOOPBACK_PORT, Answer, Host, in_namespace, wait_until
from tests.lan.repository import Package

#: The WAN, as tc has it and in bytes per second.
WAN, WAN_RATE = "200mbit", 25_000_000
#: Seconds of an attack, and the part of the WAN of a minute that may carry bytes for nobody.
SECONDS = 15.0
PART = 0.05
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/150.0.0.0 Safari/537.36"


class CostTests(LanTestCase):
    """Bytes that the mirror sends for who does not take them."""

    def setUp(self) -> None:
        super().setUp()
        self.sync(self.first)
        self.node = self.first.node()
        self.mirror.host.limit(WAN)
        self.before = _sent(self.mirror.host)

    def assert_next_to_nothing(self, taken: int = 0) -> None:
        """Claim that of a minute of the WAN at most a twentieth was for nobody."""
        # What is on its way is sent, too.
        time.sleep(1.0)
        wasted = _sent(self.mirror.host) - self.before - taken
        share = wasted / (WAN_RATE * 60)
        self.assertLessEqual(share, PART, f"{wasted >> 10} KiB, {100 * share:.1f} %")

    @property
    def large(self) -> list[Package]:
        return sorted(self.all_packages, key=lambda one: -one.size)[:4]

    def paths(self) -> Iterator[str]:
        while True:
            for repository in (self.lab.extra, self.lab.core):
                for package in repository.packages.values():
                    if package.size > 1 << 20:
                        yield f"/relay/{repository.name}/x86_64/{package.file_name}"

    def test_heads_fetch_nothing(self) -> None:
        paths = self.paths()

        def status() -> int:
            return self.second.request(
                next(paths), method="HEAD", address=self.first.address, port=LAN_PORT
            ).status

        wait_until(lambda: status() == 200, 10, "the databases are read")
        self.assertEqual({status() for _ in range(33)}, {200})
        for package in self.large:
            answer = self.first.request(f"/{package.file_name}", method="HEAD")
            self.assertEqual(
                (answer.status, answer.headers["content-length"]), (200, str(package.size))
            )
        self.assertEqual(self.mirror.records(), [])

    def attack(self, ask: Callable[[str], int]) -> int:
        """Let eight ask as fast as they can; return the bytes that they took."""
        chosen = list(itertools.islice(self.paths(), 200))
        until = time.monotonic() + SECONDS

        def work(number: int) -> int:
            taken = 0
            for path in itertools.cycle(chosen[number:]):
                if time.monotonic() > until:
                    return taken
                with contextlib.suppress(OSError):
                    taken += ask(path)
                time.sleep(0.05)
            return taken

        with ThreadPoolExecutor(8) as pool:
            return sum(pool.map(work, range(8)))

    def get(self, path: str, stay: float, *, receive: int = 4_096) -> int:
        """Ask for a file, read its beginning, stay and leave."""
        with self.second.connect(self.first.address, LAN_PORT) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.sendall(
                f"GET {path} HTTP/1.1\r\nHost: {self.first.address}\r\n\r\n".encode()
            )
            taken = len(connection.recv(receive))
            time.sleep(stay)
            return taken

    def test_who_asks_and_leaves_has_next_to_nothing_fetched(self) -> None:
        taken = self.attack(lambda path: self.get(path, 0.3))
        self.assert_next_to_nothing(taken)

    def test_who_asks_and_takes_nothing_has_next_to_nothing_fetched(self) -> None:
        taken = self.attack(lambda path: self.get(path, 8.0))
        self.assert_next_to_nothing(taken)


class PlaceTests(LanTestCase):
    """Where one may ask from."""

    FAR = "10.99.0.5"

    def route(self) -> None:
        """Give the second host an address in a network that the first reaches, but is not in."""
        self.second.ip("addr", "add", f"{self.FAR}/24", "dev", "eth0")
        self.first.ip("route", "add", "10.99.0.0/24", "dev", "eth0")
        self.addCleanup(self.second.unplug)
        self.addCleanup(self.first.unplug)

    def ask(self, path: str, host: Host, source: str) -> bytes:
        """Return the head of an answer, empty where there is none."""

        def asking() -> bytes:
            place = host.address, LAN_PORT
            with socket.create_connection(place, 5, (source, 0)) as connection:
                request = f"GET {path} HTTP/1.1\r\nHost: {host.address}\r\n\r\n"
                try:
                    connection.sendall(request.encode())
                    return connection.recv(200).partition(b"\r\n")[0]
                except ConnectionError:
                    return b""

        return in_namespace(self.second.namespace, asking)

    def test_another_network_is_not_answered(self) -> None:
        self.route()
        self.first.node()
        for path in ("/inventory", "/knock", "/relay/core/x86_64/a-1-1-any.pkg.tar.zst", "/"):
            self.assertEqual(self.ask(path, self.first, self.FAR), b"", path)
        self.assertIn(b" 200 ", self.ask("/inventory", self.first, self.second.address))

    def test_unless_the_operator_names_it(self) -> None:
        self.route()
        self.first.node(settings={"peers": {"networks": ["10.99.0.0/24"]}})
        self.assertIn(b" 200 ", self.ask("/inventory", self.first, self.FAR))

    def test_containers_use_their_hosts_node_and_nobody_else_does(self) -> None:
        loopback = [
            f"tcp:{LOOPBACK_PORT}:interface=127.0.0.1",
            f"tcp:{LOOPBACK_PORT}:interface={self.first.address}",
        ]
        clients = [f"{self.second.address}/32"]
        self.sync(self.first)
        self.first.node(settings={"loopback": loopback, "loopback_clients": clients})
        package = self.few_packages[0]

        def ask(host: Host, path: str, headers: dict[str, str]) -> Answer:
            place = self.first.address
            return host.request(path, address=place, port=LOOPBACK_PORT, headers=headers)

        own = {"Host": f"{self.first.address}:{LOOPBACK_PORT}"}
        path = f"/multilib/os/x86_64/{package.file_name}"
        answer = ask(self.second, path, own)
        self.assertEqual((answer.status, answer.body), (200, package.path.read_bytes()))
        self.assertEqual(ask(self.third, path, own).status, 403)
        foreign = {"Host": "evil.example"}
        self.assertEqual(ask(self.second, path, foreign).status, 403)
        self.assertEqual(ask(self.first, "/check", own).body, b"OK\n")


class MirrorsPathsTests(LanTestCase):
    """Whatever a mirror can be asked for, the node answers as it does."""

    def test_every_path_and_method_is_answered_as_by_the_mirror(self) -> None:
        (self.mirror.root / "lastupdate").write_text("1700000000\n")
        (self.mirror.root / "lastsync").write_text("1700000001\n")
        self.sync(self.first)
        self.first.node()
        package = self.few_packages[0].file_name
        for path, method in itertools.product(
            (
                *("/lastupdate", "//lastsync", "/core/os/x86_64/core.db.tar.gz"),
                *("//core/os/x86_64/core.db", "/core//os/x86_64/core.files", f"/{package}.x"),
                *("/core/os/x86_64/core.db.tar.gz.sig", "/multilib/os/x86_64/nothing.db"),
                *(f"//multilib/os/x86_64/{package}", f"/multilib/os/x86_64/{package}.sig"),
            ),
            ("HEAD", "GET"),
        ):
            theirs = self.first.request(
                path, method=method, address=self.mirror.host.address, port=80
            )
            ours = self.first.request(path, method=method)
            self.assertEqual(ours.status, theirs.status, (method, path))
            if theirs.status == 200:
                self.assertEqual(ours.body, theirs.body, path)
                for name in ("content-length", "last-modified"):
                    if name in ours.headers:
                        self.assertEqual(ours.headers[name], theirs.headers[name], (method, path))
                self.assertIn("content-length", ours.headers)

    def test_a_database_has_its_mirrors_date_whatever_it_is_called(self) -> None:
        self.first.node()
        for name in ("core.db", "core.db.tar.gz"):
            path = f"/core/os/x86_64/{name}"
            theirs = self.first.request(path, address=self.mirror.host.address, port=80)
            for method in ("HEAD", "GET"):
                ours = self.first.request(path, method=method)
                self.assertEqual(ours.headers["last-modified"], theirs.headers["last-modified"])
                since = {"If-Modified-Since": theirs.headers["last-modified"]}
                self.assertEqual(self.first.request(path, method=method, headers=since).status, 304)


class BrowserTests(LanTestCase):
    """A page of the Internet in a browser on the LAN."""

    def test_it_reads_and_fetches_nothing(self) -> None:
        self.sync(self.first)
        self.first.node()
        package = max(self.all_packages, key=lambda one: one.size)
        literal = {"Host": f"{self.first.address}:{LAN_PORT}"}
        for headers in (
            {"Host": f"evil.example:{LAN_PORT}"},
            {**literal, "Origin": "http://evil.example"},
            {**literal, "Referer": "https://evil.example/"},
            {**literal, "User-Agent": BROWSER},
        ):
            for path in ("/inventory", f"/relay/extra/x86_64/{package.file_name}", "/knock"):
                answer = self.second.request(
                    path, address=self.first.address, port=LAN_PORT, headers=headers
                )
                self.assertEqual((answer.status, answer.body), (403, b""))
        self.assertEqual(self.mirror.records(), [])
        answer = self.second.request(
            "/",
            address=self.first.address,
            port=LAN_PORT,
            headers={**literal, "User-Agent": BROWSER},
        )
        self.assertEqual(answer.status, 200)
        self.assertIn(b"flocon", answer.body)


def _sent(host: Host) -> int:
    """Return the bytes that a host's link has sent."""
    _, text = host.run(["cat", "/sys/class/net/eth0/statistics/tx_bytes"])
    return int(text)

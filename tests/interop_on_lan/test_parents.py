"""A caching proxy of the LAN as a parent: a real node and a real pacman, and doubles of proxies.

The doubles answer as the proxies were seen to (``tests.parents.doubles``), on another machine.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flocon.parents.records import LEADS_BACK
from tests.lan.case import LanTestCase
from tests.lan.lan import MIRROR_ADDRESS, Host, Node, wait_until

PORTS = {"pacoloco": 9129, "flexo": 7878, "cpcache": 7070, "pkgstash": 8090}


class ParentsTestCase(LanTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(setattr, self.lan, "mirrors", self.lan.mirrors)

    def proxy(self, kind: str, fault: str = "", lacks: Iterable[str] = ()) -> str:
        """Start a proxy of this kind on the third host; return what its Server line has."""
        port = PORTS[kind]
        place = f"{self.third.address}:{port}"
        command = [sys.executable, "-m", "tests.parents.doubles", kind, place]
        command += [f"http://{MIRROR_ADDRESS}", str(self.third.folder / kind)]
        command += ["--log", str(self.log(kind)), "--fault", fault]
        command += [word for name in lacks for word in ("--lacks", name)]
        self.third.start(command, log=self.third.folder / "doubles.log")

        def answers() -> bool:
            try:
                self.third.connect(self.third.address, port).close()
            except OSError:
                return False
            return True

        wait_until(answers, 10, f"the double of {kind} listens")
        return f"{place}/repo/archlinux" if kind == "pacoloco" else place

    def log(self, kind: str) -> Path:
        return self.third.folder / f"{kind}.log"

    def asked(self, kind: str) -> list[list[str]]:
        """Return what a proxy was asked: method, path, range, status, bytes."""
        log = self.log(kind)
        return [line.split() for line in log.read_text().splitlines()] if log.exists() else []

    def node(self, *urls: str, **settings: Any) -> Node:
        """Start a node on the first host with these parents in its settings."""
        parents = [f"http://{url}/$repo/os/$arch" for url in urls]
        return self.first.node(settings={"parents": parents, **settings})

    def gave_the_first(self) -> list[str]:
        """Return the packages that the mirror gave to the first host itself."""
        return [one.file_name for one in self.mirror.packages() if one.client == self.first.address]

    def packages_asked(self, kind: str) -> list[list[str]]:
        return [one for one in self.asked(kind) if one[1].endswith(".zst")]


class EachKind(ParentsTestCase):
    """What each of them has, asked by its own rules."""

    def test_each_gives_what_it_has_and_the_mirror_what_none_has(self) -> None:
        self.sync(self.first)
        packages = self.few_packages
        has = {kind: packages[2 * at : 2 * at + 2] for at, kind in enumerate(PORTS)}
        nowhere = packages[8:]
        places = []
        for kind, there in has.items():
            lacks = {one.file_name for one in packages} - {one.file_name for one in there}
            places.append(self.proxy(kind, lacks=lacks))
        node = self.node(*places)
        self.assert_clean(self.download(self.first, packages))
        self.assert_cached(self.first, packages)
        traffic = node.status()["traffic"]
        there = [package for some in has.values() for package in some]
        self.assertGreaterEqual(traffic["from_peers_bytes"], sum(one.size for one in there))
        expected = {package.file_name for package in nowhere}
        self.assertEqual({one for one in self.gave_the_first() if ".sig" not in one}, expected)
        told = {one["kind"]: one for one in node.status()["parents"]}
        self.assertEqual(told.keys(), PORTS.keys())
        for kind, one in told.items():
            self.assertEqual((one["state"], one["why"], one["wrong"]), ("good", "", 0), kind)
            self.assertGreater(one["missing"], 0)
            for method, path, wanted, *_ in self.asked(kind):
                self.assertEqual(method, "GET")
                self.assertNotIn("%", path)
                self.assertTrue(wanted.endswith("-"), wanted)


class OneParent(ParentsTestCase):
    """pacoloco before the mirror, as most who change over have it."""

    def test_a_server_line_of_pacmans_is_a_parent_by_itself(self) -> None:
        self.lan.mirrors = [self.proxy("pacoloco"), MIRROR_ADDRESS]
        node = self.first.node()
        packages = self.few_packages
        self.assert_clean(self.first.pacman("-Sy"))
        self.assert_clean(self.first.pacman("-Sy"))
        self.assert_clean(self.download(self.first, packages))
        self.assert_cached(self.first, packages)
        self.assertEqual(self.gave_the_first(), [])
        traffic = node.status()["traffic"]
        self.assertEqual(traffic["from_mirrors_bytes"], 0)
        (told,) = node.status()["parents"]
        self.assertEqual((told["from"], told["state"]), ("pacman.conf", "good"))
        today = node.status()["savings"]["days"][-1]
        size = sum(package.size for package in packages)
        # The databases are among it.
        self.assertGreaterEqual(today["lan_bytes"], size)
        self.assertEqual(today["wan_bytes"], 0)
        statuses = [one[3] for one in self.asked("pacoloco") if one[1].endswith(".db")]
        self.assertEqual(statuses[:3].count("200"), 3)
        self.assertGreaterEqual(statuses.count("304"), 3)

    def test_databases_come_by_each_as_it_gives_them(self) -> None:
        places = {kind: self.proxy(kind) for kind in ("flexo", "pkgstash", "cpcache")}
        self.first.pacman_conf()
        node = self.first.node()
        for kind, place in places.items():
            self.lan.mirrors = [place, MIRROR_ADDRESS]
            self.first.pacman_conf()

            def is_parent(kind: str = kind) -> bool:
                return [one["kind"] for one in node.status()["parents"]] == [kind]

            wait_until(is_parent, 10, f"the node knows that {kind} is its parent")
            before = node.status()["traffic"]["from_mirrors_bytes"]
            for _ in range(2):
                self.assert_clean(self.first.pacman("-Syy"))
            crossed = node.status()["traffic"]["from_mirrors_bytes"] - before
            # cpcache sends on to a mirror for them, which is the WAN.
            self.assertEqual(crossed > 0, kind == "cpcache", kind)
            asked = [one for one in self.asked(kind) if one[1].endswith(".db")]
            self.assertGreaterEqual(len(asked), 6, kind)

    def test_one_that_is_dead_or_silent_costs_next_to_nothing(self) -> None:
        self.sync(self.first)
        silent = self.proxy("flexo", "silent")
        self.node(f"{self.third.address}:9129", "10.77.0.77:9129", silent)
        packages = self.few_packages
        run = self.download(self.first, packages)
        self.assert_clean(run)
        self.assert_cached(self.first, packages)
        self.assertLess(run.seconds, 8.0)

    def test_one_that_is_slow_is_bettered_by_the_mirror(self) -> None:
        self.sync(self.first)
        node = self.node(self.proxy("pacoloco", "slow"))
        large = max(self.lab.core.packages.values(), key=lambda one: one.size)
        run = self.download(self.first, [large])
        self.assert_clean(run)
        self.assert_cached(self.first, [large])
        self.assertGreater(large.size, 100_000 * 20)
        self.assertLess(run.seconds, 6.0)
        self.assertGreater(node.status()["traffic"]["from_peers_bytes"], 0)

    def test_what_is_wrong_never_reaches_pacman_nor_counts_a_mirror_as_the_lan(self) -> None:
        self.sync(self.first)
        node = self.node(self.proxy("pkgstash", "wrong"), self.proxy("cpcache", "away"))
        packages = self.few_packages
        self.assert_clean(self.download(self.first, packages))
        self.assert_cached(self.first, packages)
        wrong, away = node.status()["parents"]
        self.assertGreater(wrong["wrong"], 0)
        self.assertEqual(wrong["state"], "failing")
        self.assertEqual((away["bytes"], away["files"]), (0, 0))
        self.assertGreater(away["sent_elsewhere"], 0)
        size = sum(package.size for package in packages)
        self.assertGreaterEqual(node.status()["traffic"]["from_mirrors_bytes"], size)

    def test_one_that_is_this_node_itself_is_said_to_be(self) -> None:
        self.sync(self.first)
        itself = f"{self.first.address}:19434"
        node = self.node(itself, mirror={"serve": True})
        packages = self.few_packages
        run = self.download(self.first, packages)
        self.assert_clean(run)
        self.assert_cached(self.first, packages)
        self.assertLess(run.seconds, 6.0)
        (told,) = node.status()["parents"]
        self.assertEqual((told["state"], told["why"]), ("failing", LEADS_BACK))

    def test_each_way_that_leads_to_this_node_is_said_to_be_one_and_costs_little(self) -> None:
        self.sync(self.first)
        own, name = self.first.address, "this-very-node"
        self.name(self.first, f"{own} {name}")
        hosts = (own, name, "127.0.0.1", "localhost", "[::1]")
        places = [f"{host}:{port}" for host in hosts for port in (19432, 19433, 19434)]
        node = self.node(*places, mirror={"serve": True})
        packages = self.few_packages
        run = self.download(self.first, packages)
        self.assert_clean(run)
        self.assert_cached(self.first, packages)
        self.assertLess(run.seconds, 6.0)
        told = {one["name"]: one["why"] for one in node.status()["parents"]}
        # pacman's own face is on no LAN address.
        closed = {f"{host}:19433": "refused the connection" for host in (own, name)}
        self.assertEqual(told, dict.fromkeys(places, LEADS_BACK) | closed)

    def test_two_nodes_that_are_each_others_parents(self) -> None:
        packages = self.few_packages
        self.sync(self.first, self.second)
        mirror = {"mirror": {"serve": True}}
        nodes = []
        for host, other in ((self.first, self.second), (self.second, self.first)):
            parents = [f"http://{other.address}:{port}/$repo/os/$arch" for port in (19432, 19434)]
            nodes.append(host.node(settings={"parents": parents, **mirror}))
        self.meet(*nodes)
        run = self.download(self.first, packages)
        self.assert_clean(run)
        self.assert_cached(self.first, packages)
        self.assertLess(run.seconds, 6.0)
        told = [one["why"] for one in nodes[0].status()["parents"]]
        # By the one port it is none, and by the other one it has fetched what it was asked for.
        self.assertEqual(told, [LEADS_BACK, ""])
        sent = Counter(one.file_name for one in self.mirror.packages())
        self.assertEqual(set(sent.values()), {1})

    def name(self, host: Host, line: str) -> None:
        """Have a host know a name."""
        overlay = Path("/etc/netns") / host.namespace
        overlay.mkdir(parents=True)
        self.addCleanup(shutil.rmtree, overlay)
        (overlay / "hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n{line}\n")

    def test_two_nodes_with_a_parent_each_that_asks_the_other_do_not_wait_for_each_other(
        self,
    ) -> None:
        packages = self.few_packages
        self.sync(self.first, self.second)
        mirror = {"mirror": {"serve": True}}
        for kind, upstream in (("pkgstash", self.second), ("cpcache", self.first)):
            place = f"{self.third.address}:{PORTS[kind]}"
            command = [sys.executable, "-m", "tests.parents.doubles", kind, place]
            command += [f"http://{upstream.address}:19434", str(self.third.folder / kind)]
            self.third.start([*command, "--log", str(self.log(kind))])
        node = self.node(f"{self.third.address}:{PORTS['pkgstash']}", **mirror)
        parents = [f"http://{self.third.address}:{PORTS['cpcache']}/$repo/os/$arch"]
        other = self.second.node(settings={"parents": parents, **mirror})
        self.meet(node, other)
        run = self.download(self.first, packages)
        self.assert_clean(run)
        self.assert_cached(self.first, packages)
        self.assertLess(run.seconds, 12.0)
        self.assertLessEqual(len(self.packages_asked("pkgstash")), 2 * len(packages))


class AdoptedFolder(ParentsTestCase):
    """The machine with the proxy runs a node too, which offers what lies in the proxy's cache."""

    def test_all_nodes_have_what_the_proxy_kept_without_a_signature(self) -> None:
        # Nor does the database have any: the node fetches those, which are some bytes each.
        self.lan.repositories = ["plain"]
        packages = list(self.lab.plain.packages.values())
        self.sync(self.first, self.third)
        root = self.third.folder / "flexo"
        folder = root / "plain" / "os" / "x86_64"
        folder.mkdir(parents=True)
        for package in packages:
            name = package.file_name.replace("+", "%2B")
            (folder / name).write_bytes(package.path.read_bytes())
            (folder / f".{name}.cfs").write_text(f"{package.size}\n")
        partial = packages[0]
        whole = partial.path.read_bytes()
        (folder / partial.file_name).write_bytes(whole[: partial.size // 2])
        before = sorted(path.name for path in folder.iterdir())
        keeper = self.third.node(settings={"store": {"adopt": [str(root)]}})
        node = self.first.node()
        self.wait_for_files(keeper, len(packages) - 1)
        (told,) = keeper.status()["adopted"]
        self.assertEqual((told["folders"], told["problem"]), (1, ""))
        with (folder / partial.file_name).open("ab") as file:
            file.write(whole[partial.size // 2 :])
        self.wait_for_files(keeper, len(packages))
        self.assertEqual(sorted(path.name for path in folder.iterdir()), before)
        self.held[self.third.name] = {package.file_name for package in packages}
        self.meet(node, keeper)
        self.mirror.reset()
        self.assert_clean(self.download(self.first, packages))
        self.assert_cached(self.first, packages)
        self.assert_signatures_cached(self.first, packages)
        self.assert_mirror_gave_no_packages()

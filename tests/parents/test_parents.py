"""Which servers are parents: by the settings, or by a line of pacman.conf, and only on the LAN."""

from __future__ import annotations

from ipaddress import IPv4Interface
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.addresses import tool_of
from flocon.machine.links import Link
from flocon.parents.parents import (
    MOST_HOSTS,
    NO_NAME,
    NOT_NEAR,
    RESOLVED_FOR,
    UNRESOLVED_FOR,
    Parents,
)
from flocon.settings.settings import Parent

LINKS = (Link("eth0", 2, (IPv4Interface("192.168.1.5/24"),)),)
NAS = "http://nas:9129/repo/archlinux/core/os/x86_64"
MIRROR = "http://mirror.example.org/core/os/x86_64"


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.names: dict[str, list[str]] = {"nas": ["192.168.1.9"]}
        self.looked_up: list[str] = []
        self.servers: list[str] = []
        self.parents = Parents(
            self.clock, look_up=self.look_up, servers=lambda: tuple(self.servers)
        )

    def look_up(self, name: str) -> Deferred[list[str]]:
        self.looked_up.append(name)
        return succeed(list(self.names.get(name, ())))

    def name(self, *named: Parent) -> None:
        self.parents.set_named(named)


class ByItsAddress(Case):
    """A line of pacman.conf that is one by itself."""

    def test_each_tool_is_known_by_its_port_or_its_path(self) -> None:
        for url, tool in {
            "http://nas:9129/repo/arch/core/os/x86_64": "pacoloco",
            "http://nas/repo/archlinux/core/os/x86_64": "pacoloco",
            "http://nas:7878/core/os/x86_64": "flexo",
            "http://nas:80/custom_repo/mine/x86_64": "flexo",
            "http://nas:7070/core/os/x86_64": "cpcache",
            "http://nas:8090/core/os/x86_64": "pkgstash",
            "https://nas:9129/repo/arch/core/os/x86_64": "pacoloco",
            "http://nas/core/os/x86_64": "",
            "http://nas/repo/": "",
            "http://mirror.example.org/archlinux/core/os/x86_64": "",
            "file:///srv/repo": "",
            "http://": "",
            "http://nas:99999/": "",
        }.items():
            self.assertEqual(tool_of(url), tool, url)

    def test_one_on_the_lan_is_a_parent(self) -> None:
        self.assertEqual(self.parents.kind(NAS), "pacoloco")
        self.assertEqual(self.parents.kind("http://192.168.1.5:7878/core/os/x86_64"), "flexo")

    def test_a_public_mirror_never_is_whatever_its_port_or_path(self) -> None:
        self.names["cache.example.org"] = ["1.1.1.1"]
        self.names["both.example.org"] = ["192.168.1.9", "1.1.1.1"]
        for host in ("cache.example.org", "both.example.org", "1.1.1.1", "unknown.example.org"):
            self.assertEqual(self.parents.kind(f"http://{host}:9129/repo/arch/core"), "", host)

    def test_one_that_moves_to_the_internet_is_none_any_more(self) -> None:
        self.assertEqual(self.parents.kind(NAS), "pacoloco")
        self.names["nas"] = ["1.1.1.1"]
        self.clock.advance(RESOLVED_FOR)
        self.parents.kind(NAS)
        self.assertEqual(self.parents.kind(NAS), "")

    def test_a_name_server_that_is_away_changes_nothing(self) -> None:
        self.assertEqual(self.parents.kind(NAS), "pacoloco")
        del self.names["nas"]
        self.clock.advance(RESOLVED_FOR)
        self.parents.kind(NAS)
        self.assertEqual(self.parents.kind(NAS), "pacoloco")

    def test_names_are_looked_up_now_and_then_and_addresses_never(self) -> None:
        for _ in range(5):
            self.parents.kind(NAS)
            self.parents.kind("http://[fd00::5]:9129/repo/arch/core")
        self.assertEqual(self.looked_up, ["nas"])
        self.parents.kind("http://away:9129/repo/arch/core")
        self.clock.advance(UNRESOLVED_FOR)
        self.parents.kind("http://away:9129/repo/arch/core")
        self.assertEqual(self.looked_up, ["nas", "away", "away"])

    def test_on_other_links_they_are_looked_up_at_once(self) -> None:
        """At boot the network comes after the node, whose first packages are to find the parent."""
        self.names.clear()
        self.servers = [NAS]
        self.parents.look_anew()
        self.assertEqual(self.parents.kind(NAS), "")
        self.names["nas"] = ["192.168.1.9"]
        self.parents.set_near(links=LINKS, networks=())
        self.parents.set_named(())
        self.assertEqual(self.parents.kind(NAS), "pacoloco")
        del self.looked_up[:]
        self.parents.set_near(links=LINKS, networks=())
        self.parents.set_named(())
        self.assertEqual(self.looked_up, [])

    def test_so_many_hosts_are_remembered_and_no_more(self) -> None:
        for number in range(2 * MOST_HOSTS):
            self.parents.kind(f"http://nas{number}:9129/repo/arch/core")
        self.assertEqual(len(self.parents._hosts), MOST_HOSTS)


class Named(Case):
    """Those of flocon.toml."""

    URL = "http://nas:8000/$repo/os/$arch"

    def test_their_addresses_are_filled_in(self) -> None:
        self.name(Parent(self.URL, "flexo"))
        self.assertEqual(
            self.parents.for_packages("core", "x86_64"), ("http://nas:8000/core/os/x86_64",)
        )
        self.assertEqual(self.parents.kind("http://nas:8000/core/os/x86_64"), "flexo")

    def test_auto_is_what_the_address_tells_or_any_proxy(self) -> None:
        self.name(Parent(self.URL), Parent("http://192.168.1.2:7070/$repo/os/$arch"))
        self.assertEqual(self.parents.kind("http://nas:8000/core/os/x86_64"), "proxy")
        self.assertEqual(self.parents.kind("http://192.168.1.2:7070/core/os/x86_64"), "cpcache")

    def test_one_that_is_not_on_the_lan_is_not_asked(self) -> None:
        self.names["nas"] = ["1.1.1.1"]
        self.name(Parent(self.URL))
        self.assertEqual(self.parents.for_packages("core", "x86_64"), ())

    def test_a_line_of_pacman_conf_at_the_same_place_is_the_same_one(self) -> None:
        self.servers = ["http://nas:8000/core/os/x86_64"]
        self.name(Parent(self.URL, "pkgstash"))
        self.assertEqual(self.parents.kind(self.servers[0]), "pkgstash")
        self.assertFalse(self.parents.is_only_named(self.servers[0]))
        self.assertEqual(len(self.parents.describe()), 1)

    def test_it_is_told_who_asks_from_its_address(self) -> None:
        self.name(Parent(self.URL))
        self.assertTrue(self.parents.is_at("nas:8000", "192.168.1.9"))
        self.assertTrue(self.parents.is_at("", "::ffff:192.168.1.9"))
        self.assertFalse(self.parents.is_at("", "192.168.1.8"))

    def test_on_this_machine_it_cannot_be_told_from_others(self) -> None:
        self.name(Parent("http://127.0.0.1:9129/repo/arch/$repo/os/$arch"))
        self.assertFalse(self.parents.is_at("", "127.0.0.1"))


class Told(Case):
    """What a person sees."""

    def described(self) -> dict[str, Any]:
        (told,) = self.parents.describe()
        return told

    def test_how_each_did(self) -> None:
        self.name(Parent("http://user:secret@nas:9129/repo/arch/$repo/os/$arch"))
        self.assertEqual(self.described()["state"], "unknown")
        self.parents.records.gave("nas:9129", 7)
        told = self.described()
        self.assertNotIn("secret", str(told))
        self.assertEqual((told["name"], told["kind"]), ("nas:9129", "pacoloco"))
        self.assertEqual((told["from"], told["state"]), ("setting", "good"))
        self.assertEqual((told["bytes"], told["files"]), (7, 1))
        self.assertEqual(list(self.parents.tell()), [])

    def test_the_doctor_says_what_is_wrong_and_what_to_do(self) -> None:
        for names, why in (({}, NO_NAME), ({"nas": ["1.1.1.1"]}, NOT_NEAR)):
            self.setUp()
            self.names = names
            self.name(Parent("http://nas:9129/repo/arch/$repo/os/$arch"))
            self.assertEqual(self.described()["why"], why)
            (told,) = self.parents.tell()
            self.assertIn(why, told["reason"])
            self.assertIn("/etc/flocon.toml", told["remedy"])

    def test_one_that_failed_and_one_that_lied(self) -> None:
        self.name(Parent("http://nas:9129/repo/arch/$repo/os/$arch"))
        self.parents.records.failed("nas:9129", "refused the connection")
        self.assertEqual(self.described()["why"], "refused the connection")
        self.parents.records.was_wrong("nas:9129", "a-1-1-any.pkg.tar.zst", 0.0)
        self.assertTrue(self.parents.is_left_alone(NAS))
        (told,) = self.parents.tell()
        self.assertIn("wrong bytes for a-1-1-any.pkg.tar.zst", told["reason"])

    def test_a_mirror_with_a_parents_port_is_not_among_them(self) -> None:
        self.servers = ["http://1.1.1.1:9129/repo/arch/core", MIRROR]
        self.name()
        self.assertEqual(self.parents.describe(), [])

"""Who may ask, by name, by page and by network."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.answering.visitors import (
    Admission,
    forwarded_for,
    host_name,
    is_browser,
    is_foreign_page,
    lan_names,
    loopback_names,
    mirror_names,
)
from flocon.machine.links import Link

ETHERNET = Link(
    "eth0",
    2,
    (
        ip_interface("192.168.1.5/24"),
        ip_interface("fe80::5/64"),
        ip_interface("2001:db8:1:2::5/64"),
    ),
)
#: Of which hosts are made, and what looks like one.
PIECES = (
    *("localhost", "127.0.0.1", "[::1]", "::1", "evil.example", "[", "]", ":", "1", "19433"),
    *(",", "@", "/", "\\", "?", "#", "%", " ", "\t", "\0", ".", "-"),
)


class OwnNames(SynchronousTestCase):
    def test_the_loopback_face_is_asked_for_by_the_loopbacks_names_alone(self) -> None:
        names = loopback_names()
        for host in ("localhost", "LOCALHOST:19433", "127.0.0.1:19433", "[::1]:19433", " [::1]: "):
            self.assertTrue(names.know(host), host)
        for host in ("192.168.1.5", "[fe80::1]", "desk", "desk.local", "localhost.", ""):
            self.assertFalse(names.know(host), host)

    def test_what_is_no_host_and_port_names_nobody(self) -> None:
        names = lan_names("desk", ["::1"])
        for host in (
            *("localhost:19433, evil.example", "localhost:1@evil.example", "localhost:x"),
            *("localhost:1:2", "localhost:-1", "localhost:123456", "localhost/", "localhost?:1"),
            *("localhost#:1", "http://localhost:1", "user@localhost", "localhost\\:1"),
            *("local host", "::1", "::1:1", "[::1", "::1]", "[::1]1", "[[::1]]", "[localhost]"),
            *("[127.0.0.1]:1", "[::1]@evil.example", "[::1]:1@evil.example", "[::1%a/b]", "[v1.x]"),
            *("localhost\x00", "localhost\n", "\x0blocalhost", "loc%61lhost", "\u212aiosk", ":1"),
            *("localhost:\u0661", "l\u043ecalhost", "127.1", "0x7f.0.0.1", "2130706433."),
        ):
            self.assertFalse(names.know(host), host)

    @given(
        st.lists(st.sampled_from(PIECES), max_size=2),
        st.sampled_from(PIECES[:3]),
        st.lists(st.sampled_from(PIECES), max_size=3),
    )
    def test_a_name_that_is_known_is_all_there_is_beside_a_port(
        self, before: list[str], name: str, behind: list[str]
    ) -> None:
        host = "".join([*before, name, *behind])
        if loopback_names().know(host):
            self.assertRegex(
                host, r"\A[ \t]*(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{0,5})?[ \t]*\Z"
            )

    def test_addresses_and_the_lans_own_names_are_the_lan_faces(self) -> None:
        names = lan_names("Desk")
        for host in (
            *("192.168.1.5", "192.168.1.5:19432", "[fe80::5%25eth0]:19432", "[::1]", "localhost"),
            *("desk", "DESK:19432", "desk.lan", "desk.home.arpa:19432", "desk-flocon.local", "nas"),
        ):
            self.assertTrue(names.know(host), host)

    def test_a_name_of_the_internet_is_not(self) -> None:
        names = lan_names("desk.example.org")
        self.assertTrue(names.know("desk.example.org:19432"))
        for host in (
            *("evil.example", "desk.evil.example:19432", "192.168.1.5.evil.example", ""),
            *("evil.example@192.168.1.5", "[::1].evil.example", "other.lan", "192.168.1.5:1:2"),
            "a.b.local",
        ):
            self.assertFalse(names.know(host), host)

    def test_the_operator_adds_names(self) -> None:
        for names in (loopback_names(["Cache.Example"]), lan_names("desk", ["Cache.Example"])):
            self.assertTrue(names.know("cache.example:19433"))

    def test_containers_have_a_name_for_the_machine_they_run_on(self) -> None:
        names = mirror_names("nas", ["nas.example.org"])
        for host in (
            *("host.docker.internal:19434", "host.containers.internal", "nas", "nas.lan:19434"),
            *("nas.example.org", "192.168.1.5:19434"),
        ):
            self.assertTrue(names.know(host), host)
        self.assertFalse(names.know("other.docker.internal"))
        self.assertFalse(lan_names("nas").know("host.docker.internal"))

    @given(st.text(max_size=40))
    def test_any_text_is_taken_for_a_name_or_for_none(self, host: str) -> None:
        self.assertIsInstance(lan_names("desk").know(host), bool)
        self.assertIsInstance(host_name(host), str)


class ForeignPages(SynchronousTestCase):
    HOST = ("localhost:19433",)

    def test_pacman_and_the_nodes_own_page_are_none(self) -> None:
        own = "http://localhost:19433"
        self.assertFalse(is_foreign_page((), (), (), self.HOST))
        self.assertFalse(is_foreign_page(("none",), (), (), self.HOST))
        self.assertFalse(is_foreign_page(("same-origin",), (own,), (own + "/?part=x",), self.HOST))

    def test_whatever_tells_of_another_site_makes_one(self) -> None:
        for sites, origins, referers in (
            (("cross-site",), (), ()),
            (("same-site",), (), ()),
            (("none", "cross-site"), (), ()),
            ((), ("null",), ()),
            ((), ("http://localhost:3000",), ()),
            ((), ("http://[",), ()),
            ((), (), ("https://evil.example/a?http://localhost:19433/",)),
            ((), (), ("http://localhost:19433@evil.example/",)),
        ):
            self.assertTrue(is_foreign_page(sites, origins, referers, self.HOST))

    def test_without_one_host_no_page_is_its_own(self) -> None:
        origin = ("http://localhost:19433",)
        self.assertTrue(is_foreign_page((), origin, (), ()))
        self.assertTrue(is_foreign_page((), origin, (), self.HOST * 2))

    def test_browsers_are_told_by_their_name(self) -> None:
        self.assertTrue(is_browser(["Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0"]))
        self.assertFalse(is_browser(["pacman/6.0.2 (Linux x86_64) libalpm/13.0.2"]))
        self.assertFalse(is_browser([]))


class Proxies(SynchronousTestCase):
    """For whom a proxy asks is taken from one on this machine alone."""

    def test_the_last_one_told_is_who_asks(self) -> None:
        for told in (["10.0.0.1"], ["1.1.1.1, 10.0.0.1"], ["1.1.1.1", "2.2.2.2,10.0.0.1 "]):
            self.assertEqual(forwarded_for("127.0.0.1", told), "10.0.0.1")
            self.assertEqual(forwarded_for("::1", told), "10.0.0.1")

    def test_nobody_else_is_believed(self) -> None:
        for address in ("10.0.0.9", "fe80::1%eth0", "", "localhost"):
            self.assertEqual(forwarded_for(address, ["10.0.0.1"]), address)

    def test_what_is_no_address_tells_nothing(self) -> None:
        for told in ([], [""], ["unknown"], ["10.0.0.1, "], ["10.0.0.1:80"], ["x" * 9_000]):
            self.assertEqual(forwarded_for("127.0.0.1", told), "127.0.0.1")


class Networks(SynchronousTestCase):
    def setUp(self) -> None:
        self.admission = Admission()
        self.admission.links = (ETHERNET,)

    def test_this_machine_and_the_links_neighbours_are_admitted(self) -> None:
        for host in (
            *("127.0.0.1", "127.9.9.9", "::1", "192.168.1.5", "192.168.1.77", "fe80::7%eth0"),
            *("fe80::7%2", "2001:db8:1:2:3:4:5:6", ""),
        ):
            self.assertTrue(self.admission.admits(host), host)

    def test_who_is_admitted_from_a_named_network_is_not_near_for_that(self) -> None:
        admission = Admission((ip_network("10.1.0.0/16"),))
        admission.links = (ETHERNET,)
        for host, near in (
            *(("127.0.0.1", True), ("192.168.1.77", True), ("fe80::7%eth0", True), ("", True)),
            *(("10.1.0.5", False), ("192.168.2.5", False), ("no address", False)),
        ):
            self.assertEqual(admission.is_near(host), near, host)
        self.assertTrue(admission.admits("10.1.0.5"))

    def test_other_networks_are_not(self) -> None:
        for host in (
            *("192.168.2.5", "10.0.0.1", "8.8.8.8", "2001:db8:1:3::5", "fe80::7%wlan0", "fe80::7"),
            *("no address", "192.168.1.5.6", "::ffff:8.8.8.8"),
        ):
            self.assertFalse(self.admission.admits(host), host)

    def test_before_any_link_is_known_only_this_machine_is(self) -> None:
        self.admission.links = ()
        self.assertTrue(self.admission.admits("127.0.0.1"))
        self.assertFalse(self.admission.admits("192.168.1.77"))

    def test_the_operator_names_further_ones(self) -> None:
        self.admission.networks = (ip_network("10.8.0.0/16"), ip_network("fd00::/8"))
        for host, admitted in {
            "10.8.3.4": True,
            "10.9.0.1": False,
            "fd12::1": True,
            "2001:db8::1": False,
        }.items():
            self.assertIs(self.admission.admits(host), admitted, host)

    def test_nodes_of_other_networks_that_are_known_may_ask_and_are_not_near(self) -> None:
        self.admission.also = {"10.9.0.1"}.__contains__
        self.assertTrue(self.admission.admits("10.9.0.1"))
        self.assertFalse(self.admission.admits("10.9.0.2"))
        self.assertFalse(self.admission.is_near("10.9.0.1"))

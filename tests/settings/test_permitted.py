"""What the value of a setting may be, and that each refusal names its place."""

from __future__ import annotations

from flocon.errors import ConfigurationError
from flocon.secrecy import without_passwords
from tests.settings.options_case import OptionsTestCase


class Refusing(OptionsTestCase):
    def test_a_password_in_what_is_refused_is_not_told(self) -> None:
        for text in (
            'mirrors = ["u:secret@h/x"]',
            'mirrors = ["http://u:sec/ret@h/x"]',
            'proxy = "socks5://u:secret@h:1"',
        ):
            with self.assertRaises(ConfigurationError) as caught:
                self.load(text)
            self.assertNotIn("sec", caught.exception.problem + caught.exception.remedy)

    def test_wrong_kinds_are_named(self) -> None:
        for text, key in {
            "name = 5": "name",
            'name = ""': "name",
            'name = "a\\nb"': "name",
            f'name = "{"x" * 65}"': "name",
            'debug = "yes"': "debug",
            "debug = 1": "debug",
            'store = "/x"': "store",
            "[name]\nx = 1": "name",
            'pacman_conf = "etc/pacman.conf"': "pacman_conf",
            'loopback = "tcp:1"': "loopback",
            "loopback = [1]": "loopback",
            'lan = "19432"': "lan",
            'lan = "tcp:"': "lan",
            'lan = ":1"': "lan",
            'lan = "nosuch:1"': "lan",
            'lan = "tcp:65536"': "lan",
            'lan = "tcp:port=ssh"': "lan",
            'lan = "tcp:1:interfaces=eth0"': "lan",
            "loopback = []": "loopback",
            'control = "run/control"': "control",
            'control = ""': "control",
            'mirrors = ["mirror.example"]': "mirrors",
            'mirrors = ["ftp://mirror.example/"]': "mirrors",
            'mirrors = ["https:///x"]': "mirrors",
            'mirrors = ["http://[::1"]': "mirrors",
            'mirrors = ["http://host:port/"]': "mirrors",
            'mirrors = ["http://host:70000/"]': "mirrors",
            'mirrors = ["http://host/a b"]': "mirrors",
            'proxy = "socks5://host:1"': "proxy",
            "proxy = 3128": "proxy",
            "proxy = []": "proxy",
            "proxy = {a = 1}": "proxy",
            'mirrors = ["http://h\N{LATIN SMALL LETTER O WITH DIAERESIS}st/"]': "mirrors",
            'databases = "peers"': "databases",
            'databases = "node:"': "databases",
            'databases = "node"': "databases",
            f'databases = "node:{"x" * 65}"': "databases",
            'prefetch = "peers"': "prefetch",
            "prefetch = 1": "prefetch",
            "databases = [1]": "databases",
            "relay = 1": "relay",
            "[peers]\nrelays = -1": "peers.relays",
            '[peers]\nnetworks = ["10.8.0.0/33"]': "peers.networks",
            '[peers]\nnetworks = "10.8.0.0/16"': "peers.networks",
            'loopback_clients = ["eth0"]': "loopback_clients",
            '[peers]\nprivate = ["[ours]"]': "peers.private",
            'names = ["cache:80"]': "names",
            '[peers]\nbandwidth = "fast"': "peers.bandwidth",
            '[presence]\ngroup6 = "ff05::1"': "presence.group6",
            '[store]\npath = "relative"': "store.path",
            '[store]\nmax_size = "10X"': "store.max_size",
            "[store]\nmax_size = -1": "store.max_size",
            "[store]\nmax_size = 1.5": "store.max_size",
            "[store]\nmax_size = true": "store.max_size",
            '[presence]\ngroup = "10.0.0.1"': "presence.group",
            '[presence]\ngroup = "ff02::1"': "presence.group",
            "[presence]\ngroup = 5": "presence.group",
            '[presence]\ngroup6 = "228.0.2.35"': "presence.group6",
            '[presence]\ngroup6 = "fe80::1"': "presence.group6",
            '[presence]\ngroup6 = "ff02::1%eth0"': "presence.group6",
            "[presence]\nport = 0": "presence.port",
            "[presence]\nport = 65536": "presence.port",
            "[presence]\nport = 1.5": "presence.port",
            "[presence]\nport = true": "presence.port",
            "[presence]\nbeat = 0": "presence.beat",
            "[presence]\nbeat = nan": "presence.beat",
            "[presence]\nbeat = inf": "presence.beat",
            "[presence]\ninterfaces = [5]": "presence.interfaces",
        }.items():
            self.assertRefused(text, key)

    def test_no_remedy_looks_as_if_it_had_a_password_in_it(self) -> None:
        with self.assertRaises(ConfigurationError) as caught:
            self.load('proxy = "ftp://x"')
        self.assertEqual(without_passwords(str(caught.exception)), str(caught.exception))

    def test_an_empty_text_is_called_empty(self) -> None:
        self.assertRefused('name = ""', "name", "is empty")


class Sizes(OptionsTestCase):
    def test_units(self) -> None:
        for text, size in {
            "0": 0,
            "4096": 4096,
            '"4096"': 4096,
            '"5K"': 5 << 10,
            '"5 MiB"': 5 << 20,
            '"5GB"': 5 << 30,
            '"1T"': 1 << 40,
        }.items():
            found = self.load(f"[store]\nmax_size = {text}")
            self.assertEqual(found.store.max_size, size, text)

"""Command line over flocon.toml over defaults, and that each refusal names its place."""

from __future__ import annotations

import io
import os
import socket
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon import __version__
from flocon import options as module
from flocon.core.secrecy import without_passwords
from flocon.errors import ConfigurationError
from flocon.options import Options, Settings, default_store, keys, load

EVERYTHING = """
name = "nas"
pacman_conf = "/etc/other.conf"
lan = "tcp:1234"
loopback = ["unix:/run/flocon/pacman"]
loopback_clients = ["172.17.0.0/16", "fd00::1"]
names = ["cache.example.org"]
mirrors = ["https://mirror.example/$repo/os/$arch"]
proxy = "http://proxy.example:3128"
debug = true
relay = false
prefetch = true
databases = "lan"
transfer = "redirect"
control = "/run/flocon/control"
[peers]
relays = 3
bandwidth = "5M"
networks = ["10.8.0.0/16"]
relayed_per_day = "2G"
private = ["ours"]
[store]
path = "/srv/flocon"
max_size = "20G"
[presence]
group = "239.1.2.3"
group6 = "ff02::1234"
port = 5000
beat = 0.5
interfaces = ["eth0", "10.0.0.1"]
"""


class OptionsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.config = Path(self.mktemp())
        self.patch(module, "DEFAULT_CONFIG", Path(self.mktemp()))

    def write(self, text: str) -> Path:
        self.config.write_text(text, encoding="utf-8")
        return self.config

    def load(self, text: str, **command_line: Any) -> Settings:
        return load({"config": self.write(text), **command_line})

    def assertRefused(self, text: str, *expected: str) -> None:
        with self.assertRaises(ConfigurationError) as caught:
            self.load(text)
        error = caught.exception
        self.assertIn(str(self.config), error.where)
        self.assertTrue(error.remedy)
        for part in expected:
            self.assertIn(part, str(error))


class Merging(OptionsTestCase):
    def test_an_arch_machine_needs_no_setting(self) -> None:
        found = load({})
        self.assertIsNone(found.config)
        self.assertEqual(found.name, socket.gethostname())
        self.assertEqual(found.pacman_conf, Path("/etc/pacman.conf"))
        self.assertEqual((found.lan, found.loopback), (Settings().lan, Settings().loopback))
        self.assertEqual(found.presence, Settings().presence)

    def test_the_default_file_is_read_where_it_exists(self) -> None:
        module.DEFAULT_CONFIG.write_text('name = "here"')
        self.assertEqual(load({}).name, "here")

    def test_a_file_named_on_the_command_line_must_exist(self) -> None:
        with self.assertRaises(ConfigurationError) as caught:
            load({"config": self.config})
        self.assertIn(str(self.config), str(caught.exception))

    def test_every_key_arrives(self) -> None:
        found = self.load(EVERYTHING)
        self.assertEqual(
            found,
            Settings(
                config=self.config,
                name="nas",
                pacman_conf=Path("/etc/other.conf"),
                lan="tcp:1234",
                loopback=("unix:/run/flocon/pacman",),
                loopback_clients=(ip_network("172.17.0.0/16"), ip_network("fd00::1/128")),
                names=("cache.example.org",),
                mirrors=("https://mirror.example/$repo/os/$arch",),
                proxy="http://proxy.example:3128",
                debug=True,
                relay=False,
                prefetch=True,
                databases="lan",
                transfer="redirect",
                control="/run/flocon/control",
                peers=module.Peers(3, 5 << 20, (ip_network("10.8.0.0/16"),), 2 << 30, ("ours",)),
                store=module.Store(Path("/srv/flocon"), 20 << 30),
                presence=module.Presence(
                    "239.1.2.3", "ff02::1234", 5000, 0.5, ("eth0", "10.0.0.1")
                ),
            ),
        )

    def test_the_example_names_every_key(self) -> None:
        names = [key.rpartition(".")[2] for key in keys()]
        self.assertEqual([name for name in names if f"\n{name} = " not in EVERYTHING], [])

    def test_the_command_line_wins(self) -> None:
        found = self.load(
            EVERYTHING,
            pacman_conf=Path("/mine.conf"),
            store=Path("/mine"),
            lan="tcp:1",
            loopback=["tcp:2", "tcp:3"],
            interface=["wlan0"],
        )
        self.assertEqual(found.pacman_conf, Path("/mine.conf"))
        self.assertEqual(found.store, module.Store(Path("/mine"), 20 << 30))
        self.assertEqual((found.lan, found.loopback), ("tcp:1", ("tcp:2", "tcp:3")))
        self.assertEqual(found.presence.interfaces, ("wlan0",))
        self.assertEqual(found.presence.group, "239.1.2.3")

    def test_a_table_given_in_part_keeps_the_other_defaults(self) -> None:
        found = self.load("[presence]\nport = 99\n")
        self.assertEqual((found.presence.port, found.presence.beat), (99, 30.0))


class Refusing(OptionsTestCase):
    def test_unknown_keys_are_named_with_the_known_ones(self) -> None:
        self.assertRefused('nmae = "x"', "nmae", "name, names, pacman_conf")
        self.assertRefused("[store]\nsize = 5", "store.size", "store.max_size")
        self.assertRefused("[relay]\nx = 1", "relay")

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

    def test_a_node_that_pacman_could_never_ask(self) -> None:
        self.assertRefused("loopback = []", "loopback", "neither pacman nor", "leave it out")

    def test_a_folder_in_the_place_of_pacmans_configuration(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.assertRefused(f'pacman_conf = "{folder}"', "pacman_conf", "is a folder, and no file")
        with self.assertRaises(ConfigurationError) as caught:
            self.load("", pacman_conf=folder)
        self.assertEqual(caught.exception.where, "flocon: --pacman-conf")

    def test_an_endpoint_is_refused_in_words_and_not_in_a_parsers(self) -> None:
        self.assertRefused('lan = "tcp:1:interfac=eth0"', "(it takes no interfac=)")
        self.assertRefused('lan = "ssl:443:privateKey=/none"', "(/none: No such file or directory)")
        self.assertRefused('loopback = ["tcp:1", "tcp:1"]', "names 'tcp:1' twice")

    def test_no_remedy_looks_as_if_it_had_a_password_in_it(self) -> None:
        with self.assertRaises(ConfigurationError) as caught:
            self.load('proxy = "ftp://x"')
        self.assertEqual(without_passwords(str(caught.exception)), str(caught.exception))

    def test_an_empty_text_is_called_empty(self) -> None:
        self.assertRefused('name = ""', "name", "is empty")

    def test_what_systemd_hands_over_need_not_be_there_to_be_named(self) -> None:
        found = self.load('lan = "systemd:domain=INET:index=7"')
        self.assertEqual(found.lan, "systemd:domain=INET:index=7")

    def test_what_is_not_toml_is_told_by_line(self) -> None:
        self.assertRefused("name = \n", "line 1")

    def test_what_is_not_text_is_refused(self) -> None:
        self.config.write_bytes(b'name = "\xff"')
        with self.assertRaises(ConfigurationError):
            load({"config": self.config})

    def test_a_number_of_thousands_of_digits_is_refused(self) -> None:
        self.assertRefused(f"[peers]\nrelays = {'9' * 5_000}", str(self.config))

    def test_neither_a_fifo_nor_a_device_nor_a_huge_file_is_read(self) -> None:
        fifo, huge = Path(self.mktemp()), Path(self.mktemp())
        os.mkfifo(fifo)
        with huge.open("wb") as file:
            file.truncate(1 << 40)
        for path in (fifo, Path("/dev/zero"), huge):
            with self.assertRaises(ConfigurationError) as caught:
                load({"config": path})
            self.assertIn(str(path), str(caught.exception))

    def test_a_folder_is_no_file(self) -> None:
        self.config.mkdir()
        with self.assertRaises(ConfigurationError):
            load({"config": self.config})

    @settings(max_examples=100, deadline=None)
    @given(
        st.sampled_from(keys()),
        st.recursive(
            st.text() | st.integers() | st.floats() | st.booleans() | st.dates() | st.times(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    )
    def test_no_value_ends_in_anything_but_settings_or_a_clear_error(
        self, key: str, value: object
    ) -> None:
        table, _, name = key.rpartition(".")
        values = {name: value} if not table else {table: {name: value}}
        try:
            checked = module._table(values, module._KEYS, "file", "")
        except ConfigurationError as error:
            self.assertIn(key, str(error))
        else:
            self.assertIn(table or name, checked)


class Places(OptionsTestCase):
    """Where a setting that cannot be used stands."""

    def test_a_file_and_its_key(self) -> None:
        found = self.load('lan = "tcp:1"\nloopback = ["tcp:2"]\n[store]\npath = "/s"\n')
        for key in ("lan", "loopback", "store.path"):
            self.assertEqual(found.place(key, "--x"), f"{self.config}: {key}")

    def test_an_option_that_won(self) -> None:
        found = self.load('lan = "tcp:1"\n[store]\npath = "/s"\n', lan="tcp:2", store=Path("/t"))
        self.assertEqual(found.place("lan", "--lan"), "flocon: --lan")
        self.assertEqual(found.place("store.path", "--store"), "flocon: --store")

    def test_what_is_set_nowhere_is_called_by_the_option_that_can(self) -> None:
        self.assertEqual(self.load("").place("loopback", "--loopback"), "flocon: --loopback")


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


class DefaultStore(SynchronousTestCase):
    def test_systemds_cache_folder_comes_first(self) -> None:
        with mock.patch.dict(os.environ, {"CACHE_DIRECTORY": "/var/cache/a:/var/cache/b"}):
            self.assertEqual(default_store(), Path("/var/cache/a"))

    def test_a_user_has_a_store_of_his_own(self) -> None:
        environment = {"XDG_CACHE_HOME": "/home/u/.cache"}
        with (
            mock.patch.dict(os.environ, environment, clear=True),
            mock.patch.object(os, "access", return_value=False),
        ):
            self.assertEqual(default_store(), Path("/home/u/.cache/flocon"))

    def test_a_user_without_a_home_is_told_what_to_do(self) -> None:
        with (
            mock.patch.dict(os.environ, clear=True),
            mock.patch.object(os, "access", return_value=False),
            mock.patch.object(Path, "home", side_effect=RuntimeError),
            self.assertRaises(ConfigurationError) as caught,
        ):
            default_store()
        self.assertIn("--store", str(caught.exception))

    def test_who_may_write_the_systems_folder_uses_it(self) -> None:
        with (
            mock.patch.dict(os.environ, clear=True),
            mock.patch.object(os, "access", return_value=True),
        ):
            self.assertEqual(default_store(), module.SYSTEM_STORE)


class HostName(OptionsTestCase):
    def test_one_that_is_no_text_is_made_one(self) -> None:
        for bad, name in {"h\udcff\n<b>": "h??<b>", "": "?", "nas": "nas"}.items():
            with mock.patch.object(socket, "gethostname", return_value=bad):
                self.assertEqual(self.load("").name, name)


class CommandLine(OptionsTestCase):
    def parse(self, *arguments: str) -> Settings:
        parser = Options()
        parser.parseOptions(list(arguments))
        return parser.settings

    def test_every_option_arrives(self) -> None:
        found = self.parse(
            *("--config", str(self.write('name = "n"'))),
            *("--pacman-conf", "/p.conf", "--store", "/s", "--debug"),
            *("--interface", "eth0", "--interface", "10.0.0.1"),
            *("--lan", "tcp:1", "--loopback", "tcp:2", "--loopback", "unix:/x"),
        )
        self.assertEqual((found.name, found.debug), ("n", True))
        self.assertEqual((found.pacman_conf, found.store.path), (Path("/p.conf"), Path("/s")))
        self.assertEqual(found.presence.interfaces, ("eth0", "10.0.0.1"))
        self.assertEqual((found.lan, found.loopback), ("tcp:1", ("tcp:2", "unix:/x")))

    def test_paths_do_not_depend_on_where_the_daemon_goes(self) -> None:
        found = self.parse("--store", "s", "--pacman-conf", "p.conf")
        self.assertEqual(
            (found.store.path, found.pacman_conf), (Path.cwd() / "s", Path.cwd() / "p.conf")
        )

    def test_a_wrong_setting_ends_it_with_a_sentence(self) -> None:
        with self.assertRaises(SystemExit) as caught:
            self.parse("--config", str(self.write("nmae = 1")))
        self.assertIn("nmae", str(caught.exception))

    def test_a_wrong_endpoint_names_its_option(self) -> None:
        with self.assertRaises(SystemExit) as caught:
            self.parse("--loopback", "19433")
        self.assertIn("--loopback", str(caught.exception))

    def test_the_version_is_this_programs(self) -> None:
        out = io.StringIO()
        self.patch(sys, "stdout", out)
        with self.assertRaises(SystemExit) as caught:
            self.parse("--version")
        self.assertEqual((caught.exception.code, out.getvalue()), (0, f"flocon {__version__}\n"))

    def test_help_lists_every_option(self) -> None:
        text = str(Options())
        for option in ("config", "pacman-conf", "store", "interface", "lan", "loopback", "debug"):
            self.assertIn(f"--{option}", text)

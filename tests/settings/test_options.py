"""The command line over flocon.toml over the defaults, and where each setting stands."""

from __future__ import annotations

import io
import socket
import sys
from ipaddress import ip_network
from pathlib import Path

from flocon import __version__
from flocon.errors import ConfigurationError
from flocon.settings import settings
from flocon.settings.keys import keys
from flocon.settings.options import Options, load
from flocon.settings.settings import Settings
from tests.settings.options_case import OptionsTestCase

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
parents = ["http://nas:7878/$repo/os/$arch"]
mdns = false
[peers]
relays = 3
bandwidth = "5M"
networks = ["10.8.0.0/16"]
relayed_per_day = "2G"
private = ["ours"]
static = ["nas", "[fd00::5]:19432", "srv:lan.org"]
far = "no owners"
[store]
path = "/srv/flocon"
max_size = "20G"
adopt = ["/var/cache/pacoloco"]
[presence]
group = "239.1.2.3"
group6 = "ff02::1234"
port = 5000
beat = 0.5
interfaces = ["eth0", "10.0.0.1"]
[mirror]
serve = true
listen = ["tcp:8080"]
networks = ["10.9.0.0/16"]
repositories = ["core", "ours"]
architectures = ["x86_64", "aarch64"]
upstream = { aarch64 = ["https://arm.example/$arch/$repo"] }
paths = { archlinux = "/$repo/os/$arch/" }
refresh = ["18:30", "06:00"]
publish = "at once"
publish_within = "90m"
unused = "2w"
pins = ["linux", "base-devel"]
keep = 3
max_age = "90d"
hold_at_most = "10d"
archive = "https://archive.example/repos/$date/$repo/os/$arch"
[repo]
keys = "/srv/keys"
published = "/srv/own"
signer = "/run/other/signer"
keep = 5
debug = true
copies = 1
[build]
state = "/srv/builds"
repository = "home"
builder = "/run/other/builder"
aur = "https://aur.example/"
aur_copy = ""
poll = "2h"
auto = "never"
wait = "3d"
trust = ["somebody"]
networks = ["10.8.0.5"]
online = ["hugo"]
root = "clean"
check = false
memory = "4G"
disk = "40G"
processes = 512
time = "90m"
notify_command = ["/usr/bin/tell", "admins"]
notify_url = "https://ntfy.example/builds"
notify_mail = "root"
[foreign]
pacredir = false
pacserve = false
hosts = ["pc:7078"]
[standins]
pacserve = ["tcp:15678"]
pacredir = ["tcp:7077:interface=127.0.0.1"]
pacredir_lan = ["tcp:7078"]
networks = ["10.7.0.0/16"]
"""


class Merging(OptionsTestCase):
    def test_an_arch_machine_needs_no_setting(self) -> None:
        found = load({})
        self.assertIsNone(found.config)
        self.assertEqual(found.name, socket.gethostname())
        self.assertEqual(found.pacman_conf, Path("/etc/pacman.conf"))
        self.assertEqual((found.lan, found.loopback), (Settings().lan, Settings().loopback))
        self.assertEqual(found.presence, Settings().presence)

    def test_the_default_file_is_read_where_it_exists(self) -> None:
        self.default.write_text('name = "here"')
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
                prefetch="all",
                databases="lan",
                transfer="redirect",
                control="/run/flocon/control",
                peers=settings.Peers(
                    3,
                    5 << 20,
                    (ip_network("10.8.0.0/16"),),
                    2 << 30,
                    ("ours",),
                    ("nas", "[fd00::5]:19432", "srv:lan.org"),
                    "no owners",
                ),
                store=settings.Store(Path("/srv/flocon"), 20 << 30, (Path("/var/cache/pacoloco"),)),
                presence=settings.Presence(
                    "239.1.2.3", "ff02::1234", 5000, 0.5, ("eth0", "10.0.0.1")
                ),
                mirror=settings.Mirror(
                    serve=True,
                    listen=("tcp:8080",),
                    networks=(ip_network("10.9.0.0/16"),),
                    repositories=("core", "ours"),
                    architectures=("x86_64", "aarch64"),
                    upstream={"aarch64": ("https://arm.example/$arch/$repo",)},
                    paths={"archlinux": "$repo/os/$arch"},
                    refresh=("06:00", "18:30"),
                    publish="at once",
                    publish_within=90 * 60.0,
                    unused=14 * 86_400.0,
                    pins=("linux", "base-devel"),
                    keep=3,
                    max_age=90 * 86_400.0,
                    hold_at_most=10 * 86_400.0,
                    archive="https://archive.example/repos/$date/$repo/os/$arch",
                ),
                repo=settings.Repo(
                    keys=Path("/srv/keys"),
                    published=Path("/srv/own"),
                    signer="/run/other/signer",
                    keep=5,
                    debug=True,
                    copies=1,
                ),
                build=settings.Build(
                    state=Path("/srv/builds"),
                    repository="home",
                    builder="/run/other/builder",
                    aur="https://aur.example",
                    aur_copy="",
                    poll=7_200.0,
                    auto="never",
                    wait=3 * 86_400.0,
                    trust=("somebody",),
                    networks=(ip_network("10.8.0.5/32"),),
                    online=("hugo",),
                    root="clean",
                    check=False,
                    memory=4 << 30,
                    disk=40 << 30,
                    processes=512,
                    time=90 * 60.0,
                    notify_command=("/usr/bin/tell", "admins"),
                    notify_url="https://ntfy.example/builds",
                    notify_mail="root",
                ),
                parents=(settings.Parent("http://nas:7878/$repo/os/$arch"),),
                foreign=settings.Foreign(pacredir=False, pacserve=False, hosts=("pc:7078",)),
                standins=settings.Standins(
                    pacserve=("tcp:15678",),
                    pacredir=("tcp:7077:interface=127.0.0.1",),
                    pacredir_lan=("tcp:7078",),
                    networks=(ip_network("10.7.0.0/16"),),
                ),
                mdns=False,
            ),
        )

    def test_what_is_fetched_ahead_may_be_said_as_it_was_at_first(self) -> None:
        self.assertEqual(self.load("").prefetch, "lan")
        for said, meant in (
            ("true", "all"),
            ("false", "off"),
            ('"lan"', "lan"),
            ('"all"', "all"),
            ('"off"', "off"),
        ):
            self.assertEqual(self.load(f"prefetch = {said}").prefetch, meant)

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
        kept = (Path("/var/cache/pacoloco"),)
        self.assertEqual(found.store, settings.Store(Path("/mine"), 20 << 30, kept))
        self.assertEqual((found.lan, found.loopback), ("tcp:1", ("tcp:2", "tcp:3")))
        self.assertEqual(found.presence.interfaces, ("wlan0",))
        self.assertEqual(found.presence.group, "239.1.2.3")

    def test_a_table_given_in_part_keeps_the_other_defaults(self) -> None:
        found = self.load("[presence]\nport = 99\n")
        self.assertEqual((found.presence.port, found.presence.beat), (99, 30.0))


class Refusing(OptionsTestCase):
    def test_a_folder_in_the_place_of_pacmans_configuration(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.assertRefused(f'pacman_conf = "{folder}"', "pacman_conf", "is a folder, and no file")
        with self.assertRaises(ConfigurationError) as caught:
            self.load("", pacman_conf=folder)
        self.assertEqual(caught.exception.where, "flocon: --pacman-conf")


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
        place = self.load("").place("loopback", "--loopback")
        self.assertEqual(place, "flocon, default of --loopback")


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

    def test_a_word_that_is_no_option_is_named_and_answered_with_where_to_look(self) -> None:
        with self.assertRaises(SystemExit) as caught:
            self.parse("nonsense")
        self.assertIn("no 'nonsense'; 'twistd flocon --help'", str(caught.exception))

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

"""What is installed beside the code: each file is read by the program that it is for."""

from __future__ import annotations

import configparser
import re
import shutil
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

from twisted.trial.unittest import SynchronousTestCase

from flocon.settings.keys import keys
from flocon.settings.options import load
from flocon.settings.settings import (
    DEFAULT_CONFIG,
    DEFAULT_LAN,
    DEFAULT_LOOPBACK,
    LAN_PORT,
    MIRROR_PORT,
    SYSTEM_STORE,
    Build,
    Repo,
)
from flocon.signing.__main__ import HOME
from flocon.standins.standins import HELD, USUAL
from flocon.walls.bubblewrap import DROPPING, INSTALLING
from tests.packaging.workshop import PACKAGING, folder, need, succeed

#: What `systemd-analyze security` may say at most, in tenths.
MOST_EXPOSURE = 20
#: Seconds that pacman waits for a first byte, and that a node takes to answer on a slow machine.
PACMANS_PATIENCE, A_START = 10.0, 2.5


class ExampleSettings(SynchronousTestCase):
    """``#key = value`` is a setting, ``# text`` is prose."""

    def setUp(self) -> None:
        self.text = (PACKAGING / "flocon.toml").read_text()
        self.uncommented = re.sub(r"^#(?=[a-z])", "", self.text, flags=re.MULTILINE)
        self.patch(sys.modules["flocon.settings.options"], "DEFAULT_CONFIG", Path("/nonexistent"))
        self.patch(sys.modules["flocon.settings.options"], "default_store", lambda: SYSTEM_STORE)

    def test_every_key_is_there_once_and_no_other(self) -> None:
        table = tomllib.loads(self.uncommented)
        named = []
        for key, value in table.items():
            named += [f"{key}.{inner}" for inner in value] if isinstance(value, dict) else [key]
        self.assertEqual(sorted(named), sorted(keys()))

    def test_as_installed_it_changes_nothing(self) -> None:
        self.assertEqual(self.loaded(self.text), load({}))

    def test_what_it_calls_a_default_is_one(self) -> None:
        # The default name is the machine's own, and systemd says where the socket lies.
        others = re.sub(r"^(name|control) = .*", "", self.uncommented, flags=re.MULTILINE)
        loaded = self.loaded(others)
        self.assertEqual(loaded, load({}))

    def test_every_setting_has_words_above_it(self) -> None:
        lines = self.text.splitlines()
        for above, line in pairwise(lines):
            if re.match(r"#[a-z]", line):
                self.assertTrue(above.startswith("#"), line)

    def test_it_is_looked_for_where_it_is_installed(self) -> None:
        self.assertIn(f"backup=({str(DEFAULT_CONFIG)[1:]})", (PACKAGING / "PKGBUILD").read_text())

    def loaded(self, text: str) -> object:
        file = Path(self.mktemp())
        file.write_text(text)
        settings = load({"config": file})
        return type(settings)(
            **{name: getattr(settings, name) for name in settings.__slots__ if name != "config"}
        )


class ExampleOfANas(SynchronousTestCase):
    """A whole file for a mirror for the LAN, as it can be put into place."""

    def setUp(self) -> None:
        self.path = PACKAGING / "flocon-nas.toml"
        self.patch(sys.modules["flocon.settings.options"], "DEFAULT_CONFIG", Path("/nonexistent"))

    def test_a_node_starts_with_it_as_a_mirror(self) -> None:
        found = load({"config": self.path})
        self.assertTrue(found.mirror.serve)
        self.assertTrue(found.mirrors and found.mirror.repositories)

    def test_what_it_says_of_other_machines_can_be_put_in(self) -> None:
        text = self.path.read_text()
        lines = re.findall(r"^# ((?:architectures|upstream) = .*)$", text, re.MULTILINE)
        self.assertEqual(len(lines), 2)
        changed = re.sub(r"^architectures = .*$", "\n".join(lines), text, flags=re.MULTILINE)
        file = Path(self.mktemp())
        file.write_text(changed)
        mirror = load({"config": file}).mirror
        self.assertEqual(mirror.architectures, ("x86_64", "aarch64"))
        self.assertEqual(set(mirror.upstream), {"aarch64"})

    def test_each_setting_has_words_above_it(self) -> None:
        lines = self.path.read_text().splitlines()
        for above, line in pairwise(lines):
            if re.match(r"[a-z_]+ = ", line) and not re.match(r"[a-z_]+ = ", above):
                self.assertTrue(above.startswith(("#", "[mirror]")), line)

    def test_it_is_installed_where_the_settings_say(self) -> None:
        place = "/usr/share/doc/flocon/flocon-nas.toml"
        self.assertIn(place, (PACKAGING / "flocon.toml").read_text())
        installed = (PACKAGING / "PKGBUILD").read_text()
        self.assertIn('-t "$share/doc/$pkgname" flocon-nas.toml', installed)


class Unit(SynchronousTestCase):
    def setUp(self) -> None:
        need("systemd-analyze")

    def verify(self, old: str, new: str) -> str:
        """Return what systemd says of the unit with ``old`` replaced."""
        unit = folder() / "flocon.service"
        text = (PACKAGING / unit.name).read_text().replace(old, new)
        # A test's machine has no twistd in /usr/bin, and systemd looks whether it is there.
        unit.write_text(text.replace("/usr/bin/twistd", shutil.which("true") or ""))
        shutil.copy(PACKAGING / "flocon.socket", unit.parent)
        socket = unit.with_suffix(".socket")
        return succeed("systemd-analyze", "verify", "--man=no", str(unit), str(socket))

    def test_systemd_understands_every_line(self) -> None:
        self.assertEqual(self.verify("", ""), "")
        self.assertIn("ProtectClocks", self.verify("ProtectClock=", "ProtectClocks="))

    def test_the_sockets_are_those_that_the_node_listens_on(self) -> None:
        text = (PACKAGING / "flocon.socket").read_text()
        held = re.findall(r"^ListenStream=\[?([^]\n]*?)\]?:([0-9]+)$", text, re.MULTILINE)
        wanted = []
        for endpoint in (*DEFAULT_LOOPBACK, DEFAULT_LAN):
            port, _, interface = endpoint.partition(":")[2].partition(":interface=")
            wanted.append((interface.replace("\\", ""), port))
        self.assertEqual(held, wanted)

    def test_the_sockets_in_other_tools_places_are_where_they_usually_are(self) -> None:
        unit = folder() / "flocon.service"
        text = (PACKAGING / unit.name).read_text()
        unit.write_text(text.replace("/usr/bin/twistd", shutil.which("true") or ""))
        installed = (PACKAGING / "PKGBUILD").read_text()
        self.assertEqual(len(HELD), len(USUAL))
        for endpoint in USUAL.values():
            port, _, interface = endpoint.removeprefix("tcp:").partition(":interface=")
            name = HELD[f"{interface or '0.0.0.0'}:{port}"]
            path = unit.with_name(name)
            shutil.copy(PACKAGING / name, path)
            self.assertIn(f"\nListenStream={interface or '0.0.0.0'}:{port}\n", path.read_text())
            self.assertIn(f" {name}", installed)
            verified = "systemd-analyze", "verify", "--man=no", str(unit), str(path)
            self.assertEqual(succeed(*verified), "")

    def test_another_node_answers_before_pacman_gives_up_on_one_that_hangs(self) -> None:
        text = (PACKAGING / "flocon.service").read_text()
        units = {"ms": 0.001, "s": 1.0}

        def seconds(key: str) -> float:
            (said,) = re.findall(rf"^{key}=([0-9]+)(m?s)$", text, re.MULTILINE)
            return int(said[0]) * units[said[1]]

        # One that only its end helps does not heed what it could handle.
        self.assertIn("\nWatchdogSignal=SIGKILL\n", text)
        for hanging in ("WatchdogSec", "TimeoutStopSec"):
            away = seconds(hanging) + seconds("RestartSec") + A_START
            self.assertLessEqual(away, PACMANS_PATIENCE - 2.0, hanging)

    def test_it_is_hardened(self) -> None:
        succeed(
            *("systemd-analyze", "security", "--offline=true", "--no-pager"),
            *(f"--threshold={MOST_EXPOSURE}", str(PACKAGING / "flocon.service")),
        )


class SignersUnit(SynchronousTestCase):
    """The keys of own repositories are behind it."""

    def setUp(self) -> None:
        need("systemd-analyze")
        self.text = (PACKAGING / "flocon-sign.service").read_text()

    def test_systemd_understands_every_line(self) -> None:
        unit = folder() / "flocon-sign.service"
        # A test's machine may have its Python elsewhere, and systemd looks whether it is there.
        unit.write_text(self.text.replace("/usr/bin/python", shutil.which("true") or ""))
        shutil.copy(PACKAGING / "flocon-sign.socket", unit.parent)
        units = str(unit), str(unit.with_suffix(".socket"))
        self.assertEqual(succeed("systemd-analyze", "verify", "--man=no", *units), "")

    def test_it_is_hardened(self) -> None:
        succeed(
            *("systemd-analyze", "security", "--offline=true", "--no-pager"),
            *(f"--threshold={MOST_EXPOSURE}", str(PACKAGING / "flocon-sign.service")),
        )

    def test_its_socket_is_where_the_settings_say(self) -> None:
        socket = (PACKAGING / "flocon-sign.socket").read_text()
        self.assertIn(f"\nListenStream={Repo().signer}\n", socket)

    def test_it_may_write_into_its_folders_alone_and_they_are_made(self) -> None:
        (written,) = re.findall(r"^ReadWritePaths=(.*)$", self.text, re.MULTILINE)
        self.assertEqual(written.split(), [str(HOME), str(Repo().published)])
        made = (PACKAGING / "tmpfiles.conf").read_text()
        self.assertIn(f"d {HOME} 0700 flocon-sign flocon-sign -\n", made)
        self.assertIn(f"d {Repo().published} 0755 flocon-sign flocon-sign -\n", made)
        self.assertIn("u flocon-sign ", (PACKAGING / "sysusers.conf").read_text())

    def test_it_has_no_network(self) -> None:
        for line in ("PrivateNetwork=yes", "IPAddressDeny=any", "RestrictAddressFamilies=AF_UNIX"):
            self.assertIn(f"\n{line}\n", self.text)

    def test_the_kernel_can_tell_it_who_asks(self) -> None:
        # In a user namespace of its own everybody but root would be nobody.
        self.assertNotIn("\nPrivateUsers=", self.text)


class BuildersUnit(SynchronousTestCase):
    """Recipes of strangers run within it."""

    def setUp(self) -> None:
        need("systemd-analyze")
        self.text = (PACKAGING / "flocon-build.service").read_text()

    def test_systemd_understands_every_line(self) -> None:
        unit = folder() / "flocon-build.service"
        unit.write_text(self.text.replace("/usr/bin/python", shutil.which("true") or ""))
        shutil.copy(PACKAGING / "flocon-build.socket", unit.parent)
        units = str(unit), str(unit.with_suffix(".socket"))
        self.assertEqual(succeed("systemd-analyze", "verify", "--man=no", *units), "")

    def test_its_socket_is_where_the_settings_say(self) -> None:
        socket = (PACKAGING / "flocon-build.socket").read_text()
        self.assertIn(f"\nListenStream={Build().builder}\n", socket)

    def test_its_user_and_folder_are_made(self) -> None:
        self.assertIn("u flocon-build ", (PACKAGING / "sysusers.conf").read_text())
        self.assertIn("\nStateDirectory=flocon-build\n", self.text)

    def test_it_may_bound_what_a_job_takes_and_goes_last(self) -> None:
        for line in ("Delegate=memory pids", "CPUWeight=1", "IOWeight=1", "KillMode=control-group"):
            self.assertIn(f"\n{line}\n", self.text)

    def test_it_has_the_rights_that_a_wall_takes_and_no_others(self) -> None:
        said = " ".join(re.findall(r"^CapabilityBoundingSet=(.*)$", self.text, re.MULTILINE))
        rights = set(said.split())
        self.assertLessEqual(set(INSTALLING) | set(DROPPING), rights)
        others = {"CAP_MKNOD", "CAP_NET_RAW", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_BOOT"}
        self.assertFalse(rights & others)


class Firewalls(SynchronousTestCase):
    def test_firewalld_opens_the_lan_port(self) -> None:
        self.assertIn("firewalld/services/flocon.xml", (PACKAGING / "PKGBUILD").read_text())
        service = ET.parse(PACKAGING / "firewalld.xml").getroot()
        ports = {(port.get("protocol"), port.get("port")) for port in service.iter("port")}
        self.assertEqual(ports, {("tcp", str(LAN_PORT)), ("udp", str(LAN_PORT))})

    def test_ufw_opens_the_lan_port(self) -> None:
        self.assertIn("ufw/applications.d/flocon", (PACKAGING / "PKGBUILD").read_text())
        profile = configparser.ConfigParser(interpolation=None)
        profile.read(PACKAGING / "ufw.profile")
        self.assertEqual(profile["flocon"]["ports"], f"{LAN_PORT}/tcp|{LAN_PORT}/udp")
        self.assertTrue(profile["flocon"]["title"] and profile["flocon"]["description"])

    def test_both_open_the_port_of_a_mirror_by_a_name_of_its_own(self) -> None:
        # firewall-cmd --permanent --add-service=flocon-mirror
        service = ET.parse(PACKAGING / "firewalld-mirror.xml").getroot()
        ports = {(port.get("protocol"), port.get("port")) for port in service.iter("port")}
        self.assertEqual(ports, {("tcp", str(MIRROR_PORT))})
        installed = (PACKAGING / "PKGBUILD").read_text()
        self.assertIn("firewalld/services/flocon-mirror.xml", installed)
        # ufw allow flocon-mirror
        profile = configparser.ConfigParser(interpolation=None)
        profile.read(PACKAGING / "ufw.profile")
        self.assertEqual(profile["flocon-mirror"]["ports"], f"{MIRROR_PORT}/tcp")
        self.assertTrue(profile["flocon-mirror"]["title"])

    def test_both_open_the_ports_of_other_tools_by_a_name_of_its_own(self) -> None:
        expected = {("tcp", "15678"), ("udp", "15679"), ("tcp", "7078")}
        # firewall-cmd --permanent --add-service=flocon-standins
        service = ET.parse(PACKAGING / "firewalld-standins.xml").getroot()
        ports = {(port.get("protocol"), port.get("port")) for port in service.iter("port")}
        self.assertEqual(ports, expected)
        # ufw allow flocon-standins
        profile = configparser.ConfigParser(interpolation=None)
        profile.read(PACKAGING / "ufw.profile")
        named = profile["flocon-standins"]["ports"].split("|")
        self.assertEqual({tuple(reversed(one.split("/"))) for one in named}, expected)
        # What the settings' own text names is what is opened.
        text = (PACKAGING / "flocon.toml").read_text()
        for port in ("15678", "7078"):
            self.assertIn(f'"tcp:{port}"', text)

    def test_nft_takes_the_rules_within_a_chain(self) -> None:
        need("nft", "unshare", root=True)
        ruleset = folder() / "ruleset.nft"
        ruleset.write_text(
            "table inet filter {\n"
            "chain input {\n"
            "type filter hook input priority filter; policy drop;\n"
            f'include "{PACKAGING / "nftables.conf"}"\n'
            f'include "{PACKAGING / "nftables-mirror.conf"}"\n'
            f'include "{PACKAGING / "nftables-standins.conf"}"\n'
            "}\n"
            "}\n"
        )
        # In a network namespace of its own: no rule of this machine changes.
        script = 'nft --file "$0" && nft list ruleset'
        listed = succeed("unshare", "--net", "sh", "-c", script, str(ruleset))
        self.assertIn(f"th dport {LAN_PORT} accept", listed)
        self.assertIn("ip protocol igmp accept", listed)
        self.assertIn("udp dport 5353 accept", listed)
        self.assertIn(f"tcp dport {MIRROR_PORT} accept", listed)
        self.assertIn("tcp dport { 7078, 15678 } accept", listed)
        self.assertIn("udp dport 15679 accept", listed)

"""Every command of ``flocon`` on a real LAN, and what the doctor finds in a broken one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from flocon.advice.lan_checks import ENOUGH_LISTENING
from flocon.leading.node_lines import CACHE_SERVER_SINCE
from flocon.leading.programs import pacman_version
from tests.lan.case import LanTestCase, sha256
from tests.lan.lan import NOBODY, Host, Node, environment, wait_until
from tests.lan.repository import Package


class CommandTestCase(LanTestCase):
    """Runs the command on a host."""

    def setUp(self) -> None:
        super().setUp()
        self.here = self.second.folder / "here"
        self.here.mkdir()

    def run_command(
        self, host: Host, *arguments: str, user: int | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``flocon`` in the folder ``here``, where it talks to no terminal."""
        if user is None:
            return host.flocon(
                *arguments, folder=self.here, variables=variables, apart=True, timeout=60
            )
        command = [sys.executable, "-m", "flocon.cli", *arguments]
        return subprocess.run(
            host.command(command, user=user),
            env={**environment(), **variables},
            cwd=self.here,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def say(self, host: Host, *arguments: str) -> str:
        """Run a command that must succeed; return what it printed."""
        done = self.run_command(host, *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def say_json(self, host: Host, *arguments: str) -> Any:
        return json.loads(self.say(host, *arguments, "--json"))

    def refuse(self, host: Host, *arguments: str) -> str:
        """Run a command that must fail with one sentence; return that."""
        done = self.run_command(host, *arguments)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        return done.stderr

    def two_nodes(self, more: int = 0, **settings: object) -> tuple[Node, Node]:
        """Start two nodes: the first has ten packages (and ``more``), the second none."""
        count = len(self.few_packages) + more
        self.sync(self.first, self.second)
        self.hold(self.first, self.few_packages)
        first, second = self.start_nodes(self.first, self.second, settings=settings)
        self.wait_for_files(first, count)

        def known() -> bool:
            peer = second.peers().get("first", {})
            return bool(peer.get("files_known") == count)

        wait_until(known, 10, "the second knows what the first holds")
        return first, second


class LookingTests(CommandTestCase):
    def test_has_names_versions_and_holders_and_peers_and_status_themselves(self) -> None:
        self.two_nodes()
        package = self.few_packages[0]
        line = self.say(self.second, "has", package.name)
        for word in (package.name, package.recipe.version, "[multilib]", "first"):
            self.assertIn(word, line)
        self.assertNotIn("here", line)
        self.assertIn("here (cache)", self.say(self.first, "has", package.name))
        found = self.say_json(self.second, "has", package.name)
        [file] = found["files"]
        self.assertEqual((file["file"], file["sha256"]), (package.file_name, package.sha256))
        self.assertEqual([one["address"] for one in file["holders"]], [self.first.address])
        part = self.say_json(self.second, "has", "--contains", "pkg.tar")
        self.assertEqual(len(part["files"]), len(self.few_packages))
        self.assertIn("0 packages", self.say(self.second, "status"))
        self.assertIn("10 packages", self.say(self.second, "peers"))
        self.assertEqual(self.say_json(self.second, "peers")[0]["name"], "first")

    def test_has_knows_old_versions_and_what_nobody_has(self) -> None:
        package = self.few_packages[0]
        old = package.file_name.replace(package.recipe.version, "0.0.1-1")
        self.assertNotEqual(old, package.file_name)
        for suffix, source in (("", package.path), (".sig", package.signature)):
            shutil.copy2(source, self.first.cache / (old + suffix))
        self.two_nodes(more=1)
        lines = self.say(self.second, "has", package.name).splitlines()
        self.assertEqual([line.split()[1] for line in lines], [package.recipe.version, "0.0.1-1"])
        self.assertIn("not listed", lines[1])
        missing = self.run_command(self.second, "has", next(iter(self.lab.core.packages)))
        self.assertEqual(missing.returncode, 1)
        self.assertIn("nobody on the LAN holds", missing.stdout)
        self.assertIn("the mirrors have", missing.stdout)

    def test_why_tells_the_order_and_what_was_lately(self) -> None:
        _, second = self.two_nodes()
        package = self.few_packages[0]
        told = self.say_json(self.second, "why", package.file_name)
        self.assertEqual(
            [(one["role"], one["address"]) for one in told["order"] if "owner" not in one["role"]],
            [("holder", self.first.address), ("mirror", self.mirror.host.address)],
        )
        self.assertIn("a peer holds it: first", told["answer"])
        self.assert_clean(self.download(self.second, [package]))
        self.wait_for_files(second, 1)
        text = self.say(self.second, "why", package.file_name)
        self.assertIn("this node holds it", text)
        self.assertRegex(text, rf"200  from peer {re.escape(self.first.address)}, ")
        self.assertIn("(its signature)", text)
        self.assertIn("mirrors", self.say(self.second, "why", "core.db"))
        self.assertIn("no sync database has", self.refuse(self.second, "why", "../etc/passwd"))

    def test_why_names_failures_and_who_is_left_out(self) -> None:
        first, _ = self.two_nodes()
        package = self.few_packages[0]
        first.process.send_signal(19)  # SIGSTOP: it neither answers nor leaves
        self.addCleanup(first.process.send_signal, 18)
        self.assert_clean(self.download(self.second, [package]))
        told = self.say_json(self.second, "why", package.file_name)
        whole = next(one for one in told["recent"] if one["file"] == package.file_name)
        self.assertEqual(whole["source"], f"mirror {self.mirror.host.address}")
        self.assertIn(self.first.address, whole["tried"][0]["source"])
        self.say(self.second, "ban", "first")
        told = self.say_json(self.second, "why", package.file_name)
        self.assertEqual(
            [(one["name"], one["why"]) for one in told["left_out"]],
            [("first", "in quarantine for good: banned by hand")],
        )

    def test_without_a_node_one_sentence_says_so(self) -> None:
        for arguments in (["has", "x"], ["why", "core.db"], ["status"], ["ban", "x"]):
            said = self.refuse(self.third, *arguments)
            self.assertIn("no node answers on port 19433", said)


class GettingTests(CommandTestCase):
    def test_a_package_comes_with_its_signature_from_the_peer_or_the_mirror(self) -> None:
        self.two_nodes()
        package = max(self.few_packages, key=lambda one: one.size)
        line = self.say(self.second, "get", package.name)
        self.assertIn(f"from peer {self.first.address}", line)
        self.assertIn("verified", line)
        self._assert_here(package)
        self.assert_mirror_gave_no_packages()
        self.assertIn("is here already", self.say(self.second, "get", package.file_name))
        for path in self.here.iterdir():
            path.unlink()
        package = next(iter(self.lab.core.packages.values()))
        told = self.say_json(self.second, "get", package.file_name)
        self.assertEqual((told["sha256"], told["verified"]), (package.sha256, True))
        self._assert_here(package)

    def test_nothing_is_overwritten_and_what_fails_leaves_nothing_behind(self) -> None:
        self.two_nodes()
        self.assertIn("no sync database", self.refuse(self.second, "get", "no-such-package"))
        self.assertIn("is no package", self.refuse(self.second, "get", "core.db"))
        missing = "none-1-1-any.pkg.tar.zst"
        self.assertIn("has it", self.refuse(self.second, "get", missing))
        self.assertEqual(list(self.here.iterdir()), [])
        package = self.few_packages[0]
        (self.here / package.file_name).write_text("mine")
        self.assertIn("there is another file", self.refuse(self.second, "get", package.name))
        [left] = self.here.iterdir()
        self.assertEqual(left.read_text(), "mine")

    def test_a_terminal_gets_a_bar(self) -> None:
        self.two_nodes()
        package = max(self.few_packages, key=lambda one: one.size)
        script = shutil.which("script")
        if script is None:
            self.skipTest("script is not installed")
        command = f"{sys.executable} -m flocon.cli get {package.name}"
        done = subprocess.run(
            self.second.command([script, "-qec", command, "/dev/null"]),
            env={**environment(), "TERM": "xterm"},
            cwd=self.here,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("\x1b[", done.stdout)
        self._assert_here(package)

    def _assert_here(self, package: Package) -> None:
        names = {package.file_name, package.signature.name}
        self.assertEqual({path.name for path in self.here.iterdir()}, names)
        self.assertEqual(sha256(self.here / package.file_name), package.sha256)
        signature = self.here / package.signature.name
        self.assertEqual(signature.read_bytes(), package.signature.read_bytes())


class ActingTests(CommandTestCase):
    def test_a_peer_is_banned_and_pardoned_by_those_who_may(self) -> None:
        _, second = self.two_nodes()
        self.assertIn("no peer is called", self.refuse(self.second, "ban", "nobody"))
        self.assertIn("is in quarantine for good", self.say(self.second, "ban", "first"))
        self.assertEqual(second.peers()["first"]["state"], "quarantine")
        self.assertIn("for good: banned by hand", self.say(self.second, "status"))
        self.assertIn("may be asked again", self.say(self.second, "pardon", self.first.address))
        self.assertEqual(second.peers()["first"]["state"], "good")
        self.assertIn("was not in quarantine", self.refuse(self.second, "pardon", "first"))
        self.assertEqual(self.say_json(self.second, "rejoin").keys(), {"said"})
        self._assert_only_root_may(self.second)

    def _assert_only_root_may(self, host: Host) -> None:
        for path in (host.folder, host.store, self.here):
            path.chmod(0o755)
        done = self.run_command(host, "ban", "first", user=NOBODY)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertIn("permission denied; run it as root or as a member", done.stderr)
        self.assertEqual(self.run_command(host, "peers", user=NOBODY).returncode, 0)

    def test_prefetch_waits_until_all_is_there(self) -> None:
        packages = self.few_packages[:3]
        # Nothing comes before it is asked for.
        _, second = self.two_nodes(prefetch="off")
        for package in packages:
            _install_old(self.second, package)
        self.assertRegex(self.say(self.second, "prefetch"), "^3 packages, .*, are ready: all that")
        self.wait_for_files(second, 3)
        told = self.say_json(self.second, "prefetch")
        self.assertEqual((told["total"], told["running"]), (0, False))


class DoctorTests(CommandTestCase):
    """Each finding is made on purpose; what is not meant stays good."""

    def findings(self, host: Host, *, status: int, **variables: Any) -> dict[str, dict[str, str]]:
        """Return the worst finding of each check."""
        arguments = ["doctor", "--json", "--pacman-conf", str(host.pacman_conf())]
        done = self.run_command(host, *arguments, **variables)
        self.assertEqual((done.returncode, done.stderr), (status, ""), done.stdout)
        result: dict[str, dict[str, str]] = {}
        for finding in json.loads(done.stdout)["findings"]:
            if result.get(finding["check"], {}).get("verdict") != "wrong":
                result[finding["check"]] = finding
        return result

    def assert_wrong(self, host: Host, *checks: str, **variables: str) -> dict[str, dict[str, str]]:
        """Claim that just these checks find something wrong, each with a remedy."""
        found = self.findings(host, status=1, **variables)
        wrong = {name for name, one in found.items() if one["verdict"] == "wrong"}
        self.assertEqual(wrong, set(checks), found)
        for check in checks:
            self.assertTrue(found[check]["remedy"], check)
        return found

    def healthy_pair(self) -> tuple[Node, Node]:
        self.sync(self.first, self.second)
        first, second = self.start_nodes(self.first, self.second)
        return first, second

    def test_a_healthy_lan_is_said_to_be_well_until_the_node_stops(self) -> None:
        _, second = self.healthy_pair()
        found = self.findings(self.second, status=0)
        self.assertEqual({one["verdict"] for one in found.values()}, {"good"}, found)
        conf = str(self.second.pacman_conf())
        text = self.say(self.second, "doctor", "--pacman-conf", conf)
        self.assertTrue(text.endswith("\nall is well\n"), text)
        self.assertIn("open as seen from first", text)
        second.stop()
        found = self.assert_wrong(self.second, "node")
        self.assertIn("systemctl enable --now flocon", found["node"]["remedy"])

    def test_pacman_that_does_not_ask_or_asks_too_late(self) -> None:
        self.healthy_pair()
        good = self.second.pacman_conf()
        plain = self.second.pacman_conf(node=False)
        text = self._doctor(plain)
        self.assertIn("pacman does not ask the node for [core]", text)
        self.assertIn("flocon setup", text)
        mirrorlist = self.second.folder / "reversed"
        lines = (self.second.folder / "mirrorlist-node-mirror-5").read_text().splitlines()
        mirrorlist.write_text("\n".join([*reversed(lines), ""]))
        late = self.second.folder / "late.conf"
        late.write_text(re.sub(r"Include = .*", f"Include = {mirrorlist}", good.read_text()))
        self.assertIn(f"asks {self.mirror.host.address} before the node", self._doctor(late))
        broken = self.second.folder / "broken.conf"
        broken.write_text("Server = http://localhost\n")
        self.assertIn("before the first [section]", self._doctor(broken))
        self.assertIn("cannot be read", self._doctor(self.second.folder / "missing.conf"))
        # With such a one pacman can fetch nothing, and says so too.
        broken.write_text("[options]\n")
        self.assertIn("has no repository", self._doctor(broken))

    def test_a_cache_server_that_this_pacman_does_not_know(self) -> None:
        if pacman_version() >= CACHE_SERVER_SINCE:
            self.skipTest("this pacman knows it")
        self.healthy_pair()
        text = self.second.pacman_conf(node=False).read_text()
        conf = self.second.folder / "cache-server.conf"
        line = "CacheServer = http://localhost:19433/$repo/os/$arch\nInclude"
        conf.write_text(text.replace("Include", line))
        self.assertIn("does not know the CacheServer line of [core]", self._doctor(conf))

    def test_programs_that_pacman_cannot_run(self) -> None:
        self.healthy_pair()
        for program, words, status in (
            ("/usr/bin/curl -fo %o %u > /dev/null", "shell characters outside quotation marks", 1),
            ("/usr/bin/curl -fo %o %u && sync", "shell characters outside quotation marks", 1),
            ("/bin/sh -c 'curl -fo %o %u'", "has no %u that is a word of its own", 1),
            ("/usr/bin/curl -fo '%o %u", "a quotation mark without its other half", 1),
            ("/usr/bin/curl -fo %o %u", "one after the other", 0),
        ):
            conf = self.second.folder / "program.conf"
            line = f"[options]\nXferCommand = {program}"
            conf.write_text(self.second.pacman_conf().read_text().replace("[options]", line))
            self.assertIn(words, self._doctor(conf, status=status))

    def _doctor(self, conf: Path, *, status: int = 1) -> str:
        done = self.run_command(self.second, "doctor", "--pacman-conf", str(conf))
        self.assertEqual((done.returncode, done.stderr), (status, ""), done.stdout)
        return done.stdout

    def test_a_proxy_and_caches_and_databases_that_are_amiss(self) -> None:
        self.healthy_pair()
        proxy = {"http_proxy": "http://10.77.0.9:3128"}
        found = self.assert_wrong(self.second, "proxy", **proxy)
        self.assertIn("export no_proxy=localhost", found["proxy"]["remedy"])
        self.findings(self.second, status=0, no_proxy="localhost", **proxy)
        shutil.rmtree(self.second.cache)
        for path in (self.second.database_path / "sync").glob("*.db"):
            old = path.stat().st_mtime - 3 * 86_400
            os.utime(path, (old, old))
        self._wait_for_times(self.second)
        found = self.assert_wrong(self.second, "cache", "databases")
        self.assertIn("3 days older", found["databases"]["reason"])

    def _wait_for_times(self, host: Host) -> None:
        """Wait until the node has read databases that are days old."""

        def read() -> bool:
            times = json.loads(host.request("/doctor.json").body)["databases"].values()
            return bool(times) and max(times) < time.time() - 86_400

        # Each question has a peer knock, which does so a few times in a row and then each two
        # seconds: there is to be one left for the doctor.
        wait_until(read, 30, "the databases are read anew", every=2.5)

    def test_no_databases_at_all(self) -> None:
        self.sync(self.first)
        self.start_nodes(self.first, self.second)
        found = self.assert_wrong(self.second, "databases")
        self.assertIn("nothing is known to be right", found["databases"]["reason"])
        self.assertEqual(found["databases"]["remedy"], "pacman -Sy")

    def test_a_clock_that_differs_from_the_peers(self) -> None:
        self.sync(self.first, self.second)
        self.first.node()
        self._start_with_clock(self.second, ahead=7_200)
        self._wait_until_heard(self.second)
        found = self.assert_wrong(self.second, "clock")
        self.assertIn("this clock is 2 hours ahead of those", found["clock"]["reason"])
        self.assertEqual(found["clock"]["remedy"], "timedatectl set-ntp true")

    def test_databases_of_tomorrow_tell_of_the_clock_without_peers(self) -> None:
        self.sync(self.second)
        for path in (self.second.database_path / "sync").glob("*.db"):
            tomorrow = time.time() + 3 * 86_400
            os.utime(path, (tomorrow, tomorrow))
        self.second.node()
        found = self.assert_wrong(self.second, "clock")
        self.assertIn("3 days in the future", found["clock"]["reason"])

    def _start_with_clock(self, host: Host, *, ahead: float) -> None:
        """Start a node, and no more than that, for which it is later than it is."""
        script = (
            f"import time; now = time.time; time.time = lambda: now() + {ahead}\n"
            "from twisted.scripts.twistd import run; run()"
        )
        conf, store = str(host.pacman_conf()), str(host.store)
        command = [sys.executable, "-c", script, "-n", "--pidfile=", "flocon"]
        log = host.folder / "clock.log"
        host.start([*command, "--pacman-conf", conf, "--store", store], log=log)

    def _wait_until_heard(self, host: Host) -> None:
        """Wait until the node on ``host``, whoever started it, hears the other one."""

        def hears() -> bool:
            try:
                status = json.loads(host.request("/status.json").body)
            except OSError:
                return False
            return len(status["peers"]) == 1

        wait_until(hears, 20, "the other node is heard")

    def test_a_peer_of_another_architecture(self) -> None:
        self.sync(self.first, self.second)
        text = self.first.pacman_conf().read_text()
        other = self.first.folder / "other.conf"
        other.write_text(text.replace("Architecture = x86_64", "Architecture = aarch64"))
        first = self.first.node(arguments=["--pacman-conf", str(other)])
        self.meet(first, self.second.node())
        found = self.findings(self.second, status=0)
        self.assertEqual(found["architecture"]["verdict"], "warning")
        self.assertIn("first have packages of another", found["architecture"]["reason"])

    def test_a_peer_that_is_held_off(self) -> None:
        self.healthy_pair()
        self.say(self.second, "ban", "first")
        found = self.findings(self.second, status=0)
        self.assertEqual(found["quarantine"]["verdict"], "warning")
        remedy = found["quarantine"]["remedy"]
        self.assertEqual(remedy, f"flocon pardon {self.first.address}")
        self.say(self.second, *remedy.split()[1:])
        self.assertNotIn("quarantine", self.findings(self.second, status=0))

    def test_a_firewall_before_the_lan_port(self) -> None:
        self.healthy_pair()
        self._filter("tcp dport 19432 ct state new drop")
        found = self.assert_wrong(self.second, "port")
        self.assertIn("closed as seen from first", found["port"]["reason"])
        self.assertIn("firewall-cmd", found["port"]["remedy"])

    def test_mirrors_that_cannot_be_reached(self) -> None:
        self.healthy_pair()
        self.addCleanup(self.mirror.start)
        self.mirror.stop()
        found = self.assert_wrong(self.second, "mirrors")
        self.assertIn("every mirror is out of reach", found["mirrors"]["reason"])
        self.assertIn("proxy = ", found["mirrors"]["remedy"])

    def test_a_line_with_another_tools_path(self) -> None:
        self.healthy_pair()
        text = self.second.pacman_conf(node=False).read_text()
        conf = self.second.folder / "other-tool.conf"
        line = "Server = http://localhost:19433/repo/archlinux/$repo/os/$arch\nInclude"
        conf.write_text(text.replace("Include", line))
        said = self._doctor(conf)
        self.assertIn("does not know the path of the line at", said)
        self.assertIn("write there: Server = http://localhost:19433/$repo/os/$arch", said)

    def test_an_interface_that_is_not_there(self) -> None:
        self.sync(self.second)
        node = self.second.node(arguments=["--interface", "eth9"])
        found = self.assert_wrong(self.second, "interface")
        self.assertIn("no interface eth9", found["interface"]["reason"])
        self.assertIn("there is no interface eth9 now", node.log_text)

    def test_no_carrier(self) -> None:
        self.sync(self.second)
        self.second.node()
        self.addCleanup(self.second.unplug)
        self.second.link("down")
        found = self.findings(self.second, status=1)
        self.assertIn("no carrier: eth0", found["interface"]["reason"])
        self.assertEqual({"multicast", "peers"} & set(found), set())

    def test_a_firewall_before_multicast(self) -> None:
        self.sync(self.first, self.second)
        self._filter("udp dport 19432 drop")
        self.second.node()
        found = self.assert_wrong(self.second, "multicast")
        self.assertIn("none came back", found["multicast"]["reason"])

    def test_a_firewall_that_lets_no_datagram_out(self) -> None:
        self.sync(self.second)
        self._filter("udp dport 19432 drop", hook="output")
        self.second.node()
        found = self.assert_wrong(self.second, "multicast")
        self.assertIn("no datagram could be sent on eth0", found["multicast"]["reason"])

    def test_a_group_that_cannot_be_joined(self) -> None:
        self.sync(self.second)
        most = "/proc/sys/net/ipv4/igmp_max_memberships"  # of the reader's namespace
        _, before = self.second.run(["cat", most])
        write = ["sh", "-c", 'echo "$1" >"$0"', most]
        self.addCleanup(self.second.run, [*write, before.strip()])
        self.assertEqual(self.second.run([*write, "0"]), (0, ""))
        self.second.node()
        found = self.assert_wrong(self.second, "multicast")
        self.assertIn("not joined on eth0 (IPv4)", found["multicast"]["reason"])
        self.assertEqual(found["multicast"]["remedy"], "flocon rejoin")

    def test_this_node_hears_and_is_not_heard(self) -> None:
        self.sync(self.first, self.second)
        self._filter(f"ip saddr {self.second.address} udp dport 19432 drop", host=self.first)
        self._filter("ip6 daddr ff02::4be8 udp dport 19432 drop", host=self.first, table="six")
        # Hellos may be over before the other one listens.
        self.first.node(beat=1.0)
        self.second.node()
        self._wait_until_heard(self.second)
        found = self.assert_wrong(self.second, "peers")
        self.assertIn("hears first, but is not heard there", found["peers"]["reason"])
        self.assertIn("on that machine: open 19432", found["peers"]["remedy"])

    def test_a_peer_that_cannot_be_asked_to_knock(self) -> None:
        self.healthy_pair()
        self._filter("tcp dport 19432 ct state new drop", host=self.first)
        found = self.findings(self.second, status=0)
        for check in ("port", "clock"):
            self.assertEqual(found[check]["verdict"], "unknown", found[check])

    def test_a_switch_that_snoops_without_a_querier_until_it_has_one(self) -> None:
        self.sync(self.first, self.second)
        bridge, ports = self.lan.bridge, [f"p-{one.name}" for one in (self.first, self.second)]

        def switch(*options: str) -> None:
            command = ["ip", "-n", bridge, "link", "set", "bridge", "type", "bridge", *options]
            subprocess.run(command, check=True, timeout=10)

        def flood(state: str) -> None:
            for port in ports:
                command = ["ip", "netns", "exec", bridge, "bridge", "link", "set", "dev", port]
                subprocess.run(
                    [*command, "mcast_flood", state], check=True, timeout=10, env=environment()
                )

        self.addCleanup(flood, "on")
        self.addCleanup(switch, "mcast_querier", "0")
        switch("mcast_snooping", "1", "mcast_query_response_interval", "100")
        # Groups go only where a member is known, and without a querier none is.
        flood("off")
        self.first.node()
        second = self.second.node()
        found = self.alone(self.second)
        self.assertIn("IGMP snooping has no querier", found["peers"]["reason"])
        self.assertIn("mcast_querier 1", found["peers"]["remedy"])
        self.assertEqual(found["multicast"]["verdict"], "good")
        # A querier of version 2 would have every host of this LAN report in version 2 for minutes.
        switch("mcast_igmp_version", "3", "mcast_querier", "1")

        def heard() -> bool:
            self.say(self.second, "rejoin")
            return len(second.peers()) == 1

        wait_until(heard, 20, "the querier has found the members", every=1)
        self.findings(self.second, status=0)

    def test_a_store_that_is_full(self) -> None:
        store = str(self.second.store)
        mount = ["mount", "-t", "tmpfs", "-o", "size=64m,mode=755", "tmpfs", store]
        subprocess.run(mount, check=True, timeout=10)
        self.addCleanup(subprocess.run, ["umount", "-l", store], check=True, timeout=10)
        self.healthy_pair()
        found = self.assert_wrong(self.second, "store")
        self.assertIn("MiB left, so what comes in is not kept", found["store"]["reason"])
        self.assertIn("paccache -r", found["store"]["remedy"])

    def _filter(
        self,
        rule: str,
        *,
        hook: str = "input",
        host: Host | None = None,
        table: str = "flocontest",
    ) -> None:
        """Have a host, the second one, drop what comes in or goes out and matches."""
        host = host or self.second
        nft = shutil.which("nft", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if nft is None:
            self.skipTest("nft is not installed")
        rules = host.folder / "rules"
        chain = f"type filter hook {hook} priority 0\n{rule}\n"
        rules.write_text(f"table inet {table} {{\nchain {hook} {{\n{chain}}}\n}}\n")
        status, output = host.run([nft, "-f", str(rules)])
        if status:
            self.skipTest(f"no packet filter can be had here: {output.strip()}")
        self.addCleanup(host.run, [nft, "delete", "table", "inet", table])

    def test_no_interface_that_multicasts(self) -> None:
        self.sync(self.first, self.second)
        self.addCleanup(self.second.unplug)
        self.second.ip("link", "set", "eth0", "multicast", "off")
        self.second.node()
        found = self.assert_wrong(self.second, "multicast")
        self.assertIn("multicast on", found["multicast"]["remedy"])

    def test_nobody_is_heard(self) -> None:
        self.sync(self.second)
        self.second.node()
        found = self.alone(self.second)
        self.assertIn("no querier", found["peers"]["reason"])
        self.assertEqual(found["multicast"]["verdict"], "good")

    def test_somebody_who_was_heard_and_is_not_any_more(self) -> None:
        first, second = self.healthy_pair()
        self.meet(first, second)
        first.stop()
        wait_until(lambda: not second.peers(), 10, "the first is gone")
        self.listen_long_enough(self.second)
        found = self.assert_wrong(self.second, "peers")
        self.assertIn("nobody is heard any more", found["peers"]["reason"])

    def listen_long_enough(self, host: Host) -> None:
        def long_enough() -> bool:
            told = json.loads(host.request("/doctor.json").body)
            return float(told["listening_seconds"]) >= ENOUGH_LISTENING

        wait_until(long_enough, 10, "it was listened for long enough", every=1)

    def alone(self, host: Host) -> dict[str, dict[str, str]]:
        """Claim that nobody was ever heard, which is nothing wrong."""
        self.listen_long_enough(host)
        found = self.findings(host, status=0)
        self.assertEqual(found["peers"]["verdict"], "warning")
        return found

    def test_a_cache_of_another_user_and_a_store_nobody_can_write(self) -> None:
        self.sync(self.first, self.second)
        self.second.store.chmod(0o777)
        first = self.first.start_node()
        second = self.second.start_node(user=NOBODY)
        for node in (first, second):
            node.wait_ready()
        self.meet(first, second)
        self.findings(self.second, status=0)
        self.second.store.chmod(0o555)
        found = self.assert_wrong(self.second, "store")
        self.assertIn("cannot be written", found["store"]["reason"])


def _install_old(host: Host, package: Package) -> None:
    """Have pacman believe that an old version is installed."""
    folder = host.database_path / "local" / f"{package.name}-0-1"
    folder.mkdir(parents=True)
    fields = {"NAME": package.name, "VERSION": "0-1", "ARCH": "any", "DESC": "old"}
    text = "".join(f"%{key}%\n{value}\n\n" for key, value in fields.items())
    (folder / "desc").write_text(text)
    (folder / "files").write_text("%FILES%\n")
    (host.database_path / "local" / "ALPM_DB_VERSION").write_text("9\n")

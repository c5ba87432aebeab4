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
        """Run ``flocon`` in the folder ``here``; the streams are pipes."""
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

    def two_nodes(self, more: int = 0) -> tuple[Node, Node]:
        """Start two nodes: the first has ten packages (and ``more``), the second none."""
        count = len(self.few_packages) + more
        self.sync(self.first, self.second)
        self.hold(self.first, self.few_packages)
        first, second = self.start_nodes(self.first, self.second)
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
        self.assertIn("10 files", self.say(self.second, "peers"))
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
            [(one["role"], one["address"]) for one in told["order"] if one["role"] != "owner"],
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
        self.assertIn("no file that pacman", self.refuse(self.second, "why", "../etc/passwd"))

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
            [("first", "banned: banned by hand")],
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
        self.assertIn("is not a package", self.refuse(self.second, "get", "core.db"))
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
        self.assertIn("asked no more", self.say(self.second, "ban", "first"))
        self.assertEqual(second.peers()["first"]["state"], "quarantine")
        self.assertIn("for good: banned by hand", self.say(self.second, "status"))
        self.assertIn("may be asked again", self.say(self.second, "pardon", self.first.address))
        self.assertEqual(second.peers()["first"]["state"], "good")
        self.assertIn("was not held off", self.refuse(self.second, "pardon", "first"))
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
        _, second = self.two_nodes()
        for package in packages:
            _install_old(self.second, package)
        self.assertEqual(
            self.say(self.second, "prefetch"), "3 of 3 packages are ready for the next upgrade\n"
        )
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
        program = self.second.folder / "program.conf"
        line = "[options]\nXferCommand = /usr/bin/curl -fo %o %u > /dev/null"
        program.write_text(good.read_text().replace("[options]", line))
        self.assertIn("shell characters outside quotation marks", self._doctor(program))

    def _doctor(self, conf: Path) -> str:
        done = self.run_command(self.second, "doctor", "--pacman-conf", str(conf))
        self.assertEqual((done.returncode, done.stderr), (1, ""), done.stdout)
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

        # Each question has a peer knock, which answers a few in a row.
        wait_until(read, 5, "the databases are read anew", every=0.5)

    def test_a_firewall_before_the_lan_port(self) -> None:
        self.healthy_pair()
        self._filter("tcp dport 19432 ct state new drop")
        found = self.assert_wrong(self.second, "port")
        self.assertIn("closed as seen from first", found["port"]["reason"])
        self.assertIn("firewall-cmd", found["port"]["remedy"])

    def test_a_firewall_before_multicast(self) -> None:
        self.sync(self.first, self.second)
        self._filter("udp dport 19432 drop")
        self.second.node()
        found = self.assert_wrong(self.second, "multicast", "peers")
        self.assertIn("none came back", found["multicast"]["reason"])

    def _filter(self, rule: str) -> None:
        """Have the second host drop what comes in and matches."""
        nft = shutil.which("nft", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if nft is None:
            self.skipTest("nft is not installed")
        rules = self.second.folder / "rules"
        chain = f"type filter hook input priority 0\n{rule}\n"
        rules.write_text(f"table inet flocontest {{\nchain input {{\n{chain}}}\n}}\n")
        status, output = self.second.run([nft, "-f", str(rules)])
        if status:
            self.skipTest(f"no packet filter can be had here: {output.strip()}")
        self.addCleanup(self.second.run, [nft, "delete", "table", "inet", "flocontest"])

    def test_no_interface_that_multicasts(self) -> None:
        self.sync(self.first, self.second)
        self.addCleanup(self.second.unplug)
        self.second.ip("link", "set", "eth0", "multicast", "off")
        self.second.node()
        found = self.assert_wrong(self.second, "multicast", "peers")
        self.assertIn("multicast on", found["multicast"]["remedy"])

    def test_nobody_is_heard(self) -> None:
        self.sync(self.second)
        self.second.node()
        found = self.assert_wrong(self.second, "peers")
        self.assertIn("no querier", found["peers"]["reason"])
        self.assertEqual(found["multicast"]["verdict"], "good")

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

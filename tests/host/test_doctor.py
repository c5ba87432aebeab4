"""Each of the doctor's findings, made of facts; nothing is asked, a disk touched but once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from flocon.core.pacman_conf import Configuration
from flocon.core.secrecy import without_passwords
from flocon.errors import ConfigurationError
from flocon.host import doctor, pacman_files, setup
from flocon.host.doctor import Facts, Finding, Verdict
from flocon.reading import read_plain

NODE = "http://localhost:19433/$repo/os/$arch"
MIRROR = "https://mirror.example/$repo/os/$arch"
NOW = 1_700_000_000.0

Check = Callable[[Facts], Iterator[Finding]]


def configuration(*lines: str, options: str = "") -> Configuration:
    text = "\n".join(["[options]", options, "[core]", *lines, ""]).encode()
    return Configuration("/etc/pacman.conf", {"/etc/pacman.conf": text}, {})


def peer(**other: Any) -> dict[str, Any]:
    known = {"name": "ada", "address": "10.0.0.2", "architectures": ["x86_64"], "quarantine": None}
    return {**known, **other}


def knock(**other: Any) -> dict[str, Any]:
    known = {"name": "ada", "address": "10.0.0.2", "problem": "", "port": 19432, "open": True}
    more = {"heard": True, "clock_ahead_seconds": 0.1, "databases": {"core": NOW}}
    return {**known, **more, **other}


def place(**other: Any) -> dict[str, Any]:
    known = {"link": "eth0", "version": 4, "joined": True, "sent": 9, "own_heard": 9}
    return {**known, "others_heard": 4, **other}


def node(**other: Any) -> dict[str, Any]:
    return {
        "node": "0123456789abcdef",
        "namesake": None,
        "unit": True,
        "configuration": {"path": "/etc/pacman.conf", "problem": ""},
        "repositories": ["core"],
        "mirrors": [{"mirror": "mirror.example", "problem": ""}],
        "links": {"missing": [], "running": ["eth0"], "silent": []},
        "problems": [],
        "lan_port": 19432,
        "architectures": ["x86_64"],
        "peers": [peer()],
        "places": [place()],
        "knocks": [knock()],
        "databases": {"core": NOW},
        "caches": [{"path": "/var/cache/pacman/pkg", "problem": ""}],
        "store": {"path": "/var/cache/flocon", "problem": "", "free_bytes": 1 << 40},
        **other,
    }


HEALTHY = Facts(
    port=19433,
    node=node(),
    configuration=configuration(f"CacheServer = {NODE}", f"Server = {MIRROR}"),
    version=(7, 0),
    environment={},
    now=NOW,
)


class DoctorTestCase(SynchronousTestCase):
    def findings(self, check: Check, **facts: Any) -> list[Finding]:
        return list(check(replace(HEALTHY, **facts)))

    def find(self, check: Check, verdict: Verdict, words: str, **facts: Any) -> Finding:
        """Claim that the check has just this one finding, with these words in its reason."""
        found = self.findings(check, **facts)
        self.assertEqual([one.verdict for one in found], [verdict], found)
        self.assertIn(words, found[0].reason)
        if verdict is Verdict.WRONG:
            self.assertTrue(found[0].remedy)
        return found[0]


class WholeTests(DoctorTestCase):
    def test_a_healthy_machine_has_only_good_findings(self) -> None:
        findings = doctor.examine(HEALTHY)
        self.assertEqual({one.verdict for one in findings}, {Verdict.GOOD}, findings)
        self.assertTrue(doctor.healthy(findings))
        self.assertGreaterEqual(len(findings), 12)

    def test_without_a_node_what_can_be_judged_is(self) -> None:
        findings = doctor.examine(replace(HEALTHY, node=None))
        names = [one.check for one in findings]
        self.assertEqual(names, ["node", "pacman", "proxy", "XferCommand"])
        self.assertFalse(doctor.healthy(findings))

    def test_a_warning_is_no_illness(self) -> None:
        self.assertTrue(doctor.healthy([Finding("x", Verdict.WARNING, "")]))
        self.assertTrue(doctor.healthy([Finding("x", Verdict.UNKNOWN, "")]))


class PacmanTests(DoctorTestCase):
    def judge(self, verdict: Verdict, words: str, *lines: str, **facts: Any) -> Finding:
        told = configuration(*lines)
        return self.find(doctor.check_pacman, verdict, words, configuration=told, **facts)

    def test_a_repository_that_is_not_led_to_the_node(self) -> None:
        found = self.judge(Verdict.WRONG, "for [core]", f"Server = {MIRROR}")
        self.assertEqual(found.remedy, "flocon setup")

    def test_a_mirror_before_the_node(self) -> None:
        lines = (f"Server = {MIRROR}", f"Server = {NODE}")
        found = self.judge(Verdict.WRONG, "mirror.example before the node", *lines)
        self.assertIn("line 5", found.remedy)

    def test_a_server_line_before_the_mirrors(self) -> None:
        self.judge(Verdict.GOOD, "core", f"Server = {NODE}", f"Server = {MIRROR}")

    def test_a_local_folder_before_the_node_is_no_mirror(self) -> None:
        lines = ("Server = file:///srv/repo", f"Server = {NODE}", f"Server = {MIRROR}")
        self.judge(Verdict.GOOD, "core", *lines)

    def test_a_node_that_is_asked_first_for_what_only_pacman_can_fetch(self) -> None:
        lines = (f"Server = {NODE}", "Server = file:///srv/repo")
        found = self.judge(Verdict.WARNING, "nothing for [core]", *lines)
        self.assertIn("file:///srv/repo", found.reason)
        self.assertIn("line 4", found.remedy)
        for good in (lines[::-1], (f"CacheServer = {NODE}", lines[1]), lines[:1]):
            self.judge(Verdict.GOOD, "core", *good)

    def test_a_cache_server_wherever_it_stands(self) -> None:
        self.judge(Verdict.GOOD, "core", f"Server = {MIRROR}", f"CacheServer = {NODE}")

    def test_a_cache_server_that_this_pacman_does_not_know(self) -> None:
        lines = (f"CacheServer = {NODE}", f"Server = {MIRROR}")
        self.judge(Verdict.WRONG, "does not know the CacheServer", *lines, version=(6, 0))

    def test_another_nodes_port_is_not_this_one(self) -> None:
        lines = (f"CacheServer = {NODE}", f"Server = {MIRROR}")
        self.judge(Verdict.WRONG, "does not ask the node", *lines, port=19500)

    def test_a_configuration_that_cannot_be_read(self) -> None:
        error = ConfigurationError("/etc/pacman.conf", "cannot be read", "check it")
        found = self.find(doctor.check_pacman, Verdict.WRONG, "cannot", configuration=error)
        self.assertEqual(found.remedy, "check it")
        broken = Configuration("/p", {"/p": b"Server = x\n"}, {})
        self.find(doctor.check_pacman, Verdict.WRONG, "first [section]", configuration=broken)
        self.assertEqual(self.findings(doctor.check_external_program, configuration=broken), [])

    def test_the_command_that_mends_it_is_for_this_file_and_this_port(self) -> None:
        found = self.find(
            doctor.check_pacman,
            Verdict.WRONG,
            "does not ask the node",
            configuration=configuration(f"Server = {MIRROR}"),
            named=Path("/my root/pacman.conf"),
            port=19_500,
        )
        remedy = "flocon setup --pacman-conf '/my root/pacman.conf' --port 19500"
        self.assertEqual(found.remedy, remedy)


class NothingListedTests(DoctorTestCase):
    """A configuration without a repository: that is the one thing to be told."""

    EMPTY = Configuration("/etc/pacman.conf", {"/etc/pacman.conf": b"[options]\n"}, {})

    def findings_of(self, node: dict[str, Any], **facts: Any) -> list[tuple[str, str]]:
        findings = doctor.examine(replace(HEALTHY, node=node, **facts))
        bad = {Verdict.WRONG, Verdict.WARNING}
        return [(one.check, one.reason) for one in findings if one.verdict in bad]

    def test_it_is_named_and_nothing_else_is_blamed(self) -> None:
        empty = node(repositories=[], databases={}, mirrors=[])
        [(check, reason)] = self.findings_of(empty, configuration=self.EMPTY)
        self.assertEqual(check, "pacman")
        self.assertIn("/etc/pacman.conf has no repository", reason)

    def test_it_is_the_nodes_where_the_node_has_another_one(self) -> None:
        told = {"path": "/srv/pacman.conf", "problem": ""}
        empty = node(repositories=[], databases={}, mirrors=[], configuration=told)
        [(check, reason)] = self.findings_of(empty)
        self.assertEqual(check, "configuration")
        self.assertIn("/srv/pacman.conf has no repository", reason)

    def test_a_store_without_pacman_has_mirrors_of_its_own_and_is_well(self) -> None:
        nas = node(repositories=[], databases={}, configuration=None)
        error = ConfigurationError("/etc/pacman.conf", "cannot be read", "check the path")
        self.assertEqual(self.findings_of(nas, configuration=error), [])


class AloneTests(DoctorTestCase):
    """Repositories that only pacman can fetch."""

    OWN = "[own]\nServer = file:///srv/own"

    def test_they_are_not_said_to_be_led_to_the_node(self) -> None:
        found = self.find(
            doctor.check_pacman,
            Verdict.GOOD,
            "the node first: core; not for own,",
            configuration=configuration(f"Server = {NODE}", f"Server = {MIRROR}", self.OWN),
        )
        self.assertEqual(found.remedy, "")

    def test_where_there_are_no_others_nothing_is_said_to_be_asked(self) -> None:
        text = configuration("Server = file:///srv/core", self.OWN)
        said = "nothing to ask a node for: core, own"
        self.find(doctor.check_pacman, Verdict.UNKNOWN, said, configuration=text)


class PathTests(DoctorTestCase):
    def judge(self, verdict: Verdict, words: str, *lines: str) -> Finding:
        return self.find(doctor.check_pacman, verdict, words, configuration=configuration(*lines))

    def test_a_line_with_another_tools_path_and_what_to_write_instead(self) -> None:
        path = "http://localhost:19433/repo/archlinux/$repo/os/$arch"
        for key in ("Server", "CacheServer"):
            found = self.judge(
                Verdict.WRONG, "/repo/archlinux/", f"{key} = {path}", f"Server = {MIRROR}"
            )
            self.assertIn("line 4", found.reason)
            self.assertEqual(found.remedy, f"write there: {key} = {NODE}")

    def test_a_line_of_another_repository(self) -> None:
        path = "http://localhost:19433/extra/os/$arch"
        self.judge(Verdict.WRONG, "/extra/os", f"Server = {path}", f"Server = {MIRROR}")

    def test_every_way_to_write_the_nodes_own(self) -> None:
        for path in ("$repo/os/$arch", "$repo/os/$arch/", "core/os/x86_64", ""):
            line = f"Server = http://127.0.0.1:19433/{path}"
            self.judge(Verdict.GOOD, "core", line, f"Server = {MIRROR}")


class EnvironmentTests(DoctorTestCase):
    def test_a_proxy_stands_between(self) -> None:
        for name in ("http_proxy", "all_proxy", "ALL_PROXY"):
            environment = {name: "http://proxy:3128", "no_proxy": "example.org"}
            words = f"{name} is set"
            found = self.find(doctor.check_proxy, Verdict.WRONG, words, environment=environment)
            self.assertTrue(found.remedy.endswith("::1,example.org"), found.remedy)

    def test_a_proxy_that_is_not_asked_for_localhost(self) -> None:
        for without in ("localhost", "a, localhost", "*"):
            environment = {"http_proxy": "http://proxy:3128", "no_proxy": without}
            self.find(doctor.check_proxy, Verdict.GOOD, "not used", environment=environment)

    def test_proxies_of_other_schemes_do_not_matter(self) -> None:
        environment = {"https_proxy": "http://proxy:3128", "HTTP_PROXY": "http://proxy:3128"}
        self.find(doctor.check_proxy, Verdict.GOOD, "no proxy", environment=environment)

    def test_programs_that_pacman_cannot_run(self) -> None:
        for command, words in {
            "/usr/bin/curl -fo %o %u > /dev/null": "no shell",
            "/usr/bin/curl -fo %o %u && true": "no shell",
            "/bin/sh -c 'curl -fo %o %u'": "no %u",
            "/usr/bin/curl --url=%u -o %o": "no %u",
            '/usr/bin/curl -fo "%o %u': "quotation mark",
        }.items():
            told = configuration(options=f"XferCommand = {command}")
            self.find(doctor.check_external_program, Verdict.WRONG, words, configuration=told)

    def test_a_program_that_pacman_can_run_is_only_slow(self) -> None:
        for command in ("/usr/bin/curl -fo %o %u", '/usr/bin/wget -O "%o" "%u"'):
            told = configuration(options=f"XferCommand = {command}")
            check = doctor.check_external_program
            self.find(check, Verdict.WARNING, "one after the other", configuration=told)


class NodeTests(DoctorTestCase):
    def judge(self, check: Check, verdict: Verdict, words: str, **told: Any) -> Finding:
        return self.find(check, verdict, words, node=node(**told))

    def test_a_cache_that_the_node_cannot_read(self) -> None:
        caches = [{"path": "/a b", "problem": "Permission denied"}]
        found = self.judge(doctor.check_caches, Verdict.WRONG, "/a b: Perm", caches=caches)
        self.assertIn("'/a b'", found.remedy)
        self.judge(doctor.check_caches, Verdict.UNKNOWN, "no cache", caches=[])

    def test_a_cache_that_the_nodes_own_unit_hides(self) -> None:
        for path, setting in (
            ("/tmp/pkg", "PrivateTmp=no"),
            ("/var/tmp/pkg", "PrivateTmp=no"),
            ("/home/ada/pkg", "ProtectHome=read-only"),
            ("/root/pkg", "ProtectHome=read-only"),
        ):
            told = node(caches=[{"path": path, "problem": "No such file or directory"}])
            check = doctor.check_caches
            words = f"hides it ({setting.partition('=')[0]})"
            found = self.find(check, Verdict.WRONG, words, node=told, there=frozenset({path}))
            self.assertIn(
                f"systemctl edit flocon, write [Service] and below it {setting}", found.remedy
            )

    def test_a_unit_is_not_blamed_for_what_is_nowhere_or_elsewhere_or_not_its(self) -> None:
        path, problem = "/home/ada/pkg", "No such file or directory"
        for there, told in (
            (frozenset(), node(caches=[{"path": path, "problem": problem}])),
            (frozenset({path}), node(caches=[{"path": path, "problem": problem}], unit=False)),
            (frozenset({"/srv/p"}), node(caches=[{"path": "/srv/p", "problem": problem}])),
        ):
            check = doctor.check_caches
            found = self.find(check, Verdict.WRONG, problem, node=told, there=there)
            self.assertIn("install -d", found.remedy)

    def test_a_configuration_that_only_root_can_read(self) -> None:
        told = {"path": "/etc/pacman.d/mirrorlist", "problem": "x: cannot be read"}
        check = doctor.check_configuration
        found = self.judge(check, Verdict.WRONG, "knows no mirror", configuration=told)
        self.assertEqual(found.remedy, "chmod a+r /etc/pacman.d/mirrorlist")
        self.assertEqual(self.findings(check, node=node(configuration=None)), [])

    def test_mirrors_that_are_out_of_reach(self) -> None:
        check = doctor.check_mirrors
        away = {"mirror": "a.example", "problem": "TimeoutError"}
        good = {"mirror": "b.example", "problem": ""}
        found = self.judge(check, Verdict.WRONG, "a.example: TimeoutError", mirrors=[away] * 2)
        self.assertIn("proxy", found.remedy)
        self.judge(check, Verdict.WARNING, "1 of 2 mirrors out of reach", mirrors=[good, away])
        self.judge(check, Verdict.WARNING, "no http or https mirror", mirrors=[])

    def test_a_mirror_that_wants_another_password(self) -> None:
        check = doctor.check_mirrors
        shut = {"mirror": "a.example", "problem": doctor.SHUT}
        found = self.judge(check, Verdict.WRONG, "a.example: wants a name", mirrors=[shut])
        self.assertIn("NAME:PASSWORD@", found.remedy)
        # What is shown has no password in it; this looks like none.
        self.assertEqual(without_passwords(found.remedy), found.remedy)
        good = {"mirror": "b.example", "problem": ""}
        told = self.findings(check, node=node(mirrors=[shut, good]))
        self.assertEqual([one.verdict for one in told], [Verdict.WRONG, Verdict.GOOD])

    def test_an_interface_that_is_not_there_is_the_one_thing_to_mend(self) -> None:
        links = {"missing": ["eth9"], "running": [], "silent": []}
        told = {"links": links, "places": [], "peers": [], "knocks": []}
        found = self.judge(doctor.check_links, Verdict.WRONG, "no interface eth9", **told)
        self.assertIn("--interface", found.remedy)
        for check in (doctor.check_multicast, doctor.check_neighbours):
            self.assertEqual(self.findings(check, node=node(**told)), [])

    def test_no_carrier_is_the_one_thing_to_mend(self) -> None:
        links = {"missing": [], "running": [], "silent": ["eth0", "wlan0"]}
        told = {"links": links, "places": [], "peers": [], "knocks": []}
        self.judge(doctor.check_links, Verdict.WRONG, "no carrier: eth0, wlan0", **told)
        wrong = [
            one.check
            for one in doctor.examine(replace(HEALTHY, node=node(**told)))
            if one.verdict is Verdict.WRONG
        ]
        self.assertEqual(wrong, ["interface"])

    def test_another_machine_with_the_same_id(self) -> None:
        other = {"name": "twin", "address": "10.0.0.9", "node": "0123456789abcdef"}
        told = {"namesake": other, "peers": [], "knocks": []}
        check = doctor.check_identity
        found = self.judge(check, Verdict.WARNING, "twin at 10.0.0.9 had this node's id", **told)
        self.assertIn("/var/cache/flocon/node", found.remedy)
        # It is heard, and so no switch is to blame.
        self.assertEqual(self.findings(doctor.check_neighbours, node=node(**told)), [])

    def test_databases_dated_in_the_future(self) -> None:
        check = doctor.check_databases
        told = {"core": NOW + 30 * 86_400, "extra": NOW}
        found = self.judge(check, Verdict.WRONG, "core are dated 30 days in the", databases=told)
        self.assertEqual(found.remedy, "pacman -Syyu")
        self.judge(check, Verdict.GOOD, "as new", databases={"core": NOW + 600})

    def test_a_wrong_clock_is_not_the_databases_fault(self) -> None:
        behind = [knock(clock_ahead_seconds=30 * 86_400.0, databases={})]
        told = {"databases": {"core": NOW + 30 * 86_400}, "knocks": behind}
        self.assertEqual(
            [one.verdict for one in self.findings(doctor.check_databases, node=node(**told))],
            [Verdict.GOOD],
        )

    def test_what_the_nodes_parts_have_found_out(self) -> None:
        one = {"check": "databases", "reason": "core.db is lz5", "remedy": "ask", "wrong": True}
        check = doctor.check_told
        self.judge(check, Verdict.WRONG, "core.db is lz5", problems=[one])
        self.judge(check, Verdict.WARNING, "lz5", problems=[{**one, "wrong": False}])
        many = self.findings(check, node=node(problems=[one] * 1_000))
        self.assertEqual(len(many), doctor.MOST_TOLD)

    def test_a_store_that_is_closed_or_full(self) -> None:
        store = {"path": "/s", "problem": "cannot be written", "free_bytes": 1 << 40}
        self.judge(doctor.check_store, Verdict.WRONG, "/s: cannot", store=store)
        store = {"path": "/s", "problem": "", "free_bytes": doctor.LEAST_FREE - 1}
        self.judge(doctor.check_store, Verdict.WRONG, "255 MiB left", store=store)

    def test_links_on_which_multicast_fails(self) -> None:
        check = doctor.check_multicast
        self.judge(check, Verdict.WRONG, "can multicast", places=[])
        self.judge(check, Verdict.WRONG, "not joined on eth0 (IPv4)", places=[place(joined=False)])
        self.judge(check, Verdict.WRONG, "none came back", places=[place(own_heard=0)])
        silent = place(sent=0, own_heard=0, version=6)
        self.judge(check, Verdict.WRONG, "could be sent on eth0 (IPv6)", places=[place(), silent])

    def test_nobody_is_heard(self) -> None:
        self.judge(doctor.check_neighbours, Verdict.WRONG, "querier", peers=[], knocks=[])
        self.assertEqual(self.findings(doctor.check_door, node=node(peers=[], knocks=[])), [])

    def test_this_node_is_not_heard(self) -> None:
        knocks = [knock(heard=False)]
        self.judge(doctor.check_neighbours, Verdict.WRONG, "not heard there", knocks=knocks)

    def test_a_closed_port(self) -> None:
        knocks = [knock(name="eve"), knock(open=False)]
        self.judge(doctor.check_door, Verdict.WRONG, "closed as seen from ada", knocks=knocks)

    def test_peers_that_do_not_knock_tell_nothing(self) -> None:
        knocks = [{"name": "ada", "address": "10.0.0.2", "problem": "answered 404"}]
        self.judge(doctor.check_door, Verdict.UNKNOWN, "answered 404", knocks=knocks)
        self.judge(doctor.check_clock, Verdict.UNKNOWN, "no peer's clock", knocks=knocks)

    def test_a_clock_that_is_off(self) -> None:
        for ahead, words in ((7_200.0, "2 hours behind"), (-200.0, "3 minutes ahead of")):
            knocks = [knock(clock_ahead_seconds=one) for one in (ahead, ahead, 0.0)]
            self.judge(doctor.check_clock, Verdict.WRONG, words, knocks=knocks)

    def test_one_peers_clock_is_not_believed_against_two(self) -> None:
        knocks = [knock(clock_ahead_seconds=one) for one in (9_999.0, 0.0, 1.0)]
        self.judge(doctor.check_clock, Verdict.GOOD, "agrees", knocks=knocks)

    def test_without_peers_databases_of_tomorrow_tell_of_the_clock(self) -> None:
        told = {"knocks": [], "databases": {"core": NOW + 3 * 86_400}}
        self.judge(doctor.check_clock, Verdict.WRONG, "3 days in the future", **told)

    def test_peers_of_another_architecture(self) -> None:
        peers = [peer(), peer(name="pi", architectures=["aarch64"])]
        self.judge(doctor.check_architectures, Verdict.WARNING, "pi have", peers=peers)

    def test_databases_that_are_older_or_missing(self) -> None:
        check = doctor.check_databases
        self.judge(check, Verdict.WRONG, "no sync database", databases={})
        old = {"core": NOW - 2 * 86_400}
        self.judge(check, Verdict.WRONG, "core are 2 days older", databases=old)
        self.judge(check, Verdict.GOOD, "as new", databases={"core": NOW - 3_600})
        self.judge(check, Verdict.GOOD, "as new", databases={"extra": NOW - 9e6})

    def test_databases_that_cannot_be_read_are_not_called_missing(self) -> None:
        one = {"check": "databases", "reason": "core.db is lz5", "remedy": "ask", "wrong": True}
        facts = node(databases={}, problems=[one])
        self.assertEqual(self.findings(doctor.check_databases, node=facts), [])

    def test_a_peer_in_quarantine(self) -> None:
        peers = [peer(quarantine="for good: wrong bytes")]
        check = doctor.check_quarantine
        found = self.judge(
            check, Verdict.WARNING, "in quarantine for good: wrong bytes", peers=peers
        )
        self.assertEqual(found.remedy, "flocon pardon 10.0.0.2")


class ConfigurationTests(SynchronousTestCase):
    """What the node reads of pacman's configuration, as its own user."""

    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        # A blank is a part of a path there: the value is the whole line.
        self.path, self.list = folder / "pacman.conf", folder / "mirror list"
        self.path.write_text(f"[options]\n[core]\nInclude = {self.list}\n")
        self.list.write_text("Server = http://h/\n")

    def test_one_that_can_be_read_has_no_problem(self) -> None:
        told = doctor.look_at_configuration(self.path)
        self.assertEqual(told, {"path": str(self.path), "problem": ""})

    def test_the_file_that_cannot_be_read_is_named(self) -> None:
        read = read_plain

        def refuse(path: str, most: int) -> bytes:
            if path == str(self.list):
                raise PermissionError(13, "Permission denied")
            return read(path, most)

        self.patch(pacman_files, "read_plain", refuse)
        told = doctor.look_at_configuration(self.path)
        self.assertEqual(told["path"], str(self.list))
        self.assertIn("cannot be read (Permission denied)", told["problem"])
        self.assertEqual(told["remedy"], "")

    def test_a_folder_is_named_as_what_it_is(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        told = doctor.look_at_configuration(folder)
        self.assertIn("is a folder, and no file", told["problem"])
        self.assertIn(f"{folder}/pacman.conf", told["remedy"])
        for change in (setup.undo, partial(setup.set_up, port=1, method=None, databases=False)):
            with self.assertRaises(ConfigurationError) as caught:
                change(folder, dry_run=True)
            self.assertIn("is a folder", caught.exception.problem)

    def test_so_is_one_that_is_not_there(self) -> None:
        self.path.unlink()
        told = doctor.look_at_configuration(self.path)
        self.assertEqual(told["path"], str(self.path))
        self.assertIn("cannot be read", told["problem"])

    def test_to_open_a_file_that_is_not_there_is_not_advised(self) -> None:
        self.list.unlink()
        told = doctor.look_at_configuration(self.path)
        self.assertEqual(told["remedy"], "check the path and its permissions")
        facts = replace(HEALTHY, node=node(configuration=told))
        found = list(doctor.check_configuration(facts))
        self.assertEqual([one.remedy for one in found], [told["remedy"]])


class FolderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def look(self) -> dict[str, Any]:
        return doctor.look_at_folders([self.folder], self.folder)

    def test_good_folders_have_no_problem(self) -> None:
        (self.folder / "a.pkg.tar.zst").write_text("a")
        (self.folder / "download-abc").mkdir(mode=0)
        told = self.look()
        self.assertEqual(told["caches"], [{"path": str(self.folder), "problem": ""}])
        self.assertEqual(told["store"]["problem"], "")
        self.assertGreater(told["store"]["free_bytes"], 0)

    def test_files_without_the_right_to_read_are_counted(self) -> None:
        (self.folder / "a.pkg.tar.zst").write_text("a")
        with mock.patch.object(os, "access", return_value=False):
            told = self.look()
        self.assertIn("1 file cannot be read", told["caches"][0]["problem"])
        self.assertIn("cannot be written", told["store"]["problem"])

    def test_folders_that_are_not_there(self) -> None:
        self.folder.rmdir()
        told = self.look()
        self.assertEqual(told["caches"][0]["problem"], "No such file or directory")
        self.assertEqual(told["store"]["problem"], "is not there")
        self.assertEqual(told["store"]["free_bytes"], 0)

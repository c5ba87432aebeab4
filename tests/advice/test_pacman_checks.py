"""Whether pacman's requests reach the node, made of facts; nothing is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from flocon.advice import doctor, pacman_checks
from flocon.advice.findings import Finding, Verdict
from flocon.errors import ConfigurationError
from flocon.leading.pacman_conf import Configuration
from tests.advice.doctoring import HEALTHY, MIRROR, NODE, DoctorTestCase, configuration, node


class PacmanTests(DoctorTestCase):
    def judge(self, verdict: Verdict, words: str, *lines: str, **facts: Any) -> Finding:
        told = configuration(*lines)
        return self.find(pacman_checks.check_pacman, verdict, words, configuration=told, **facts)

    def test_what_is_wrong_with_several_repositories_is_said_once(self) -> None:
        late = "Include = /list\n[extra]\nInclude = /list"
        both = {"/list": f"Server = {MIRROR}\nServer = {NODE}\n".encode()}
        none = {"/list": f"Server = {MIRROR}\n".encode()}
        for texts, words in (
            (both, "mirror.example before the node (/list line 2)"),
            (none, "does not ask the node for [core], [extra]"),
        ):
            made = configuration(late)
            made = replace(made, texts={**made.texts, **texts}, included={"/list": ("/list",)})
            found = doctor.examine(replace(HEALTHY, configuration=made))
            [one] = [one for one in found if one.verdict is Verdict.WRONG]
            self.assertIn(words, one.reason)

    def test_a_file_that_neither_can_read_is_told_with_the_node_alone(self) -> None:
        error = ConfigurationError("/list", "cannot be read (Permission denied)", "check it")
        told = {"path": "/list", "problem": f"{error.where}: {error.problem}", "remedy": ""}
        facts = replace(HEALTHY, configuration=error, node=node(configuration=told))
        [one] = [one for one in doctor.examine(facts) if one.verdict is Verdict.WRONG]
        self.assertEqual((one.check, one.remedy), ("configuration", "chmod a+r /list"))

    def test_a_repository_that_is_not_led_to_the_node(self) -> None:
        found = self.judge(Verdict.WRONG, "for [core]", f"Server = {MIRROR}")
        self.assertEqual(found.remedy, "flocon setup")

    def test_repositories_for_which_no_server_stands_are_told_together(self) -> None:
        found = self.judge(Verdict.WRONG, "for [core], [extra]:", "#Server = x", "[extra]")
        self.assertIn("uncomment", found.remedy)
        lines = (f"Server = {NODE}", f"Server = {MIRROR}", "[extra]")
        self.judge(Verdict.WRONG, "for [extra]:", *lines)

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
        self.assertIn("leaves the node out", found.reason)
        self.assertIn("line 4", found.remedy)
        for good in (lines[::-1], (f"CacheServer = {NODE}", lines[1]), lines[:1]):
            self.judge(Verdict.GOOD, "core", *good)

    def test_an_own_repository_before_archs(self) -> None:
        """What it has by the name of a package of Arch's hides that."""
        lines = f"Server = {NODE}\nServer = {MIRROR}"
        before = f"[home]\nServer = {NODE}"
        made = configuration(lines)
        for text, warned in (
            (f"[options]\n{before}\n[core]\n{lines}\n[extra]\n{lines}\n", "[core], [extra]"),
            (f"[options]\n[core]\n{lines}\n{before}\n[extra]\n{lines}\n", "[extra]"),
            (f"[options]\n[core]\n{lines}\n[extra]\n{lines}\n{before}\n", ""),
            (f"[options]\n[others]\n{lines}\n[core]\n{lines}\n", ""),
            (f"[options]\n[core]\nServer = {NODE}\n[extra]\n{lines}\n", ""),
        ):
            facts = replace(made, texts={made.root: text.encode()})
            found = [*pacman_checks.check_pacman(replace(HEALTHY, configuration=facts))]
            warnings = [one for one in found if one.verdict is Verdict.WARNING]
            self.assertEqual(len(warnings), bool(warned), text)
            for one in warnings:
                self.assertIn(f"[home] stands before {warned}", one.reason)
                self.assertIn("/etc/pacman.conf line", one.remedy)

    def test_a_cache_server_wherever_it_stands(self) -> None:
        self.judge(Verdict.GOOD, "core", f"Server = {MIRROR}", f"CacheServer = {NODE}")

    def test_a_cache_server_that_this_pacman_does_not_know(self) -> None:
        lines = (f"CacheServer = {NODE}", f"Server = {MIRROR}")
        self.judge(Verdict.WRONG, "does not know the CacheServer", *lines, version=(6, 0))

    def test_another_nodes_port_is_not_this_one(self) -> None:
        lines = (f"CacheServer = {NODE}", f"Server = {MIRROR}")
        self.judge(Verdict.WRONG, "does not ask the node", *lines, port=19500)

    def test_a_line_of_a_tool_in_whose_place_the_node_answers_leads_to_it(self) -> None:
        told = node(standin_ports=[15678, 7077])
        pacserves = "Server = http://localhost:15678/pacman/$repo/$arch"
        for line in ("CacheServer = http://127.0.0.1:7077/", pacserves):
            lines = (line, f"Server = {MIRROR}")
            self.judge(Verdict.GOOD, "pacman asks the node first", *lines, node=told)
            # It may be that very tool that has the port.
            self.judge(Verdict.WRONG, "does not ask the node", *lines)
        late = (f"Server = {MIRROR}", pacserves)
        self.judge(Verdict.WRONG, "mirror.example before the node", *late, node=told)

    def test_a_configuration_that_cannot_be_read(self) -> None:
        error = ConfigurationError("/etc/pacman.conf", "cannot be read", "check it")
        found = self.find(pacman_checks.check_pacman, Verdict.WRONG, "cannot", configuration=error)
        self.assertEqual(found.remedy, "check it")
        broken = Configuration("/p", {"/p": b"Server = x\n"}, {})
        self.find(
            pacman_checks.check_pacman, Verdict.WRONG, "first [section]", configuration=broken
        )
        self.assertEqual(
            self.findings(pacman_checks.check_external_program, configuration=broken), []
        )

    def test_the_command_that_mends_it_is_for_this_file_and_this_port(self) -> None:
        found = self.find(
            pacman_checks.check_pacman,
            Verdict.WRONG,
            "does not ask the node",
            configuration=configuration(f"Server = {MIRROR}"),
            named=Path("/my root/pacman.conf"),
            port=19_500,
        )
        remedy = "flocon setup --pacman-conf '/my root/pacman.conf' --port 19500"
        self.assertEqual(found.remedy, remedy)


class AloneTests(DoctorTestCase):
    """Repositories that only pacman can fetch."""

    OWN = "[own]\nServer = file:///srv/own"

    def test_they_are_not_said_to_be_led_to_the_node(self) -> None:
        found = self.find(
            pacman_checks.check_pacman,
            Verdict.GOOD,
            "the node first: core; not for own,",
            configuration=configuration(f"Server = {NODE}", f"Server = {MIRROR}", self.OWN),
        )
        self.assertEqual(found.remedy, "")

    def test_where_there_are_no_others_nothing_is_said_to_be_asked(self) -> None:
        text = configuration("Server = file:///srv/core", self.OWN)
        said = "nothing to ask a node for: core, own"
        self.find(pacman_checks.check_pacman, Verdict.UNKNOWN, said, configuration=text)


class PathTests(DoctorTestCase):
    def judge(self, verdict: Verdict, words: str, *lines: str) -> Finding:
        return self.find(
            pacman_checks.check_pacman, verdict, words, configuration=configuration(*lines)
        )

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
            found = self.find(
                pacman_checks.check_proxy, Verdict.WRONG, words, environment=environment
            )
            self.assertTrue(found.remedy.endswith("::1,example.org"), found.remedy)

    def test_a_proxy_that_is_not_asked_for_localhost(self) -> None:
        for without in ("localhost", "a, localhost", "*"):
            environment = {"http_proxy": "http://proxy:3128", "no_proxy": without}
            self.find(pacman_checks.check_proxy, Verdict.GOOD, "not used", environment=environment)

    def test_proxies_of_other_schemes_do_not_matter(self) -> None:
        environment = {"https_proxy": "http://proxy:3128", "HTTP_PROXY": "http://proxy:3128"}
        self.find(pacman_checks.check_proxy, Verdict.GOOD, "no proxy", environment=environment)

    def test_programs_that_pacman_cannot_run(self) -> None:
        for command, words in {
            "/usr/bin/curl -fo %o %u > /dev/null": "no shell",
            "/usr/bin/curl -fo %o %u && true": "no shell",
            "/bin/sh -c 'curl -fo %o %u'": "no %u",
            "/usr/bin/curl --url=%u -o %o": "no %u",
            '/usr/bin/curl -fo "%o %u': "quotation mark",
        }.items():
            told = configuration(options=f"XferCommand = {command}")
            self.find(
                pacman_checks.check_external_program, Verdict.WRONG, words, configuration=told
            )

    def test_a_program_that_pacman_can_run_is_only_slow(self) -> None:
        for command in ("/usr/bin/curl -fo %o %u", '/usr/bin/wget -O "%o" "%u"'):
            told = configuration(options=f"XferCommand = {command}")
            check = pacman_checks.check_external_program
            self.find(check, Verdict.WARNING, "one after the other", configuration=told)

"""What the node reads, reaches and keeps, made of facts; nothing is asked."""

from __future__ import annotations

from typing import Any

from flocon.advice import facts, node_checks
from flocon.advice.findings import Finding, Verdict
from flocon.secrecy import without_passwords
from tests.advice.doctoring import Check, DoctorTestCase, node


class NodeTests(DoctorTestCase):
    def judge(self, check: Check, verdict: Verdict, words: str, **told: Any) -> Finding:
        return self.find(check, verdict, words, node=node(**told))

    def test_a_cache_that_the_node_cannot_read(self) -> None:
        caches = [{"path": "/a b", "problem": "Permission denied"}]
        found = self.judge(node_checks.check_caches, Verdict.WRONG, "/a b: Perm", caches=caches)
        self.assertIn("'/a b'", found.remedy)
        self.judge(node_checks.check_caches, Verdict.UNKNOWN, "no cache", caches=[])

    def test_a_cache_that_does_not_answer(self) -> None:
        silent = {"path": "/a", "problem": "has not answered for 5 s", "silent": True}
        words = "/a has not answered for 5 s"
        found = self.judge(node_checks.check_caches, Verdict.WARNING, words, caches=[silent])
        self.assertEqual(found.remedy, node_checks.LOOK_AFTER_IT)

    def test_a_cache_that_the_nodes_own_unit_hides(self) -> None:
        for path, setting in (
            ("/tmp/pkg", "PrivateTmp=no"),
            ("/var/tmp/pkg", "PrivateTmp=no"),
            ("/home/ada/pkg", "ProtectHome=read-only"),
            ("/root", "ProtectHome=read-only"),
        ):
            told = node(caches=[{"path": path, "problem": "No such file or directory"}])
            check = node_checks.check_caches
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
            check = node_checks.check_caches
            found = self.find(check, Verdict.WRONG, problem, node=told, there=there)
            self.assertIn("install -d", found.remedy)

    def test_a_configuration_that_only_root_can_read(self) -> None:
        told = {"path": "/etc/pacman.d/mirrorlist", "problem": "x: cannot be read"}
        check = node_checks.check_configuration
        found = self.judge(check, Verdict.WRONG, "knows no mirror", configuration=told)
        self.assertEqual(found.remedy, "chmod a+r /etc/pacman.d/mirrorlist")
        self.assertEqual(self.findings(check, node=node(configuration=None)), [])

    def test_mirrors_that_are_out_of_reach(self) -> None:
        check = node_checks.check_mirrors
        away = {"mirror": "a.example", "problem": "TimeoutError"}
        good = {"mirror": "b.example", "problem": ""}
        found = self.judge(check, Verdict.WRONG, "a.example: TimeoutError", mirrors=[away] * 2)
        self.assertIn("proxy", found.remedy)
        self.judge(check, Verdict.WARNING, "1 of 2 mirrors out of reach", mirrors=[good, away])
        self.judge(check, Verdict.WARNING, "no http or https mirror", mirrors=[])

    def test_a_proxy_of_the_lan_is_no_mirror(self) -> None:
        good = {"mirror": "b.example", "parent": "", "problem": ""}
        nas = {"mirror": "nas:9129", "parent": "pacoloco", "problem": "refused the connection"}
        told = self.findings(node_checks.check_mirrors, node=node(mirrors=[nas, good]))
        self.assertEqual([one.verdict for one in told], [Verdict.GOOD])
        check = node_checks.check_parents
        words = "nas:9129 (pacoloco): refused the connection"
        found = self.judge(check, Verdict.WARNING, words, mirrors=[nas, good])
        self.assertIn("parents in /etc/flocon.toml", found.remedy)
        known = {"check": "parents", "reason": words, "remedy": "look", "wrong": False}
        told = self.findings(check, node=node(mirrors=[nas], problems=[known]))
        self.assertEqual(told, [])
        self.judge(check, Verdict.GOOD, "nas:9129", mirrors=[{**nas, "problem": ""}])
        # And one alone is no machine without mirrors.
        self.assertEqual(self.findings(node_checks.check_mirrors, node=node(mirrors=[nas])), [])

    def test_a_mirror_that_wants_another_password(self) -> None:
        check = node_checks.check_mirrors
        shut = {"mirror": "a.example", "problem": facts.SHUT}
        found = self.judge(check, Verdict.WRONG, "a.example: wants a name", mirrors=[shut])
        self.assertIn("NAME:PASSWORD@", found.remedy)
        # What is shown has no password in it; this looks like none.
        self.assertEqual(without_passwords(found.remedy), found.remedy)
        good = {"mirror": "b.example", "problem": ""}
        told = self.findings(check, node=node(mirrors=[shut, good]))
        self.assertEqual([one.verdict for one in told], [Verdict.WRONG, Verdict.GOOD])

    def test_what_the_nodes_parts_have_found_out(self) -> None:
        one = {"check": "databases", "reason": "core.db is lz5", "remedy": "ask", "wrong": True}
        check = node_checks.check_told
        self.judge(check, Verdict.WRONG, "core.db is lz5", problems=[one])
        self.judge(check, Verdict.WARNING, "lz5", problems=[{**one, "wrong": False}])
        lacking = {**one, "wrong": False, "optional": True}
        self.judge(check, Verdict.UNKNOWN, "lz5", problems=[lacking])
        many = self.findings(check, node=node(problems=[one] * 1_000))
        self.assertEqual(len(many), node_checks.MOST_TOLD)

    def test_a_store_that_is_closed_or_full(self) -> None:
        store = {"path": "/s", "problem": "/s: cannot be written", "free_bytes": 1 << 40}
        found = self.judge(node_checks.check_store, Verdict.WRONG, "nothing: /s: c", store=store)
        self.assertIn("chown -R flocon /s; then start the node again", found.remedy)
        store |= {"problem": "/s/lock: Permission denied", "remedy": "chown -R ada /s"}
        found = self.judge(node_checks.check_store, Verdict.WRONG, "/s/lock: Perm", store=store)
        self.assertEqual(found.remedy, "chown -R ada /s; then start the node again")
        store = {"path": "/s", "problem": "", "free_bytes": node_checks.LEAST_FREE - 1}
        self.judge(node_checks.check_store, Verdict.WRONG, "255 MiB left", store=store)

"""The whole of the doctor: every check over the same facts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flocon.advice import doctor
from flocon.advice.findings import Finding, Verdict
from flocon.errors import ConfigurationError
from flocon.leading.pacman_conf import Configuration
from tests.advice.doctoring import HEALTHY, DoctorTestCase, node


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

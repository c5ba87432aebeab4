"""How the node stands among the others, made of facts; nothing is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flocon.advice import doctor, lan_checks
from flocon.advice.findings import Finding, Verdict
from tests.advice.doctoring import HEALTHY, NOW, Check, DoctorTestCase, knock, node, peer, place

#: What a node tells that never heard anybody.
ALONE = {"places": [place(others_heard=0)], "acquainted": False, "listening_seconds": 60.0}


class LanTests(DoctorTestCase):
    def judge(self, check: Check, verdict: Verdict, words: str, **told: Any) -> Finding:
        return self.find(check, verdict, words, node=node(**told))

    def test_an_interface_that_is_not_there_is_the_one_thing_to_mend(self) -> None:
        links = {"missing": ["eth9"], "running": [], "silent": []}
        told = {"links": links, "places": [], "peers": [], "knocks": []}
        found = self.judge(lan_checks.check_links, Verdict.WRONG, "no interface eth9", **told)
        self.assertIn("--interface", found.remedy)
        for check in (lan_checks.check_multicast, lan_checks.check_neighbours):
            self.assertEqual(self.findings(check, node=node(**told)), [])

    def test_no_carrier_is_the_one_thing_to_mend(self) -> None:
        links = {"missing": [], "running": [], "silent": ["eth0", "wlan0"]}
        told = {"links": links, "places": [], "peers": [], "knocks": []}
        self.judge(lan_checks.check_links, Verdict.WRONG, "no carrier: eth0, wlan0", **told)
        wrong = [
            one.check
            for one in doctor.examine(replace(HEALTHY, node=node(**told)))
            if one.verdict is Verdict.WRONG
        ]
        self.assertEqual(wrong, ["interface"])

    def test_another_machine_with_the_same_id(self) -> None:
        other = {"name": "twin", "address": "10.0.0.9", "node": "0123456789abcdef"}
        told = {"namesake": other, "peers": [], "knocks": []}
        check = lan_checks.check_identity
        found = self.judge(check, Verdict.WARNING, "twin at 10.0.0.9 had this node's id", **told)
        self.assertIn("/var/cache/flocon/node", found.remedy)
        # It is heard, and so no switch is to blame.
        self.assertEqual(self.findings(lan_checks.check_neighbours, node=node(**told)), [])

    def test_databases_dated_in_the_future(self) -> None:
        check = lan_checks.check_databases
        told = {"core": NOW + 30 * 86_400, "extra": NOW}
        found = self.judge(check, Verdict.WRONG, "core are dated 30 days in the", databases=told)
        self.assertEqual(found.remedy, "pacman -Syyu")
        self.judge(check, Verdict.GOOD, "as new", databases={"core": NOW + 600})

    def test_a_wrong_clock_is_not_the_databases_fault(self) -> None:
        behind = [knock(clock_ahead_seconds=30 * 86_400.0, databases={})]
        told = {"databases": {"core": NOW + 30 * 86_400}, "knocks": behind}
        self.assertEqual(
            [one.verdict for one in self.findings(lan_checks.check_databases, node=node(**told))],
            [Verdict.GOOD],
        )

    def test_links_on_which_multicast_fails(self) -> None:
        check = lan_checks.check_multicast
        self.judge(check, Verdict.WRONG, "can multicast", places=[])
        self.judge(check, Verdict.WRONG, "not joined on eth0 (IPv4)", places=[place(joined=False)])
        self.judge(check, Verdict.WRONG, "none came back", places=[place(own_heard=0)])
        silent = place(sent=0, own_heard=0, version=6)
        self.judge(check, Verdict.WRONG, "could be sent on eth0 (IPv6)", places=[place(), silent])

    def test_databases_of_another_dbpath_are_known_all_the_same(self) -> None:
        check = lan_checks.check_databases
        self.judge(check, Verdict.WRONG, "no peer is asked", databases={}, further=[])
        told = {"databases": {}, "further": ["core", "extra"]}
        found = self.judge(check, Verdict.WARNING, "for another one are known", **told)
        self.assertIn("of core, extra", found.reason)

    def test_nobody_is_heard(self) -> None:
        for words, verdict, told in (
            ("any more: no other node runs", Verdict.WRONG, {}),
            ("any more: no other node runs", Verdict.WRONG, {**ALONE, "acquainted": True}),
            ("the first node of the LAN; if not, no other", Verdict.WARNING, ALONE),
            ("listens for 1 s now", Verdict.UNKNOWN, {**ALONE, "listening_seconds": 1.2}),
        ):
            found = self.judge(
                lan_checks.check_neighbours, verdict, words, peers=[], knocks=[], **told
            )
            self.assertEqual("querier" in found.remedy, verdict is not Verdict.UNKNOWN)
        self.assertEqual(self.findings(lan_checks.check_door, node=node(peers=[], knocks=[])), [])

    def test_this_node_is_not_heard(self) -> None:
        knocks = [knock(heard=False)]
        self.judge(lan_checks.check_neighbours, Verdict.WRONG, "not heard there", knocks=knocks)

    def test_a_closed_port(self) -> None:
        knocks = [knock(name="eve"), knock(open=False)]
        self.judge(lan_checks.check_door, Verdict.WRONG, "closed as seen from ada", knocks=knocks)

    def test_peers_that_do_not_knock_tell_nothing(self) -> None:
        knocks = [{"name": "ada", "address": "10.0.0.2", "problem": "answered 404"}]
        self.judge(lan_checks.check_door, Verdict.UNKNOWN, "answered 404", knocks=knocks)
        self.judge(lan_checks.check_clock, Verdict.UNKNOWN, "no peer's clock", knocks=knocks)

    def test_a_clock_that_is_off(self) -> None:
        for ahead, words in ((7_200.0, "2 hours behind"), (-200.0, "3 minutes ahead of")):
            knocks = [knock(clock_ahead_seconds=one) for one in (ahead, ahead, 0.0)]
            self.judge(lan_checks.check_clock, Verdict.WRONG, words, knocks=knocks)

    def test_one_peers_clock_is_not_believed_against_two(self) -> None:
        knocks = [knock(clock_ahead_seconds=one) for one in (9_999.0, 0.0, 1.0)]
        self.judge(lan_checks.check_clock, Verdict.GOOD, "agrees", knocks=knocks)

    def test_without_peers_databases_of_tomorrow_tell_of_the_clock(self) -> None:
        told = {"knocks": [], "databases": {"core": NOW + 3 * 86_400}}
        self.judge(lan_checks.check_clock, Verdict.WRONG, "3 days in the future", **told)

    def test_peers_of_another_architecture(self) -> None:
        peers = [peer(), peer(name="pi", architectures=["aarch64"])]
        self.judge(lan_checks.check_architectures, Verdict.WARNING, "pi have", peers=peers)

    def test_databases_that_are_older_or_missing(self) -> None:
        check = lan_checks.check_databases
        self.judge(check, Verdict.WRONG, "no sync database", databases={})
        old = {"core": NOW - 2 * 86_400}
        self.judge(check, Verdict.WRONG, "core are 2 days older", databases=old)
        self.judge(check, Verdict.GOOD, "as new", databases={"core": NOW - 3_600})
        self.judge(check, Verdict.GOOD, "as new", databases={"extra": NOW - 9e6})

    def test_databases_that_cannot_be_read_are_not_called_missing(self) -> None:
        one = {"check": "databases", "reason": "core.db is lz5", "remedy": "ask", "wrong": True}
        facts = node(databases={}, problems=[one])
        self.assertEqual(self.findings(lan_checks.check_databases, node=facts), [])

    def test_a_peer_in_quarantine(self) -> None:
        peers = [peer(quarantine="for good: wrong bytes")]
        check = lan_checks.check_quarantine
        found = self.judge(
            check, Verdict.WARNING, "in quarantine for good: wrong bytes", peers=peers
        )
        self.assertEqual(found.remedy, "flocon pardon 10.0.0.2")

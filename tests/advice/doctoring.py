"""A healthy machine as facts, and a case that has a check find one thing in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.advice.facts import Facts
from flocon.advice.findings import Finding, Verdict
from flocon.leading.pacman_conf import Configuration

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

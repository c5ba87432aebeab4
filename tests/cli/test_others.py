"""``flocon status`` of proxies, other tools' machines, far nodes and faces in their place."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.cli import others


def told(**more: Any) -> list[tuple[str, str]]:
    return list(others.rows({"peers": [], **more}))


def parent(name: str, state: str = "good", **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "pacoloco", "bytes": 2_048, "state": state, "why": "", **more}


def place(kind: str, address: str, state: str = "good", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "address": address, "state": state, "bytes": 1_024, "why": "", **more}


class RowTests(SynchronousTestCase):
    def test_of_nobody_nothing_is_said(self) -> None:
        self.assertEqual(told(), [])
        self.assertEqual(told(parents=[], foreign=[], sites=[], standins=[], adopted=[]), [])

    def test_proxies_that_fail_come_first_with_the_reason(self) -> None:
        rows = told(parents=[parent("a:1"), parent("z:2", "failing", why="nobody listens there")])
        self.assertEqual(
            rows,
            [
                ("parents", "z:2 (pacoloco), gave 2.0 KiB, failing: nobody listens there"),
                ("", "a:1 (pacoloco), gave 2.0 KiB, good"),
            ],
        )

    def test_machines_are_counted_by_tool_and_only_the_bad_ones_named(self) -> None:
        rows = told(
            foreign=[
                place("pacserve", "10.0.0.3"),
                place("pacredir", "10.0.0.4"),
                place("pacredir", "10.0.0.5", "quarantine", why="wrong bytes"),
                place("pacredir", "10.0.0.6", "unknown"),
            ]
        )
        self.assertEqual(rows[0][1], "3 with pacredir, 1 with pacserve; gave 4.0 KiB")
        self.assertEqual(rows[1:], [("", "pacredir at 10.0.0.5 is quarantine: wrong bytes")])

    def test_far_nodes_are_told_by_whom_they_are_known(self) -> None:
        peers = [{"far": True, "told_by": "nas"}, {"far": True, "told_by": "nas"}, {"far": False}]
        peers.append({"far": True, "told_by": ""})
        site = {"addresses": [], "nodes": 0, "why": "no such name"}
        rows = told(
            peers=peers,
            sites=[
                {"name": "x.example", "state": "silent", **site},
                {"name": "nas.example", "state": "good", **site},
            ],
        )
        self.assertEqual(
            rows,
            [
                ("far", "3 nodes in other networks, 2 told by nas"),
                ("", "x.example is silent: no such name"),
            ],
        )

    def test_a_face_that_is_not_open_says_why(self) -> None:
        face = {"endpoints": ["tcp:15678"], "answers": {"check": 2, "file": 1}, "refusals": {}}
        rows = told(
            standins=[
                {"tool": "pacserve", "ports": [15678], "why": "", **face},
                {"tool": "pacredir", "ports": [], "why": "another program has it", **face},
            ]
        )
        self.assertEqual(rows[0], ("in place of", "pacserve on tcp:15678, 3 answers"))
        self.assertEqual(rows[1][1], "pacredir on tcp:15678, not open: another program has it")

    def test_a_folder_that_hangs_is_told_with_the_seconds(self) -> None:
        said = told(silent=[{"path": "/srv/pkg", "seconds": 74.6}])
        self.assertEqual(said, [("silent", "/srv/pkg has not answered for 75 s")])

    def test_adopted_folders_tell_what_of_them_is_held_or_what_is_wrong(self) -> None:
        rows = told(
            adopted=[
                {"path": "/a", "files": 4, "verified": 3, "bytes": 2_048, "problem": ""},
                {"path": "/b", "files": 0, "verified": 0, "bytes": 0, "problem": "cannot be read"},
            ]
        )
        said = [("adopted", "/a, 3 of 4 files verified, 2.0 KiB"), ("", "/b, cannot be read")]
        self.assertEqual(rows, said)

    def test_of_many_some_are_told_and_the_others_counted(self) -> None:
        rows = told(parents=[parent(f"p{number}") for number in range(9)])
        self.assertEqual(len(rows), 6)
        self.assertEqual(rows[-1], ("", "and 4 more"))

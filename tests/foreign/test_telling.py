"""What the doctor hears of other tools' machines, and what this machine calls itself."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.foreign.telling import MOST_TOLD, own_id, tell


class Told(SynchronousTestCase):
    def test_nothing_wrong_is_nothing_told(self) -> None:
        good = {"kind": "pacredir", "address": "10.0.0.7", "port": 1, "found": "setting", "why": ""}
        self.assertEqual(list(tell([good], {}, "")), [])

    def test_each_problem_comes_with_what_mends_it(self) -> None:
        bad = {"kind": "pacredir", "address": "10.0.0.7", "port": 7_078, "found": "setting"}
        told = list(tell([{**bad, "why": "refused"}], {"ada": "has no address now"}, "is taken"))
        self.assertEqual(
            [one["reason"] for one in told],
            [
                "ada, in [foreign] hosts, has no address now",
                "machines with pacserve are not heard: is taken",
                "pacredir at 10.0.0.7, port 7078: refused",
            ],
        )
        self.assertTrue(all(one["remedy"] and not one["wrong"] for one in told))

    def test_who_only_was_heard_may_be_away(self) -> None:
        one = {"kind": "pacserve", "address": "10.0.0.7", "port": 1, "found": "multicast"}
        self.assertEqual(list(tell([{**one, "why": "refused"}], {}, "")), [])

    def test_it_is_bounded(self) -> None:
        told = list(tell([], {str(number): "has no address" for number in range(50)}, ""))
        self.assertEqual(len(told), MOST_TOLD)


class Distribution(SynchronousTestCase):
    def said(self, text: str) -> str:
        path = Path(self.mktemp())
        path.write_text(text)
        return own_id([Path("/nonexistent"), path])

    def test_it_is_what_os_release_says(self) -> None:
        self.assertEqual(self.said('NAME="Arch Linux"\nID=arch\nID_LIKE=x\n'), "arch")
        self.assertEqual(self.said("ID='manjaro'\n"), "manjaro")

    def test_without_a_word_it_is_linux_and_without_a_file_nothing(self) -> None:
        self.assertEqual(self.said("NAME=x\n"), "linux")
        self.assertEqual(own_id([Path("/nonexistent")]), "")

"""Signatures of databases that are known to be absent."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.faces.absent import MOST_ABSENT, AbsentSignatures
from flocon.files import Asked, parse_file_name


def asked(file_name: str, repository: str = "core", architecture: str = "x86_64") -> Asked:
    file = parse_file_name(file_name)
    assert file is not None
    return Asked(repository, architecture, file)


class Absent(SynchronousTestCase):
    def setUp(self) -> None:
        self.absent = AbsentSignatures()

    def test_what_was_absent_is_remembered_for_its_very_path(self) -> None:
        self.absent.add(asked("core.db.sig"))
        self.assertIn(asked("core.db.sig"), self.absent)
        for other in (
            asked("core.files.sig"),
            asked("core.db.sig", architecture="i686"),
            asked("extra.db.sig", "extra"),
        ):
            self.assertNotIn(other, self.absent)

    def test_a_new_database_has_those_beside_it_forgotten_and_no_other(self) -> None:
        beside = asked("core.db.sig"), asked("core.files.sig")
        others = asked("core.db.sig", architecture="i686"), asked("extra.db.sig", "extra")
        for one in (*beside, *others):
            self.absent.add(one)
        self.absent.forget_beside(asked("core.db"))
        self.assertEqual([one for one in beside if one in self.absent], [])
        self.assertEqual([one for one in others if one not in self.absent], [])

    def test_the_first_of_too_many_is_forgotten(self) -> None:
        for number in range(MOST_ABSENT + 1):
            self.absent.add(asked("core.db.sig", architecture=f"a{number}"))
        self.assertEqual(len(self.absent), MOST_ABSENT)
        self.assertNotIn(asked("core.db.sig", architecture="a0"), self.absent)

"""What a command says where the node's socket does not let it in."""

from __future__ import annotations

import errno
import grp
import os
from pathlib import Path

from twisted.internet.error import ConnectError
from twisted.trial.unittest import SynchronousTestCase

from flocon.terminal.asking import _closed


class Closed(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def said(self, number: int) -> str:
        return str(_closed(str(self.path), ConnectError(osError=number)))

    def test_the_group_that_may_is_named(self) -> None:
        self.path.touch()
        [name] = [one.gr_name for one in grp.getgrall() if one.gr_gid == os.getegid()]
        self.assertIn(f"as root or as a member of the group {name}", self.said(errno.EACCES))

    def test_one_that_cannot_be_looked_at_is_told_of_all_the_same(self) -> None:
        self.assertIn("as a member of the socket's group", self.said(errno.EACCES))

    def test_where_nobody_listens_it_is_not_a_matter_of_rights(self) -> None:
        self.assertIn("nobody listens there", self.said(errno.ECONNREFUSED))

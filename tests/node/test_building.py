"""What the doctor is told of who builds and signs for a node."""

from __future__ import annotations

import socket
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from flocon.node.building import absent


class Absent(SynchronousTestCase):
    def setUp(self) -> None:
        # A socket's path has 107 bytes at most.
        folder = TemporaryDirectory(prefix="flocon-")
        self.addCleanup(folder.cleanup)
        self.builder, self.signer = f"{folder.name}/builder", f"{folder.name}/signer"

    def listen(self, path: str) -> None:
        one = socket.socket(socket.AF_UNIX)
        self.addCleanup(one.close)
        one.bind(path)

    def remedies(self) -> list[str]:
        return [told["remedy"] for told in absent(self.builder, self.signer)]

    def test_whoever_has_no_socket_is_told_with_the_unit_that_has_it(self) -> None:
        self.assertEqual(
            self.remedies(),
            [
                "systemctl enable --now flocon-build.socket",
                "systemctl enable --now flocon-sign.socket",
            ],
        )
        self.listen(self.builder)
        self.assertEqual(self.remedies(), ["systemctl enable --now flocon-sign.socket"])

    def test_nothing_is_told_where_both_are_there(self) -> None:
        self.listen(self.builder)
        self.listen(self.signer)
        self.assertEqual(self.remedies(), [])

    def test_a_file_is_no_socket(self) -> None:
        self.listen(self.signer)
        Path(self.builder).write_text("")
        self.assertEqual(len(self.remedies()), 1)

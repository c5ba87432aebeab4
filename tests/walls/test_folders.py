"""What lies in a folder where others write."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from flocon.errors import ToolError
from flocon.walls import folders
from flocon.walls.folders import lying_in


class LyingTests(TestCase):
    """Counted by du."""

    timeout = 60

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        (self.folder / "one").write_bytes(bytes(100_000))
        (self.folder / "linked").hardlink_to(self.folder / "one")

    def test_each_name_counts_and_what_is_in_a_file_once(self) -> Deferred[None]:
        async def go() -> None:
            found = await lying_in(reactor, self.folder)
            self.assertEqual(found.names, 3)
            self.assertGreaterEqual(found.disk, 100_000 + 3 * 1_024)
            self.assertLess(found.disk, 200_000)

        return Deferred.fromCoroutine(go())

    def test_where_no_namespace_is_made_what_can_be_seen_counts(self) -> Deferred[None]:
        async def go() -> None:
            self.patch(os, "geteuid", lambda: 1_000)
            self.patch(folders, "_AS_ROOT", ("false",))
            self.assertEqual((await lying_in(reactor, self.folder)).names, 3)

        return Deferred.fromCoroutine(go())

    def test_what_cannot_be_counted_is_not_taken_for_nothing(self) -> Deferred[None]:
        async def go() -> None:
            work = Deferred.fromCoroutine(lying_in(reactor, self.folder / "gone"))
            await self.assertFailure(work, ToolError)

        return Deferred.fromCoroutine(go())

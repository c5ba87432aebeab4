"""Control groups, as files of a folder."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.walls.groups import Group, own_group


class GroupTests(SynchronousTestCase):
    """In a folder that stands for systemd's."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=Path.cwd()))
        self.said = self.folder / "said"
        self.own = self.folder / "system.slice/flocon-build.service"
        self.own.mkdir(parents=True)
        (self.own / "cgroup.controllers").write_text("memory pids")
        (self.own / "cgroup.procs").write_text("12\n")

    def test_systemd_gives_a_unit_its_own(self) -> None:
        self.said.write_text("1:name=systemd:/x\n0::/system.slice/flocon-build.service\n")
        self.assertEqual(own_group(self.said, self.folder), self.own)

    def test_elsewhere_there_is_none(self) -> None:
        for text in ("0::/\n", "5:memory:/x\n", "0::/nowhere\n", ""):
            self.said.write_text(text)
            self.assertIsNone(own_group(self.said, self.folder))

    def test_a_job_is_bounded_in_one_of_its_own(self) -> None:
        (self.own / "builder").mkdir()
        group = Group(self.own, "7")
        self.assertTrue(group.make(1 << 30, 64))
        self.assertEqual((self.own / "job-7/memory.max").read_text(), str(1 << 30))
        self.assertEqual((self.own / "job-7/pids.max").read_text(), "64")
        self.assertEqual((self.own / "builder/cgroup.procs").read_text(), "12")
        self.assertEqual(group.path, str(self.own / "job-7"))

    def test_that_it_was_short_of_memory_is_told(self) -> None:
        group = Group(self.own, "7")
        group.make(1 << 30, 64)
        events = self.own / "job-7/memory.events"
        events.write_text("oom 1\noom_kill 0\n")
        self.assertFalse(group.was_short)
        events.write_text("oom 1\noom_kill 2\n")
        self.assertTrue(group.was_short)

    def test_without_one_nothing_is_done(self) -> None:
        group = Group(None, "7")
        self.assertFalse(group.make(1 << 30, 64))
        group.remove()
        self.assertEqual((group.path, group.was_short), ("", False))

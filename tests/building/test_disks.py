"""Disks that a builder does not expect: what no layer lies on, and folders that do not go."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from flocon.building import job as jobs
from flocon.building import service as services
from flocon.building.service import Service
from flocon.errors import ToolError
from flocon.walls.folders import clear
from tests.building.case import JobCase, recipe


async def _cannot(_: Any, folder: Path) -> None:
    raise ToolError("rm", f"cannot remove '{folder}': Read-only file system")


class DiskTests(JobCase):
    """As it is told, and what goes on all the same."""

    def _put_on_an_overlay(self) -> Path:
        places = {name: self.folder / name for name in ("lower", "upper", "layers", "var")}
        for one in places.values():
            one.mkdir()
        options = f"lowerdir={places['lower']},upperdir={places['upper']}"
        options += f",workdir={places['layers']}"
        words = ["mount", "-t", "overlay", "overlay", "-o", options, str(places["var"])]
        subprocess.run(words, check=True)
        self.addCleanup(subprocess.run, ["umount", str(places["var"])], check=True)
        return places["var"]

    def test_where_no_layer_can_lie_it_is_said_what_to_do(self) -> Deferred[None]:
        async def go() -> None:
            folder, self.folder = self.folder, self._put_on_an_overlay()
            self.place = self.make_place()
            self.folder = folder
            done = await self.build(recipe())
            self.assertEqual(done.result, "refused", done.log)
            self.assertIn("mount a file system of a disk there", done.reason)
            self.assertIn("--work", done.reason)

        return self.do(go())

    def test_a_folder_that_does_not_go_takes_nothing_from_what_was_built(self) -> Deferred[None]:
        async def go() -> None:
            self.patch(jobs, "clear", _cannot)
            for _ in range(2):
                done = await self.build(recipe())
                self.assertEqual((done.result, len(done.names)), ("built", 1), done.reason)

        return self.do(go())

    def test_a_builder_starts_beside_one_that_does_not_go(self) -> Deferred[None]:
        async def go() -> None:
            stays, goes = (self.place.jobs / name for name in ("stays", "goes"))
            for one in (stays, goes):
                one.mkdir()

            async def clear_some(reactor: Any, folder: Path) -> None:
                await (_cannot if folder == stays else clear)(reactor, folder)

            self.patch(services, "clear", clear_some)
            service = Service(reactor, self.place, frozenset())
            await service.start(str(self.folder / "socket"))
            self.assertTrue((self.folder / "socket").exists())
            self.assertEqual(list(self.place.jobs.iterdir()), [stays])
            await service.stop()

        return self.do(go())

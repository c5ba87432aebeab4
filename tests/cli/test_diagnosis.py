"""``flocon doctor``: which files it looks at, and how it ends."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from flocon.advice import doctor
from flocon.advice.facts import Facts
from flocon.advice.findings import Finding, Verdict
from flocon.advice.pacman_checks import check_node
from flocon.cli import diagnosis
from flocon.errors import ConfigurationError
from tests.terminal.node import NodeTestCase


class Examining(NodeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.own = self.folder / "own.conf"
        self.node.answers = {"/doctor.json": (200, {"pacman_conf": str(self.own)})}

    async def found(self, named: Path | None = None) -> list[dict[str, Any]]:
        """Return what is found of pacman; the node tells nothing else."""
        self.out.truncate(0)
        self.out.seek(0)
        with self.assertRaises(SystemExit):
            await self.run_command(diagnosis.examine, pacman_conf=named, json=True)
        findings = json.loads(self.out.getvalue())["findings"]
        return [one for one in findings if one["check"] == "pacman"]

    async def test_what_the_node_reads_is_looked_at(self) -> None:
        self.own.write_text("[options]\n")
        [one] = await self.found()
        self.assertIn(f"{self.own} has no repository", one["reason"])

    async def test_what_is_named_comes_first(self) -> None:
        self.own.write_text("[options]\n")
        [one] = await self.found(self.folder / "named.conf")
        self.assertIn("named.conf: cannot be read", one["reason"])

    async def test_where_no_node_answers_it_says_why_none_would_start(self) -> None:
        refusal = ConfigurationError("flocon.toml: nmae", "is not a key", "take it away")

        def refuse(_: object) -> None:
            raise refusal

        for load, reason, remedy in (
            (refuse, "and none would start: flocon.toml: nmae: is not a key", "take it away; then"),
            (dict, "no node answers on port 1", "systemctl enable --now flocon"),
        ):
            self.patch(diagnosis, "load", load)
            told: list[Facts] = []
            self.patch(doctor, "examine", lambda facts, told=told: told.append(facts) or [])
            self.node.answers = {}
            await self.run_command(diagnosis.examine, pacman_conf=None, json=True)
            [one] = check_node(replace(told[0], port=1, node=None))
            self.assertIn(reason, one.reason)
            self.assertIn(remedy, one.remedy)

    async def test_the_last_line_is_no_better_than_what_stands_above(self) -> None:
        good, warning, wrong = (
            Finding("c", verdict, "r") for verdict in (Verdict.GOOD, Verdict.WARNING, Verdict.WRONG)
        )
        for findings, last in (
            ([good], "all is well"),
            ([good, warning], "well, but for 1 warning"),
            ([warning, warning], "well, but for 2 warnings"),
            ([good, wrong, warning], "wrong: 1 of 3 findings"),
        ):
            self.patch(doctor, "examine", lambda _, found=findings: found)
            with contextlib.suppress(SystemExit):
                await self.run_command(diagnosis.examine, pacman_conf=None)
            self.assertEqual(self.out.getvalue().splitlines()[-1], last)

    async def test_a_folder_is_named_as_what_it_is(self) -> None:
        [one] = await self.found(self.folder)
        self.assertIn("is a folder, and no file", one["reason"])
        self.assertIn(f"{self.folder}/pacman.conf", one["remedy"])

    async def test_reasons_stand_below_each_other_however_long_a_checks_name_is(self) -> None:
        told = [
            Finding("node", Verdict.GOOD, "it answers"),
            Finding("other networks", Verdict.WRONG, "it is silent", "look"),
        ]
        self.patch(doctor, "examine", lambda _: told)
        with contextlib.suppress(SystemExit):
            await self.run_command(diagnosis.examine, pacman_conf=None)
        lines = self.out.getvalue().splitlines()
        self.assertEqual(lines[0].index("it"), lines[1].index("it is"))
        self.assertEqual(lines[2].index("mend"), lines[1].index("it is"))

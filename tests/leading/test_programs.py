"""What is asked of pacman's programs, and what follows from their answers."""

from __future__ import annotations

import os
from unittest import mock

from flocon.leading import setup
from tests.leading.pacman_shapes import CORE, stock
from tests.leading.setup_case import NODE, PORT, Case, change, tools


class Asking(Case):
    def test_the_version_decides_where_nothing_is_said(self) -> None:
        path = self.write(stock(CORE))
        for version, databases, expected in (
            ((6, 0), False, {"Server"}),
            ((6, 1), False, {"CacheServer"}),
            ((7, 1), True, {"CacheServer", "Server"}),
        ):
            with mock.patch.object(setup, "pacman_version", return_value=version):
                report = setup.set_up(path, port=PORT, databases=databases, dry_run=True)
            added = [line for line in report.diff.splitlines() if NODE in line]
            self.assertEqual(expected, {line[1:].partition(" ")[0] for line in added})

    def test_without_pacman_the_method_must_be_named(self) -> None:
        path = self.write(stock(CORE))
        with mock.patch.dict(os.environ, {"PATH": str(self.base)}):
            said = self.refusal(lambda: setup.set_up(path, port=PORT, dry_run=False))
            self.assertIn("--server or --cache-server", said)
            self.assertTrue(change(path).changed)

    def test_cache_server_is_put_back_where_pacman_does_not_know_it(self) -> None:
        path = self.write(stock(CORE))
        with (
            mock.patch.object(setup, "pacman_version", return_value=(7, 0)),
            tools(
                self.base / "bin",
                pacman_conf="grep -q ^CacheServer $2 &&"
                " echo \"directive 'CacheServer' in section 'core' not recognized.\" >&2; cat $2",
            ),
        ):
            said = self.refusal(lambda: setup.set_up(path, port=PORT, dry_run=False))
        self.assertIn("pacman does not know CacheServer", said)

    def test_another_tools_line_that_pacman_does_not_know_is_no_reason_to_put_all_back(
        self,
    ) -> None:
        line = b"CacheServer = http://127.0.0.1:7077/\nInclude"
        path = self.write(stock(CORE.replace(b"Include", line)))
        with (
            mock.patch.object(setup, "pacman_version", return_value=(6, 0)),
            tools(
                self.base / "bin",
                pacman_conf="for line in $(grep -o ^CacheServer $2); do"
                " echo \"directive 'CacheServer' in section 'core' not recognized.\" >&2; done;"
                " grep -v ^CacheServer $2; cat $(dirname $2)/pacman.d/mirrorlist",
            ),
        ):
            report = setup.set_up(path, port=PORT, dry_run=False)
        self.assertIn(f"Server = {NODE}", report.diff)

    def test_what_pacman_reads_otherwise_than_meant_is_put_back(self) -> None:
        path = self.write(stock(CORE))
        mark = self.base / "asked"
        with tools(self.base / "bin", pacman_conf=f"test -e {mark} && echo Color; : >{mark}"):
            self.assertIn("everything was put back", self.refusal(lambda: change(path)))

    def test_what_pacman_cannot_read_is_refused_before(self) -> None:
        path = self.write(stock(CORE))
        with tools(self.base / "bin", pacman_conf="echo 'error: line 3: no' >&2; exit 1"):
            said = self.refusal(lambda: change(path))
        self.assertIn("pacman itself cannot read it (error: line 3: no)", said)

"""``flocon has`` and ``flocon why``: what may be asked for, and how it is shown."""

from __future__ import annotations

from typing import Any

from flocon.cli import looking
from flocon.terminal.asking import NodeError
from tests.terminal.node import NodeTestCase

FILE = "tool-1-1-any.pkg.tar.zst"


class LookingTests(NodeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.told: dict[str, Any] = {
            "file": FILE,
            "answer": "nobody holds it",
            "listed": [],
            "here": None,
            "arriving": None,
            "order": [],
            "left_out": [],
            "recent": [],
        }
        listed = {"repository": "core", "file": FILE, "version": "1-1"}
        self.found: dict[str, Any] = {"listed": [listed], "files": [], "truncated": False}
        self.node.answers = {"/why.json": (200, self.told), "/search.json": (200, self.found)}

    async def why(self, name: str) -> str:
        await self.run_command(looking.show_reasons, name=name)
        return self.out.getvalue()

    async def refused(self, command: Any, **options: Any) -> str:
        with self.assertRaises(NodeError) as caught:
            await self.run_command(command, **options)
        return str(caught.exception)

    async def test_a_packages_name_stands_for_the_file_that_pacman_would_install(self) -> None:
        self.assertIn(f"{FILE}\n", await self.why("tool"))
        self.assertEqual(self.node.asked[-1], f"GET /why.json?file={FILE}")

    def known(self, *roles: str) -> None:
        """Have one peer of each role be known, and one that is left out."""
        self.told["order"] = [
            {
                "role": role,
                "name": f"the {role}",
                "address": "10.0.0.2",
                "bytes_per_second": 0,
                "active": 0,
                "why": "is there",
            }
            for role in roles
        ]
        self.told["left_out"] = [{"name": "bob", "address": "10.0.0.3", "why": "lacks it"}]

    async def test_of_what_is_not_here_it_tells_who_is_asked_and_who_is_not(self) -> None:
        self.known("holder", "mirror")
        said = await self.why(FILE)
        for words in ("who is asked", "1.  holder", "2.  mirror", "who is not asked", "lacks it"):
            self.assertIn(words, said)

    async def test_of_what_is_here_nobody_is_asked(self) -> None:
        for here, arriving in (
            ({"origin": "cache", "sha256": ""}, None),
            (None, {"source": "", "bytes": 1, "size": 1, "whole": True}),
        ):
            self.told |= {"here": here, "arriving": arriving}
            self.known("holder", "owner", "mirror")
            self.out.truncate(0)
            said = await self.why(FILE)
            self.assertNotIn("asked,", said)
            self.assertNotIn("not asked", said)
            self.assertNotIn("mirror", said)
            self.assertIn("who holds it, too:\n    the holder  10.0.0.2\n", said)

    async def test_a_files_name_is_asked_for_as_it_is(self) -> None:
        await self.why("core.db")
        self.assertEqual(self.node.asked, ["GET /why.json?file=core.db"])

    async def test_a_name_that_nobody_has_is_a_sentence(self) -> None:
        self.found["listed"] = []
        said = await self.refused(looking.show_reasons, name="tol")
        self.assertIn("no sync database has a package called tol", said)

    async def test_an_empty_name_asks_nobody(self) -> None:
        for contains in (True, False):
            said = await self.refused(looking.show_holders, name="", contains=contains)
            self.assertIn("an empty name", said)
        self.assertEqual(self.node.asked, [])

    async def test_no_password_is_shown(self) -> None:
        secret = "http://alice:s3cret@mirror.example/x"
        self.told["answer"] = f"from {secret}"
        self.told["recent"] = [
            {
                "file": FILE,
                "at": 0.0,
                "status": 503,
                "source": secret,
                "bytes": 0,
                "seconds": 1.0,
                "tried": [{"source": secret, "failure": f"cannot ask '{secret}'"}],
            }
        ]
        for wanted in (False, True):
            await self.run_command(looking.show_reasons, name=FILE, json=wanted)
            shown = self.out.getvalue()
            self.assertIn("***@mirror.example", shown)
            self.assertNotIn("s3cret", shown)

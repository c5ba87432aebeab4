"""``flocon has``, ``list`` and ``why``: what may be asked for, and how it is shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
            options = {"contains": contains, "newest": False}
            said = await self.refused(looking.show_holders, names=["a", " "], **options)
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


def file(version: str, **more: Any) -> dict[str, Any]:
    """Return a file as the node tells of it."""
    told = {
        "file": f"tool-{version}-any.pkg.tar.zst",
        "name": "tool",
        "version": version,
        "architecture": "any",
        "size": 2_048,
        "sha256": "00" * 32,
        "listed": [],
        "here": None,
        "holders": [{"node": "1", "name": "bob", "address": "10.0.0.2"}],
        "more_holders": 0,
    }
    return told | more


class HoldersTests(NodeTestCase):
    def setUp(self) -> None:
        super().setUp()
        listed = {"repository": "core", "file": FILE, "version": "1-1"}
        self.found: dict[str, Any] = {"listed": [listed], "files": [], "truncated": False}
        self.node.answers = {"/search.json": (200, self.found)}

    async def has(self, *names: str, contains: bool = False, **more: Any) -> str:
        options = {"names": list(names), "contains": contains, "newest": False, **more}
        await self.run_command(looking.show_holders, **options)
        return self.out.getvalue()

    async def test_the_newest_alone_is_shown_with_all_who_hold_it(self) -> None:
        other = [{"node": "2", "name": "", "address": ""}]
        self.found["files"] = [
            file("3-1"),
            file("3-1", listed=["core"], here="cache", holders=other, more_holders=4),
            file("2-1"),
        ]
        said = await self.has("tool", newest=True)
        self.assertEqual(
            said,
            "tool  3-1  any  2.0 KiB  not listed  bob\n"
            "tool  3-1  any  2.0 KiB  [core]      here (cache), 2, 4 more\n",
        )
        self.assertEqual(self.node.asked, ["GET /search.json?name=tool&newest=yes"])

    async def test_several_are_told_of_one_after_the_other(self) -> None:
        self.found["files"] = [file("3-1")]
        said = await self.has("tool", "other")
        self.assertEqual(len(said.splitlines()), 2)
        asked = ["GET /search.json?name=tool", "GET /search.json?name=other"]
        self.assertEqual(self.node.asked, asked)

    async def test_json_is_an_object_for_one_and_a_list_for_several(self) -> None:
        self.found["files"] = [file("3-1"), file("2-1")]
        self.assertEqual(len(json.loads(await self.has("tool", json=True))["files"]), 2)
        self.out.truncate(0)
        self.out.seek(0)
        told = json.loads(await self.has("tool", "tool", json=True, newest=True))
        self.assertEqual([len(one["files"]) for one in told], [1, 1])

    async def test_it_ends_with_1_where_nobody_has_one_of_them(self) -> None:
        with self.assertRaises(SystemExit) as caught:
            await self.has("tool")
        self.assertEqual(caught.exception.code, 1)
        said = self.out.getvalue()
        self.assertEqual(said, "nobody on the LAN holds tool\nthe mirrors have 1-1 [core]\n")

    async def test_a_size_that_nobody_tells_is_not_made_up(self) -> None:
        place = [{"node": "", "name": "pacserve at 10.0.0.7", "address": ""}]
        self.found["files"] = [file("3-1", size=None, sha256=None, holders=place)]
        said = await self.has("tool")
        self.assertIn("not listed  pacserve at 10.0.0.7", said)
        self.assertNotIn("None", said)


class Pages(dict[str, Any]):
    """Answers each question for a page with the next one."""

    def __init__(self, pages: Sequence[list[dict[str, Any]]]) -> None:
        super().__init__()
        self._left = list(pages)

    def get(self, path: str, default: Any = None) -> Any:
        if path != "/list.json":
            return default
        files = self._left.pop(0)
        last = files[-1] if files and self._left else None
        following = last and {"after": last["file"], "sha256": last["sha256"]}
        return 200, {"of": "lan", "files": files, "next": following}


class ListTests(NodeTestCase):
    def pages(self, *pages: list[dict[str, Any]]) -> None:
        """Have the node tell these pages, one after the other."""
        self.node.answers = Pages(pages)

    async def shown(self, *, remote: bool = False, **more: Any) -> str:
        await self.run_command(looking.show_list, remote=remote, **more)
        return self.out.getvalue()

    async def test_this_machines_are_told_with_where_they_lie(self) -> None:
        self.pages([file("3-1", here="store", holders=[])])
        said = await self.shown()
        self.assertEqual(said, "tool  3-1  any  2.0 KiB  not listed  store\n")
        self.assertEqual(self.node.asked, ["GET /list.json?of=here"])

    async def test_all_pages_of_the_lan_are_asked_for(self) -> None:
        self.pages([file("2-1")], [file("3-1")])
        said = await self.shown(remote=True)
        self.assertEqual([line.split()[1] for line in said.splitlines()], ["2-1", "3-1"])
        second = "GET /list.json?of=lan&after=tool-2-1-any.pkg.tar.zst&sha256=" + "00" * 32
        self.assertEqual(self.node.asked, ["GET /list.json?of=lan", second])

    async def test_json_is_one_object(self) -> None:
        self.pages([file("2-1")], [file("3-1")])
        told = json.loads(await self.shown(remote=True, json=True))
        self.assertEqual(
            told, {"of": "lan", "files": [file("2-1"), file("3-1")], "truncated": False}
        )

    async def test_there_is_an_end_to_what_a_node_tells(self) -> None:
        self.patch(looking, "MOST_LISTED", 3)
        self.pages(*[[file(f"{number}-1")] for number in range(9)])
        said = await self.shown()
        self.assertIn("... and more than these 3\n", said)
        self.assertEqual(len(self.node.asked), 3)

    async def test_nothing_is_said_in_words(self) -> None:
        self.pages([])
        self.assertIn("nothing", await self.shown())

"""``flocon snapshot``: what is shown of states that are kept, and what the node is told."""

from __future__ import annotations

import json
from typing import Any

from flocon.cli import snapshots
from flocon.cli.parser import make_parser
from flocon.snapshots import sayings
from flocon.snapshots.differences import Change, Difference
from flocon.states.publication import SNAPSHOT, Policy, Published, State
from flocon.terminal.asking import Node, NodeError
from tests.states.test_publication import DAY, NOW, generation
from tests.terminal.node import NodeTestCase

OLD, NEW = generation(1, NOW), generation(2, NOW + DAY)
CORE = next(iter(OLD.databases))


def told(**changed: Any) -> dict[str, Any]:
    """Return what ``/snapshots.json`` says of one that is used."""
    policy = Policy(SNAPSHOT, "before", chosen=NOW, until=NOW + 5 * DAY)
    state = State((Published(OLD.identity, NOW),), policy)
    values = sayings.told_snapshots(
        state, (OLD, Published(OLD.identity, NOW)), {"before": (OLD, NOW)}, [OLD, NEW]
    )
    return {"refused": "", **values, **changed}


def difference(**changed: Any) -> dict[str, Any]:
    changes = (Change("a", "1-1", "2-1"), Change("b", "2-1", "1-1"), Change("c", "1-1", "1-1"))
    found = Difference(CORE, (("d", "1-1"),), (("e", "1-1"),), changes)
    return {"refused": "", **sayings.told_difference(OLD, NEW, [found]), **changed}


class SnapshotsTestCase(NodeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(snapshots, "clock", lambda seconds: f"<{round(seconds - NOW)}>")

    async def run_words(self, *words: str) -> list[str]:
        """Run a command line; return the lines that it prints, with one blank for many."""
        options = vars(make_parser().parse_args(["snapshot", *words]))
        del options["port"], options["command"]
        await self.run_command(snapshots.run, **options)
        return [" ".join(line.split()) for line in self.out.getvalue().splitlines()]


class Looking(SnapshotsTestCase):
    async def test_what_is_given_is_told_before_what_is_kept(self) -> None:
        self.node.answers["/snapshots.json"] = (200, told())
        self.assertEqual(
            await self.run_words("list"),
            [
                f"in use before, until <{5 * DAY}>",
                "given the state of <0>, since <0>",
                f"newest the state of <{DAY}>, read <{DAY}>",
                (
                    "before the state of <0> taken <0> core (x86_64) 100 B of databases"
                    " given now, in use"
                ),
            ],
        )

    async def test_where_nothing_is_kept_how_to_is_told(self) -> None:
        self.node.answers["/snapshots.json"] = (200, told(snapshots=[], published=None))
        lines = await self.run_words("list")
        self.assertIn("given nothing yet", lines)
        self.assertIn("flocon snapshot take", lines[-1])

    async def test_a_problem_is_told(self) -> None:
        self.node.answers["/snapshots.json"] = (200, told(problem="it is not there any more"))
        self.assertIn("problem it is not there any more", await self.run_words("list"))

    async def test_each_package_that_is_another_is_told_and_how_many(self) -> None:
        self.node.answers["/snapshots/diff.json"] = (200, difference())
        lines = await self.run_words("diff", "before", "latest")
        self.assertEqual(self.node.asked, ["GET /snapshots/diff.json?before=before&after=latest"])
        self.assertEqual(
            lines,
            [
                "core x86_64 a 1-1 -> 2-1",
                "core x86_64 b 2-1 -> 1-1",
                "core x86_64 c 1-1 built anew",
                "core x86_64 d 1-1 is new",
                "core x86_64 e 1-1 is gone",
                (
                    f"from the state of <0> to that of <{DAY}>:"
                    " 1 newer, 1 older, 1 built anew, 1 new, 1 gone"
                ),
            ],
        )

    async def test_a_state_alone_is_compared_with_what_is_given(self) -> None:
        same = sayings.told_difference(OLD, OLD, [])
        self.node.answers["/snapshots/diff.json"] = (200, {"refused": "", **same})
        lines = await self.run_words("diff", "before")
        self.assertEqual(self.node.asked, ["GET /snapshots/diff.json?before=before&after=now"])
        self.assertEqual(lines, ["from the state of <0> to that of <0>: the same packages"])

    async def test_what_is_left_out_and_what_only_one_has_is_told(self) -> None:
        self.node.answers["/snapshots/diff.json"] = (
            200,
            difference(left_out=7, only_after=["extra (x86_64)"]),
        )
        lines = await self.run_words("diff", "before", "latest")
        self.assertIn("and 7 packages more", lines)
        self.assertIn("only the second state has extra (x86_64)", lines)

    async def test_why_there_is_nothing_to_tell_is_told(self) -> None:
        for path, words in (("/snapshots.json", ["list"]), ("/snapshots/diff.json", ["diff", "x"])):
            self.node.answers[path] = (200, {"refused": "this node is no mirror"})
            with self.assertRaises(NodeError) as caught:
                await self.run_words(*words)
            self.assertEqual(str(caught.exception), "this node is no mirror")

    async def test_json_is_what_the_node_says(self) -> None:
        self.node.answers["/snapshots.json"] = (200, told())
        await self.run_words("list", "--json")
        self.assertEqual(json.loads(self.out.getvalue()), told())


class Telling(SnapshotsTestCase):
    async def told(self, *words: str) -> list[str]:
        """Return the words that the node is told."""
        heard: list[str] = []

        async def tell(_: Node, *told: str, **__: float) -> str:
            heard.extend(told)
            return "it is done"

        self.patch(Node, "tell", tell)
        self.assertEqual((await self.run_words(*words))[-1], "it is done")
        return heard

    async def test_it_is_told_what_to_keep(self) -> None:
        for words, meant in (
            (["take"], ["take", ""]),
            (["take", "x"], ["take", "x"]),
            (["take", "x", "--of", "latest"], ["take", "x", "of", "latest"]),
            (["take", "--date", "2026-11-01"], ["take", "", "dated", "2026-11-01"]),
        ):
            self.assertEqual(await self.told(*words), ["snapshot", *meant])

    async def test_it_is_told_what_to_use(self) -> None:
        for words, meant in (
            (["use", "before"], ["use", "before"]),
            (["use", "3", "days", "behind"], ["use", "3 days behind"]),
            (["use", "3 days behind", "--longer"], ["use", "3 days behind", "longer"]),
        ):
            self.assertEqual(await self.told(*words), ["snapshot", *meant])

    async def test_it_is_told_what_to_drop(self) -> None:
        self.assertEqual(await self.told("drop", "x"), ["snapshot", "drop", "x"])

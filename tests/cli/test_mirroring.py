"""``flocon mirror``: what is shown of the mirror for the LAN, and what the node is told."""

from __future__ import annotations

import json
from typing import Any

from flocon.cli import mirroring
from flocon.faces.control import MOST_WORDS
from flocon.terminal.asking import Node
from tests.mirrors.told import NOW, clearing, clients, snapshot, state, told, wanting
from tests.terminal.node import NodeTestCase


class Status(NodeTestCase):
    async def show(self, *, as_json: bool = False, **changed: Any) -> str:
        self.node.answers["/mirror.json"] = (200, told(**changed))
        await self.run_command(mirroring.run, verb="status", json=as_json)
        return self.out.getvalue()

    async def test_the_state_that_clients_get_is_told_with_its_databases(self) -> None:
        self.patch(mirroring, "clock", lambda seconds: f"<{seconds - NOW}>")
        lines = (await self.show()).splitlines()
        self.assertEqual(
            [" ".join(line.split()) for line in lines],
            [
                "clients get the state of <-3600> from mirror.example, since <-3600>",
                "core (aarch64); core, extra (x86_64)",
                "in use latest",
                "mirror read <-3600>",
            ],
        )

    async def test_what_comes_next_is_told_with_what_it_lacks(self) -> None:
        missing = {"packages": 1, "bytes": 2048, "files": ["linux"]}
        said = await self.show(waiting=state(), missing=missing)
        self.assertIn("; 1 package, 2.0 KiB to come\n", said)

    async def test_when_a_mirror_is_read_next_is_told_and_what_none_has(self) -> None:
        self.patch(mirroring, "clock", lambda seconds: f"<{seconds - NOW}>")
        said = await self.show(next_refresh=NOW + 60, absent=["multilib (aarch64)", "a (x)"])
        self.assertIn("mirror read  <-3600>, again at <60>\n", said)
        self.assertIn("no server has multilib (aarch64), a (x)\n", said)

    async def test_what_is_wanted_by_hand_and_by_the_settings_is_told_once(self) -> None:
        wanted = wanting(state()["generation"], pins=["base", "linux"]) | {
            "by_hand": ["base", "vim"]
        }
        self.assertIn("always base, linux, vim\n", await self.show(wanting=wanted))

    async def test_a_failure_is_told(self) -> None:
        said = await self.show(published=None, problem="no mirror\x1b[2J answers")
        self.assertIn("nothing yet", said)
        self.assertIn("no mirror\\x1b[2J answers", said)

    async def test_clients_are_told_with_what_needed_no_wan(self) -> None:
        said = await self.show(clients=clients(("10.0.0.2", 3 << 20, 1 << 20), ("10.0.0.3", 9, 9)))
        self.assertIn("2 clients without a node took 3.0 MiB, 2.0 MiB of it without the WAN", said)
        self.assertIn("10.0.0.2  3.0 MiB, last ", said)

    async def test_snapshots_and_what_is_kept_are_told(self) -> None:
        said = await self.show(
            snapshots=[snapshot(f"s{number}") for number in range(12)],
            wanting=wanting(state()["generation"], pins=["linux"], unknown=["nosuch"]),
            clearing=clearing(1, 9, cleared_packages=3, cleared_bytes=7),
        )
        self.assertRegex(said, "12 snapshots: s0, .*, s9 and 2 more\\n")
        self.assertIn("2 packages; always linux\n", said)
        self.assertIn("no repository has nosuch\n", said)
        self.assertIn("1 B of 9 B have to stay; 3 packages, 7 B, were cleared\n", said)

    async def test_what_is_not_here_of_what_clients_are_given_is_told(self) -> None:
        wanted = wanting(state()["generation"], lacks=1, lacking=["linux"], lacking_bytes=2048)
        said = await self.show(wanting=wanted)
        self.assertIn("2 packages, 1 of them not here (2.0 KiB)\n", said)

    async def test_a_store_that_is_too_small_for_what_has_to_stay_is_told(self) -> None:
        said = await self.show(clearing=clearing(9, 1))
        self.assertIn("9 B of 1 B have to stay, so nothing new is kept\n", said)

    async def test_one_that_is_off_says_how_it_is_put_on(self) -> None:
        self.assertIn("set serve = true", await self.show(serves=False))

    async def test_as_json_it_is_what_the_node_says(self) -> None:
        self.assertEqual(json.loads(await self.show(as_json=True)), told())


class Telling(NodeTestCase):
    async def tell(self, *, as_json: bool = False, **options: Any) -> list[tuple[str, ...]]:
        told = []

        async def tell(_: Node, *words: str, patience: float) -> str:
            told.append(words)
            self.assertGreater(patience, 60)
            return f"done {len(told)}\nand well"

        self.patch(Node, "tell", tell)
        await self.run_command(mirroring.run, json=as_json, **options)
        return told

    async def test_each_verb_is_what_the_node_is_told(self) -> None:
        for options, words in (
            ({"verb": "refresh"}, ("refresh",)),
            ({"verb": "want", "names": ["linux", "base-devel"]}, ("want", "linux", "base-devel")),
            ({"verb": "unwant", "names": ["linux"]}, ("unwant", "linux")),
            ({"verb": "clean", "dry_run": False}, ("clean",)),
            ({"verb": "clean", "dry_run": True}, ("clean", "dry-run")),
        ):
            self.assertEqual(await self.tell(**options), [("mirror", *words)])

    async def test_lines_that_it_says_are_lines(self) -> None:
        await self.tell(verb="refresh")
        self.assertEqual(self.out.getvalue(), "done 1\nand well\n")

    async def test_as_json_it_is_what_was_said(self) -> None:
        await self.tell(as_json=True, verb="refresh")
        self.assertEqual(json.loads(self.out.getvalue()), {"said": "done 1\nand well"})

    async def test_many_names_are_told_in_turns(self) -> None:
        names = [f"p{number}" for number in range(MOST_WORDS + 5)]
        told = await self.tell(verb="want", names=names)
        self.assertEqual([len(words) - 1 <= MOST_WORDS for words in told], [True, True])
        self.assertEqual([name for words in told for name in words[2:]], names)

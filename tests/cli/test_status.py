"""``flocon status`` and ``flocon peers``: what is shown of what the node tells."""

from __future__ import annotations

import json
from typing import Any

from flocon.cli import status
from tests.builds.told import builds, own, watched
from tests.mirrors.told import clients, state
from tests.mirrors.told import told as told_of_mirror
from tests.terminal.node import NodeTestCase

PEER = {
    "node": "38acdd868c02c268",
    "name": "evil\x1b[2J",
    "address": "10.0.0.2",
    "port": 19432,
    "files": 7,
    "taken_bytes": 3 << 20,
    "last_heard_seconds": 2.4,
    "state": "good",
}

NOTHING_AHEAD = {"text": "", "coming": 0}
READY = "23 of 25 packages ready for the next upgrade, 312.0 MiB; 2 only at mirrors"


def told(**other: Any) -> dict[str, Any]:
    names = ("from_owners", "for_peers", "held_here", "ready_ahead", "from_mirrors")
    traffic = dict.fromkeys(names, 0)
    traffic |= {"from_peers": 2048, "to_peers": 1, "to_pacman": 3 << 20}
    known = {
        "version": "1.0",
        "node": "0123456789abcdef",
        "name": "ada",
        "uptime_seconds": 61.7,
        "peers": [PEER],
        "inventory": {"files": 2, "bytes": 1536},
        "traffic": {f"{name}_bytes": count for name, count in traffic.items()},
        "takers": [],
        "takers_others_bytes": 0,
        "lan": {"nodes": 1, "saved_bytes": 2048, "crossed_bytes": 0},
        "ahead": NOTHING_AHEAD,
        "store": {"bytes": 0, "max_size": 1 << 30, "problem": ""},
        "quarantine": [],
        "receipts": [],
    }
    return {**known, **other}


class StatusTests(NodeTestCase):
    async def show(self, command: Any, **options: Any) -> str:
        await self.run_command(command, **options)
        return self.out.getvalue()

    def answer(self, **other: Any) -> None:
        self.node.answers = {"/status.json": (200, told(**other))}

    async def test_a_mirror_for_the_lan_is_told_of_in_short(self) -> None:
        missing = {"packages": 2, "bytes": 2048, "files": []}
        self.answer(
            mirror=told_of_mirror(
                waiting=state(),
                missing=missing,
                problem="no mirror answers",
                clients=clients(("10.0.0.2", 9, 1)),
            )
        )
        said = await self.show(status.show_status)
        self.assertIn("; the next one waits for 2 packages, 2.0 KiB\n", said)
        self.assertIn("no mirror answers\n", said)
        self.assertIn("1 client without a node took 9 B, 8 B of it without the WAN\n", said)
        self.assertNotIn("10.0.0.2  9 B", said)

    async def test_a_state_that_is_held_is_told_by_its_name(self) -> None:
        self.answer(mirror=told_of_mirror(policy="may"))
        self.assertRegex(await self.show(status.show_status), r"gives the state of .* \(may\)\n")

    async def test_builds_are_told_of_with_what_waits(self) -> None:
        self.answer(builds=builds(watched(), watched("bad", "failed")))
        said = await self.show(status.show_status)
        self.assertIn("builds", said)
        self.assertIn("2 recipes watched\n", said)
        self.assertIn("paru waits for you: 'flocon build status' tells why\n", said)
        self.assertIn("failed: bad\n", said)

    async def test_own_repositories_are_told_of(self) -> None:
        self.answer(own=[own(), own("other", signed=0, copies={}, problem="nobody has it")])
        said = " ".join((await self.show(status.show_status)).split())
        self.assertRegex(said, r"repository home: 7 packages, signed \S+ \S+, made here;")
        self.assertIn("keeps 2 of 3 packages for others", said)
        self.assertIn("repository other: nothing of it is here yet nobody has it", said)

    async def test_a_node_that_is_no_mirror_tells_of_none(self) -> None:
        self.answer(mirror=None)
        self.assertNotIn("mirror  ", await self.show(status.show_status))

    async def test_whose_state_pacman_is_given_is_told(self) -> None:
        self.patch(status, "clock", lambda seconds: f"<{seconds}>")
        nobody = {"named": "nas", "node": "", "of": None, "since": None}
        for followed, said in (
            ({**nobody, "node": "nas (10.0.0.2)"}, "follow nas (10.0.0.2)"),
            (
                {**nobody, "node": "nas (10.0.0.2)", "of": 5, "since": 9},
                "follow nas (10.0.0.2): the state of <5>, given since <9>",
            ),
            (nobody, "no one node nas is here, so pacman's stay as they are"),
        ):
            self.answer(followed=followed)
            shown = await self.show(status.show_status)
            self.assertIn(f"  databases     {said}\n", shown)
            self.out.truncate(0)
        self.answer(followed={**nobody, "named": ""})
        self.assertNotIn("databases", await self.show(status.show_status))

    async def test_bytes_and_peers_are_counted(self) -> None:
        self.answer()
        lines = (await self.show(status.show_status)).splitlines()
        self.assertEqual(lines[0], "flocon 1.0, node 0123456789abcdef as ada")
        self.assertIn("  up            1 min 2 s, 1 peer", lines)
        self.assertIn("  holds         2 packages, 1.5 KiB", lines)
        self.assertIn("  from peers    2.0 KiB", lines)

    async def test_a_store_that_keeps_nothing_is_told(self) -> None:
        self.answer(store={"problem": "/s/lock: Permission denied"})
        said = await self.show(status.show_status)
        self.assertIn("  store         keeps nothing: /s/lock: Permission denied\n", said)

    async def test_what_came_in_each_way_is_told_apart(self) -> None:
        traffic = told()["traffic"]
        more = dict.fromkeys(("from_owners", "for_peers", "held_here", "ready_ahead"), 1024)
        traffic |= {f"{name}_bytes": count for name, count in more.items()}
        self.answer(
            traffic=traffic, lan={"nodes": 3, "saved_bytes": 5 << 30, "crossed_bytes": 1 << 30}
        )
        lines = (await self.show(status.show_status)).splitlines()
        for line in (
            "  from peers    2.0 KiB, 1.0 KiB more fetched for us",
            "  from mirrors  0 B, 1.0 KiB of it for peers",
            "  to pacman     3.0 MiB, 1.0 KiB of it held here, 1.0 KiB of it ready ahead",
            "  the LAN       5.0 GiB saved, 1.0 GiB from mirrors in 30 days, as 3 nodes tell",
        ):
            self.assertIn(line, lines)

    async def test_what_is_ready_for_the_next_upgrade_has_a_line(self) -> None:
        self.answer(ahead={**NOTHING_AHEAD, "text": READY})
        said = await self.show(status.show_status)
        self.assertIn(f"  ahead         {READY}\n", said)

    async def test_while_it_comes_there_is_a_bar(self) -> None:
        bytes_ = {"ready_bytes": 512, "arrived_bytes": 256, "wanted_bytes": 1024}
        self.answer(ahead={"text": "1 of 2 packages ready", "coming": 1, **bytes_})
        lines = (await self.show(status.show_status)).splitlines()
        at = lines.index("  ahead         1 of 2 packages ready")
        drawn = "                [###############.....]  75 %  768 B of 1.0 KiB"
        self.assertEqual(lines[at + 1], drawn)

    async def test_without_an_upgrade_nothing_is_said_of_it(self) -> None:
        self.answer()
        self.assertNotIn("ahead  ", await self.show(status.show_status))

    async def test_who_took_most_is_named(self) -> None:
        takers = [
            {"address": f"10.0.0.{one}", "name": "ada\x1b" if one == 2 else "", "bytes": 9 - one}
            for one in range(2, 9)
        ]
        self.answer(takers=takers, takers_others_bytes=1024)
        said = await self.show(status.show_status)
        told = (
            "ada\\x1b 7 B, 10.0.0.3 6 B, 10.0.0.4 5 B, 10.0.0.5 4 B, 10.0.0.6 3 B, others 1.0 KiB"
        )
        self.assertIn(f"  to peers      1 B: {told}\n", said)

    async def test_who_is_in_quarantine_how_long_and_why(self) -> None:
        text = "for good: banned by hand\x1b[2J"
        self.answer(quarantine=[{"address": "10.0.0.2", "text": text}])
        said = await self.show(status.show_status)
        self.assertIn("  quarantine    10.0.0.2 for good: banned by hand\\x1b[2J\n", said)

    async def test_the_last_three_receipts_the_newest_first(self) -> None:
        self.answer(receipts=[{"at": 9.0 - one, "text": f"{one} packages"} for one in range(5)])
        said = await self.show(status.show_status)
        shown = [line.split()[-2:] for line in said.splitlines() if "receipt" in line]
        self.assertEqual(shown, [[str(one), "packages"] for one in range(3)])

    async def test_peers_have_a_line_each_whatever_their_names(self) -> None:
        self.answer()
        said = await self.show(status.show_peers)
        wanted = (
            "evil\\x1b[2J  10.0.0.2 port 19432  7 packages  took 3.0 MiB  heard 2 s ago  good\n"
        )
        self.assertEqual(said, wanted)

    async def test_without_peers_a_sentence_says_what_to_do(self) -> None:
        self.answer(peers=[])
        self.assertIn("start flocon on another machine", await self.show(status.show_peers))

    async def test_json_is_what_the_node_told(self) -> None:
        self.answer()
        said = json.loads(await self.show(status.show_status, json=True))
        self.assertEqual(said, told())

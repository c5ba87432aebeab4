"""``flocon watch``: what is new is told once, and a screen has nothing that a terminal obeys."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet import defer
from twisted.trial.unittest import SynchronousTestCase

from flocon.cli import watching
from flocon.terminal.asking import NodeError
from tests.cli.test_status import told
from tests.terminal.node import NodeTestCase

HOSTILE = "\x1b[2J\u202e\nx"
MOVING = {
    "file": "linux-6-1-x86_64.pkg.tar.zst",
    "bytes": 25 << 20,
    "size": 100 << 20,
    "bytes_per_second": 5 << 20,
    "seconds_left": 15.0,
    "source": "peer 10.0.0.7",
}
AHEAD = {
    "text": "1 of 3 packages ready for the next upgrade, 1.0 KiB; 2 on the way",
    "coming": 2,
    "ready_bytes": 1024,
    "arrived_bytes": 1024,
    "wanted_bytes": 4096,
}


def answer(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "file": f"tool-{number}-1-any.pkg.tar.zst",
        "at": 1_000.0 + number,
        "seconds": 0.5,
        "status": 200,
        "source": "peer 10.0.0.7",
        "bytes": 2048,
        "tried": [],
        **changed,
    }


def status(**changed: Any) -> dict[str, Any]:
    return told(**{"moving": [MOVING], "ahead": AHEAD, **changed})


class Drawing(SynchronousTestCase):
    def screen(self, *recent: dict[str, Any], gone: bool = False, **changed: Any) -> str:
        return "\n".join(watching.screen(status(**changed), recent, 0.0, gone=gone))

    def test_has_what_is_on_its_way_with_rate_and_time_left(self) -> None:
        drawn = self.screen(answer(1))
        for words in (
            "ada, up 1 min 2 s, 1 peer, holds 2 packages, 1.5 KiB",
            "[#####...............]  25 %  25.0 MiB of 100.0 MiB  5.0 MiB/s  15 s left",
            "from peer 10.0.0.7",
            "ahead: 1 of 3 packages ready for the next upgrade, 1.0 KiB; 2 on the way",
            "  [##########..........]  50 %  2.0 KiB of 4.0 KiB",
            "200  tool-1-1-any.pkg.tar.zst  2.0 KiB in 0.50 s from peer 10.0.0.7",
        ):
            self.assertIn(words, drawn)

    def test_a_file_of_several_sources_is_not_told_as_ones(self) -> None:
        brought = [
            {"source": "peer 10.0.0.7", "bytes": 2000},
            {"source": "mirror m", "bytes": 48},
        ]
        drawn = self.screen(answer(1, source="mirror m", brought=brought))
        self.assertIn("from peer 10.0.0.7 (2.0 KiB), mirror m (48 B)", drawn)

    def test_in_eighty_columns_the_source_is_there_and_the_name_gives_way(self) -> None:
        file = "haskell-microlens-platform-unordered-containers-0.4.3.5-126-x86_64.pkg.tar.zst"
        drawn = watching.screen(status(), [answer(1, file=file)], 0.0, gone=False, columns=80)
        [line] = [one for one in drawn if "haskell-" in one]
        self.assertEqual(len(line), 80)
        self.assertTrue(line.endswith("...  2.0 KiB in 0.50 s from peer 10.0.0.7"), line)
        wide = watching.screen(status(), [answer(1, file=file)], 0.0, gone=False, columns=200)
        self.assertIn(file, "".join(wide))

    def test_what_the_page_hides_is_not_listed(self) -> None:
        signature = answer(1, file="core.db.sig", status=404, source="")
        drawn = self.screen(signature, answer(2))
        self.assertNotIn("core.db.sig", drawn)
        self.assertIn("tool-2-1-any", drawn)

    def test_a_file_of_unknown_size_has_no_bar(self) -> None:
        one = {**MOVING, "size": None, "seconds_left": None, "bytes_per_second": 0, "source": ""}
        text = watching.moving_text(one)
        self.assertEqual(text, "linux-6-1-x86_64.pkg.tar.zst  25.0 MiB  looking for a source")

    def test_what_is_ready_stays_without_a_bar(self) -> None:
        drawn = self.screen(ahead={**AHEAD, "text": "all ready", "coming": 0}, moving=[])
        self.assertIn("ahead: all ready", drawn)
        self.assertNotIn("[#", drawn)

    def test_says_so_when_the_node_is_gone(self) -> None:
        self.assertIn("this is how it was last", self.screen(gone=True))

    def test_hostile_words_stay_text(self) -> None:
        drawn = self.screen(answer(1, file=HOSTILE, source=HOSTILE), name=HOSTILE)
        self.assertTrue(all(line.isprintable() for line in drawn.splitlines()))
        self.assertGreater(drawn.count("\\x1b[2J"), 2)

    def test_lines_are_as_long_as_the_terminal_is_wide(self) -> None:
        self.assertEqual(watching.clip("abcdef", 4), "abcd")
        self.assertEqual(watching.clip("a日本", 4), "a日")
        self.assertEqual(watching.clip("ab", 4), "ab")


class Following(NodeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(watching, "EVERY", 0.01)

    def tell(self, *recent: dict[str, Any], **changed: Any) -> None:
        self.node.answers = {
            "/status.json": (200, status(**changed)),
            "/recent.json": (200, list(recent)),
        }

    async def watch(self, until: str, **options: Any) -> str:
        """Watch until that is shown; then the command is ended."""
        watching_on = self.run_command(watching.watch, **options)
        watching_on.addErrback(lambda failure: failure.trap(defer.CancelledError))
        asked = len(self.node.asked)
        while until not in self.out.getvalue():
            await self.pause(0.01)
            if len(self.node.asked) > asked + 4:
                self.tell(answer(3), answer(2), answer(1), receipts=[RECEIPT])
        watching_on.cancel()
        await watching_on
        return self.out.getvalue()

    async def pause(self, seconds: float) -> None:
        from twisted.internet import reactor, task  # noqa: PLC0415 - trial installs it

        await task.deferLater(reactor, seconds)

    async def test_a_pipe_gets_what_is_new_in_its_order_and_once(self) -> None:
        self.tell(answer(1))
        lines = (await self.watch("7 packages")).splitlines()
        wanted = ["tool-2-1", "tool-3-1", "7 packages: all of it"]
        self.assertEqual(
            [word in line for word, line in zip(wanted, lines, strict=True)], [True] * 3
        )

    async def test_json_has_a_line_each(self) -> None:
        self.tell(answer(1))
        lines = (await self.watch("7 packages", json=True)).splitlines()
        self.assertEqual(
            [json.loads(one)["kind"] for one in lines], ["answer", "answer", "receipt"]
        )

    async def test_without_a_node_it_says_so_at_once(self) -> None:
        with self.assertRaises(NodeError):
            await self.run_command(watching.watch, port=1)


RECEIPT = {"at": 2_000.0, "text": "7 packages: all of it"}

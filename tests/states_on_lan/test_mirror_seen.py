"""What a mirror for the LAN says of itself, by its commands, its page and its figures."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.lan.lan import LOOPBACK_PORT, Node, wait_until
from tests.lan.test_commands import CommandTestCase

MIRROR: dict[str, object] = {"mirror": {"serve": True}}


class MirrorSeen(CommandTestCase):
    def mirror_node(self) -> Node:
        """Start a mirror for the LAN on the first host, and wait until it gives out a state."""
        [node] = self.start_nodes(self.first, settings=MIRROR)

        def is_published() -> bool:
            told = node.status()["mirror"]
            return told is not None and told["published"] is not None

        wait_until(is_published, 10, "a state is published")
        return node

    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = self.say_json(self.first, "mirror", "status")
        return found

    def test_status_tells_the_state_and_refresh_brings_the_next(self) -> None:
        self.lan.repositories = ["core", "plain"]
        self.mirror_node()
        said = self.say(self.first, "mirror", "status")
        place = self.mirror.host.address
        self.assertRegex(said, rf"clients get +the state of .* from {re.escape(place)}, since ")
        self.assertIn("core, plain (x86_64)\n", said)
        before = self.told()
        listed = {one["repository"]: one["packages"] for one in before["published"]["databases"]}
        self.assertEqual(listed, {"core": 20, "plain": 6})
        self.lab.plain.bump([next(iter(self.lab.plain.packages))])
        self.say(self.first, "mirror", "refresh")
        after = self.told()
        self.assertNotEqual(
            after["generations"][0]["generation"], before["generations"][0]["generation"]
        )
        self.assertEqual(len(after["generations"]), 1 + len(before["generations"]))
        self.say(self.first, "snapshot", "take", "kept", "--of", "latest")
        self.assertIn("1 snapshot: kept\n", self.say(self.first, "mirror", "status"))

    def test_what_is_wanted_by_hand_comes_and_stays_until_it_is_not(self) -> None:
        node = self.mirror_node()
        package = min(self.few_packages, key=lambda one: one.path.stat().st_size)
        self.say(self.first, "mirror", "want", package.name)
        self.wait_for_files(node, 1)
        self.assertIn(f"always {package.name}\n", self.say(self.first, "mirror", "status"))
        said = self.say(self.first, "mirror", "clean", "--dry-run")
        self.assertIn("nothing to clear", said)
        self.assertEqual(self.say(self.first, "mirror", "clean"), said)
        self.say(self.first, "mirror", "unwant", package.name)
        self.assertNotIn("always", self.say(self.first, "mirror", "status"))
        self.assertIn("nosuch", self.refuse(self.first, "mirror", "unwant", "nosuch"))

    def test_a_mirror_that_is_away_is_told_everywhere(self) -> None:
        self.mirror_node()
        self.assertIn("mirror  ", self.say(self.first, "status"))
        self.mirror.stop()
        said = self.refuse(self.first, "mirror", "refresh")
        self.assertIn(self.mirror.host.address, said)
        self.assertIn("problem", self.say(self.first, "mirror", "status"))
        conf = str(self.first.pacman_conf())
        done = self.run_command(self.first, "doctor", "--json", "--pacman-conf", conf)
        found = [one for one in json.loads(done.stdout)["findings"] if one["check"] == "mirror"]
        self.assertEqual([one["verdict"] for one in found], ["warning"], found)
        self.assertIn("flocon mirror refresh", found[0]["remedy"])
        page = self.first.request("/", port=LOOPBACK_PORT).body.decode()
        self.assertIn("Clients are given the state of", page)
        figures = self.first.request("/metrics").body.decode()
        self.assertIn("flocon_mirror_failing 1.0\n", figures)

    def test_a_node_that_is_no_mirror_says_how_it_becomes_one(self) -> None:
        self.start_nodes(self.first)
        for words in (["refresh"], ["want", "linux"], ["clean"]):
            said = self.refuse(self.first, "mirror", *words)
            self.assertIn("set serve = true in [mirror]", said)
        self.assertIn("set serve = true", self.say(self.first, "mirror", "status"))
        self.assertFalse(self.told()["serves"])

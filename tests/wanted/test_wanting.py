"""What clients and a person say is wanted, over a restart."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred

from flocon.errors import MirrorError
from flocon.settings.settings import Mirror
from flocon.states.archive import FOLDER
from flocon.wanted.requests import Scope
from flocon.wanted.wanting import REQUESTS_FILE, WRITE_AFTER, Wanting
from tests.wanted.wanting_case import CORE, WantingTestCase, desc, file_name


class WantingCase(WantingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.settings = Mirror(serve=True, pins=("pinned",))
        self.wanting = self.begin()
        generation = self.read(core=[desc("a", groups="base"), desc("b"), desc("pinned")])
        self.done(self.states.publish(generation.identity))

    def begin(self) -> Wanting:
        wanting = Wanting(
            self.reactor,
            self.means,
            settings=lambda: self.settings,
            mirrored=lambda: [CORE],
            store=self.store,
            most=1 << 20,
            states=self.states,
            archive=self.archive,
            pacman=self.pacman,
            arrived=lambda: None,
        )
        self.states.changed = wanting.changed
        wanting.allow(free=True)
        self.done(wanting.open())
        self.addCleanup(wanting.stop)
        return wanting

    def again(self) -> None:
        """Begin anew, as after a restart."""
        self.successResultOf(self.wanting.stop())
        self.wanting = self.begin()

    def refused(self, coroutine: Any) -> str:
        failure = self.failureResultOf(Deferred.fromCoroutine(coroutine), MirrorError)
        return str(failure.value)


class ByHand(WantingCase):
    def test_what_could_not_be_written_down_is_said_to_be_forgotten(self) -> None:
        (self.store / "mirror" / "requests.json").unlink(missing_ok=True)
        (self.store / "mirror" / "requests.json").mkdir()
        self.assertIn("forgotten at the next start", self.done(self.wanting.want(["a"])))
        (self.store / "mirror" / "requests.json").rmdir()
        self.assertNotIn("forgotten", self.done(self.wanting.unwant(["a"])))

    def test_packages_and_groups_are_wanted_from_then_on(self) -> None:
        self.assertIn("a, base", self.done(self.wanting.want(["a", "base"])))
        self.pass_time(10)
        self.assertEqual(sorted(self.transfers.coming), [file_name("a"), file_name("pinned")])
        self.again()
        self.assertEqual(list(self.wanting.requests.by_hand), ["a", "base"])

    def test_what_no_state_knows_is_told_and_nothing_is_wanted(self) -> None:
        self.assertIn("typo", self.refused(self.wanting.want(["a", "typo"])))
        self.assertEqual(self.wanting.describe()["by_hand"], [])

    def test_what_is_no_name_is_told(self) -> None:
        for names in ([], ["../x"], ["a", ""], ["x" * 300]):
            self.assertIn("name packages or groups", self.refused(self.wanting.want(names)))
            self.assertIn("name packages or groups", self.refused(self.wanting.unwant(names)))

    def test_they_are_wanted_no_more_once_that_is_said(self) -> None:
        self.done(self.wanting.want(["a", "b"]))
        self.assertIn(": a", self.done(self.wanting.unwant(["a"])))
        self.assertIn("nobody has said", self.refused(self.wanting.unwant(["a"])))
        self.again()
        self.assertEqual(list(self.wanting.requests.by_hand), ["b"])

    def test_what_flocon_toml_wants_is_taken_out_there(self) -> None:
        self.assertIn("pins in [mirror]", self.refused(self.wanting.unwant(["pinned"])))

    def test_before_it_has_begun_and_after_its_end_it_is_told_so(self) -> None:
        self.successResultOf(self.wanting.stop())
        self.assertIn("not begun", self.refused(self.wanting.want(["a"])))


class Asking(WantingCase):
    def test_what_a_client_asked_for_is_remembered(self) -> None:
        self.wanting.asked("10.0.0.9", CORE, "b")
        self.pass_time(WRITE_AFTER + 1)
        path = self.store / FOLDER / REQUESTS_FILE
        self.assertEqual(list(json.loads(path.read_text())["seen"]["x86_64/core"]), ["b"])
        self.again()
        self.assertEqual(
            self.wanting.requests.wanted(self.now), {Scope("x86_64", ("core",)): ["b"]}
        )

    def test_a_damaged_memory_is_as_none(self) -> None:
        self.successResultOf(self.wanting.stop())
        (self.store / FOLDER / REQUESTS_FILE).write_text('{"seen": {"x86_64/core": [1]}, "by_h')
        self.wanting = self.begin()
        self.assertEqual(self.wanting.describe()["remembered"], 0)

"""What a command is told of a state, and of where its packages are."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred

from flocon.files import Content
from flocon.settings.settings import Mirror as MirrorSettings
from flocon.snapshots.snapshots import Snapshots
from flocon.snapshots.whereabouts import MOST_ASKED, Whereabouts, tell, written
from flocon.states.generation import load
from tests.states.states_case import CORE, StatesTestCase, file_name, sha256_of

A = file_name("a", "1-1")
CONTENT = Content(1_000, sha256_of("a", "1-1"))


class WhereaboutsTests(StatesTestCase):
    def begin(self) -> None:
        super().begin()
        self.held: dict[str, Content] = {}
        self.at_peers: dict[str, Content] = {}
        snapshots = Snapshots(
            self.reactor,
            states=self.states,
            archive=self.archive,
            settings=lambda: MirrorSettings(serve=True),
            mirrored=lambda: [CORE],
            read=lambda _: Deferred(),
        )
        self.done(snapshots.gather())
        self.snapshots = snapshots
        offering: Any = SimpleNamespace(
            holds=lambda name, content: self.held.get(name) == content,
            inventory=SimpleNamespace(names=lambda: iter(self.held)),
        )
        neighbourhood: Any = SimpleNamespace(
            is_held=lambda name, content: self.at_peers.get(name) == content,
            holders=SimpleNamespace(search=self.search),
        )
        self.whereabouts = Whereabouts(
            self.reactor,
            offering=offering,
            neighbourhood=neighbourhood,
        )

    def search(self, fragment: str, **_: int) -> Iterator[list[Any]]:
        found = [name for name in self.at_peers if fragment in name]
        yield [SimpleNamespace(file_name=name) for name in found]

    def tell(self, **fields: str) -> Any:
        return tell(self.states, self.snapshots, ["extra", "core"], fields)

    def ask(self, question: str, **fields: str) -> Any:
        asked = Deferred.fromCoroutine(getattr(self.whereabouts, question)(fields))
        self.reactor.advance(0)
        self.reactor.advance(0)
        return self.successResultOf(asked)

    def test_state_that_is_given_is_told_with_its_databases_in_order(self) -> None:
        generation = self.publish(core={"a": "1-1"}, extra={"b": "1-1"})

        told = self.tell()

        self.assertEqual(load(told["generation"]), generation)
        self.assertEqual(told["repositories"], ["extra", "core"])

    def test_snapshot_is_told_by_its_name(self) -> None:
        old = self.publish(core={"a": "1-1"})
        self.done(self.snapshots.take("old"))
        self.publish(core={"a": "2-1"})

        self.assertEqual(self.tell(name="old")["identity"], old.identity)

    def test_name_of_nothing_is_a_sentence(self) -> None:
        self.publish(core={"a": "1-1"})

        self.assertIn("there is no snapshot", self.tell(name="other")["problem"])

    def test_without_a_state_that_is_said(self) -> None:
        self.assertIn("no state", self.tell()["problem"])

    def test_packages_are_here_at_a_peer_or_nowhere(self) -> None:
        other = Content(1_000, sha256_of("a", "2-1"))
        for held, at_peers, where in (
            ({A: CONTENT}, {}, "here"),
            ({}, {A: CONTENT}, "lan"),
            ({A: other}, {A: other}, ""),
            ({}, {}, ""),
        ):
            self.held, self.at_peers = held, at_peers

            self.assertEqual(self.ask("whereabouts", **{A: written(CONTENT)}), {A: where})

    def test_what_is_no_question_has_no_answer(self) -> None:
        wrong: list[dict[str, str]] = [
            {A: "x"},
            {A: written(CONTENT) + "0x"},
            {A: f"-{CONTENT.size}"},
            {A: "zz" * 32 + "-5"},
            {f"{at}": written(CONTENT) for at in range(MOST_ASKED + 1)},
        ]
        for fields in wrong:
            self.assertIsNone(self.ask("whereabouts", **fields))

    def test_names_are_of_all_that_the_lan_holds_by_architecture(self) -> None:
        self.held = {A: CONTENT, "b-1-1-any.pkg.tar.zst": CONTENT}
        self.at_peers = {file_name("a", "3-1"): CONTENT, file_name("c", "1-1"): CONTENT}

        names = self.ask("names")["names"]

        self.assertEqual(names, {"x86_64": ["a", "c"], "any": ["b"]})

"""What clients asked for and machines have, remembered within bounds."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.wanted import requests as module
from flocon.wanted.requests import DAY, Requests, Scope, load_scope, scope_of

MONTH = 30 * DAY
CORE = Scope("x86_64", ("core",))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["seen", "by_hand", "x86_64/", "a"]), inner, max_size=3)
    ),
    max_leaves=12,
)


class Seen(SynchronousTestCase):
    def setUp(self) -> None:
        self.unused = MONTH
        self.changes = 0
        self.requests = self.recall(None)

    def recall(self, value: object) -> Requests:
        return Requests(lambda: self.unused, value, self.change)

    def change(self) -> None:
        self.changes += 1

    def test_what_was_asked_for_counts_for_a_time(self) -> None:
        self.requests.ask("10.0.0.1", CORE, "bash", 0.0)
        self.assertEqual(self.requests.wanted(MONTH), {CORE: ["bash"]})
        self.assertEqual(self.requests.wanted(MONTH + 1), {})
        self.assertEqual(len(self.requests), 0)

    def test_who_asks_again_has_it_longer(self) -> None:
        self.requests.note(CORE, ["bash", "zsh"], 0.0)
        self.requests.note(CORE, ["bash"], 10 * DAY)
        self.assertEqual(self.requests.wanted(MONTH + 1), {CORE: ["bash"]})

    def test_it_is_told_once_and_not_each_time(self) -> None:
        for second in range(100):
            self.requests.note(CORE, ["bash"], second)
        self.assertEqual(self.changes, 1)
        self.requests.note(CORE, ["bash"], 2 * DAY)
        self.assertEqual(self.changes, 2)

    def test_it_is_remembered(self) -> None:
        self.requests.note(CORE, ["bash"], 7.0)
        self.requests.note(Scope("aarch64"), ["zsh"], 8.0)
        self.requests.want(["base"])
        again = self.recall(json.loads(json.dumps(self.requests.dump())))
        self.assertEqual(again.dump(), self.requests.dump())
        self.assertEqual(again.wanted(9.0), {Scope("aarch64"): ["zsh"], CORE: ["bash"]})

    @given(_JSON)
    def test_what_is_damaged_is_left_out(self, value: object) -> None:
        known = Requests(lambda: MONTH, value)
        for scope, names in known.wanted(0.0).items():
            self.assertEqual(load_scope(str(scope)), scope)
            self.assertTrue(all(names))

    def test_a_clock_that_was_wrong_keeps_nothing_for_ever(self) -> None:
        self.requests.note(CORE, ["bash"], 100 * MONTH)
        self.requests.note(CORE, ["bash"], 0.0)
        self.assertEqual(self.requests.wanted(MONTH + 1), {})


class Bounds(SynchronousTestCase):
    def setUp(self) -> None:
        self.requests = Requests(lambda: MONTH)

    def test_one_client_has_so_many_new_names_a_day(self) -> None:
        self.patch(module, "MOST_OF_A_CLIENT", 3)
        for number in range(9):
            self.requests.ask("10.0.0.1", CORE, f"a{number}", 0.0)
        self.assertEqual((len(self.requests), self.requests.overflowed), (3, 6))
        self.requests.ask("10.0.0.1", CORE, "a0", 0.0)
        self.requests.ask("10.0.0.2", CORE, "b", 0.0)
        self.requests.ask("10.0.0.1", CORE, "c", DAY)
        self.assertEqual((len(self.requests), self.requests.overflowed), (5, 6))

    def test_clients_are_counted_within_a_bound(self) -> None:
        self.patch(module, "MOST_CLIENTS", 2)
        for number in range(9):
            self.requests.ask(f"10.0.0.{number}", CORE, "a", 0.0)
            self.requests.ask(f"10.0.0.{number}", CORE, f"b{number}", 0.0)
        self.assertEqual(len(self.requests._of_clients), 2)

    def test_names_are_bounded_and_those_that_are_known_stay(self) -> None:
        self.patch(module, "MOST_NAMES", 3)
        self.requests.note(CORE, ["a", "b", "c", "d"], 0.0)
        self.requests.note(Scope("aarch64"), ["e"], 0.0)
        self.requests.note(CORE, ["a"], 20 * DAY)
        self.assertEqual(self.requests.wanted(31 * DAY), {CORE: ["a"]})
        self.assertEqual(self.requests.overflowed, 2)

    def test_of_too_many_kinds_the_last_have_all_repositories(self) -> None:
        self.patch(module, "MOST_SCOPES", 2)
        for name in ("a", "b", "c", "d"):
            self.requests.note(Scope("x86_64", (name,)), [name], 0.0)
        wanted = self.requests.wanted(0.0)
        self.assertEqual(wanted[Scope("x86_64")], ["c", "d"])
        for number in range(9):
            self.requests.note(Scope(f"a{number}", ("core",)), ["a"], 0.0)
        self.assertEqual(len(self.requests.wanted(0.0)), 4)

    def test_what_is_wanted_by_hand_is_bounded(self) -> None:
        self.patch(module, "MOST_BY_HAND", 2)
        self.assertEqual(self.requests.want(["a", "b", "c"]), ["a", "b"])
        self.assertEqual(self.requests.unwant(["a", "x"]), ["a"])
        self.assertEqual(self.requests.want(["c", "b"]), ["c", "b"])
        self.assertEqual(list(self.requests.by_hand), ["b", "c"])


class Scopes(SynchronousTestCase):
    def test_a_machine_has_those_of_its_repositories_that_are_mirrored_in_their_order(self) -> None:
        found = scope_of("x86_64", {"extra", "core", "own"}, ["core-testing", "core", "extra"])
        self.assertEqual(found, Scope("x86_64", ("core", "extra")))

    @given(st.text(max_size=30))
    def test_a_text_is_no_scopes_or_the_one_that_it_writes(self, text: str) -> None:
        scope = load_scope(text)
        if scope is not None:
            self.assertEqual(str(scope), text)

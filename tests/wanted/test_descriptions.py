"""What databases say of their packages takes bounded memory, whoever made them."""

from __future__ import annotations

from flocon.wanted import descriptions
from tests.wanted.wanting_case import CORE, EXTRA, WantingTestCase, desc, file_name


class Bounds(WantingTestCase):
    def wanted(self, **listed: list[tuple[str, bytes]]) -> list[str]:
        generation = self.generation(**listed)
        found = descriptions.read_wanted(
            self.archive, generation, [CORE, EXTRA], {}, ["bash", "zsh"]
        )
        return [name for _, name in found]

    def test_a_database_that_says_too_much_is_as_none(self) -> None:
        self.patch(descriptions, "MOST_DESCRIBED", 10_000)
        long = [desc(f"p{number}", needs="x" * 200) for number in range(20)]
        found = self.wanted(core=[desc("bash")], extra=[desc("zsh"), *long])
        self.assertEqual(found, [file_name("bash")])

    def test_so_are_those_that_say_too_much_together(self) -> None:
        self.patch(descriptions, "MOST_DESCRIBED", 1_000)
        found = self.wanted(core=[desc("bash")], extra=[desc("zsh")])
        self.assertEqual(found, [file_name("bash")])

    def test_a_node_looks_through_so_many_relations(self) -> None:
        self.patch(descriptions, "MOST_LOOKED_THROUGH", 3)
        chain = [desc(f"p{number}", needs=f"p{number + 1}") for number in range(9)]
        generation = self.generation(core=[*chain, desc("bash", needs="p0")])
        found = descriptions.read_wanted(self.archive, generation, [CORE], {}, ["bash"])
        names = [name for _, name in found]
        self.assertEqual(names, [file_name(name) for name in ("bash", "p0", "p1", "p2")])

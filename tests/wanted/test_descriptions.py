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

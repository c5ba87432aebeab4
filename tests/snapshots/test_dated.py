"""Where packages are that mirrors have no more: in an archive, by the day of their state."""

from __future__ import annotations

from dataclasses import replace

from flocon.files import Asked, parse_parts
from flocon.pacman.entries import Entry
from flocon.snapshots.dated import servers_of_the_past
from tests.states.states_case import BEGINNING, DAY, StatesTestCase, file_name, sha256_of

ARCHIVE = "https://archive.example/repos/$date/$repo/os/$arch"
#: The days of ``BEGINNING``, and the one after it.
FOLDERS = tuple(
    f"https://archive.example/repos/2026/09/{day}/core/os/x86_64" for day in ("21", "22")
)


class OfThePast(StatesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.publish(core={"a": "1-1", "b": "1-1"})
        self.now = BEGINNING + 3 * DAY
        self.publish(core={"a": "2-1", "b": "1-1"})

    def asked(self, name: str, version: str, suffix: str = "") -> Asked:
        asked = parse_parts("core", "x86_64", file_name(name, version) + suffix)
        assert asked is not None
        return asked

    def servers(self, asked: Asked, entry: Entry | None = None) -> tuple[str, ...]:
        return servers_of_the_past(self.states, ARCHIVE, asked, entry)

    def test_what_only_an_earlier_state_lists_is_in_the_folders_of_its_day(self) -> None:
        self.assertEqual(self.servers(self.asked("a", "1-1")), FOLDERS)

    def test_of_one_that_is_kept_as_of_an_earlier_day_that_days_folders_come_first(self) -> None:
        old = self.states.read[0]
        day_before = replace(old, last_update=BEGINNING - DAY)
        self.done(self.states.keep_snapshot("day", day_before, BEGINNING))
        earlier = FOLDERS[0].replace("/21/", "/20/")
        self.assertEqual(self.servers(self.asked("a", "1-1")), (earlier, *FOLDERS))

    def test_so_is_its_signature(self) -> None:
        self.assertEqual(self.servers(self.asked("a", "1-1", ".sig")), FOLDERS)

    def test_what_the_newest_lists_is_at_the_mirrors(self) -> None:
        self.assertEqual(self.servers(self.asked("a", "2-1")), ())
        self.assertEqual(self.servers(self.asked("b", "1-1")), ())

    def test_what_no_state_in_use_lists_is_nowhere(self) -> None:
        self.assertEqual(self.servers(self.asked("a", "0-1")), ())

    def test_what_another_repository_or_machine_asks_for_is_nowhere(self) -> None:
        for repository, architecture in (("extra", "x86_64"), ("core", "aarch64")):
            asked = parse_parts(repository, architecture, file_name("a", "1-1"))
            assert asked is not None
            self.assertEqual(self.servers(asked), ())

    def test_a_path_without_a_repository_is_that_of_what_is_listed(self) -> None:
        name = file_name("a", "1-1")
        flat = Asked("", "", self.asked("a", "1-1").file)
        self.assertEqual(self.servers(flat), ())
        entry = Entry("core", name, "a", "1-1", 1_000, sha256_of("a", "1-1"), None)
        self.assertEqual(self.servers(flat, entry), FOLDERS)

    def test_databases_are_never_asked_for_there(self) -> None:
        asked = parse_parts("core", "x86_64", "core.db")
        assert asked is not None
        self.assertEqual(self.servers(asked), ())

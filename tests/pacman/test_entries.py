"""Packed entries are those of a dict, signatures in a vault or not."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.files import LARGEST_FILE
from flocon.pacman import syncdb
from flocon.pacman.entries import Entry, PackedEntries

SHA256 = bytes(range(32))
names = st.text("abc-1", min_size=1, max_size=6)
all_entries = st.lists(
    st.builds(
        Entry,
        st.just("core"),
        names,
        names,
        names,
        st.integers(0, LARGEST_FILE),
        st.binary(min_size=32, max_size=32),
        st.none() | st.binary(min_size=1, max_size=syncdb.LARGEST_SIGNATURE),
    ),
    max_size=20,
)


class Packing(SynchronousTestCase):
    @settings(max_examples=200, deadline=None)
    @given(all_entries, names)
    def test_packed_entries_are_those_of_a_dict_that_keeps_the_first(
        self, entries: list[Entry], name: str
    ) -> None:
        expected: dict[str, Entry] = {}
        for entry in entries:
            expected.setdefault(entry.file_name, entry)
        packed = PackedEntries("core", entries)
        self.assertEqual(dict(packed), expected)
        self.assertEqual(len(packed), len(expected))
        self.assertEqual(packed.repeated, len(entries) - len(expected))
        self.assertEqual(packed.get(name), expected.get(name))

    def test_the_longest_of_everything_fits(self) -> None:
        text = "n" * 255
        signature = bytes(syncdb.LARGEST_SIGNATURE)
        entry = Entry("core", text, text, text, LARGEST_FILE, SHA256, signature)
        self.assertEqual(PackedEntries("core", [entry])[text], entry)

    def test_more_endings_than_can_be_numbered(self) -> None:
        entries = [
            Entry("core", f"n-{number}-a{number}.pkg", "n", str(number), number, SHA256, b"s")
            for number in range(300)
        ]
        packed = PackedEntries("core", entries)
        self.assertEqual(dict(packed), {entry.file_name: entry for entry in entries})

    @settings(max_examples=200, deadline=None)
    @given(all_entries, st.integers(0, 5))
    def test_signatures_are_in_the_vault_as_long_as_that_takes_them(
        self, entries: list[Entry], room: int
    ) -> None:
        vault = Shelf(room)
        expected: dict[str, Entry] = {}
        for entry in entries:
            expected.setdefault(entry.file_name, entry)
        packed = PackedEntries("core", entries, vault)
        found = {name: entry.read_signature() for name, entry in packed.items()}
        self.assertEqual(found, {name: entry.signature for name, entry in expected.items()})
        signed = [entry for entry in entries if entry.signature]
        self.assertEqual(len(vault.kept), min(room, len(signed)))

    def test_what_the_vault_has_lost_is_no_signature(self) -> None:
        vault = Shelf(1)
        entry = Entry("core", "n", "n", "v", 1, SHA256, b"signature")
        packed = PackedEntries("core", [entry], vault)
        vault.kept.clear()
        self.assertIsNone(packed["n"].read_signature())


class Shelf:
    """A vault with room for so many signatures."""

    def __init__(self, room: int) -> None:
        self._room = room
        self.kept: list[bytes] = []

    def keep(self, signature: bytes) -> int | None:
        if len(self.kept) == self._room:
            return None
        self.kept.append(signature)
        return len(self.kept) - 1

    def read(self, place: int, length: int) -> bytes | None:
        found = self.kept[place] if place < len(self.kept) else None
        assert found is None or len(found) == length
        return found

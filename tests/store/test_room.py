"""Who has room, who is cut off for whom, and that what is taken is given back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.store.room import MOST_MEMORY, MOST_MEMORY_OF_STRANGERS, OWN, Room, Share

MIB = 1 << 20


class Stranger:
    """Gives its share back when it is cut off."""

    own = False

    def __init__(
        self, room: Room, size: int, *, memory: bool = False, nameless: bool = False
    ) -> None:
        self.room = room
        self.cuts = 0
        self.share = Share(size, memory=memory, nameless=nameless, lessees=[self])
        room.take(self.share)

    def cut(self) -> None:
        self.cuts += 1
        self.room.give(self.share)


class Memory(SynchronousTestCase):
    def test_strangers_get_part_of_it(self) -> None:
        room = Room()
        self.assertTrue(room.has_memory(MOST_MEMORY_OF_STRANGERS, own=False))
        Stranger(room, MOST_MEMORY_OF_STRANGERS, memory=True)
        self.assertFalse(room.has_memory(1, own=False))
        self.assertTrue(room.has_memory(MOST_MEMORY - MOST_MEMORY_OF_STRANGERS, own=True))

    def test_pacman_gets_all_of_it_and_no_more(self) -> None:
        room = Room()
        self.assertTrue(room.has_memory(MOST_MEMORY, own=True))
        self.assertFalse(room.has_memory(MOST_MEMORY + 1, own=True))

    def test_strangers_go_for_pacman_the_largest_first_and_no_more_than_needed(self) -> None:
        room = Room()
        small = Stranger(room, 10 * MIB, memory=True)
        large = Stranger(room, 50 * MIB, memory=True)
        self.assertTrue(room.has_memory(MOST_MEMORY - 20 * MIB, own=True))
        self.assertEqual((small.cuts, large.cuts), (0, 1))

    def test_pacmans_own_never_goes(self) -> None:
        room = Room()
        share = Share(MOST_MEMORY, memory=True, lessees=[OWN])
        room.take(share)
        self.assertFalse(room.has_memory(1, own=True))
        self.assertIn(share, set(room))

    def test_a_file_that_pacman_reads_too_is_pacmans(self) -> None:
        room = Room()
        stranger = Stranger(room, MOST_MEMORY_OF_STRANGERS, memory=True)
        stranger.share.lessees.append(OWN)
        self.assertFalse(room.has_memory(MOST_MEMORY, own=True))
        self.assertEqual(stranger.cuts, 0)
        self.assertTrue(room.has_memory(MIB, own=False))

    def test_disk_is_no_memory(self) -> None:
        room = Room()
        stranger = Stranger(room, 50 * MIB)
        self.assertEqual((room.disk, room.memory), (50 * MIB, 0))
        room.has_memory(MOST_MEMORY, own=True)
        self.assertEqual(stranger.cuts, 0)


class Disk(SynchronousTestCase):
    def test_for_pacman_all_strangers_go_as_far_as_needed(self) -> None:
        room = Room()
        deleted = Stranger(room, 10, nameless=True)
        coming = Stranger(room, 20)
        memory = Stranger(room, 30, memory=True)
        room.clear_disk(15, own=True)
        self.assertEqual((deleted.cuts, coming.cuts, memory.cuts), (0, 1, 0))
        room.clear_disk(1, own=True)
        self.assertEqual(deleted.cuts, 1)

    def test_for_another_stranger_only_what_is_deleted_goes(self) -> None:
        room = Room()
        deleted = Stranger(room, 10, nameless=True)
        coming = Stranger(room, 20)
        room.clear_disk(100, own=False)
        self.assertEqual((deleted.cuts, coming.cuts), (1, 0))

    def test_nobody_goes_where_nothing_is_needed(self) -> None:
        room = Room()
        stranger = Stranger(room, 10, nameless=True)
        room.clear_disk(0, own=True)
        room.clear_disk(-5, own=True)
        self.assertEqual(stranger.cuts, 0)


class Sums(SynchronousTestCase):
    @settings(deadline=None)
    @given(
        st.lists(
            st.tuples(st.sampled_from(["take", "give", "resize"]), st.integers(0, 5)), max_size=40
        ),
        st.lists(st.tuples(st.integers(0, 99), st.booleans()), min_size=6, max_size=6),
    )
    def test_they_are_those_of_what_is_taken(
        self, steps: list[tuple[str, int]], kinds: list[tuple[int, bool]]
    ) -> None:
        room = Room()
        shares = [Share(size, memory=memory) for size, memory in kinds]
        for number, (step, which) in enumerate(steps):
            share = shares[which]
            if step == "resize":
                room.resize(share, number)
            else:
                getattr(room, step)(share)
            taken = list(room)
            self.assertEqual(room.memory, sum(one.size for one in taken if one.memory))
            self.assertEqual(room.disk, sum(one.size for one in taken if not one.memory))

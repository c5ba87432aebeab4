"""A replica ends equal to the inventory, whatever was lost on the way."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.files import Content
from flocon.holdings.inventory import Change, Inventory
from flocon.neighbours.replicas import Holders, Replica
from flocon.neighbours.replication import Apply, Nothing, Read, next_step

NAMES = [f"p{at}-1-1-any.pkg.tar.zst" for at in range(5)]
CONTENTS = [Content(size, bytes([size]) * 32) for size in range(2)]
STEPS = [Change(name, CONTENTS[0]) for name in NAMES]
#: A change to the inventory, a change of which the announcement is lost, or an announcement.
histories = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.one_of(st.none(), st.sampled_from(CONTENTS)),
        st.booleans(),
    ),
    max_size=30,
)


class Neighbour:
    """Keeps a replica of one inventory as a node does."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.holders = Holders()
        self.read: list[int | None] = []

    def hear(self, generation: int, files: int, changes: list[Change]) -> None:
        step = next_step(
            self.holders.replica("p"),
            generation,
            files,
            changes,
            reflects=lambda: self.holders.reflects("p", changes),
        )
        if isinstance(step, Apply):
            self.holders.apply("p", generation, step.changes)
        elif isinstance(step, Read):
            self.ask(step.since)

    def ask(self, since: int | None) -> None:
        """Do what ``GET /inventory`` does."""
        self.read.append(since)
        changes = None if since is None else self.inventory.since(since)
        if changes is None:
            self.holders.replace("p", self.inventory.generation, self.inventory.whole())
        else:
            self.holders.apply("p", self.inventory.generation, changes, read=True)


class Converging(SynchronousTestCase):
    @settings(max_examples=200, deadline=None)
    @given(histories, st.integers(1, 4), st.integers(1, 8))
    def test_whatever_is_lost_the_last_announcement_mends(
        self,
        history: list[tuple[str, Content | None, bool]],
        carried: int,
        log_length: int,
    ) -> None:
        inventory = Inventory(log_length)
        neighbour = Neighbour(inventory)
        log: list[Change] = []
        for name, content, lost in history:
            log += inventory.remove(name) if content is None else inventory.put(name, content)
            if not lost:
                neighbour.hear(inventory.generation, len(inventory), log[-carried:])
        # What is gone by a datagram is asked for at the next.
        for _ in range(2):
            neighbour.hear(inventory.generation, len(inventory), log[-carried:])
        held = {
            (name, content)
            for name in NAMES
            for content in CONTENTS
            if neighbour.holders.holding(name, content)
        }
        self.assertEqual(held, {(change.file_name, change.content) for change in inventory.whole()})
        replica = neighbour.holders.replica("p")
        self.assertEqual(replica, Replica(inventory.generation, len(inventory), inventory.bytes))

    def test_nothing_is_asked_while_every_announcement_arrives(self) -> None:
        inventory = Inventory()
        neighbour = Neighbour(inventory)
        neighbour.hear(0, 0, [])
        for name in NAMES:
            change = inventory.put(name, CONTENTS[0])
            neighbour.hear(inventory.generation, len(inventory), change)
        self.assertEqual(neighbour.read, [None])


class Rules(SynchronousTestCase):
    def test_one_that_is_not_known_is_read_whole(self) -> None:
        self.assertEqual(next_step(None, 3, 3, STEPS[:3]), Read(None))

    def test_one_that_went_back_is_read_whole(self) -> None:
        self.assertEqual(next_step(Replica(9, 3, 0), 3, 3, STEPS[:3]), Read(None))

    def test_one_that_did_not_change_is_left_alone(self) -> None:
        self.assertEqual(next_step(Replica(3, 3, 0), 3, 3, STEPS[:3]), Nothing())

    def test_only_changes_not_yet_known_are_applied(self) -> None:
        self.assertEqual(next_step(Replica(3, 3, 0), 5, 5, STEPS), Apply(tuple(STEPS[3:])))

    def test_a_gap_is_read_from_what_it_told_itself_last_on(self) -> None:
        self.assertEqual(next_step(Replica(5, 3, 0, read=3), 9, 9, STEPS[:2]), Read(3))

    def test_more_files_than_the_peer_has_is_read_whole(self) -> None:
        self.assertEqual(next_step(Replica(3, 4, 0), 3, 3, []), Read(None))

    def test_what_of_its_files_is_gone_by_datagrams_is_asked(self) -> None:
        replica = Replica(5, 3, 0, read=3, doubts=1)
        self.assertEqual(next_step(replica, 5, 3, []), Read(3))

    def test_so_is_what_does_not_reflect_its_newest_changes(self) -> None:
        for read, step in ((3, Read(3)), (5, Nothing())):
            replica = Replica(5, 3, 0, read=read)
            self.assertEqual(next_step(replica, 5, 3, STEPS, reflects=lambda: False), step)

    def test_fewer_files_than_the_peer_has_may_be_a_bound_and_is_left(self) -> None:
        self.assertEqual(next_step(Replica(3, 2, 0), 3, 3, []), Nothing())

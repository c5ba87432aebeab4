"""Which nodes keep which package: all come to the same answer, and each package has its copies."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.joined.sharing import is_ours, keepers, to_keep
from flocon.pacman.entries import Entry

NODES = st.sets(st.integers(0, 99).map("{:016x}".format), min_size=1, max_size=12)
FILES = [f"p{number}-1-1-any.pkg.tar.zst" for number in range(40)]


def entry(name: str, size: int = 10) -> Entry:
    return Entry("home", name, name, "1-1", size, bytes(32))


class KeeperTests(SynchronousTestCase):
    @given(NODES, st.integers(0, 5))
    def test_each_package_is_kept_by_as_many_as_there_are_to_be(
        self, nodes: set[str], copies: int
    ) -> None:
        for name in FILES[:5]:
            kept = [node for node in nodes if is_ours(node, nodes - {node}, name, copies)]
            self.assertEqual(len(kept), min(copies, len(nodes)))
            self.assertEqual(set(kept), set(keepers(nodes, name, copies)))

    @given(NODES, st.integers(1, 4))
    def test_only_what_a_node_kept_moves_when_it_leaves(self, nodes: set[str], copies: int) -> None:
        gone = min(nodes)
        for name in FILES[:5]:
            before, after = keepers(nodes, name, copies), keepers(nodes - {gone}, name, copies)
            self.assertLessEqual(set(before) - {gone}, set(after))

    def test_packages_are_spread(self) -> None:
        nodes = [f"{number:016x}" for number in range(4)]
        counts = [sum(is_ours(one, set(nodes) - {one}, name, 1) for name in FILES) for one in nodes]
        self.assertEqual(sum(counts), len(FILES))
        self.assertLess(max(counts), len(FILES) // 2 + 5)


class RoomTests(SynchronousTestCase):
    def test_no_more_is_kept_than_there_is_room_for(self) -> None:
        entries = {name: entry(name, size) for size, name in enumerate(FILES, 1)}
        kept = to_keep("a", entries, set(), 1, 10)
        self.assertEqual([one.size for one in kept], [1, 2, 3, 4])

    def test_without_copies_nothing_is_kept(self) -> None:
        self.assertEqual(to_keep("a", {FILES[0]: entry(FILES[0])}, set(), 0, 1_000), [])

"""Whose state is followed, and what of it pacman has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.databases.following import (
    Place,
    date_to_give,
    followed,
    follows,
    is_had,
    meant,
    named,
)
from flocon.databases.lan_state import StateFile
from flocon.presence.peer import Peer

PORT = 19432
FILE = StateFile("ab" * 32, 7)
OTHER = "cd" * 32
OWN = Place("own")


def peer(name: str, address: str) -> Peer:
    return Peer(
        name, "e", name, 1_234, "arch", (), address, 1, 1, (), frozenset({"mirror"}), 0, 0, 0, 30
    )


def whose(databases: str, *peers: Peer, own: Place | None = None) -> str:
    """Return the name of the node that is followed, "" for nobody."""
    place = followed(databases, meant(databases, peers, own, PORT))
    return place.name if place else ""


NAS, BOX = peer("nas", "10.0.0.1"), peer("box", "10.0.0.2")


class Whose(SynchronousTestCase):
    def test_nobodys_where_databases_are_the_mirrors(self) -> None:
        self.assertFalse(follows("mirror"))
        self.assertEqual(whose("mirror", NAS, own=OWN), "")

    def test_the_one_that_is_named(self) -> None:
        self.assertEqual(named("node:nas"), "nas")
        for name in ("nas", "NAS", "10.0.0.1"):
            self.assertTrue(follows(f"node:{name}"))
            self.assertEqual(whose(f"node:{name}", BOX, NAS), "nas", name)

    def test_an_address_is_one_however_it_is_written(self) -> None:
        six = peer("six", "fd00::1")
        self.assertEqual(whose("node:fd00:0::0:1", six, NAS), "six")
        self.assertEqual(whose("node:fe80::1%eth0", peer("near", "fe80::1%eth0")), "near")

    def test_nobodys_where_none_is_called_so(self) -> None:
        self.assertEqual(whose("node:other", NAS, BOX), "")

    def test_nobodys_where_two_are(self) -> None:
        """Whoever takes another one's name can keep its state from nobody's pacman but for that."""
        self.assertEqual(whose("node:nas", NAS, peer("Nas", "10.0.0.9")), "")
        self.assertEqual(whose("node:own", peer("own", "10.0.0.9"), own=OWN), "")

    def test_of_two_of_one_name_the_address_means_one(self) -> None:
        found = meant("node:10.0.0.9", [NAS, peer("nas", "10.0.0.9")], None, PORT)
        self.assertEqual([one.address for one in found], ["10.0.0.9"])

    def test_an_address_where_nobody_was_heard_is_asked(self) -> None:
        found = meant("node:192.0.2.7", [NAS], None, PORT)
        self.assertEqual(found, [Place("192.0.2.7", "192.0.2.7", PORT)])

    def test_a_peer_is_asked_where_it_listens(self) -> None:
        self.assertEqual(
            meant("node:nas", [NAS], None, PORT), [Place("nas", "10.0.0.1", 1_234, "nas")]
        )

    def test_this_node_itself_can_be_named(self) -> None:
        self.assertEqual(whose("node:own", NAS, own=OWN), "own")

    def test_the_lans_is_this_nodes_own_before_others(self) -> None:
        self.assertEqual(whose("lan", BOX, NAS, own=OWN), "own")

    def test_of_several_all_follow_the_same(self) -> None:
        for peers in ([NAS, BOX], [BOX, NAS]):
            self.assertEqual(whose("lan", *peers), "box")
        self.assertEqual(whose("lan"), "")


class Had(SynchronousTestCase):
    def had(
        self,
        have: float | None,
        own: tuple[float, str] | None = None,
        given: dict[int, str] | None = None,
    ) -> bool:
        return is_had(FILE, 1_000, have, own=own, given=given or {})

    def test_nothing_is_by_who_wants_it_in_any_case(self) -> None:
        self.assertFalse(self.had(None, own=(1_000.0, FILE.sha256[:16])))

    def test_pacmans_own_copy_is_known_by_its_content(self) -> None:
        """Whatever its date: it may be the mirror's, and later than this state."""
        self.assertTrue(self.had(5_000.0, own=(5_000.7, FILE.sha256[:16])))
        self.assertFalse(self.had(1_000.0, own=(1_000.0, OTHER[:16])))

    def test_another_copy_is_known_by_the_date_that_it_was_given(self) -> None:
        own = 5_000.0, OTHER[:16]
        self.assertTrue(self.had(2_000.0, own, {2_000: FILE.sha256}))
        self.assertFalse(self.had(1_000.0, own, {1_000: OTHER}))

    def test_otherwise_the_date_is_the_states(self) -> None:
        self.assertTrue(self.had(1_000.0))
        for other in (999.0, 1_001.0, 5_000.0):
            self.assertFalse(self.had(other))


class Dates(SynchronousTestCase):
    def test_it_is_the_states(self) -> None:
        self.assertEqual(date_to_give(1_000, None, 2_000), 1_000)
        self.assertEqual(date_to_give(1_000, 900.0, 2_000), 1_000)

    def test_who_has_a_later_one_is_given_a_later_one_still(self) -> None:
        self.assertEqual(date_to_give(1_000, 1_500.0, 2_000), 1_501)

    def test_none_is_to_come(self) -> None:
        """Neither where the other node's clock is ahead, nor where pacman's copy is of tomorrow."""
        self.assertIsNone(date_to_give(3_000, None, 2_000))
        self.assertIsNone(date_to_give(1_000, 2_000.0, 2_000))

    @given(
        st.integers(0, 1 << 40),
        st.none() | st.floats(0, 1 << 40),
        st.integers(0, 1 << 40),
    )
    def test_pacman_takes_whatever_is_given(self, since: int, have: float | None, now: int) -> None:
        date = date_to_give(since, have, now)
        if date is not None:
            self.assertLessEqual(date, now)
            self.assertGreaterEqual(date, since)
            self.assertTrue(have is None or date > have)

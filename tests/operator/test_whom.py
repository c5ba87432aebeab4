"""Whom the operator means: never somebody who has only taken the name, address or id as a name."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import AmbiguousPeer, UnknownPeer
from flocon.operator.whom import MOST_TOLD, described, meant
from flocon.presence.peer import Peer

HONEST = "0123456789abcdef"


def peer(name: str, address: str, node: str = HONEST) -> Peer:
    none: frozenset[str] = frozenset()
    return Peer(node, "0" * 8, name, 19432, "arch", (), address, 0, 0, (), none, 0, 0, 0, 30)


class Meaning(SynchronousTestCase):
    def setUp(self) -> None:
        self.honest = peer("ada", "10.0.0.2")

    def test_an_id_an_address_and_a_name_mean_their_peer(self) -> None:
        for word in (HONEST, "10.0.0.2", "ada"):
            self.assertEqual(meant([self.honest], word), [self.honest], word)

    def test_whoever_is_called_like_anothers_address_or_id_is_not_meant(self) -> None:
        for name in ("10.0.0.2", HONEST):
            liar = peer(name, "10.0.0.66", "f" * 16)
            self.assertEqual(meant([liar, self.honest], name), [self.honest])

    def test_nor_once_that_address_or_id_is_gone(self) -> None:
        for name in ("10.0.0.2", HONEST, "fe80::1%eth0", "::1"):
            with self.assertRaises(UnknownPeer):
                meant([peer(name, "10.0.0.66", "f" * 16)], name)

    def test_a_name_at_two_addresses_means_nobody_until_one_is_chosen(self) -> None:
        liar = peer("ada", "10.0.0.66", "f" * 16)
        with self.assertRaises(AmbiguousPeer) as caught:
            meant([liar, self.honest], "ada")
        said = str(caught.exception)
        for words in (f"10.0.0.2 ({HONEST})", f"10.0.0.66 ({'f' * 16})", "2 peers"):
            self.assertIn(words, said)

    def test_one_machine_that_came_back_with_a_new_id_is_one(self) -> None:
        again = peer("ada", "10.0.0.2", "e" * 16)
        self.assertEqual(meant([self.honest, again], "ada"), [self.honest, again])

    def test_a_thousand_of_one_name_make_a_short_sentence(self) -> None:
        crowd = [peer("ada", f"10.0.{at >> 8}.{at & 255}", f"{at:016x}") for at in range(1_000)]
        with self.assertRaises(AmbiguousPeer) as caught:
            meant(crowd, "ada")
        self.assertLess(len(str(caught.exception)), 500)
        self.assertIn("and 992 more", str(caught.exception))
        self.assertIn(f"and {1_000 - MOST_TOLD} more", described(crowd))

    def test_who_is_not_there_is_unknown(self) -> None:
        with self.assertRaises(UnknownPeer):
            meant([self.honest], "eve")

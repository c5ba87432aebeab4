"""Keys of own repositories as peers tell them, for who is about to trust one."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from flocon.asking.agents import peer_agent
from flocon.joined.finding import MOST_ASKED, MOST_TOLD, UNASKED, find_keys, heard
from flocon.joined.keys import read_keys
from tests.joined.maker import signer
from tests.joined.peers import Peer


class FindingTests(TestCase):
    def setUp(self) -> None:
        self.agent, pool = peer_agent(reactor, 0.8)
        self.addCleanup(pool.closeCachedConnections)
        self.key = signer().gpg("--export")

    def peer(self, key: bytes | None, name: str = "home") -> Any:
        peer = Peer("127.0.0.1", own=((name, 5),))
        if key is not None:
            peer.paths[f"/own/{name}/key"] = key
        peer.start()
        self.addCleanup(peer.stop)
        return peer

    async def test_who_has_it_says_which_key(self) -> None:
        peers = [self.peer(self.key), self.peer(None, "other")]
        (row,) = await find_keys(reactor, self.agent, peers, "home")
        (told,) = row["keys"]
        self.assertEqual(told["fingerprint"], read_keys(self.key)[0].fingerprint)
        self.assertEqual(b64decode(told["key"]), self.key)
        self.assertEqual((row["node"], row["address"]), ("ada", "127.0.0.1"))

    async def test_what_is_no_key_is_told_as_that_peers_problem(self) -> None:
        peers = [self.peer(b"nonsense"), self.peer(None), self.peer(bytes(1 << 20))]
        rows = await find_keys(reactor, self.agent, peers, "home")
        self.assertEqual([row["keys"] for row in rows], [[], [], []])
        self.assertTrue(all(row["problem"] for row in rows))

    async def test_no_more_are_asked_than_a_few(self) -> None:
        peers = [self.peer(self.key) for _ in range(MOST_ASKED + 2)]
        rows = await find_keys(reactor, self.agent, peers, "home")
        self.assertEqual([bool(row["keys"]) for row in rows], [True] * MOST_ASKED + [False] * 2)
        self.assertEqual({row["problem"] for row in rows[MOST_ASKED:]}, {UNASKED})

    async def test_one_machine_with_many_nodes_keeps_nobody_from_being_asked(self) -> None:
        many: list[Any] = [Peer("127.0.0.1", (("home", 5),), port=1) for _ in range(100)]
        other: Any = Peer("127.0.0.2", (("home", 5),))
        other.paths["/own/home/key"] = self.key
        other.start()
        self.addCleanup(other.stop)
        rows = await find_keys(reactor, self.agent, [*many, other], "home")
        self.assertEqual([row["address"] for row in rows if row["keys"]], ["127.0.0.2"])

    async def test_who_does_not_answer_is_told(self) -> None:
        peer: Any = Peer("127.0.0.1", (("home", 5),), port=1)
        (row,) = await find_keys(reactor, self.agent, [peer], "home")
        self.assertTrue(row["problem"])

    def test_what_is_told_of_all_is_bounded(self) -> None:
        peers: list[Any] = [Peer(f"10.0.0.{n}", own=(("home", n), ("x", 1))) for n in range(1, 99)]
        rows = heard(peers)
        self.assertEqual(len(rows), MOST_TOLD)
        self.assertEqual((rows[0]["name"], rows[0]["signed"]), ("home", 98))

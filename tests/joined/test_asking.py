"""What peers are asked of own repositories: within bounds, and what is told where nothing comes."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import IO, Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.asking.agents import peer_agent
from flocon.errors import StoreError
from flocon.joined import asking
from flocon.joined.asking import Asking, OfferError, _Into
from flocon.joined.candidate import Candidate
from flocon.joined.offers import Offer, Wrong
from flocon.joined.told import Generation, Piece, dump, file_names
from tests.joined.peers import Peer

OFFER = Offer("home", "a" * 16, "192.0.2.7", 7, 5)


class Silent:
    """An agent whose questions nobody answers."""

    def request(self, *_: object) -> Deferred[Any]:
        return Deferred()


class BoundsTests(SynchronousTestCase):
    def test_who_takes_too_long_is_named_with_the_bound(self) -> None:
        self.patch(asking, "SECONDS", 1.0)
        clock = Clock()
        coming = Deferred.fromCoroutine(Asking(clock, Silent(), Path()).candidate(OFFER))
        clock.advance(1.0)
        error = self.failureResultOf(coming, OfferError).value
        self.assertIs(error.wrong, Wrong.AWAY)
        self.assertEqual(str(error), "192.0.2.7: took longer than 1 s")


class FullDiskTests(TestCase):
    def test_what_is_written_in_part_is_no_file(self) -> None:
        path = Path(self.mktemp())
        with path.open("wb", buffering=0) as file:
            before = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (5, before[1]))
            try:
                self.assertRaises(StoreError, _Into("192.0.2.7", file, 10).write, 0, bytes(10))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)

    async def test_it_is_not_the_peers_fault(self) -> None:
        def begin(candidate: Candidate, file_name: str) -> IO[bytes]:
            file = candidate.files[file_name] = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
            return file

        self.patch(Candidate, "begin", begin)
        pieces = {file_name: Piece("0" * 64, 3) for file_name in file_names("home")}
        peer = Peer("127.0.0.1", paths={"/own/home": dump(Generation("home", 5, 1, "", pieces))})
        peer.paths |= {f"/own/home/1/{file_name}": b"abc" for file_name in pieces}
        peer.start()
        self.addCleanup(peer.stop)
        agent, pool = peer_agent(reactor, 0.8)
        self.addCleanup(pool.closeCachedConnections)
        offer = Offer("home", peer.node, peer.address, peer.port, 5)
        with self.assertRaises(OfferError) as caught:
            await Asking(reactor, agent, Path()).candidate(offer)
        self.assertIs(caught.exception.wrong, Wrong.AWAY)
        self.assertIn("No space left", str(caught.exception))

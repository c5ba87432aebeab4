"""Growing files: failover inside an answer, what readers get when, signatures, and no leftovers."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed

from flocon.core.content import Content
from flocon.core.release import (
    KEEP_PATIENT_AFTER,
    LAST_RESORT,
    LONGEST_HOLD,
    MIRROR_HOLD,
    RESERVE,
    TRICKLE_AFTER,
    TRICKLE_PERIOD,
    TRICKLE_STEP,
)
from flocon.core.sources import Came, Origin, Source
from flocon.errors import Broken, Contradicted, Refused, StoreError, Unreachable
from flocon.net import descriptors, transfers, writing
from flocon.net import transfer as module
from flocon.net.fetch import Attempt, Limits
from flocon.net.transfer import GRACE, PREFIX, Reader, Subject, Transfer
from flocon.net.transfers import Transfers
from tests.net.fakes import FakeAgent, FakeReactor, FakeResponse, FakeTools, Memory, Request

NAME = "a-1-1-any.pkg.tar.zst"
DATA = bytes(at % 251 for at in range(20_000))
WRONG = DATA[:-1] + b"\xff"
LIMITS = Limits(first_byte=60.0, stall=100.0)
PEER_A, PEER_B = (Source(Origin.PEER, key, key, f"http://{key}/pkg/{NAME}") for key in "ab")
MIRROR_A, MIRROR_B = (Source(Origin.MIRROR, key, key, f"http://{key}/{NAME}") for key in "mn")


def content(data: bytes) -> Content:
    return Content(len(data), hashlib.sha256(data).digest())


class Client:
    """Takes from a reader what it may have, like an answer on a connection."""

    def __init__(self, transfer: Transfer, start: int = 0, *, verifies: bool = False) -> None:
        self.transfer = transfer
        self.data = b""
        self.aborted = False
        self.failure: Any = None
        self.begun = False
        self.paused = False
        self.reader = Reader(transfer, transfer.subject.start, verifies=verifies)
        self._start = start
        transfer.begun.wait().addCallbacks(self._begin, self._failed)

    def _begin(self, _: object) -> None:
        self.begun = True
        self.reader.move(self._start)
        self.reader.attach(self.poke, self.abort)

    def _failed(self, failure: Any) -> None:
        self.failure = failure.value

    def poke(self) -> None:
        position = self.reader.position
        count = self.reader.limit(position) - position
        if self.paused or self.aborted or count <= 0:
            return
        data = os.pread(self.transfer.incoming.fileno(), count, position)
        assert len(data) == count
        self.data += data
        self.reader.sent(count)

    def resume(self) -> None:
        self.paused = False
        self.poke()

    def abort(self) -> None:
        self.aborted = True

    def leave(self) -> None:
        self.reader.close()


class TransferTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.tools = FakeTools()
        self.clock = self.tools.reactor
        self.addCleanup(self.close_files)

    def close_files(self) -> None:
        for file in self.tools.files:
            if not file.closed:
                file.close()

    def chooser(self, *sources: Source) -> Callable[[Sequence[Attempt]], Attempt | None]:
        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            left = sources[len(tried) :]
            return Attempt(left[0], LIMITS) if left else None

        return choose

    def transfer(self, *sources: Source, subject: Subject | None = None) -> Transfer:
        transfer = Transfer(
            self.tools, subject or Subject(NAME, content(DATA)), self.chooser(*sources)
        )
        self.addCleanup(transfer.cancel)
        transfer.start()
        return transfer

    def asked(self, source: Source) -> Request:
        """Return the newest request to ``source``."""
        agent: FakeAgent = self.tools.agent(source)
        return agent.last

    def was_asked(self, source: Source) -> bool:
        return bool(self.tools.agent(source).requests)

    def assertOver(self, transfer: Transfer, *clients: Client) -> None:
        """Check that nothing is left of ``transfer``."""
        for client in clients:
            client.leave()
        transfer.retire()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual([file.closed for file in self.tools.files], [1] * len(self.tools.files))


class FromOne(TransferTestCase):
    def test_a_right_file_reaches_its_reader_at_once(self) -> None:
        transfer = self.transfer(PEER_A)
        client = Client(transfer)
        self.asked(PEER_A).whole(DATA)
        self.assertEqual(client.data, DATA)
        self.successResultOf(transfer.finished.wait())
        self.assertTrue(transfer.verified)
        self.assertEqual(self.tools.ended_with, [("a", len(DATA), None)])
        self.assertOver(transfer, client)

    def test_a_reader_of_a_peers_file_gets_nothing_before_it_is_verified(self) -> None:
        transfer = self.transfer(PEER_A)
        client = Client(transfer)
        response = self.asked(PEER_A).head(len(DATA))
        response.send(DATA[:-1])
        self.clock.advance(LAST_RESORT - 0.1)
        self.assertEqual((client.data, client.begun), (b"", False))
        response.send(DATA[-1:])
        response.end()
        self.assertEqual(client.data, DATA)

    def test_a_peers_file_trickles_when_it_takes_long(self) -> None:
        transfer = self.transfer(PEER_A)
        client = Client(transfer)
        self.asked(PEER_A).head(len(DATA)).send(DATA[:-1])
        self.clock.advance(LAST_RESORT)
        self.assertEqual(client.data, DATA[:TRICKLE_STEP])
        self.clock.advance(TRICKLE_PERIOD)
        self.assertEqual(client.data, DATA[: 2 * TRICKLE_STEP])

    def test_a_resumed_download_trickles_from_where_it_resumes(self) -> None:
        transfer = self.transfer(PEER_A)
        client = Client(transfer, start=10_000)
        self.asked(PEER_A).head(len(DATA)).send(DATA[:-1])
        self.clock.advance(LAST_RESORT)
        self.assertEqual(client.data, DATA[10_000 : 10_000 + TRICKLE_STEP])

    def test_a_mirrors_file_goes_on_as_it_comes_after_a_moment_but_for_a_reserve(self) -> None:
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[: RESERVE + 1000])
        self.clock.advance(MIRROR_HOLD - 0.1)
        self.assertEqual(client.data, b"")
        self.clock.advance(0.1)
        self.assertEqual(client.data, DATA[:1000])
        response.send(DATA[RESERVE + 1000 :])
        self.assertEqual(client.data, DATA[:-RESERVE])
        response.end()
        self.assertEqual(client.data, DATA)

    def test_one_that_verifies_for_itself_gets_all_as_it_comes(self) -> None:
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer, verifies=True)
        self.asked(MIRROR_A).head(len(DATA)).send(DATA[:1000])
        self.assertEqual(client.data, DATA[:1000])

    def test_readers_at_different_places_each_get_their_part(self) -> None:
        transfer = self.transfer(PEER_A)
        clients = [Client(transfer, start) for start in (0, 5, 12_345, len(DATA) - 1)]
        response = self.asked(PEER_A).head(len(DATA))
        response.send(DATA[:100])
        clients.append(Client(transfer, 50))
        response.send(DATA[100:])
        response.end()
        clients.append(Client(transfer, 7))
        for client, start in zip(clients, (0, 5, 12_345, len(DATA) - 1, 50, 7), strict=True):
            self.assertEqual(client.data, DATA[start:])
        self.assertOver(transfer, *clients)

    def test_the_rest_of_a_file_is_asked_for_and_given(self) -> None:
        transfer = self.transfer(MIRROR_A, subject=Subject(NAME, start=15_000))
        client = Client(transfer, 15_000)
        self.assertEqual(self.asked(MIRROR_A).start, 15_000)
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(client.data, DATA[15_000:])
        self.assertEqual(transfer.size, len(DATA))

    def test_an_empty_file_is_whole_at_once(self) -> None:
        transfer = self.transfer(MIRROR_A, subject=Subject(NAME, content(b"")))
        self.asked(MIRROR_A).whole(b"")
        self.successResultOf(transfer.finished.wait())

    def test_a_listed_file_without_announced_length_still_trickles(self) -> None:
        transfer = self.transfer(PEER_A)
        client = Client(transfer)
        self.asked(PEER_A).answer(200).send(DATA[:1000])
        self.clock.advance(LAST_RESORT)
        self.assertEqual(transfer.size, len(DATA))
        self.assertEqual(client.data, DATA[:TRICKLE_STEP])

    def test_a_large_file_is_hashed_in_threads_while_it_comes(self) -> None:
        data = bytes(9 << 20)
        self.clock.held = True
        transfer = self.transfer(PEER_A, subject=Subject(NAME, content(data)))
        response = self.asked(PEER_A).head(len(data))
        for start in range(0, len(data), 1 << 16):
            response.send(data[start : start + (1 << 16)])
            if start % (5 << 20) == 0:
                self.clock.work()
        response.end()
        self.assertNoResult(transfer.finished.wait())
        self.clock.work()
        self.successResultOf(transfer.finished.wait())
        self.assertOver(transfer)


class Followed(TransferTestCase):
    """Which transfers peers may follow: never two that wait for each other."""

    OWNER = Source(Origin.PEER, "o", "o", f"http://o/relay/core/any/{NAME}", relayed=True)

    def test_one_that_waits_for_another_owner_is_not_followed(self) -> None:
        transfer = self.transfer(self.OWNER)
        self.assertTrue(transfer.follows_a_relay)
        self.assertFalse(transfer.fetches_itself)
        self.assertIsNone(self.asked(self.OWNER).header("Cache-Control"))
        self.asked(self.OWNER).whole(DATA)
        self.assertFalse(transfer.follows_a_relay)
        self.assertTrue(transfer.fetches_itself)

    def test_one_that_looks_whether_it_is_on_its_way_elsewhere_will_fetch_itself(self) -> None:
        looked_at = replace(self.OWNER, only_if_cached=True)
        transfer = self.transfer(looked_at, MIRROR_A)
        self.assertEqual(self.asked(looked_at).header("Cache-Control"), "only-if-cached")
        self.assertFalse(transfer.follows_a_relay)
        # But whoever looks here meanwhile must not wait: it may be the one that is looked at.
        self.assertFalse(transfer.fetches_itself)
        self.asked(looked_at).answer(504)
        self.assertTrue(transfer.fetches_itself)
        self.asked(MIRROR_A).whole(DATA)
        self.successResultOf(transfer.finished.wait())


class Failover(TransferTestCase):
    def test_nobody_to_ask(self) -> None:
        transfer = self.transfer()
        client = Client(transfer)
        self.assertIsInstance(client.failure, Unreachable)
        self.failureResultOf(transfer.finished.wait(), Unreachable)
        self.assertOver(transfer, client)

    def test_the_last_failure_is_told_when_all_failed(self) -> None:
        transfer = self.transfer(PEER_A, MIRROR_A)
        client = Client(transfer)
        self.asked(PEER_A).fail(error.ConnectionRefusedError())
        self.asked(MIRROR_A).answer(404)
        self.assertIsInstance(client.failure, Refused)
        self.assertEqual(transfer.mirror_statuses, [404])
        self.assertOver(transfer, client)

    def test_one_that_was_helped_out_is_told_of(self) -> None:
        transfer = self.transfer(PEER_A, MIRROR_A)
        self.asked(PEER_A)
        self.clock.advance(2.0)
        self.asked(MIRROR_A).whole(DATA)
        self.successResultOf(transfer.finished.wait())
        [attempt] = transfer.tried
        self.assertEqual(attempt.source, PEER_A)
        self.assertIn("so slow", str(attempt.failure))
        self.assertEqual(self.tools.slow_ones, ["a"])

    def test_the_next_goes_on_where_the_last_ended(self) -> None:
        transfer = self.transfer(PEER_A, MIRROR_A)
        client = Client(transfer)
        response = self.asked(PEER_A).head(len(DATA))
        response.send(DATA[:7_000])
        response.break_off()
        self.assertEqual(self.asked(MIRROR_A).start, 7_000)
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(client.data, DATA)
        self.assertEqual(
            [(key, size) for key, size, _ in self.tools.ended_with],
            [("a", 7_000), ("m", len(DATA) - 7_000)],
        )

    def test_what_came_in_each_way_is_told_apart(self) -> None:
        owner = Source(Origin.PEER, "o", "10.0.0.9", f"http://o/relay/{NAME}", relayed=True)
        transfer = self.transfer(PEER_A, owner, MIRROR_A)
        for source, end in ((PEER_A, 3_000), (owner, 7_000)):
            response = self.asked(source).head(len(DATA))
            response.send(DATA[self.asked(source).start : end])
            response.break_off()
        self.asked(MIRROR_A).whole(DATA)
        wanted = {Came.PEER: 3_000, Came.OWNER: 4_000, Came.MIRROR: len(DATA) - 7_000}
        self.assertEqual(transfer.shares, wanted)
        self.assertEqual(str(owner), "peer 10.0.0.9 for us")

    def test_no_byte_is_doubled_by_one_that_knows_no_ranges(self) -> None:
        transfer = self.transfer(MIRROR_A, MIRROR_B)
        client = Client(transfer)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:7_000])
        self.clock.advance(MIRROR_HOLD)
        response.break_off()
        response = self.asked(MIRROR_B).answer(200, Content_Length=str(len(DATA)))
        for start in range(0, len(DATA), 3_000):
            response.send(DATA[start : start + 3_000])
        response.end()
        self.assertEqual(client.data, DATA)

    def test_a_wrong_size_is_refused_before_a_byte_of_it(self) -> None:
        transfer = self.transfer(PEER_A, MIRROR_A)
        response = self.asked(PEER_A).answer(200, Content_Length=str(len(DATA) + 1))
        self.assertTrue(response.left)
        self.assertTrue(self.was_asked(MIRROR_A))
        self.assertEqual(self.asked(MIRROR_A).start, 0)
        self.assertIsInstance(self.tools.ended_with[0][2], Broken)
        self.assertEqual(transfer.arrived, 0)

    def test_more_than_the_listed_size_is_not_written(self) -> None:
        transfer = self.transfer(PEER_A, MIRROR_A)
        response = self.asked(PEER_A).answer(200)
        response.send(DATA[:-1])
        response.send(b"xyz")
        self.assertTrue(response.left)
        self.assertEqual(self.asked(MIRROR_A).start, len(DATA) - 1)
        self.assertEqual(transfer.arrived, len(DATA) - 1)

    def test_a_whole_file_needs_no_farewell(self) -> None:
        for spoil in (FakeResponse.break_off, lambda response: response.send(b"more")):
            transfer = self.transfer(PEER_A, MIRROR_A)
            response = self.asked(PEER_A).answer(200)
            response.send(DATA)
            spoil(response)
            self.successResultOf(transfer.finished.wait())
            self.assertFalse(self.was_asked(MIRROR_A))

    def test_one_that_ends_short_is_followed_by_the_next(self) -> None:
        transfer = self.transfer(PEER_A, MIRROR_A)
        response = self.asked(PEER_A).answer(200)
        response.send(DATA[:100])
        response.end()
        self.asked(MIRROR_A).whole(DATA)
        self.successResultOf(transfer.finished.wait())
        self.assertEqual(self.tools.blamed, [])

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.lists(st.integers(1, 9_000), max_size=4),
                st.sampled_from(["break", "stall", "refuse", "unreachable", "end"]),
                st.booleans(),
            ),
            max_size=5,
        ),
        st.integers(0, len(DATA) - 1),
    )
    def test_whatever_fails_before_the_answer_is_the_file(
        self, failing: list[tuple[list[int], str, bool]], start: int
    ) -> None:
        self.setUp()
        sources = [
            Source(Origin.MIRROR, str(at), str(at), f"http://{at}/x") for at in range(len(failing))
        ]
        transfer = self.transfer(*sources, MIRROR_A)
        client = Client(transfer, start)
        for source, (chunks, end, ranges) in zip(sources, failing, strict=True):
            if not self.was_asked(source):
                break
            request = self.asked(source)
            if end == "refuse":
                request.answer(503)
                continue
            if end == "unreachable":
                request.fail(error.ConnectionRefusedError())
                continue
            position = request.start if ranges else 0
            response = (
                request.head(len(DATA))
                if ranges
                else request.answer(200, Content_Length=str(len(DATA)))
            )
            for count in chunks:
                count = min(count, len(DATA) - position)  # noqa: PLW2901 - as far as it goes
                response.send(DATA[position : position + count])
                position += count
            if end == "stall":
                self.clock.advance(LIMITS.stall)
            else:
                response.break_off()
        if self.was_asked(MIRROR_A):
            self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(client.data, DATA[start:])
        self.assertEqual(self.tools.blamed, [])
        self.assertOver(transfer, client)


class Contradictions(TransferTestCase):
    def test_wrong_bytes_are_replaced_unseen_and_reported(self) -> None:
        transfer = self.transfer(PEER_A, PEER_B)
        client = Client(transfer)
        self.asked(PEER_A).whole(WRONG)
        self.assertEqual(client.data, b"")
        self.assertEqual(self.tools.blamed, [(NAME, ["a"])])
        self.assertEqual(self.asked(PEER_B).start, 0)
        self.asked(PEER_B).whole(DATA)
        self.assertEqual((client.data, client.aborted), (DATA, False))
        self.assertEqual(str(transfer.source), "peer b")
        self.assertOver(transfer, client)

    def test_of_several_that_contributed_only_who_sent_wrong_bytes_is_reported(self) -> None:
        transfer = self.transfer(PEER_A, PEER_B, MIRROR_A)
        response = self.asked(PEER_A).head(len(DATA))
        response.send(DATA[:10])
        response.break_off()
        self.asked(PEER_B).whole(WRONG)
        self.assertEqual(self.tools.blamed, [])
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(self.tools.blamed, [(NAME, ["b"])])
        self.successResultOf(transfer.finished.wait())

    def test_a_mirrors_bytes_stay_where_a_peers_beside_them_were_wrong(self) -> None:
        transfer = self.transfer(MIRROR_A, PEER_A, MIRROR_B)
        client = Client(transfer)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:7_000])
        self.clock.advance(MIRROR_HOLD)
        self.assertEqual(client.data, DATA[: 7_000 - RESERVE])
        response.break_off()
        self.asked(PEER_A).whole(WRONG)
        # Only the peer's are brought anew, and pacman is given the mirror's meanwhile.
        self.assertEqual(self.asked(MIRROR_B).start, 7_000)
        self.clock.advance(TRICKLE_AFTER)
        self.assertEqual(client.data, DATA[: 7_000 - RESERVE + TRICKLE_STEP])
        self.asked(MIRROR_B).whole(DATA)
        self.assertEqual((client.data, client.aborted), (DATA, False))
        self.assertEqual(self.tools.blamed, [(NAME, ["a"])])
        self.assertOver(transfer, client)

    def test_a_wrong_mirror_beside_an_honest_peer_is_not_the_peers_fault(self) -> None:
        transfer = self.transfer(MIRROR_A, PEER_A, *(MIRROR_B,) * 3)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(b"\xff" + DATA[1:7_000])
        response.break_off()
        self.asked(PEER_A).whole(DATA)
        self.asked(MIRROR_B).whole(DATA)
        self.assertEqual(self.asked(MIRROR_B).start, 0)
        self.asked(MIRROR_B).whole(DATA)
        self.successResultOf(transfer.finished.wait())
        self.assertEqual([keys for _, keys in self.tools.blamed], [["m", "n"]])

    def test_wrong_bytes_from_everyone_end_in_an_error(self) -> None:
        transfer = self.transfer(PEER_A, MIRROR_A)
        client = Client(transfer)
        self.asked(PEER_A).whole(WRONG)
        self.asked(MIRROR_A).whole(WRONG)
        self.assertIsInstance(client.failure, Contradicted)
        self.assertEqual(client.data, b"")
        self.assertEqual([keys for _, keys in self.tools.blamed], [["a"], ["m"]])
        self.assertOver(transfer, client)

    def trickled(self, wrong: bytes) -> tuple[Transfer, Client]:
        """Return a transfer that gave a client the first bytes of ``wrong``, and found it out."""
        transfer = self.transfer(PEER_A, PEER_B)
        client = Client(transfer)
        response = self.asked(PEER_A).head(len(DATA))
        response.send(wrong[:-1])
        self.clock.advance(LAST_RESORT)
        self.assertEqual(client.data, wrong[:TRICKLE_STEP])
        response.send(wrong[-1:])
        response.end()
        return transfer, client

    def test_an_answer_that_had_only_right_bytes_so_far_goes_on(self) -> None:
        transfer, client = self.trickled(WRONG)
        self.asked(PEER_B).whole(DATA)
        self.assertEqual((client.data, client.aborted), (DATA, False))
        self.assertOver(transfer, client)

    def test_an_answer_that_had_a_wrong_byte_is_cut(self) -> None:
        transfer, client = self.trickled(b"\xff" + DATA[1:])
        other = Client(transfer)
        self.asked(PEER_B).whole(DATA)
        self.assertTrue(client.aborted)
        self.assertEqual(len(client.data), TRICKLE_STEP)
        self.assertEqual((other.data, other.aborted), (DATA, False))
        self.assertOver(transfer, client, other)

    def test_once_found_out_nothing_goes_before_the_next_is_verified(self) -> None:
        _, client = self.trickled(WRONG)
        response = self.asked(PEER_B).head(len(DATA))
        response.send(DATA[:-1])
        self.clock.advance(60)
        self.assertEqual(len(client.data), TRICKLE_STEP)

    def test_nothing_goes_while_what_went_is_compared(self) -> None:
        transfer, client = self.trickled(b"\xff" + DATA[1:])
        self.clock.held = True
        self.asked(PEER_B).whole(DATA)
        client.poke()
        self.clock.advance(TRICKLE_PERIOD)
        self.assertEqual(len(client.data), TRICKLE_STEP)
        self.clock.work()
        self.assertTrue(client.aborted)
        self.successResultOf(transfer.finished.wait())

    def test_a_client_that_pauses_is_compared_by_what_it_took(self) -> None:
        transfer = self.transfer(MIRROR_A, MIRROR_B)
        client = Client(transfer)
        response = self.asked(MIRROR_A).head(len(DATA))
        wrong = DATA[:5000] + b"\xff" + DATA[5001:]
        response.send(wrong[:4500])
        self.clock.advance(MIRROR_HOLD)
        self.assertEqual(client.data, DATA[: 4500 - RESERVE])
        client.paused = True
        response.send(wrong[4500:])
        response.end()
        self.asked(MIRROR_B).whole(DATA)
        client.resume()
        self.assertEqual((client.data, client.aborted), (DATA, False))
        self.assertOver(transfer, client)

    def test_a_reader_behind_the_wrong_byte_is_cut_too_if_another_had_it(self) -> None:
        """Both were sent from one wrong file; the second is not trusted to be right by luck."""
        transfer = self.transfer(MIRROR_A, MIRROR_B)
        clients = [Client(transfer), Client(transfer, 100)]
        response = self.asked(MIRROR_A).head(len(DATA))
        wrong = b"\xff" + DATA[1:]
        response.send(wrong[:-1])
        self.clock.advance(MIRROR_HOLD)
        response.send(wrong[-1:])
        response.end()
        self.asked(MIRROR_B).whole(DATA)
        self.assertEqual([client.aborted for client in clients], [True, True])


class KeptPatient(TransferTestCase):
    """While peers bring a file, only a mirror's bytes go to pacman."""

    def slow(self, first: bytes, *mirrors: Source) -> tuple[Transfer, Client]:
        """Return a transfer whose peer sent ``first`` and then nothing for a while."""
        subject = Subject(NAME, content(DATA))
        transfer = Transfer(
            self.tools, subject, self.chooser(PEER_A, PEER_B), lambda: list(mirrors)
        )
        self.addCleanup(transfer.cancel)
        transfer.start()
        client = Client(transfer)
        self.response = self.asked(PEER_A).head(len(DATA))
        self.response.send(first)
        self.clock.advance(KEEP_PATIENT_AFTER)
        return transfer, client

    def test_a_mirror_is_asked_for_a_few_bytes_and_they_trickle(self) -> None:
        transfer, client = self.slow(DATA[:-1], MIRROR_A)
        request = self.asked(MIRROR_A)
        self.assertEqual(request.header("Range"), f"bytes=0-{PREFIX - 1}")
        place = f"bytes 0-{PREFIX - 1}/{len(DATA)}"
        response = request.answer(206, Content_Range=place, Content_Length=str(PREFIX))
        response.send(DATA[:PREFIX])
        self.assertEqual(client.data, b"")
        self.clock.advance(LONGEST_HOLD - KEEP_PATIENT_AFTER)
        self.assertEqual(client.data, DATA[:TRICKLE_STEP])
        self.clock.advance(TRICKLE_PERIOD)
        self.assertEqual(client.data, DATA[: 2 * TRICKLE_STEP])
        self.assertEqual(self.tools.took_from, [("m", PREFIX)])
        self.assertOver(self.cancelled(transfer), client)

    def cancelled(self, transfer: Transfer) -> Transfer:
        transfer.cancel()
        return transfer

    def test_a_peer_that_differs_is_not_waited_for(self) -> None:
        transfer, client = self.slow(b"\xff" + DATA[1:-1], MIRROR_A)
        self.asked(MIRROR_A).answer(200, Content_Length=str(len(DATA))).send(DATA[:PREFIX])
        self.assertNotIn("a", transfer._asking)
        self.asked(PEER_B).whole(DATA)
        self.assertEqual((client.data, client.aborted), (DATA, False))
        self.assertEqual(self.tools.blamed, [(NAME, ["a"])])
        self.assertOver(transfer, client)

    def few(self, mirror: Source, data: bytes) -> None:
        """Have a mirror give the few bytes that it was asked for."""
        place = f"bytes 0-{PREFIX - 1}/{len(DATA)}"
        answer = self.asked(mirror).answer(206, Content_Range=place, Content_Length=str(PREFIX))
        answer.send(data[:PREFIX])

    def test_nothing_goes_on_of_a_mirror_that_differs_where_another_bears_the_peer_out(
        self,
    ) -> None:
        transfer, client = self.slow(DATA[:-1], MIRROR_A, MIRROR_B)
        self.few(MIRROR_A, b"\xff" * PREFIX)
        self.assertIn("a", transfer._asking)
        self.few(MIRROR_B, DATA)
        self.clock.advance(LONGEST_HOLD - KEEP_PATIENT_AFTER)
        self.assertEqual(client.data, DATA[:TRICKLE_STEP])
        self.response.send(DATA[-1:])
        self.response.end()
        self.assertEqual((client.data, client.aborted), (DATA, False))
        self.assertEqual(self.tools.blamed, [(NAME, ["m"])])
        self.assertOver(transfer, client)

    def test_two_mirrors_that_agree_are_believed_before_a_peer(self) -> None:
        transfer, client = self.slow(b"\xff" + DATA[1:-1], MIRROR_A, MIRROR_B)
        self.few(MIRROR_A, DATA)
        self.few(MIRROR_B, DATA)
        self.assertNotIn("a", transfer._asking)
        self.asked(PEER_B).whole(DATA)
        self.assertEqual((client.data, client.aborted), (DATA, False))
        self.assertEqual(self.tools.blamed, [(NAME, ["a"])])
        self.assertOver(transfer, client)

    def test_one_that_says_it_twice_is_no_second(self) -> None:
        transfer, _ = self.slow(DATA[:-1], MIRROR_A, MIRROR_B)
        wrong = b"\xff" * PREFIX
        for _ in range(2):
            with self.assertRaises(Broken):
                transfer._have_witnessed(MIRROR_A, 0, wrong)
        transfer._have_witnessed(MIRROR_B, 0, wrong)

    def test_one_is_so_too_where_the_other_is_silent(self) -> None:
        transfer, client = self.slow(b"\xff" + DATA[1:-1], MIRROR_A, MIRROR_B)
        self.few(MIRROR_A, DATA)
        self.assertIn("a", transfer._asking)
        self.clock.advance(module.PREFIX_PATIENCE)
        self.assertNotIn("a", transfer._asking)
        self.asked(PEER_B).whole(DATA)
        self.assertEqual((client.data, client.aborted), (DATA, False))
        self.assertEqual(self.tools.blamed, [(NAME, ["a"])])
        self.assertOver(transfer, client)

    def test_the_only_mirror_that_differs_is_told_of_once_the_right_bytes_are_here(self) -> None:
        """It is believed first; what it gives when it is asked for all may be right."""
        subject = Subject(NAME, content(DATA))
        choose = self.chooser(PEER_A, PEER_B, MIRROR_A)
        transfer = Transfer(self.tools, subject, choose, lambda: [MIRROR_A])
        self.addCleanup(transfer.cancel)
        transfer.start()
        client = Client(transfer)
        self.asked(PEER_A).head(len(DATA)).send(DATA[:-1])
        self.clock.advance(KEEP_PATIENT_AFTER)
        self.few(MIRROR_A, b"\xff" * PREFIX)
        self.assertNotIn("a", transfer._asking)
        self.asked(PEER_B).whole(DATA)
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual((client.data, client.aborted), (DATA, False))
        self.assertEqual(self.tools.blamed, [(NAME, ["m"])])
        self.assertOver(transfer, client)

    def test_what_does_not_say_its_length_is_not_put_among_a_peers_bytes(self) -> None:
        transfer = self.transfer(PEER_A, MIRROR_A)
        client = Client(transfer)
        response = self.asked(PEER_A).head(len(DATA))
        response.send(DATA[:-1])
        self.clock.advance(2.0)
        self.asked(MIRROR_A).answer(200).send(b"<html>" * 1000)
        response.send(DATA[-1:])
        response.end()
        self.assertEqual(client.data, DATA)
        self.assertOver(transfer, client)

    def test_what_is_not_as_long_as_the_file_is_not_taken_for_its_beginning(self) -> None:
        for length in ({}, {"Content_Length": "5000"}):
            transfer, client = self.slow(DATA[:-1], MIRROR_A, MIRROR_B)
            self.asked(MIRROR_A).answer(200, **length).send(b"<html>" * 1000)
            self.assertIn("a", transfer._asking)
            self.asked(MIRROR_B).answer(200, Content_Length=str(len(DATA))).send(DATA[:PREFIX])
            self.clock.advance(LONGEST_HOLD)
            self.assertTrue(client.data)
            self.assertEqual(client.data, DATA[: len(client.data)])

    def test_a_peer_that_comes_to_a_mirrors_bytes_does_not_overwrite_them(self) -> None:
        subject = Subject(NAME, content(DATA))
        transfer = Transfer(self.tools, subject, self.chooser(PEER_A), lambda: [MIRROR_A])
        self.addCleanup(transfer.cancel)
        transfer.start()
        response = self.asked(PEER_A).head(len(DATA))
        response.send(DATA[:100])
        # For a reader that resumes there.
        transfer.keep_patient(5_000)
        answer = self.asked(MIRROR_A).answer(200, Content_Length=str(len(DATA)))
        answer.send(DATA[: 5_000 + PREFIX])
        response.send(bytes(9_000))
        found = os.pread(transfer.incoming.fileno(), PREFIX, 5_000)
        self.assertEqual(found, DATA[5_000 : 5_000 + PREFIX])

    def test_the_next_mirror_is_asked_beside_a_silent_one(self) -> None:
        _, client = self.slow(DATA[:-1], MIRROR_A, MIRROR_B)
        self.clock.advance(module.PREFIX_STAGGER)
        self.asked(MIRROR_B).answer(200, Content_Length=str(len(DATA))).send(DATA[:PREFIX])
        self.clock.advance(LONGEST_HOLD)
        self.assertTrue(client.data)
        self.assertEqual(client.data, DATA[: len(client.data)])

    def test_a_mirror_that_had_failed_and_answers_now_brings_the_rest(self) -> None:
        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            asked = [attempt.source for attempt in tried]
            left = [one for one in (MIRROR_A, PEER_A) if one not in asked]
            return Attempt(left[0], LIMITS) if left else None

        subject = Subject(NAME, content(DATA))
        transfer = Transfer(self.tools, subject, choose, lambda: [MIRROR_A])
        self.addCleanup(transfer.cancel)
        transfer.start()
        client = Client(transfer)
        self.asked(MIRROR_A).fail(ResponseFailed([]))
        self.asked(PEER_A).head(len(DATA)).send(DATA[:1])
        self.clock.advance(KEEP_PATIENT_AFTER)
        self.asked(MIRROR_A).answer(200, Content_Length=str(len(DATA))).send(DATA[:PREFIX])
        # Its own rate so far was none: it is taken to be as fast as mirrors are.
        for _ in range(8):
            self.clock.advance(0.25)
        response = self.asked(MIRROR_A).answer(
            206, Content_Range=f"bytes 1-{len(DATA) - 1}/{len(DATA)}"
        )
        response.send(DATA[1:])
        response.end()
        self.assertEqual(client.data, DATA)
        self.assertOver(transfer, client)

    def test_where_no_mirror_answers_a_peers_bytes_are_the_last_resort(self) -> None:
        _, client = self.slow(DATA[:-1], MIRROR_A)
        self.clock.advance(LAST_RESORT - KEEP_PATIENT_AFTER - 0.1)
        self.assertEqual(client.data, b"")
        self.clock.advance(0.1)
        self.assertEqual(client.data, DATA[:TRICKLE_STEP])

    def test_one_that_resumes_is_kept_patient_from_where_it_stands(self) -> None:
        subject = Subject(NAME, content(DATA))
        transfer = Transfer(self.tools, subject, self.chooser(PEER_A), lambda: [MIRROR_A])
        self.addCleanup(transfer.cancel)
        transfer.start()
        reader = Reader(transfer, 0)
        reader.move(10_000)
        self.asked(PEER_A).head(len(DATA)).send(DATA[:-1])
        self.clock.advance(KEEP_PATIENT_AFTER)
        self.assertEqual(self.asked(MIRROR_A).header("Range"), f"bytes=10000-{10_000 + PREFIX - 1}")
        reader.close()


class Widened(TransferTestCase):
    """What was begun on narrower terms comes from all whom a new follower may ask."""

    def test_a_holder_that_the_follower_knows_of_is_asked_at_once(self) -> None:
        transfer = self.transfer(MIRROR_A)
        self.asked(MIRROR_A).head(len(DATA))

        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            asked = [attempt.source for attempt in tried]
            left = [one for one in (PEER_A, MIRROR_A) if one not in asked]
            return Attempt(left[0], LIMITS) if left else None

        transfer.widen(choose, lambda: [MIRROR_A])
        client = Client(transfer)
        self.asked(PEER_A).whole(DATA)
        self.assertEqual(client.data, DATA)

    def test_it_does_not_fail_with_its_mirror(self) -> None:
        transfer = self.transfer(MIRROR_A)
        transfer.widen(self.chooser(MIRROR_A, PEER_A), lambda: [MIRROR_A])
        client = Client(transfer)
        self.asked(MIRROR_A).fail(error.ConnectionRefusedError())
        self.asked(PEER_A).whole(DATA)
        self.assertEqual(client.data, DATA)


class LookedThrough(TransferTestCase):
    """Databases that a peer may give: looked through before anybody gets a byte of them."""

    def setUp(self) -> None:
        super().setUp()
        self.seen: list[bytes] = []

    def find_problem(self, descriptor: int) -> str:
        data = os.pread(descriptor, 1 << 20, 0)
        self.seen.append(data)
        return "" if data.startswith(DATA[:100]) else "is no database"

    def database(self, *sources: Source, since: str | None = None) -> Transfer:
        subject = Subject("core.db", modified_since=since, find_problem=self.find_problem)
        return self.transfer(*sources, subject=subject)

    def test_a_peers_is_held_back_until_it_was_looked_through(self) -> None:
        transfer = self.database(PEER_A)
        client = Client(transfer)
        response = self.asked(PEER_A).head(len(DATA), Last_Modified="v1")
        response.send(DATA[:-1])
        self.clock.advance(LAST_RESORT - 0.1)
        self.assertEqual(client.data, b"")
        response.send(DATA[-1:])
        response.end()
        self.assertEqual((client.data, self.seen), (DATA, [DATA]))
        self.assertOver(transfer, client)

    def test_a_slow_one_trickles(self) -> None:
        client = Client(self.database(PEER_A))
        self.asked(PEER_A).head(len(DATA), Last_Modified="v1").send(DATA[:-1])
        self.clock.advance(LAST_RESORT)
        self.assertEqual(client.data, DATA[:TRICKLE_STEP])

    def test_a_bad_one_is_replaced_unseen_and_its_peer_blamed(self) -> None:
        transfer = self.database(PEER_A, MIRROR_A)
        client = Client(transfer)
        self.asked(PEER_A).whole(b"garbage", Last_Modified="v9")
        self.assertEqual(client.data, b"")
        self.asked(MIRROR_A).whole(DATA, Last_Modified="v1")
        self.assertEqual((client.data, self.tools.blamed), (DATA, [("core.db", ["a"])]))
        self.assertOver(transfer, client)

    def test_a_bad_one_that_was_begun_is_not_continued_with_another_version(self) -> None:
        transfer = self.database(PEER_A, MIRROR_A)
        client = Client(transfer)
        response = self.asked(PEER_A).head(len(DATA), Last_Modified="v9")
        response.send(bytes(len(DATA) - 1))
        self.clock.advance(LAST_RESORT)
        self.assertEqual(client.data, bytes(TRICKLE_STEP))
        response.send(b"x")
        response.end()
        self.asked(MIRROR_A).whole(DATA, Last_Modified="v1")
        self.assertEqual((client.data, client.aborted), (bytes(TRICKLE_STEP), True))
        self.failureResultOf(transfer.finished.wait(), Broken)

    def test_nobody_else_adds_to_what_a_peer_began(self) -> None:
        transfer = self.database(PEER_A, MIRROR_A)
        client = Client(transfer)
        response = self.asked(PEER_A).head(len(DATA), Last_Modified="v1")
        response.send(bytes(1000))
        response.break_off()
        request = self.asked(MIRROR_A)
        self.assertEqual(request.start, 0)
        request.whole(DATA, Last_Modified="v1")
        self.assertEqual(client.data, DATA)
        self.assertOver(transfer, client)

    def test_a_mirrors_is_believed_as_pacman_would(self) -> None:
        client = Client(self.database(MIRROR_A))
        self.asked(MIRROR_A).whole(b"anything", Last_Modified="v1")
        self.assertEqual((client.data, self.seen), (b"anything", []))

    def test_a_peer_sends_no_more_than_it_may(self) -> None:
        for announced in (len(DATA), None):
            subject = Subject("core.db", find_problem=self.find_problem, most=len(DATA) - 1)
            transfer = self.transfer(PEER_A, MIRROR_A, subject=subject)
            fields = {} if announced is None else {"Content_Length": str(announced)}
            self.asked(PEER_A).answer(200, **fields).send(DATA)
            self.asked(MIRROR_A).whole(DATA[:-1], Last_Modified="v1")
            self.successResultOf(transfer.finished.wait())
            self.assertEqual((transfer.size, self.seen), (len(DATA) - 1, []))

    def test_nothing_new_is_not_looked_through(self) -> None:
        transfer = self.database(PEER_A, since="yesterday")
        self.asked(PEER_A).answer(304, Last_Modified="v0")
        self.successResultOf(transfer.begun.wait())
        self.assertEqual((transfer.not_modified, self.seen), (True, []))


class Databases(TransferTestCase):
    """Files whose content nobody listed: from mirrors alone, one version only."""

    def database(self, since: str | None = None) -> Transfer:
        return self.transfer(MIRROR_A, MIRROR_B, subject=Subject("core.db", modified_since=since))

    def test_it_goes_as_it_comes_after_a_moment(self) -> None:
        client = Client(self.database())
        response = self.asked(MIRROR_A).head(len(DATA), Last_Modified="v1")
        response.send(DATA[:10])
        self.assertFalse(client.begun)
        self.clock.advance(MIRROR_HOLD)
        self.assertEqual(client.data, DATA[:10])
        response.send(DATA[10:20])
        self.assertEqual(client.data, DATA[:20])

    def test_a_quick_one_goes_when_it_is_whole(self) -> None:
        client = Client(self.database())
        self.asked(MIRROR_A).whole(DATA, Last_Modified="v1")
        self.assertEqual(client.data, DATA)

    def test_one_that_breaks_off_at_once_is_begun_anew_from_another_version(self) -> None:
        client = Client(self.database())
        response = self.asked(MIRROR_A).head(len(DATA), Last_Modified="v1")
        response.send(DATA[:1000])
        response.break_off()
        other = self.asked(MIRROR_B).answer(200, Content_Length="5", Last_Modified="v2")
        other.send(b"newer")
        other.end()
        self.assertEqual(client.data, b"newer")

    def test_one_without_length_begins_when_it_is_whole(self) -> None:
        transfer = self.database()
        client = Client(transfer)
        response = self.asked(MIRROR_A).answer(200)
        response.send(DATA)
        self.assertFalse(client.begun)
        response.end()
        self.assertEqual((client.data, transfer.size), (DATA, len(DATA)))

    def test_nothing_new_is_told_as_it_came(self) -> None:
        transfer = self.database("yesterday")
        self.assertEqual(self.asked(MIRROR_A).header("If-Modified-Since"), "yesterday")
        self.asked(MIRROR_A).answer(304, Last_Modified="v0")
        self.successResultOf(transfer.begun.wait())
        self.assertTrue(transfer.not_modified)
        assert transfer.head is not None
        self.assertEqual(transfer.head.modified, "v0")
        self.assertEqual(self.tools.files, [])

    def test_a_mirror_that_dies_is_followed_by_another_with_the_same_version(self) -> None:
        transfer = self.database()
        client = Client(transfer)
        response = self.asked(MIRROR_A).head(len(DATA), Last_Modified="v1", ETag='"1"')
        response.send(DATA[:1000])
        response.break_off()
        request = self.asked(MIRROR_B)
        self.assertEqual((request.start, request.header("If-Range")), (1000, '"1"'))
        request.whole(DATA, Last_Modified="v1")
        self.assertEqual(client.data, DATA)
        self.assertOver(transfer, client)

    def test_without_an_etag_the_date_ties_them(self) -> None:
        self.database()
        response = self.asked(MIRROR_A).head(len(DATA), Last_Modified="v1")
        response.send(DATA[:1000])
        response.break_off()
        self.assertEqual(self.asked(MIRROR_B).header("If-Range"), "v1")

    def test_another_version_is_never_put_behind_what_was_told(self) -> None:
        for size, modified in ((len(DATA), "v2"), (len(DATA) + 5, "v1")):
            transfer = self.database()
            client = Client(transfer)
            response = self.asked(MIRROR_A).head(len(DATA), Last_Modified="v1")
            response.send(DATA[:1000])
            self.clock.advance(MIRROR_HOLD)
            response.break_off()
            self.asked(MIRROR_B).whole(bytes(size), Last_Modified=modified)
            self.assertEqual((client.data, client.aborted), (DATA[:1000], True))
            self.failureResultOf(transfer.finished.wait(), Broken)

    def test_a_length_that_was_told_is_kept_though_no_byte_was_taken_yet(self) -> None:
        transfer = self.database()
        client = Client(transfer)
        client.paused = True
        response = self.asked(MIRROR_A).head(len(DATA), Last_Modified="v1")
        response.send(DATA[:1000])
        self.clock.advance(MIRROR_HOLD)
        self.assertTrue(client.begun)
        response.break_off()
        self.asked(MIRROR_B).answer(200, Content_Length="5", Last_Modified="v2").send(b"other")
        client.resume()
        self.assertTrue(client.aborted)
        self.assertFalse(transfer.verified)

    def test_another_version_begins_anew_where_nothing_was_told(self) -> None:
        transfer = self.database()
        client = Client(transfer)
        response = self.asked(MIRROR_A).answer(200, Last_Modified="v1")
        response.send(b"old")
        response.break_off()
        other = self.asked(MIRROR_B).answer(200, Content_Length="5", Last_Modified="v2")
        other.send(b"newer")
        other.end()
        self.assertEqual(client.data, b"newer")
        self.assertEqual(transfer.size, 5)

    def test_a_mirror_that_changes_its_mind_about_news_is_broken(self) -> None:
        transfer = self.database("yesterday")
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:1])
        response.break_off()
        self.assertIsNone(self.asked(MIRROR_B).header("If-Modified-Since"))
        self.asked(MIRROR_B).answer(304)
        self.failureResultOf(transfer.finished.wait(), Refused)


class Disks(TransferTestCase):
    def test_a_full_disk_moves_the_transfer_to_spare(self) -> None:
        self.tools.room = 8192
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:5_000])
        self.clock.advance(MIRROR_HOLD)
        self.assertTrue(transfer.incoming.keep)
        response.send(DATA[5_000:15_000])
        self.assertFalse(transfer.incoming.keep)
        self.assertEqual(self.tools.files[0].closed, 1)
        response.send(DATA[15_000:])
        response.end()
        self.assertEqual(client.data, DATA)
        self.assertOver(transfer, client)

    def test_a_file_that_takes_long_to_move_is_given_up(self) -> None:
        self.patch(descriptors, "STEP", 1_000)
        self.tools.room = 8192
        transfer = self.transfer(MIRROR_A, MIRROR_B)
        client = Client(transfer)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:5_000])
        now = self.clock.seconds
        looks = itertools.count()
        # Each step of copying takes a while.
        self.patch(self.clock, "seconds", lambda: now() + next(looks) * writing.MOVE_SECONDS / 3)
        response.send(DATA[5_000:15_000])
        self.assertTrue(response.left)
        self.assertIsInstance(client.failure, StoreError)
        self.assertLess(next(looks), 12)
        self.assertOver(transfer, client)

    def test_a_disk_that_takes_nothing_is_no_matter(self) -> None:
        self.tools.room = 0
        transfer = self.transfer(MIRROR_A)
        self.asked(MIRROR_A).whole(DATA)
        self.successResultOf(transfer.finished.wait())

    def test_no_room_anywhere_ends_it_with_a_clear_error(self) -> None:
        for spoil in ("spare_room", "no_spare"):
            self.tools = FakeTools()
            self.clock = self.tools.reactor
            self.tools.room = 4096
            if spoil == "spare_room":
                self.tools.spare_room = 8192
            else:
                self.tools.no_spare = True
            transfer = self.transfer(MIRROR_A, MIRROR_B)
            client = Client(transfer)
            response = self.asked(MIRROR_A).head(len(DATA))
            response.send(DATA[:3_000])
            response.send(DATA[3_000:9_000])
            response.send(DATA[9_000:])
            self.assertTrue(response.left)
            self.assertIsInstance(client.failure, StoreError)
            self.assertFalse(self.was_asked(MIRROR_B))
            self.assertOver(transfer, client)

    def test_a_file_that_cannot_be_made_ends_it_with_a_clear_error(self) -> None:
        def incoming(*_: object) -> Memory:
            raise StoreError("/store", os.strerror(errno.ENOSPC))

        self.patch(self.tools, "incoming", incoming)
        transfer = self.transfer(MIRROR_A)
        response = self.asked(MIRROR_A).head(len(DATA))
        self.assertTrue(response.left)
        self.failureResultOf(transfer.finished.wait(), StoreError)


class SlowDisks(TransferTestCase):
    """What comes waits for the disk, and a test says when that has written it."""

    def setUp(self) -> None:
        super().setUp()
        self.clock.held = True
        self.patch(writing, "MOST_OF_ONE", 6_000)

    def test_a_reader_gets_what_is_written(self) -> None:
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer, verifies=True)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:5_000])
        self.assertEqual((client.begun, client.data), (False, b""))
        self.clock.work()
        self.assertEqual(client.data, DATA[:5_000])
        response.send(DATA[5_000:])
        response.end()
        self.assertEqual(client.data, DATA[:5_000])
        self.assertNoResult(transfer.finished.wait())
        self.clock.work()
        self.assertEqual(client.data, DATA)
        self.successResultOf(transfer.finished.wait())
        self.assertOver(transfer, client)

    def test_who_sends_waits_for_it_and_is_not_blamed(self) -> None:
        transfer = self.transfer(PEER_A, PEER_B)
        client = Client(transfer, verifies=True)
        response = self.asked(PEER_A).head(len(DATA))
        for start in range(0, len(DATA), 2_000):
            response.send(DATA[start : start + 2_000])
        response.end()
        self.assertTrue(response.paused)
        self.assertEqual(transfer.arrived, 6_000)
        self.clock.pump([1.0] * 60)
        self.assertFalse(self.was_asked(PEER_B))
        self.clock.work()
        self.successResultOf(transfer.finished.wait())
        self.assertEqual((client.data, self.tools.slow_ones), (DATA, []))
        self.assertEqual(self.tools.backlog.size, 0)
        self.assertOver(transfer, client)

    def test_what_was_ended_while_it_waited_leaves_nothing(self) -> None:
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:4_000])
        response.send(DATA[4_000:9_000])
        transfer.cancel()
        self.assertTrue(response.left)
        self.assertOver(transfer, client)
        self.assertTrue(self.tools.files[0].is_open)
        self.clock.work()
        self.assertFalse(self.tools.files[0].is_open)
        self.assertEqual(self.tools.backlog.size, 0)

    def test_what_was_ended_while_its_last_bytes_waited_leaves_nothing(self) -> None:
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer)
        self.asked(MIRROR_A).whole(DATA)
        transfer.cancel()
        self.failureResultOf(transfer.finished.wait(), Broken)
        self.assertOver(transfer, client)
        self.clock.work()
        self.assertFalse(self.tools.files[0].is_open)

    def test_right_bytes_that_wait_are_compared_with_a_mirrors_as_if_they_were_written(
        self,
    ) -> None:
        subject = Subject(NAME, content(DATA))
        transfer = Transfer(self.tools, subject, self.chooser(PEER_A), lambda: [MIRROR_A])
        transfer.start()
        client = Client(transfer)
        response = self.asked(PEER_A).head(len(DATA))
        response.send(DATA[:1_000])
        response.send(DATA[1_000:5_000])
        self.clock.advance(KEEP_PATIENT_AFTER + 0.1)
        begin = self.asked(MIRROR_A)
        begin.answer(
            206, Content_Range=f"bytes 0-{PREFIX - 1}/{len(DATA)}", Content_Length=str(PREFIX)
        ).send(DATA[:PREFIX])
        self.assertFalse(response.left)
        response.send(DATA[5_000:])
        response.end()
        self.clock.work()
        self.successResultOf(transfer.finished.wait())
        self.assertEqual((client.data, self.tools.blamed), (DATA, []))
        self.assertOver(transfer, client)

    def test_what_waits_when_a_mirror_has_other_bytes_is_replaced_too(self) -> None:
        transfer = Transfer(
            self.tools,
            Subject(NAME, content(DATA)),
            self.chooser(PEER_A, MIRROR_A),
            lambda: [MIRROR_A],
        )
        transfer.start()
        client = Client(transfer)
        bad = self.asked(PEER_A).head(len(DATA))
        bad.send(WRONG[-3_000:])
        bad.send(b"\xff" * 2_000)
        self.clock.advance(KEEP_PATIENT_AFTER + 0.1)
        begin = self.asked(MIRROR_A)
        begin.answer(
            206, Content_Range=f"bytes 0-{PREFIX - 1}/{len(DATA)}", Content_Length=str(PREFIX)
        ).send(DATA[:PREFIX])
        self.assertTrue(bad.left)
        self.clock.held = False
        self.asked(MIRROR_A).whole(DATA)
        self.clock.work()
        self.clock.advance(1)
        self.successResultOf(transfer.finished.wait())
        self.assertEqual(client.data, DATA)
        self.assertOver(transfer, client)

    def test_a_disk_that_turns_out_to_be_full_ends_it_where_there_is_no_spare(self) -> None:
        self.tools.room, self.tools.no_spare = 0, True
        transfer = self.transfer(MIRROR_A, MIRROR_B)
        client = Client(transfer)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:7_000])
        self.assertTrue(response.paused)
        self.clock.work()
        self.assertTrue(response.left)
        self.assertIsInstance(client.failure, StoreError)
        self.assertFalse(self.was_asked(MIRROR_B))
        self.assertOver(transfer, client)

    def test_a_disk_that_turns_out_to_be_full_at_the_very_end_ends_it_too(self) -> None:
        self.tools.room, self.tools.no_spare = 0, True
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer)
        self.asked(MIRROR_A).whole(DATA)
        self.assertFalse(transfer.finished.known)
        self.clock.work()
        self.assertIsInstance(client.failure, StoreError)
        self.assertOver(transfer, client)

    def test_a_disk_that_turns_out_to_be_full_is_left_for_a_spare(self) -> None:
        self.tools.room = 4_000
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer)
        self.asked(MIRROR_A).whole(DATA)
        self.clock.work()
        self.assertFalse(transfer.incoming.keep)
        self.assertEqual(client.data, DATA)
        self.assertOver(transfer, client)


class Rooms(TransferTestCase):
    """For whom a transfer takes room, and how it gives that back."""

    def test_what_pacman_asked_for_is_its_own(self) -> None:
        transfer = self.transfer(MIRROR_A)
        self.assertTrue(transfer.own)

    def test_what_a_peer_asked_for_is_a_strangers_until_pacman_follows(self) -> None:
        transfer = self.transfer(MIRROR_A)
        transfer.begun_by = "10.0.0.9"
        Client(transfer, verifies=True)
        self.assertFalse(transfer.own)
        own = Client(transfer)
        self.assertTrue(transfer.own)
        own.reader.close()
        self.assertFalse(transfer.own)

    def test_what_only_a_peer_still_reads_is_a_strangers(self) -> None:
        transfer = self.transfer(MIRROR_A)
        own, peer = Client(transfer), Client(transfer, verifies=True)
        self.asked(MIRROR_A).whole(DATA)
        own.reader.close()
        self.assertTrue(transfer.finished.known)
        self.assertFalse(transfer.own)
        peer.reader.close()

    def test_what_only_strangers_wait_for_is_hashed_beside_what_pacman_waits_for(self) -> None:
        self.patch(module, "HASH_INLINE", 0)
        for begun_by in ("10.0.0.9", ""):
            self.tools.for_strangers = FakeReactor()
            self.tools.for_strangers.held = True
            transfer = self.transfer(MIRROR_A)
            transfer.begun_by = begun_by
            Client(transfer, verifies=bool(begun_by))
            self.asked(MIRROR_A).whole(DATA)
            self.assertEqual(transfer.finished.known, not begun_by)

    def test_cut_on_its_way_it_ends_and_gives_its_file_back(self) -> None:
        transfer = self.transfer(MIRROR_A)
        transfer.begun_by = "10.0.0.9"
        client = Client(transfer, verifies=True)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:1_000])
        transfer.cut()
        self.assertTrue(response.left)
        self.assertTrue(client.aborted)
        client.reader.close()
        self.assertOver(transfer, client)

    def test_cut_when_it_is_whole_it_lets_go_of_who_still_reads(self) -> None:
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer, verifies=True)
        self.asked(MIRROR_A).whole(DATA)
        transfer.cut()
        self.assertTrue(client.aborted)
        self.assertTrue(transfer.verified)


class Ends(TransferTestCase):
    def test_cancelling_leaves_nothing_behind(self) -> None:
        for received in (None, 0, 1000):
            transfer = self.transfer(MIRROR_A, MIRROR_B)
            client = Client(transfer)
            if received is not None:
                response = self.asked(MIRROR_A).head(len(DATA))
                response.send(DATA[:received])
            transfer.cancel()
            self.assertIsInstance(client.failure, Broken)
            self.assertFalse(self.was_asked(MIRROR_B))
            self.assertOver(transfer, client)

    def test_cancelling_while_it_is_hashed_leaves_nothing_behind(self) -> None:
        self.patch(module, "HASH_INLINE", 0)
        self.clock.held = True
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer)
        self.asked(MIRROR_A).whole(DATA)
        transfer.cancel()
        self.failureResultOf(transfer.finished.wait(), Broken)
        self.assertOver(transfer, client)
        self.clock.work()

    def test_a_begun_answer_is_cut_when_no_source_is_left(self) -> None:
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[: RESERVE + 1000])
        self.clock.advance(MIRROR_HOLD)
        self.assertEqual(len(client.data), 1000)
        response.break_off()
        self.assertTrue(client.aborted)
        self.assertOver(transfer, client)

    def test_it_goes_on_for_a_while_when_nobody_follows(self) -> None:
        transfer = self.transfer(MIRROR_A)
        Client(transfer).leave()
        self.clock.advance(GRACE - 0.1)
        self.assertFalse(transfer.finished.known)
        self.clock.advance(0.2)
        self.failureResultOf(transfer.finished.wait(), Broken)
        self.assertOver(transfer)

    def test_begun_for_a_peer_it_ends_soon_after_the_peer_has_left(self) -> None:
        transfer = self.transfer(MIRROR_A)
        transfer.begun_by = "10.0.0.9"
        client = Client(transfer)
        client.reader.verifies = True
        response = self.asked(MIRROR_A).head(len(DATA))
        client.reader.close()
        self.clock.advance(module.GRACE_FOR_PEERS)
        self.assertTrue(response.left)
        self.failureResultOf(transfer.finished.wait(), Broken)

    def test_begun_for_a_peer_it_waits_for_this_machines_pacman_all_the_same(self) -> None:
        transfer = self.transfer(MIRROR_A)
        transfer.begun_by = "10.0.0.9"
        response = self.asked(MIRROR_A).head(len(DATA))
        Client(transfer).leave()
        self.clock.advance(GRACE - 0.1)
        self.assertFalse(response.left)

    def test_one_that_comes_back_in_time_finds_it_running(self) -> None:
        transfer = self.transfer(MIRROR_A)
        Client(transfer).leave()
        self.clock.advance(GRACE - 0.1)
        client = Client(transfer)
        self.clock.advance(GRACE)
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(client.data, DATA)

    def test_the_file_stays_open_for_a_slow_reader(self) -> None:
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer)
        client.paused = True
        self.asked(MIRROR_A).whole(DATA)
        transfer.retire()
        client.resume()
        self.assertEqual(client.data, DATA)
        client.leave()
        self.assertEqual(self.tools.files[0].closed, 1)

    def test_what_no_error_was_foreseen_for_is_logged_and_ends_it(self) -> None:
        def choose(_: Sequence[Attempt]) -> Attempt | None:
            raise ZeroDivisionError

        transfer = Transfer(self.tools, Subject(NAME, content(DATA)), choose)
        transfer.start()
        self.failureResultOf(transfer.finished.wait(), Broken)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class Collection(TransferTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.signing: list[tuple[Transfer, Deferred[bytes | None]]] = []
        self.published: list[tuple[str, bytes | None]] = []
        self.transfers = Transfers(self.tools, sign=self.sign, publish=self.publish)
        self.addCleanup(self.transfers.stop)

    def sign(self, transfer: Transfer) -> Deferred[bytes | None]:
        self.signing.append((transfer, Deferred()))
        return self.signing[-1][1]

    def publish(self, transfer: Transfer, signature: bytes | None) -> Deferred[bool]:
        # Its file must be open still.
        data = os.pread(transfer.incoming.fileno(), len(DATA), 0)
        self.published.append((transfer.subject.file_name if data == DATA else "?", signature))
        return succeed(True)

    def join(self, *sources: Source, data: bytes = DATA) -> Transfer:
        return self.transfers.join(Subject(NAME, content(data)), self.chooser(*sources))

    def waiting(self) -> Deferred[bytes | None]:
        known = self.transfers.signature(NAME)
        assert known is not None
        return known[1]

    def test_who_asks_for_the_same_content_shares_one_fetch(self) -> None:
        first, second = self.join(MIRROR_A), self.join(MIRROR_B)
        self.assertIs(first, second)
        clients = [Client(first), Client(second)]
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual([client.data for client in clients], [DATA, DATA])
        self.assertFalse(self.was_asked(MIRROR_B))

    def test_another_content_of_the_same_name_is_another_transfer(self) -> None:
        self.assertIsNot(self.join(MIRROR_A), self.join(MIRROR_B, data=WRONG))

    def test_one_alone_is_shared_with_nobody(self) -> None:
        one, other = (
            self.transfers.alone(Subject("core.db"), self.chooser(MIRROR_A)) for _ in range(2)
        )
        self.assertIsNot(one, other)
        self.assertEqual(list(self.transfers), [*{one, other}])
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(len(list(self.transfers)), 1)
        self.assertEqual((self.signing, self.published), ([], []))

    def test_it_can_be_joined_until_it_is_published(self) -> None:
        transfer = self.join(MIRROR_A)
        self.asked(MIRROR_A).whole(DATA)
        self.assertIs(self.transfers.find(NAME, content(DATA)), transfer)
        late = Client(transfer)
        self.assertEqual(late.data, DATA)
        late.leave()
        self.signing[0][1].callback(b"sig")
        self.assertIsNone(self.transfers.find(NAME, content(DATA)))
        self.assertEqual(self.published, [(NAME, b"sig")])
        self.assertOver(transfer)

    def test_the_signature_reaches_all_that_wait_and_later_ones(self) -> None:
        transfer = self.join(MIRROR_A)
        early = [self.waiting(), self.waiting()]
        self.asked(MIRROR_A).whole(DATA)
        late = self.waiting()
        self.signing[0][1].callback(b"sig")
        for one in (*early, late, self.waiting()):
            self.assertEqual(self.successResultOf(one), b"sig")
        self.assertEqual(len(self.signing), 1)
        self.assertEqual(len(self.published), 1)
        self.assertIs(self.signing[0][0], transfer)

    def test_one_without_signature_is_published_as_such(self) -> None:
        self.join(MIRROR_A)
        self.asked(MIRROR_A).whole(DATA)
        self.signing[0][1].callback(None)
        self.assertIsNone(self.successResultOf(self.waiting()))
        self.assertEqual(self.published, [(NAME, None)])

    def test_one_whose_signature_cannot_be_had_is_not_published(self) -> None:
        self.join(MIRROR_A)
        early = self.waiting()
        self.asked(MIRROR_A).whole(DATA)
        self.signing[0][1].errback(Unreachable("m", "gone"))
        self.failureResultOf(early, Unreachable)
        self.assertIsNone(self.transfers.signature(NAME))
        self.assertEqual(self.published, [])
        self.assertEqual(list(self.transfers), [])

    def test_who_waits_for_the_signature_of_a_failed_transfer_learns_it(self) -> None:
        self.join(MIRROR_A)
        early = self.waiting()
        self.asked(MIRROR_A).answer(404)
        self.failureResultOf(early, Refused)
        self.assertIsNone(self.transfers.signature(NAME))
        self.assertEqual((self.signing, list(self.transfers)), ([], []))

    def test_a_failed_transfer_is_begun_anew(self) -> None:
        first = self.join(MIRROR_A)
        self.asked(MIRROR_A).answer(404)
        second = self.join(MIRROR_B)
        self.assertIsNot(first, second)
        self.asked(MIRROR_B).whole(DATA)
        self.successResultOf(second.finished.wait())

    def test_a_second_content_of_a_name_leaves_none_waiting_for_the_first(self) -> None:
        self.join(MIRROR_A)
        first = self.waiting()
        self.join(MIRROR_B, data=WRONG)
        self.asked(MIRROR_A).whole(DATA)
        self.signing[0][1].callback(b"sig")
        self.assertEqual(self.successResultOf(first), b"sig")
        second = self.waiting()
        self.assertNoResult(second)
        second.cancel()
        self.failureResultOf(second, CancelledError)

    def test_an_unforeseen_error_leaves_none_waiting(self) -> None:
        self.join(MIRROR_A)
        early = self.waiting()
        self.asked(MIRROR_A).whole(DATA)
        self.signing[0][1].errback(ZeroDivisionError())
        self.failureResultOf(early, Broken)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(list(self.transfers), [])

    def test_no_more_signatures_are_remembered_than_asked_for_soon(self) -> None:
        self.patch(transfers, "MOST_SIGNATURES", 2)
        for name in ("a", "b", "c"):
            self.transfers.join(Subject(name, content(DATA)), self.chooser(MIRROR_A))
        self.assertIsNone(self.transfers.signature("a"))
        known = self.transfers.signature("c")
        assert known is not None
        known[1].cancel()
        self.failureResultOf(known[1], CancelledError)

    def test_stop_ends_all_and_leaves_nothing(self) -> None:
        running = self.join(MIRROR_A)
        client = Client(running)
        self.transfers.alone(Subject("core.db"), self.chooser(MIRROR_B))
        done = self.transfers.join(Subject("z", content(DATA)), self.chooser(PEER_A))
        self.asked(PEER_A).whole(DATA)
        self.transfers.stop()
        self.assertIsInstance(client.failure, Broken)
        self.assertEqual(list(self.transfers), [])
        self.assertEqual(self.published, [])
        done.retire()
        self.assertOver(running, client)

"""How a file comes in: failover inside the same answer, and one version only."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import error
from twisted.internet.defer import Deferred

from flocon.asking.source import Origin, Source
from flocon.errors import Broken, Refused
from flocon.files import Content
from flocon.transfers.release import MIRROR_HOLD
from flocon.transfers.subjects import Subject
from flocon.transfers.transfer import Transfer
from tests.fakes import FakeResponse
from tests.transfers.transfer_case import (
    DATA,
    LIMITS,
    MIRROR_A,
    MIRROR_B,
    NAME,
    PEER_A,
    Client,
    TransferTestCase,
)


class Failover(TransferTestCase):
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


class LookedUp(TransferTestCase):
    """What nobody announced may be somewhere all the same: that is found out before it begins."""

    def setUp(self) -> None:
        super().setUp()
        self.waiting: Deferred[None] = Deferred()
        self.looked: list[str] = []

        def look_up(name: str, _: Content) -> Deferred[None]:
            self.looked.append(name)
            return self.waiting

        self.tools.look_up = look_up

    def test_nobody_is_asked_before_that_is_known(self) -> None:
        transfer = self.transfer(PEER_A, MIRROR_A)
        client = Client(transfer)
        self.assertEqual((self.looked, self.was_asked(PEER_A)), ([NAME], False))
        self.waiting.callback(None)
        self.asked(PEER_A).whole(DATA)
        self.assertEqual(client.data, DATA)

    def test_who_leaves_meanwhile_ends_it(self) -> None:
        transfer = self.transfer(PEER_A)
        transfer.cancel()
        self.failureResultOf(transfer.finished.wait())
        self.assertFalse(self.was_asked(PEER_A))

    def test_what_is_not_listed_is_looked_for_nowhere(self) -> None:
        transfer = Transfer(self.tools, Subject(NAME), lambda _: None, tuple)
        transfer.start()
        self.failureResultOf(transfer.finished.wait())
        self.assertEqual(self.looked, [])

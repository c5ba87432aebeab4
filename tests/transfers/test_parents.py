"""What comes from a caching proxy of the LAN: asked by its rules, believed once it is verified."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.web.http_headers import Headers

from flocon.asking.mirrors import LOOP_DETECTED
from flocon.asking.source import Came, Origin, Source
from flocon.errors import Refused, SourceError
from flocon.foreign.place import Place, Tool
from flocon.sources.places import foreign_source
from flocon.transfers.release import MIRROR_HOLD
from flocon.transfers.subjects import Subject
from tests.fakes import FakeResponse
from tests.transfers.transfer_case import (
    DATA,
    MIRROR_A,
    NAME,
    WRONG,
    Client,
    TransferTestCase,
    content,
)

PARENT = Source(Origin.MIRROR, "nas:9129", "nas:9129", f"http://nas:9129/{NAME}", parent="pacoloco")
WHOLE = Source(
    Origin.MIRROR, "nas:7878", "nas:7878", f"http://nas:7878/{NAME}", parent="flexo", whole=True
)


class ParentsTestCase(TransferTestCase):
    def failures(self) -> list[SourceError | None]:
        return [failure for _, _, failure in self.tools.ended_with]

    def answer_from(self, source: Source, url: str, size: int = len(DATA)) -> FakeResponse:
        """Answer as the place at ``url`` does, to which the one that was asked has sent."""
        response: Any = FakeResponse(200, Headers(), size)
        response.request = SimpleNamespace(absoluteURI=url.encode())
        self.asked(source).deferred.callback(response)
        found: FakeResponse = response
        return found


class Asked(ParentsTestCase):
    def test_what_it_has_counts_as_the_lans(self) -> None:
        transfer = self.transfer(PARENT)
        client = Client(transfer)
        self.asked(PARENT).whole(DATA)
        self.assertEqual(client.data, DATA)
        self.assertEqual(transfer.shares, {Came.PEER: len(DATA)})
        self.assertEqual(str(transfer.source), "parent nas:9129")

    def test_who_tells_no_length_sends_as_many_bytes_as_are_listed(self) -> None:
        for source in (PARENT, foreign_source(Place(Tool.PACSERVE, "10.0.0.7", 15_678), NAME)):
            transfer = self.transfer(source)
            client = Client(transfer)
            response: Any = FakeResponse(200, Headers(), None)
            self.asked(source).deferred.callback(response)
            response.send(DATA)
            response.end()
            self.assertEqual(client.data, DATA)
            self.assertEqual(transfer.shares, {Came.PEER: len(DATA)})
            self.tools.agents.clear()

    def test_it_is_asked_by_name_alone_and_for_no_end(self) -> None:
        self.transfer(PARENT)
        request = self.asked(PARENT)
        for name in ("Range", "If-Match", "If-Range", "Cache-Control"):
            self.assertIsNone(request.header(name))

    def test_the_rest_is_asked_of_one_that_can_and_all_of_one_that_cannot(self) -> None:
        for source, start in ((PARENT, 5_000), (WHOLE, 0)):
            transfer = self.transfer(MIRROR_A, source)
            client = Client(transfer)
            response = self.asked(MIRROR_A).head(len(DATA))
            response.send(DATA[:5_000])
            response.break_off()
            request = self.asked(source)
            self.assertEqual(request.start, start)
            request.whole(DATA)
            self.assertEqual(client.data, DATA)
            self.tools.agents.clear()


class Lacking(ParentsTestCase):
    """What it says of a file that it has not, in whatever words, is no fault of its."""

    def assert_lacks(self, transfer: Any, client: Client) -> None:
        (failure,) = self.failures()
        assert isinstance(failure, Refused)
        self.assertEqual((failure.status, failure.retry_after), (404, None))
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(client.data, DATA)
        self.assertEqual(self.tools.blamed, [])

    def test_every_status_from_500_on(self) -> None:
        for status in (500, 502, 503, 508):
            self.tools.ended_with.clear()
            self.tools.agents.clear()
            transfer = self.transfer(PARENT, MIRROR_A)
            client = Client(transfer)
            self.asked(PARENT).answer(status, Retry_After="600")
            self.assert_lacks(transfer, client)

    def test_one_that_leads_to_a_node_is_told_to(self) -> None:
        for status in (503, LOOP_DETECTED):
            self.transfer(PARENT, MIRROR_A)
            self.asked(PARENT).answer(status)
            self.tools.agents.clear()
        self.assertEqual(self.tools.sent_on, [(PARENT.key, "a node")])

    def test_an_answer_without_a_body(self) -> None:
        transfer = self.transfer(PARENT, MIRROR_A)
        client = Client(transfer)
        self.asked(PARENT).answer(200, Content_Length="0")
        self.assert_lacks(transfer, client)

    def test_one_that_does_not_say_that_it_has_none(self) -> None:
        transfer = self.transfer(PARENT, MIRROR_A)
        client = Client(transfer)
        self.asked(PARENT).answer(200).end()
        self.assert_lacks(transfer, client)

    def test_another_file_under_this_name(self) -> None:
        transfer = self.transfer(PARENT, MIRROR_A)
        client = Client(transfer)
        self.asked(PARENT).head(len(DATA) - 1)
        self.assert_lacks(transfer, client)

    def test_a_database_that_has_not_changed_is_an_answer(self) -> None:
        date = "Sat, 28 Nov 2026 00:00:00 GMT"
        transfer = self.transfer(PARENT, subject=Subject("core.db", modified_since=date))
        self.asked(PARENT).answer(304)
        self.assertTrue(transfer.not_modified)
        self.assertEqual(self.failures(), [None])

    def test_a_database_without_a_date_is_one(self) -> None:
        transfer = self.transfer(WHOLE, subject=Subject("core.db"))
        client = Client(transfer)
        self.asked(WHOLE).whole(DATA)
        self.clock.advance(MIRROR_HOLD)
        self.successResultOf(transfer.finished.wait())
        self.assertEqual(client.data, DATA)

    def test_a_mirror_that_fails_is_one_that_fails(self) -> None:
        transfer = self.transfer(MIRROR_A)
        Client(transfer)
        self.asked(MIRROR_A).answer(500)
        (failure,) = self.failures()
        assert isinstance(failure, Refused)
        self.assertEqual(failure.status, 500)


class Wrong(ParentsTestCase):
    def test_no_byte_of_its_goes_on_before_all_are_verified(self) -> None:
        transfer = self.transfer(PARENT, MIRROR_A)
        client = Client(transfer)
        response = self.asked(PARENT).head(len(DATA))
        response.send(WRONG[:-1])
        self.clock.advance(MIRROR_HOLD + 0.1)
        self.assertEqual(client.data, b"")
        response.send(WRONG[-1:])
        response.end()
        self.assertEqual(self.tools.blamed, [(NAME, ["nas:9129"])])
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(client.data, DATA)

    def test_one_that_sends_more_than_there_is_is_left(self) -> None:
        transfer = self.transfer(PARENT, MIRROR_A)
        client = Client(transfer)
        response = self.asked(PARENT).answer(200)
        response.send(DATA + b"more")
        self.assertTrue(response.left)
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(client.data, DATA)


class Elsewhere(ParentsTestCase):
    """What comes from where it sends to comes from a mirror."""

    def test_it_counts_as_what_crossed_the_wan(self) -> None:
        transfer = self.transfer(PARENT)
        client = Client(transfer)
        response = self.answer_from(PARENT, f"http://mirror.example.org/{NAME}")
        response.send(DATA)
        response.end()
        self.assertEqual(client.data, DATA)
        self.assertEqual(transfer.shares, {Came.MIRROR: len(DATA)})
        told = "mirror mirror.example.org, where nas:9129 sends to"
        self.assertEqual(self.tools.sent_on, [("nas:9129", told)])
        self.assertEqual(list(transfer.by_source), [told])

    def test_a_database_counts_so_too_and_its_signature_is_asked_there(self) -> None:
        transfer = self.transfer(PARENT, subject=Subject("core.db"))
        Client(transfer)
        response = self.answer_from(PARENT, "http://mirror.example.org/core.db")
        response.send(DATA)
        response.end()
        self.assertEqual(transfer.shares, {Came.MIRROR: len(DATA)})
        assert transfer.source is not None
        self.assertEqual((transfer.source.origin, transfer.source.url), (Origin.MIRROR, PARENT.url))

    def test_another_port_of_its_own_is_not_elsewhere(self) -> None:
        transfer = self.transfer(PARENT)
        client = Client(transfer)
        response = self.answer_from(PARENT, f"http://nas:80/{NAME}")
        response.send(DATA)
        response.end()
        self.assertEqual(client.data, DATA)
        self.assertEqual(transfer.shares, {Came.PEER: len(DATA)})

    def test_who_is_wrong_there_is_not_asked_again_by_it(self) -> None:
        transfer = self.transfer(PARENT, MIRROR_A, subject=Subject(NAME, content(DATA)))
        client = Client(transfer)
        response = self.answer_from(PARENT, f"http://mirror.example.org/{NAME}")
        response.send(WRONG)
        response.end()
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(client.data, DATA)
        self.assertEqual(len(self.tools.agent(PARENT).requests), 1)

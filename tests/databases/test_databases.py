"""Where a database and its signature come from, whom it costs what, and what is never taken."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import error
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from flocon.asking.dates import seconds_of
from flocon.asking.patience import PACMAN
from flocon.asking.source import Origin, Source
from flocon.databases.databases import Databases
from flocon.databases.followed import Followed
from flocon.databases.given import Signature
from flocon.databases.origins import DatabaseOrigins, Given, load
from flocon.databases.own import OwnDatabases
from flocon.databases.peers import PeersDatabases
from flocon.databases.telling import Telling
from flocon.errors import SourceError, StoreError
from flocon.files import parse_path
from flocon.machine.remember import recall
from flocon.neighbours.standing import Standing
from flocon.pacman.configuration import PacmanConfiguration, Repository, SignatureLevel
from flocon.pacman.keyring import Verdict
from flocon.pacman.listing import Listing
from flocon.presence.peer import Peer
from flocon.transfers.reader import Reader
from flocon.transfers.transfer import Transfer
from flocon.transfers.transfers import Transfers
from tests.fakes import FakeAgent, FakeTools, Request
from tests.pacman.test_syncdb import desc, tar

if TYPE_CHECKING:
    from flocon.databases.telling import OwnState

HOUR = 3_600.0
DATABASE = gzip.compress(tar(("a-1-1/desc", desc())))
OTHER = gzip.compress(tar(("b-1-1/desc", desc(CSIZE="7"))))
PAGE = b"<!DOCTYPE html><html><body>please log in</body></html>" * 40
SIGNATURE = b"\x88\x10\x04" + bytes(15)


def mirror(name: str) -> Source:
    return Source(Origin.MIRROR, name, name, f"http://{name}/core/core.db")


MIRROR_A, MIRROR_B = mirror("mirror-a"), mirror("mirror-b")
#: The address of the peer ``p``.
PEER = "10.0.0.112"


#: One for all: two dates that a test makes of the same age are the same.
STARTED = time.time()


def ago(seconds: float) -> str:
    return formatdate(STARTED - seconds, usegmt=True)


def this_moment() -> str:
    return formatdate(time.time(), usegmt=True)


class PeersAgent(FakeAgent):
    """Keeps what was asked of peers, questions after the head apart."""

    def __init__(self) -> None:
        super().__init__()
        self.heads: list[Request] = []

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: Any = None,  # noqa: N803
    ) -> Deferred[Any]:
        if method != b"HEAD":
            return super().request(method, uri, headers, bodyProducer)
        self.heads.append(Request(uri.decode("ascii"), headers or Headers()))
        return self.heads[-1].deferred


class FakePacman:
    def __init__(self, directory: Path, level: SignatureLevel) -> None:
        repository = Repository("core", database_signature=level)
        self.configuration = PacmanConfiguration((repository,), database_path=directory)
        self.given: list[tuple[str, bytes]] = []
        self.listing = Listing()

    def configured(self) -> Deferred[None]:
        return succeed(None)

    def sent(self, repository: str, descriptor: int) -> None:
        self.given.append((repository, os.pread(descriptor, 1 << 20, 0)))


class FakeKeyring:
    verdict = Verdict.GOOD

    def __init__(self) -> None:
        self.judged: list[tuple[bytes, bytes, str]] = []

    def verify(self, descriptor: int, signature: bytes, *, peer: str) -> Deferred[Verdict]:
        self.judged.append((os.pread(descriptor, 1 << 20, 0), signature, peer))
        return succeed(self.verdict)


def peer(name: str) -> Peer:
    return Peer(
        name, "e", name, 19432, "arch", ("x86_64",), f"10.0.0.{ord(name)}", 1, 1,
        (("core", name),), frozenset({"db"}), 0, 0, 0, 30,
    )  # fmt: skip


class SourcesTestCase(SynchronousTestCase):
    level = SignatureLevel.OPTIONAL
    shared = False
    #: The setting of that name.
    databases = "mirror"

    def setUp(self) -> None:
        self.tools = FakeTools()
        self.clock = self.tools.reactor
        self.transfers = Transfers(
            self.tools, sign=lambda _: succeed(None), publish=lambda *_: succeed(True)
        )
        self.directory = Path(self.mktemp()).absolute()
        self.sync = self.directory / "sync"
        self.sync.mkdir(parents=True)
        self.pacman: Any = FakePacman(self.directory, self.level)
        self.keyring: Any = FakeKeyring()
        self.peers: list[Peer] = []
        self.peers_agent = PeersAgent()
        #: The nodes that give the LAN a state, and the repositories of which nobody is to hear.
        self.giving: list[Peer] = []
        self.private: set[str] = set()
        self.sources_of_mirrors = [MIRROR_A, MIRROR_B]
        self.origins = DatabaseOrigins()
        self.remembered = self.directory / "databases.json"
        self.own = OwnDatabases(
            self.clock,
            shared=lambda: self.shared,
            pacman=self.pacman,  # type: ignore[arg-type]
            origins=self.origins,
            remembered=self.remembered,
        )
        peers = PeersDatabases(
            self.clock,
            agent=self.peers_agent,
            neighbourhood=self,  # type: ignore[arg-type]  # enough of one
            standing=Standing(),
            keyring=lambda: self.keyring,
        )
        self.own_state: OwnState | None = None
        self.telling = Telling(
            self.clock,
            databases=lambda: self.databases,
            name=lambda: "own",
            agent=self.peers_agent,
            neighbourhood=self,  # type: ignore[arg-type]
            own=lambda: self.own_state,
        )
        self.sources = Databases(
            self.clock,
            pacman=self.pacman,  # type: ignore[arg-type]
            transfers=self.transfers,
            mirrors=self.mirrors_of,
            own=self.own,
            peers=peers,
            followed=lambda: followed,
        )
        followed = Followed(
            self.clock,
            databases=lambda: self.databases,
            telling=self.telling,
            agent=self.peers_agent,
            neighbourhood=self,  # type: ignore[arg-type]
            pacman=self.pacman,  # type: ignore[arg-type]
            transfers=self.transfers,
            own_databases=self.own,
            peers=peers,
            answers=self.sources.answers,
        )
        self.readers: list[Reader] = []
        self.addCleanup(self.finish)

    def finish(self) -> None:
        for reader in self.readers:
            reader.close()
        self.transfers.stop()
        self.clock.advance(60)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual([file.closed for file in self.tools.files], [1] * len(self.tools.files))

    def sharing(self, _: str) -> list[Peer]:
        return self.peers

    def mirrors(self) -> list[Peer]:
        return self.giving

    def acquainted(self) -> Deferred[None]:
        return succeed(None)

    def is_private(self, repository: str) -> bool:
        return repository in self.private

    def mirrors_of(self, asked: Any) -> list[Source]:
        suffix = ".sig" * asked.file.is_signature
        return [
            Source(one.origin, one.key, one.label, one.url + suffix)
            for one in self.sources_of_mirrors
        ]

    def ask(self, name: str = "core.db", since: str | None = None) -> Any:
        asked = parse_path(f"/core/os/x86_64/{name}".encode())
        assert asked is not None
        result = self.successResultOf(self.sources.transfer(asked, since))
        if isinstance(result, Transfer):
            self.readers.append(Reader(result, 0))
            # Without a reader pacman would have left.
            result.begun.wait().addErrback(lambda failure: failure.trap(SourceError))
        return result

    def asked(self, source: Source) -> Request:
        last: Request = self.tools.agent(source).last
        return last

    def count(self, source: Source) -> int:
        return len(self.tools.agent(source).requests)

    def data(self, transfer: Transfer) -> bytes:
        self.successResultOf(transfer.finished.wait())
        return os.pread(transfer.incoming.fileno(), 1 << 20, 0)

    def released(self, transfer: Transfer) -> int:
        """Return how many bytes pacman may have by now."""
        return max(reader.limit(0) for reader in self.readers if reader.transfer is transfer)


class FromMirrors(SourcesTestCase):
    def test_the_first_mirrors_is_given_and_listed(self) -> None:
        transfer = self.ask()
        self.asked(MIRROR_A).whole(DATABASE, Last_Modified=ago(HOUR))
        self.assertEqual(self.data(transfer), DATABASE)
        self.assertEqual(self.pacman.given, [("core", DATABASE)])
        self.assertEqual(self.count(MIRROR_B), 0)

    def test_what_pacman_has_is_asked_after(self) -> None:
        since = ago(HOUR)
        transfer = self.ask(since=since)
        self.assertEqual(self.asked(MIRROR_A).header("If-Modified-Since"), since)
        self.asked(MIRROR_A).answer(304)
        self.successResultOf(transfer.finished.wait())
        self.assertTrue(transfer.not_modified)
        self.assertEqual(self.pacman.given, [])

    def give_one_of_tomorrow(self, tomorrow: str) -> None:
        transfer = self.ask()
        self.asked(MIRROR_A).whole(DATABASE, Last_Modified=tomorrow)
        self.assertEqual(self.data(transfer), DATABASE)

    def test_one_with_a_date_to_come_is_not_sent_again_while_it_stays_the_same(self) -> None:
        """A machine's clock may be an hour behind: pacman alone would be told of no change."""
        tomorrow = ago(-24 * HOUR)
        self.give_one_of_tomorrow(tomorrow)
        for _ in range(2):
            transfer = self.ask(since=this_moment())
            response = self.asked(MIRROR_A).head(len(DATABASE), Last_Modified=tomorrow)
            self.successResultOf(transfer.finished.wait())
            self.assertTrue(transfer.not_modified)
            self.assertTrue(response.left)

    def test_another_one_with_a_date_to_come_is(self) -> None:
        tomorrow = ago(-24 * HOUR)
        for sent, date in ((DATABASE, ago(-25 * HOUR)), (gzip.compress(b"x" * 600), tomorrow)):
            self.setUp()
            self.give_one_of_tomorrow(tomorrow)
            transfer = self.ask(since=this_moment())
            self.asked(MIRROR_A).whole(sent, Last_Modified=date)
            self.assertFalse(transfer.not_modified)

    def test_so_it_is_to_a_pacman_that_has_another(self) -> None:
        tomorrow = ago(-24 * HOUR)
        self.give_one_of_tomorrow(tomorrow)
        for since in (None, ago(HOUR), ago(-HOUR)):
            transfer = self.ask(since=since)
            self.asked(MIRROR_A).whole(DATABASE, Last_Modified=tomorrow)
            self.assertEqual(self.data(transfer), DATABASE)

    def test_another_mirrors_of_that_date_is_another(self) -> None:
        tomorrow = ago(-24 * HOUR)
        self.give_one_of_tomorrow(tomorrow)
        transfer = self.ask(since=this_moment())
        self.asked(MIRROR_A).answer(500)
        self.asked(MIRROR_B).whole(DATABASE, Last_Modified=tomorrow)
        self.assertEqual(self.data(transfer), DATABASE)

    def test_a_page_is_not_taken_for_a_database(self) -> None:
        for page in (
            PAGE,
            PAGE[:60],
            b"",
            b"Not found",
            gzip.compress(PAGE),
            bytes(range(256)) * 9,
        ):
            self.setUp()
            transfer = self.ask()
            self.asked(MIRROR_A).whole(page, Last_Modified=ago(0))
            self.asked(MIRROR_B).whole(DATABASE, Last_Modified=ago(HOUR))
            self.assertEqual(self.data(transfer), DATABASE, page[:20])
            self.assertEqual(self.pacman.given, [("core", DATABASE)])

    def test_a_page_is_found_out_by_its_first_bytes_and_left(self) -> None:
        self.ask()
        response = self.asked(MIRROR_A).head(1 << 20)
        response.send(PAGE[:10])
        self.assertTrue(response.left)
        self.assertEqual(self.count(MIRROR_B), 1)

    def test_nothing_is_given_before_the_beginning_was_seen(self) -> None:
        transfer = self.ask("core.files")
        response = self.asked(MIRROR_A).head(1 << 20)
        response.send(b"N")
        self.clock.advance(2.4)
        self.assertEqual(self.released(transfer), 0)
        response.send(b"ot found".ljust(600))
        self.assertTrue(response.left)
        self.asked(MIRROR_B).whole(DATABASE)
        self.assertEqual(self.data(transfer), DATABASE)

    def test_a_right_beginning_flows_on_before_the_rest_is_there(self) -> None:
        transfer = self.ask()
        self.asked(MIRROR_A).head(len(DATABASE)).send(DATABASE[:-1])
        self.clock.advance(2.1)
        self.assertEqual(self.released(transfer), len(DATABASE) - 1)

    def test_what_is_left_of_another_beginning_is_not_the_files(self) -> None:
        transfer = self.ask()
        response = self.asked(MIRROR_A).head(len(DATABASE))
        response.send(DATABASE[:3])
        response.send(b"x" * 60)
        self.assertTrue(response.left)
        self.assertEqual(self.asked(MIRROR_B).start, 0)
        self.asked(MIRROR_B).whole(DATABASE)
        self.assertEqual(self.data(transfer), DATABASE)

    def test_a_date_to_come_is_asked_of_nobody(self) -> None:
        """A database that bears it is replaced by the next one, whatever that one's date is."""
        transfer = self.ask(since=ago(-HOUR))
        self.assertIsNone(self.asked(MIRROR_A).header("If-Modified-Since"))
        self.assertTrue(transfer.subject.undated)
        self.asked(MIRROR_A).whole(DATABASE, Last_Modified=ago(HOUR))
        self.assertEqual(self.data(transfer), DATABASE)

    @settings(max_examples=60, deadline=None)
    @given(
        st.integers(1, 12),
        st.lists(st.sampled_from(["silent", "refused", "404", "broken"]), max_size=12),
    )
    def test_however_many_mirrors_are_dead_it_ends_in_time(
        self, count: int, ways: Sequence[str]
    ) -> None:
        self.setUp()
        self.sources_of_mirrors = [mirror(f"m{at}") for at in range(count)]
        began = self.clock.seconds()
        transfer = self.ask()
        answered: set[int] = set()
        while not transfer.finished.known:
            for at, way in enumerate(ways[:count]):
                request = self.tools.agent(self.sources_of_mirrors[at]).requests[-1:]
                if not request or id(request[0]) in answered:
                    continue
                answered.add(id(request[0]))
                if way == "refused":
                    request[0].fail(error.ConnectionRefusedError())
                elif way == "404":
                    request[0].answer(404)
                elif way == "broken":
                    request[0].head(100).break_off()
            self.clock.advance(0.1)
            self.assertLess(self.clock.seconds() - began, PACMAN + 0.2)
        self.failureResultOf(transfer.finished.wait(), SourceError)

    def test_of_eight_dead_mirrors_each_is_asked_before_pacman_gives_up(self) -> None:
        self.sources_of_mirrors = [mirror(f"m{at}") for at in range(9)]
        transfer = self.ask()
        for _ in range(170):
            self.clock.advance(0.05)
            if self.count(self.sources_of_mirrors[8]):
                break
        self.assertEqual([self.count(one) for one in self.sources_of_mirrors], [1] * 9)
        self.asked(self.sources_of_mirrors[8]).whole(DATABASE)
        self.assertEqual(self.data(transfer), DATABASE)

    def test_the_only_mirror_has_all_the_time_there_is(self) -> None:
        self.sources_of_mirrors = [MIRROR_A]
        transfer = self.ask()
        self.clock.advance(8)
        self.asked(MIRROR_A).whole(DATABASE)
        self.assertEqual(self.data(transfer), DATABASE)


class Signatures(SourcesTestCase):
    def bring(self, source: Source, *failing: Source) -> None:
        transfer = self.ask()
        for one in failing:
            self.asked(one).answer(500)
        self.asked(source).whole(DATABASE, Last_Modified=ago(HOUR))
        self.data(transfer)

    def signature_of(self, source: Source) -> Source:
        return Source(source.origin, source.key, source.label, source.url + ".sig")

    def test_it_comes_from_where_the_database_came_from_and_nowhere_else(self) -> None:
        self.bring(MIRROR_B, MIRROR_A)
        transfer = self.ask("core.db.sig")
        request = self.asked(MIRROR_B)
        self.assertEqual(request.url, MIRROR_B.url + ".sig")
        request.whole(SIGNATURE)
        self.assertEqual(self.data(transfer), SIGNATURE)

    def test_its_absence_there_is_answered_at_once(self) -> None:
        for status in (404, 429, 500):
            self.setUp()
            self.bring(MIRROR_A)
            transfer = self.ask("core.db.sig")
            self.asked(MIRROR_A).answer(status)
            self.failureResultOf(transfer.finished.wait(), SourceError)
            self.assertEqual(transfer.mirror_statuses, [status])
            self.assertEqual(self.count(MIRROR_B), 0)

    def test_one_that_pacman_can_do_without_is_not_waited_for_long(self) -> None:
        self.bring(MIRROR_A)
        transfer = self.ask("core.db.sig")
        self.clock.advance(2.6)
        self.failureResultOf(transfer.finished.wait(), SourceError)
        self.assertEqual(self.count(MIRROR_B), 0)

    def test_a_page_is_no_signature(self) -> None:
        for page in (PAGE, PAGE[:50], b"", SIGNATURE[:-1], b"-----BEGIN NOTHING"):
            self.setUp()
            self.bring(MIRROR_A)
            transfer = self.ask("core.db.sig")
            self.asked(MIRROR_A).whole(page)
            self.failureResultOf(transfer.finished.wait(), SourceError)

    def test_of_a_database_that_nobody_brought_it_may_come_from_any_mirror(self) -> None:
        transfer = self.ask("core.db.sig")
        self.asked(MIRROR_A).answer(404)
        self.asked(MIRROR_B).whole(SIGNATURE)
        self.assertEqual(self.data(transfer), SIGNATURE)


class NeededSignatures(SourcesTestCase):
    level = SignatureLevel.REQUIRED

    def test_one_that_pacman_needs_is_waited_for_as_long_as_pacman_does(self) -> None:
        transfer = self.ask()
        self.asked(MIRROR_A).whole(DATABASE)
        self.data(transfer)
        transfer = self.ask("core.db.sig")
        self.clock.advance(8)
        self.asked(MIRROR_A).whole(SIGNATURE)
        self.assertEqual(self.data(transfer), SIGNATURE)


class FromPeersTestCase(SourcesTestCase):
    shared = True

    def setUp(self) -> None:
        super().setUp()
        self.peers = [peer("p")]

    def begin(self, since: str | None = None) -> Deferred[Any]:
        asked = parse_path(b"/core/os/x86_64/core.db")
        assert asked is not None
        return self.sources.transfer(asked, since)

    def begun(self, waiting: Deferred[Any]) -> Transfer:
        transfer = self.successResultOf(waiting)
        assert isinstance(transfer, Transfer)
        self.readers.append(Reader(transfer, 0))
        transfer.begun.wait().addErrback(lambda failure: failure.trap(SourceError))
        return transfer

    def offered(self, age: float, since: str | None = None) -> tuple[Transfer, Request]:
        """Return the transfer and the request for a database that a peer says is so old."""
        waiting = self.begin(since)
        self.peers_agent.heads[-1].answer(200, Last_Modified=ago(age))
        transfer = self.begun(waiting)
        return transfer, self.tools.agents[PEER].last

    def unsigned(self) -> None:
        """Answer the question for the peer's signature: there is none."""
        self.peers_agent.last.answer(404)


class FromPeers(FromPeersTestCase):
    def test_a_peers_newer_one_is_given_and_is_not_listed_as_a_mirrors(self) -> None:
        transfer, request = self.offered(HOUR)
        request.whole(DATABASE, Last_Modified=ago(HOUR))
        self.unsigned()
        self.assertEqual(self.data(transfer), DATABASE)
        self.assertEqual((self.pacman.given, self.count(MIRROR_A)), ([], 0))

    def test_of_those_who_have_the_same_one_far_ones_are_asked_last(self) -> None:
        same = peer("p").databases
        far = replace(peer("f"), far=True, databases=same)
        self.peers = [far, *(replace(peer(name), databases=same) for name in "abcdeghi")]
        self.begin()
        asked = [head.url.split("/")[2] for head in self.peers_agent.heads]
        self.assertEqual(len(asked), 8)
        self.assertNotIn(f"{far.address}:19432", asked)
        self.clock.advance(1)

    def test_another_date_than_it_said_is_not_taken(self) -> None:
        for then in (-1e9, 2 * HOUR, 0.0):
            self.setUp()
            transfer, request = self.offered(HOUR)
            request.whole(DATABASE, Last_Modified=ago(then))
            self.asked(MIRROR_A).whole(OTHER, Last_Modified=ago(HOUR))
            self.assertEqual(self.data(transfer), OTHER)

    def test_no_date_at_all_is_not_taken(self) -> None:
        transfer, request = self.offered(HOUR)
        request.whole(DATABASE)
        self.asked(MIRROR_A).whole(OTHER)
        self.assertEqual(self.data(transfer), OTHER)

    def test_one_that_said_newer_cannot_say_unchanged(self) -> None:
        transfer, request = self.offered(HOUR, since=ago(2 * HOUR))
        request.answer(304)
        self.asked(MIRROR_A).answer(304)
        self.successResultOf(transfer.finished.wait())
        self.assertEqual(transfer.source, MIRROR_A)

    def test_a_mirror_is_asked_while_peers_are_silent(self) -> None:
        waiting = self.begin()
        self.clock.advance(0.4)
        self.assertNoResult(waiting)
        self.clock.advance(0.2)
        transfer = self.begun(waiting)
        self.assertEqual(self.count(MIRROR_A), 1)
        self.asked(MIRROR_A).whole(DATABASE)
        self.assertEqual(self.data(transfer), DATABASE)

    def test_a_late_answer_counts_once_the_first_mirror_fails(self) -> None:
        waiting = self.begin()
        self.clock.advance(0.6)
        transfer = self.begun(waiting)
        self.peers_agent.heads[-1].answer(200, Last_Modified=ago(HOUR))
        self.asked(MIRROR_A).answer(500)
        self.tools.agents[PEER].last.whole(DATABASE, Last_Modified=ago(HOUR))
        self.unsigned()
        self.assertEqual(self.data(transfer), DATABASE)

    def test_with_dead_mirrors_a_peers_comes_before_pacman_gives_up(self) -> None:
        self.sources_of_mirrors = [mirror(f"m{at}") for at in range(3)]
        waiting = self.begin(ago(HOUR))
        self.clock.advance(0.6)
        # No newer than pacman's own, so the mirrors come first.
        self.peers_agent.heads[-1].answer(200, Last_Modified=ago(2 * HOUR))
        transfer = self.begun(waiting)
        began = self.clock.seconds()
        while PEER not in self.tools.agents:
            self.clock.advance(0.1)
            self.assertLess(self.clock.seconds() - began, 6)
        self.tools.agents[PEER].last.answer(304)
        self.successResultOf(transfer.finished.wait())

    def test_one_peer_is_tried_and_within_its_time(self) -> None:
        self.peers = [peer(name) for name in "pqr"]
        waiting = self.begin()
        for age, head in enumerate(self.peers_agent.heads):
            head.answer(200, Last_Modified=ago(HOUR + age))
        transfer = self.begun(waiting)
        response = self.tools.agents[PEER].last.head(1 << 20, Last_Modified=ago(HOUR))
        began = self.clock.seconds()
        sent = DATABASE
        while not response.left:
            response.send(sent + bytes(8 << 10))
            sent = b""
            self.clock.advance(0.5)
            self.assertLess(self.clock.seconds() - began, 3.5)
        self.asked(MIRROR_A).whole(OTHER)
        self.assertEqual(self.data(transfer), OTHER)
        self.assertEqual(set(self.tools.agents), {PEER, "mirror-a"})

    def test_garbage_is_blamed_and_the_mirrors_is_given(self) -> None:
        for garbage in (DATABASE[:-9] + bytes(9), PAGE, b""):
            self.setUp()
            transfer, request = self.offered(HOUR)
            request.whole(garbage, Last_Modified=ago(HOUR))
            self.asked(MIRROR_A).whole(OTHER)
            self.assertEqual(self.data(transfer), OTHER)
            self.assertEqual(self.tools.blamed, [("core.db", [PEER])])


class SignedByPeers(FromPeersTestCase):
    """A peer's signature is found to be right before pacman gets the first byte."""

    def judged(self, verdict: Verdict) -> Transfer:
        self.keyring.verdict = verdict
        transfer, request = self.offered(HOUR)
        request.whole(DATABASE, Last_Modified=ago(HOUR))
        self.assertEqual(self.released(transfer), 0)
        self.peers_agent.last.whole(SIGNATURE)
        self.assertEqual(self.keyring.judged, [(DATABASE, SIGNATURE, PEER)])
        return transfer

    def test_a_good_one_is_the_one_that_pacman_gets(self) -> None:
        transfer = self.judged(Verdict.GOOD)
        self.assertEqual(self.data(transfer), DATABASE)
        asked = len(self.peers_agent.requests)
        given = self.ask("core.db.sig")
        assert isinstance(given, Signature)
        self.assertEqual((given.data, given.is_new), (SIGNATURE, True))
        self.assertEqual(given.modified, seconds_of(ago(HOUR)))
        self.assertEqual(len(self.peers_agent.requests), asked)

    def test_a_bad_one_is_its_senders_fault_and_the_mirrors_is_given(self) -> None:
        transfer = self.judged(Verdict.BAD)
        self.asked(MIRROR_A).whole(OTHER)
        self.assertEqual(self.data(transfer), OTHER)
        self.assertEqual(self.tools.blamed, [("core.db", [PEER])])
        self.assertIsInstance(self.ask("core.db.sig"), Transfer)
        self.assertEqual(self.asked(MIRROR_A).url, MIRROR_A.url + ".sig")

    def test_one_that_cannot_be_judged_is_nobodys_fault_and_not_taken(self) -> None:
        transfer = self.judged(Verdict.UNKNOWN)
        self.asked(MIRROR_A).whole(OTHER)
        self.assertEqual(self.data(transfer), OTHER)
        self.assertEqual(self.tools.blamed, [])

    def test_without_one_pacman_gets_none(self) -> None:
        transfer, request = self.offered(HOUR)
        request.whole(DATABASE, Last_Modified=ago(HOUR))
        self.unsigned()
        self.assertEqual(self.data(transfer), DATABASE)
        signature = self.ask("core.db.sig")
        self.failureResultOf(signature.finished.wait(), SourceError)
        self.assertEqual(self.count(MIRROR_A), 0)


class SignedRepositories(FromPeersTestCase):
    level = SignatureLevel.REQUIRED

    def test_where_pacman_needs_one_a_peers_without_it_is_not_taken(self) -> None:
        transfer, request = self.offered(HOUR)
        request.whole(DATABASE, Last_Modified=ago(HOUR))
        self.unsigned()
        self.asked(MIRROR_A).whole(OTHER)
        self.assertEqual(self.data(transfer), OTHER)
        self.assertEqual(self.tools.blamed, [])

    def test_a_silent_one_is_not_waited_for_long(self) -> None:
        transfer, request = self.offered(HOUR)
        request.whole(DATABASE, Last_Modified=ago(HOUR))
        self.clock.advance(1.1)
        self.asked(MIRROR_A).whole(OTHER)
        self.assertEqual(self.data(transfer), OTHER)


class Sharing(FromPeersTestCase):
    """What this node gives to others."""

    def put(self, name: str, data: bytes, age: float = HOUR) -> None:
        path = self.sync / name
        path.write_bytes(data)
        os.utime(path, (time.time() - age,) * 2)

    def shares(self, name: str) -> bool:
        try:
            opened = self.own.open(name)
        except StoreError:
            return False
        opened.close()
        return True

    def take(self) -> None:
        transfer, request = self.offered(HOUR)
        request.whole(DATABASE, Last_Modified=ago(HOUR))
        self.unsigned()
        self.data(transfer)

    def test_what_a_mirror_gave_is_shared(self) -> None:
        self.put("core.db", DATABASE)
        self.put("core.db.sig", SIGNATURE)
        self.assertTrue(self.shares("core.db"))
        self.assertTrue(self.shares("core.db.sig"))
        self.assertFalse(self.shares("extra.db"))

    def test_nothing_is_where_the_operator_does_not_want_it(self) -> None:
        self.put("core.db", DATABASE)
        self.shared = False
        self.assertFalse(self.shares("core.db"))

    def test_what_a_peer_gave_is_not_handed_on(self) -> None:
        self.take()
        self.put("core.db", DATABASE)
        self.put("core.db.sig", SIGNATURE)
        self.assertFalse(self.shares("core.db"))
        self.assertFalse(self.shares("core.db.sig"))

    def test_nor_is_it_after_a_restart(self) -> None:
        self.take()
        self.put("core.db", DATABASE)
        self.origins = DatabaseOrigins(remembered_at(self.remembered))
        self.own._origins = self.origins
        self.assertFalse(self.shares("core.db"))

    def test_once_a_mirror_gave_the_same_it_is(self) -> None:
        self.take()
        self.put("core.db", DATABASE)
        self.peers = []
        transfer = self.ask()
        self.asked(MIRROR_A).whole(DATABASE)
        self.data(transfer)
        self.assertTrue(self.shares("core.db"))
        self.assertEqual(remembered_at(self.remembered), {})

    def test_another_of_the_same_size_is(self) -> None:
        self.take()
        self.put("core.db", DATABASE)
        self.assertFalse(self.shares("core.db"))
        self.put("core.db", DATABASE[:-1] + b"x")
        self.assertTrue(self.shares("core.db"))
        self.put("core.db", DATABASE, age=HOUR + 1)
        self.assertFalse(self.shares("core.db"))

    def test_one_of_tomorrow_is_not_handed_on(self) -> None:
        self.put("core.db", DATABASE, age=-HOUR)
        self.assertFalse(self.shares("core.db"))


def remembered_at(path: Path) -> dict[str, Given]:

    return load(recall(path))

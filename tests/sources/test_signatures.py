"""Where a signature comes from, and what is remembered of those that are lacking."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.source import Origin, Source
from flocon.books.traffic import Traffic
from flocon.errors import FloconError, Refused, Unreachable
from flocon.neighbours.standing import Standing
from flocon.pacman.configuration import PacmanConfiguration, Repository
from flocon.pacman.entries import Entry
from flocon.pacman.keyring import Verdict
from flocon.sources.candidates import Candidates
from flocon.sources.ranking import OwnNode
from flocon.sources.reporter import Reporter
from flocon.sources.signatures import Signatures
from flocon.sources.unsigned import MOST_UNSIGNED, UNSIGNED
from tests.fakes import FakeAgent, FakeReactor

NAME = "a-1-1-any.pkg.tar.zst"
ENTRY = Entry("core", NAME, "a", "1-1", 10, bytes(32))
MIRROR = "http://mirror/core"


class Unsigned(SynchronousTestCase):
    """A repository that signs nothing is asked once for each signature that it lacks."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        pacman, standing = mock.Mock(), Standing()
        pacman.listing.find = lambda _: [ENTRY]
        pacman.configuration = PacmanConfiguration((Repository("core", (MIRROR,)),))
        reporter = Reporter(self.reactor, standing, Traffic(), mock.Mock(), mock.Mock())
        candidates = Candidates(
            self.reactor,
            own=OwnNode("n", "e", relays=True, able_since=0.0),
            pacman=pacman,
            neighbourhood=mock.Mock(),
            standing=standing,
            reporter=reporter,
        )
        self.keyring = mock.Mock(verify=lambda *_, **__: succeed(Verdict.GOOD))
        self.signatures = Signatures(
            self.reactor,
            pacman=pacman,
            keyring=lambda: self.keyring,
            candidates=candidates,
            agents=mock.Mock(),
            standing=standing,
            reporter=reporter,
            traffic=Traffic(),
        )

    def look(self, answer: Exception | bytes, entry: Entry = ENTRY) -> None:
        asking: Any = fail(answer) if isinstance(answer, Exception) else succeed(answer)
        self.patch(self.signatures, "_small", lambda *_: asking)
        looking = Deferred.fromCoroutine(self.signatures._mirrors_signature(mock.Mock(), entry))
        looking.addErrback(lambda failure: failure.trap(FloconError) and None)
        self.reactor.advance(UNSIGNED / 2)
        self.successResultOf(looking)

    def test_what_the_mirrors_lack_is_remembered_for_a_while(self) -> None:
        self.assertFalse(self.signatures.is_unsigned(ENTRY))
        self.look(Refused("mirror", 404))
        self.assertTrue(self.signatures.is_unsigned(ENTRY))
        self.reactor.advance(UNSIGNED)
        self.assertFalse(self.signatures.is_unsigned(ENTRY))

    def test_of_this_content_alone(self) -> None:
        self.look(Refused("mirror", 404))
        other = Entry("core", NAME, "a", "1-1", 10, bytes([1]) * 32)
        self.assertFalse(self.signatures.is_unsigned(other))

    def test_a_mirror_that_did_not_say_so_is_asked_again(self) -> None:
        for answer in (Unreachable("mirror", "is off"), Refused("mirror", 503), b"a signature"):
            self.look(answer)
            self.assertFalse(self.signatures.is_unsigned(ENTRY), answer)

    def test_no_more_than_so_many_are_remembered(self) -> None:
        for number in range(MOST_UNSIGNED + 1):
            entry = Entry("core", f"a{number}", "a", "1-1", 10, bytes(32))
            self.signatures.unsigned.note(entry, self.reactor.seconds())
        self.assertEqual(len(self.signatures.unsigned), MOST_UNSIGNED)

    def test_what_lies_here_is_verified_as_what_it_should_be(self) -> None:
        """Another user may write to it in an adopted folder."""
        verify = self.keyring.verify = mock.Mock(return_value=succeed(Verdict.GOOD))
        self.patch(self.signatures, "_small", lambda *_: succeed(b"signature"))
        looking = Deferred.fromCoroutine(self.signatures.of_held(ENTRY, 9))
        self.assertEqual(self.successResultOf(looking), b"signature")
        verify.assert_called_once_with(9, b"signature", size=ENTRY.size)


class Holders(SynchronousTestCase):
    """A holder's signature is asked for of the very package that arrived."""

    def test_that_of_another_content_is_not_asked_for(self) -> None:
        reactor, agent = FakeReactor(), FakeAgent()
        reporter: Any = mock.Mock()
        candidates: Any = mock.Mock(holders=lambda *_: [])
        signatures = Signatures(
            reactor,
            pacman=mock.Mock(),
            keyring=mock.Mock(),
            candidates=candidates,
            agents=mock.Mock(of=lambda _: agent),
            standing=Standing(),
            reporter=reporter,
            traffic=Traffic(),
        )
        holder = Source(Origin.PEER, "a", "a", f"http://a/pkg/{NAME}")
        looking = Deferred.fromCoroutine(signatures._peers_signature(mock.Mock(), ENTRY, holder))
        self.assertEqual(agent.last.url, f"http://a/pkg/{NAME}.sig")
        self.assertEqual(agent.last.header("If-Match"), f'"{ENTRY.sha256.hex()}"')
        agent.last.answer(404)
        self.assertIsNone(self.successResultOf(looking))
        reporter.contradicted.assert_not_called()


class OfOthers(SynchronousTestCase):
    """What is for other machines has its signature from where it came itself."""

    def test_a_repository_of_the_same_name_here_is_not_asked(self) -> None:
        pacman, candidates, agent = mock.Mock(), mock.Mock(), FakeAgent()
        pacman.listing.find = lambda _: []
        pacman.listing.mirrored_entries = lambda _: [ENTRY]
        # This machine's own core needs none.
        pacman.signature_wanted = lambda _: False
        signatures = Signatures(
            FakeReactor(),
            pacman=pacman,
            keyring=lambda: mock.Mock(verify=lambda *_, **__: succeed(Verdict.UNKNOWN)),
            candidates=candidates,
            agents=mock.Mock(of=lambda _: agent),
            standing=Standing(),
            reporter=mock.Mock(spec=Reporter),
            traffic=Traffic(),
        )
        source = Source(Origin.MIRROR, "arm", "arm", f"http://arm/{NAME}")
        transfer = mock.Mock(mirrors=[source], source=source)
        transfer.subject = mock.Mock(file_name=ENTRY.file_name, content=ENTRY.content)
        looking = Deferred.fromCoroutine(signatures.find(transfer))
        self.assertEqual(agent.last.url, f"http://arm/{NAME}.sig")
        agent.last.whole(b"a signature")
        self.assertEqual(self.successResultOf(looking), b"a signature")
        candidates.mirrors.assert_not_called()


class Unlisted(SynchronousTestCase):
    """What no database lists comes by its content, for a person; a holder has its signature."""

    def setUp(self) -> None:
        self.verdict = Verdict.GOOD
        self.agent = FakeAgent()
        self.reporter: Any = mock.Mock()
        pacman: Any = mock.Mock()
        pacman.listing.find = pacman.listing.mirrored_entries = lambda _: []
        self.signatures = Signatures(
            FakeReactor(),
            pacman=pacman,
            keyring=lambda: mock.Mock(verify=lambda *_, **__: succeed(self.verdict)),
            candidates=mock.Mock(holders=lambda *_: []),
            agents=mock.Mock(of=lambda _: self.agent),
            standing=Standing(),
            reporter=self.reporter,
            traffic=Traffic(),
        )

    def look(self, origin: Origin = Origin.PEER, content: Any = ENTRY.content) -> Deferred[Any]:
        source = Source(origin, "a", "a", f"http://a/pkg/{NAME}")
        transfer = mock.Mock(source=source)
        transfer.subject = mock.Mock(file_name=NAME, content=content)
        return Deferred.fromCoroutine(self.signatures.find(transfer))

    def test_a_holders_is_taken_that_the_keyring_bears_out(self) -> None:
        looking = self.look()
        self.assertEqual(self.agent.last.url, f"http://a/pkg/{NAME}.sig")
        self.assertEqual(self.agent.last.header("If-Match"), f'"{ENTRY.sha256.hex()}"')
        self.agent.last.whole(b"a signature")
        self.assertEqual(self.successResultOf(looking), b"a signature")

    def test_one_that_is_not_known_to_be_right_is_none(self) -> None:
        for verdict in (Verdict.UNKNOWN, Verdict.BAD):
            self.verdict = verdict
            looking = self.look()
            self.agent.last.whole(b"a signature")
            self.assertIsNone(self.successResultOf(looking))
        self.reporter.contradicted.assert_called_once()

    def test_of_what_came_otherwise_nobody_is_asked(self) -> None:
        self.assertIsNone(self.successResultOf(self.look(Origin.MIRROR)))
        self.assertIsNone(self.successResultOf(self.look(content=None)))
        self.assertEqual(self.agent.requests, [])

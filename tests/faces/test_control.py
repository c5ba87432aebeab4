"""What changes the node: by POST only, each answered with a sentence."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import AmbiguousPeer, NotHeld, ToolMissing, UnknownPeer
from flocon.faces.control import LONGEST_PEER, Control
from tests.faces.web import Browser


class FakeOperator:
    """Remembers what it was told; knows one peer."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.prefetching: Deferred[int] = Deferred()

    def rejoin(self) -> None:
        self.did.append("rejoin")

    def ban(self, peer: str) -> str:
        self.did.append(f"ban {peer}")
        if peer == "twice":
            raise AmbiguousPeer(peer, ["10.0.0.2 (a)", "10.0.0.3 (b)"])
        if peer != "fe80::1%eth0":
            raise UnknownPeer(peer)
        return f"ada at {peer} is in quarantine for good"

    def pardon(self, peer: str) -> str:
        self.did.append(f"pardon {peer}")
        if peer != "fe80::1%eth0":
            raise NotHeld(peer)
        return f"ada at {peer} may be asked again"

    def prefetch(self) -> Deferred[int]:
        self.did.append("prefetch")
        return self.prefetching


class Controlling(SynchronousTestCase):
    def setUp(self) -> None:
        self.operator = FakeOperator()
        #: What had been done each time that others were told to look again.
        self.told: list[int] = []
        control = Control(self.operator, lambda: self.told.append(len(self.operator.did)))
        self.browser = Browser(Clock(), control)
        self.addCleanup(self.browser.close)

    def post(self, path: str) -> tuple[int, str]:
        answer = self.browser.ask(path, method="POST", Content_Length="0").answer
        return answer.status, answer.body.decode()

    def test_rejoin_is_done_and_said(self) -> None:
        self.assertEqual(self.post("/rejoin"), (200, "joining the group anew on every interface\n"))
        self.assertEqual(self.operator.did, ["rejoin"])
        self.assertEqual(self.told, [1])

    def test_a_peer_is_banned_by_a_name_that_is_escaped(self) -> None:
        status, sentence = self.post("/ban/fe80%3A%3A1%25eth0")
        said = "ada at fe80::1%eth0 is in quarantine for good\n"
        self.assertEqual((status, sentence), (200, said))

    def test_a_peer_that_nobody_knows_is_a_404_with_a_sentence(self) -> None:
        said = "no peer is called x; 'flocon peers' lists them\n"
        self.assertEqual(self.post("/ban/x"), (404, said))
        self.assertEqual(self.post("/pardon/x"), (404, "x was not in quarantine\n"))
        self.assertEqual(self.operator.did, ["ban x", "pardon x"])

    def test_a_name_of_several_is_refused_with_the_places_to_choose_from(self) -> None:
        status, sentence = self.post("/ban/twice")
        self.assertEqual(status, 409)
        self.assertIn("2 peers are called twice: 10.0.0.2 (a), 10.0.0.3 (b)", sentence)

    def test_a_peer_is_pardoned(self) -> None:
        status, sentence = self.post("/pardon/fe80::1%25eth0")
        self.assertEqual((status, sentence), (200, "ada at fe80::1%eth0 may be asked again\n"))

    def test_prefetch_is_answered_once_it_is_known_what_is_needed(self) -> None:
        exchange = self.browser.ask("/prefetch", method="POST", Content_Length="0")
        self.assertFalse(exchange.answered)
        self.operator.prefetching.callback(3)
        self.assertEqual(exchange.answer.body, b"3 packages are fetched in the background\n")

    def test_prefetch_says_that_all_is_there_and_counts_one_as_one(self) -> None:
        for count, said in (
            (0, "nothing to fetch: all that pacman would upgrade is here\n"),
            (1, "1 package is fetched in the background\n"),
        ):
            self.operator.prefetching = Deferred()
            exchange = self.browser.ask("/prefetch", method="POST", Content_Length="0")
            self.operator.prefetching.callback(count)
            self.assertEqual(exchange.answer.body.decode(), said)

    def test_prefetch_says_why_it_cannot_be_done(self) -> None:
        exchange = self.browser.ask("/prefetch", method="POST", Content_Length="0")
        self.operator.prefetching.errback(ToolMissing("pacman"))
        self.assertEqual(exchange.answer.status, 503)
        self.assertEqual(exchange.answer.body, b"pacman: is not installed\n")

    def test_who_leaves_meanwhile_troubles_nobody(self) -> None:
        exchange = self.browser.ask("/prefetch", method="POST", Content_Length="0")
        exchange.leave()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_nothing_is_changed_by_any_other_method(self) -> None:
        for method in ("GET", "HEAD", "PUT", "OPTIONS", "DELETE"):
            answer = self.browser.ask("/rejoin", method=method).answer
            self.assertEqual((answer.status, answer.headers["allow"]), (405, "POST"), method)
        self.assertEqual(self.operator.did, [])

    def test_what_is_no_action_is_a_404(self) -> None:
        long = "x" * (LONGEST_PEER + 1)
        for path in ("/", "/ban", "/ban/", "/ban/a/b", f"/ban/{long}", "/rejoin/", "/stop", "//"):
            self.assertEqual(self.post(path)[0], 404, path)
        self.assertEqual(self.operator.did, [])

    def test_bytes_that_are_no_text_do_no_harm(self) -> None:
        answer = self.browser.ask("/ban/%ff%0d%0aX:y", method="POST", Content_Length="0").answer
        self.assertEqual(answer.status, 404)
        self.assertNotIn("x", answer.headers)

"""How pacman gets a package: held, coming, or sent to a holder."""

from __future__ import annotations

from typing import Any

from twisted.internet import error
from twisted.internet.defer import Deferred

from flocon.asking.patience import PACMAN
from flocon.books.recent import Recent
from flocon.files import Content
from flocon.transfers.release import LAST_RESORT, MIRROR_HOLD, TRICKLE_STEP
from tests.faces.pacman_case import (
    CONTENT,
    DATA,
    MIRROR_A,
    MIRROR_B,
    NAME,
    PATH,
    PEER,
    SIGNATURE,
    THEN,
    WRONG,
    HeldFile,
    LoopbackTestCase,
)


class HeldPackages(LoopbackTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.desk.here[NAME] = HeldFile()

    def test_it_is_sent_with_its_origin(self) -> None:
        for path in (PATH, f"/{NAME}"):
            found = self.get(path)
            self.assertEqual((found.status, found.body), (200, DATA))
            self.assertEqual(found.headers["flocon-source"], "cache")
        self.assertEqual(self.desk.traffic.answers, {"cache": 2})
        self.assertEqual(self.desk.traffic.to_pacman_bytes, 2 * len(DATA))

    def test_its_signature_too(self) -> None:
        self.assertEqual(self.get(PATH + ".sig").body, SIGNATURE)

    def test_one_with_other_content_is_fetched(self) -> None:
        self.desk.here[NAME].content = Content(5, bytes(32))
        exchange = self.browser.ask(PATH)
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(exchange.answer.body, DATA)

    def test_one_that_vanished_is_fetched(self) -> None:
        self.desk.gone = True
        exchange = self.browser.ask(PATH)
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(exchange.answer.body, DATA)

    def test_a_database_that_was_just_replaced_is_waited_for(self) -> None:
        self.desk.settling = Deferred()
        exchange = self.browser.ask(PATH)
        self.assertFalse(exchange.answered)
        self.desk.settling.callback(None)
        self.assertEqual(exchange.answer.body, DATA)


class ComingPackages(LoopbackTestCase):
    def test_it_comes_with_its_source_and_date(self) -> None:
        exchange = self.browser.ask(PATH)
        self.asked(MIRROR_A).whole(DATA, Last_Modified=THEN)
        found = exchange.answer
        self.assertEqual((found.status, found.body), (200, DATA))
        self.assertEqual(found.headers["flocon-source"], "mirror m")
        self.assertEqual(found.headers["last-modified"], THEN)

    def test_who_has_too_much_coming_is_to_ask_the_next_server(self) -> None:
        self.desk.too_many = True
        self.assertRefused(self.get(PATH), 503)

    def test_nothing_is_said_while_nothing_may_be_given(self) -> None:
        self.desk.sources = (PEER, MIRROR_A)
        exchange = self.browser.ask(PATH)
        self.asked(PEER).head(len(DATA)).send(DATA[:-1])
        self.clock.advance(LAST_RESORT - 0.1)
        self.assertEqual(exchange.raw, b"")
        self.clock.advance(0.2)
        self.assertEqual(exchange.answer.body, DATA[:TRICKLE_STEP])

    def test_wrong_bytes_of_a_peer_never_reach_pacman(self) -> None:
        self.desk.sources = (PEER, MIRROR_A)
        exchange = self.browser.ask(PATH)
        self.asked(PEER).whole(WRONG)
        self.assertEqual(exchange.raw, b"")
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(exchange.answer.body, DATA)
        self.assertEqual(exchange.answer.headers["flocon-source"], "mirror m")

    def test_wrong_bytes_that_trickled_cut_the_answer(self) -> None:
        self.desk.sources = (PEER, MIRROR_A)
        exchange = self.browser.ask(PATH)
        response = self.asked(PEER).head(len(DATA))
        response.send(b"\xff" + DATA[1:-1])
        self.clock.advance(LAST_RESORT)
        response.send(DATA[-1:])
        response.end()
        self.asked(MIRROR_A).whole(DATA)
        self.assertTrue(exchange.cut)
        self.assertEqual(len(exchange.answer.body), TRICKLE_STEP)

    def test_a_mirror_that_dies_is_not_noticed(self) -> None:
        exchange = self.browser.ask(PATH)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:5_000])
        self.clock.advance(MIRROR_HOLD)
        response.break_off()
        self.asked(MIRROR_B).whole(DATA)
        self.assertEqual(exchange.answer.body, DATA)
        self.assertFalse(exchange.cut)

    def test_mirrors_that_all_die_cut_the_answer(self) -> None:
        exchange = self.browser.ask(PATH)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:5_000])
        self.clock.advance(MIRROR_HOLD)
        response.break_off()
        self.asked(MIRROR_B).fail(error.ConnectionRefusedError())
        self.assertTrue(exchange.cut)
        self.assertFalse(exchange.answer.whole)

    def test_five_that_ask_share_one_fetch(self) -> None:
        exchanges = [self.browser.ask(PATH) for _ in range(5)]
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual([one.answer.body for one in exchanges], [DATA] * 5)
        self.assertEqual(len(self.desk.tools.agent(MIRROR_A).requests), 1)

    def test_a_resumed_download_gets_its_rest(self) -> None:
        exchange = self.browser.ask(PATH, Range="bytes=10000-")
        self.asked(MIRROR_A).whole(DATA)
        found = exchange.answer
        self.assertEqual((found.status, found.body), (206, DATA[10_000:]))
        self.assertEqual(found.headers["content-range"], f"bytes 10000-{len(DATA) - 1}/{len(DATA)}")
        self.assertEqual(self.desk.starts, [10_000])

    def test_a_range_behind_the_end_is_a_416_without_body(self) -> None:
        exchange = self.browser.ask(PATH, Range=f"bytes={len(DATA)}-")
        self.asked(MIRROR_A).whole(DATA)
        self.assertRefused(exchange.answer, 416)

    def test_not_found_only_where_every_mirror_says_so(self) -> None:
        exchange = self.browser.ask(PATH)
        self.asked(MIRROR_A).answer(404)
        self.asked(MIRROR_B).answer(404)
        self.assertRefused(exchange.answer, 404)
        self.assertNotIn("flocon-source", exchange.answer.headers)

    def test_any_other_failure_is_a_503(self) -> None:
        exchange = self.browser.ask(PATH)
        self.asked(MIRROR_A).answer(404)
        self.asked(MIRROR_B).fail(error.ConnectionRefusedError())
        self.assertRefused(exchange.answer, 503)
        self.desk.sources = ()
        self.assertRefused(self.get(PATH), 503)

    def test_an_answer_comes_before_pacman_gives_up_whoever_is_waited_for(self) -> None:
        exchange = self.browser.ask(PATH)
        self.clock.pump([0.5] * int(PACMAN / 0.5 + 1))
        self.assertRefused(exchange.answer, 503)

    def test_what_was_waited_for_before_counts_too(self) -> None:
        self.desk.settling = Deferred()
        exchange = self.browser.ask(PATH)
        self.clock.advance(5.0)
        self.desk.settling.callback(None)
        self.clock.pump([0.5] * 9)
        self.assertRefused(exchange.answer, 503)

    def test_a_client_that_leaves_is_no_error_and_the_others_go_on(self) -> None:
        leaving, staying = self.browser.ask(PATH), self.browser.ask(PATH)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:5_000])
        leaving.leave()
        self.browser._open.remove(leaving)
        self.clock.advance(MIRROR_HOLD)
        response.send(DATA[5_000:])
        response.end()
        self.assertEqual(staying.answer.body, DATA)

    def test_one_that_is_not_listed_goes_as_it_comes(self) -> None:
        self.desk.listed.clear()
        exchange = self.browser.ask(PATH)
        self.asked(MIRROR_A).head(len(DATA)).send(DATA[:10])
        self.clock.advance(MIRROR_HOLD)
        self.assertEqual(exchange.answer.body, DATA[:10])


class SentAway(LoopbackTestCase):
    """Where the operator lets pacman take packages from their holders itself."""

    PACMAN = "pacman/6.0.2 (Linux x86_64) libalpm/13.0.2"

    def setUp(self) -> None:
        super().setUp()
        self.desk.redirects = True
        self.desk.holder = Deferred()

    def ask(self, path: str = PATH, **headers: str) -> Any:
        return self.browser.ask(path, User_Agent=self.PACMAN, **headers)

    def test_pacman_is_sent_to_the_holder_once_that_is_known_to_be_there(self) -> None:
        exchange = self.ask()
        self.assertFalse(exchange.answered)
        self.desk.holder.callback(PEER)
        self.assertRefused(exchange.answer, 307)
        self.assertEqual(exchange.answer.headers["location"], PEER.url)
        self.assertEqual(exchange.answer.headers["flocon-source"], "peer 10.0.0.7")
        self.assertEqual(list(self.desk.transfers), [])

    def test_what_it_needs_is_not_fetched_ahead_here(self) -> None:
        self.ask()
        self.assertEqual(self.desk.noticed, [])
        self.desk.redirects = False
        self.ask()
        self.assertEqual(len(self.desk.noticed), 1)

    def test_what_is_remembered_of_it_is_the_size_that_pacman_takes(self) -> None:
        recent = Recent()
        self.face._recent = recent
        self.ask()
        self.desk.holder.callback(PEER)
        self.assertEqual([(one.status, one.bytes) for one in recent], [(307, CONTENT.size)])
        self.assertEqual(self.desk.traffic.to_pacman_bytes, 0)

    def test_without_a_holder_it_is_brought_here(self) -> None:
        exchange = self.ask()
        self.desk.holder.callback(None)
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual((exchange.answer.status, exchange.answer.body), (200, DATA))

    def test_who_is_not_pacman_gets_it_from_here(self) -> None:
        others: list[dict[str, str]] = [{}, {"User_Agent": "curl/8"}, {"User_Agent": "a pacman/6"}]
        exchanges = [self.browser.ask(PATH, **headers) for headers in others]
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual([one.answer.status for one in exchanges], [200, 200, 200])

    def test_what_no_database_lists_is_brought_here(self) -> None:
        self.desk.listed.clear()
        exchange = self.ask()
        self.asked(MIRROR_A).whole(DATA)
        self.clock.advance(MIRROR_HOLD)
        self.assertEqual(exchange.answer.status, 200)

    def test_what_is_held_here_is_given_from_here(self) -> None:
        self.desk.here[NAME] = HeldFile()
        self.assertEqual(self.ask().answer.status, 200)

    def test_unless_the_operator_wants_it_nobody_is_sent_away(self) -> None:
        self.desk.redirects = False
        exchange = self.ask()
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(exchange.answer.status, 200)

"""pacman is kept awake while it waits for answers."""

from __future__ import annotations

from flocon.serving.awake import INTERIM, MOST_INTERIM, WAKES
from tests.faces.pacman_case import (
    DATA,
    DB,
    MIRROR_A,
    NAME,
    PATH,
    SIGNATURE,
    THEN,
    HeldFile,
    LoopbackTestCase,
)
from tests.faces.web import Exchange


class Waiting(LoopbackTestCase):
    """pacman sleeps for a second where no byte comes, and begins nothing else meanwhile."""

    def ask(self, path: str, method: str = "GET", agent: str = "pacman/7.1.0") -> Exchange:
        return self.browser.ask(path, method, User_Agent=agent)

    def wait(self, seconds: float) -> None:
        self.clock.pump([0.01] * round(seconds / 0.01))

    def test_while_it_waits_for_a_package_it_is_told_so_at_once_and_once_more(self) -> None:
        exchange = self.ask(PATH)
        self.assertEqual(exchange.raw, b"")
        self.clock.advance(WAKES[0])
        self.assertEqual(exchange.raw, INTERIM)
        self.wait(1.0)
        self.assertEqual(exchange.raw, INTERIM * 2)

    def test_it_is_woken_as_well_when_another_request_begins_and_when_it_ends(self) -> None:
        exchange = self.ask(PATH)
        self.wait(1.0)
        another = self.ask(DB)
        self.clock.advance(WAKES[0])
        self.assertEqual(exchange.raw, INTERIM * 3)
        self.wait(1.0)
        self.assertEqual(exchange.raw, INTERIM * 4)
        self.desk.tools.agent(MIRROR_A).requests[1].whole(b"database")
        self.assertTrue(another.raw.endswith(b"database"))
        self.clock.advance(WAKES[0])
        self.assertEqual(exchange.raw, INTERIM * 5)

    def test_a_signature_that_was_answered_wakes_it_too(self) -> None:
        exchange = self.ask(PATH)
        self.wait(1.0)
        self.desk.embedded = SIGNATURE
        self.ask(PATH + ".sig")
        self.clock.advance(WAKES[0])
        self.assertEqual(exchange.raw, INTERIM * 3)

    def test_however_much_else_is_asked_it_is_not_told_without_end(self) -> None:
        exchange = self.ask(PATH)
        self.desk.embedded = SIGNATURE
        for _ in range(2 * MOST_INTERIM):
            self.ask(PATH + ".sig")
            self.clock.advance(WAKES[0])
        self.assertEqual(exchange.raw, INTERIM * MOST_INTERIM)

    def test_what_is_asked_all_the_time_puts_it_off_no_further(self) -> None:
        exchange = self.ask(PATH)
        self.desk.embedded = SIGNATURE
        for _ in range(4):
            self.clock.advance(WAKES[0] / 4)
            self.ask(PATH + ".sig")
        self.assertEqual(exchange.raw, INTERIM)

    def test_so_it_is_for_a_database(self) -> None:
        exchange = self.ask(DB)
        self.clock.advance(WAKES[0])
        self.assertEqual(exchange.raw, INTERIM)

    def test_the_answer_follows_as_it_would_have_been(self) -> None:
        exchange = self.ask(PATH)
        self.clock.advance(WAKES[0])
        response = self.asked(MIRROR_A).head(len(DATA), Last_Modified=THEN)
        response.send(DATA)
        response.end()
        self.assertTrue(exchange.raw.startswith(INTERIM + b"HTTP/1.1 200 OK\r\n"))
        self.assertTrue(exchange.raw.endswith(b"\r\n\r\n" + DATA))

    def test_a_failure_is_told_as_ever(self) -> None:
        exchange = self.ask(PATH)
        self.clock.advance(WAKES[0])
        self.clock.pump([1.0] * 9)
        self.assertTrue(exchange.raw.startswith(INTERIM * 2 + b"HTTP/1.1 503 "))

    def test_what_is_answered_at_once_has_nothing_before_it(self) -> None:
        self.desk.here[NAME] = HeldFile()
        exchange = self.ask(PATH)
        self.clock.advance(WAKES[0])
        self.assertTrue(exchange.raw.startswith(b"HTTP/1.1 200 "))

    def test_nor_has_what_is_answered_meanwhile(self) -> None:
        exchange = self.ask(PATH)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA)
        response.end()
        before = exchange.raw
        self.clock.advance(1.0)
        self.assertEqual(exchange.raw, before)

    def test_one_that_leaves_is_told_nothing(self) -> None:
        exchange = self.ask(PATH)
        exchange.leave()
        self.clock.advance(1.0)
        self.assertEqual(exchange.raw, b"")

    def test_of_a_signature_it_is_told_nothing(self) -> None:
        """Curl asks again on a new connection where the node was restarted, if no byte came."""
        self.desk.listed.clear()
        exchange = self.ask(PATH + ".sig")
        self.clock.advance(1.0)
        self.assertEqual(exchange.raw, b"")

    def test_nor_where_a_failure_is_an_end_without_an_answer(self) -> None:
        self.desk.others.add("core")
        exchange = self.ask(DB)
        self.clock.advance(1.0)
        self.assertEqual(exchange.raw, b"")

    def test_nobody_but_pacman_is_told(self) -> None:
        exchanges = [self.ask(PATH, agent=agent) for agent in ("curl/8.5.0", "flocon/0.9", "")]
        exchanges.append(self.ask(DB, "HEAD"))
        self.clock.advance(1.0)
        self.assertEqual([exchange.raw for exchange in exchanges], [b""] * 4)

    def test_nor_one_that_speaks_an_older_http(self) -> None:
        data = self.browser.request(PATH, User_Agent="pacman/6.0.2")
        older = self.browser.ask_raw(data.replace(b"HTTP/1.1", b"HTTP/1.0"))
        self.clock.advance(1.0)
        self.assertEqual(older.raw, b"")

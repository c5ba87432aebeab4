"""The face for pacman: whom it answers, and what it never does to pacman."""

from __future__ import annotations

import json
from ipaddress import ip_network

from flocon.answering import sendfile
from flocon.answering.visitors import Admission, loopback_names
from flocon.asking.mirrors import LOOP_HEADER, loop_mark
from flocon.books.recent import LONGEST_TEXT
from flocon.faces import loopback as module
from flocon.faces.loopback import Loopback
from flocon.precedence import QUIET, TAKING
from tests.faces.pacman_case import (
    DATA,
    DB,
    MIRROR_A,
    NAME,
    PATH,
    HeldFile,
    LoopbackTestCase,
)
from tests.faces.web import Browser


class Visitors(LoopbackTestCase):
    def test_this_machines_own_names_are_answered(self) -> None:
        for host in (
            *("localhost", "localhost:19433", "LOCALHOST:19433", "127.0.0.1", "127.0.0.1:19433"),
            *("[::1]", "[::1]:19433", " localhost "),
        ):
            self.assertEqual(self.get("/check", host=host).body, b"OK\n", host)
        self.assertEqual(self.browser.ask("/check", host=None).answer.status, 200)

    def test_this_node_is_refused_when_a_mirror_sends_it_here(self) -> None:
        for path in (PATH, DB, PATH + ".sig"):
            answer = self.get(path, **{LOOP_HEADER: loop_mark()})
            self.assertEqual((answer.status, answer.body), (508, b""))
        self.assertEqual(self.desk.tools.agents, {})

    def test_another_node_that_has_this_one_as_its_mirror_is_answered(self) -> None:
        self.browser.ask(PATH, **{LOOP_HEADER: "another"})
        self.assertNotEqual(self.desk.tools.agents, {})

    def test_foreign_names_are_refused(self) -> None:
        for host in (
            *("evil.example", "evil.example:19433", "localhost.evil.example", "localhost.", ""),
            *(
                "127.0.0.1.evil.example",
                "[::2]:19433",
                "10.0.0.1",
                "localhost:1:2",
                "evil@localhost",
            ),
            "localhost, evil.example",
        ):
            self.assertRefused(self.get("/check", host=host), 403)

    def assertNoPage(self, **headers: str) -> None:
        for path in (PATH, f"{PATH}.sig", DB, "/check", "/status.json", "/x", "/metrics"):
            self.assertRefused(self.get(path, **headers), 403)
        self.assertEqual(list(self.desk.transfers), [])
        self.assertEqual(list(self.recent), [])

    def test_no_page_of_another_site_can_have_files_fetched(self) -> None:
        for site in ("cross-site", "same-site"):
            self.assertNoPage(Sec_Fetch_Site=site)

    def test_nor_can_one_whose_browser_tells_it_otherwise(self) -> None:
        self.assertNoPage(Origin="http://evil.example")
        self.assertNoPage(Origin="null")
        self.assertNoPage(Origin="http://localhost:8000")
        self.assertNoPage(Referer="https://evil.example/http://localhost/")

    def test_a_page_of_its_own_may_ask(self) -> None:
        for headers in (
            {"Sec_Fetch_Site": "same-origin", "Referer": "http://localhost:19433/?part=x"},
            {"Sec_Fetch_Site": "none"},
            {"Origin": "http://localhost:19433"},
        ):
            answer = self.get("/status.json", host="localhost:19433", **headers)
            self.assertEqual(answer.status, 200)

    def test_a_browser_that_does_not_say_whose_page_asks_has_no_files_fetched(self) -> None:
        browser = {"User_Agent": "Mozilla/5.0"}
        self.assertRefused(self.get(PATH, **browser), 403)
        self.assertEqual(self.get("/status.json", **browser).status, 200)
        self.browser.ask(PATH, Sec_Fetch_Site="none", **browser)
        self.asked(MIRROR_A).whole(DATA)

    def test_who_follows_a_link_from_elsewhere_reads_why_not(self) -> None:
        found = self.get("/", Sec_Fetch_Site="cross-site")
        self.assertEqual((found.status, found.body), (403, module.SENTENCE))

    def test_of_two_names_both_must_be_ours(self) -> None:
        exchange = self.browser.ask("/check", X="y\r\nHost: evil.example")
        self.assertIn(exchange.answer.status, {400, 403})

    def test_other_machines_are_refused_whatever_they_say(self) -> None:
        for client, status in {
            "10.0.0.1": 403,
            "::ffff:10.0.0.1": 403,
            "fe80::1%eth0": 403,
            "2001:db8::1": 403,
            "127.0.0.1": 200,
            "127.9.9.9": 200,
            "::ffff:127.0.0.1": 200,
            "::1": 200,
        }.items():
            browser = Browser(self.clock, self.face, client)
            self.assertEqual(browser.get("/check").status, status, client)
            browser.close()

    def test_this_machine_may_ask_by_any_of_its_addresses(self) -> None:
        for address, host in (("172.17.0.1", "172.17.0.1:19433"), ("fd00::1", "[fd00::1]")):
            browser = Browser(self.clock, self.face, address, address)
            self.assertEqual(browser.get("/check", host=host).status, 200)
            self.assertEqual(browser.get("/check", host="evil.example").status, 403)
            self.assertEqual(browser.get("/check", host="10.0.0.7").status, 403)
            browser.close()

    def test_networks_that_the_operator_names_are_answered_and_nobody_else(self) -> None:
        face = Loopback(
            self.desk.parts(),
            names=loopback_names(["host.docker.internal"]),
            admission=Admission([ip_network("172.17.0.0/16")]),
        )
        for client, host, status in (
            ("172.17.0.9", "172.17.0.1:19433", 200),
            ("172.17.0.9", "host.docker.internal:19433", 200),
            ("172.17.0.9", "evil.example", 403),
            ("172.17.0.9", "172.17.0.9", 403),
            ("172.18.0.9", "172.17.0.1:19433", 403),
            ("fe80::1%docker0", "172.17.0.1", 403),
        ):
            browser = Browser(self.clock, face, client, "172.17.0.1")
            self.assertEqual(browser.get("/check", host=host).status, status, (client, host))
            browser.close()

    def test_nothing_but_reading_is_allowed(self) -> None:
        for method in ("PUT", "DELETE", "OPTIONS", "X", "POST"):
            found = self.browser.ask(PATH, method).answer
            self.assertRefused(found, 405)
            self.assertEqual(found.headers["allow"], "GET, HEAD")

    def test_the_status_is_json(self) -> None:
        found = self.get("/status.json")
        self.assertEqual(found.headers["content-type"], "application/json")
        self.assertEqual(json.loads(found.body), {"peers": []})

    def test_a_path_of_another_tools_is_remembered_bounded(self) -> None:
        self.assertRefused(self.get("/repo/archlinux/core/os/x86_64/core.db"), 404)
        self.assertRefused(self.get(b"/repo/%ff" + b"a" * 900), 404)
        self.assertRefused(self.get("/favicon.ico", User_Agent="Mozilla/5.0"), 404)
        first, second = self.recent
        self.assertEqual(first.file_name, "/repo/archlinux/core/os/x86_64/core.db")
        self.assertEqual((first.status, first.repository, first.source), (404, "", ""))
        self.assertEqual(len(second.file_name), LONGEST_TEXT)
        self.assertTrue(second.file_name.isascii())

    def test_what_pacman_never_asks_for_is_not_found(self) -> None:
        for path in ("/", "/x", f"/../{NAME}", f"/extra/os/x86_64/..%2f{NAME}", "/extra/", "/%00"):
            self.assertRefused(self.get(path), 404)


class Precedence(LoopbackTestCase):
    """What pacman asks for holds back what nobody waits for."""

    @property
    def stands(self) -> bool:
        precedence = self.desk.tools.precedence
        stands = precedence.stands(self.fail)
        precedence.forget(self.fail)
        return stands

    def test_as_long_as_it_is_answered_and_a_moment_longer(self) -> None:
        self.assertFalse(self.stands)
        exchange = self.browser.ask(PATH)
        self.assertTrue(self.stands)
        self.clock.advance(1)
        self.assertTrue(self.stands)
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(exchange.answer.body, DATA)
        self.assertTrue(self.stands)
        self.clock.advance(QUIET)
        self.assertFalse(self.stands)

    def test_while_the_next_piece_is_waited_for(self) -> None:
        self.browser.ask(DB)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:100])
        self.clock.advance(TAKING * 5)
        self.assertTrue(self.stands)
        response.send(DATA[100:])

    def test_not_while_it_takes_nothing_of_what_is_there(self) -> None:
        self.patch(sendfile, "READ_STEP", len(DATA) // 2)
        self.desk.here[NAME] = HeldFile()
        exchange = self.browser.ask("/check")
        write = exchange.transport.write

        def fill(data: bytes) -> None:
            write(data)
            if data[-1:] == DATA[-1:]:
                exchange.pause()

        self.patch(exchange.transport, "write", fill)
        exchange.again(self.browser.request(PATH))
        self.assertFalse(exchange.answer.whole)
        self.assertTrue(self.stands)
        self.clock.advance(TAKING)
        self.assertFalse(self.stands)
        exchange.resume()
        self.assertTrue(exchange.answer.whole)
        self.assertTrue(self.stands)

    def test_another_users_share_with_peers_what_these_may_hold_back(self) -> None:
        precedence = self.desk.tools.precedence
        user, pacmans = 1000, 969
        precedence.set_users({0, pacmans})
        self.browser.site.user_of = lambda *_: user
        exchange = self.browser.ask(PATH)
        self.assertTrue(self.stands)
        exchange.leave()
        while self.stands:
            precedence.sent(1 << 30)
            self.clock.advance(QUIET * 0.9)
        self.browser.ask(PATH)
        self.assertFalse(self.stands)
        user = pacmans
        self.browser.ask(PATH)
        self.assertTrue(self.stands)

    def test_who_leaves_holds_nothing_back(self) -> None:
        self.browser.ask(PATH).leave()
        self.clock.advance(QUIET)
        self.assertFalse(self.stands)

    def test_questions_and_refusals_hold_nothing_back(self) -> None:
        for path in ("/check", "/status.json", "/", "/nothing/of/pacmans"):
            self.get(path)
        self.assertFalse(self.stands)

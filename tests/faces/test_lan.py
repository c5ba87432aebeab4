"""The face peers use gives away what is offered, by checked names, and nothing else."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from flocon.answering.pace import LONGEST_STAND, LONGEST_STAND_RELAYED
from flocon.asking.mirrors import LOOP_HEADER
from flocon.errors import Unreachable
from flocon.faces import lan
from flocon.precedence import QUIET
from flocon.serving.site import LARGEST_READ_OVER
from tests.faces.lan_case import CONTENT, DATA, MIRROR, NAME, SIGNATURE, THEN, LanTestCase
from tests.faces.web import Exchange


class Packages(LanTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.shelf.files[NAME] = DATA

    def test_a_held_file_is_given_with_its_digest(self) -> None:
        for path in (f"/pkg/{NAME}", f"/pkg/{quote(NAME, safe='')}"):
            found = self.get(path)
            self.assertEqual((found.status, found.body), (200, DATA))
            self.assertEqual(found.headers["etag"], f'"{CONTENT.sha256.hex()}"')
            self.assertIn("repr-digest", found.headers)
        self.assertEqual(self.lan.counters["files"], 2)
        self.assertEqual(self.shelf.traffic.to_peers_bytes, 2 * len(DATA))
        self.assertEqual(self.shelf.traffic.takers.most_first(), [("10.0.0.9", 2 * len(DATA))])

    def test_a_range_of_it(self) -> None:
        found = self.get(f"/pkg/{NAME}", Range="bytes=10-19")
        self.assertEqual((found.status, found.body), (206, DATA[10:20]))

    def test_its_signature_has_no_digest_of_the_package(self) -> None:
        found = self.get(f"/pkg/{NAME}.sig")
        self.assertEqual((found.status, found.body), (200, SIGNATURE))
        self.assertNotIn("etag", found.headers)
        self.assertNotIn("repr-digest", found.headers)

    def test_head_has_no_body(self) -> None:
        found = self.browser.ask(f"/pkg/{NAME}", "HEAD").answer
        self.assertEqual(found.headers["content-length"], str(len(DATA)))
        self.assertEqual(found.body, b"")

    def test_if_match_of_other_content_is_no_match(self) -> None:
        self.assertRefused(self.get(f"/pkg/{NAME}", If_Match='"other"'), 404)
        found = self.get(f"/pkg/{NAME}", If_Match=f'"{CONTENT.sha256.hex()}"')
        self.assertEqual(found.status, 200)

    def test_what_is_not_held_is_not_found(self) -> None:
        self.assertRefused(self.get("/pkg/other-1-1-any.pkg.tar.zst"), 404)

    def test_what_vanished_meanwhile_is_not_found(self) -> None:
        self.shelf.gone = True
        self.assertRefused(self.get(f"/pkg/{NAME}"), 404)
        self.assertRefused(self.get(f"/pkg/{NAME}.sig"), 404)

    def test_other_methods_are_refused(self) -> None:
        for method in ("PUT", "DELETE", "OPTIONS", "CONNECT", "X"):
            found = self.browser.ask(f"/pkg/{NAME}", method).answer
            self.assertRefused(found, 405)
            self.assertEqual(found.headers["allow"], "GET, HEAD")

    def test_a_pacserves_question_is_refused_in_words_and_the_connection_kept(self) -> None:
        body = b"json=" + b"x" * (LARGEST_READ_OVER - 5)
        head = self.browser.request("/", "POST", Content_Length=str(len(body)))
        exchange = self.browser.ask_raw(head + body)
        self.shelf.tools.reactor.pump([0])
        self.assertRefused(exchange.answer, 405)
        self.assertEqual(exchange.answer.headers["allow"], "GET, HEAD")
        self.assertFalse(exchange.cut)
        exchange.again(self.browser.request(f"/pkg/{NAME}"))
        self.shelf.tools.reactor.pump([0])
        self.assertEqual((exchange.answer.status, exchange.answer.body), (200, DATA))

    def test_no_way_leads_out_of_the_folder(self) -> None:
        for path in (
            "/pkg",
            "/pkg/",
            "/pkg/..",
            "/pkg/.",
            "/pkg/../../etc/passwd",
            "/../../etc/passwd",
            "//etc/passwd",
            "/pkg//etc/passwd",
            "/pkg/%2e%2e",
            "/pkg/%2e%2e/%2e%2e/etc/passwd",
            "/pkg/..%2f..%2fetc%2fpasswd",
            "/pkg/%2fetc%2fpasswd",
            "/pkg/%252e%252e%252fetc%252fpasswd",
            f"/pkg/..%2f{NAME}",
            f"/pkg/%252f{NAME}",
            f"/pkg/./{NAME}",
            f"/pkg/x/../{NAME}",
            f"/pkg/{NAME}/",
            f"/pkg/{NAME}%00",
            f"/pkg/%00{NAME}",
            f"/pkg/{NAME}%0a",
            f"/pkg/{NAME};x",
            f"/pkg/{NAME}%3f",
            f"/PKG/{NAME}",
            f"/pkg\\{NAME}",
            f"/pkg/{'a' * 2000}-1-1-any.pkg.tar.zst",
            f"/pkg/{'%61' * 300}{NAME}",
            "/pkg/core.db",
            "/pkg/core.db.sig",
            f"/pkg/{NAME}.sig.sig",
            f"/pkg/{NAME}.part",
            "/pkg/%ff%fe",
            "/pkg/%c0%ae%c0%ae/",
        ):
            self.assertRefused(self.get(path), 404)
        self.assertRefused(self.get(b"http://10.0.0.1/pkg/" + NAME.encode()), 400)
        self.assertEqual(self.shelf.opened, [])
        self.assertEqual(self.shelf.asked, [])

    def test_bytes_no_path_has_are_a_bad_request(self) -> None:
        exchange = self.browser.ask(b"/pkg/\xff\xfe")
        self.assertEqual((exchange.answer.status, exchange.answer.body), (400, b""))
        self.assertTrue(exchange.cut)

    def test_a_star_names_nothing(self) -> None:
        for method in ("GET", "OPTIONS"):
            found = self.browser.ask("*", method).answer
            self.assertEqual((found.headers["content-length"], found.body), ("0", b""))

    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(
            st.sampled_from(
                (
                    *(NAME, "..", ".", "/", "%2f", "%2e", "%", "%00", "pkg", "db", "relay", "~"),
                    *("inventory", "\\", "%5c", "core.db", "a", "%25", ";", ".sig", "x86_64"),
                )
            ),
            max_size=8,
        ).map("".join)
    )
    def test_whatever_the_path_only_checked_names_are_looked_up(self, path: str) -> None:
        self.shelf.asked.clear()
        found = self.get("/" + path)
        self.assertIn(found.status, {200, 404, 503})
        for name in self.shelf.asked:
            self.assertNotIn("/", name)
            self.assertFalse(name.startswith("."))


class Visitors(LanTestCase):
    """What a browser asks for: a page of the Internet can have it ask."""

    BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/150.0.0.0"
    PATHS = (f"/pkg/{NAME}", "/inventory", f"/relay/extra/x86_64/{NAME}", "/db/core.db", "/x")

    def setUp(self) -> None:
        super().setUp()
        self.shelf.files[NAME] = DATA

    def assertAllRefused(self, **headers: str) -> None:
        for path in self.PATHS:
            for method in ("GET", "HEAD"):
                self.assertRefused(self.browser.ask(path, method, **headers).answer, 403)
        self.assertEqual((self.shelf.asked, self.shelf.relayed, self.shelf.opened), ([], [], []))

    def test_a_name_that_a_page_gave_this_machine_is_refused(self) -> None:
        self.assertAllRefused(host="evil.example")
        self.assertAllRefused(host="evil.example:19432")
        self.assertEqual(self.lan.counters["refused 403"], 4 * len(self.PATHS))

    def test_a_page_of_another_site_is_refused(self) -> None:
        self.assertAllRefused(Origin="http://evil.example")
        self.assertAllRefused(Origin="null")
        self.assertAllRefused(Referer="https://evil.example/x")
        for site in ("cross-site", "same-site"):
            self.assertAllRefused(Sec_Fetch_Site=site)

    def test_so_is_a_browser_that_does_not_say_who_had_it_ask(self) -> None:
        self.assertAllRefused(User_Agent=self.BROWSER, host="10.0.0.1:19432")

    def test_a_browser_reads_a_sentence_that_tells_nothing_of_this_machine(self) -> None:
        for headers in ({}, {"Sec_Fetch_Site": "cross-site", "Origin": "http://evil.example"}):
            found = self.browser.ask("/", User_Agent=self.BROWSER, **headers).answer
            self.assertEqual((found.status, found.body), (200, lan.SENTENCE))
            self.assertEqual(found.headers["content-type"], "text/plain; charset=utf-8")

    def test_nobody_elses_page_may_read_an_answer(self) -> None:
        for path in ("/", *self.PATHS):
            found = self.browser.ask(path, host="10.0.0.1").answer
            self.assertFalse([name for name in found.headers if name.startswith("access-control")])

    def test_whatever_a_node_is_called_by_is_answered(self) -> None:
        for host in ("10.0.0.1:19432", "[fe80::1%25eth0]:19432", "nas.local", "nas:19432", None):
            self.assertEqual(self.browser.ask(f"/pkg/{NAME}", host=host).answer.status, 200, host)


class Contents(LanTestCase):
    """What another machine's pacman is sent here for."""

    PATH = f"/content/{CONTENT.sha256.hex()}/{NAME.replace('.pkg', '')}"

    def setUp(self) -> None:
        super().setUp()
        self.shelf.files[NAME] = DATA

    def test_a_held_package_is_given_by_its_content(self) -> None:
        found = self.get(self.PATH)
        self.assertEqual((found.status, found.body), (200, DATA))
        self.assertEqual(self.lan.counters["files"], 1)

    def test_the_rest_of_it_too(self) -> None:
        found = self.get(self.PATH, Range="bytes=10-")
        self.assertEqual((found.status, found.body), (206, DATA[10:]))

    def test_another_content_of_that_name_is_not_found(self) -> None:
        self.assertRefused(self.get(self.PATH.replace(CONTENT.sha256.hex(), "0" * 64)), 404)

    def test_nor_is_what_is_not_held(self) -> None:
        self.shelf.files.clear()
        self.assertRefused(self.get(self.PATH), 404)

    def test_nor_are_signatures_and_what_names_no_package(self) -> None:
        digest = CONTENT.sha256.hex()
        for path in (
            *(f"{self.PATH}.sig", f"/content/{digest}", f"/content/{digest}/", f"{self.PATH}/"),
            *(f"/content/{digest}/{NAME}", f"/content/{digest.upper()}/x", f"/content/x/{NAME}"),
            *(f"/content/{digest}/core.db", f"/content/{digest}/..%2f{NAME}"),
        ):
            self.assertRefused(self.get(path), 404)


class Private(LanTestCase):
    def test_nothing_of_it_is_given(self) -> None:
        self.shelf.privacy.repositories = frozenset({"core", "extra"})
        self.assertRefused(self.get("/db/core.db"), 404)
        self.browser.ask(Relays.PATH)
        self.shelf.tools.agent(MIRROR).last.whole(DATA)
        self.assertRefused(self.get(Relays.PATH + ".sig"), 404)
        self.assertEqual(self.shelf.opened, [])

    def test_nor_is_its_signature_under_the_name_of_another_repository(self) -> None:
        self.shelf.privacy.repositories = frozenset({"secret"})
        self.browser.ask(Relays.PATH)
        self.shelf.tools.agent(MIRROR).last.whole(DATA)
        self.assertRefused(self.get(Relays.PATH + ".sig"), 404)


class Databases(LanTestCase):
    def test_a_shared_one_is_given(self) -> None:
        self.assertEqual(self.get("/db/core.db").body, b"database")

    def test_others_are_not_found(self) -> None:
        for path in (
            "/db/extra.db",
            "/db/core.db.sig",
            f"/db/{NAME}",
            "/db/..",
            "/db/..%2fcore.db",
        ):
            self.assertRefused(self.get(path), 404)


class Relays(LanTestCase):
    PATH = f"/relay/extra/x86_64/{NAME}"

    def test_a_listed_file_is_fetched_and_follows_as_it_comes(self) -> None:
        exchange = self.browser.ask(self.PATH, If_Match='"x"')
        self.assertEqual(exchange.answer.status, 200)
        response = self.shelf.tools.agent(MIRROR).last.head(len(DATA))
        response.send(DATA[:100])
        self.assertEqual(exchange.answer.body, DATA[:100])
        response.send(DATA[100:])
        response.end()
        self.assertEqual(exchange.answer.body, DATA)
        asked, etag = self.shelf.relayed[0]
        self.assertEqual((asked.repository, asked.architecture, etag), ("extra", "x86_64", '"x"'))

    def test_who_asks_at_once_shares_one_fetch(self) -> None:
        exchanges = [self.browser.ask(self.PATH) for _ in range(3)]
        self.shelf.tools.agent(MIRROR).last.whole(DATA)
        self.assertEqual([one.answer.body for one in exchanges], [DATA] * 3)
        self.assertEqual(len(self.shelf.tools.agent(MIRROR).requests), 1)

    def test_what_is_held_is_given_at_once(self) -> None:
        self.shelf.files[NAME] = DATA
        self.assertEqual(self.get(self.PATH).body, DATA)
        self.assertEqual(self.shelf.relayed, [])

    def test_what_is_not_listed_is_refused(self) -> None:
        self.shelf.lists = False
        self.assertRefused(self.get(self.PATH), 503)

    def test_a_node_that_its_mirror_sent_here_is_refused(self) -> None:
        self.assertRefused(self.get(self.PATH, **{LOOP_HEADER: "of any node"}), 508)
        self.assertEqual(self.shelf.relayed, [])

    def test_a_node_that_takes_this_one_for_a_mirror_is_told_so(self) -> None:
        path = f"/core/os/x86_64/{NAME}"
        self.assertRefused(self.get(path, **{LOOP_HEADER: "of any node"}), 508)
        self.assertRefused(self.get(path), 404)

    def test_who_wants_only_what_is_on_its_way_has_nothing_begun(self) -> None:
        answer = self.get(self.PATH, Cache_Control="only-if-cached")
        self.assertRefused(answer, 504)
        self.assertEqual(self.shelf.tools.agents, {})

    def test_who_wants_only_what_is_on_its_way_follows_it(self) -> None:
        self.browser.ask(self.PATH)
        exchange = self.browser.ask(self.PATH, Cache_Control="only-if-cached", If_Match='"x"')
        self.shelf.tools.agent(MIRROR).last.whole(DATA)
        self.assertEqual(exchange.answer.body, DATA)
        self.assertEqual(len(self.shelf.tools.agent(MIRROR).requests), 1)
        self.assertEqual(self.shelf.relayed[-1][1], '"x"')

    def test_a_head_tells_what_is_listed_and_begins_nothing(self) -> None:
        for headers in ({}, {"Cache_Control": "only-if-cached"}, {"Range": "bytes=5-"}):
            found = self.browser.ask(self.PATH, "HEAD", If_Match='"x"', **headers).answer
            self.assertEqual((found.status, found.body), (200, b""))
            self.assertEqual(found.headers["content-length"], str(len(DATA)))
            self.assertEqual(found.headers["etag"], f'"{CONTENT.sha256.hex()}"')
            self.assertNotIn("last-modified", found.headers)
        self.assertEqual((self.shelf.relayed, self.shelf.tools.agents), ([], {}))
        self.assertEqual(self.shelf.looked_up[0][1], '"x"')

    def test_a_head_of_what_is_coming_tells_its_date_and_does_not_join(self) -> None:
        exchange = self.browser.ask(self.PATH)
        response = self.shelf.tools.agent(MIRROR).last.head(len(DATA), Last_Modified=THEN)
        self.assertEqual(self.browser.ask(self.PATH, "HEAD").answer.headers["last-modified"], THEN)
        response.send(DATA)
        response.end()
        self.assertEqual(exchange.answer.body, DATA)

    def test_a_head_of_what_is_not_listed_is_refused_as_a_get_is(self) -> None:
        self.shelf.lists = False
        self.assertRefused(self.browser.ask(self.PATH, "HEAD").answer, 503)

    def test_a_fetch_that_fails_cuts_the_answer(self) -> None:
        exchange = self.browser.ask(self.PATH)
        self.shelf.tools.agent(MIRROR).last.fail(Unreachable("m", "gone"))
        self.assertTrue(exchange.cut)
        self.assertEqual(exchange.answer.body, b"")

    def test_the_signature_comes_with_its_package(self) -> None:
        self.browser.ask(self.PATH)
        exchange = self.browser.ask(self.PATH + ".sig")
        self.assertFalse(exchange.answered)
        self.shelf.tools.agent(MIRROR).last.whole(DATA)
        self.assertEqual(exchange.answer.body, SIGNATURE)

    def test_the_signature_of_another_content_is_not_found(self) -> None:
        self.browser.ask(self.PATH)
        other = "0" * 64
        self.assertRefused(self.get(self.PATH + ".sig", If_Match=f'"{other}"'), 404)
        meant = f'"{CONTENT.sha256.hex()}"'
        exchange = self.browser.ask(self.PATH + ".sig", If_Match=meant)
        self.shelf.tools.agent(MIRROR).last.whole(DATA)
        self.assertEqual(exchange.answer.body, SIGNATURE)

    def test_a_signature_nobody_fetches_is_not_found(self) -> None:
        self.assertRefused(self.get(self.PATH + ".sig"), 404)

    def test_other_things_are_not_relayed(self) -> None:
        for path in (
            "/relay/core/x86_64/core.db",
            "/relay/core/x86_64/core.db.sig",
            f"/relay/{NAME}",
            f"/relay/../x86_64/{NAME}",
            f"/relay/core/../{NAME}",
            f"/relay/core/os/x86_64/{NAME}",
            f"/relay/a%2fb/x86_64/{NAME}",
            f"/relay/core/x86_64/..%2f{NAME}",
        ):
            self.assertRefused(self.get(path), 404)
        self.assertEqual(self.shelf.relayed, [])


class Unhurried(LanTestCase):
    """What nobody waits for, after all else and within bounds."""

    PATH = f"/pkg/{NAME}"
    RELAY = f"/relay/extra/x86_64/{NAME}"

    def setUp(self) -> None:
        super().setUp()
        self.shelf.files[NAME] = DATA
        self.precedence = self.shelf.tools.precedence

    def ask(self, path: str = PATH, client: str = "10.0.0.9") -> Exchange:
        """Ask as a node does that fetches ahead."""
        self.browser.client = client
        return self.browser.ask(path, Priority="u=7")

    def settle(self) -> None:
        self.shelf.reactor.advance(QUIET)

    def test_it_is_given_at_once_where_nobody_else_is(self) -> None:
        self.assertEqual(self.ask().answer.body, DATA)

    def test_it_stands_still_while_this_machines_pacman_asks(self) -> None:
        with self.precedence.pacman():
            exchange = self.ask()
            self.assertEqual((exchange.answer.status, exchange.answer.body), (200, b""))
            self.shelf.reactor.advance(LONGEST_STAND / 2)
            self.assertEqual(exchange.answer.body, b"")
        self.settle()
        self.assertEqual(exchange.answer.body, DATA)

    def test_and_while_another_machines_pacman_does(self) -> None:
        self.get(self.PATH)
        exchange = self.ask()
        self.assertEqual(exchange.answer.body, b"")
        self.settle()
        self.assertEqual(exchange.answer.body, DATA)

    def test_who_waits_is_answered_whoever_else_is(self) -> None:
        with self.precedence.pacman():
            self.assertEqual(self.get(self.PATH).body, DATA)
            self.assertEqual(self.get(self.PATH, Priority="u=3, i").body, DATA)
        self.settle()

    def test_others_like_it_hold_nothing_back(self) -> None:
        self.ask()
        self.assertEqual(self.ask().answer.body, DATA)

    def test_one_that_stands_still_for_long_is_ended(self) -> None:
        with self.precedence.pacman():
            exchange = self.ask()
            self.shelf.reactor.advance(LONGEST_STAND)
            self.assertTrue(exchange.cut)
            exchange.leave()
            self.assertEqual([one.closed for one in self.shelf.opened], [1])

    def test_one_that_is_fetched_for_it_may_stand_longer(self) -> None:
        del self.shelf.files[NAME]
        exchange = self.ask(self.RELAY)
        response = self.shelf.tools.agent(MIRROR).last.head(len(DATA))
        with self.precedence.pacman():
            response.send(DATA[:100])
            self.assertEqual(exchange.answer.body, b"")
            self.shelf.reactor.advance(LONGEST_STAND * 2)
            self.assertFalse(exchange.cut)
            self.shelf.reactor.advance(LONGEST_STAND_RELAYED)
            self.assertTrue(exchange.cut)

    def test_there_are_only_so_many_of_one_address_and_in_all(self) -> None:
        with self.precedence.pacman():
            first, _ = self.ask(), self.ask()
            self.assertRefused(self.ask().answer, 503)
            for client in ("10.0.0.7", "10.0.0.8"):
                self.assertEqual(self.ask(client=client).answer.status, 200)
            self.assertRefused(self.ask(client="10.0.0.6").answer, 503)
            # Those who wait are no part of it.
            self.assertEqual(self.get(self.PATH).body, DATA)
            first.leave()
            self.assertEqual(self.ask().answer.status, 200)

    def test_what_is_fetched_for_it_is_fetched_so_until_somebody_waits(self) -> None:
        del self.shelf.files[NAME]
        exchanges = [self.ask(self.RELAY)]
        [transfer] = self.shelf.transfers
        self.assertTrue(transfer.unhurried)
        exchanges.append(self.browser.ask(self.RELAY))
        self.assertFalse(transfer.unhurried)
        self.shelf.tools.agent(MIRROR).last.whole(DATA)
        self.settle()
        self.assertEqual([one.answer.body for one in exchanges], [DATA] * 2)

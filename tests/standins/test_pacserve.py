"""In pacserve's place its peers and clients are answered, and nobody is asked because of them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from flocon.answering.respond import finish_text
from flocon.answering.visitors import Admission, lan_names, loopback_names
from flocon.asking.mirrors import LOOP_DETECTED, LOOP_HEADER, loop_mark
from flocon.files import Asked, Content, FileName
from flocon.holdings.offering import Held
from flocon.pacman.entries import Entry
from flocon.serving.accepting import Admitting
from flocon.standins import pacserve as module
from flocon.standins.needs import ForPacserve
from flocon.standins.pacserve import NUDGES_APART, Nudges, PacserveFace
from flocon.standins.questions import LARGEST_QUESTION
from flocon.store.folder import Stamp
from tests.faces.lan_case import DATA, NAME, SIGNATURE, LanTestCase
from tests.faces.web import Answer, Browser, Exchange

if TYPE_CHECKING:
    from twisted.web.http import Request

ELSEWHERE = "elsewhere-1-1-any.pkg.tar.zst"
FOREIGN = "foreign-1-1-any.pkg.tar.zst"
NOWHERE = "nowhere-1-1-any.pkg.tar.zst"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CONTENT = Content(len(DATA), hashlib.sha256(DATA).digest())


class FakePacman:
    """Notes what it is to give to this machine's pacman."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    async def give(self, request: Request, asked: Asked) -> None:
        self.asked.append(asked)
        finish_text(request, b"for pacman", "text/plain")


class PacserveCase(LanTestCase):
    """``NAME`` is here, ``ELSEWHERE`` on another node, ``FOREIGN`` at another tool's machine.

    ``NOWHERE`` is listed alone.
    """

    def setUp(self) -> None:
        super().setUp()
        self.shelf.files[NAME] = DATA
        self.shelf.inventory.put(NAME, CONTENT)
        self.pacman = FakePacman()
        self.private: set[str] = set()
        self.servers = ["http://mirror.example/extra/os/x86_64"]
        self.nudged: list[tuple[str, int]] = []
        names = (NAME, ELSEWHERE, FOREIGN, NOWHERE)
        self.entries = [Entry("extra", one, "x", "1-1", len(DATA), CONTENT.sha256) for one in names]
        lan: Any = self.lan
        self.face = PacserveFace(
            ForPacserve(
                self.shelf.tools.reactor,
                pacman=self.pacman,
                lan=lan,
                offering=self,
                listed=self.listed,
                keeps=self.private.__contains__,
                holder=self.holder,
                elsewhere=self.elsewhere,
                mirrors=lambda _, __: self.servers,
                nudged=lambda address, port: self.nudged.append((address, port)),
                identity="00112233aabbccdd",
            ),
            Admitting(loopback_names(), Admission()),
            lan_names("nas"),
        )
        self.addCleanup(self.face.close)
        self.browser = Browser(
            self.shelf.tools.reactor, self.face, "10.0.0.9", "10.0.0.1", kept=LARGEST_QUESTION
        )
        self.here = Browser(self.shelf.tools.reactor, self.face, kept=LARGEST_QUESTION)
        self.addCleanup(self.here.close)

    @property
    def inventory(self) -> Any:
        return self.shelf.inventory

    def find(self, name: str) -> Held | None:
        if name not in self.shelf.files:
            return None
        stamp = Stamp(1, len(DATA), 1_700_000_000_999_999_999, 0)
        return Held(name, CONTENT, Path("/cache"), "cache", True, stamp, stamp._replace(size=566))

    def listed(self, name: str, repository: str) -> list[Entry]:
        return [
            one
            for one in self.entries
            if one.file_name == name
            and repository in {"", one.repository}
            and one.repository not in self.private
        ]

    def holder(self, file: FileName, entry: Entry) -> str | None:
        is_there = entry.file_name == ELSEWHERE
        return f"http://10.0.0.7:19432/pkg/{file.text}" if is_there else None

    def elsewhere(self, file: FileName) -> str | None:
        is_there = file.subject == FOREIGN
        return f"http://10.0.0.8:15678/pkg/{file.text}" if is_there else None

    def ask_raw(self, said: bytes, browser: Browser | None = None, **headers: str) -> Exchange:
        fields = {"Content_Type": "application/x-www-form-urlencoded", **headers}
        host = fields.pop("host", "10.0.0.1:15678")
        browser = browser or self.browser
        head = browser.request("/", "POST", host, Content_Length=str(len(said)), **fields)
        exchange = browser.ask_raw(head + said)
        # What was sent in one piece with the head is read in the next turn.
        self.shelf.tools.reactor.pump([0])
        return exchange

    def post(self, browser: Browser | None = None, **said: Any) -> Any:
        answer = self.ask_raw(f"json={quote(json.dumps(said))}".encode(), browser).answer
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["content-type"], "application/json; charset=UTF-8")
        return json.loads(answer.body)

    def assertLed(self, answer: Answer, where: str) -> None:
        self.assertEqual((answer.status, answer.headers["location"]), (303, where))
        self.assertEqual(answer.headers["content-length"], "0")


class Paclans(PacserveCase):
    """What paclans ask: by HEAD who is there, and any path by its last part."""

    def test_the_id_that_the_group_is_told_is_shown(self) -> None:
        answer = self.browser.ask("/", "HEAD", host="10.0.0.1:15678").answer
        self.assertEqual(answer.headers["x-paclan-id"], "00112233aabbccdd")

    def test_what_is_held_is_sent_by_any_path_and_all_else_is_not_here(self) -> None:
        for path in (f"/{NAME}", f"/some/other/path/{NAME}"):
            self.assertEqual(self.get(path).body, DATA)
        for name in (ELSEWHERE, FOREIGN, NOWHERE, "extra.db"):
            self.assertEqual(self.get(f"/{name}").status, 404)


class Questions(PacserveCase):
    def check(self, *paths: str, hops: int = 0) -> Any:
        return self.post(type="file check", paths=list(paths), hops=hops)

    def test_what_is_here_is_found_at_the_root_and_what_is_not_is_left_out(self) -> None:
        paths = [f"pkg/{one}" for one in (NAME, f"{NAME}.sig", NOWHERE, "../x")]
        self.assertEqual(self.check(*paths), {one: one for one in paths[:2]})

    def test_what_another_node_has_is_found_there(self) -> None:
        path = f"pkg/{ELSEWHERE}"
        for hops in (-1, 0, 1, 10**9):
            where = f"http://10.0.0.7:19432/{path}"
            found = self.check(path, f"{path}.sig", f"pkg/{NOWHERE}", hops=hops)
            self.assertEqual(found, {path: where, f"{path}.sig": f"{where}.sig"})
        # Nobody was asked: there is nobody who could be.
        self.assertEqual(self.shelf.tools.agents, {})

    def test_what_another_tools_machine_has_only_with_hops_left(self) -> None:
        path = f"pkg/{FOREIGN}"
        for hops in (-1, 0):
            self.assertEqual(self.check(path, hops=hops), {})
        for hops in (1, 10**9):
            self.assertEqual(self.check(path, hops=hops), {path: f"http://10.0.0.8:15678/{path}"})

    def test_nothing_is_told_of_a_private_repository(self) -> None:
        self.private.add("extra")
        self.assertEqual(self.check(f"pkg/{ELSEWHERE}", f"pkg/{FOREIGN}", hops=1), {})

    def test_many_paths_do_not_hold_the_reactor(self) -> None:
        self.patch(module, "SLICE", 2)
        paths = [f"pkg/{NAME}", f"/pkg/{NAME}", f"pkg/{NAME}.sig", f"/pkg/{NAME}.sig"]
        said = json.dumps({"type": "file check", "hops": 0, "paths": paths})
        data = f"json={quote(said)}".encode()
        head = self.browser.request("/", "POST", "nas", Content_Length=str(len(data)))
        exchange = self.browser.ask_raw(head + data)
        self.assertFalse(exchange.answered)
        self.shelf.tools.reactor.pump([0, 0, 0])
        self.assertEqual(len(json.loads(exchange.answer.body)), 4)

    def ask_slowly(self, asker: Browser, number: int) -> Exchange:
        """Ask where so many files are, each of which takes a millisecond to be looked up."""
        reactor = self.shelf.tools.reactor

        def listed(_: str, __: str) -> list[Entry]:
            reactor.rightNow += 0.001
            return []

        self.face._parts = replace(self.face._parts, listed=listed)
        paths = [f"pkg/a-{at}-1-any.pkg.tar.zst" for at in range(number)]
        said = json.dumps({"type": "file check", "hops": 0, "paths": paths})
        data = f"json={quote(said)}".encode()
        head = asker.request("/", "POST", "nas", Content_Length=str(len(data)))
        return asker.ask_raw(head + data)

    def turn(self) -> None:
        """Let the reactor do what is due by now, and nothing that becomes due by that."""
        reactor = self.shelf.tools.reactor
        for call in [one for one in reactor.calls if one.getTime() <= reactor.seconds()]:
            if call in reactor.calls:
                reactor.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)

    def test_many_who_ask_at_once_do_not_hold_the_reactor_together(self) -> None:
        self.patch(module, "SLICE", 2)
        reactor = self.shelf.tools.reactor
        exchanges = [self.ask_slowly(self.browser, 40) for _ in range(20)]
        longest = 0.0
        while not all(one.answered for one in exchanges):
            began = reactor.rightNow
            self.turn()
            longest = max(longest, reactor.rightNow - began)
        # The site's turn for what is read, and that of what is looked up.
        self.assertLess(longest, 0.015)

    def test_one_who_asks_again_and_again_does_not_keep_another_waiting(self) -> None:
        self.patch(module, "SLICE", 2)
        many = [self.ask_slowly(self.browser, 40) for _ in range(20)]
        face = self.face
        other = Browser(
            self.shelf.tools.reactor, face, "10.0.0.8", "10.0.0.1", kept=LARGEST_QUESTION
        )
        self.addCleanup(other.close)
        asked = self.ask_slowly(other, 40)
        for _ in range(25):
            self.turn()
        self.assertTrue(asked.answered)
        self.assertFalse(any(one.answered for one in many))

    def test_who_leaves_is_looked_up_for_no_longer(self) -> None:
        self.patch(module, "SLICE", 2)
        exchange = self.ask_slowly(self.browser, 40)
        exchange.leave()
        before = self.shelf.tools.reactor.rightNow
        self.shelf.tools.reactor.pump([0] * 5)
        self.assertEqual(self.shelf.tools.reactor.rightNow, before)

    def test_the_listing_has_what_is_held_and_the_signatures(self) -> None:
        exchange = self.ask_raw(b'json={"type":"directory listing","path":"pkg","hops":0}')
        self.shelf.tools.reactor.pump([0] * 3)
        found = json.loads(exchange.answer.body)
        self.assertEqual(found.keys(), {NAME, f"{NAME}.sig"})
        (entry,) = found[NAME]
        self.assertEqual((entry["size"], entry["mtime"]), (len(DATA), 1_700_000_000))
        self.assertEqual(self.get(entry["href"]).body, DATA)

    def test_of_nothing_held_it_is_empty(self) -> None:
        self.shelf.inventory.remove(NAME)
        exchange = self.ask_raw(b'json={"type":"directory listing","path":"pkg","hops":0}')
        self.shelf.tools.reactor.pump([0] * 3)
        self.assertEqual(json.loads(exchange.answer.body), {})

    def test_the_root_has_the_folder_of_packages(self) -> None:
        self.assertEqual(self.post(type="directory listing", path="", hops=0).keys(), {"pkg"})
        self.assertIsNone(self.post(type="directory listing", path="etc", hops=0))

    def test_who_nudges_is_told_on_with_his_own_address(self) -> None:
        self.assertIs(self.post(type="nudge", uri="http://192.168.99.1:15678/"), True)
        self.assertEqual(self.nudged, [("10.0.0.9", 15678)])

    def test_but_not_again_and_again(self) -> None:
        for _ in range(5):
            self.assertIs(self.post(type="nudge", uri="http://x:15678/"), True)
        self.assertEqual(len(self.nudged), 1)
        self.shelf.tools.reactor.advance(NUDGES_APART)
        self.post(type="nudge", uri="http://x:15678/")
        self.assertEqual(len(self.nudged), 2)

    def test_nor_is_who_is_on_this_very_machine(self) -> None:
        self.assertIs(self.post(self.here, type="nudge", uri="http://x:22/"), True)
        self.assertEqual(self.nudged, [])

    def test_what_cannot_be_answered_is_null_and_what_asks_nothing_refused(self) -> None:
        self.assertIsNone(self.post(type="upload"))
        for said in (b"", b"json=", b"json=[]", b"nothing", b"json={}"):
            self.assertRefused(self.ask_raw(said).answer, 400)


class Bodies(PacserveCase):
    def test_one_that_is_too_large_or_of_no_length_ends_the_connection(self) -> None:
        for head in (f"Content-Length: {LARGEST_QUESTION + 1}", "Transfer-Encoding: chunked"):
            request = f"POST / HTTP/1.1\r\nHost: nas\r\n{head}\r\n\r\n"
            exchange = self.browser.ask_raw(request.encode())
            self.assertTrue(exchange.cut)
            self.assertFalse(exchange.answered)
        self.assertEqual(self.browser.site.counters["request body"], 2)

    def test_none_is_taken_for_the_next_request(self) -> None:
        smuggled = b"GET /pkg/" + NAME.encode() + b" HTTP/1.1\r\nHost: nas\r\n\r\n"
        exchange = self.ask_raw(smuggled)
        self.assertRefused(exchange.answer, 400)
        self.assertEqual(self.shelf.opened, [])
        both = (
            b"POST / HTTP/1.1\r\nHost: nas\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
        )
        exchange = self.browser.ask_raw(both + b"\r\n0\r\n\r\n" + smuggled)
        self.assertTrue(exchange.cut)
        self.assertEqual(self.shelf.opened, [])

    def test_the_next_request_on_the_connection_is_answered(self) -> None:
        exchange = self.ask_raw(b"json=1")
        exchange.again(self.browser.request(f"/pkg/{NAME}", host="nas"))
        self.shelf.tools.reactor.pump([0])
        self.assertEqual(exchange.answer.body, DATA)

    def test_half_a_body_is_not_waited_for_for_ever(self) -> None:
        exchange = self.browser.ask_raw(
            b"POST / HTTP/1.1\r\nHost: nas\r\nContent-Length: 50\r\n\r\njson="
        )
        self.shelf.tools.reactor.advance(60)
        self.assertTrue(exchange.cut)


class Files(PacserveCase):
    def get(self, path: str | bytes, **headers: str) -> Answer:
        return self.browser.ask(path, host="10.0.0.1:15678", **headers).answer

    def test_what_is_here_is_sent_as_to_a_peer(self) -> None:
        self.assertEqual(self.get(f"/pkg/{NAME}").body, DATA)
        self.assertEqual(self.get(f"/pkg/{NAME}.sig").body, SIGNATURE)
        self.assertEqual(self.get(f"/pkg/{NAME}", Range="bytes=10-").body, DATA[10:])
        self.assertNotIn("content-encoding", self.get(f"/pkg/{NAME}").headers)

    def test_what_another_node_has_is_to_be_had_there(self) -> None:
        self.assertLed(self.get(f"/pkg/{ELSEWHERE}"), f"http://10.0.0.7:19432/pkg/{ELSEWHERE}")
        self.assertLed(self.get(f"/pkg/{FOREIGN}"), f"http://10.0.0.8:15678/pkg/{FOREIGN}")

    def test_what_nobody_has_is_not_found(self) -> None:
        for name in (NOWHERE, "core.db", "passwd", "", "..", "%2e%2e", "x/y"):
            self.assertRefused(self.get(f"/pkg/{name}"), 404)

    def test_another_machines_pacman_is_given_what_is_held_or_led_as_pacserve_led_it(self) -> None:
        before = "/pacman/extra/x86_64"
        self.assertEqual(self.get(f"{before}/{NAME}").body, DATA)
        self.assertEqual(self.get(f"{before}//{NAME}.sig").body, SIGNATURE)
        self.assertLed(self.get(f"{before}/{ELSEWHERE}"), f"http://10.0.0.7:19432/pkg/{ELSEWHERE}")
        for name in (NOWHERE, "extra.db", "extra.db.sig", "unlisted-1-1-any.pkg.tar.zst"):
            where = f"http://mirror.example/extra/os/x86_64/{name}"
            self.assertLed(self.get(f"{before}/{name}"), where)
        self.assertEqual(self.pacman.asked, [])
        self.assertEqual(self.shelf.relayed, [])

    def test_what_is_held_under_the_name_is_not_sent_for_what_is_listed(self) -> None:
        self.entries[0] = Entry("extra", NAME, "x", "1-1", 7, b"y" * 32)
        where = f"http://mirror.example/extra/os/x86_64/{NAME}"
        self.assertLed(self.get(f"/pacman/extra/x86_64/{NAME}"), where)

    def test_nobody_is_led_by_a_password_or_to_this_machine(self) -> None:
        for server in (
            *("http://mirror.example/key/s3cret/x", "http://mirror.example/x?token=s3cret"),
            *("http://user:secret@mirror.example/x", "http://localhost:9129/x", "http://[::1]/x"),
            *("http://127.0.0.1/x", "http://0.0.0.0/x", "file:///srv", "http://a b/x", "http:///"),
        ):
            self.servers = [server]
            self.assertRefused(self.get("/pacman/extra/x86_64/extra.db"), 404)
        self.servers = ["http://user:secret@mirror.example/x", "https://second.example/x"]
        self.assertLed(
            self.get("/pacman/extra/x86_64/extra.db"), "https://second.example/x/extra.db"
        )

    def test_a_private_repository_is_not_found(self) -> None:
        self.private.add("extra")
        for name in (NAME, ELSEWHERE, "extra.db"):
            self.assertRefused(self.get(f"/pacman/extra/x86_64/{name}"), 404)

    def test_nodes_that_have_each_other_for_mirrors_are_led_nowhere(self) -> None:
        path = f"/pacman/extra/x86_64/{NOWHERE}"
        self.assertRefused(self.get(path, **{LOOP_HEADER: "another's"}), 404)
        self.assertRefused(self.get(path, **{LOOP_HEADER: loop_mark()}), LOOP_DETECTED)

    def test_this_machines_pacman_is_given_what_its_own_face_gives(self) -> None:
        for name in (NOWHERE, "extra.db", f"{NAME}.sig"):
            answer = self.here.get(f"/pacman/extra/x86_64/{name}", host="localhost:15678")
            self.assertEqual(answer.body, b"for pacman")
        self.assertEqual(
            [(one.repository, one.architecture, one.file.text) for one in self.pacman.asked],
            [("extra", "x86_64", name) for name in (NOWHERE, "extra.db", f"{NAME}.sig")],
        )

    def test_but_not_by_a_name_that_the_lan_gives(self) -> None:
        self.here.get("/pacman/extra/x86_64/extra.db", host="nas.lan")
        self.assertEqual(self.pacman.asked, [])

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.sampled_from((NAME, "pkg", "pacman", "extra", "x86_64", "/", "..", "%2f", "%00"))
            | st.sampled_from((".sig", "%", "\\", "extra.db", "%0d%0aX:y", "?x", "//evil")),
            max_size=8,
        ).map("".join)
    )
    def test_whatever_the_path_there_is_an_answer(self, path: str) -> None:
        found = self.get("/" + path)
        self.assertIn(found.status, {200, 303, 404})
        self.assertNotIn("x", found.headers)
        if found.status == 303:
            where = found.headers["location"]
            self.assertTrue(where.startswith(("http://10.0.0.7:19432/", "http://mirror.example/")))


class Visitors(PacserveCase):
    def test_pages_of_other_sites_have_nothing_here(self) -> None:
        said = b"json=" + quote('{"type":"nudge","uri":"http://x:22/"}').encode()
        for headers in (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Referer": "http://evil.example/"},
            {"Sec_Fetch_Site": "cross-site"},
            {"User_Agent": FIREFOX},
        ):
            for browser in (self.browser, self.here):
                self.assertRefused(self.ask_raw(said, browser, **headers).answer, 403)
                answer = browser.ask(f"/pkg/{NAME}", host="127.0.0.1", **headers).answer
                self.assertRefused(answer, 403)
        self.assertEqual((self.nudged, self.shelf.opened), ([], []))

    def test_nor_has_a_name_that_a_page_made_mean_this_machine(self) -> None:
        for host in ("evil.example", "evil.example:15678", "nas.evil.example"):
            self.assertRefused(self.ask_raw(b"json=1", host=host).answer, 403)
            self.assertRefused(self.browser.ask(f"/pkg/{NAME}", host=host).answer, 403)

    def test_a_browser_reads_what_this_is(self) -> None:
        found = self.get("/", User_Agent=FIREFOX)
        self.assertEqual(found.status, 200)
        self.assertIn(b"in the place of pacserve", found.body)

    def test_other_methods_are_refused(self) -> None:
        for method, path in (("PUT", "/"), ("DELETE", "/"), ("POST", f"/pkg/{NAME}")):
            answer = self.browser.ask(path, method).answer
            self.assertRefused(answer, 405)
            self.assertTrue(answer.headers["allow"].startswith("GET, HEAD"))


class Nudging(LanTestCase):
    def test_addresses_are_remembered_within_bounds(self) -> None:
        self.patch(module, "MOST_NUDGING", 3)
        nudges = Nudges()
        self.assertEqual([nudges.heeds(str(at), 0.0) for at in range(4)], [True] * 3 + [False])
        self.assertTrue(nudges.heeds("3", NUDGES_APART))
        self.assertFalse(nudges.heeds("3", NUDGES_APART + 1))

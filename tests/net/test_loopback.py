"""The face pacman uses: whom it answers, with what, and what it never does to pacman."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any

from twisted.internet import error
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from flocon.core.attempts import Attempt, Limits
from flocon.core.content import Content
from flocon.core.entries import Entry
from flocon.core.names import Asked
from flocon.core.patience import PACMAN
from flocon.core.recent import LONGEST_TEXT, Recent
from flocon.core.release import LAST_RESORT, MIRROR_HOLD, TRICKLE_STEP
from flocon.core.sources import Origin, Source
from flocon.core.subjects import Subject
from flocon.core.traffic import Traffic
from flocon.core.visitors import Admission, loopback_names
from flocon.errors import StoreError
from flocon.net import loopback as module
from flocon.net.answering import ForPacman, Found
from flocon.net.heads import Told
from flocon.net.loopback import Loopback
from flocon.net.mirrors import LOOP_HEADER, LOOP_MARK
from flocon.net.transfer import Transfer
from flocon.net.transfers import Transfers
from tests.net.fakes import FakeTools, Request
from tests.net.web import Answer, Browser, OpenedBytes

NAME = "gtk++-1:2.0-1-x86_64.pkg.tar.zst"
PATH = f"/extra/os/x86_64/{NAME}"
DB = "/core/os/x86_64/core.db"
DATA = bytes(range(256)) * 40
WRONG = DATA[:-1] + b"\x00"
CONTENT = Content(len(DATA), hashlib.sha256(DATA).digest())
SIGNATURE = b"a signature"
THEN = "Tue, 14 Nov 2023 22:13:20 GMT"
PEER = Source(Origin.PEER, "p", "10.0.0.7", f"http://10.0.0.7/pkg/{NAME}")
MIRROR_A, MIRROR_B = (Source(Origin.MIRROR, key, key, f"http://{key}/x") for key in "mn")


class HeldFile:
    origin = "cache"
    content = CONTENT


class FakeDesk:
    """Decides what the test says, and brings files by real transfers."""

    def __init__(self) -> None:
        self.traffic = Traffic()
        self.tools = FakeTools()
        self.reactor: Any = self.tools.reactor
        self.transfers = Transfers(self.tools, sign=self.sign, publish=self.publish)
        self.listed: set[str] = {NAME}
        self.here: dict[str, HeldFile] = {}
        self.opened: list[OpenedBytes] = []
        self.gone = False
        self.settling: Deferred[None] | None = None
        self.sources: tuple[Source, ...] = (MIRROR_A, MIRROR_B)
        self.starts: list[int] = []
        #: What the database says, and where pacman is sent, once it is known.
        self.embedded: bytes | None = None
        self.redirects = False
        self.holder: Deferred[Source | None] = succeed(None)
        self.signs: list[Deferred[bytes | None]] = []
        self.unsigned = False
        #: Repositories with servers that only pacman can ask.
        self.others: set[str] = set()
        self.asked_for: list[str] = []
        #: What mirrors were asked without wanting it, and what they say.
        self.heads: list[tuple[str, str | None]] = []
        self.telling: Deferred[Told] = Deferred()

    def sign(self, _: Transfer) -> Deferred[bytes | None]:
        self.signs.append(Deferred())
        return self.signs[-1]

    def publish(self, _: Transfer, __: bytes | None) -> Deferred[bool]:
        return succeed(True)

    def chooser(self, *sources: Source) -> Callable[[Sequence[Attempt]], Attempt | None]:
        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            left = sources[len(tried) :]
            return Attempt(left[0], Limits(60.0, 60.0)) if left else None

        return choose

    def entry(self, asked: Asked) -> Entry | None:
        if asked.file.subject not in self.listed:
            return None
        content = CONTENT.size, CONTENT.sha256
        return Entry("extra", NAME, "gtk++", "1:2.0-1", *content, self.embedded)

    def parts(self) -> ForPacman:
        """Return it as the face is given it."""
        packages: Any = SimpleNamespace(transfer=self.package)
        from_mirrors: Any = SimpleNamespace(transfer=self.from_mirrors, told=self.told)
        # Asked for anew each time: a test may have it replaced.
        databases: Any = SimpleNamespace(transfer=lambda *asked: self.database(*asked))  # noqa: PLW0108
        anything: Any = self
        return ForPacman(
            self.reactor,
            traffic=self.traffic,
            listed=self,
            offering=anything,
            opening=self,
            packages=packages,
            redirecting=self,
            transfers=self.transfers,
            signatures=self,
            databases=databases,
            from_mirrors=from_mirrors,
            status=self.status,
        )

    def wanted(self) -> bool:
        return self.redirects

    def elsewhere(self, _: Entry) -> Deferred[Source | None]:
        return self.holder

    def settled(self) -> Deferred[None]:
        return self.settling or succeed(None)

    def find(self, file_name: str) -> HeldFile | None:
        return self.here.get(file_name)

    async def open(self, held: Found, *, signature: bool = False, own: bool = True) -> OpenedBytes:
        if self.gone:
            raise StoreError("/cache", "is gone")
        self.opened.append(OpenedBytes(SIGNATURE if signature else DATA))
        return self.opened[-1]

    def has_others(self, repository: str) -> bool:
        return repository in self.others

    def package(self, asked: Asked, entry: Entry | None, start: int) -> Transfer:
        self.starts.append(start)
        choose = self.chooser(*self.sources)
        if entry is None:
            return self.transfers.alone(Subject(asked.file.text), choose)
        return self.transfers.join(Subject(asked.file.text, entry.content), choose)

    def arrived(self, file_name: str) -> None:
        self.asked_for.append(file_name)

    def is_unsigned(self, entry: Entry) -> bool:
        return self.unsigned

    def from_mirrors(self, asked: Asked, modified_since: str | None) -> Transfer:
        subject = Subject(asked.file.text, modified_since=modified_since)
        return self.transfers.alone(subject, self.chooser(*self.sources))

    def database(self, asked: Asked, modified_since: str | None) -> Deferred[Transfer | bytes]:
        return succeed(self.from_mirrors(asked, modified_since))

    def told(self, asked: Asked, modified_since: str | None) -> Deferred[Told]:
        self.heads.append((asked.file.text, modified_since))
        return self.telling

    def status(self) -> dict[str, Any]:
        return {"peers": []}


class LoopbackTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.desk = FakeDesk()
        self.clock = self.desk.reactor
        self.recent = Recent()
        self.face = Loopback(self.desk.parts(), recent=self.recent)
        self.browser = Browser(self.clock, self.face)
        self.addCleanup(self.finish)

    def finish(self) -> None:
        self.browser.close()
        self.desk.transfers.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        files: list[Any] = [*self.desk.opened, *self.desk.tools.files]
        self.assertEqual([file.closed for file in files], [1] * len(files))

    def get(self, path: str | bytes, **headers: str) -> Answer:
        return self.browser.get(path, **headers)

    def asked(self, source: Source) -> Request:
        last: Request = self.desk.tools.agent(source).last
        return last

    def assertRefused(self, answer: Answer, status: int) -> None:
        self.assertEqual(answer.status, status)
        self.assertEqual((answer.headers["content-length"], answer.body), ("0", b""))


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
            answer = self.get(path, **{LOOP_HEADER: LOOP_MARK})
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


class Heads(LoopbackTestCase):
    """Nobody wants the bytes: what the database says is told, else what a mirror says."""

    def head(self, path: str, **headers: str) -> Answer:
        exchange = self.browser.ask(path, "HEAD", **headers)
        self.assertEqual((list(self.desk.transfers), self.desk.tools.agents), ([], {}))
        return exchange.answer

    def tell(self, status: int, **fields: str) -> None:
        pairs = tuple((name.replace("_", "-"), value) for name, value in fields.items())
        self.desk.telling.callback(Told(status, MIRROR_A if status < 400 else None, pairs))

    def test_of_a_listed_package_the_database_tells(self) -> None:
        for path in (PATH, f"/{NAME}"):
            found = self.head(path, Range="bytes=5-")
            self.assertEqual((found.status, found.body), (200, b""))
            self.assertEqual(found.headers["content-length"], str(len(DATA)))
            self.assertEqual(found.headers["etag"], f'"{CONTENT.sha256.hex()}"')
            self.assertIn("repr-digest", found.headers)
            self.assertEqual(found.headers["flocon-source"], "database")
        self.assertEqual(self.desk.heads, [])

    def test_of_a_held_one_it_is_what_a_get_says(self) -> None:
        self.desk.here[NAME] = HeldFile()
        got, found = self.get(PATH), self.head(PATH)
        self.assertEqual((found.headers, found.body), (got.headers, b""))

    def test_of_one_that_is_coming_the_mirrors_date_is_told_and_nobody_joins(self) -> None:
        exchange = self.browser.ask(PATH)
        response = self.asked(MIRROR_A).head(len(DATA), Last_Modified=THEN)
        response.send(DATA[:10])
        found = self.browser.ask(PATH, "HEAD").answer
        self.assertEqual(found.headers["last-modified"], THEN)
        response.send(DATA[10:])
        response.end()
        self.assertEqual(exchange.answer.body, DATA)
        self.assertEqual(len(self.desk.tools.agent(MIRROR_A).requests), 1)

    def test_of_a_signature_in_the_database_its_length(self) -> None:
        self.desk.embedded = SIGNATURE
        found = self.head(PATH + ".sig")
        self.assertEqual(found.headers["content-length"], str(len(SIGNATURE)))

    def test_of_anything_else_a_mirror_tells(self) -> None:
        self.desk.listed.clear()
        for path in (PATH, f"{PATH}.sig", DB, f"{DB}.sig"):
            self.desk.telling = Deferred()
            exchange = self.browser.ask(path, "HEAD", If_Modified_Since=THEN)
            self.assertFalse(exchange.answered)
            self.tell(200, Content_Length="7", Last_Modified=THEN)
            found = exchange.answer
            self.assertEqual((found.status, found.headers["content-length"]), (200, "7"))
            self.assertEqual(found.headers["last-modified"], THEN)
            self.assertEqual(self.desk.heads[-1], (path.rpartition("/")[2], THEN))
        self.assertEqual(self.desk.tools.agents, {})

    def test_what_has_not_changed_and_what_is_nowhere(self) -> None:
        for status in (304, 404, 503):
            self.desk.telling = Deferred()
            exchange = self.browser.ask(DB, "HEAD")
            self.tell(status)
            self.assertEqual((exchange.answer.status, exchange.answer.body), (status, b""))

    def test_it_is_remembered_as_a_request(self) -> None:
        self.head(PATH)
        (one,) = self.recent
        self.assertEqual((one.status, one.source, one.bytes), (200, "database", 0))


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


class Signatures(LoopbackTestCase):
    def test_one_that_the_database_has_is_given_at_once(self) -> None:
        self.desk.embedded = SIGNATURE
        found = self.get(PATH + ".sig")
        self.assertEqual((found.status, found.body), (200, SIGNATURE))
        self.assertEqual(found.headers["flocon-source"], "database")

    def fetched(self) -> None:
        self.browser.ask(PATH)
        self.asked(MIRROR_A).whole(DATA)

    def test_it_is_there_when_pacman_asks_for_it(self) -> None:
        self.fetched()
        self.desk.signs[0].callback(SIGNATURE)
        found = self.get(PATH + ".sig")
        self.assertEqual((found.status, found.body), (200, SIGNATURE))
        self.assertEqual(found.headers["flocon-source"], "mirror m")

    def test_it_is_waited_for(self) -> None:
        self.fetched()
        exchange = self.browser.ask(PATH + ".sig")
        self.assertFalse(exchange.answered)
        self.desk.signs[0].callback(SIGNATURE)
        self.assertEqual(exchange.answer.body, SIGNATURE)

    def test_where_there_is_none_the_mirrors_are_asked(self) -> None:
        self.fetched()
        self.desk.signs[0].callback(None)
        exchange = self.browser.ask(PATH + ".sig")
        self.asked(MIRROR_A).whole(b"theirs")
        self.assertEqual(exchange.answer.body, b"theirs")

    def test_mirrors_that_have_just_said_that_there_is_none_are_not_asked_again(self) -> None:
        self.fetched()
        self.desk.signs[0].callback(None)
        self.desk.unsigned = True
        before = len(self.desk.tools.agent(MIRROR_A).requests)
        self.assertRefused(self.get(PATH + ".sig"), 404)
        self.assertEqual(len(self.desk.tools.agent(MIRROR_A).requests), before)

    def test_that_of_another_content_is_not_given(self) -> None:
        other = Content(3, hashlib.sha256(b"abc").digest())
        self.desk.transfers.join(Subject(NAME, other), self.desk.chooser(MIRROR_A))
        self.asked(MIRROR_A).whole(b"abc")
        self.desk.signs[0].callback(b"of another")
        exchange = self.browser.ask(PATH + ".sig")
        self.asked(MIRROR_A).whole(b"theirs")
        self.assertEqual(exchange.answer.body, b"theirs")

    def test_one_never_heard_of_is_asked_of_the_mirrors(self) -> None:
        exchange = self.browser.ask(PATH + ".sig")
        self.asked(MIRROR_A).answer(404)
        self.asked(MIRROR_B).answer(404)
        self.assertRefused(exchange.answer, 404)


class Databases(LoopbackTestCase):
    def test_it_is_relayed_as_it_comes_with_its_date(self) -> None:
        exchange = self.browser.ask(DB)
        self.asked(MIRROR_A).head(len(DATA), Last_Modified=THEN).send(DATA[:10])
        self.clock.advance(MIRROR_HOLD)
        self.assertEqual(exchange.answer.body, DATA[:10])
        self.assertEqual(exchange.answer.headers["last-modified"], THEN)

    def test_one_without_a_length_goes_as_it_comes_and_ends_when_it_does(self) -> None:
        exchange = self.browser.ask(DB)
        response = self.asked(MIRROR_A).answer(200, Last_Modified=THEN)
        response.send(DATA[:10])
        self.clock.advance(MIRROR_HOLD)
        found = exchange.answer
        self.assertEqual((found.status, found.headers["transfer-encoding"]), (200, "chunked"))
        self.assertNotIn("content-length", found.headers)
        self.assertEqual(found.body, b"a\r\n" + DATA[:10] + b"\r\n")
        response.send(DATA[10:30])
        response.end()
        self.assertTrue(exchange.answer.body.endswith(b"14\r\n" + DATA[10:30] + b"\r\n0\r\n\r\n"))

    def test_one_without_a_length_that_breaks_off_does_not_look_whole(self) -> None:
        self.desk.sources = (MIRROR_A,)
        exchange = self.browser.ask(DB)
        response = self.asked(MIRROR_A).answer(200)
        response.send(DATA[:10])
        self.clock.advance(MIRROR_HOLD)
        response.break_off()
        self.assertTrue(exchange.cut)
        self.assertFalse(exchange.answer.body.endswith(b"0\r\n\r\n"))

    def test_an_error_is_not_answered_where_pacman_has_a_local_server_left(self) -> None:
        """It would take that one's unchanged database for failed."""
        self.desk.others.add("core")
        for status in (404, 503):
            for path in (DB, "/core/os/x86_64/core.files"):
                exchange = self.browser.ask(path)
                self.asked(MIRROR_A).answer(status)
                self.asked(MIRROR_B).answer(status)
                self.assertEqual(exchange.raw, b"")
                self.assertTrue(exchange.cut)
        for path in (DB + ".sig", PATH, DB.replace("core", "extra")):
            exchange = self.browser.ask(path)
            self.asked(MIRROR_A).answer(404)
            self.asked(MIRROR_B).answer(404)
            self.assertRefused(exchange.answer, 404)

    def test_every_path_of_a_mirror_is_relayed(self) -> None:
        for path in (
            *("/core/os/x86_64/core.db.tar.gz", "//core/os/x86_64/core.files.tar.gz.sig"),
            *("/lastupdate", "/lastsync"),
        ):
            exchange = self.browser.ask(path)
            self.asked(MIRROR_A).whole(DATA, Last_Modified=THEN)
            self.assertEqual((exchange.answer.status, exchange.answer.body), (200, DATA), path)
            self.assertEqual(exchange.answer.headers["last-modified"], THEN)

    def test_nothing_new_is_a_304_as_the_mirror_said_it(self) -> None:
        exchange = self.browser.ask(DB, If_Modified_Since=THEN)
        self.assertEqual(self.asked(MIRROR_A).header("If-Modified-Since"), THEN)
        self.asked(MIRROR_A).answer(304, Last_Modified=THEN)
        found = exchange.answer
        self.assertEqual((found.status, found.body), (304, b""))
        self.assertEqual(found.headers["last-modified"], THEN)

    def test_a_date_to_come_is_told_to_nobody(self) -> None:
        """It would keep every mirror's database from pacman until then."""
        for source in (MIRROR_A, PEER):
            self.desk.sources = (source,)
            for tomorrow in ("Tue, 19 Jan 2038 03:14:07 GMT", "not a date"):
                exchange = self.browser.ask(DB)
                self.asked(source).whole(DATA, Last_Modified=tomorrow)
                found = exchange.answer
                self.assertEqual((found.status, found.body), (200, DATA))
                self.assertNotIn("last-modified", found.headers)

    def test_a_signature_that_is_known_already_is_given(self) -> None:
        self.patch(self.desk, "database", lambda *_: succeed(SIGNATURE))
        found = self.get(DB + ".sig")
        self.assertEqual((found.status, found.body), (200, SIGNATURE))

    def absent(self, path: str) -> None:
        exchange = self.browser.ask(path)
        self.asked(MIRROR_A).answer(404)
        self.asked(MIRROR_B).answer(404)
        self.assertRefused(exchange.answer, 404)

    def requests(self) -> int:
        return len(self.desk.tools.agent(MIRROR_A).requests)

    def test_a_missing_signature_is_remembered(self) -> None:
        self.absent(DB + ".sig")
        before = self.requests()
        self.assertRefused(self.get(DB + ".sig"), 404)
        self.assertEqual(self.requests(), before)

    def test_it_is_asked_for_again_beside_a_new_database(self) -> None:
        self.absent(DB + ".sig")
        exchange = self.browser.ask(DB)
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(exchange.answer.body, DATA)
        before = self.requests()
        exchange = self.browser.ask(DB + ".sig")
        self.assertEqual(self.requests(), before + 1)
        self.asked(MIRROR_A).whole(SIGNATURE)
        self.assertEqual(exchange.answer.body, SIGNATURE)

    def test_it_is_not_asked_for_again_where_nothing_is_new(self) -> None:
        self.absent(DB + ".sig")
        self.browser.ask(DB, If_Modified_Since=THEN)
        self.asked(MIRROR_A).answer(304)
        before = self.requests()
        self.assertRefused(self.get(DB + ".sig"), 404)
        self.assertEqual(self.requests(), before)

    def test_it_may_be_there_for_another_architecture(self) -> None:
        self.absent(DB + ".sig")
        exchange = self.browser.ask("/core/os/aarch64/core.db.sig")
        self.asked(MIRROR_A).whole(SIGNATURE)
        self.assertEqual(exchange.answer.body, SIGNATURE)

    def test_a_missing_database_is_not_remembered(self) -> None:
        self.absent(DB)
        before = self.requests()
        self.browser.ask(DB)
        self.assertEqual(self.requests(), before + 1)

    def test_a_signature_that_could_not_be_asked_for_is_not_remembered(self) -> None:
        exchange = self.browser.ask(DB + ".sig")
        self.asked(MIRROR_A).answer(404)
        self.asked(MIRROR_B).fail(error.ConnectionRefusedError())
        self.assertRefused(exchange.answer, 503)
        before = self.requests()
        self.browser.ask(DB + ".sig")
        self.assertEqual(self.requests(), before + 1)

    def test_no_more_are_remembered_than_there_can_be(self) -> None:
        self.patch(module, "MOST_ABSENT", 2)
        for repository in ("a", "b", "c"):
            self.absent(f"/{repository}/os/any/{repository}.db.sig")
        self.assertEqual(len(self.face._absent), 2)

"""The status page and ``/metrics``: what they show, what they never let through."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY
from twisted.internet.threads import deferToThreadPool
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request

from flocon.answering.respond import refuse, respond
from flocon.books.figures import Figures, Spans
from flocon.books.units import plain
from flocon.builds import sayings
from flocon.faces import page as module
from flocon.faces.page import MOST_ROWS, POLICY, Pages, chart
from flocon.mirrors import telling
from flocon.operator.status import _figures_of, _figures_of_parent
from tests.builds.told import NOW, builds, own, watched
from tests.faces.web import Browser
from tests.fakes import FakeReactor
from tests.mirrors.told import clearing, clients, told

HOSTILE = "<img src=//evil.example onerror=alert(1)>\"'&\u202e\x1b[31m"
_COUNTS = ("bytes", "files", "missing", "failures", "wrong", "sent_elsewhere")
DASHBOARD = Path(__file__).parents[2] / "packaging" / "grafana.json"


def peer(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "node": f"{number:016x}",
        "name": f"peer-{number}",
        "address": f"10.0.0.{number}",
        "port": 19432,
        "architectures": ["x86_64"],
        "files": 100 * number,
        "files_known": 100 * number,
        "taken_bytes": number << 20,
        "last_heard_seconds": 3.0,
        "state": "good",
        "quarantine": None,
        **changed,
    }


def day(
    number: int, lan: int = 0, wan: int = 0, saved: float = 0.0, owner: int = 0
) -> dict[str, Any]:
    return {
        "day": f"2026-11-{number:02d}",
        "lan_bytes": lan,
        "wan_bytes": wan,
        "owner_bytes": owner,
        "seconds_saved": saved,
    }


def savings(days: list[dict[str, Any]], **changed: Any) -> dict[str, Any]:
    return {"wan_bytes_per_second": 0, "since": "2026-11-01", "days": days, **changed}


def moving(**changed: Any) -> dict[str, Any]:
    one = {"bytes_per_second": 0, "seconds_left": None, "source": "peer 10.0.0.7", "whence": "ada"}
    return {"file": "a.pkg.tar.zst", "bytes": 25, "size": 100, **one, **changed}


def status(**changed: Any) -> dict[str, Any]:
    return {
        "version": "1.2.3",
        "node": "a" * 16,
        "name": "lab",
        "uptime_seconds": 4_000.0,
        "peers": [],
        "inventory": {"files": 12, "bytes": 3 << 20, "generation": 4},
        "traffic": {
            "to_peers_bytes": 5 << 20,
            "for_peers_bytes": 0,
            "to_pacman_bytes": 0,
            "ready_ahead_bytes": 0,
        },
        "ahead": {"text": ""},
        "store": {"bytes": 1 << 30, "max_size": 4 << 30, "problem": ""},
        "takers": [],
        "takers_others_bytes": 0,
        "lan": {"nodes": 3, "saved_bytes": 7 << 30, "crossed_bytes": 2 << 30},
        "health": {"looked_seconds_ago": 30.0, "findings": []},
        "quarantine": [],
        "moving": [],
        "savings": savings([day(one) for one in range(1, 31)]),
        "receipts": [],
        "recent": [],
        "mirror": None,
        "builds": None,
        "own": [],
        "parents": [],
        "foreign": [],
        "sites": [],
        "standins": [],
        "adopted": [],
        "silent": [],
        **changed,
    }


RECEIPT = {
    "time": "2026-11-30 12:00",
    "packages": 7,
    "lan_bytes": 3 << 20,
    "wan_bytes": 0,
    "owner_bytes": 0,
    "held_bytes": 0,
    "ahead_bytes": 2 << 20,
    "seconds_saved": 62.0,
    "text": "7 packages",
}


def figures(**changed: Any) -> Figures:
    values: dict[str, Any] = {
        "version": "1.2.3",
        "uptime_seconds": 60.0,
        "requests": {("package", "peer", "sent"): 3},
        "bytes": {"from_peers": 10, "to_pacman": 20},
        "transfers": 2,
        "peers": {"good": 4, "failing": 1, "quarantine": 0},
        "quarantined": 1,
        "files": 12,
        "files_bytes": 3 << 20,
        "longest_hold_seconds": 0.02,
        "long_holds": 0,
        "dropped_datagrams": {"rate": 7},
        "lan_answers": {"files": 9},
        "lan_refusals": {"refused 404": 2},
        "ahead_bytes": {"used": 5, "unused": 6},
        "ahead_waiting_bytes": 7,
        "upgrade_packages": {"wanted": 25, "ready": 23},
        "upgrade_bytes": {"wanted": 9, "ready": 8},
        "seconds_saved": 90.5,
        "wan_bytes_per_second": 1e6,
        "look_up_seconds": Spans((0.001, 0.01)),
        "transfer_seconds": {"peer": Spans((1.0,)), "mirror": Spans((1.0,))},
    }
    return Figures(**{**values, **changed})


class Elements(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


class Face:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def render(self, request: Request) -> None:
        respond(request, self._answer(request))

    async def _answer(self, request: Request) -> None:
        if not await self._pages.answer(request):
            refuse(request, 404)


class PageTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.status = status()
        self.figures = figures()
        self.found: dict[str, Any] | None = None
        self.searches: list[Mapping[str, str]] = []
        self.lists: list[Mapping[str, str]] = []
        clock = FakeReactor()
        pages = Pages(
            clock,
            describe=lambda: self.status,
            search=self.search,
            listing=self.listing,
            figures=lambda: self.figures,
        )
        self.browser = Browser(clock, Face(pages))
        self.addCleanup(self.browser.close)

    async def search(self, fields: Mapping[str, str]) -> dict[str, Any] | None:
        self.searches.append(fields)
        return self.found

    async def listing(self, fields: Mapping[str, str]) -> dict[str, Any] | None:
        self.lists.append(fields)
        return self.found

    def page(self, query: str = "") -> Elements:
        answer = self.browser.get(f"/{query}")
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.whole)
        return Elements(answer.body)


class ThePage(PageTestCase):
    def test_tells_of_this_node(self) -> None:
        text = self.page().text
        for words in ("lab", "1.2.3", "3.0 MiB", "1 h 6 min", "5.0 MiB"):
            self.assertIn(words, text)

    def test_tells_of_each_peer_and_why_one_is_not_asked(self) -> None:
        bad = peer(2, state="quarantine", quarantine="wrong bytes for zlib")
        self.status["peers"] = [peer(1), bad]
        page = self.page()
        self.assertEqual(next(row["id"] for row in page.all("tr") if "id" in row), f"peer-{2:016x}")
        for words in ("peer-1", "10.0.0.2", "wrong bytes for zlib"):
            self.assertIn(words, page.text)

    def test_tells_what_each_peer_took_and_who_else_did(self) -> None:
        self.status["peers"] = [peer(3)]
        self.status["takers"] = [
            {"address": "10.0.0.3", "name": "peer-3", "peer": True, "bytes": 3 << 20},
            {"address": "10.0.0.77", "name": "", "peer": False, "bytes": 2 << 20},
        ]
        page = self.page()
        self.assertIn("3.0 MiB", page.text[page.text.index("peer-3") :])
        self.assertIn("are none of these: 10.0.0.77 2.0 MiB.", page.text)

    def test_has_so_many_rows_and_says_how_many_are_left_out(self) -> None:
        self.status["peers"] = [peer(one) for one in range(MOST_ROWS + 7)]
        page = self.page()
        self.assertEqual(sum("id" in row for row in page.all("tr")), MOST_ROWS)
        self.assertIn("And 7 more", page.text)

    def test_says_what_to_do_without_peers(self) -> None:
        self.assertIn("start flocon on another machine", self.page().text)

    def test_shows_how_far_each_transfer_is(self) -> None:
        self.status["moving"] = [
            moving(bytes_per_second=2048, seconds_left=75.0),
            moving(bytes=0, size=None, source=""),
        ]
        page = self.page()
        known, unknown = page.all("progress")[1:]
        self.assertEqual((known["value"], known["max"]), ("25", "100"))
        self.assertNotIn("value", unknown)
        for words in ("25 %, 2.0 KiB/s, 1 min 15 s left", "from ada", "looking for a source"):
            self.assertIn(words, page.text)

    def test_tells_recent_requests_with_their_sources(self) -> None:
        one = {"file": "a.pkg.tar.zst", "bytes": 9, "seconds": 0.5, "time": "12:00:00"}
        tried = [{"source": "peer x", "failure": "gone"}]
        self.status["recent"] = [
            {
                **one,
                "status": 200,
                "source": "mirror m",
                "whence": "mirror m.example",
                "tried": tried,
            },
            {**one, "status": 404, "source": "", "whence": "", "tried": []},
        ]
        text = self.page().text
        for words in ("mirror m.example", "after 1 other", "404", "12:00:00"):
            self.assertIn(words, text)

    def test_the_chart_says_in_words_what_it_draws(self) -> None:
        days = [day(one) for one in range(1, 30)] + [day(30, 3 << 20, 1 << 20, 61.0)]
        self.status["savings"] = savings(days, wan_bytes_per_second=1 << 20)
        page = self.page()
        drawn = [
            one for one in page.all("rect") if one["class"] == "lan" and one["height"] != "0.0"
        ]
        self.assertEqual([one["height"] for one in drawn], ["75.0"])
        self.assertIn(
            "2026-11-30: 3.0 MiB from the LAN, 1.0 MiB from the WAN, 1 min 1 s", page.text
        )
        self.assertIn("75 %", page.text)

    def test_says_first_how_the_node_is_and_what_mends_it(self) -> None:
        self.assertIn("All is well", self.page().text)
        finding = {"verdict": "wrong", "check": "port", "reason": "it is shut", "remedy": "open it"}
        for findings, words in (
            ([finding], "1 thing wrong"),
            ([finding, finding], "2 things wrong"),
            ([{**finding, "verdict": "warning"}], "Well, but for 1 warning"),
        ):
            self.status["health"] = {"looked_seconds_ago": 75.0, "findings": findings}
            text = self.page().text
            for word in (words, "it is shut", "open it", "1 min 15 s ago"):
                self.assertIn(word, text)
        self.status["health"] = {"looked_seconds_ago": None, "findings": []}
        self.assertIn("Looking how it is", self.page().text)

    def test_has_a_row_for_each_transaction(self) -> None:
        self.status["receipts"] = [RECEIPT, {**RECEIPT, "packages": 5}]
        text = self.page().text
        for words in ("2026-11-30 12:00", "3.0 MiB", "2.0 MiB ready ahead", "1 min 2 s"):
            self.assertIn(words, text)

    def test_time_that_was_not_saved_or_cannot_be_known_is_not_told(self) -> None:
        self.status["savings"] = savings([day(30, 5 << 20)])
        self.status["receipts"] = [{**RECEIPT, "seconds_saved": 0.0}]
        page = self.page()
        self.assertIn("came from the LAN", page.text)
        self.assertNotIn(" 0 s", page.text)
        self.assertNotIn(" saved at", page.text)

    def test_one_package_is_not_called_packages(self) -> None:
        self.status["inventory"]["files"] = 1
        self.assertIn("1 package, ", self.page().text)

    def test_shows_the_store_as_a_bar_and_the_lan_as_a_whole(self) -> None:
        page = self.page()
        [bar] = [one for one in page.all("progress") if one["aria-label"] == "Store"]
        self.assertEqual((bar["value"], bar["max"]), (str(1 << 30), str(4 << 30)))
        self.assertIn("1.0 GiB of 4.0 GiB", page.text)
        self.status["store"]["problem"] = "/s/lock: Permission denied"
        self.assertIn("keeps nothing: /s/lock: Permission denied", self.page().text)
        self.status["savings"] = savings([day(30, 1)])
        self.assertIn("as 3 nodes tell: 7.0 GiB saved, 2.0 GiB", self.page().text)

    def test_shows_what_is_ready_for_the_next_upgrade(self) -> None:
        self.assertNotIn("Next upgrade", self.page().text)
        words = "23 of 25 packages ready for the next upgrade, 312.0 MiB; 2 only at mirrors"
        counts = {"wanted_bytes": 100, "ready_bytes": 70, "arrived_bytes": 5}
        self.status["ahead"] = {"text": words, **counts}
        page = self.page()
        [bar] = [one for one in page.all("progress") if "upgrade" in (one["aria-label"] or "")]
        self.assertEqual((bar["value"], bar["max"]), ("75", "100"))
        self.assertIn(words, page.text)

    def test_tells_what_is_built_and_what_to_type_for_what_waits(self) -> None:
        self.status = status(
            builds=builds(
                watched("done", "published", version="1.0-1"),
                watched(reasons=[f"reason {number}" for number in range(6)]),
                watched("bad", "failed", published=None),
                running={"base": "new", "job": "1", "step": "fetch", "since": NOW},
                problem="no signer answers",
            )
        )
        page = self.page()
        for words in (
            *("1 waits for a person", "flocon build approve NAME", "flocon build web", "reason 3"),
            *("and 2 more", "no signer answers", "failed", "new: fetch"),
        ):
            self.assertIn(words, page.text)
        self.assertNotIn("reason 4", page.text)
        self.assertLess(page.text.index("paru"), page.text.index("done"))
        self.assertEqual([one for one in page.all("form") if one.get("method") == "post"], [])

    def test_tells_of_own_repositories(self) -> None:
        self.status = status(own=[own(), own("other", signed=0, problem="nobody has it")])
        text = self.page().text
        for words in ("home", "made here", "0123456789ABCDEF", "2 of 3", "nobody has it"):
            self.assertIn(words, text)
        self.assertIn("nothing is here yet", text)

    def test_says_nothing_of_builds_where_nothing_is_built(self) -> None:
        self.assertNotIn("Recipe", self.page().text)

    def test_the_first_day_is_called_today(self) -> None:
        self.status["savings"] = savings([day(30, 1)], since="2026-11-30")
        self.assertIn("Saved today", self.page().text)
        self.status["savings"] = savings([day(29, 1), day(30, 1)], since="2026-11-29")
        self.assertIn("Saved in 2 days", self.page().text)

    def test_what_is_stale_is_told_to_who_cannot_see_it(self) -> None:
        [stale] = [one for one in self.page().all("p") if one.get("id") == "stale"]
        self.assertEqual(stale["role"], "status")

    def test_searches_only_when_asked_to(self) -> None:
        self.page()
        self.assertEqual(self.searches, [])
        self.found = {"files": [], "truncated": False}
        self.assertIn("Nobody holds", self.page("?part=%20zlib").text)
        self.assertEqual(self.searches, [{"part": "zlib"}])

    def test_shows_who_holds_what_was_found(self) -> None:
        holders = [{"node": "f" * 16, "name": "attic", "address": "10.0.0.9"}]
        row = {
            "name": "zlib",
            "version": "1.3-1",
            "architecture": "x86_64",
            "size": 1 << 20,
            "listed": ["core"],
            "here": "cache",
            "holders": holders,
            "more_holders": 0,
        }
        self.found = {"files": [row], "truncated": True}
        text = self.page("?part=zlib").text
        for words in ("1.3-1", "1.0 MiB", "this node, attic", "core", "There are more"):
            self.assertIn(words, text)

    def test_shows_all_that_the_lan_holds_a_page_at_a_time(self) -> None:
        row = {
            "name": "zlib",
            "version": "1.3-1",
            "architecture": "x86_64",
            "size": None,
            "listed": [],
            "here": None,
            "holders": [{"node": "", "name": "pacserve at 10.0.0.7", "address": ""}],
            "more_holders": 0,
        }
        last = {"after": "zlib-1:1.3+x-1-any.pkg.tar.zst", "sha256": "00" * 32}
        self.found = {"of": "lan", "files": [row], "next": last}
        page = self.page("?of=lan")
        self.assertIn("All packages of the whole LAN", page.text)
        self.assertIn("pacserve at 10.0.0.7", page.text)
        [following] = [one for one in page.all("a") if one.get("rel") == "next"]
        address = str(following["href"])
        self.found |= {"next": None}
        page = self.page(address.removeprefix("/").partition("#")[0])
        self.assertEqual([one for one in page.all("a") if one.get("rel") == "next"], [])
        self.assertEqual(
            self.lists,
            [{"of": "lan", "most": f"{MOST_ROWS}"}, {"of": "lan", **last, "most": f"{MOST_ROWS}"}],
        )
        self.assertEqual(self.searches, [])

    def test_says_that_nothing_of_a_list_is_left(self) -> None:
        self.found = {"of": "here", "files": [], "next": None}
        self.assertIn("There are no more", self.page("?of=here").text)

    def test_tells_of_others_than_nodes_only_where_there_are_any(self) -> None:
        def hidden() -> bool:
            [section] = [one for one in self.page().all("section") if one.get("id") == "others"]
            return "hidden" in section

        self.assertTrue(hidden())
        parent = {"name": "nas:9129", "kind": "pacoloco", "from": "setting", "files": 3, "bytes": 9}
        self.status["parents"] = [parent | {"state": "failing", "why": "nobody listens there"}]
        self.assertFalse(hidden())
        for words in ("nas:9129", "pacoloco", "failing", "nobody listens there"):
            self.assertIn(words, self.page().text)

    def test_a_machine_that_is_named_by_its_address_is_shown_once(self) -> None:
        told: dict[str, Any] = {"address": "10.0.0.7", "kind": "pacredir", "found": "setting"}
        told |= {"files": None, "bytes": 0, "state": "good", "why": ""}
        self.status["foreign"] = [{**told, "name": "10.0.0.7"}]
        self.assertEqual(self.page().text.count("10.0.0.7"), 1)
        self.status["foreign"] = [{**told, "name": "ada"}]
        self.assertIn("ada", self.page().text)

    def test_refuses_a_query_that_no_form_makes(self) -> None:
        for query in (
            "?other=1",
            "?part=a&part=b",
            f"?part={'a' * 300}",
            "?part=a&of=lan",
            "?after=a",
            "?of=lan&most=9",
        ):
            self.assertEqual(self.browser.get(f"/{query}").status, 400, query)


class Safety(PageTestCase):
    def test_no_script_style_or_request_but_this_nodes_own(self) -> None:
        for path in ("/", "/page.js", "/page.css", "/page.svg"):
            headers = self.browser.get(path).headers
            self.assertEqual(headers["content-security-policy"], POLICY, path)
            self.assertEqual(headers["x-content-type-options"], "nosniff", path)
        self.assertTrue(POLICY.startswith("default-src 'none';"))
        self.assertNotIn("unsafe", POLICY)

    def test_nothing_of_it_names_another_host(self) -> None:
        self.status["peers"] = [peer(1)]
        page = self.page()
        for tag, attributes in page.tags:
            for name in ("src", "href", "action"):
                value = attributes.get(name) or "/"
                self.assertRegex(value, r"^/(?!/)", f"{tag} {name}")
            self.assertNotIn("style", attributes)
            self.assertEqual([name for name in attributes if name.startswith("on")], [])
        for path in ("/page.js", "/page.css"):
            self.assertNotIn(b"//", re.sub(rb"(?m)^// .*$", b"", self.browser.get(path).body))

    def test_a_hostile_name_stays_text_wherever_it_stands(self) -> None:
        expected = len(self.page("?part=x").all("img"))
        one = moving(file=HOSTILE, source=HOSTILE, whence=HOSTILE) | {"time": "12:00:00"}
        finding = {"verdict": "wrong", "check": "x", "reason": HOSTILE, "remedy": HOSTILE}
        self.status = status(
            name=HOSTILE,
            node=HOSTILE,
            peers=[peer(1, name=HOSTILE, address=HOSTILE, node=HOSTILE, quarantine=HOSTILE)],
            quarantine=[{"address": HOSTILE, "text": HOSTILE}],
            moving=[one],
            recent=[{**one, "status": 200, "seconds": 1.0, "tried": []}],
            receipts=[RECEIPT],
            health={"looked_seconds_ago": 1.0, "findings": [finding]},
        )
        row = dict.fromkeys(("name", "version", "architecture", "here"), HOSTILE)
        held = {"holders": [{"node": HOSTILE, "name": HOSTILE}], "more_holders": 3}
        self.found = {
            "files": [{**row, "size": 1, "listed": [HOSTILE], **held}],
            "truncated": False,
        }
        page = self.page("?part=%3Cimg%20src=x%20onerror=alert(1)%3E")
        self.assertEqual((expected, page.all("img")), (0, []))
        self.assertEqual(len(page.all("script")), 1)
        self.assertGreater(page.text.count("<img src=//evil.example"), 10)
        field = next(one for one in page.all("input"))
        self.assertEqual(field["value"], "<img src=x onerror=alert(1)>")

    def test_characters_that_do_not_show_are_written_out(self) -> None:
        self.assertEqual(plain("a\u202eb\x1b[0m\n"), "a\\u202eb\\x1b[0m\\n")
        self.assertEqual(plain("Zürich 雪"), "Zürich 雪")

    def test_the_script_makes_no_markup_of_text(self) -> None:
        script = self.browser.get("/page.js").body
        for word in (b"innerHTML", b"outerHTML", b"insertAdjacent", b"document.write", b"eval"):
            self.assertNotIn(word, script)

    def test_other_paths_are_not_its_own(self) -> None:
        for path in ("/page.html", "/templates/page.html", "/page.js/", "/../page.html", "//"):
            self.assertEqual(self.browser.get(path).status, 404, path)

    def test_a_page_of_1000_peers_is_made_in_a_thread(self) -> None:
        threads: list[object] = []

        def noting(reactor: Any, pool: Any, function: Any, *arguments: Any) -> Any:
            threads.append(function)
            return deferToThreadPool(reactor, pool, function, *arguments)

        self.patch(module, "deferToThreadPool", noting)
        self.status["peers"] = [peer(one) for one in range(1_000)]
        self.page()
        self.browser.get("/metrics")
        self.assertEqual(len(threads), 2)


class TheChart(SynchronousTestCase):
    def test_the_highest_day_reaches_the_top(self) -> None:
        bars = chart([day(1, 10, 30), day(2, 20, 0, owner=10)], "2026-11-01")["bars"]
        drawn = [(bar["lan"], bar["wan"], bar["owner"]) for bar in bars]
        self.assertEqual(drawn, [(25, 75, 0), (50, 0, 25)])

    def test_it_begins_when_the_node_did_and_leaves_room_for_what_comes(self) -> None:
        drawn = chart([day(one, 1) for one in range(1, 31)], "2026-11-29")
        self.assertEqual([bar["day"] for bar in drawn["bars"]], ["2026-11-29", "2026-11-30"])
        self.assertEqual((drawn["lan_bytes"], drawn["width"]), (2, 140))
        self.assertEqual(len(chart([day(1), day(2)], "2027-01-01")["bars"]), 1)

    def test_what_peers_fetched_for_us_is_no_share_of_the_lans(self) -> None:
        drawn = chart([day(1, 10, 10, owner=20)], "2026-11-01")
        self.assertEqual(drawn["share"], 25)
        self.assertIn("20 B from the WAN by peers", drawn["bars"][0]["text"])

    def test_days_without_bytes_have_no_bars(self) -> None:
        drawn = chart([day(1), day(2)], "2026-11-01")
        self.assertEqual((drawn["most"], drawn["share"], drawn["bars"][0]["lan"]), (0, 0, 0))


class Metrics(PageTestCase):
    def lines(self) -> list[str]:
        answer = self.browser.get("/metrics")
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.headers["content-type"].startswith("text/plain; version=0.0.4"))
        return answer.body.decode().splitlines()

    def test_says_every_figure(self) -> None:
        lines = self.lines()
        for line in (
            'flocon_info{version="1.2.3"} 1.0',
            'flocon_requests_total{kind="package",result="sent",source="peer"} 3.0',
            'flocon_bytes_total{direction="from_peers"} 10.0',
            "flocon_transfers_running 2.0",
            'flocon_peers{state="failing"} 1.0',
            "flocon_quarantined_peers 1.0",
            "flocon_inventory_files 12.0",
            "flocon_inventory_bytes 3.145728e+06",
            'flocon_dropped_datagrams_total{reason="rate"} 7.0',
            'flocon_lan_refusals_total{reason="refused 404"} 2.0',
            "flocon_reactor_longest_hold_seconds 0.02",
            'flocon_ahead_bytes_total{use="used"} 5.0',
            'flocon_ahead_bytes_total{use="unused"} 6.0',
            "flocon_ahead_waiting_bytes 7.0",
            'flocon_upgrade_packages{state="ready"} 23.0',
            'flocon_upgrade_bytes{state="wanted"} 9.0',
            "flocon_saved_seconds_total 90.5",
        ):
            self.assertIn(line, lines)

    def test_says_how_each_own_repository_stands(self) -> None:
        self.figures = figures(own={"home": _figures_of(own())})
        lines = self.lines()
        for name, value in (("packages", "7.0"), ("copies_wanted", "3.0"), ("copies_here", "2.0")):
            self.assertIn(f'flocon_own_{name}{{repository="home"}} {value}', lines)

    def test_says_how_each_caching_proxy_did(self) -> None:
        counts = _COUNTS
        told = {"state": "good", **{name: number for number, name in enumerate(counts)}}
        self.figures = figures(parents={"nas:9129": _figures_of_parent(told)})
        lines = self.lines()
        for number, name in enumerate(counts):
            line = f'flocon_parent_{name}_total{{parent="nas:9129"}} {number}.0'
            self.assertIn(line, lines)

    def test_says_what_was_asked_in_the_place_of_other_tools(self) -> None:
        asked = {"files": 3, "refused 403": 1}
        self.figures = figures(standins={"pacserve": asked, "pacredir": {}})
        lines = self.lines()
        for kind, count in (("files", "3.0"), ("refused 403", "1.0")):
            words = f'kind="{kind}",tool="pacserve"'
            self.assertIn(f"flocon_standin_requests_total{{{words}}} {count}", lines)

    def test_says_what_came_of_other_tools_machines_and_of_mdns(self) -> None:
        self.figures = figures(
            foreign={"questions": 4},
            foreign_bytes={("pacredir", "10.0.0.7"): 9},
            mdns_datagrams={"read": 5, "limited": 2},
        )
        lines = self.lines()
        for line in (
            'flocon_foreign_events_total{event="questions"} 4.0',
            'flocon_foreign_bytes_total{address="10.0.0.7",tool="pacredir"} 9.0',
            'flocon_mdns_datagrams_total{result="limited"} 2.0',
        ):
            self.assertIn(line, lines)

    def test_says_what_is_known_of_other_networks_and_said_to_them(self) -> None:
        self.figures = figures(
            far_peers=3, far_names={"good": 1, "silent": 2}, far_datagrams={"unicast": 9}
        )
        lines = self.lines()
        for line in (
            "flocon_far_peers 3.0",
            'flocon_far_names{state="silent"} 2.0',
            'flocon_far_datagrams_total{to="unicast"} 9.0',
        ):
            self.assertIn(line, lines)
        self.figures = figures()
        self.assertNotIn("flocon_far", "\n".join(self.lines()))

    def test_says_how_builds_stand(self) -> None:
        told = builds(watched(since=NOW - 90), watched("b", "failed"))
        self.figures = figures(builds=sayings.figures(told, NOW))
        lines = self.lines()
        for line in (
            *("flocon_builds_watched 2.0", "flocon_builds_waiting 1.0"),
            *("flocon_builds_failed 1.0", "flocon_builds_oldest_wait_seconds 90.0"),
        ):
            self.assertIn(line, lines)

    def test_durations_are_histograms(self) -> None:
        spans = Spans((1.0, 2.0))
        for seconds in (0.5, 1.5, 9.0):
            spans.add(seconds)
        self.figures = figures(transfer_seconds={"peer": spans})
        text = "\n".join(self.lines())
        for line in (
            'flocon_transfer_seconds_bucket{le="1.0",source="peer"} 1.0',
            'flocon_transfer_seconds_bucket{le="+Inf",source="peer"} 3.0',
            'flocon_transfer_seconds_sum{source="peer"} 11.0',
        ):
            self.assertIn(line, text)

    def test_claims_nothing_that_is_not_measured(self) -> None:
        self.figures = figures(longest_hold_seconds=None)
        self.assertNotIn("hold", "\n".join(self.lines()))

    def test_two_scrapes_are_alike_and_touch_no_process_wide_registry(self) -> None:
        before = list(REGISTRY.collect())
        self.assertEqual(self.lines(), self.lines())
        self.assertEqual([one.name for one in REGISTRY.collect()], [one.name for one in before])

    def test_the_dashboard_uses_what_is_there_and_all_of_it(self) -> None:
        of_a_mirror = told(clients=clients(("10.0.0.2", 9, 1)), clearing=clearing(1, 9))
        self.figures = figures(
            mirror=telling.figures(of_a_mirror),
            builds=sayings.figures(builds(watched()), NOW),
            own={"home": _figures_of(own())},
            standins={"pacserve": {"files": 1}},
            parents={"nas:9129": _figures_of_parent(dict.fromkeys(_COUNTS, 1))},
            foreign={"questions": 4},
            foreign_bytes={("pacredir", "10.0.0.7"): 9},
            mdns_datagrams={"read": 5},
            far_peers=3,
            far_names={"good": 1},
            far_datagrams={"unicast": 9},
        )
        there = {re.split(r"[{ ]", line)[0] for line in self.lines() if line[0] != "#"}
        there = {name for name in there if not name.endswith("_created")}
        panels = json.loads(DASHBOARD.read_text())["panels"]
        expressions = [one["expr"] for panel in panels for one in panel.get("targets", ())]
        used = set(re.findall(r"\bflocon_\w+", " ".join(expressions)))
        self.assertEqual(used - there, set())
        histograms = {name for name in there if name.endswith(("_sum", "_count"))}
        self.assertEqual(there - histograms - used, set())

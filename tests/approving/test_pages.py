"""The pages to decide on: who sees them, what they show, and what it takes to decide."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from typing import Any
from urllib.parse import urlencode

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request

from flocon.answering.respond import respond
from flocon.approving.links import LIFETIME
from flocon.approving.pages import Approving
from flocon.errors import BuildError
from flocon.serving.site import LARGEST_BODY
from tests.builds.told import COMMIT, builds, look, watched
from tests.faces.test_page import HOSTILE, Elements
from tests.faces.web import Answer, Browser
from tests.fakes import FakeReactor

ORIGIN = "http://localhost:19433"
FORM = "application/x-www-form-urlencoded"


class FakeBuilds:
    """Shows what the test says, and notes what it is told."""

    def __init__(self) -> None:
        self.told = builds(watched(), watched("other", "published"))
        self.look = look()
        self.log = "made\n"
        self.did: list[tuple[str, ...]] = []

    def describe(self) -> dict[str, Any]:
        return self.told

    async def steer(self, words: Sequence[str], who: str) -> str:
        match words:
            case ["look", "paru"]:
                return json.dumps(self.look)
            case ["log", "paru", at]:
                text = self.log[int(at) :][:1_000]
                head = {"next": int(at) + len(text), "running": False, "result": "built"}
                return f"{json.dumps(head)}\n{text}"
            case ["approve" | "reject", "paru", commit] if commit == COMMIT:
                self.did.append((*words, who))
                return "paru will be built"
        raise BuildError(f"{words[1]} is not watched", "")


class Face:
    def __init__(self, approving: Approving) -> None:
        self._approving = approving

    def render(self, request: Request) -> None:
        respond(request, self._approving.answer(request))


class PagesTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.builds = FakeBuilds()
        numbers = count(1)
        approving = Approving(self.reactor, self.builds, ORIGIN, lambda: f"chance{next(numbers)}")
        self.browser = Browser(self.reactor, Face(approving), kept=LARGEST_BODY)
        self.elsewhere = Browser(self.reactor, Face(approving), "10.0.0.9", kept=LARGEST_BODY)
        self.addCleanup(self.browser.close)
        self.addCleanup(self.elsewhere.close)
        self.link = approving.make_link("ada").removeprefix(ORIGIN)
        self.cookie = ""

    def get(self, path: str = "", **headers: str) -> Answer:
        """Open a page as the browser that has the link."""
        more = {"Cookie": self.cookie} if self.cookie else {}
        exchange = self.browser.ask(self.link + path, **more, **headers)
        # Who asks much waits for the reactor's next turn.
        self.reactor.advance(1)
        answer = exchange.answer
        if "set-cookie" in answer.headers:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
        return answer

    def page(self, path: str = "") -> Elements:
        answer = self.get(path)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertTrue(answer.whole)
        return Elements(answer.body)

    def form(self, button: str = "approve") -> tuple[str, dict[str, str]]:
        """Return where a form of the page goes, and what it brings."""
        page = self.page("/paru")
        inputs = [(one["name"] or "", one["value"] or "") for one in page.all("input")]
        actions = [str(one["action"]) for one in page.all("form")]
        (action,) = (one for one in actions if one.endswith(button))
        return action, dict(inputs)

    def post(self, path: str, fields: dict[str, str], **changed: str) -> Answer:
        body = urlencode(fields).encode()
        headers = {
            "host": "localhost:19433",
            "Origin": ORIGIN,
            "Sec_Fetch_Site": "same-origin",
            "Content_Type": FORM,
            "Cookie": self.cookie,
            "Content_Length": str(len(body)),
            **changed,
        }
        head = self.browser.request(path, "POST", **{k: v for k, v in headers.items() if v})
        exchange = self.browser.ask_raw(head + body)
        self.reactor.advance(1)
        return exchange.answer


class Opening(PagesTestCase):
    def test_the_first_browser_is_given_a_cookie_of_this_link_alone(self) -> None:
        told = self.get().headers["set-cookie"].split("; ")
        self.assertEqual(told[0].partition("=")[0], "flocon-review")
        wanted = [f"Path={self.link}", "HttpOnly", "SameSite=Strict"]
        self.assertEqual([one for one in told[1:] if not one.startswith("Max-Age")], wanted)

    def test_it_stays_with_that_browser(self) -> None:
        self.get()
        self.assertNotIn("set-cookie", self.get().headers)
        self.cookie = ""
        answer = self.get()
        self.assertEqual(answer.status, 403)
        self.assertIn(b"opened by another browser", answer.body)
        self.assertNotIn(b"paru", answer.body)

    def test_its_time_is_over(self) -> None:
        self.get()
        self.reactor.advance(LIFETIME)
        self.assertEqual(self.get().status, 410)
        self.assertEqual(self.get("/paru").status, 410)

    def test_what_was_never_made_is_not_known(self) -> None:
        for path in ("/review/", "/review/nothing", "/review/nothing/paru", f"{self.link}x"):
            self.assertEqual(self.browser.get(path).status, 404, path)

    def test_a_look_at_the_head_takes_no_link(self) -> None:
        self.assertEqual(self.browser.ask(self.link, method="HEAD").answer.status, 405)
        self.assertEqual(self.get().status, 200)

    def test_no_other_machine_sees_anything(self) -> None:
        self.assertEqual(self.elsewhere.get(self.link).status, 403)
        self.assertEqual(self.get().status, 200)

    def test_no_script_no_frame_and_no_other_site_is_let_in(self) -> None:
        for path in ("", "/paru", "/paru/log"):
            headers = self.get(path).headers
            policy = headers["content-security-policy"]
            self.assertIn("default-src 'none'", policy)
            self.assertIn("frame-ancestors 'none'", policy)
            self.assertIn("form-action 'self'", policy)
            self.assertNotIn("script-src", policy)
            self.assertEqual(headers["cache-control"], "no-store")


class Reading(PagesTestCase):
    def test_what_waits_is_listed(self) -> None:
        page = self.page()
        self.assertIn("1 waits for you", page.text)
        self.assertIn("PKGBUILD: line 3 was changed", page.text)
        self.assertIn(f"{self.link}/paru", [one.get("href") for one in page.all("a")])

    def test_a_recipe_is_shown_as_a_whole(self) -> None:
        text = self.page("/paru").text
        for words in ("for the first time", "it was never built here", "pkgname=paru", COMMIT[:12]):
            self.assertIn(words, text)

    def test_where_nothing_waits_there_is_nothing_to_press(self) -> None:
        self.builds.look = look(stage="published", proposed="")
        page = self.page("/paru")
        self.assertEqual(page.all("form"), [])
        self.assertIn("Nothing of it waits", page.text)

    def test_what_strangers_wrote_stays_text(self) -> None:
        self.builds.told = builds(watched("<b>", reasons=[HOSTILE]), problem=HOSTILE)
        self.builds.look = look(reasons=[HOSTILE], files={"PKGBUILD": HOSTILE, HOSTILE: HOSTILE})
        self.builds.log = f"{HOSTILE}\n"
        for path in ("", "/paru", "/paru/log"):
            page = self.page(path)
            self.assertEqual(page.all("img") + page.all("b"), [], path)
            self.assertIn("<img src=//evil.example", page.text, path)
            self.assertNotIn("\x1b", page.text, path)
            self.assertNotIn("\u202e", page.text, path)

    def test_a_long_log_is_shown_from_behind(self) -> None:
        self.builds.log = "first\n" + "x\n" * 100_000 + "last\n"
        text = self.page("/paru/log").text
        self.assertIn("last", text)
        self.assertNotIn("first", text)
        self.assertIn("Only its end is here", text)

    def test_what_is_not_watched_is_said(self) -> None:
        answer = self.get("/nosuch")
        self.assertEqual((answer.status, answer.body), (404, b"nosuch is not watched\n"))


class Deciding(PagesTestCase):
    def test_a_form_decides_what_its_page_showed_in_the_name_of_who_has_the_link(self) -> None:
        for button in ("approve", "reject"):
            answer = self.post(*self.form(button))
            self.assertEqual((answer.status, answer.headers["location"]), (303, self.link))
            self.assertEqual(self.builds.did.pop(), (button, "paru", COMMIT, "ada"))
        self.assertIn("paru will be built", self.page().text)
        self.assertNotIn("paru will be built", self.page().text)

    def test_what_cannot_be_is_said(self) -> None:
        action, fields = self.form()
        answer = self.post(action, fields | {"decided": "0" * 40})
        self.assertEqual(answer.status, 303)
        self.assertIn("paru is not watched", self.page().text)

    def refused(self, path: str, fields: dict[str, str], **changed: str) -> int:
        answer = self.post(path, fields, **changed)
        self.assertEqual(self.builds.did, [])
        return answer.status

    def test_without_the_word_of_the_page_nothing_is(self) -> None:
        action, fields = self.form()
        for word in ("", "x", fields["word"][:-1]):
            self.assertEqual(self.refused(action, fields | {"word": word}), 403)
        del fields["word"]
        self.assertEqual(self.refused(action, fields), 403)

    def test_without_the_cookie_nothing_is(self) -> None:
        action, fields = self.form()
        for cookie in ("", "flocon-review=x"):
            self.assertEqual(self.refused(action, fields, Cookie=cookie), 403)

    def test_from_another_page_nothing_is(self) -> None:
        action, fields = self.form()
        for changed in (
            {"Origin": ""},
            {"Origin": "null"},
            {"Origin": "http://evil.example"},
            {"Origin": "http://localhost:19434"},
            {"Origin": "https://localhost:19433"},
            {"Sec_Fetch_Site": "same-site"},
            {"Sec_Fetch_Site": "cross-site"},
        ):
            self.assertEqual(self.refused(action, fields, **changed), 403, changed)

    def test_after_its_time_nothing_is(self) -> None:
        action, fields = self.form()
        self.reactor.advance(LIFETIME)
        self.assertEqual(self.refused(action, fields), 410)

    def test_a_form_takes_no_link_that_nobody_has_opened(self) -> None:
        self.assertEqual(self.refused(f"{self.link}/paru/approve", {"word": "chance2"}), 403)

    def test_a_body_that_is_no_form_decides_nothing(self) -> None:
        action, fields = self.form()
        self.assertEqual(self.refused(action, fields, Content_Type="text/plain"), 403)
        many = {f"f{number}": "x" for number in range(9)}
        self.assertEqual(self.refused(action, many | fields), 403)

    def test_other_words_decide_nothing(self) -> None:
        _, fields = self.form()
        for path in ("", "/paru", "/paru/remove", "/paru/approve/x"):
            self.assertEqual(self.refused(self.link + path, fields), 404, path)
        del fields["decided"]
        self.assertEqual(self.refused(f"{self.link}/paru/approve", fields), 404)

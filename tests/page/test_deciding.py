"""What waits is read and decided by a link, in Chromium: once, in time, and from no other page."""

from __future__ import annotations

import atexit
import functools
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.approving.links import LIFETIME
from tests.builds.told import BEFORE, COMMIT, PKGBUILD, SRCINFO, builds, look, watched
from tests.needs import leave_out
from tests.page.chromium import Tab, shared, unavailable
from tests.page.content import HOSTILE, hostile
from tests.page.deciding import Deciding
from tests.page.shots import DESKTOP, PHONE
from tests.page.test_page import PALE_TEXT

#: A page of another site that has a browser decide: by a form, and by a script.
EVIL = """
<!doctype html><title>evil</title>
<form id="f" method="post" action="ACTION"><input name="word" value="WORD">
<input name="decided" value="COMMIT"></form>
<script>
fetch('ACTION', {method: 'POST', mode: 'no-cors', credentials: 'include',
  headers: {'Content-Type': 'application/x-www-form-urlencoded'},
  body: 'word=WORD&decided=COMMIT'}).catch(() => 0).finally(() => {
    document.title = 'tried'; });
</script>
"""


@functools.cache
def _server() -> Deciding:
    server = Deciding()
    atexit.register(server.close)
    return server


#: The signs of the line of a review that has a text, in the order in which one sees them.
IN_ORDER = """(() => {
const lines = [...document.querySelectorAll('.review div')];
const text = lines.find(one => one.textContent.includes('+cp')).firstChild;
const seen = [...text.data].map((sign, at) => {
  const range = document.createRange();
  range.setStart(text, at);
  range.setEnd(text, at + 1);
  return [sign, range.getBoundingClientRect().left];
});
return seen.sort((one, other) => one[1] - other[1]).map(one => one[0]).join('');
})()"""


class DecidingTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        leave_out(unavailable())
        self.server = _server()
        update = look(
            approved=BEFORE,
            version="2.0-1",
            before={"PKGBUILD": PKGBUILD, ".SRCINFO": SRCINFO},
            files={"PKGBUILD": PKGBUILD.replace("=1.0", "=2.0"), ".SRCINFO": SRCINFO},
        )
        self.server.tell(builds=builds(watched(), watched("other", "published")), look=update)
        self.server.did()

    def tab(self, **more: Any) -> Tab:
        tab = shared().tab(alone=True, **more)
        self.addCleanup(tab.close)
        return tab

    def text(self, tab: Tab) -> str:
        return str(tab.evaluate("document.body.innerText"))

    def click(self, tab: Tab, what: str) -> None:
        """Click, and wait for the page that comes of it."""
        tab.evaluate(f"window.old = true; document.querySelector({what!r}).click()")
        tab.wait_for("!window.old && document.readyState === 'complete'")


class ByTheLink(DecidingTestCase):
    def test_a_difference_is_read_and_approved_without_a_script(self) -> None:
        tab = self.tab()
        tab.open(self.server.link())
        self.assertIn("1 waits for you", self.text(tab))
        self.click(tab, "#asking a")
        self.assertIn("-pkgver=1.0\n+pkgver=2.0\n", self.text(tab))
        self.assertEqual(tab.evaluate("document.scripts.length"), 0)
        self.click(tab, "#approve")
        self.assertIn("paru: approve was said", self.text(tab))
        self.assertEqual(self.server.did(), [["approve", "paru", COMMIT, "ada"]])
        self.assertEqual(tab.complaints, [])
        others = [one for one in tab.asked if f"://localhost:{self.server.port}/" not in one]
        self.assertEqual(others, [])

    def test_it_is_rejected_and_a_log_is_read(self) -> None:
        tab = self.tab()
        link = self.server.link()
        tab.open(link)
        self.click(tab, "#others td:last-child a")
        self.assertIn("==> Making package", self.text(tab))
        tab.open(f"{link}/paru")
        self.click(tab, "#reject")
        self.assertEqual(self.server.did(), [["reject", "paru", COMMIT, "ada"]])

    def test_in_another_browser_it_opens_nothing(self) -> None:
        link = self.server.link()
        self.tab().open(link)
        second = self.tab()
        second.open(link)
        self.assertIn("opened by another browser", self.text(second))
        second.open(f"{link}/paru")
        self.assertNotIn("pkgver", self.text(second))

    def test_after_its_time_nothing_is_read_and_nothing_decided(self) -> None:
        tab = self.tab()
        link = self.server.link()
        tab.open(f"{link}/paru")
        self.server.later(LIFETIME)
        self.click(tab, "#approve")
        self.assertIn("the time of this link is over", self.text(tab))
        tab.open(link)
        self.assertIn("the time of this link is over", self.text(tab))
        self.assertEqual(self.server.did(), [])


class FromElsewhere(DecidingTestCase):
    """A page of another origin, in the browser that has the link."""

    def evil(self, action: str, word: str) -> str:
        page = EVIL.replace("ACTION", action).replace("WORD", word).replace("COMMIT", COMMIT)

        class Pages(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(page.encode())

            def log_message(self, *_: Any) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Pages)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://localhost:{server.server_address[1]}/"

    def test_neither_a_script_nor_a_form_of_it_decides_even_with_the_word(self) -> None:
        tab = self.tab()
        link = self.server.link()
        tab.open(f"{link}/paru")
        word = tab.evaluate("document.querySelector('[name=word]').value")
        tab.open(self.evil(f"{link}/paru/approve", word))
        tab.wait_for("document.title === 'tried'")
        self.click_form(tab)
        self.assertEqual(self.server.did(), [])
        # The browser that has the link still does.
        tab.open(f"{link}/paru")
        self.click(tab, "#approve")
        self.assertEqual(len(self.server.did()), 1)

    def click_form(self, tab: Tab) -> None:
        tab.evaluate("window.old = true; document.getElementById('f').submit()")
        tab.wait_for("!window.old && document.readyState === 'complete'")

    def test_it_cannot_have_it_in_a_frame(self) -> None:
        tab = self.tab()
        link = self.server.link()
        tab.open(link)
        tab.open(self.evil(f"{link}/paru/approve", ""))
        tab.evaluate(
            "window.frame = document.createElement('iframe'); frame.src = "
            f"{link!r}; frame.onload = () => window.shown = true; document.body.append(frame)"
        )
        tab.wait_for("window.shown")
        inside = tab.evaluate("frame.contentDocument && frame.contentDocument.body.innerText")
        self.assertIsNone(inside)
        self.assertTrue(
            any("frame-ancestors" in one or "403" in one for one in tab.complaints), tab.complaints
        )


class Looks(DecidingTestCase):
    def test_it_is_whole_and_readable_at_every_width_and_scheme(self) -> None:
        surprise = {"package": "paru", "what": "is setuid", "detail": "usr/bin/" + "x" * 300}
        told = look(held=[surprise], stage="held", digest="d" * 64)
        self.server.tell(look=told)
        for width in (PHONE, DESKTOP):
            for dark in (False, True):
                tab = self.tab(width=width, dark=dark)
                link = self.server.link()
                for path in ("", "/paru", "/paru/log"):
                    where = f"{path}, {width} pixels, {'dark' if dark else 'light'}"
                    tab.open(link + path)
                    self.assertEqual(
                        tab.evaluate("document.documentElement.scrollWidth"), width, where
                    )
                    self.assertEqual(tab.evaluate(PALE_TEXT), [], where)

    def test_letters_written_from_the_right_turn_no_line_around(self) -> None:
        line = "cp \u05d0\u05d1/1 \u05d2/2 x"
        self.server.tell(look=look(files={"PKGBUILD": f"{line}\n", ".SRCINFO": SRCINFO}))
        tab = self.tab()
        tab.open(f"{self.server.link()}/paru")
        self.assertEqual(tab.evaluate(IN_ORDER), f"+{line}")

    def test_what_strangers_wrote_stays_text(self) -> None:
        evil = "".join(HOSTILE)
        self.server.tell(
            builds=builds(watched(hostile("paru"), reasons=[evil]), problem=evil),
            look=look(reasons=[evil], files={"PKGBUILD": evil, evil: evil}, base=hostile("paru")),
        )
        tab = self.tab()
        link = self.server.link()
        for path in ("", "/paru"):
            tab.open(link + path)
            self.assertEqual(tab.complaints, [], path)
            self.assertEqual(
                tab.evaluate("document.querySelectorAll('main img, main script, main b').length"), 0
            )

"""The status page as Chromium shows it: on phone and desktop, light and dark, and while it lives.

One Chromium and one server of the page serve all tests, started by the first and ended with the
process. Skipped where there is no Chromium, but failed there in CI.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from twisted.trial.unittest import SynchronousTestCase

from tests.lan.lan import environment, twistd, wait_until, working_folder
from tests.needs import leave_out
from tests.page.chromium import Tab, shared, unavailable
from tests.page.content import HOSTILE, hostile, told
from tests.page.server import Server
from tests.page.shots import DESKTOP, PHONE

MIB = 1 << 20
#: Every element with the names of its attributes: what the page is, without what it says.
STRUCTURE = """
[...document.querySelectorAll('*')].map(one => [one.localName, ...one.getAttributeNames()].join())
"""
#: Text, as WCAG 2.1 measures its contrast with what lies behind: what there is too little of.
PALE_TEXT = """
(() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = colour => {
    const [r, g, b] = parts(colour).map(one => one / 255)
      .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [low, high] = [light(a), light(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const behind = element => {
    const colour = getComputedStyle(element).backgroundColor;
    return parts(colour)[3] === 0 ? behind(element.parentElement) : colour;
  };
  const pale = [];
  const check = (element, colour, least, what) => {
    const found = ratio(colour, behind(element));
    if (found < least) pale.push(`${what} in ${element.outerHTML.slice(0, 99)}: ${found}`);
  };
  for (const element of document.body.querySelectorAll('*')) {
    if (element.closest('svg')) continue;
    if ([...element.childNodes].some(one => one.nodeType === 3 && one.nodeValue.trim()))
      check(element, getComputedStyle(element).color, 4.5, 'text');
    for (const part of ['::before', '::placeholder']) {
      const style = getComputedStyle(element, part);
      if (part === '::placeholder' ? element.localName === 'input' : style.content !== 'none')
        check(element, style.color, 4.5, part);
    }
  }
  for (const name of ['lan', 'wan', 'owner']) {
    const bar = document.querySelector(`rect.${name}`);
    if (bar) check(bar.closest('figure'), getComputedStyle(bar).fill, 3, name);
  }
  return pale;
})()
"""


@functools.cache
def _server() -> Server:
    server = Server()
    atexit.register(server.close)
    return server


class RenderedTestCase(SynchronousTestCase):
    """A test in the shared Chromium."""

    def setUp(self) -> None:
        leave_out(unavailable())
        self.server = _server()

    @contextmanager
    def page(
        self,
        address: str = "",
        *,
        width: int = DESKTOP,
        dark: bool = False,
        script: bool = True,
        failing: bool = False,
    ) -> Iterator[Tab]:
        """Show a page, and claim in the end that nothing was wrong and nobody else was asked.

        Of a ``failing`` page only the latter is claimed.
        """
        address = address or self.server.address
        with shared().tab(width=width, dark=dark, script=script) as tab:
            tab.open(address)
            yield tab
            if not failing:
                self.assertEqual(tab.complaints, [])
            origin = "/".join(address.split("/")[:3])
            self.assertIn(f"{origin}/page.css", tab.asked)
            others = [one for one in tab.asked if not one.startswith(f"{origin}/")]
            self.assertEqual(others, [])


class Rendering(RenderedTestCase):
    def test_is_whole_at_every_width_and_scheme_with_0_1_and_60_peers(self) -> None:
        for peers in (0, 1, 60):
            self.server.tell(told(peers, empty=not peers))
            for width in (PHONE, DESKTOP):
                for dark in (False, True):
                    where = f"{peers} peers, {width} pixels, {'dark' if dark else 'light'}"
                    with self.page(f"{self.server.address}?part=l", width=width, dark=dark) as tab:
                        shown = tab.evaluate("document.querySelectorAll('#peers tbody tr').length")
                        self.assertEqual(shown, peers, where)
                        self.assertEqual(
                            tab.evaluate("document.documentElement.scrollWidth"), width, where
                        )
                        self.assertEqual(tab.evaluate(PALE_TEXT), [], where)

    def test_dark_is_dark_and_light_is_light(self) -> None:
        self.server.tell(told(1))
        colours = []
        for dark in (False, True):
            with self.page(dark=dark) as tab:
                colour = tab.evaluate("getComputedStyle(document.body).backgroundColor")
                colours.append(min(int(one) for one in colour[4:-1].split(",")))
        self.assertGreater(colours[0], 200)
        self.assertLess(colours[1], 50)

    def test_no_text_of_a_row_is_cut_off_or_beside_its_place(self) -> None:
        self.server.tell(told(60, text=lambda word: word + "-" + "w" * 200))
        outside = """
        [...document.querySelectorAll('main *')].filter(one => !one.closest('svg, thead'))
          .map(one => [one.getBoundingClientRect(), one])
          .filter(([box]) => box.left < 0 || box.right > innerWidth)
          .map(([box, one]) => one.outerHTML.slice(0, 99))
        """
        for width in (PHONE, DESKTOP):
            with self.page(f"{self.server.address}?part=l", width=width) as tab:
                self.assertEqual(tab.evaluate(outside), [])

    def test_the_chart_is_drawn(self) -> None:
        self.server.tell(told(1))
        heights = "[...document.querySelectorAll('rect.{0}')].map(o => o.getBoundingClientRect())"
        with self.page(width=PHONE) as tab:
            for name in ("lan", "wan", "owner"):
                drawn = tab.evaluate(heights.format(name) + ".map(o => [o.width, o.height])")
                self.assertEqual(len(drawn), 30)
                self.assertGreater(min(width for width, _ in drawn), 5)
                self.assertGreater(sum(height for _, height in drawn), 50)
            figure = "document.querySelector('figure svg').getBoundingClientRect().height"
            stacked = tab.evaluate(
                heights.format("lan") + ".map((o, at) => o.height + ['wan', 'owner'].map(one =>"
                " document.querySelectorAll(`rect.${one}`)[at].getBoundingClientRect().height)"
                ".reduce((a, b) => a + b))"
            )
            # The line below the bars is part of the figure.
            self.assertLess(abs(max(stacked) - tab.evaluate(figure)), 2)

    def test_is_whole_without_a_script(self) -> None:
        self.server.tell(told(60))
        with self.page(f"{self.server.address}?part=zlib", script=False) as tab:
            self.assertNotIn(f"{self.server.address}page.js", tab.asked)
            text = tab.evaluate("document.body.innerText")
            for words in ("1:1.3.1-2", "harbour5", "from attic"):
                self.assertIn(words, text)


class Strangers(RenderedTestCase):
    def test_hostile_names_stay_text(self) -> None:
        query = f"{self.server.address}?part=l"
        self.server.tell(told(60))
        with self.page(query) as tab:
            expected = tab.evaluate(STRUCTURE)
        self.server.tell(told(60, text=hostile))
        for width in (PHONE, DESKTOP):
            with self.page(query, width=width) as tab:
                self.assertEqual(tab.evaluate(STRUCTURE), expected)
                self.assertEqual(tab.evaluate("document.documentElement.scrollWidth"), width)
                self.assertEqual(tab.evaluate("typeof hostile"), "undefined")
                text = tab.evaluate("document.body.innerText")
                self.assertGreater(text.count(HOSTILE[1]), 100)
                self.assertEqual(text.count("\u202e"), 0)

    def test_hostile_names_that_come_while_it_is_looked_at_stay_text(self) -> None:
        self.server.tell(told(60))
        with self.page() as tab:
            expected = tab.evaluate(STRUCTURE)
            self.server.tell(told(60, text=hostile))
            tab.wait_for("document.querySelector('#moving').innerText.includes('onerror')")
            tab.wait_for("document.querySelector('#recent').innerText.includes('onerror')")
            self.assertEqual(tab.evaluate(STRUCTURE), expected)
            self.assertEqual(tab.evaluate("typeof hostile"), "undefined")

    def test_what_is_searched_for_stays_text(self) -> None:
        self.server.tell(told(1))
        with self.page() as tab:
            tab.evaluate("document.querySelector('input').focus()")
            tab.type(HOSTILE[1])
            tab.press_enter()
            tab.wait_for("document.body?.innerText.includes('Nobody holds')")
            self.assertEqual(tab.evaluate("document.querySelector('input').value"), HOSTILE[1])
            self.assertEqual(tab.evaluate("document.querySelectorAll('img').length"), 0)


class Living(RenderedTestCase):
    def test_progress_moves_in_its_place_without_a_reload(self) -> None:
        self.server.tell(told(1, part=0.1))
        with self.page(width=PHONE) as tab:
            tab.evaluate("bar = document.querySelector('#moving progress'), 0")
            self.assertEqual(tab.evaluate("bar.value"), int(0.1 * 141 * MIB))
            self.server.tell(told(1, part=0.75))
            tab.wait_for(f"bar.isConnected && bar.value === {int(0.75 * 141 * MIB)}")
            self.assertIn("75 %", tab.evaluate("document.querySelector('#moving').innerText"))
            self.server.tell(told(0, empty=True))
            tab.wait_for("document.querySelector('#moving').innerText.includes('Nothing.')")
            tab.wait_for("document.querySelector('#peers').innerText.includes('None yet')")
            self.assertFalse(tab.evaluate("bar.isConnected"))

    def test_peers_come_and_go(self) -> None:
        rows = "document.querySelectorAll('#peers tbody tr').length"
        self.server.tell(told(0))
        with self.page() as tab:
            for peers in (60, 1):
                self.server.tell(told(peers))
                tab.wait_for(f"{rows} === {peers}")

    def test_says_so_when_the_node_is_gone_and_when_it_is_back(self) -> None:
        server = Server()
        self.addCleanup(server.close)
        server.tell(told(1))
        stale = "document.querySelector('#stale').checkVisibility()"
        with self.page(server.address, failing=True) as tab:
            self.assertFalse(tab.evaluate(stale))
            server.close()
            tab.wait_for(stale)
            self.assertIn("attic", tab.evaluate("document.querySelector('#peers').innerText"))
            again = Server(server.port)
            self.addCleanup(again.close)
            again.tell(told(60))
            tab.wait_for(f"!{stale}")
            tab.wait_for("document.querySelector('#peers').innerText.includes('harbour5')")


class Searching(RenderedTestCase):
    def test_finds_what_is_typed_and_keeps_it_while_the_rest_moves(self) -> None:
        self.server.tell(told(60, part=0.1))
        with self.page(width=PHONE) as tab:
            tab.evaluate("document.querySelector('input').focus()")
            tab.type("zli")
            self.server.tell(told(60, part=0.2))
            tab.wait_for("document.querySelector('#moving').innerText.includes('19 %')")
            tab.type("b")
            tab.press_enter()
            rows = "[...document.querySelectorAll('#search tbody tr')].map(o => o.innerText)"
            tab.wait_for(f"location.search === '?part=zlib' && {rows}.length")
            # Without its style it is text of another form.
            tab.wait_for("document.readyState === 'complete'")
            [row] = tab.evaluate(rows)
            for words in ("zlib", "1:1.3.1-2", "28.0 MiB", "this node", "desk"):
                self.assertIn(words, row)
            self.server.tell(told(60, part=0.5))
            tab.wait_for("document.querySelector('#moving').innerText.includes('50 %')")
            self.assertEqual(tab.evaluate(rows), [row])

    def test_all_that_the_lan_holds_is_looked_through_page_by_page(self) -> None:
        self.server.tell(told(60))
        rows = "[...document.querySelectorAll('#search tbody tr')].map(o => o.innerText).join()"
        with self.page(width=PHONE) as tab:
            tab.evaluate("document.querySelector('#search a[href*=lan]').click()")
            tab.wait_for(f"location.search === '?of=lan' && {rows}.includes('glibc')")
            tab.wait_for("document.readyState === 'complete'")
            self.assertNotIn("zlib", tab.evaluate(rows))
            self.assertEqual(tab.evaluate("document.documentElement.scrollWidth"), PHONE)
            tab.evaluate("document.querySelector('a[rel=next]').click()")
            tab.wait_for(f"{rows}.includes('zlib')")
            tab.wait_for("document.readyState === 'complete'")
            self.assertEqual(tab.evaluate("document.querySelectorAll('a[rel=next]').length"), 0)
            self.assertEqual(tab.evaluate(PALE_TEXT), [])


class RealNode(RenderedTestCase):
    """The page of a node that runs, alone on this machine's own interface."""

    def start_node(self) -> str:
        folder = working_folder(0)
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        for name in ("cache", "db/sync", "store"):
            (folder / name).mkdir(parents=True)
        lines = [
            "[options]",
            f"DBPath = {folder}/db/",
            f"CacheDir = {folder}/cache/",
            "Architecture = x86_64",
            "SigLevel = Never",
            "[core]",
            "Server = http://127.0.0.1:9/$repo",
        ]
        (folder / "pacman.conf").write_text("\n".join([*lines, ""]))
        (folder / "cache" / "zlib-1:1.3.1-2-x86_64.pkg.tar.zst").write_bytes(b"z" * MIB)
        lan, loopback = _free_ports()
        command = [twistd(), "-n", "--pidfile=", "flocon", "--interface", "127.0.0.1"]
        command += ["--pacman-conf", f"{folder}/pacman.conf", "--store", f"{folder}/store"]
        command += ["--config", f"{folder}/flocon.toml"]
        command += ["--lan", f"tcp:{lan}:interface=127.0.0.1"]
        command += ["--loopback", f"tcp:{loopback}:interface=127.0.0.1"]
        (folder / "flocon.toml").write_text(
            f'name = "alone"\n[presence]\ngroup = "239.255.77.77"\nport = {lan}\n'
        )
        log = folder / "node.log"
        with log.open("wb") as output:
            node = subprocess.Popen(
                command, cwd=folder, env=environment(), stdout=output, stderr=output
            )
        self.addCleanup(_end, node)
        address = f"http://localhost:{loopback}/"

        def answers() -> bool:
            self.assertIsNone(node.poll(), log.read_text(errors="replace"))
            try:
                return b'"files": 1' in _get(f"{address}status.json")
            except OSError:
                return False

        wait_until(answers, 60, "the node holds its package")
        return address

    def test_shows_what_it_holds_and_what_is_asked_of_it_meanwhile(self) -> None:
        address = self.start_node()
        with self.page(f"{address}?part=zlib", width=PHONE) as tab:
            text = tab.evaluate("document.body.innerText")
            for words in ("on alone", "1:1.3.1-2", "1.0 MiB", "this node", "None yet"):
                self.assertIn(words, text)
            self.assertEqual(tab.evaluate("document.documentElement.scrollWidth"), PHONE)
            self.assertEqual(tab.evaluate(PALE_TEXT), [])
            _get(f"{address}core/os/x86_64/zlib-1:1.3.1-2-x86_64.pkg.tar.zst")
            tab.wait_for("document.querySelector('#recent').innerText.includes('zlib-1:1.3.1')")
            self.assertIn("cache", tab.evaluate("document.querySelector('#recent').innerText"))


def _get(address: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(address, timeout=30) as answer:
        body: bytes = answer.read()
        return body


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)

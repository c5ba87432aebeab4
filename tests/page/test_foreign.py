"""What a page of another site gets from a node on the same machine, in a real browser: nothing.

Skipped where there is no Chromium, but failed there in CI.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.lan.lan import environment, to_toml, twistd, wait_until, working_folder
from tests.needs import leave_out
from tests.page.chromium import Chromium, unavailable

#: Asks for everything in every way a page has, and tells what it could read.
SCRIPT = """
<!doctype html><title>evil</title><script>
const read = [];
const ask = async (url, mode) => {
  try {
    const answer = await fetch(url, {mode, cache: 'no-store'});
    if (answer.type !== 'opaque') read.push(`${url}: ${(await answer.text()).length}`);
  } catch (error) {}
};
const seen = url => new Promise(done => {
  const image = new Image();
  image.onload = image.onerror = () => done();
  image.src = url;
});
(async () => {
  for (const [port, paths] of Object.entries(PLACES))
    for (const path of paths)
      for (const host of ['127.0.0.1', 'localhost']) {
        const url = `http://${host}:${port}${path}`;
        await ask(url, 'cors');
        await ask(url, 'no-cors');
        await seen(url);
      }
  document.title = JSON.stringify(read);
})();
</script>
"""
FILE = "a-1-1-any.pkg.tar.zst"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


class _Pages(BaseHTTPRequestHandler):
    page = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *_: Any) -> None:
        pass


class Foreign(SynchronousTestCase):
    def setUp(self) -> None:
        leave_out(unavailable())
        self.folder = working_folder(1 << 20)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.lan, self.loopback = free_port(), free_port()
        conf = self.folder / "pacman.conf"
        conf.write_text(
            "[options]\nArchitecture = x86_64\n"
            f"DBPath = {self.folder}/db\nCacheDir = {self.folder}/cache\n"
        )
        config = self.folder / "flocon.toml"
        settings = {
            "pacman_conf": str(conf),
            "lan": f"tcp:{self.lan}:interface=127.0.0.1",
            "loopback": [f"tcp:{self.loopback}:interface=127.0.0.1"],
            "store": {"path": str(self.folder / "store")},
            "presence": {"port": free_port(), "interfaces": ["127.0.0.1"]},
        }
        config.write_text(to_toml(settings))
        command = [twistd(), "-n", "--pidfile=", "flocon", "--config", str(config)]
        node = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(node.wait, 10)
        self.addCleanup(node.terminate)
        wait_until(self.answers, 30, "the node answers")

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.loopback}{path}", timeout=30) as got:
            text: str = got.read().decode()
            return text

    def answers(self) -> bool:
        try:
            return bool(self.get("/check"))
        except OSError:
            return False

    def test_it_reads_nothing_and_has_nothing_done(self) -> None:
        places = {
            self.lan: ["/inventory", "/knock", f"/relay/core/any/{FILE}", f"/pkg/{FILE}"],
            self.loopback: ["/", "/status.json", "/doctor.json", f"/core/os/any/{FILE}"],
        }
        page = SCRIPT.replace("PLACES", repr({str(port): paths for port, paths in places.items()}))
        handler = type("Pages", (_Pages,), {"page": page.encode()})
        pages = HTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=pages.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(pages.shutdown)
        browser = Chromium()
        self.addCleanup(browser.close)
        with browser.tab() as tab:
            tab.open(f"http://127.0.0.1:{pages.server_port}/")
            title = tab.wait_for("document.title !== 'evil' && document.title", 60)
            asked = [url for url in tab.asked if not url.endswith(f":{pages.server_port}/")]
        self.assertEqual(title, "[]")
        self.assertGreaterEqual(len(asked), 40)
        self.assertEqual(self.get("/recent.json").strip(), "[]")
        figures = self.get("/metrics")
        for kind in ("inventories", "knocks", "relayed", "files"):
            self.assertNotIn(f'kind="{kind}"', figures)
        self.assertIn('reason="refused 403"', figures)

"""Headless Chromium, led by its DevTools protocol over a pipe; it knows nothing of flocon's page.

The browser is told from here and from nowhere else: it listens on no port, has a folder of its own
for all it writes, resolves no name, and ends when the pipe does, whatever becomes of this process.
What its tabs ask for and complain of is kept for the tests to look at.
The protocol is described at https://chromedevtools.github.io/devtools-protocol/.
"""

from __future__ import annotations

import atexit
import base64
import functools
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.lan.lan import environment, working_folder

PROGRAM = "chromium"
#: Seconds an answer may take; starting takes about two of them on an idle machine.
PATIENCE = 90.0
#: Seconds for a page to become what is waited for: it asks its node each second or so.
BECOMING = 45.0
#: Room that the browser's own files take, in bytes.
_ROOM = 256 << 20
_FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-proxy-server",
    "--password-store=basic",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)
#: Chromium reads the pipe as 3 and writes it as 4; these come as standard streams.
_TO_ITS_PIPE = 'exec "$@" 3<&0 4>&1 0</dev/null 1>&2'


def unavailable() -> str:
    """Return why there is no Chromium here, or nothing."""
    return "" if shutil.which(PROGRAM) else f"not installed: {PROGRAM}"


class Chromium:
    """The browser's process; ``close`` leaves nothing behind."""

    def __init__(self) -> None:
        self._folder = working_folder(_ROOM)
        self._log = self._folder / "output.log"
        program = shutil.which(PROGRAM) or PROGRAM
        flags = [*_FLAGS, f"--user-data-dir={self._folder}/profile"]
        if os.geteuid() == 0:
            # Chromium's own sandbox is not for root.
            flags.append("--no-sandbox")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", _TO_ITS_PIPE, "sh", program, *flags],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**environment(), "HOME": str(self._folder)},
            )
        self._number = 0
        self._unread = b""
        self._tabs: dict[str, Tab] = {}

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        shutil.rmtree(self._folder, ignore_errors=True)

    def tab(
        self,
        *,
        width: int = 1280,
        height: int = 800,
        dark: bool = False,
        script: bool = True,
        alone: bool = False,
    ) -> Tab:
        """Return a new empty tab: a phone's screen if it is narrow, else a desktop's.

        One that is ``alone`` has no cookies of others, as if it were in another browser.
        """
        where = {}
        if alone:
            where = self.send("Target.createBrowserContext")
        target = self.send("Target.createTarget", url="about:blank", **where)["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = self._tabs[session] = Tab(self, session, target)
        for domain in ("Page", "Runtime", "Log", "Network"):
            tab.send(f"{domain}.enable")
        narrow = width < 600
        tab.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if narrow else 1,
            mobile=narrow,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        tab.send("Emulation.setEmulatedMedia", features=[scheme])
        tab.send("Emulation.setScriptExecutionDisabled", value=not script)
        return tab

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def forget(self, session: str) -> None:
        """Keep no more of what a closed tab says."""
        self._tabs.pop(session, None)

    def send(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; AssertionError if the browser refuses or ends."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\0")
        self._process.stdin.flush()
        deadline = time.monotonic() + PATIENCE
        while (answer := self._receive(deadline)).get("id") != self._number:
            self._note(answer)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _note(self, event: dict[str, Any]) -> None:
        tab = self._tabs.get(event.get("sessionId", ""))
        if tab is not None:
            tab.note(event["method"], event["params"])

    def _receive(self, deadline: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while b"\0" not in self._unread:
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(pipe, 1 << 20) if ready else b""
            if not data:
                said = self._log.read_text(errors="replace")[-2_000:]
                raise AssertionError(
                    f"{PROGRAM} {'ended' if ready else 'does not answer'}:\n{said}"
                )
            self._unread += data
        message, _, self._unread = self._unread.partition(b"\0")
        received: dict[str, Any] = json.loads(message)
        return received


class Tab:
    """One page. ``asked`` are the addresses it asked for, ``complaints`` what went wrong on it."""

    def __init__(self, browser: Chromium, session: str, target: str) -> None:
        self._browser = browser
        self._session = session
        self._target = target
        self.asked: list[str] = []
        self.complaints: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._browser.forget(self._session)
        self._browser.send("Target.closeTarget", targetId=self._target)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command that is about this tab."""
        return self._browser.send(method, self._session, **parameters)

    def note(self, method: str, parameters: dict[str, Any]) -> None:
        """Take note of an event."""
        if method == "Network.requestWillBeSent":
            self.asked.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(parameters["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(json.dumps(parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in {"warning", "error"}:
            entry = parameters["entry"]
            self.complaints.append(f"{entry['text']} {entry.get('url', '')}")
        elif method == "Page.javascriptDialogOpening":
            self.complaints.append(f"a dialog: {parameters['message']}")
            # Nothing else is answered while it is open; the answer to this is nobody's.
            self.send("Page.handleJavaScriptDialog", accept=False)

    def open(self, address: str) -> None:
        """Go there and wait until all of it is loaded."""
        answer = self.send("Page.navigate", url=address)
        if "errorText" in answer:
            raise AssertionError(f"{address}: {answer['errorText']}")
        # The tab's empty page was complete, too.
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the page, as JSON has it."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, expression: str, timeout: float = BECOMING) -> Any:
        """Return the first true value of an expression; AssertionError after ``timeout`` seconds.

        The page may be another one meanwhile: one that just goes, or is there by half, cannot
        answer.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                value = self.evaluate(expression)
            except AssertionError as error:
                value = None
                if time.monotonic() > deadline or self._browser.has_ended():
                    raise AssertionError(f"not within {timeout:g} s: {expression}") from error
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout:g} s: {expression} (last: {value!r})")
            time.sleep(0.05)

    def type(self, text: str) -> None:
        """Write into what has the focus."""
        self.send("Input.insertText", text=text)

    def press_enter(self) -> None:
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r")

    def picture(self, path: Path, height: int | None = None) -> None:
        """Write the whole page, also what one would have to scroll to, as PNG; or its top."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        if height is not None:
            size["height"] = height
        shot = self.send(
            "Page.captureScreenshot", captureBeyondViewport=True, clip={**size, "scale": 1}
        )
        path.write_bytes(base64.b64decode(shot["data"]))


@functools.cache
def shared() -> Chromium:
    """Return the one that all tests of a process share; it takes two seconds to start."""
    browser = Chromium()
    atexit.register(browser.close)
    return browser

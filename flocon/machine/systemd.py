"""Tells systemd how the node is: sd_notify(3), without libsystemd.

Here are the datagrams and when they go. What the status line says is for the caller to know, and
log lines go another way (``journal``). Without systemd's variables nothing is sent.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Seconds between two looks at the status line where no watchdog asks for more.
STATUS_INTERVAL = 30.0
#: Seconds after which a beat that systemd did not get is tried again: two that are lost end a node.
BEAT_AGAIN = 0.5
#: Seconds that a datagram may wait for room in systemd's queue: the reactor waits with it.
_PATIENCE = 0.03
#: systemd keeps a line; a longer one has lost its reader anyway.
_LONGEST_STATUS = 512


class Notifier:
    """Sends states to systemd's socket at ``address``, or nowhere where that is empty.

    ``address`` is what ``$NOTIFY_SOCKET`` holds: a path, or an abstract name after ``@``; another
    kind (``vsock:``) is for virtual machines that speak to their host, and counts as none.
    """

    _log = Logger()

    def __init__(self, address: str = "") -> None:
        self._address = ""
        if address.startswith("@"):
            self._address = "\0" + address[1:]
        elif address.startswith("/"):
            self._address = address

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Notifier:
        """Return one for the socket that the environment names."""
        return cls(environment.get("NOTIFY_SOCKET", ""))

    @property
    def supervised(self) -> bool:
        """Whether anybody listens."""
        return bool(self._address)

    def send(self, *assignments: str) -> bool:
        """Send ``VARIABLE=value`` lines in one datagram; return whether systemd has them."""
        if not self._address:
            return False
        data = "\n".join(assignments).encode("utf-8", "replace")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.settimeout(_PATIENCE)
            try:
                sender.connect(self._address)
                sender.send(data)
            except OSError as error:
                self._log.debug("systemd was not told: {error}", error=error)
                return False
        return True


def watchdog_interval(environment: Mapping[str, str], process: int) -> float:
    """Return the seconds between two beats, half of what systemd allows; 0 for no watchdog.

    ``process`` is the id of this process: ``$WATCHDOG_PID`` may name another one.
    """
    microseconds = environment.get("WATCHDOG_USEC", "")
    named = environment.get("WATCHDOG_PID", str(process))
    if not (microseconds.isascii() and microseconds.isdigit()) or named != str(process):
        return 0.0
    return int(microseconds) / 2e6


def monotonic_microseconds() -> int:
    """Return CLOCK_MONOTONIC, which systemd compares a reload's beginning with."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


class Supervision(Service):
    """Says ready, reloading and stopping, beats the watchdog and keeps the status line.

    The beat comes from the reactor, so a reactor that is held for longer than systemd allows has
    the node restarted. ``status`` returns the line that ``systemctl status`` shows; it is asked at
    each beat and sent where it is another one. Attached last, it says ready when all else has
    started, and stopping before all else stops.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        status: Callable[[], str],
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._reactor = reactor
        self._status = status
        self._notifier = Notifier.from_environment(environment)
        self._watchdog = watchdog_interval(environment, os.getpid())
        self._said = ""
        self._beat: Any = None

    def startService(self) -> None:
        super().startService()
        if self._notifier.supervised:
            self._notifier.send("READY=1", *self._news())
            self._schedule(self._watchdog or STATUS_INTERVAL)

    def stopService(self) -> None:
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
        self._notifier.send("STOPPING=1", "STATUS=Stopping")
        super().stopService()

    def reloading(self) -> None:
        """Say that the configuration is being read again; ``reloaded`` must follow."""
        self._notifier.send("RELOADING=1", f"MONOTONIC_USEC={monotonic_microseconds()}")

    def reloaded(self) -> None:
        """Say that the new configuration is in force, or that the old one stays."""
        self._notifier.send("READY=1", *self._news())

    def tell(self) -> None:
        """Send the status line now, where it has changed; otherwise the next beat does."""
        if news := self._news():
            self._notifier.send(*news)

    def _schedule(self, seconds: float) -> None:
        self._beat = self._reactor.callLater(seconds, self._beaten)

    def _beaten(self) -> None:
        news = self._news()
        if self._watchdog:
            news.insert(0, "WATCHDOG=1")
        arrived = not news or self._notifier.send(*news)
        pause = self._watchdog or STATUS_INTERVAL
        self._schedule(pause if arrived else min(pause, BEAT_AGAIN))

    def _news(self) -> list[str]:
        try:
            text = self._status()
        except Exception:  # noqa: BLE001 - a broken status line must not end the watchdog
            self._log.failure("the status line could not be made")
            return []
        line = " ".join(text.split())[:_LONGEST_STATUS]
        if line == self._said:
            return []
        self._said = line
        return [f"STATUS={line}"]

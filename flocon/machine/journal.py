"""Log events as entries of systemd's journal, with their level and fields.

``twistd --logger=flocon.machine.journal.observer`` uses it. Under systemd an event goes to
journald's own socket (systemd.io/JOURNAL_NATIVE_PROTOCOL); anywhere else it is a line of text on
standard output, as twistd writes it. What is worth logging is for the others to decide.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    formatEvent,
    formatEventAsClassicLogText,
)
from zope.interface import implementer

from flocon.secrecy import without_any_passwords

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TextIO

    from twisted.logger import LogEvent

JOURNAL_SOCKET = "/run/systemd/journal/socket"
#: syslog(3)'s priorities.
_PRIORITIES = {
    LogLevel.debug: 7,
    LogLevel.info: 6,
    LogLevel.warn: 4,
    LogLevel.error: 3,
    LogLevel.critical: 2,
}
#: What is logged at all: ``show_debug`` lets more through.
_threshold = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)
#: Fields of an event that are the logger's own, not the message's.
_INTERNAL = re.compile(r"_|log_|(?:isError|failure|format|message|system|time|why)$")
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,40}")
#: A datagram of this size passes the default socket buffers; a traceback beyond it loses its head.
_LONGEST_MESSAGE = 48 << 10
_LONGEST_VALUE = 512


@implementer(ILogObserver)
class JournalObserver:
    """Sends each event to journald; a message that it does not take is counted and told later.

    The socket never blocks: a journal that is slow costs its own entries, not the reactor's time.
    """

    def __init__(self, address: str = JOURNAL_SOCKET) -> None:
        self._address = address
        self._socket = socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        )
        self.lost = 0

    def __call__(self, event: LogEvent) -> None:
        if self.lost:
            count = f"{self.lost} log messages were lost: the journal did not take them"
            if not self._send({"MESSAGE": count, "PRIORITY": "4", "SYSLOG_IDENTIFIER": "flocon"}):
                self.lost += 1
                return
            self.lost = 0
        self.lost += not self._send(fields_of(event))

    def _send(self, fields: Mapping[str, str]) -> bool:
        try:
            self._socket.sendto(b"".join(_encode(fields)), self._address)
        except OSError as error:
            # A restarting journald is gone for a moment; what is too long will never go.
            return error.errno == errno.EMSGSIZE
        return True

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


def fields_of(event: LogEvent) -> dict[str, str]:
    """Return the journal's fields for an event; its plain values become FLOCON_NAME."""
    text = formatEvent(event)
    if "log_failure" in event:
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
    fields = {
        "MESSAGE": without_any_passwords(text)[-_LONGEST_MESSAGE:],
        "PRIORITY": str(_PRIORITIES.get(event.get("log_level", LogLevel.info), 6)),
        "SYSLOG_IDENTIFIER": "flocon",
        "LOGGER": str(event.get("log_namespace") or "-"),
    }
    for name, value in event.items():
        plain = isinstance(value, (str, int, float, os.PathLike))
        if plain and _FIELD.fullmatch(name) and not _INTERNAL.match(name):
            fields[f"FLOCON_{name.upper()}"] = without_any_passwords(str(value))[:_LONGEST_VALUE]
    return fields


def _line_of(event: LogEvent) -> str | None:
    line = formatEventAsClassicLogText(event)
    return without_any_passwords(line) if line else line


def _encode(fields: Mapping[str, str]) -> Iterator[bytes]:
    for name, value in fields.items():
        data = value.encode("utf-8", "backslashreplace")
        if b"\n" in data:
            yield b"%s\n%s%s\n" % (name.encode(), len(data).to_bytes(8, "little"), data)
        else:
            yield b"%s=%s\n" % (name.encode(), data)


def journal_reads(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Return whether ``stream`` is the one that systemd connected to the journal."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(status.st_dev), str(status.st_ino))


def show_debug(shown: bool) -> None:
    """Let debug events through, or not: for ``--debug``, also after the observer was made."""
    _threshold.setLogLevelForNamespace("", LogLevel.debug if shown else LogLevel.info)


def observer() -> FilteringLogObserver:
    """Return the observer that fits where this process runs: what ``twistd --logger`` calls."""
    # Twisted replaces sys.stdout by its log; the process's own one is meant here.
    stream = sys.__stdout__ or sys.stdout
    chosen: ILogObserver = FileLogObserver(stream, _line_of)
    if journal_reads(stream, os.environ) and Path(JOURNAL_SOCKET).is_socket():
        chosen = JournalObserver()
    return FilteringLogObserver(chosen, [_threshold])

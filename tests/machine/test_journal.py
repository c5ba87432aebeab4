"""What journald receives, over a real datagram socket."""

from __future__ import annotations

import io
import os
import socket
import struct
import sys
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.journal import (
    JournalObserver,
    _threshold,
    fields_of,
    journal_reads,
    observer,
    show_debug,
)


def entry(data: bytes) -> dict[str, str]:
    """Read one entry as systemd.io/JOURNAL_NATIVE_PROTOCOL says."""
    fields = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack_from("<Q", data)
            value, data = data[8 : 8 + length], data[8 + length + 1 :]
        fields[name.decode()] = value.decode()
    return fields


class JournalTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.address = str(Path(folder.name) / "journal")
        self.journald = self.listen()
        self.observer = JournalObserver(self.address)
        self.addCleanup(self.observer.close)
        self.log = Logger(namespace="flocon.test", observer=self.observer)

    def listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.addCleanup(listener.close)
        listener.bind(self.address)
        return listener

    def received(self) -> dict[str, str]:
        return entry(self.journald.recv(1 << 20))


class Passwords(JournalTestCase):
    SECRET = "http://alice:s3cret@mirror.example/core.db"

    def test_none_is_logged(self) -> None:
        self.log.warn("{file}: {failure}", file=self.SECRET, failure=ValueError(self.SECRET))
        self.assertNotIn("s3cret", "".join(self.received().values()))
        self.log.failure("failed", Failure(ValueError(self.SECRET)))
        told = self.received()
        self.assertIn("***@mirror.example", told["MESSAGE"])
        self.assertNotIn("s3cret", "".join(told.values()))

    def test_none_is_written_where_there_is_no_journal(self) -> None:
        stream = io.StringIO()
        self.patch(sys, "__stdout__", stream)
        log = Logger(namespace="flocon.test", observer=observer())
        log.warn("{failure}", failure=self.SECRET)
        self.assertIn("***@mirror.example", stream.getvalue())
        self.assertNotIn("s3cret", stream.getvalue())


class Entries(JournalTestCase):
    def test_message_level_and_fields(self) -> None:
        self.log.warn("{peer} sent {count} wrong bytes", peer="laptop", count=3)
        self.assertEqual(
            self.received(),
            {
                "MESSAGE": "laptop sent 3 wrong bytes",
                "PRIORITY": "4",
                "SYSLOG_IDENTIFIER": "flocon",
                "LOGGER": "flocon.test",
                "FLOCON_PEER": "laptop",
                "FLOCON_COUNT": "3",
            },
        )

    def test_each_level_has_its_priority(self) -> None:
        for level, priority in (
            (LogLevel.debug, "7"),
            (LogLevel.info, "6"),
            (LogLevel.warn, "4"),
            (LogLevel.error, "3"),
            (LogLevel.critical, "2"),
        ):
            self.log.emit(level, "x")
            self.assertEqual(self.received()["PRIORITY"], priority)

    def test_a_failure_brings_its_traceback(self) -> None:
        try:
            _ = 1 // len("")
        except ZeroDivisionError:
            self.log.failure("it broke")
        message = self.received()["MESSAGE"]
        self.assertTrue(message.startswith("it broke\nTraceback"), message)
        self.assertIn("ZeroDivisionError", message)

    def test_a_line_break_in_a_value_makes_no_field(self) -> None:
        self.log.info("{peer}", peer="laptop\nPRIORITY=0\n_UID=0")
        received = self.received()
        self.assertEqual(received["FLOCON_PEER"], "laptop\nPRIORITY=0\n_UID=0")
        self.assertEqual(received["PRIORITY"], "6")
        self.assertNotIn("_UID", received)

    def test_a_message_far_too_long_keeps_its_end(self) -> None:
        self.log.info("{text}", text="x" * (1 << 20) + "end")
        self.assertTrue(self.received()["MESSAGE"].endswith("xend"))

    @settings(max_examples=150, deadline=None)
    @given(st.dictionaries(st.text(min_size=1), st.text() | st.integers() | st.binary()))
    def test_whatever_is_logged_every_name_is_one_journald_takes(
        self, event: dict[str, object]
    ) -> None:
        for name in fields_of({**event, "log_format": "x", "log_level": LogLevel.info}):
            self.assertRegex(name, r"\A[A-Z][A-Z0-9_]{0,63}\Z")


class Trouble(JournalTestCase):
    def test_what_was_lost_is_told_when_the_journal_is_back(self) -> None:
        self.journald.close()
        Path(self.address).unlink()
        self.log.info("one")
        self.log.info("two")
        self.journald = self.listen()
        self.log.info("three")
        self.assertIn("2 log messages were lost", self.received()["MESSAGE"])
        self.assertEqual(self.received()["MESSAGE"], "three")

    def test_a_full_journal_costs_entries_and_no_time(self) -> None:
        for _ in range(2000):
            self.log.info("again")
        self.assertGreater(self.observer.lost, 0)


class Choice(SynchronousTestCase):
    def test_the_stream_is_told_by_its_inode(self) -> None:
        with tempfile.TemporaryFile("w+") as stream:
            status = os.fstat(stream.fileno())
            meant = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
            self.assertTrue(journal_reads(stream, meant))
            other = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"}
            self.assertFalse(journal_reads(stream, other))
            self.assertFalse(journal_reads(stream, {}))

    def test_debug_is_left_out_unless_asked_for(self) -> None:
        text = io.StringIO()
        self.patch(sys, "__stdout__", text)
        log = Logger(namespace="flocon.test", observer=observer())
        log.debug("small talk")
        log.info("news")
        self.assertIn("news", text.getvalue())
        self.assertNotIn("small talk", text.getvalue())
        self.addCleanup(_threshold.clearLogLevels)
        show_debug(True)
        log.debug("small talk")
        self.assertIn("small talk", text.getvalue())

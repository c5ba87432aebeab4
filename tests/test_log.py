"""Debug lines come only where they were asked for."""

from __future__ import annotations

from typing import Any

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from flocon.log import logger, show_debug


class Thing:
    """What logs by a class attribute."""

    log = logger()


class Debug(SynchronousTestCase):
    def setUp(self) -> None:
        self.events: list[dict[str, Any]] = []

        @implementer(ILogObserver)
        def note(event: LogEvent) -> None:
            self.events.append(event)

        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)
        self.addCleanup(show_debug, False)
        show_debug(False)

    def said(self) -> list[str]:
        """Let one line of each kind be logged; return those that came through."""
        self.events.clear()
        Thing().log.debug("debug")
        Thing().log.info("info")
        Thing().log.warn("warn")
        return [event["log_format"] for event in self.events]

    def test_debug_lines_are_kept_back(self) -> None:
        self.assertEqual(self.said(), ["info", "warn"])

    def test_what_is_kept_back_takes_no_time(self) -> None:
        made: list[LogEvent] = []
        for event in ("debug", "info"):
            one = logger("flocon.some.module")
            one.observer = made.append  # type: ignore[assignment]  # is called alone
            getattr(one, event)(event)
        self.assertEqual([event["log_format"] for event in made], ["info"])

    def test_debug_lines_come_once_they_are_asked_for(self) -> None:
        show_debug(True)
        self.assertEqual(self.said(), ["debug", "info", "warn"])

    def test_debug_lines_can_be_turned_off_again(self) -> None:
        show_debug(True)
        show_debug(False)
        self.assertEqual(self.said(), ["info", "warn"])

    def test_a_modules_logger_has_its_name(self) -> None:
        logger("flocon.some.module").info("x")
        self.assertEqual(self.events[-1]["log_namespace"], "flocon.some.module")

    def test_a_classs_logger_has_the_name_of_its_module_or_class(self) -> None:
        Thing().log.info("x")
        self.assertIn("test_log", self.events[-1]["log_namespace"])

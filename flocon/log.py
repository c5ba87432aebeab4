"""Loggers that keep debug lines to themselves until they are asked for.

twistd writes every level to its log; what tells of each request or peer is for ``--debug`` only.
"""

from __future__ import annotations

from twisted.logger import (
    FilteringLogObserver,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogPublisher,
)

_gate = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)
_observer = FilteringLogObserver(globalLogPublisher, [_gate])


class _Logger(Logger):
    """A logger that does nothing at all for a debug line nobody is to see."""

    def debug(self, format: str | None = None, **kwargs: object) -> None:  # noqa: A002
        if _gate.logLevelForNamespace("") is LogLevel.debug:
            super().debug(format, **kwargs)


def logger(namespace: str | None = None) -> Logger:
    """Return a logger for a class attribute, or with a ``namespace`` for a module."""
    return _Logger(namespace=namespace or __name__, observer=_observer)


def show_debug(shown: bool) -> None:
    """Let debug lines through, or not."""
    _gate.setLogLevelForNamespace("", LogLevel.debug if shown else LogLevel.info)

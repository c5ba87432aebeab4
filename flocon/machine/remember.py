"""Small things remembered across restarts, as JSON beside the store; lost ones are no disaster.

What lies there may be damaged, or put there by somebody: it is read as ``beneath`` reads, and what
cannot be used is put aside for who wants to know, and said in one sentence.
"""

from __future__ import annotations

import json
import math
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from flocon.log import logger
from flocon.machine.beneath import ASIDE, put_aside, read_small, write_small

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Nothing that is remembered comes near; a larger file is not ours.
LARGEST = 4 << 20

_log = logger(__name__)


def recall(path: Path, is_sound: Callable[[Any], bool] = lambda _: True) -> Any:
    """Return what was remembered at ``path``, or None where nothing readable is.

    Of what ``is_sound`` finds damaged a copy is put aside, and the caller takes what is good of it.
    """
    try:
        value = json.loads(
            read_small(path, LARGEST), parse_float=_finite, parse_constant=_refuse_constant
        )
        # Half a character is no text that a page or a log could show: that is a ValueError, too.
        json.dumps(value, ensure_ascii=False).encode()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        _log.warn("{path} cannot be read: {reason}", path=path, reason=error.strerror)
        return None
    except (OSError, ValueError, RecursionError) as error:
        _say(path, _reason(error), put_aside(path))
        return None
    if not is_sound(value):
        _say(path, "some of it is damaged", _copy_aside(path))
    return value


def remember(path: Path, value: Any) -> bool:
    """Write ``value`` so that either all of it or what was there before is found; False if not."""
    try:
        write_small(path, json.dumps(value, allow_nan=False).encode())
    except (OSError, ValueError):
        return False
    return True


class Notebook:
    """Remembers the newest value in a thread: one write at a time, however many are asked for.

    A disk can take seconds for each, and the threads are there for others too.
    """

    def __init__(self, reactor: Any, path: Path) -> None:
        self._reactor = reactor
        self._path = path
        self._next: list[Any] = []
        self._writing: Deferred[None] | None = None
        #: Whether the last value could not be written.
        self.failed = False

    def write(self, value: Any) -> Deferred[None]:
        """Remember ``value``, unless a newer one comes first; fires when all is written."""
        self._next = [value]
        if self._writing is None or self._writing.called:
            self._writing = Deferred.fromCoroutine(self._write())
        return self._writing

    async def _write(self) -> None:
        while self._next:
            (value,), self._next = self._next, []
            threads = self._reactor.getThreadPool()
            written = await deferToThreadPool(self._reactor, threads, remember, self._path, value)
            self.failed = not written
            if self.failed:
                _log.debug("{path} could not be written", path=self._path)


def _refuse_constant(constant: str) -> float:
    raise ValueError(f"{constant} is not a number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is not a number")
    return number


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "it is not JSON" if isinstance(error, json.JSONDecodeError) else str(error)[:200]


def _copy_aside(path: Path) -> Path | None:
    aside = path.with_name(path.name + ASIDE)
    with suppress(OSError):
        aside.unlink(missing_ok=True)
        shutil.copyfile(path, aside, follow_symlinks=False)
        return aside
    return None


def _say(path: Path, reason: str, aside: Path | None) -> None:
    _log.warn(
        "{path} is not used as it is: {reason}; {rest}",
        path=path,
        reason=reason,
        rest=f"it lies in {aside} now" if aside else "it cannot be put aside, remove it",
    )

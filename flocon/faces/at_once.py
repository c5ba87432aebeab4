"""Answers to pacman in the turn it asks in: what is small, listed, held here, and needs no disk.

Hundreds of small packages that came ahead take longer to be asked for than to be sent: all that
can be is done after pacman has them. What is answered is what ``pacman_request`` would answer, byte
for byte; where there is any doubt that does.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flocon.answering.held import whole_answer
from flocon.books.recent import Answered, kind_of
from flocon.faces.pacman_request import SOURCE_HEADER
from flocon.files import Kind, parse_path
from flocon.machine.threads import Alarm

if TYPE_CHECKING:
    from collections.abc import Callable

    from flocon.faces.needs import ForPacman, Found
    from flocon.files import Asked
    from flocon.pacman.entries import Entry

#: Seconds for which databases are those that were read a moment ago: to look takes a few stats.
LOOKED_LATELY = 0.01
#: Seconds after the last answer that they are written down, how many may wait for that, and how
#: many are in one turn.
LATER = 0.1
MOST_UNWRITTEN = 1_024
AT_A_TIME = 100


class HeldAtOnce:
    """Has whole answers; ``write_down`` is told of each, a moment later."""

    def __init__(self, parts: ForPacman, write_down: Callable[[Answered], None]) -> None:
        self._parts = parts
        self._write_down = write_down
        self._looked = float("-inf")
        self._unwritten: list[Answered] = []
        self._later = Alarm(parts.reactor, self._due)

    def find(self, user: int | None, path: bytes) -> tuple[Asked, bytes] | None:
        """Return what pacman asks for and the whole answer to it; None where it is not for here."""
        parts, asked = self._parts, parse_path(path)
        if asked is None or asked.file.kind is not Kind.PACKAGE or not self._is_settled():
            return None
        entry = parts.listed.entry(asked)
        if entry is None or not parts.precedence.is_pacman(user):
            return None
        held = parts.offering.find(asked.file.subject, entry.content)
        if held is None:
            return None
        answer = self._answer(asked, entry, held)
        return None if answer is None else (asked, answer)

    def _answer(self, asked: Asked, entry: Entry, held: Found) -> bytes | None:
        parts, is_signature = self._parts, asked.file.is_signature
        read = parts.opening.read_at_once(held, signature=is_signature)
        if read is None:
            return None
        if is_signature:
            parts.redirecting.arrived(asked.file.subject)
        elif not parts.redirecting.wanted():
            parts.packages.asked_for(entry)
        data, modified = read
        source, size = held.origin, len(data)
        parts.traffic.answers[kind_of(source)] += 1
        parts.traffic.to_pacman(size)
        parts.precedence.gave()
        # It took next to no time.
        told = Answered(asked.file.text, asked.repository, time.time(), 0.0, 200, source, size)
        self._write_later(told)
        digest = None if is_signature else entry.sha256
        return whole_answer(data, modified, digest, {SOURCE_HEADER: source})

    def _is_settled(self) -> bool:
        now = self._parts.reactor.seconds()
        if now - self._looked >= LOOKED_LATELY:
            if not self._parts.listed.is_settled():
                return False
            self._looked = now
        return True

    def _write_later(self, answered: Answered) -> None:
        self._unwritten.append(answered)
        if len(self._unwritten) >= MOST_UNWRITTEN:
            self.write(AT_A_TIME)
        self._later.set(self._parts.reactor.seconds() + LATER)

    def _due(self) -> None:
        """Write some where nobody has asked for a moment, and the rest in turns to come."""
        self.write(AT_A_TIME)
        if self._unwritten:
            self._later.set(self._parts.reactor.seconds())

    def write(self, most: int = MOST_UNWRITTEN) -> None:
        """Write down now what was answered, the first so many."""
        ready, self._unwritten = self._unwritten[:most], self._unwritten[most:]
        for one in ready:
            self._write_down(one)
        if not self._unwritten:
            self._later.stop()

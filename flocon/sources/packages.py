"""How a package comes that pacman asked for: on its way already, through the LAN, or not.

Whom its transfer asks is said by choosers; that pacman may be sent elsewhere is ``redirecting``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.transfers.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from flocon.files import Asked
    from flocon.neighbours.neighbourhood import Neighbourhood
    from flocon.pacman.entries import Entry
    from flocon.sources.candidates import Candidates
    from flocon.sources.choosing import Choosing
    from flocon.transfers.transfer import Transfer
    from flocon.transfers.transfers import Transfers

#: Bytes that pacman has of a file already and that are fetched again, to verify all of it.
MOST_FETCHED_AGAIN = 1 << 20


class Packages:
    """Begins what brings packages, or lets pacman join it."""

    def __init__(
        self,
        candidates: Candidates,
        choosing: Choosing,
        transfers: Transfers,
        neighbourhood: Neighbourhood,
    ) -> None:
        self._candidates = candidates
        self._choosing = choosing
        self._transfers = transfers
        self._neighbourhood = neighbourhood
        #: Told of each listed package that pacman asks for.
        self.asked_for: Callable[[Entry], None] = lambda _: None

    def transfer(self, asked: Asked, entry: Entry | None, start: int) -> Transfer:
        """Return the transfer that brings a package.

        The rest of a file that nobody on the LAN holds is taken from the mirrors as it is, once
        much of it is there: fetching all again to verify it would cost more than it saves.
        """
        servers = self._candidates.servers(asked, entry)
        name = asked.file.text
        if entry is None:
            mirrors = self._choosing.chooser(name, servers, None)
            return self._transfers.alone(Subject(name), mirrors, mirrors.mirrors)
        running = self._transfers.find(name, entry.content)
        if (
            start > MOST_FETCHED_AGAIN
            and running is None
            and not self._neighbourhood.holding(entry.file_name, entry.content)
        ):
            mirrors = self._choosing.chooser(name, servers, None)
            return self._transfers.alone(Subject(name, start=start), mirrors, mirrors.mirrors)
        # Others may follow what was begun for them: two owners must not wait for each other.
        relays = not (running and running.begun_by)
        everybody = self._choosing.chooser(name, servers, entry, relays=relays)
        if running is None:
            subject = Subject(name, entry.content)
            return self._transfers.join(subject, everybody, everybody.mirrors)
        running.widen(everybody, everybody.mirrors)
        running.spares = False
        return running

    def ahead(self, asked: Asked, entry: Entry, *, mirrors: bool, spares: bool = True) -> Transfer:
        """Return the transfer that brings a listed package for which nobody waits.

        Without ``mirrors`` it comes from who holds it, or from an owner that has it on its way. It
        ``spares`` what was used lately: if only without that it could be kept, it is not.
        """
        name = asked.file.text
        running = self._transfers.find(name, entry.content)
        if running is not None:
            # Somebody else's, who has said already whom it may ask.
            return running
        servers = self._candidates.servers(asked, entry)
        chooser = self._choosing.chooser(name, servers, entry, near=not mirrors)
        transfer = self._transfers.join(
            Subject(name, entry.content),
            chooser,
            chooser.mirrors if mirrors else tuple,
            unhurried=True,
        )
        transfer.near, transfer.spares = not mirrors, spares
        return transfer

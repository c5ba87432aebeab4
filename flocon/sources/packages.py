"""How a package comes that pacman asked for: on its way already, through the LAN, or not.

Whom its transfer asks is said by choosers; that pacman may be sent elsewhere is ``redirecting``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.transfers.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flocon.files import Asked
    from flocon.neighbours.neighbourhood import Neighbourhood
    from flocon.pacman.entries import Entry
    from flocon.sources.candidates import Candidates
    from flocon.sources.choosing import Choosing
    from flocon.transfers.transfer import Transfer
    from flocon.transfers.transfers import Transfers

#: Bytes that pacman has of a file already and that are fetched again, to verify all of it.
MOST_FETCHED_AGAIN = 1 << 20
#: What one local user may have coming at a time that is not verified here, and what all may.
MOST_OF_A_USER, MOST_OF_ALL = 16, 32


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
        #: What comes unverified, with what was asked and the user who asked first.
        self._unverified: list[tuple[tuple[Asked, int], int | None, Transfer]] = []
        #: Told of each listed package that pacman asks for.
        self.asked_for: Callable[[Entry], None] = lambda _: None

    def transfer(
        self, asked: Asked, entry: Entry | None, start: int, user: int | None = None
    ) -> Transfer | None:
        """Return the transfer that brings a package; None where ``user`` has too much coming.

        The rest of a file that nobody on the LAN holds is taken from the mirrors as it is, once
        much of it is there: fetching all again to verify it would cost more than it saves. Who asks
        for the same rest joins it; who has many such on their way waits for the whole.
        """
        if entry is None:
            return self._unverified_from(asked, 0, user)
        servers = self._candidates.servers(asked, entry)
        name = asked.file.text
        running = self._transfers.find(name, entry.content)
        if (
            start > MOST_FETCHED_AGAIN
            and running is None
            and not self._neighbourhood.is_held(entry.file_name, entry.content)
            and not self.is_elsewhere(entry)
        ):
            rest = self._unverified_from(asked, start, user, servers)
            if rest is not None:
                return rest
        # Others may follow what was begun for them: two owners must not wait for each other.
        relays = not (running and running.terms.begun_by)
        everybody = self._choosing.chooser(name, servers, entry, relays=relays)
        if running is None:
            subject = Subject(name, entry.content)
            return self._transfers.join(subject, everybody, everybody.mirrors)
        running.widen(everybody, everybody.mirrors)
        running.terms.spares = False
        return running

    def _unverified_from(
        self, asked: Asked, start: int, user: int | None, servers: Sequence[str] | None = None
    ) -> Transfer | None:
        """Return what brings a file from the mirrors as it is; None where too much comes so."""
        self._unverified = [
            one for one in self._unverified if not one[2].finished.known or one[2].followed
        ]
        for what, _, transfer in self._unverified:
            if what == (asked, start) and not transfer.finished.known:
                return transfer
        of_user = sum(whose == user for _, whose, _ in self._unverified)
        if of_user >= MOST_OF_A_USER or len(self._unverified) >= MOST_OF_ALL:
            return None
        name = asked.file.text
        if servers is None:
            servers = self._candidates.servers(asked, None)
        mirrors = self._choosing.chooser(name, servers, None)
        transfer = self._transfers.alone(Subject(name, start=start), mirrors, mirrors.mirrors)
        self._unverified.append(((asked, start), user, transfer))
        return transfer

    def is_elsewhere(self, entry: Entry) -> bool:
        """Whether one of other tools' machines is known to have a listed package."""
        return bool(self._candidates.foreign(entry))

    def ahead(self, asked: Asked, entry: Entry, *, mirrors: bool, spares: bool = True) -> Transfer:
        """Return the transfer that brings a listed package for which nobody waits.

        Without ``mirrors`` it comes from who holds it, or from an owner that has it on its way. It
        ``spares`` what was used lately: if only without that it could be kept, it is not.
        """
        name = asked.file.text
        running = self._transfers.find(name, entry.content)
        if running is not None:
            # Somebody else's, who has said already whom it may ask; but not how fast it comes.
            running.let_run()
            running.terms.wanted_here = True
            return running
        servers = self._candidates.servers(asked, entry)
        chooser = self._choosing.chooser(name, servers, entry, near=not mirrors)
        transfer = self._transfers.join(
            Subject(name, entry.content),
            chooser,
            chooser.mirrors if mirrors else tuple,
            unhurried=True,
        )
        terms = transfer.terms
        terms.near, terms.spares, terms.wanted_here = not mirrors, spares, True
        return transfer

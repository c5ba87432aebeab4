"""What this node fetches because a machine without a node asks for it: what a state lists.

From who holds it on the LAN, has it on its way there, or is a mirror; once however many ask, and
all of it: it is kept. Nobody else is had to fetch it, who may have this node for a mirror. How much
anybody may have fetched is ``allowances``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TooLate

from flocon.asking.source import Came
from flocon.transfers.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from flocon.files import Asked
    from flocon.pacman.entries import Entry
    from flocon.pacman.watch import PacmanWatch
    from flocon.sources.allowances import Allowances
    from flocon.sources.candidates import Candidates
    from flocon.sources.choosing import Choosing
    from flocon.transfers.transfer import Transfer
    from flocon.transfers.transfers import Transfers

#: Seconds for which a client waits for its turn: pacman gives up after ten.
PATIENCE = 7.0
#: Requests that wait for their turn.
MOST_WAITING = 1_024


class ForClients:
    """Brings listed packages to machines without a node."""

    def __init__(
        self,
        reactor: Any,
        *,
        pacman: PacmanWatch,
        candidates: Candidates,
        choosing: Choosing,
        transfers: Transfers,
        allowances: Allowances,
    ) -> None:
        self._reactor = reactor
        self._pacman = pacman
        self._candidates = candidates
        self._choosing = choosing
        self._transfers = transfers
        self.allowances = allowances
        #: Who waits for a place, the first first.
        self._waiting: list[tuple[str, Deferred[None]]] = []
        #: Tells whether a client is a caching proxy that this node asks itself: at this place, or
        #: at any.
        self.is_parent: Callable[[str, str], bool] = lambda *_: False
        #: Told of a client and of the bytes that crossed the WAN for it.
        self.fetched: Callable[[str, int], None] = lambda *_: None

    def coming(self, entry: Entry) -> Transfer | None:
        """Return what brings a listed package now, None where nothing does."""
        return self._transfers.find(entry.file_name, entry.content)

    async def transfer(
        self, asked: Asked, entry: Entry, client: str, *, looks: bool
    ) -> Transfer | None:
        """Return what brings a listed package; None where too much is fetched for ``client``.

        It ``looks`` whether others have it on its way, unless who asks may be one of them.
        """
        while True:
            running = self.coming(entry)
            if running is not None and self._goes_round(client, running):
                # It would wait for itself.
                self.allowances.counters["clients gone round"] += 1
                return None
            if running is not None:
                return self._joined(asked, entry, client, running, looks=looks)
            if self.allowances.is_spent(client, self._reactor.seconds()):
                return None
            if self.allowances.has_place(client):
                return self._begin(asked, entry, client, looks=looks)
            if not await self._turn(client):
                return None

    def _goes_round(self, client: str, running: Transfer) -> bool:
        """Whether a client is the caching proxy by which the same file is coming here."""
        return any(self.is_parent(client, one.key) for one in running.parents)

    def _joined(
        self, asked: Asked, entry: Entry, client: str, running: Transfer, *, looks: bool
    ) -> Transfer:
        """Let what comes already come from all whom this client may have asked."""
        if running.terms.near or running.terms.begun_by or running.unhurried:
            # Others may follow what was begun for them: two owners must not wait for each other.
            looks = looks and not running.terms.begun_by
            chooser = self._chooser(asked, entry, client, looks=looks)
            running.widen(chooser, chooser.mirrors)
        running.terms.spares = False
        return running

    def _begin(self, asked: Asked, entry: Entry, client: str, *, looks: bool) -> Transfer:
        chooser = self._chooser(asked, entry, client, looks=looks)
        subject = Subject(entry.file_name, entry.content)
        transfer = self._transfers.join(subject, chooser, chooser.mirrors)
        self.allowances.begin(client)
        transfer.finished.wait().addBoth(lambda _: self._ended(client, transfer))
        return transfer

    def _chooser(self, asked: Asked, entry: Entry, client: str, *, looks: bool) -> Any:
        # Peers list what is for their own machines.
        own = asked.architecture in self._pacman.configuration.architectures
        servers = self._candidates.servers(asked, entry)
        return self._choosing.chooser(
            entry.file_name,
            servers,
            entry,
            relays=looks and own,
            looks=True,
            # Who asks this node and is asked by it would be asked for what it asks for.
            parents=looks and not self.is_parent(client, ""),
        )

    def _ended(self, client: str, transfer: Transfer) -> None:
        fetched = transfer.shares.get(Came.MIRROR, 0)
        self.allowances.end(client, fetched, self._reactor.seconds())
        self.fetched(client, fetched)
        for waiting in list(self._waiting):
            if self.allowances.has_place(waiting[0]):
                self._waiting.remove(waiting)
                waiting[1].callback(None)

    async def _turn(self, client: str) -> bool:
        """Wait until there may be a place; return whether that was soon enough."""
        if len(self._waiting) >= MOST_WAITING:
            self.allowances.counters["clients too many"] += 1
            return False
        turn: Deferred[None] = Deferred()
        waiting = client, turn
        self._waiting.append(waiting)
        try:
            await turn.addTimeout(PATIENCE, self._reactor)
        except TooLate:
            self.allowances.counters["clients waited in vain"] += 1
            return False
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
        return True

"""What this node fetches because a peer asks for it, as a file's owner: listed packages alone.

From the mirrors, and never through another peer. How much anybody may have fetched is
``relays``'s, and the account of it is kept by ``relaying``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import defer, task

from flocon.asking.source import Came
from flocon.transfers.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred

    from flocon.books.traffic import Traffic
    from flocon.files import Asked, Content
    from flocon.pacman.entries import Entry
    from flocon.pacman.privacy import Privacy
    from flocon.sources.candidates import Candidates
    from flocon.sources.choosing import Choosing
    from flocon.sources.listed import Listed
    from flocon.sources.ranking import OwnNode
    from flocon.sources.relaying import Relaying
    from flocon.transfers.transfer import Transfer
    from flocon.transfers.transfers import Transfers

#: An owner that follows another owner itself looks again so often, after so many seconds.
RELAY_LOOKS = 5
RELAY_PAUSE = 0.1
#: One of so many that may run at a time is not begun for what nobody waits for.
LEFT_TO_HURRIED = 4


class ForPeers:
    """Brings listed packages to peers; ``most`` tells how many at a time.

    A peer may name the content it means by its entity tag.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        own: OwnNode,
        most: Callable[[], int],
        listed: Listed,
        privacy: Privacy,
        candidates: Candidates,
        choosing: Choosing,
        transfers: Transfers,
        relaying: Relaying,
        traffic: Traffic,
    ) -> None:
        self._reactor = reactor
        self._own = own
        self._most = most
        self._listed = listed
        self._privacy = privacy
        self._candidates = candidates
        self._choosing = choosing
        self._transfers = transfers
        self._relaying = relaying
        self._traffic = traffic
        #: Tells of an address whether it is on this network.
        self.is_near: Callable[[str], bool] = lambda _: True

    def relay(
        self, asked: Asked, etag: str | None, asker: str, *, unhurried: bool = False
    ) -> Deferred[Transfer | None]:
        """Return the transfer that brings a listed package to peers; None refuses ``asker``.

        What is ``unhurried`` leaves some of those that may run at a time to what is not.
        """
        return defer.Deferred.fromCoroutine(self._relay(asked, etag, asker, unhurried=unhurried))

    async def _relay(
        self, asked: Asked, etag: str | None, asker: str, *, unhurried: bool
    ) -> Transfer | None:
        entry = self._relayed_entry(asked, etag)
        if entry is None:
            return None
        for _ in range(RELAY_LOOKS):
            transfer = self._transfers.find(entry.file_name, entry.content)
            # One that is near was not to cross the WAN: now it is.
            if transfer is None or transfer.terms.near:
                return self._begin_relay(asked, entry, asker, unhurried=unhurried)
            if not transfer.follows_a_relay:
                return transfer
            # Another owner was asked for it; if that one has just failed, this node is the next.
            await task.deferLater(self._reactor, RELAY_PAUSE)
        return None

    def coming(self, asked: Asked, etag: str | None) -> Transfer | None:
        """Return the transfer of a listed package that this node fetches itself already.

        At once: the asker may be the one whom this node's own transfer waits for.
        """
        entry = self._relayed_entry(asked, etag)
        transfer = self._transfers.find(entry.file_name, entry.content) if entry else None
        return transfer if transfer is not None and transfer.fetches_itself else None

    def listed(self, asked: Asked, etag: str | None) -> tuple[Content, Transfer | None] | None:
        """Return what a peer would be relayed, and the transfer that brings it now, if one does."""
        entry = self._relayed_entry(asked, etag)
        return (
            None
            if entry is None
            else (entry.content, self._transfers.find(entry.file_name, entry.content))
        )

    def _relayed_entry(self, asked: Asked, etag: str | None) -> Entry | None:
        """Return what is listed of a package that a peer asks for, if it may have it from here."""
        entry = self._listed.for_peers(asked, etag) if self._own.relays else None
        if entry and self._privacy.keeps(entry.repository):
            return None
        return entry if entry and etag in {None, f'"{entry.sha256.hex()}"'} else None

    def _begin_relay(
        self, asked: Asked, entry: Entry, asker: str, *, unhurried: bool
    ) -> Transfer | None:
        """Fetch from the mirrors alone: a request is never passed on to another peer."""
        most = self._most()
        if unhurried:
            most -= most // LEFT_TO_HURRIED
        if not self._candidates.far_owners() and not self.is_near(asker):
            return None
        if not self._relaying.admits(asker, most, unhurried=unhurried):
            return None
        name = entry.file_name
        chooser = self._choosing.chooser(name, self._candidates.servers(asked, entry), None)
        transfer = self._transfers.join(
            Subject(name, entry.content),
            chooser,
            chooser.mirrors,
            unhurried=unhurried,
        )
        transfer.terms.paced = unhurried and not transfer.terms.near
        if transfer.terms.near:
            transfer.widen(chooser, chooser.mirrors)
        self._relaying.begin(transfer, asker)
        transfer.finished.wait().addBoth(lambda _: self._count_for_peers(transfer))
        return transfer

    def _count_for_peers(self, transfer: Transfer) -> None:
        """Count what crossed the WAN because a peer asked, however the transfer went."""
        self._traffic.for_peers_bytes += transfer.shares.get(Came.MIRROR, 0)

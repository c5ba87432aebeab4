"""Keeps the account of what is fetched for peers, and ends what is fetched for nobody.

``relays`` decides; here transfers are looked at while there are any. The account stays with
the asker for whom a transfer was begun, whoever joins it: what anybody took was not for nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from flocon.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

    from flocon.asking.waiting import Outcome
    from flocon.sources.relays import Relay, Relays
    from flocon.transfers.terms import Terms

#: Seconds between two looks, while something is fetched for peers.
LOOK = 0.25


if TYPE_CHECKING:

    class Fetched(Protocol):
        """What is to be known of a transfer."""

        terms: Terms
        #: Bytes that its furthest reader was given.
        taken: int
        finished: Outcome[None]

        @property
        def arrived(self) -> int: ...

        @property
        def followed(self) -> bool:
            """Whether anybody reads it."""

        @property
        def followed_here(self) -> bool:
            """Whether this machine's pacman is among them."""

        def cancel(self) -> None: ...


class Relaying:
    """The transfers that run for peers.

    ``rate`` tells the WAN's bytes per second, 0: unknown; ``stands`` whether what nobody waits for
    stands still now.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        relays: Relays,
        rate: Callable[[], float],
        stands: Callable[[], bool] = lambda: False,
    ) -> None:
        self._reactor = reactor
        self._relays = relays
        self._rate = rate
        self._stands = stands
        self._transfers: dict[Relay, Fetched] = {}
        self._looking: IDelayedCall | None = None

    @property
    def relays(self) -> Relays:
        return self._relays

    def admits(self, asker: str, most: int, *, unhurried: bool = False) -> bool:
        """Whether a transfer may be begun for ``asker``, where ``most`` may run at a time.

        Where nobody waits for it, the slowest such may be ended for it.
        """
        now, rate = self._reactor.seconds(), self._rate()
        slow = self._relays.in_the_way(now, asker, most, rate) if unhurried else None
        if slow is not None and slow in self._transfers:
            self._log.debug("a file fetched for {asker} is taken slowly", asker=slow.asker)
            self._relays.give_up(slow)
            self._transfers[slow].cancel()
        return self._relays.admits(now, asker, most, rate, unhurried=unhurried)

    def begin(self, transfer: Fetched, asker: str) -> None:
        """Keep the account of a transfer that was just begun for ``asker``."""
        transfer.terms.begun_by = asker
        relay = self._relays.begin(asker)
        relay.paced = transfer.terms.paced
        self._transfers[relay] = transfer
        if self._looking is None:
            self._looking = self._reactor.callLater(LOOK, self._look_again)
        transfer.finished.wait().addBoth(lambda _: self._arrived(relay))

    def _arrived(self, relay: Relay) -> None:
        """Learn that a transfer is over, in whatever way; its readers may be still at it."""
        transfer = self._transfers.get(relay)
        if transfer is None:
            return
        self._look_at(relay, transfer)
        self._relays.arrived(relay, left=not transfer.followed)

    def _look_again(self) -> None:
        self._looking = None
        stands = self._stands()
        for relay, transfer in list(self._transfers.items()):
            self._look_at(relay, transfer)
            self._relays.judge(relay)
            self._relays.measure(self._reactor.seconds(), relay, stands=stands)
            if transfer.finished.known and not transfer.followed:
                del self._transfers[relay]
                self._relays.end(self._reactor.seconds(), relay, self._rate())
        for relay in self._relays.excessive(self._reactor.seconds(), self._rate()):
            transfer = self._transfers[relay]
            # Who asks for what this machine wants as well, and leaves, ends nothing of it.
            if not transfer.terms.wanted_here:
                self._log.debug("a file fetched for {asker} is not taken", asker=relay.asker)
                transfer.cancel()
        if self._transfers:
            self._looking = self._reactor.callLater(LOOK, self._look_again)

    def _look_at(self, relay: Relay, transfer: Fetched) -> None:
        relay.paced = transfer.terms.paced
        self._relays.look(
            self._reactor.seconds(),
            relay,
            transfer.arrived,
            transfer.taken,
            shared=transfer.followed_here,
        )

    def stop(self) -> None:
        self._transfers.clear()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

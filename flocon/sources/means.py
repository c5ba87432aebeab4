"""What every request and every transfer of this node shares: connections, threads, room.

Nothing is decided here; whoever asks a source asks it by these means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.asking.agents import peer_agent
from flocon.asking.mirrors import mirror_agent
from flocon.asking.patience import Pace
from flocon.asking.source import Origin
from flocon.precedence import Precedence
from flocon.writing.growing_file import Backlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.python.threadpool import ThreadPool

    from flocon.asking.mirrors import MirrorAgent
    from flocon.asking.source import Source
    from flocon.files import Content
    from flocon.holdings.keeping import Keeping
    from flocon.sources.reporter import Reporter
    from flocon.store.incoming import Arrivals

#: A peer answers within its LAN's round trip.
PEER_CONNECT = 0.8
MIRROR_CONNECT = 8.0


class Agents:
    """The connections to peers and to mirrors; those to mirrors go through ``proxy``, if any.

    ``met`` is told how far away each peer is that is connected to.
    """

    def __init__(
        self, reactor: Any, proxy: str, met: Callable[[str, float], None] = lambda *_: None
    ) -> None:
        self.peers, self._peer_pool = peer_agent(reactor, PEER_CONNECT, met)
        self.mirrors, self._mirror_pool = mirror_agent(reactor, MIRROR_CONNECT, proxy)

        #: Asks caching proxies of the LAN, where there are any.
        self.parents: MirrorAgent | None = None

    def of(self, source: Source) -> Any:
        if source.parent and self.parents is not None:
            return self.parents
        return self.peers if source.origin is Origin.PEER else self.mirrors

    async def close_idle(self) -> None:
        """Close the connections that are kept for later."""
        await self._peer_pool.closeCachedConnections()
        await self._mirror_pool.closeCachedConnections()
        if self.parents is not None:
            await self.parents.closeCachedConnections()


class Means:
    """What transfers are given, see ``transfers.tools``.

    ``for_strangers`` are the threads in which that is hashed for which only strangers wait.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        reporter: Reporter,
        agents: Agents,
        for_strangers: ThreadPool,
        keeping: Keeping,
        arrivals: Arrivals,
    ) -> None:
        self.reactor = reactor
        self.pace = Pace()
        self.precedence = Precedence(reactor)
        self.backlog = Backlog()
        self.reporter = reporter
        self._for_strangers = for_strangers
        self.agent = agents.of
        self.incoming = keeping.incoming
        self.spare = arrivals.spare
        #: Has those asked for a file that tell of nothing by themselves, see ``transfers.tools``.
        self.look_up: Callable[[str, Content], Deferred[None] | None] = lambda *_: None

    def threads(self, own: bool) -> ThreadPool:
        pool: ThreadPool = self.reactor.getThreadPool() if own else self._for_strangers
        return pool

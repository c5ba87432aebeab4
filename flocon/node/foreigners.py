"""What stands for other tools' machines on every node: next to nothing, until there is one.

There is one once the operator has named it, mDNS tells of it, or it is heard in pacserve's group.
Then ``foreign`` is made.
"""

from __future__ import annotations

import secrets
from collections import Counter
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet import defer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from twisted.internet.defer import Deferred

    from flocon.asking.source import Source
    from flocon.errors import SourceError
    from flocon.files import Content
    from flocon.foreign.foreign import Foreign
    from flocon.foreign.group import Group
    from flocon.foreign.naming import Naming
    from flocon.foreign.place import Place
    from flocon.machine.links import Link
    from flocon.mdns.services import Found
    from flocon.node.parts import Parts
    from flocon.pacman.entries import Entry
    from flocon.settings.settings import Foreign as ForeignSettings


class Foreigners(Service):
    """Has the machines of other tools; ``parts`` are complete once it is started."""

    def __init__(self, reactor: Any, parts: Parts) -> None:
        self._reactor = reactor
        self._parts = parts
        self._foreign: Foreign | None = None
        self._pool: Any = None
        self._group: Group | None = None
        self._links: tuple[Link, ...] = ()
        self._naming: Naming | None = None
        self._settings = parts.settings.foreign
        #: What a face in pacserve's place shows, by which paclans know it for who they heard.
        self.identity = secrets.token_hex(8)
        #: All whom mDNS tells of now.
        self._browsed: tuple[Found, ...] = ()

    def startService(self) -> None:
        super().startService()
        candidates, means = self._parts.desk.candidates, self._parts.desk.means
        candidates.foreign = self.holders
        means.look_up = self._parts.why.look_up = self.look
        self._parts.desk.reporter.foreign = self._ended
        self._parts.mdns.pacserves_changed = self.pacserves_changed
        self._hear()
        self._resolve()

    def settings_changed(self, settings: ForeignSettings) -> None:
        """Know those that the operator wants now, and no others."""
        if settings != self._settings:
            self._settings = settings
            if self.running:
                self._hear()
                self.pacserves_changed(self._browsed)
                self._resolve()

    def _hear(self) -> None:
        """Be in pacserve's group, where the operator wants that."""
        if self._settings.pacserve and self._group is None:
            from flocon.foreign.group import Group  # noqa: PLC0415 - where it is to be heard

            self._group = Group(self._reactor, self._received)
            self._group.set_links(self._links)
        elif self._group is not None and not self._settings.pacserve:
            self._group.close()
            self._group = None
            if self._foreign is not None:
                self._foreign.deaf()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        if self._group is not None:
            self._group.close()
        if self._foreign is None:
            return defer.succeed(None)
        self._foreign.stop()
        closing: Deferred[None] = self._pool.closeCachedConnections()
        return closing

    def _made(self) -> Foreign:
        if self._foreign is None:
            from flocon.asking.agents import foreign_agent  # noqa: PLC0415 - by few nodes alone
            from flocon.foreign.foreign import Foreign  # noqa: PLC0415
            from flocon.foreign.reach import Reach  # noqa: PLC0415
            from flocon.foreign.rounds import PATIENCE  # noqa: PLC0415

            agent, self._pool = foreign_agent(self._reactor, PATIENCE)
            neighbourhood = self._parts.neighbourhood
            reach = Reach(
                self._reactor.seconds,
                links=lambda: self._links,
                admits=self._parts.admission.belongs,
                nodes=lambda: (peer.address for peer in neighbourhood.proved()),
                term=self._parts.offenders.term,
            )
            self._foreign = Foreign(
                self._reactor,
                agent,
                reach,
                say=lambda data: None if self._group is None else self._group.send(data),
                answer=lambda *said: None if self._group is None else self._group.answer(*said),
                identity=self.identity,
                news=lambda: neighbourhood.news(None),
            )
        return self._foreign

    # What the rooms ask it

    def holders(self, entry: Entry) -> Sequence[Source]:
        """Return who of them has a listed package, by what is known: nobody is asked."""
        if self._foreign is None or self._parts.neighbourhood.is_private(entry.repository):
            return ()
        from flocon.sources.places import foreign_source  # noqa: PLC0415 - imported long since

        places = self._foreign.holding(entry.file_name, entry.size)
        return [foreign_source(one, entry.file_name) for one in places]

    def look(self, name: str, content: Content) -> Deferred[None] | None:
        """Have them asked for a package that no node holds; None where nobody waits for that."""
        self._resolve()
        if self._foreign is None:
            return None
        if self._parts.neighbourhood.is_held(name, content):
            return None
        listed = [one for one in self._parts.pacman.listing.find(name) if one.content == content]
        if not listed or any(map(self._parts.neighbourhood.is_private, _repositories(listed))):
            return None
        return self._foreign.look(name, content.size)

    def _ended(self, source: Source, size: int, failure: SourceError | None) -> None:
        if self._foreign is not None:
            self._foreign.ended(source.node, size, failure)

    def pacserves(self) -> list[tuple[str, int]]:
        """Return where pacserves are that may be asked."""
        return [] if self._foreign is None else self._foreign.pacserves()

    def known_at(self, file_name: str) -> str | None:
        """Return the root of a pacserve that lists a file; nobody is asked."""
        return None if self._foreign is None else self._foreign.listing_one(file_name)

    def listings(self) -> Iterator[tuple[Place, str, int]]:
        """Yield who lists what: the place, a file's name and its size."""
        return iter(()) if self._foreign is None else self._foreign.listings()

    def describe(self) -> list[dict[str, Any]]:
        """Return how each of them stands."""
        return [] if self._foreign is None else self._foreign.describe(self._parts.offenders.term)

    @property
    def counters(self) -> Counter[str]:
        """What happened, by words."""
        told: Counter[str] = Counter()
        if self._foreign is not None:
            told += self._foreign.counters
        if self._group is not None:
            told += Counter({f"group {what}": n for what, n in self._group.counters.items()})
        return Counter({f"foreign {what}": count for what, count in told.items()})

    def tell(self) -> Iterator[dict[str, Any]]:
        """Yield what the doctor is to tell of them."""
        unresolved = {} if self._naming is None else self._naming.problems
        if self._foreign is None and not unresolved and not self._problem:
            return
        from flocon.foreign.telling import tell  # noqa: PLC0415 - seldom asked

        yield from tell(self.describe(), unresolved, self._problem)

    @property
    def _problem(self) -> str:
        return "" if self._group is None else self._group.problem

    # What it is told

    def _received(self, address: str, data: bytes) -> None:
        self._made().received(address, data)

    def pacserves_changed(self, found: tuple[Found, ...]) -> None:
        """Learn of all whom mDNS tells of now."""
        self._browsed = found
        wanted = found if self._settings.pacredir else ()
        if wanted or self._foreign is not None:
            self._made().browsed(wanted, self._parts.pacman.configuration.architectures)

    def nudged(self, address: str, port: int) -> None:
        """Learn of a pacserve that asked our face to know it."""
        if self._settings.pacserve:
            self._made().nudged(address, port)

    def face(self, port: int | None) -> None:
        """Be known to pacserves by a face at ``port``, or (None) no more."""
        if port is not None or self._foreign is not None:
            self._made().face(port)

    def links_changed(self, links: tuple[Link, ...]) -> None:
        """Be where this node is present."""
        self._links = links
        if self._naming is not None:
            self._naming.doubt()
        if self._group is not None and self.running:
            self._group.set_links(links)
        if self._foreign is not None:
            # What is kept open may lead nowhere now.
            self._pool.closeCachedConnections()
            self._foreign.look_anew()

    # Whom the operator names

    def _resolve(self) -> None:
        """Find out the addresses of named machines, where that was long ago."""
        hosts = self._settings.hosts
        if not hosts and self._naming is None:
            return
        if self._naming is None:
            from flocon.foreign.naming import Naming  # noqa: PLC0415 - by few nodes alone

            self._naming = Naming(self._reactor, self._named)
        self._naming.look(hosts)

    def _named(self, name: str, places: Sequence[Place]) -> None:
        if self.running and (places or self._foreign is not None):
            self._made().named(name, places)


def _repositories(entries: Iterable[Entry]) -> set[str]:
    return {one.repository for one in entries}

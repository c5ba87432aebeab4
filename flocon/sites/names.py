"""Where the operator's names of far nodes lead to, looked up anew now and then, off the reactor.

A host is looked up as the system does it, in a thread; ``srv:DOMAIN`` is what DNS lists as
``_flocon._tcp.DOMAIN``. A few at a time; a name that does not resolve keeps what it led to.
A look-up cannot be ended and may take minutes, so it has a thread of its own; of those there are
few as well.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

from twisted.internet import defer
from twisted.internet.defer import Deferred

from flocon.log import logger
from flocon.machine.reactor_threads import in_own_thread
from flocon.settings.permitted_others import SRV, place
from flocon.sites.addresses import is_one_machine, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from twisted.internet.interfaces import IDelayedCall

    from flocon.sites.correspondents import Place

#: Seconds between two look-ups of all names; the same, at first, while one has not led anywhere,
#: doubled each time; and for one look-up.
AGAIN, SOON, PATIENCE = 60.0, 5.0, 20.0
#: Names looked up at the same time; and threads that do, or still wait for what nobody else does.
MOST_AT_ONCE, MOST_THREADS = 2, 12
#: Seconds between two look-ups because a stranger wrote: a named host at a new address, or anybody.
DOUBT_PAUSE = 10.0
#: Addresses of one host, and hosts that DNS lists for one domain.
MOST_ADDRESSES, MOST_HOSTS = 8, 64


class Names:
    """Looks names up while it runs; ``resolved`` is called with where each leads to."""

    _log = logger()

    def __init__(
        self, reactor: Any, port: int, resolved: Callable[[Mapping[str, Sequence[Place]]], None]
    ) -> None:
        """``port`` is the UDP port of those who are named without one."""
        self._reactor = reactor
        self._port = port
        self._resolved = resolved
        self._names: tuple[str, ...] = ()
        self._looked_for: tuple[str, ...] = ()
        self._places: dict[str, tuple[Place, ...]] = {}
        #: Why a name leads nowhere, or not to where it last did.
        self.problems: dict[str, str] = {}
        #: Names that mean this machine itself.
        self.own: set[str] = set()
        self._listed_hosts: dict[str, dict[str, tuple[Place, ...]]] = {}
        self._threads = 0
        self._soon = SOON
        self._looked_at = float("-inf")
        self._call: IDelayedCall | None = None
        self._looking: Deferred[Any] | None = None
        self._running = False

    @property
    def places(self) -> Mapping[str, tuple[Place, ...]]:
        """Where each name led to last."""
        return self._places

    @property
    def names(self) -> tuple[str, ...]:
        return self._names

    def start(self, names: Sequence[str]) -> None:
        """Look these up, and no others any more."""
        self._names = tuple(dict.fromkeys(names))
        self._places = {name: self._places.get(name, ()) for name in self._names}
        self.problems = {one: why for one, why in self.problems.items() if one in self._names}
        self.own &= set(self._names)
        self._listed_hosts = {
            one: hosts for one, hosts in self._listed_hosts.items() if one in self._names
        }
        self._running = True
        self._soon = SOON
        self._look()

    def look(self) -> None:
        """Look all names up now: this machine is on another network, maybe."""
        if self._running:
            self._soon = SOON
            self._look()

    def doubt(self) -> None:
        """Look all names up if that was a while ago: one may have another address."""
        if self._running and self._reactor.seconds() >= self._looked_at + DOUBT_PAUSE:
            self._look()

    def stop(self) -> Deferred[None]:
        """Look nothing up any more; a thread that still does tells nobody."""
        self._running = False
        if self._call is not None:
            self._call.cancel()
            self._call = None
        looking = self._looking
        if looking is None:
            return defer.succeed(None)
        looking.cancel()
        return defer.succeed(None)

    def _look(self) -> None:
        if self._looking is not None:
            return
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if not self._names:
            self._resolved({})
            return
        self._looked_for = self._names
        self._looked_at = self._reactor.seconds()
        looking = self._looking = Deferred.fromCoroutine(self._look_all(self._names))
        looking.addErrback(self._failed)
        looking.addBoth(self._looked)

    def _failed(self, reason: Any) -> None:
        if not reason.check(defer.CancelledError):
            self._log.failure("looking names up failed", reason)

    def _looked(self, _: Any) -> None:
        self._looking = None
        if not self._running:
            return
        if self._looked_for != self._names:
            self._look()
            return
        pause = AGAIN
        if any(not self._places.get(name) and name not in self.own for name in self._names):
            # A machine that is away from all that it names is not to be kept awake by that.
            pause, self._soon = self._soon, min(2 * self._soon, AGAIN)
        self._call = self._reactor.callLater(pause, self._again)

    def _again(self) -> None:
        self._call = None
        self._look()

    async def _look_all(self, names: Sequence[str]) -> None:
        slots = defer.DeferredSemaphore(MOST_AT_ONCE)
        await defer.gatherResults(
            [slots.run(self._look_up, name) for name in names], consumeErrors=True
        )

    def _look_up(self, name: str) -> Deferred[None]:
        return Deferred.fromCoroutine(self._find_out(name))

    async def _find_out(self, name: str) -> None:
        """Find out where one name leads to, and tell."""
        looking = Deferred.fromCoroutine(self._places_of(name))
        looking.addTimeout(PATIENCE, self._reactor)
        try:
            places = await looking
            why = "" if places or name in self.own else "it has no address of another machine"
        except defer.TimeoutError:
            places, why = (), f"no answer within {PATIENCE:g} s"
        except defer.CancelledError:
            return
        except (OSError, UnicodeError) as error:
            places, why = (), str(getattr(error, "strerror", None) or error)
        if not self._running or name not in self._names:
            return
        if why:
            self.problems[name] = why
        else:
            self.problems.pop(name, None)
            self._places[name] = places
        self._resolved(dict(self._places))

    async def _places_of(self, name: str) -> tuple[Place, ...]:
        """Return where a name leads to; raise OSError where that cannot be found out."""
        if name.startswith(SRV):
            return await self._listed(name)
        named = place(name)
        if named is None:
            return ()
        host, port = named
        found = await self._addresses(host)
        if found and plain(host) is None and all(_is_loopback(one) for one in found):
            # As /etc/hosts has it of a machine's own name.
            self.own.add(name)
        else:
            self.own.discard(name)
        return _one_machines([(address, port or self._port) for address in found])

    async def _addresses(self, host: str) -> list[str]:
        if plain(host) is not None:
            return [host]
        if self._threads >= MOST_THREADS:
            raise OSError(errno.EBUSY, "no name server has answered for long")
        self._threads += 1
        looking = in_own_thread(self._reactor, f"name {host}", _look_up_host, host)
        looking.addBoth(self._thread_ended)
        # Who gives up leaves the thread to its end.
        waiting: Deferred[list[str]] = Deferred()
        looking.addCallbacks(
            lambda found: None if waiting.called else waiting.callback(found),
            lambda reason: None if waiting.called else waiting.errback(reason),
        )
        return await waiting

    def _thread_ended(self, result: Any) -> Any:
        self._threads -= 1
        return result

    async def _listed(self, name: str) -> tuple[Place, ...]:
        """Return the places that DNS lists; raise OSError where no server says anything."""
        # For few nodes: 2 MB.
        from flocon.sites.dns import hosts_listed  # noqa: PLC0415

        hosts = await hosts_listed(self._reactor, name.removeprefix(SRV))
        before = self._listed_hosts.get(name, {})
        led: dict[str, tuple[Place, ...]] = {}
        for host in hosts[:MOST_HOSTS]:
            try:
                found = await self._addresses(host)
            except OSError as error:
                # One host of a list may be gone; or its name server is away for a moment.
                led[host] = () if error.errno == socket.EAI_NONAME else before.get(host, ())
            else:
                led[host] = _one_machines([(address, self._port) for address in found])
        self._listed_hosts[name] = led
        return tuple(dict.fromkeys(one for places in led.values() for one in places))


def _look_up_host(host: str) -> list[str]:
    """Return the addresses of a host, as the system has them; in a thread. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    return [str(one[4][0]) for one in found if one[0] in {socket.AF_INET, socket.AF_INET6}]


def _is_loopback(address: str) -> bool:
    parsed = plain(address)
    return parsed is not None and parsed.is_loopback


def _one_machines(places: Sequence[Place]) -> tuple[Place, ...]:
    """Return those that can be other machines', each once."""
    fitting = []
    for address, port in places:
        parsed = plain(address)
        if parsed is not None and is_one_machine(parsed):
            fitting.append((str(parsed), port))
    return tuple(dict.fromkeys(fitting))[:MOST_ADDRESSES]

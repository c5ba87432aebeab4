"""Machines that the operator named: what is meant, and at which addresses it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flocon.asking.proxies import literal
from flocon.asking.resolving import LONG_PATIENCE, Names, is_own
from flocon.foreign.place import Place, Tool
from flocon.log import logger
from flocon.settings.permitted_others import place as host_and_port

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: The port of pacredir's server, and of pacserve where a URL has none: what a person means by it.
PACREDIR_PORT, PACSERVE_PORT = 7_078, 15_678
#: Seconds between two look-ups of the same names, and of those of which one has no address.
RESOLVED_FOR = 300.0
UNRESOLVED_FOR = 30.0


def meant(said: str) -> tuple[Tool, str, int] | None:
    """Return tool, host and port of what stands in the settings; None where it cannot be asked."""
    if "://" not in said:
        named = host_and_port(said)
        return None if named is None else (Tool.PACREDIR, named[0], named[1] or PACREDIR_PORT)
    parts = urlsplit(said)
    if parts.scheme != "http" or not parts.hostname:
        return None
    return Tool.PACSERVE, parts.hostname, parts.port or PACSERVE_PORT


class Naming:
    """Finds them; ``named`` is given each with all the places that it has now.

    ``problems`` has what is wrong with each, by what the settings say.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        named: Callable[[str, Sequence[Place]], None],
        names: Names | None = None,
    ) -> None:
        self._reactor = reactor
        self._names = names or Names(reactor)
        self._named = named
        self.problems: dict[str, str] = {}
        self._found_at = float("-inf")
        self._hosts: tuple[str, ...] = ()

    def look(self, hosts: Sequence[str]) -> None:
        """Find all of them, where that was long ago; who is not among them any more is nowhere."""
        now = self._reactor.seconds()
        if tuple(hosts) != self._hosts:
            left, self._hosts = set(self._hosts).difference(hosts), tuple(hosts)
            for host in left:
                self.problems.pop(host, None)
                self._named(host, ())
            self.doubt()
        known_for = UNRESOLVED_FOR if self.problems else RESOLVED_FOR
        if now - self._found_at >= known_for:
            self._found_at = now
            for host in hosts:
                self.find(host)

    def doubt(self) -> None:
        """Find all of them with the next look: other links may lead to other addresses."""
        self._found_at = float("-inf")

    def find(self, said: str) -> None:
        """Look for one of them."""
        found = meant(said)
        if found is None:
            self.problems[said] = "cannot be asked: a pacserve's address begins with http://"
            return
        tool, host, port = found
        if literal(host) is not None:
            self._take(said, [Place(tool, host, port)])
            return
        looked_up = self._names.addresses(host, LONG_PATIENCE)
        looked_up.addCallback(
            lambda found: self._take(said, [Place(tool, one, port) for one in found])
        )
        looked_up.addErrback(
            lambda reason: self._log.failure("looking {host} up failed", reason, host=host)
        )

    def _take(self, said: str, places: list[Place]) -> None:
        if said not in self._hosts:
            return
        others = [one for one in places if not is_own(one.address)]
        if others:
            self.problems.pop(said, None)
        elif places:
            self.problems[said] = "is this machine itself"
        else:
            # What was found before counts on while a name server is away.
            self.problems[said] = "has no address now"
            return
        # IPv4 first: one machine is asked by one of its addresses.
        others.sort(key=lambda one: ":" in one.address)
        self._named(said, others[:1])

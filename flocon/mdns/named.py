"""A node known by mDNS: what is wished is handed on, what is found goes to whom it is for.

Only this is imported by others, and it only where the library is installed and the setting is on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import defer

from flocon.mdns.services import FLOCON, PACSERVE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twisted.internet.defer import Deferred

    from flocon.mdns.mdns import Mdns
    from flocon.mdns.services import Found, Wish

#: The first version that hears again after a link changed.
OLDEST = (0, 150)
FIREWALL = (
    "open 5353/udp: 'firewall-cmd --permanent --add-service=mdns && firewall-cmd --reload',"
    " 'ufw allow 5353/udp', or see /usr/share/flocon/nftables.conf"
)


def lacking() -> str:
    """Return what is wrong with the library that is installed, or nothing."""
    try:
        import zeroconf  # noqa: PLC0415 - the library may be broken, and then is not used

        version = str(zeroconf.__version__)
        numbers = tuple(int(one) for one in version.split(".")[:2])
    except (ImportError, AttributeError, ValueError) as error:
        return f"python-zeroconf cannot be used ({error})"
    if numbers < OLDEST:
        return f"python-zeroconf {version} is older than {'.'.join(map(str, OLDEST))}"
    return ""


def tell_of_lack(lacks: str) -> dict[str, Any]:
    """Return what the doctor is to tell of a library that is not used."""
    told = _problem(
        f"{lacks}, so pacredir's machines and this node do not find each other, nor do nodes where"
        " multicast of their own group is filtered",
        "pacman -S python-zeroconf, or write mdns = false into /etc/flocon.toml",
    )
    return {**told, "optional": True}


class Named:
    """``wish`` gives what to announce and where; ``pacserves`` and ``nodes`` take all there are."""

    def __init__(
        self,
        reactor: Any,
        wish: Callable[[], Wish],
        *,
        pacserves: Callable[[tuple[Found, ...]], None],
        nodes: Callable[[tuple[Found, ...]], None],
    ) -> None:
        self._wish = wish
        self._pacserves = pacserves
        self._nodes = nodes
        self._mdns = mdns(reactor, self._found)
        self._stopped = False
        self._found_now: dict[str, tuple[Found, ...]] = {}

    def start(self) -> None:
        self._mdns.start()
        self.changed()

    def stop(self) -> Deferred[None]:
        """Say goodbye; what was found is found no more."""
        for kind in tuple(self._found_now):
            self._found(kind, ())
        self._stopped = True
        return defer.maybeDeferred(self._mdns.stop)

    def changed(self) -> None:
        """Announce this node as it is now."""
        self._mdns.ask(self._wish())

    def _found(self, kind: str, found: tuple[Found, ...]) -> None:
        if self._stopped:
            return
        self._found_now[kind] = found
        (self._pacserves if kind == PACSERVE else self._nodes)(found)

    def describe(self) -> dict[str, Any]:
        """Return what ``/status.json`` says of it."""
        found = self._found_now
        return {
            **self._mdns.describe(),
            "pacserves": [_told(one) for one in found.get(PACSERVE, ())],
            "nodes": [_told(one) for one in found.get(FLOCON, ())],
        }

    def tell(self) -> Iterator[dict[str, Any]]:
        """Yield what the doctor is to tell of it."""
        told = self._mdns.describe()
        if told["failing"]:
            yield _problem(
                f"mDNS does not work: {told['why']}",
                "look what else has UDP port 5353: ss -lunp 'sport = 5353'",
            )
        elif told["why"]:
            yield _problem(
                f"mDNS stands still for a while: {told['why']}",
                "find the machine that does this; meanwhile nodes find each other as ever",
            )
        elif told["announced"] and not told["own_heard"]:
            yield _problem(
                "nothing that this node says by mDNS comes back: a firewall is in the way, and"
                " pacredir's machines do not find it",
                FIREWALL,
            )
        own = self._wish().own
        if told["clashed"] and own is not None:
            yield _problem(
                f"another machine is called {own.name} too: by mDNS this node is"
                f" {told['host'] or 'not announced'}",
                "give one of the two another name: hostnamectl hostname NAME",
            )


def _problem(reason: str, remedy: str) -> dict[str, Any]:
    return {"check": "mdns", "reason": reason, "remedy": remedy, "wrong": False}


def _told(found: Found) -> dict[str, Any]:
    return {
        "instance": found.instance,
        "host": found.host,
        "addresses": list(found.addresses),
        "port": found.port,
        "texts": list(found.texts),
    }


def mdns(reactor: Any, changed: Callable[[str, tuple[Found, ...]], None]) -> Mdns:
    """Return the thread; only now the library is needed, which may have been too old."""
    from flocon.mdns.mdns import Mdns  # noqa: PLC0415

    return Mdns(reactor, changed)

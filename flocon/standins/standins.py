"""The faces in other tools' places as doors of this node: opened, bounded, told of.

What each answers is its own; who has what they are asked for is known to ``elsewhere``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flocon.answering.visitors import LOOPBACK_ADDRESSES, Admission
from flocon.faces.doors import Side
from flocon.machine.endpoints import ports_of
from flocon.serving.site import Site

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Sequence
    from typing import Protocol

    from twisted.web.http import Request

    from flocon.faces.doors import Doors
    from flocon.machine.links import Link
    from flocon.machine.shares import Shares
    from flocon.settings.settings import Settings

    class Face(Protocol):
        """Answers in another tool's place, and counts what it answers and refuses."""

        counters: Counter[str]

        def render(self, request: Request) -> None: ...


PACSERVE, PACREDIR, PACREDIR_LAN = "pacserve", "pacredir", "pacredir_lan"
#: The unit of whoever may have each port, by the face in its place.
_UNITS = {PACSERVE: "pacserve", PACREDIR: "pacredir", PACREDIR_LAN: "pacserve"}
#: And where it is.
USUAL = {
    PACSERVE: "tcp:15678",
    PACREDIR: "tcp:7077:interface=127.0.0.1",
    PACREDIR_LAN: "tcp:7078",
}
#: Where systemd may hold each of those for this node, and by which unit.
HELD = {
    "0.0.0.0:15678": "flocon-pacserve.socket",
    "127.0.0.1:7077": "flocon-pacredir.socket",
    "0.0.0.0:7078": "flocon-pacredir-lan.socket",
}
#: What is counted as answered; all else is of what was refused.
ANSWERS = frozenset(
    {"files", "for this machine", "led elsewhere", "file checks", "listings", "nudges"}
)


@dataclass(frozen=True, slots=True)
class Standin:
    """One face: by whose ``name``, and at which ``endpoints``.

    So many bytes of a question are ``kept`` for it to read; it has one of ``cost`` of the
    connections that the others have.
    """

    name: str
    face: Face
    endpoints: tuple[str, ...]
    kept: int = 0
    cost: int = 1
    #: Lets go of what it has in memory.
    close: Callable[[], None] = lambda: None


class Standins:
    """Has ``standins``; ``user_of`` tells who of this machine is at a connection's other end.

    ``told`` learns at which port pacserves may ask, None for none.
    """

    def __init__(
        self,
        reactor: Any,
        standins: Sequence[Standin],
        *,
        settings: Settings,
        shares: Shares,
        doors: Doors,
        user_of: Callable[[Any, Any], int | None],
        told: Callable[[int | None], None],
    ) -> None:
        self._reactor = reactor
        self._standins = tuple(standins)
        self._settings = settings
        self._shares = shares
        self._doors = doors
        self._user_of = user_of
        self._told = told
        self._admission = Admission(settings.standins.networks)
        self.sides = tuple(map(self._side, self._standins))

    def _side(self, one: Standin) -> Side:
        most = self._shares.standin // one.cost
        site = Site(
            self._reactor,
            one.face,
            most_connections=most,
            most_per_address=self._shares.lan_per_address,
            most_per_network=self._shares.lan_per_network,
            unbounded=LOOPBACK_ADDRESSES,
            # Strangers count as one user: this machine's pacman has room beside them all.
            most_per_user=max(1, most // 2),
            user_of=self._user_of,
            admits=self._admission.admits,
            kept=one.kept,
        )
        where = self._settings.place(f"standins.{one.name}", f"[standins] {one.name}")
        return Side(one.name, site, one.endpoints, where)

    def opened(self) -> None:
        """Learn that the doors were opened, as far as they could be."""
        self._told(next(iter(self._doors.ports_of(PACSERVE)), None))

    def settings_changed(self, settings: Settings) -> None:
        self._admission.networks = settings.standins.networks
        # Who had a port may have left it since.
        if self._doors.are_open and self._doors.missed:
            self._doors.open_sides(self.sides)
            self.opened()

    def links_changed(self, links: tuple[Link, ...]) -> None:
        self._admission.links = links

    def stop(self) -> None:
        """Let go of who asks."""
        self._told(None)
        for side in self.sides:
            side.site.end()
        for one in self._standins:
            one.close()

    # What is said of them

    def describe(self) -> list[dict[str, Any]]:
        """Return what ``/status.json`` says of each."""
        told = []
        for one, side in zip(self._standins, self.sides, strict=True):
            counters = one.face.counters + side.site.counters
            told.append(
                {
                    "tool": one.name,
                    "endpoints": list(one.endpoints),
                    "ports": self._doors.ports_of(one.name),
                    "why": self._doors.missed.get(one.name, ""),
                    "answers": {kind: n for kind, n in counters.items() if kind in ANSWERS},
                    "refusals": {kind: n for kind, n in counters.items() if kind not in ANSWERS},
                }
            )
        return told

    def tell(self) -> Iterator[dict[str, Any]]:
        """Yield what the doctor is to tell of them."""
        for one in self._standins:
            why = self._doors.missed.get(one.name)
            if why is not None:
                yield {
                    "check": "standins",
                    "reason": f"nobody is answered in the place of {one.name}: {why}",
                    "remedy": self._remedy(one, why),
                    "wrong": True,
                }
        if places := [place for one in self._standins for place in self._doors.unheld(one.name)]:
            yield {
                "check": "standins",
                "reason": f"systemd does not hold {', '.join(places)}, where a node answers in"
                " another tool's place: while it is restarted any user of this machine can listen"
                " there and answer pacman",
                "remedy": _have_held(places),
                "wrong": False,
            }

    def _remedy(self, one: Standin, why: str) -> str:
        """Return what mends it, be it another program's port, this node's own, or no address."""
        settings = self._settings
        others = [way for other in self._standins if other is not one for way in other.endpoints]
        mirror = settings.mirror.listen if settings.mirror.serve else ()
        own = ports_of((settings.lan, *settings.loopback, *mirror, *others))
        if "is taken" in why and not set(own).intersection(ports_of(one.endpoints)):
            return (
                f"systemctl disable --now {_UNITS[one.name]}, if that is what runs there; then"
                " systemctl reload flocon"
            )
        return (
            f'write {one.name} = ["{USUAL[one.name]}"] below [standins] in /etc/flocon.toml,'
            " or another port that is free; then systemctl restart flocon"
        )


def _have_held(places: Sequence[str]) -> str:
    """Return how systemd comes to hold ports: by units that are there, or by what is written."""
    units = [HELD[place] for place in places if place in HELD]
    others = [place for place in places if place not in HELD]
    enable = f"systemctl enable --now {' '.join([*units, 'flocon'])}"
    if not others:
        return f"systemctl stop flocon; then {enable}"
    lines = " and ".join(f"ListenStream={place}" for place in others)
    return (
        f"systemctl edit flocon.socket, write [Socket] and below it {lines}, each on a line; then"
        f" systemctl stop flocon, {f'{enable}, ' if units else ''}and"
        " systemctl restart flocon.socket flocon"
    )

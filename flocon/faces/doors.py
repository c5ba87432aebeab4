"""Where a node is asked: the ports of its faces, and the socket by which it is changed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.endpoints import quoteStringArgument

from flocon.errors import ConfigurationError
from flocon.log import logger
from flocon.machine.ports import Ports, close
from flocon.serving.accepting import Accepting
from flocon.settings.defaults import default_control
from flocon.settings.settings import DEFAULT_LAN, DEFAULT_MIRROR, LAN_PORT, MIRROR_PORT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flocon.machine.ports import Inherited
    from flocon.serving.site import Site
    from flocon.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class Side:
    """A door that a node does without where it cannot be had: its ``name``, and who answers there.

    ``where`` is where the operator set the ``endpoints``.
    """

    name: str
    site: Site
    endpoints: tuple[str, ...]
    where: str


class Doors:
    """Opens what ``settings`` name; ``inherited`` are the sockets that systemd holds for it."""

    _log = logger()

    def __init__(self, reactor: Any, settings: Settings, inherited: Sequence[Inherited]) -> None:
        self._reactor = reactor
        self._settings = settings
        self._listening = Ports(reactor, inherited)
        self._lan: list[Any] = []
        self._loopback: list[Any] = []
        self._mirror: list[Any] = []
        #: The ports of each endpoint of each side.
        self._sides: dict[str, dict[str, list[Any]]] = {}
        #: Why those sides are not open that are not.
        self.missed: dict[str, str] = {}
        self._control: Any = None
        self._control_path = Path(settings.control or default_control(settings.store.path))
        #: Why there is no control socket.
        self.uncontrolled = ""

    @property
    def are_open(self) -> bool:
        return bool(self._lan or self._loopback)

    @property
    def control(self) -> str | None:
        """Where the control socket is, if there is one."""
        return str(self._control_path) if self._control else None

    @property
    def lan_port(self) -> int:
        """The port where peers ask this node."""
        return next((int(getattr(one.getHost(), "port", LAN_PORT)) for one in self._lan), LAN_PORT)

    def unused(self) -> list[Inherited]:
        """Return where systemd listens for this node and no setting wants it to."""
        return self._listening.unused()

    def rehearse(self) -> None:
        """Raise ConfigurationError where ``open`` would; nothing is kept of what is tried."""
        faces = [self._lan_endpoints(), self._loopback_endpoints()]
        if self._settings.mirror.serve:
            faces.append(self._mirror_endpoints())
        self._listening.rehearse(*faces)

    def open(
        self, lan: Site, loopback: Site, mirror: Site | None = None, sides: Iterable[Side] = ()
    ) -> None:
        """Take the ports; raises ConfigurationError where one cannot be had that has to be."""
        if mirror is not None:
            self._mirror = self._listen(mirror, *self._mirror_endpoints())
        self._lan = self._listen(lan, *self._lan_endpoints())
        self._loopback = self._listen(loopback, *self._loopback_endpoints())
        self.open_sides(sides)
        self._listening.tell_unused()

    def open_sides(self, sides: Iterable[Side]) -> None:
        """Open what is not open yet: another program may have been there before."""
        for side in sides:
            self._open_side(side, self._sides.setdefault(side.name, {}))

    def _open_side(self, side: Side, opened: dict[str, list[Any]]) -> None:
        before = self.missed.pop(side.name, "")
        for endpoint in side.endpoints:
            if endpoint in opened:
                continue
            try:
                opened[endpoint] = self._listen(side.site, [[endpoint]], side.where)
            except ConfigurationError as error:
                self.missed[side.name] = why = f"{error.where}: {error.problem}"
                if why != before:
                    self._log.warn("{name} is not open: {why}", name=side.name, why=why)

    def ports_of(self, side: str) -> list[int]:
        """Return the TCP ports of a side that are open."""
        ports = self._ports_of(side)
        return [int(one.getHost().port) for one in ports if hasattr(one.getHost(), "port")]

    def unheld(self, side: str) -> list[str]:
        """Return where a side listens that systemd does not hold as it holds others."""
        return self._listening.unheld(self._ports_of(side))

    def _ports_of(self, side: str) -> list[Any]:
        return [one for ports in self._sides.get(side, {}).values() for one in ports]

    def _listen(self, site: Site, endpoints: list[list[str]], where: str) -> list[Any]:
        ports = self._listening.listen(endpoints, site, where)
        for port in ports:
            Accepting(self._reactor, site.counters).watch(port)
        return ports

    def open_control(self, site: Site) -> None:
        """Make the control socket; the node goes on without where it cannot be had."""
        path = self._control_path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            description = f"unix:{quoteStringArgument(str(path))}:mode=660"
            where = self._settings.place("control", "control")
            (self._control,) = self._listening.listen([[description]], site, where)
        except ConfigurationError as error:
            self._miss_control(str(error))
        except OSError as error:
            self._miss_control(f"{path.parent}: {error.strerror}")

    def _miss_control(self, why: str) -> None:
        self.uncontrolled = why
        self._log.warn(
            "no control socket: {error}; flocon ban, prefetch and their like need one",
            error=why,
        )

    async def close(self) -> None:
        control = [self._control] if self._control else []
        sides = [ports for opened in self._sides.values() for ports in opened.values()]
        ports = [*self._lan, *self._loopback, *self._mirror, *chain(*sides), *control]
        self._control = None
        for port in ports:
            await close(port)
        self._lan.clear()
        self._loopback.clear()
        self._mirror.clear()
        self._sides.clear()

    def _lan_endpoints(self) -> tuple[list[list[str]], str]:
        endpoint = self._settings.lan
        # Where the machine has no IPv6, what there is.
        alternatives = [endpoint, f"tcp:{LAN_PORT}"] if endpoint == DEFAULT_LAN else [endpoint]
        return [alternatives], self._settings.place("lan", "--lan")

    def _loopback_endpoints(self) -> tuple[list[list[str]], str]:
        endpoints = [[endpoint] for endpoint in self._settings.loopback]
        return endpoints, self._settings.place("loopback", "--loopback")

    def _mirror_endpoints(self) -> tuple[list[list[str]], str]:
        # As above, where there is no IPv6.
        without_ipv6 = [f"tcp:{MIRROR_PORT}"]
        endpoints = [
            [endpoint, *(without_ipv6 if endpoint in DEFAULT_MIRROR else ())]
            for endpoint in self._settings.mirror.listen
        ]
        return endpoints, self._settings.place("mirror.listen", "[mirror] listen")

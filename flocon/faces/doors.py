"""Where a node is asked: the ports of its faces, and the socket by which it is changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.endpoints import quoteStringArgument

from flocon.errors import ConfigurationError
from flocon.faces.accepting import Accepting
from flocon.log import logger
from flocon.machine.ports import Ports, close
from flocon.settings.defaults import default_control
from flocon.settings.settings import DEFAULT_LAN, DEFAULT_MIRROR, LAN_PORT, MIRROR_PORT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flocon.faces.site import Site
    from flocon.machine.ports import Inherited
    from flocon.settings.settings import Settings


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
        self._listening.rehearse(*self._lan_endpoints())
        self._listening.rehearse(*self._loopback_endpoints())
        if self._settings.mirror.serve:
            self._listening.rehearse(*self._mirror_endpoints())

    def open(self, lan: Site, loopback: Site, mirror: Site | None = None) -> None:
        """Take the ports; raises ConfigurationError where one cannot be had."""
        if mirror is not None:
            self._mirror = self._listen(mirror, *self._mirror_endpoints())
        self._lan = self._listen(lan, *self._lan_endpoints())
        self._loopback = self._listen(loopback, *self._loopback_endpoints())
        self._listening.tell_unused()

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
        ports = [*self._lan, *self._loopback, *self._mirror, *control]
        self._control = None
        for port in ports:
            await close(port)
        self._lan.clear()
        self._loopback.clear()
        self._mirror.clear()

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

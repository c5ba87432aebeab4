"""Takes the ports where peers and pacman ask, or says in a sentence why it cannot.

A port that systemd holds for this node (``flocon.socket``) is taken over where an endpoint names
its address: nobody else can listen there while the node is down. Any other is bound here. Endpoints
are Twisted's descriptions. Before twistd becomes a daemon they are tried for a moment, since
afterwards there is no terminal to say anything on.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet import tcp
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import connectionDone

from flocon.errors import ConfigurationError
from flocon.log import logger
from flocon.machine.endpoints import as_tcp, with_backlog

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The first descriptor that systemd hands over (sd_listen_fds(3)).
FIRST_DESCRIPTOR = 3
#: More than a unit would ever name.
MOST_INHERITED = 64


@dataclass(frozen=True, slots=True)
class Inherited:
    """A listening TCP socket that systemd handed over: its descriptor, and where it listens."""

    descriptor: int
    family: socket.AddressFamily
    address: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.family == socket.AF_INET6 else self.address
        return f"{host}:{self.port}"


def inherited_sockets(
    environment: Mapping[str, str], process: int, first: int = FIRST_DESCRIPTOR
) -> list[Inherited]:
    """Return the listening TCP sockets that systemd handed to ``process``.

    Twisted takes ``$LISTEN_PID`` and ``$LISTEN_FDS`` out of the environment when its endpoints are
    imported, if they are this process's; the names stay, and are as many as the sockets.
    """
    if environment.get("LISTEN_PID", str(process)) != str(process):
        return []
    names = environment.get("LISTEN_FDNAMES", "")
    count = min(len(names.split(":")) if names else 0, MOST_INHERITED)
    found = (_examine(descriptor) for descriptor in range(first, first + count))
    return [one for one in found if one is not None]


def _examine(descriptor: int) -> Inherited | None:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as one:
            listens = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            if not listens or one.family not in {socket.AF_INET, socket.AF_INET6}:
                return None
            address, port = one.getsockname()[:2]
            family = one.family
        os.set_inheritable(descriptor, False)
        # As Twisted expects of a port that it takes over.
        os.set_blocking(descriptor, False)
    except OSError:
        return None
    return Inherited(descriptor, socket.AddressFamily(family), str(address), int(port))


async def close(port: Any) -> None:
    """Stop listening; nothing is left of a Unix socket whose file somebody has taken away."""
    try:
        await maybeDeferred(port.stopListening)
    except OSError:
        # Twisted comes no further than to the file that is not there.
        if port.lockFile is not None:
            with suppress(OSError):
                port.lockFile.unlock()
        tcp.Port.connectionLost(port, connectionDone)


class Ports:
    """Listens on endpoints, by a socket of ``inherited`` where one is at their address."""

    _log = logger()

    def __init__(self, reactor: Any, inherited: Sequence[Inherited] = ()) -> None:
        self._reactor = reactor
        self._inherited = tuple(inherited)
        self._taken: set[Inherited] = set()
        #: Which setting has each TCP port that is listened on.
        self._settings: dict[int, str] = {}

    def listen(self, endpoints: Sequence[Sequence[str]], factory: Any, where: str) -> list[Any]:
        """Return the ports of all endpoints that this machine has an address for.

        Each endpoint is a description with others for where that cannot be; ``where`` is
        where the operator set them. Raises ConfigurationError where one is taken, and where there
        is none.
        """
        return self._listen(self, endpoints, factory, where, self._settings)

    def rehearse(self, *faces: tuple[Sequence[Sequence[str]], str]) -> None:
        """Raise what ``listen`` would raise for one after the other, and keep no port."""
        settings: dict[int, str] = {}
        with ExitStack() as held:
            rehearsal = _Rehearsal(self, held)
            for endpoints, where in faces:
                self._listen(rehearsal, endpoints, None, where, settings)

    def tell_unused(self) -> None:
        """Name the sockets of systemd's that no endpoint is for: who asks there waits in vain."""
        for one in self.unused():
            self._log.warn(
                "systemd holds {place}, which no setting names: "
                "change ListenStream by 'systemctl edit flocon.socket', or disable its own unit",
                place=str(one),
            )

    def unused(self) -> list[Inherited]:
        """Return the sockets of systemd's that no endpoint is for."""
        return [one for one in self._inherited if one not in self._taken]

    def unheld(self, ports: Sequence[Any]) -> list[str]:
        """Return where this process alone listens, though systemd holds other ports for it.

        Any user of this machine can listen there while it is restarted.
        """
        hosts = [one.getHost() for one in ports] if self._inherited else []
        return [
            f"[{one.host}]:{one.port}" if ":" in one.host else f"{one.host}:{one.port}"
            for one in hosts
            if hasattr(one, "port") and self.find(one.host, one.port) is None
        ]

    def find(self, address: str, port: int) -> Inherited | None:
        """Return the socket of systemd's that is there, if there is one."""
        wanted = address or "0.0.0.0"
        for one in self._inherited:
            if (one.address, one.port) == (wanted, port):
                return one
        return None

    # What an endpoint asks of its reactor

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """Take over the socket that is there already, or bind one."""
        held = self.find(interface, port)
        if held is None:
            return self._reactor.listenTCP(port, factory, backlog=backlog, interface=interface)
        return self.adoptStreamPort(held.descriptor, held.family, factory)

    def adoptStreamPort(self, descriptor: int, family: int, factory: Any) -> Any:
        """Take over a socket, also where an endpoint of the kind ``systemd:`` names it."""
        self._taken |= {one for one in self._inherited if one.descriptor == descriptor}
        return self._reactor.adoptStreamPort(descriptor, family, factory)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def _listen(
        self,
        reactor: Any,
        endpoints: Sequence[Sequence[str]],
        factory: Any,
        where: str,
        settings: dict[int, str],
    ) -> list[Any]:
        ports: list[Any] = []
        absent: list[tuple[str, Exception]] = []
        for alternatives in endpoints:
            for description in alternatives:
                try:
                    ports.append(_listen_now(reactor, description, factory))
                    settings[_port_of(description)] = where
                    break
                except Exception as error:  # noqa: BLE001 - a parser of Twisted's raises anything
                    if not _absent(error):
                        raise _refusal(description, error, where, settings) from None
                    absent.append((description, error))
        if not ports and absent:
            raise _refusal(*absent[0], where, settings)
        for place, why in absent if reactor is self else []:
            self._log.info("not listening on {endpoint}: {error}", endpoint=place, error=why)
        return ports


class _Rehearsal:
    """Stands in a reactor's place: takes each port, which ``held`` gives back."""

    def __init__(self, ports: Ports, held: ExitStack) -> None:
        self._ports = ports
        self._held = held
        self._adopted: set[Inherited] = set()

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> None:
        """Bind as Twisted does, for as long as others are tried."""
        inherited = self._ports.find(interface, port)
        if inherited in self._adopted:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        if inherited is not None:
            self._adopted.add(inherited)
            return
        family = socket.AF_INET6 if ":" in interface else socket.AF_INET
        one = self._held.enter_context(socket.socket(family, socket.SOCK_STREAM))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((interface, port))
        one.listen(backlog)

    def __getattr__(self, name: str) -> Any:
        # Sockets of other kinds are told of when they are really listened on.
        return lambda *_, **__: None


def _listen_now(reactor: Any, description: str, factory: Any) -> Any:
    """Return the port of an endpoint; those of servers are ready at once, or fail at once."""
    results: list[Any] = []
    described = as_tcp(with_backlog(description))
    serverFromString(reactor, described).listen(factory).addBoth(results.append)
    if not results:
        raise ValueError("it cannot be listened on at once")
    if hasattr(results[0], "raiseException"):
        results[0].raiseException()
    return results[0]


def _number(error: Exception) -> int | None:
    if isinstance(error, CannotListenError):
        error = error.socketError
    return error.errno if isinstance(error, OSError) else None


def _absent(error: Exception) -> bool:
    """Whether this machine has no such address, which another endpoint may make good."""
    return _number(error) in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL, errno.ENODEV}


def _port_of(description: str) -> int:
    """Return the TCP port that an endpoint names, 0 for none."""
    kind, *words = description.split(":")
    port = next((word for word in words if "=" not in word), "")
    port = next((word[5:] for word in words if word.startswith("port=")), port)
    return int(port) if kind.startswith("tcp") and port.isdecimal() else 0


def _refusal(
    description: str, error: Exception, where: str, settings: Mapping[int, str]
) -> ConfigurationError:
    """Return the sentence for an endpoint that cannot be listened on."""
    kind = description.partition(":")[0]
    number = _number(error)
    if kind.startswith("tcp"):
        port = _port_of(description)
        if number == errno.EADDRINUSE and port in settings:
            problem = f"port {port} is that of {settings[port]} already"
            return ConfigurationError(where, problem, "choose another port for one of them")
        if number == errno.EADDRINUSE:
            return ConfigurationError(where, f"port {port} is taken", "is another flocon running?")
        if number in {errno.EACCES, errno.EPERM}:
            problem = f"port {port} may not be taken by this user"
            return ConfigurationError(where, problem, "choose one above 1023, or start it as root")
    if kind == "unix" and number is not None:
        problem = f"{description!r} cannot be listened on ({os.strerror(number)})"
        return ConfigurationError(where, problem, "check that folder and its permissions")
    if kind == "systemd":
        problem = f"systemd has handed over no socket for {description!r}"
        remedy = "start this by a socket unit, or write an endpoint like tcp:19432"
        return ConfigurationError(where, problem, remedy)
    reason = error.socketError if isinstance(error, CannotListenError) else error
    told = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    problem = f"{description!r} cannot be listened on ({told})"
    return ConfigurationError(where, problem, "write an endpoint like tcp:19432:interface=ADDRESS")

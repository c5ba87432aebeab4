"""An event loop of asyncio whose datagrams pass through the sieve before anybody reads them.

The library opens its sockets by its loop, which here is ours: nothing of the library is touched.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from flocon.mdns.sieve import Sieve

_MAPPED = "::ffff:"


class SiftingLoop(asyncio.SelectorEventLoop):
    """``sieve`` is asked about each datagram; ``failed`` is called with what reading one raised."""

    def __init__(self, sieve: Sieve, failed: Callable[[BaseException], None]) -> None:
        super().__init__(selectors.EpollSelector())
        self._sieve = sieve
        self._failed = failed

    async def create_datagram_endpoint(
        self, protocol_factory: Callable[[], Any], *arguments: Any, **options: Any
    ) -> tuple[asyncio.DatagramTransport, Any]:
        """Open a socket as ever; what asked for it gets its own protocol back."""
        made: list[Sifting] = []

        def sifting() -> Sifting:
            made.append(Sifting(self, self._sieve, protocol_factory(), self._failed))
            return made[0]

        transport, _ = await super().create_datagram_endpoint(sifting, *arguments, **options)
        return transport, made[0].reader


class Sifting(asyncio.DatagramProtocol):
    """Hands on to ``reader`` what the sieve admits."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sieve: Sieve,
        reader: Any,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._loop = loop
        self._sieve = sieve
        self._failed = failed
        self.reader = reader

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.reader.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.reader.connection_lost(exc)

    def error_received(self, exc: Exception) -> None:
        """Count what could not be sent: the library would write a line of its log each time."""
        self._sieve.counters["unsent"] += 1

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        if not self._sieve.admits(self._loop.time(), _host(addr), data):
            return
        try:
            self.reader.datagram_received(data, addr)
        except Exception as error:  # noqa: BLE001 - what a stranger sent must end nothing
            self._sieve.counters["failed"] += 1
            self._failed(error)


def _host(address: tuple[Any, ...]) -> str:
    """Return a sender's address as links know it: link-local ones with their scope."""
    host = str(address[0])
    if host.startswith(_MAPPED):
        return host[len(_MAPPED) :]
    scope = address[3] if len(address) > 3 else 0  # noqa: PLR2004 - IPv6 has flow and scope
    return f"{host}%{scope}" if scope and "%" not in host else host

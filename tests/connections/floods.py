"""Servers that answer without end."""

from __future__ import annotations

from twisted.internet import protocol


class Flood(protocol.Protocol):
    """Sends its beginning, and then the same without end, as fast as it is taken."""

    asked = False

    def connectionMade(self) -> None:
        assert isinstance(self.factory, FloodFactory)
        self.factory.connections.append(self)

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        assert isinstance(self.factory, FloodFactory)
        self.asked = True
        self.transport.write(self.factory.beginning)
        self.transport.registerProducer(self, False)  # type: ignore[attr-defined]

    def resumeProducing(self) -> None:
        assert self.transport is not None
        assert isinstance(self.factory, FloodFactory)
        self.transport.write(self.factory.again)

    def stopProducing(self) -> None:
        pass


class FloodFactory(protocol.ServerFactory):
    protocol = Flood
    noisy = False

    def __init__(self, beginning: bytes, again: bytes) -> None:
        self.beginning = beginning
        self.again = again
        self.connections: list[Flood] = []

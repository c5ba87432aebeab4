"""The rival: a redirector as today's tools are, which asks every peer about every file.

``python -m bench.redirector PORT HOST:PORT...`` listens on 127.0.0.1. For ``/FILE`` it sends a HEAD
to all peers, each on a connection of its own and 10 ms after the one before, waits for all of them,
and answers 307 to the one that said 200 in the shortest time (404 when none did). One to which no
connection comes about within 2 s is left out for 30 s for each time in a row. It keeps nothing and
trusts everyone. All of that is what pacredir 0.7.8 does.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from dataclasses import dataclass
from functools import partial

#: Seconds between asking a peer and the next one.
STEP = 0.01
CONNECT = 2.0
#: Seconds without a byte of the answer.
SILENCE = 3.0
#: Seconds for which one is left out that could not be reached, times how often.
LEFT_OUT = 30.0


@dataclass(slots=True)
class Peer:
    """One that is asked; ``errors`` in a row, the last of them at ``failed``."""

    place: str
    errors: int = 0
    failed: float = 0.0

    @property
    def is_left_out(self) -> bool:
        return bool(self.errors) and time.monotonic() < self.failed + LEFT_OUT * self.errors

    async def ask(self, name: str) -> tuple[float, str] | None:
        """Return how long it took to hear that the file is there, and where; None if it is not."""
        began = time.monotonic()
        try:
            status = await self._status(name)
        except (OSError, TimeoutError, ValueError):
            self.errors, self.failed = self.errors + 1, time.monotonic()
            return None
        self.errors = 0
        if status != b"200":
            return None
        return time.monotonic() - began, f"http://{self.place}/pkg/{name}"

    async def _status(self, name: str) -> bytes:
        host, _, port = self.place.rpartition(":")
        opening = asyncio.open_connection(host, int(port))
        reader, writer = await asyncio.wait_for(opening, CONNECT)
        try:
            head = f"HEAD /pkg/{name} HTTP/1.1\r\nHost: {self.place}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode("ascii"))
            return (await asyncio.wait_for(reader.readline(), SILENCE)).split()[1]
        except IndexError:
            raise ValueError(self.place) from None
        finally:
            writer.close()


async def _best(peers: list[Peer], name: str) -> str | None:
    asking = []
    for peer in peers:
        if not peer.is_left_out:
            await asyncio.sleep(STEP)
            asking.append(asyncio.create_task(peer.ask(name)))
    found = [answer for answer in await asyncio.gather(*asking) if answer]
    return min(found)[1] if found else None


async def _serve(
    peers: list[Peer], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            request = await reader.readuntil(b"\r\n\r\n")
            name = request.split(b" ")[1].decode("ascii").rpartition("/")[2]
            location = await _best(peers, name)
            status = "404 Not Found" if location is None else "307 Temporary Redirect"
            where = "" if location is None else f"Location: {location}\r\n"
            writer.write(f"HTTP/1.1 {status}\r\n{where}Content-Length: 0\r\n\r\n".encode("ascii"))
    writer.close()


async def _main(port: int, places: list[str]) -> None:
    peers = [Peer(place) for place in places]
    server = await asyncio.start_server(partial(_serve, peers), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2:]))

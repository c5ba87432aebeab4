"""The rival: a redirector as today's tools are, which asks every peer about every file.

``python -m bench.redirector PORT HOST:PORT...`` listens on 127.0.0.1. For ``/FILE`` it sends a HEAD
to all peers at once, each on a connection of its own, and answers 307 to the first that says 200
(404 when none does). It keeps nothing and trusts everyone.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from functools import partial

PATIENCE = 1.0


async def _ask(place: str, name: str) -> str | None:
    host, _, port = place.rpartition(":")
    writer = None
    try:
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"HEAD /pkg/{name} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode("ascii"))
        status = await reader.readline()
        return f"http://{place}/pkg/{name}" if status.split()[1:2] == [b"200"] else None
    except (OSError, ValueError):
        return None
    finally:
        if writer is not None:
            writer.close()


async def _first(places: list[str], name: str) -> str | None:
    asking = [asyncio.create_task(_ask(place, name)) for place in places]
    try:
        for answer in asyncio.as_completed(asking, timeout=PATIENCE):
            with contextlib.suppress(TimeoutError):
                if location := await answer:
                    return location
        return None
    finally:
        for task in asking:
            task.cancel()


async def _serve(
    places: list[str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            request = await reader.readuntil(b"\r\n\r\n")
            name = request.split(b" ")[1].decode("ascii").rpartition("/")[2]
            location = await _first(places, name)
            status = "404 Not Found" if location is None else "307 Temporary Redirect"
            where = "" if location is None else f"Location: {location}\r\n"
            writer.write(f"HTTP/1.1 {status}\r\n{where}Content-Length: 0\r\n\r\n".encode("ascii"))
    writer.close()


async def _main(port: int, places: list[str]) -> None:
    server = await asyncio.start_server(partial(_serve, places), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2:]))

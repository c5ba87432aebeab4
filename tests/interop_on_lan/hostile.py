"""A machine of the LAN that answers whatever it is asked in the worst way: one way for each port.

``python -m tests.interop_on_lan.hostile ADDRESS PORT=WAY...``. It counts nothing, and ends with the
process that started it.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

_HEAD = b"HTTP/1.1 200 OK\r\nServer: nginx\r\n"
_PAUSE = 0.5


def _drip(_: str) -> Iterator[bytes]:
    """Yield a right head, as far as one can tell, and then a byte now and then."""
    yield _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"1\r\nx\r\n"
        time.sleep(_PAUSE)


def _head(_: str) -> Iterator[bytes]:
    """Yield a head that never ends, a byte now and then."""
    yield b"HTTP/1.1 200 OK\r\nX: "
    while True:
        yield b"x"
        time.sleep(_PAUSE)


def _heads(_: str) -> Iterator[bytes]:
    """Yield a head that never ends, as fast as it is taken."""
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        yield b"".join(b"X-%d: " % number + b"x" * 1_000 + b"\r\n" for number in range(64))


def _endless(_: str) -> Iterator[bytes]:
    """Yield a body that never ends, as fast as it is taken."""
    yield _HEAD + b"Connection: close\r\n\r\n"
    while True:
        yield b"x" * 65_536


def _interim(_: str) -> Iterator[bytes]:
    """Yield nothing but promises of an answer."""
    while True:
        yield b"HTTP/1.1 102 Processing\r\n\r\n" * 64
        time.sleep(0.01)


def _round(path: str) -> Iterator[bytes]:
    """Send on to where it was asked."""
    where = path.encode("ascii", "replace")
    yield b"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\nLocation: " + where + b"\r\n\r\n"


def _inward(path: str) -> Iterator[bytes]:
    """Send on to the asker's own faces."""
    where = b"http://127.0.0.1:19433" + path.encode("ascii", "replace")
    yield b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + where + b"\r\n\r\n"


def _garbage(_: str) -> Iterator[bytes]:
    yield b"\x00\xff" * 30_000


def _late(_: str) -> Iterator[bytes]:
    """Say that nothing is there, a moment before somebody else would be asked."""
    time.sleep(0.9)
    yield b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def _reset(_: str) -> Iterator[bytes]:
    """Say that it has more than it sends."""
    yield _HEAD + b"Content-Length: 100000\r\n\r\nxxxx"


WAYS: dict[str, Callable[[str], Iterator[bytes]]] = {
    "drip": _drip,
    "head": _head,
    "heads": _heads,
    "endless": _endless,
    "interim": _interim,
    "round": _round,
    "inward": _inward,
    "garbage": _garbage,
    "reset": _reset,
    "late": _late,
}


def _answer(connection: socket.socket, way: Callable[[str], Iterator[bytes]]) -> None:
    with connection:
        try:
            asked = connection.recv(65_536).split(b" ")
            path = asked[1].decode("latin-1") if len(asked) > 1 else "/"
            for data in way(path):
                connection.sendall(data)
        except OSError:
            return


def _serve(address: str, port: int, way: Callable[[str], Iterator[bytes]]) -> None:
    with socket.create_server((address, port), backlog=64) as listening:
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_answer, args=(connection, way), daemon=True).start()


def main(address: str, *ports: str) -> None:
    serving = []
    for one in ports:
        port, _, way = one.partition("=")
        serving.append(
            threading.Thread(target=_serve, args=(address, int(port), WAYS[way]), daemon=True)
        )
        serving[-1].start()
    for thread in serving:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])

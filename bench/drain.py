"""A client that costs next to nothing: reads answers and throws the bytes away in the kernel.

``python -m bench.drain COUNT HOST PORT PATH`` asks COUNT times on one connection and prints the
seconds and the body bytes. ``MSG_TRUNC`` (tcp(7)) discards what it receives without copying it, so
that what is measured is the server.
"""

from __future__ import annotations

import re
import socket
import sys
import time

STEP = 4 << 20


class Drain:
    """A kept connection to one server."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port))
        self._host = f"{host}:{port}"
        self._buffer = bytearray(STEP)

    def get(self, path: str) -> tuple[int, float, float]:
        """Return the body's length, the seconds to its first byte and to its last."""
        began = time.perf_counter()
        request = f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n"
        self._socket.sendall(request.encode("ascii"))
        head = b""
        while b"\r\n\r\n" not in head:
            data = self._socket.recv(4_096)
            if not data:
                raise ConnectionError("closed before the headers")
            head += data
        head, _, body = head.partition(b"\r\n\r\n")
        status = head.split()[1]
        match = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if status != b"200" or match is None:
            raise ConnectionError(f"answered {head.decode('latin-1')!r}")
        length = int(match[1])
        first = time.perf_counter() if body else 0.0
        left = length - len(body)
        while left:
            count = self._socket.recv_into(self._buffer, min(left, STEP), socket.MSG_TRUNC)
            if not count:
                raise ConnectionError(f"closed {left} bytes before the end")
            first = first or time.perf_counter()
            left -= count
        return length, first - began, time.perf_counter() - began

    def close(self) -> None:
        self._socket.close()


def _main(count: int, host: str, port: int, path: str) -> None:
    drain = Drain(host, port)
    began = time.perf_counter()
    total = sum(drain.get(path)[0] for _ in range(count))
    print(time.perf_counter() - began, total)


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])

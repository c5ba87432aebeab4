"""What taking a file in costs at least: ways from a socket into a file and a SHA-256, bare.

No HTTP and no reactor: two threads, one that receives and one that hashes, as a node does it. What
a node needs beyond the first way is its own; what another way saves is the most it could gain.
"""

from __future__ import annotations

import hashlib
import os
import queue
import resource
import socket
import statistics
import threading
from fcntl import F_SETPIPE_SZ, fcntl
from multiprocessing import Process
from typing import TYPE_CHECKING

from bench.common import Laboratory, Row, interleave, main, plain, ratio, write_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZE = 300_000_000
READ = 256 << 10
STEP = 1 << 20
ROUNDS = 7


class Progress:
    """How far the file is written, for who hashes it."""

    def __init__(self) -> None:
        self._position = 0
        self._more = threading.Condition()

    def moved(self, count: int) -> None:
        with self._more:
            self._position += count
            self._more.notify()

    def beyond(self, position: int) -> int:
        """Wait until a step more is there, or all, and return how far it is."""
        with self._more:
            least = min(position + STEP, SIZE)
            self._more.wait_for(lambda: self._position >= least)
            return self._position


def _hash(descriptor: int, progress: Progress) -> None:
    digest, position = hashlib.sha256(), 0
    while position < SIZE:
        end = progress.beyond(position)
        while position < end:
            data = os.pread(descriptor, min(STEP, end - position), position)
            digest.update(data)
            position += len(data)


def _and_hash(
    receive: Callable[[socket.socket, int, Progress], None],
) -> Callable[[socket.socket, int], None]:
    """Return ``receive``, with a thread that reads back what is written and hashes it."""

    def run(connection: socket.socket, descriptor: int) -> None:
        progress = Progress()
        thread = threading.Thread(target=_hash, args=(descriptor, progress))
        thread.start()
        receive(connection, descriptor, progress)
        thread.join()

    return run


def recv(connection: socket.socket, descriptor: int, progress: Progress) -> None:
    """Receive new bytes objects: what Twisted's transports do."""
    position = 0
    while data := connection.recv(READ):
        position += os.pwrite(descriptor, data, position)
        progress.moved(len(data))


def recv_into(connection: socket.socket, descriptor: int, progress: Progress) -> None:
    """Receive into one buffer that is used again and again."""
    buffer = memoryview(bytearray(STEP))
    position = 0
    while count := connection.recv_into(buffer):
        position += os.pwrite(descriptor, buffer[:count], position)
        progress.moved(count)


def splice(connection: socket.socket, descriptor: int, progress: Progress) -> None:
    """Let the kernel move the bytes through a pipe."""
    source, sink = os.pipe()
    fcntl(sink, F_SETPIPE_SZ, STEP)
    position = 0
    while count := os.splice(connection.fileno(), sink, STEP):
        while count:
            moved = os.splice(source, descriptor, count, offset_dst=position)
            position += moved
            count -= moved
            progress.moved(moved)
    os.close(source)
    os.close(sink)


def hash_received(connection: socket.socket, descriptor: int) -> None:
    """Hash the bytes objects themselves, so that nothing is read back."""
    received: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def work() -> None:
        digest = hashlib.sha256()
        while data := received.get():
            digest.update(data)

    thread = threading.Thread(target=work)
    thread.start()
    position = 0
    while data := connection.recv(READ):
        position += os.pwrite(descriptor, data, position)
        received.put(data)
    received.put(b"")
    thread.join()


def _serve(listener: socket.socket, path: Path) -> None:
    while True:
        connection, _ = listener.accept()
        with connection, path.open("rb") as file:
            connection.sendfile(file)


def run(laboratory: Laboratory) -> list[Row]:
    """Let the ways take turns; a value is processor seconds, the kernel's among them."""
    folder = laboratory.lan.folder
    path = folder / write_file(folder, "sent", SIZE).file_name
    listener = socket.create_server(("127.0.0.1", 0))
    sender = Process(target=_serve, args=(listener, path), daemon=True)
    sender.start()

    def measured(way: Callable[[socket.socket, int], None]) -> Callable[[], float]:
        def once() -> float:
            descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR)
            before = resource.getrusage(resource.RUSAGE_SELF)
            with socket.create_connection(listener.getsockname()) as connection:
                way(connection, descriptor)
            after = resource.getrusage(resource.RUSAGE_SELF)
            os.close(descriptor)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

        return once

    ways = {
        "recv": _and_hash(recv),
        "recv_into": _and_hash(recv_into),
        "splice": _and_hash(splice),
        "hash what was received": hash_received,
    }
    results = interleave({name: measured(way) for name, way in ways.items()}, ROUNDS, warm=1)
    sender.terminate()
    sender.join()
    usual = results.pop("recv")
    return [
        plain("processor time to take in 300 MB, recv", statistics.median(usual), "s"),
        *(ratio(f"the same, {name}", values, usual, "s") for name, values in results.items()),
    ]


if __name__ == "__main__":
    main(run, __doc__)

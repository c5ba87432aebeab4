"""A long way between two namespaces: two TAP devices, and this process between them.

``python -m tests.lan.wire SECONDS NAMESPACE DEVICE NAMESPACE DEVICE`` makes both devices, says
"ready", and holds every frame back for so long before it goes on, both ways; the devices are gone
with the process. For kernels that have no ``netem``. How fast it may go is a qdisc's to say.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import struct
import sys
import time
from collections import deque
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
#: Frames that may be under way one way: 60 ms of a Gbit/s.
MOST_FRAMES = 5_000
_LONGEST_FRAME = 65_536


def open_tap(namespace: str, device: str) -> int:
    """Return the descriptor of a new TAP device in a namespace; this process stays outside."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/self/ns/net").open("rb") as own:
        with Path("/run/netns", namespace).open("rb") as other:
            _enter(libc, other.fileno())
        try:
            tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            request = struct.pack("16sH22x", device.encode(), _IFF_TAP | _IFF_NO_PI)
            fcntl.ioctl(tap, _TUNSETIFF, request)
        finally:
            _enter(libc, own.fileno())
    return tap


def _enter(libc: ctypes.CDLL, descriptor: int) -> None:
    if libc.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Way:
    """One direction: frames and when each is due."""

    def __init__(self, source: int, target: int, delay: float) -> None:
        self.source = source
        self._target = target
        self._delay = delay
        self._frames: deque[tuple[float, bytes]] = deque()

    def take(self) -> None:
        """Take what has come; what is too much is lost, as on any line."""
        due = time.monotonic() + self._delay
        while True:
            try:
                frame = os.read(self.source, _LONGEST_FRAME)
            except OSError:
                # Nothing more, or the device is down.
                return
            if len(self._frames) < MOST_FRAMES:
                self._frames.append((due, frame))

    def give(self, now: float) -> float | None:
        """Send what is due; return when the next will be, None where nothing is under way."""
        frames = self._frames
        while frames and frames[0][0] <= now:
            try:
                os.write(self._target, frames.popleft()[1])
            except OSError:
                continue
        return frames[0][0] if frames else None


def forward(left: int, right: int, delay: float) -> None:
    """Carry frames between two TAP devices for ever."""
    ways = (Way(left, right, delay), Way(right, left, delay))
    while True:
        due = [moment for way in ways if (moment := way.give(time.monotonic())) is not None]
        patience = max(0.0, min(due) - time.monotonic()) if due else None
        ready, _, _ = select.select([left, right], [], [], patience)
        for way in ways:
            if way.source in ready:
                way.take()


def main(delay: str, *ends: str) -> None:
    left, right = open_tap(ends[0], ends[1]), open_tap(ends[2], ends[3])
    # A line does not wait for a processor.
    os.nice(-15)
    print("ready", flush=True)
    forward(left, right, float(delay))


if __name__ == "__main__":
    main(*sys.argv[1:])

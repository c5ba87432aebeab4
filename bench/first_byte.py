"""Prints, for each package, the seconds from a request to its first byte at this host's own node.

``python -m bench.first_byte REPOSITORY FILE...`` asks on one kept connection, as pacman does.
"""

from __future__ import annotations

import sys

from bench.drain import Drain
from tests.lan.lan import LOOPBACK_PORT

if __name__ == "__main__":
    drain = Drain("localhost", LOOPBACK_PORT)
    for name in sys.argv[2:]:
        print(drain.get(f"/{sys.argv[1]}/os/x86_64/{name}")[1])

"""Holds a node's sockets and starts it again, as systemd does; for tests where there is none.

    python -m tests.lan.holder PROGRAM [ARGUMENT ...]

The sockets are those of ``packaging/flocon.socket``, and the rules those of ``flocon.service``:
when one that ended is started anew, after how long a silence it is replaced, and how. SIGHUP
restarts the node as ``systemctl restart`` does, SIGTERM ends both. The node's process id stands in
the file that ``$HOLDER_PID_FILE`` names, as long as there is one.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import sys
import time
from pathlib import Path

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
#: The first descriptor that is handed over (sd_listen_fds(3)).
FIRST = 3
#: Where the holder keeps them itself.
_HIGH = 40
#: The variables are for the process that becomes the node, whose id nobody knows before.
_START = 'export LISTEN_PID=$$ WATCHDOG_PID=$$; exec setpriv --pdeathsig KILL -- "$@"'
_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "min": 60.0}


class Unit:
    """What a unit's file says."""

    def __init__(self, name: str) -> None:
        self._text = (PACKAGING / name).read_text()

    def all(self, key: str) -> list[str]:
        return re.findall(rf"^{key}=(.*)$", self._text, re.MULTILINE)

    def last(self, key: str, default: str) -> str:
        return [default, *self.all(key)][-1]

    def seconds(self, key: str, default: str) -> float:
        amount = re.fullmatch(r"([0-9.]+)(\w*)", self.last(key, default))
        assert amount is not None, key
        return float(amount[1]) * _UNITS[amount[2]]


def sockets(unit: Unit) -> list[socket.socket]:
    """Return what a socket unit has listen, far from the descriptors that are handed over."""
    held: list[socket.socket] = []
    for text in unit.all("ListenStream"):
        address, port = text.rsplit(":", 1)
        family = socket.AF_INET6 if address.startswith("[") else socket.AF_INET
        with socket.create_server(
            (address.strip("[]"), int(port)),
            family=family,
            backlog=4_096,
            dualstack_ipv6=address == "[::]",
        ) as one:
            number = _HIGH + len(held)
            os.dup2(one.fileno(), number, inheritable=False)
            held.append(socket.socket(fileno=number))
    return held


class Holder:
    """One node, and what is done when it ends, or is silent."""

    def __init__(self, command: list[str]) -> None:
        service, unit = Unit("flocon.service"), Unit("flocon.socket")
        self._command = command
        self._sockets = sockets(unit)
        self._name = unit.last("FileDescriptorName", "flocon.socket")
        self._silence = service.seconds("WatchdogSec", "0")
        self._pause = service.seconds("RestartSec", "100ms")
        self._patience = service.seconds("TimeoutStopSec", "90s")
        self._replace_by = signal.Signals[service.last("WatchdogSignal", "SIGABRT")]
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify_address = f"@flocon-holder-{os.getpid()}"
        self._notify.bind("\0" + self._notify_address[1:])
        self._pid_file = Path(os.environ["HOLDER_PID_FILE"])
        self._pid = 0
        #: When the node was heard, once it has said that it is ready.
        self._heard: float | None = None
        self._wanted: list[int] = []

    def run(self) -> int:
        """Keep a node running until SIGTERM."""
        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, lambda number, _: self._wanted.append(number))
        self._start()
        while signal.SIGTERM not in self._wanted:
            select.select([self._notify], [], [], 0.01)
            self._listen()
            if signal.SIGHUP in self._wanted:
                self._wanted.clear()
                self._end()
                self._start()
            self._look()
        self._end()
        return 0

    def _start(self) -> None:
        environment = {
            **os.environ,
            "LISTEN_FDS": str(len(self._sockets)),
            "LISTEN_FDNAMES": ":".join(self._name for _ in self._sockets),
            "NOTIFY_SOCKET": self._notify_address,
            "WATCHDOG_USEC": str(round(self._silence * 1e6)),
        }
        actions = [
            (os.POSIX_SPAWN_DUP2, one.fileno(), number)
            for number, one in enumerate(self._sockets, FIRST)
        ]
        shell = ["/bin/sh", "-c", _START, "sh", *self._command]
        self._pid = os.posix_spawn(shell[0], shell, environment, file_actions=actions)
        self._heard = None
        self._pid_file.write_text(str(self._pid))

    def _listen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while said := self._notify.recv(4_096, socket.MSG_DONTWAIT).split(b"\n"):
                if {b"READY=1", b"WATCHDOG=1"} & set(said):
                    self._heard = time.monotonic()

    def _look(self) -> None:
        if self._is_gone():
            print("holder: the node has ended and is started anew", flush=True)
            time.sleep(self._pause)
            self._start()
        elif self._heard is not None and self._is_silent(self._heard):
            print("holder: the node is silent and is replaced", flush=True)
            os.kill(self._pid, self._replace_by)
            self._heard = None

    def _is_silent(self, heard: float) -> bool:
        return bool(self._silence) and time.monotonic() > heard + self._silence

    def _is_gone(self) -> bool:
        return os.waitpid(self._pid, os.WNOHANG)[0] != 0

    def _end(self) -> None:
        self._pid_file.unlink()
        os.kill(self._pid, signal.SIGTERM)
        until = time.monotonic() + self._patience
        while not self._is_gone():
            if time.monotonic() > until:
                os.kill(self._pid, signal.SIGKILL)
            time.sleep(0.002)


if __name__ == "__main__":
    sys.exit(Holder(sys.argv[1:]).run())

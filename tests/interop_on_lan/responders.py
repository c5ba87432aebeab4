"""Real responders of mDNS on hosts of the lab: Avahi, and systemd-resolved, each with its own bus.

Neither is installed: ``.ci/mdns`` unpacks them. ``/run`` of a host's daemons is a tmpfs of theirs.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lan.lan import Host, environment, wait_until

#: The variable that names the folder of ``.ci/mdns``.
VARIABLE = "FLOCON_MDNS"
SOON = 15.0
#: SD_RESOLVED_NO_SYNTHESIZE and SD_RESOLVED_NO_ZONE, as pacredir asks.
_AS_PACREDIR = (1 << 11) | (1 << 13)
_IN, _PTR = 1, 12

_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""


def folder() -> Path | None:
    """Return where the responders lie, or None where there are none."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named and Path(named, "usr", "sbin", "avahi-daemon").exists() else None


def lacking() -> str:
    """Return why there are none here, or nothing."""
    return "" if folder() else f"no Avahi and systemd-resolved: {VARIABLE} names none of .ci/mdns"


class _Responder:
    """A daemon and its bus on a host; ``name`` is what the machine is called by mDNS."""

    def __init__(self, host: Host, name: str) -> None:
        found = folder()
        assert found is not None
        self._unpacked = found
        self.host = host
        self.name = name
        self.folder = host.folder / type(self).__name__.lower()
        self.folder.mkdir(mode=0o755)
        self._bus = self.folder / "bus"
        self._daemon: subprocess.Popen[bytes] | None = None
        (self.folder / "bus.conf").write_text(_BUS.format(socket=self._bus))

    def _environment(self) -> Mapping[str, str]:
        libraries = self._unpacked / "usr/lib"
        (triplet,) = {path.parent for path in libraries.glob("*/libdaemon.so.0")}
        own = {
            "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self._bus}",
            "LD_LIBRARY_PATH": f"{triplet}:/usr/lib/{triplet.name}/systemd",
        }
        return {**environment(), **own}

    def _make_users(self) -> None:
        """Add the users that Debian's packages make when they are installed."""
        for name, line in (("passwd", ":x:{0}:{0}::/:/bin/false"), ("group", ":x:{0}:")):
            users = (("systemd-resolve", 991), ("avahi", 992))
            text = "".join(f"{user}{line.format(number)}\n" for user, number in users)
            (self.folder / name).write_text(Path("/etc", name).read_text() + text)

    def _start(self, *lines: str) -> None:
        self._make_users()
        script = "\n".join(
            (
                "set -e",
                "mount -t tmpfs tmpfs /run",
                "mkdir -p /run/avahi-daemon /run/systemd/resolve",
                *(f"mount --bind {self.folder}/{one} /etc/{one}" for one in ("passwd", "group")),
                f"hostname {self.name}",
                f"dbus-daemon --config-file={self.folder}/bus.conf --nofork --nopidfile &",
                f"while [ ! -S {self._bus} ]; do sleep 0.02; done",
                *lines,
            )
        )
        with (self.folder / "log").open("ab") as log:
            self._daemon = subprocess.Popen(
                self.host.command(["unshare", "--uts", "sh", "-c", script]),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def run(self, *arguments: str, timeout: float = 20) -> str:
        """Run one of its tools; return what it printed, also where that is of an error."""
        done = subprocess.run(
            self.host.command(arguments),
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return done.stdout + done.stderr

    def end(self) -> None:
        """End the daemon, which says goodbye."""
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait(5)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")


class Avahi(_Responder):
    """avahi-daemon, and what its tools say."""

    def start(self) -> None:
        conf = self.folder / "avahi.conf"
        conf.write_text(
            f"[server]\nhost-name={self.name}\nallow-interfaces=eth0\nuse-ipv6=yes\n"
            "[wide-area]\nenable-wide-area=no\n"
        )
        daemon = self._unpacked / "usr/sbin/avahi-daemon"
        self._start(f"exec {daemon} --file={conf} --no-drop-root --no-chroot --no-rlimits")
        wait_until(lambda: "Server startup complete" in self.log, SOON, "avahi-daemon answers")

    def publish(self, instance: str, kind: str, port: int, *texts: str) -> subprocess.Popen[bytes]:
        """Announce a service until the process is ended, which says goodbye."""
        tool = self._unpacked / "usr/bin/avahi-publish"
        process = subprocess.Popen(
            self.host.command([str(tool), "-s", instance, kind, str(port), *texts]),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def browse(self, kind: str) -> list[Sequence[str]]:
        """Return what is announced of a type and resolved: fields as ``avahi-browse -p`` has."""
        tool = str(self._unpacked / "usr/bin/avahi-browse")
        lines = self.run(tool, "-rtp", kind).splitlines()
        return [line.split(";") for line in lines if line.startswith("=")]


class Resolved(_Responder):
    """systemd-resolved with mDNS on eth0, asked as pacredir asks."""

    def start(self) -> None:
        settings = self.folder / "etc"
        settings.mkdir()
        (settings / "resolved.conf").write_text(
            "[Resolve]\nMulticastDNS=yes\nLLMNR=no\nDNSStubListener=no\nFallbackDNS=\n"
        )
        daemon = self._unpacked / "lib/systemd/systemd-resolved"
        if not daemon.exists():
            daemon = self._unpacked / "usr/lib/systemd/systemd-resolved"
        self._start(
            f"mount --bind {settings} /etc/systemd",
            "chown 991:991 /run/systemd/resolve",
            f"exec {daemon}",
        )
        wait_until(lambda: "yes" in self._resolvectl("mdns", "eth0"), SOON, "resolved answers")

    def _resolvectl(self, *words: str) -> str:
        tool = str(self._unpacked / "usr/bin/resolvectl")
        if words[0] == "mdns":
            self.run(tool, *words, "yes")
        return self.run(tool, *words)

    def call(self, method: str, signature: str, *arguments: str) -> str:
        """Call a method of resolved's manager on the bus; return what busctl printed."""
        place = ("org.freedesktop.resolve1", "/org/freedesktop/resolve1")
        manager = "org.freedesktop.resolve1.Manager"
        return self.run(
            "busctl", "--system", "call", *place, manager, method, signature, *arguments
        )

    def register(self, instance: str, kind: str, port: int, *texts: str) -> str:
        """Announce a service as pacredir's server does; return the path by which it is undone."""
        table = [str(len(texts))]
        for text in texts:
            key, _, value = text.partition("=")
            table += [key, str(len(value)), *(str(one) for one in value.encode())]
        given = ("flocon-test", instance, kind, str(port), "0", "0", "1", *table)
        return self.call("RegisterService", "sssqqqaa{say}", *given)

    def instances(self, kind: str) -> str:
        """Return the answer to the question which services of a type there are."""
        name = f"{kind}.local"
        index = self._index()
        # To warm the cache, as pacredir does.
        asked = (index, name, str(_IN), str(_PTR))
        self.call("ResolveRecord", "isqqt", *asked, "0")
        return self.call("ResolveRecord", "isqqt", *asked, str(_AS_PACREDIR))

    def service(self, instance: str, kind: str) -> str:
        """Return what an instance is resolved to: its host, port, addresses and texts."""
        given = (self._index(), instance, kind, "local", "0", str(_AS_PACREDIR))
        return self.call("ResolveService", "isssit", *given)

    def _index(self) -> str:
        return self.host.ip("-o", "link", "show", "eth0").partition(":")[0]

"""The unit as systemd itself runs it: a system of its own is booted in namespaces.

Its root is this machine's with a layer above, so everything there is goes with the namespaces. In
it the built package is installed by pacman, its user is made, and systemd, as process 1, starts
the unit with its whole sandbox. Needs root, and goes nowhere near this machine's own systemd.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.packaging.workshop import PACKAGING, SITE, folder, need, need_package, package, run

#: Seconds that pacman waits for a first byte.
PACMANS_PATIENCE = 10
#: Within which another node answers in the place of one that hangs.
REPLACED = 8
_CGROUPS = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
# Run in new namespaces: builds the root in $TOP, then becomes process 1.
_BOOT = """
set -eu
mount -t tmpfs tmpfs "$TOP/layers"
mkdir "$TOP/layers/upper" "$TOP/layers/work"
layers="upperdir=$TOP/layers/upper,workdir=$TOP/layers/work"
mount -t overlay -o "lowerdir=/,$layers" overlay "$TOP/root"
cd "$TOP/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs tmpfs sys/fs/cgroup
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do
  : >dev/$name
  mount --bind /dev/$name dev/$name
done
mkdir dev/pts dev/shm old shared
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount --bind "$TOP/shared" shared
ip link set lo up

IFS='
'
for prefix in $PREFIXES; do
  # A checkout or its python may lie in root's home.
  [ -e ".$prefix" ] || { mkdir -p ".$prefix"; mount --bind "$prefix" ".$prefix"; }
  path=".$prefix"
  while [ "$path" != . ]; do chmod a+x "$path"; path=${path%/*}; done
done
unset IFS
for name in python twistd; do rm -f usr/bin/$name; done
printf '#!/bin/sh\\nPYTHONPATH=/%s exec "%s" -P "$@"\\n' "$SITE" "$PYTHON" >usr/bin/python
printf '#!/bin/sh\\nexec python -c "%s" "$@"\\n' \\
  "from twisted.scripts.twistd import run; run()" >usr/bin/twistd
chmod 755 usr/bin/python usr/bin/twistd
rm -rf var/cache/flocon etc/flocon.toml etc/systemd/system/*.wants etc/systemd/system/flocon*
mkdir -p var/cache/flocon-test etc/pacman.d
printf '[options]\\nArchitecture = x86_64\\nLocalFileSigLevel = Never\\n' >etc/pacman.conf
pacman --root "$PWD" --dbpath "$PWD/var/cache/flocon-test" --config etc/pacman.conf --gpgdir tmp \\
  --logfile tmp/log --cachedir tmp --noconfirm --nodeps --nodeps -U shared/flocon.pkg.tar.zst \\
  >shared/pacman 2>&1
printf '[core]\\nServer = http://127.0.0.1:1/$repo\\n' >>etc/pacman.conf

cd etc/systemd/system
cp ../../../shared/*.service ../../../shared/try.target .
mkdir flocon.service.d
cp ../../../shared/drop-in.conf flocon.service.d
for name in flocon-sign flocon-build; do
  mkdir $name.service.d
  cp ../../../shared/home.conf $name.service.d
done
for name in systemd-udevd systemd-modules-load systemd-sysctl systemd-timesyncd \\
  systemd-random-seed systemd-tmpfiles-setup-dev systemd-networkd systemd-resolved; do
  ln -sf /dev/null $name.service
done
cd "$TOP/root"
mount --make-rprivate /
pivot_root . old
umount -l old
exec env -i container=test /lib/systemd/systemd --unit=try.target --show-status=no --log-target=null
"""
_TARGET = """
[Unit]
Requires=sysinit.target try.service
After=sysinit.target
AllowIsolate=yes
"""
_TRY = """
[Unit]
After=systemd-journald.service
[Service]
Type=oneshot
ExecStart=/bin/sh /shared/script
StandardOutput=file:/shared/script.out
StandardError=file:/shared/script.out
ExecStopPost=/bin/systemctl exit --force
TimeoutStartSec=60
"""
# What is asked while that systemd runs; each answer is a file.
_SCRIPT = """
cd /shared
systemd-sysusers
systemctl daemon-reload
systemctl start probe
said() { systemctl show flocon --property="$1" --value; }
systemctl enable --now flocon
echo "$? $(said ActiveState) $(said StatusText)" >started
systemctl is-enabled flocon >enabled
python -c 'from urllib.request import urlopen
print(urlopen("http://127.0.0.1:19433/status.json").read().decode())' >status
stat -c '%U %a' /var/cache/flocon /run/flocon >folders
systemctl kill -s USR1 flocon
systemctl kill -s USR2 flocon
systemctl reload flocon
status=$?
# The signal is sent; the node says when it has read its settings.
for i in 1 2 3 4 5 6 7 8 9 10; do
  [ "$(said ActiveState)" = reloading ] || break
  sleep 0.2
done
echo "$status $(said ActiveState)" >reloaded
cp /etc/flocon.toml /etc/flocon.toml.good
echo 'nonsense = 1' >/etc/flocon.toml
systemctl reload flocon
for i in 1 2 3 4 5 6 7 8 9 10; do
  journalctl -u flocon -p warning >warnings
  grep -q nonsense warnings && break
  sleep 0.2
done
cp /etc/flocon.toml.good /etc/flocon.toml
before=$(said MainPID)
systemctl restart flocon
echo "$? $(said ActiveState) $([ "$(said MainPID)" != "$before" ] && echo anew)" >restarted
sleep 3
echo "$(said ActiveState) $(said NRestarts)" >beaten
kill -STOP $(said MainPID)
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
  [ "$(said Result)" = watchdog ] && break
  sleep 0.5
done
said Result >stalled
systemctl stop flocon
# While it is down, another user tries to answer in its place; then pacman asks.
setpriv --reuid=65534 --regid=65534 --clear-groups python probe-ports.py >squatted
python -c 'from urllib.request import urlopen
print(urlopen("http://127.0.0.1:19433/check").read().decode())' >woken
echo "$(said ActiveState) $(systemctl is-enabled flocon.socket)" >>woken
systemctl stop flocon.socket flocon
setpriv --reuid=65534 --regid=65534 --clear-groups python probe-ports.py >given-back
# As it is shipped: who asks while the node is frozen, killed or restarted waits for the next one.
sed -i '/RestartSec/d; /WatchdogSec/d' /etc/systemd/system/flocon.service.d/drop-in.conf
systemctl daemon-reload
systemctl start flocon.socket flocon
for how in STOP KILL restart; do
  sleep 1
  case $how in restart) systemctl --no-block restart flocon ;; *) kill -$how $(said MainPID) ;; esac
  python -c 'import time, urllib.request
began = time.monotonic()
urllib.request.urlopen("http://127.0.0.1:19433/check", timeout=30)
print(time.monotonic() - began)' >>replaced
done
said Result >>replaced
systemctl stop flocon.socket flocon
# A node that cannot start keeps nobody waiting for as long as pacman waits.
echo 'nonsense = 1' >/etc/flocon.toml
systemctl start flocon.socket
python -c 'import time, urllib.request
began = time.monotonic()
try: urllib.request.urlopen("http://127.0.0.1:19433/check", timeout=30)
except OSError: print(time.monotonic() - began)' >waited
sleep 1
setpriv --reuid=65534 --regid=65534 --clear-groups python probe-ports.py >given-up
mv /etc/flocon.toml.good /etc/flocon.toml
systemctl reset-failed flocon flocon.socket
systemctl start flocon
said ActiveState >mended
# Ports of one's own, in both places, while it runs; only on a terminal is anything edited.
echo 'loopback = ["tcp:19533:interface=127.0.0.1"]' >/etc/flocon.toml
cat >own.conf <<'END'
[Socket]
ListenStream=
ListenStream=127.0.0.1:19533
END
export SYSTEMD_EDITOR='cp /shared/own.conf'
cat >edit <<'END'
systemctl edit flocon.socket
END
script --quiet --return --command 'sh edit' /dev/null
# A proxy for the mirrors, as its environment.
printf '[Service]\nEnvironment=https_proxy=http://proxy.example:3128\n' >proxy.conf
cat >edit <<'END'
export SYSTEMD_EDITOR='cp /shared/proxy.conf'
systemctl edit flocon
END
script --quiet --return --command 'sh edit' /dev/null
systemctl show --property=Environment flocon >environment
systemctl stop flocon
systemctl restart flocon.socket flocon
python -c 'from urllib.request import urlopen
print(urlopen("http://127.0.0.1:19533/check").read().decode())' >moved
journalctl -u flocon >log
journalctl --quiet --unit=flocon --output=json >journal
"""
# Beaten every second, so that a test need not wait for a minute.
_DROP_IN = """
[Service]
WatchdogSec=2
RestartSec=1h
"""
#: Run inside the unit's sandbox in place of the node: what it does there, and what it cannot.
_PROBE = r"""
import ctypes, json, os, socket, subprocess, tempfile

results = {}


def attempt(function):
    try:
        results[function.__name__] = function() or "done"
    except Exception as error:
        results[function.__name__] = f"{type(error).__name__}: {error}"


@attempt
def pacman_conf():
    return subprocess.run(["pacman-conf", "--repo-list"], capture_output=True, text=True).stdout


@attempt
def gpgv():
    files = ["--keyring", "/shared/keyring", "/shared/signed.sig", "/shared/signed"]
    done = subprocess.run(["gpgv", "--status-fd", "1", *files], capture_output=True, text=True)
    return "good" if " GOODSIG " in done.stdout else done.stdout + done.stderr


@attempt
def verify_a_mirrors_certificate():
    from OpenSSL import SSL
    SSL.Context(SSL.TLS_METHOD).set_verify(SSL.VERIFY_PEER, lambda *_: True)


@attempt
def publish_in_the_store():
    folder = os.environ["CACHE_DIRECTORY"]
    descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o644)
    source, target = f"/proc/self/fd/{descriptor}", f"{folder}/probe"
    os.link(source, target, src_dir_fd=0, follow_symlinks=True)
    os.unlink(target)


@attempt
def hold_in_memory():
    os.close(os.memfd_create("probe"))


@attempt
def follow_a_folder():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.inotify_add_watch(libc.inotify_init1(0), b"/var/cache", 0x100) < 0:
        raise OSError(ctypes.get_errno(), "inotify")


@attempt
def list_interfaces():
    import ifaddr
    list(ifaddr.get_adapters())
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE).close()


@attempt
def join_the_group():
    member = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    request = socket.inet_aton("228.0.2.35") + socket.inet_aton("127.0.0.1")
    member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)


@attempt
def write_elsewhere():
    open("/var/cache/elsewhere", "w")


@attempt
def capture_packets():
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW)


@attempt
def make_a_namespace():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000):
        raise OSError(ctypes.get_errno(), "unshare")


print(json.dumps(results))
"""


# Whether a port can be listened on, by name.
_PORTS = """
import errno, socket

for address, port in (("127.0.0.1", 19433), ("::1", 19433), ("::", 19432), ("0.0.0.0", 19432)):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            one.bind((address, port))
            one.listen()
            print("free")
        except OSError as error:
            print(errno.errorcode[error.errno])
"""


def _signature(shared: Path) -> None:
    home = folder()
    home.chmod(0o700)
    gpg = ("gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback")
    (shared / "signed").write_text("package")
    run(*gpg, "--passphrase", "", "--quick-gen-key", "packager", "ed25519")
    run(*gpg, "--detach-sign", str(shared / "signed"))
    run(*gpg, "--output", str(shared / "keyring"), "--export")
    run("gpgconf", "--homedir", str(home), "--kill", "all")


def nothing(shared: Path) -> None:
    """Put nothing more into the folder that the booted system has as /shared."""


@functools.cache
def boot(script: str = _SCRIPT, fill: Callable[[Path], None] = nothing) -> Path:
    """Boot, run the script, and return the folder with the answers.

    ``fill`` puts there what else the script needs.
    """
    top = folder()
    shared = top / "shared"
    for name in ("layers", "root", "shared"):
        (top / name).mkdir()
    shared.chmod(0o755)
    shutil.copy(package(), shared / "flocon.pkg.tar.zst")
    _signature(shared)
    fill(shared)
    unit = (PACKAGING / "flocon.service").read_text()
    start = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    probe = unit.replace(start, "ExecStart=/usr/bin/python /shared/probe.py").replace(
        "Type=notify",
        "Type=oneshot\nStandardOutput=file:/shared/probe\nStandardError=file:/shared/probe.err",
    )
    probe = probe.replace("Restart=on-failure", "Restart=no")
    # A test's checkout and python may lie where the unit hides everything; the node's never do.
    hidden = {
        "/root/": "ProtectHome=no\n",
        "/home/": "ProtectHome=no\n",
        "/tmp/": "PrivateTmp=no\nReadWritePaths=/tmp\n",
    }
    shown = {line for place, line in hidden.items() if place in _prefixes() + "/"}
    home = "\n[Service]\n" + "".join(sorted(shown)) if shown else ""
    files = {
        "probe.service": probe + home,
        "probe.py": _PROBE,
        "probe-ports.py": _PORTS,
        "try.target": _TARGET,
        "try.service": _TRY,
        "script": script,
        "drop-in.conf": _DROP_IN + home,
        "home.conf": home,
    }
    for name, text in files.items():
        (shared / name).write_text(text)
    # A branch of this machine's tree of processes, so that systemd finds none but its own.
    tree = next(Path(path) for path in _CGROUPS if Path(path, "cgroup.procs").exists())
    branch = tree / f"flocon-{os.getpid()}"
    branch.mkdir(exist_ok=True)
    namespaces = ("--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork")
    try:
        done = run(
            *("sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec unshare "$@"', str(branch)),
            *(*namespaces, "--kill-child", "--propagation", "private", "sh", "-c", _BOOT),
            TOP=str(top),
            SITE=SITE,
            PYTHON=sys.executable,
            PREFIXES=_prefixes(),
        )
    finally:
        for path, _, _ in os.walk(branch, topdown=False):
            Path(path).rmdir()
    (shared / "boot").write_text(done.stdout)
    return shared


def _prefixes() -> str:
    return "\n".join({sys.prefix, sys.base_prefix})


class Booted(SynchronousTestCase):
    script = _SCRIPT
    fill = staticmethod(nothing)

    def setUp(self) -> None:
        need_package()
        need(
            "/lib/systemd/systemd",
            "script",
            "unshare",
            "pivot_root",
            "gpg",
            "gpgv",
            "ip",
            root=True,
        )
        self.shared = boot(self.script, self.fill)

    def said(self, name: str) -> str:
        path = self.shared / name
        if not path.exists():
            notes = [self.shared / other for other in ("boot", "pacman", "script.out", "probe.err")]
            self.fail(f"no {name}:\n" + "\n".join(n.read_text() for n in notes if n.exists()))
        return path.read_text().strip()


class Sandbox(Booted):
    def setUp(self) -> None:
        super().setUp()
        self.results: dict[str, str] = json.loads(self.said("probe"))

    def test_whatever_a_node_does_is_possible(self) -> None:
        self.assertEqual(self.results.pop("pacman_conf"), "core\n")
        self.assertEqual(self.results.pop("gpgv"), "good")
        for name in (
            "verify_a_mirrors_certificate",
            "publish_in_the_store",
            "hold_in_memory",
            "follow_a_folder",
            "list_interfaces",
            "join_the_group",
        ):
            self.assertEqual(self.results[name], "done", name)

    def test_what_it_never_does_is_refused(self) -> None:
        self.assertIn("Read-only file system", self.results["write_elsewhere"])
        self.assertIn("Address family not supported", self.results["capture_packets"])
        self.assertRegex(
            self.results["make_a_namespace"], "PermissionError|Operation not permitted"
        )


class Running(Booted):
    def test_it_says_ready_and_how_it_is(self) -> None:
        status, state, text = (self.said("started") + "  ").split(" ", 2)
        self.assertEqual((status, state), ("0", "active"), self.said("script.out"))
        self.assertTrue(text.strip())

    def test_the_loopback_face_answers(self) -> None:
        self.assertIn("node", json.loads(self.said("status")))

    def test_its_folders_are_its_own(self) -> None:
        self.assertEqual(self.said("folders"), "flocon 755\nflocon 755")

    def test_it_is_started_with_the_system(self) -> None:
        self.assertEqual(self.said("enabled"), "enabled")

    def test_signals_reach_it_by_systemctl(self) -> None:
        self.assertIn("0 peers", self.said("log"))
        self.assertIn("joining the group anew", self.said("log"))

    def test_a_reload_or_restart_ends_ready(self) -> None:
        self.assertEqual(self.said("reloaded"), "0 active")
        self.assertEqual(self.said("restarted"), "0 active anew")

    def test_the_watchdog_is_content_with_it_and_ends_a_stalled_one(self) -> None:
        self.assertEqual(self.said("beaten"), "active 0")
        self.assertEqual(self.said("stalled"), "watchdog")

    def test_no_other_user_can_have_its_ports_while_it_is_down(self) -> None:
        self.assertEqual(self.said("squatted").split(), ["EADDRINUSE"] * 4)
        self.assertEqual(self.said("given-back").split(), ["free"] * 4)

    def test_who_asks_while_it_is_down_is_answered(self) -> None:
        self.assertEqual(self.said("woken").split(), ["OK", "active", "enabled"])

    def test_who_asks_while_it_hangs_or_restarts_is_answered_before_pacman_gives_up(self) -> None:
        *took, result = self.said("replaced").split()
        self.assertEqual((len(took), result), (3, "success"))
        for seconds in map(float, took):
            self.assertLess(seconds, REPLACED)

    def test_one_that_cannot_start_gives_up_before_pacman_does(self) -> None:
        self.assertLess(float(self.said("waited")), PACMANS_PATIENCE)
        self.assertEqual(self.said("given-up").split(), ["free"] * 4)
        self.assertEqual(self.said("mended"), "active")

    def test_the_ports_are_changed_in_both_places(self) -> None:
        self.assertEqual(self.said("moved"), "OK")
        self.assertNotIn("no setting names", self.said("log"))

    def test_a_proxy_is_set_in_its_environment(self) -> None:
        self.assertIn("https_proxy=http://proxy.example:3128", self.said("environment"))

    def test_the_journal_has_levels_and_fields(self) -> None:
        entries: list[dict[str, Any]] = [
            json.loads(line) for line in self.said("journal").splitlines()
        ]
        self.assertIn("settings read anew", self.said("log"))
        self.assertIn("nonsense", self.said("warnings"))
        self.assertNotIn("settings read anew", self.said("warnings"))
        own = [entry for entry in entries if entry.get("LOGGER") == "flocon.node.service.Node"]
        self.assertTrue(own)
        first = own[0]
        self.assertEqual((first["PRIORITY"], first["SYSLOG_IDENTIFIER"]), ("6", "flocon"))
        self.assertEqual(first["FLOCON_STORE"], "/var/cache/flocon")

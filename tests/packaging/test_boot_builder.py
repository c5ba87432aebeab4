"""The builder as systemd itself starts it, when it is asked: its rights, its socket, its jobs."""

from __future__ import annotations

import json
import shutil

from tests.needs import leave_out
from tests.packaging.test_boot import Booted

_SCRIPT = """
cd /shared
systemd-sysusers
systemctl daemon-reload
# A root is laid over this machine's, which lies over another one's here: its layers are elsewhere.
mkdir -p /var/lib/flocon-build
mount -t tmpfs -o mode=711 none /var/lib/flocon-build
systemctl start flocon-build.socket
systemctl is-active flocon-build >before
cat >ask.py <<'END'
import io, json, socket, sys, tarfile, tempfile

pkgbuild = "pkgname=odd\\npkgver=1\\npkgrel=1\\narch=(any)\\n" + sys.argv[2]
order = {"do": sys.argv[1], "job": "1", "base": "odd", "recipe": 0, "architecture": "x86_64",
         "epoch": 1, "root": "machine", "files": 1,
         "bounds": {"memory": 1 << 28, "disk": 1 << 28, "processes": 200, "time": 100}}
with tempfile.TemporaryFile() as file, socket.socket(socket.AF_UNIX) as asking:
    with tarfile.open(fileobj=file, mode="w") as tar:
        member = tarfile.TarInfo("PKGBUILD")
        member.size = len(pkgbuild)
        tar.addfile(member, io.BytesIO(pkgbuild.encode()))
    file.flush()
    asking.connect("/run/flocon-build/socket")
    socket.send_fds(asking, [json.dumps(order).encode() + b"\\n"], [file.fileno()])
    for line in asking.makefile("rb"):
        print(line.decode(), end="")
        said = json.loads(line)
        if said.get("done") or "error" in said:
            break
END
chmod 644 ask.py
node="setpriv --reuid=flocon --regid=flocon --clear-groups"
nobody="setpriv --reuid=65534 --regid=65534 --clear-groups"
ends='package() { install -Dm644 /proc/self/status "$pkgdir/usr/share/odd/text"; }'
$node python ask.py build "$ends" >built 2>&1
hungry='for n in 1 2 3 4 5 6 7 8; do (head -c 60M /dev/zero; sleep 60) | tail & done; wait'
$node python ask.py build "build() { $hungry; }
$ends" >hungry 2>&1
$node python ask.py describe '' >described 2>&1
$nobody python ask.py describe '' >strange 2>&1
process=$(systemctl show flocon-build --property=MainPID --value)
stat -c %U /proc/$process >who
systemctl is-active flocon-build >after
stat -c '%U %G %a' /run/flocon-build/socket >socket
stat -c %a /var/lib/flocon-build /var/lib/flocon-build/jobs >folders
ls /var/lib/flocon-build/jobs >jobs
systemctl stop flocon-build
pgrep -u flocon-build >left
journalctl -u flocon-build -p warning --quiet --output=cat >warnings
"""


class BootedBuilder(Booted):
    script = _SCRIPT

    def setUp(self) -> None:
        lacking = [one for one in ("bwrap", "makepkg", "fakeroot") if not shutil.which(one)]
        leave_out(f"needs {', '.join(lacking)}" if lacking else "")
        super().setUp()

    def ended(self, name: str) -> dict[str, object]:
        lines = self.said(name).splitlines()
        said: dict[str, object] = json.loads(lines[-1])
        return said

    def test_it_is_started_as_root_when_it_is_asked(self) -> None:
        states = [self.said(name) for name in ("before", "after", "who")]
        self.assertEqual(states, ["inactive", "active", "root"])

    def test_it_builds_within_its_unit(self) -> None:
        self.assertEqual(self.ended("built").get("result"), "built", self.said("built"))

    def test_what_takes_too_much_memory_is_ended(self) -> None:
        self.assertEqual(self.ended("hungry").get("result"), "too much memory", self.said("hungry"))

    def test_root_and_the_node_get_in_and_nobody_else(self) -> None:
        self.assertIs(self.ended("described").get("rights"), True)
        self.assertIn("Permission denied", self.said("strange"))
        self.assertEqual(self.said("socket"), "root flocon 660")

    def test_jobs_are_nobodys_to_see_and_nothing_is_left_of_them(self) -> None:
        self.assertEqual(self.said("folders").split(), ["711", "700"])
        self.assertEqual((self.said("jobs"), self.said("left")), ("", ""))

    def test_it_has_nothing_to_complain_of(self) -> None:
        self.assertEqual(self.said("warnings"), "")

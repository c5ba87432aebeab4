"""Recipes that mean harm, behind the real wall: what they cannot do, and that the next one runs."""

from __future__ import annotations

import socket
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from twisted.internet.defer import Deferred

from tests.building.case import PACKAGE, JobCase, recipe

#: Runs wherever a PKGBUILD is read, as its own text; what it finds is put into the package.
FOUND = """
mkdir -p "$startdir/found"
found() { printf '%s\\n' "$*" >>"$startdir/found/text"; }
"""


class _Silent(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"a source\n")

    def log_message(self, *_: object) -> None:
        pass


class WallTests(JobCase):
    """What is seen and changed from behind the wall."""

    def test_a_plain_recipe_is_built(self) -> Deferred[None]:
        async def go() -> None:
            done = await self.build(recipe())
            self.assertEqual((done.result, done.reason), ("built", ""), done.log)
            self.assertEqual(done.names, ["odd-1-1-any.pkg.tar.zst"])
            self.assertIn("pkgbase = odd", done.left.srcinfo)
            self.assertEqual(done.steps, ["root", "fetch", "build", "collect"])
            self.assert_nothing_left()

        return self.do(go())

    def test_what_is_not_its_own_is_not_read(self) -> Deferred[None]:
        async def go() -> None:
            secrets = [
                Path(tempfile.mkdtemp(prefix="secret-", dir=place)) / "key"
                for place in ("/tmp", "/var/tmp", "/root", "/home", "/srv", "/var/lib", "/run")
            ]
            for path in secrets:
                path.parent.chmod(0o755)
                path.write_text("secret")
                path.chmod(0o644)
                self.addCleanup(path.parent.rmdir)
                self.addCleanup(path.unlink)
            names = [*map(str, secrets), "/etc/shadow", "/etc/gshadow", "/etc/fstab", "/etc/hosts"]
            names += [
                "/etc/machine-id",
                "/proc/kcore",
                "/proc/cmdline",
                "/proc/keys",
                "/proc/1/environ",
            ]
            names += [
                "/sys/kernel",
                "/proc/fs",
                "/proc/bus",
                "/proc/iomem",
                "/etc/ssh",
                "/build/../proc/1/root/etc/hosts",
                "/dev/mem",
                "/dev/vda",
            ]
            lines = "".join(
                f"cat {name} >/dev/null 2>&1 && found read {name}\n"
                f"ls {name}/* >/dev/null 2>&1 && found listed {name}\n"
                for name in names
            )
            done = await self.build(recipe(FOUND + lines + PACKAGE))
            self.assertEqual(done.result, "built", done.log)
            self.assertEqual(done.found(), "")

        return self.do(go())

    def test_what_is_not_its_own_is_not_changed(self) -> Deferred[None]:
        async def go() -> None:
            places = "/ /usr /usr/bin /etc /opt /var /var/lib/pacman /proc/sys /dev /run /sys /root"
            lines = f"""
for place in {places}; do
  (: >"$place/made-by-a-recipe") 2>/dev/null && found wrote "$place"
done
for file in /etc/passwd /usr/bin/env /proc/sys/kernel/core_pattern /proc/sysrq-trigger; do
  (: >>"$file") 2>/dev/null && found opened "$file"
done
mount -t tmpfs none /mnt 2>/dev/null && found mounted
chroot / true 2>/dev/null && found chroot
unshare -U true 2>/dev/null && found a namespace
unshare -Ur true 2>/dev/null && found root of a namespace
[ "$FAKEROOTKEY" ] || ! setpriv --reuid 0 true 2>/dev/null || found root
kill -9 1 2>/dev/null && found killed the first
set_one='import os; os.setxattr(".", "user.odd", b"1")'
[ "$FAKEROOTKEY" ] || ! python3 -c "$set_one" 2>/dev/null || found an attribute
python3 - 2>/dev/null <<'END' && found memory that the kernel does not read
import ctypes
assert ctypes.CDLL(None).syscall(447, 0) >= 0
END
kill -9 -1 2>/dev/null
"""
            done = await self.build(
                recipe(FOUND + lines.replace("kill -9 -1 2>/dev/null\n", "") + PACKAGE)
            )
            self.assertEqual(done.result, "built", done.log)
            self.assertEqual(done.found(), "")
            for place in places.split():
                self.assertFalse(Path(place, "made-by-a-recipe").exists())

        return self.do(go())

    def test_programs_that_become_root_do_not(self) -> Deferred[None]:
        async def go() -> None:
            lines = """
grep -E '^Cap' /proc/self/status | grep -v '0000000000000000' >>"$startdir/found/text"
grep -q '^NoNewPrivs:.*1' /proc/self/status || found may become another
grep -q '^Seccomp:.*2' /proc/self/status || found may call anything
cp /usr/bin/id "$startdir/suid" && chmod 4755 "$startdir/suid"
[ "$("$startdir/suid" -u)" = "$(id -u)" ] || found another user
[ "$(id -u)" = 0 ] && [ -z "$FAKEROOTKEY" ] && found root
true
"""
            done = await self.build(recipe(FOUND + lines + PACKAGE))
            self.assertEqual(done.result, "built", done.log)
            self.assertEqual(done.found(), "")

        return self.do(go())

    def test_nobody_outside_is_reached(self) -> Deferred[None]:
        async def go() -> None:
            server = ThreadingHTTPServer(("0.0.0.0", 0), _Silent)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.addCleanup(server.server_close)
            self.addCleanup(server.shutdown)
            port = server.server_port
            listening = socket.socket(socket.AF_UNIX)
            listening.bind("\0flocon-test-" + self.folder.name)
            listening.listen()
            self.addCleanup(listening.close)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.connect(("192.0.2.1", 9))
                own = asking.getsockname()[0]
            lines = f"""
for host in 127.0.0.1 localhost {own} '[::1]' '[::ffff:127.0.0.1]' 0.0.0.0 2130706433 127.1; do
  curl -s -m 5 "http://$host:{port}/direct" --noproxy '*' >/dev/null && found direct "$host"
  curl -sf -m 5 "http://$host:{port}/proxy" >/dev/null && found proxy "$host"
  curl -sfp -m 5 "http://$host:{port}/tunnel" >/dev/null && found tunnel "$host"
done
python3 - 2>/dev/null <<'END' && found abstract
import socket
socket.socket(socket.AF_UNIX).connect("\\0flocon-test-{self.folder.name}")
END
python3 -c 'import socket; socket.socket(40, 1)' 2>/dev/null && found the host of a virtual machine
ip -o link 2>/dev/null | grep -v ' lo:' >>"$startdir/found/text"
true
"""
            done = await self.build(recipe(FOUND + lines + PACKAGE))
            self.assertEqual(done.result, "built", done.log)
            self.assertEqual(done.found(), "")
            self.assertEqual(_Silent.asked, [])
            self.assertTrue(done.refused)
            self.assertIn("127.0.0.1, port", done.log)

        return self.do(go())

    def test_what_one_job_left_the_next_does_not_see(self) -> Deferred[None]:
        async def go() -> None:
            leave = "touch /tmp/left /var/tmp/left /dev/shm/left $HOME/left $SRCDEST/left\n"
            self.assertEqual((await self.build(recipe(leave + PACKAGE))).result, "built")
            look = "ls /tmp/left /var/tmp/left /dev/shm/left $HOME/left $SRCDEST/left 2>/dev/null"
            done = await self.build(recipe(f"{FOUND}\n(found $({look}))\n{PACKAGE}"))
            # The PKGBUILD is read more than once: what this very job has made is its own.
            self.assertEqual(done.found().strip(), "")

        return self.do(go())


class LeftTests(JobCase):
    """What a job leaves is believed as little as the job."""

    def test_a_status_proves_nothing(self) -> Deferred[None]:
        async def go() -> None:
            for status in (0, 13):
                done = await self.build(recipe(f"build() {{ exit {status}; }}\n{PACKAGE}"))
                self.assertEqual((done.result, done.names), ("failed", []), done.log)

        return self.do(go())

    def test_code_that_ends_makepkg_at_once(self) -> Deferred[None]:
        async def go() -> None:
            done = await self.build(recipe("exit 0\n" + PACKAGE))
            self.assertEqual(done.result, "failed")
            self.assertIn("left no package", done.reason)

        return self.do(go())

    def test_links_and_pipes_are_no_packages(self) -> Deferred[None]:
        async def go() -> None:
            lines = """
ln -sf /etc/passwd "$PKGDEST/link-1-1-any.pkg.tar.zst"
ln -sf ../recipe/PKGBUILD "$PKGDEST/near-1-1-any.pkg.tar.zst"
[ -e "$PKGDEST/pipe-1-1-any.pkg.tar.zst" ] || mkfifo "$PKGDEST/pipe-1-1-any.pkg.tar.zst"
mkdir -p "$PKGDEST/folder-1-1-any.pkg.tar.zst"
: >"$PKGDEST/empty-1-1-any.pkg.tar.zst"
: >"$PKGDEST/no package"
"""
            done = await self.build(recipe(lines + PACKAGE))
            self.assertEqual(done.names, ["odd-1-1-any.pkg.tar.zst"], done.log)

        return self.do(go())

    def test_a_folder_that_became_a_link_has_no_packages(self) -> Deferred[None]:
        async def go() -> None:
            lines = """
package() {
  rm -rf "$PKGDEST" /build/report
  ln -s /etc "$PKGDEST"
  ln -s /etc /build/report
  exit 0
}
"""
            done = await self.build(recipe(lines))
            self.assertEqual((done.result, done.left.srcinfo), ("failed", ""))

        return self.do(go())

    def test_what_sets_a_user_is_in_the_package_and_nowhere_else(self) -> Deferred[None]:
        async def go() -> None:
            lines = 'package() { install -Dm4755 /usr/bin/env "$pkgdir/usr/bin/odd"; }\n'
            done = await self.build(recipe("options=(!strip)\n" + lines))
            self.assertEqual(done.listing()["usr/bin/odd"], "-rwsr-xr-x")
            self.assert_nothing_left()

        return self.do(go())

    def test_twice_the_same_is_built(self) -> Deferred[None]:
        async def go() -> None:
            first, second = [await self.build(recipe()) for _ in range(2)]
            sums = [one.left.packages[0].sha256 for one in (first, second)]
            self.assertEqual(sums[0], sums[1])

        return self.do(go())

"""A clean root: made by pacman of packages alone, kept up to date, and built over."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from flocon.building import bounded
from flocon.building.orders import Bounds
from flocon.building.place import Place, find_place
from flocon.errors import BuildError, ToolError
from tests.building.case import PACKAGE, JobCase, builder, recipe
from tests.building.packages import make_package, make_repository

#: What makepkg runs.
PROGRAMS = (
    "awk", "basename", "bash", "bsdtar", "bzip2", "cat", "chmod", "cksum", "cmp", "cp", "curl",
    "cut", "date", "dirname", "env", "expr", "fakeroot", "file", "find", "gawk", "getconf",
    "getopt", "gettext", "gpg", "grep", "gzip", "head", "id", "install", "ldd", "ln", "ls", "mawk",
    "md5sum", "mkdir", "mktemp", "mv", "nproc", "pacman", "pacman-conf", "readelf", "readlink",
    "realpath", "rm", "rmdir", "sed", "setpriv", "sh", "sha256sum", "sleep", "sort", "stat",
    "strip", "tail", "tar", "tee", "touch", "tr", "true", "uname", "uniq", "wc", "xargs", "xz",
    "zstd", "faked", "faked-sysv", "faked-tcp", "fakeroot-sysv", "makepkg", "nl", "chroot",
    "mkfifo", "mknod", "mount", "seq", "unshare",
)  # fmt: skip
#: What a script runs in a system in which nothing is built, so that it is a tenth as large.
OF_SCRIPTS = (
    "bash", "cat", "chmod", "cp", "head", "ln", "mkfifo", "mv", "rm", "rmdir", "seq", "sh", "sleep",
    "tail", "true",
)  # fmt: skip
FOLDERS = ("/usr/share/makepkg", "/usr/share/misc", "/usr/share/file", "/usr/lib/file")
#: What lies where a builder works, once it has made a clean root.
WORK = ["cache", "entered", "jobs", "system"]
#: Tries of a script, as root, to see and change more than the system that it is installed in.
ESCAPING = r"""
  { id -u; pwd; } >/seen
  echo x >"$outside/plain"
  for place in /oldroot /proc/1/root /proc/self/root /proc/$PPID/root ../../../..; do
    echo x >"$place$outside/there" && echo "wrote by $place" >>/seen
    echo x >"$place/usr/flocon-was-here" && case $place in /proc/1*|/proc/$PPID*)
      echo "wrote programs by $place" >>/seen; esac
    test -e "$place$outside" && echo "saw by $place" >>/seen
  done
  chroot /proc/1/root sh -c 'test -e "$outside" && echo saw; echo x >/usr/flocon-was-here && echo w;
    echo x >/run/flocon/cache/0/made && echo cache; cat /etc/shadow && echo shadow' >>/seen
  for one in /dev/mem /dev/kmsg /dev/loop-control /dev/sda /dev/vda /dev/fuse; do
    test -e $one && echo $one >>/seen
  done
  for one in "/device b 254 0" "/dev/device c 1 1"; do mknod $one && echo made $one >>/seen; done
  echo x >/proc/sys/kernel/hostname && echo named >>/seen
  cat /proc/kcore /proc/keys /proc/kmsg && echo read >>/seen
  mount -t tmpfs none /mnt && echo mounted >>/seen
  unshare -m true && echo unshared >>/seen
  grep -v " lo:" /proc/net/dev | grep : >>/seen
  grep -l flocon.building /proc/[0-9]*/cmdline >>/seen
  ls /proc/1/fd | grep -v "^[0-9]$" >>/seen
  kill -0 -1 && true
"""
INFO = "pkgname = base-devel\npkgbase = base-devel\npkgver = 1-1\narch = any\nsize = 1\n"


@cache
def _closure(programs: Sequence[str]) -> frozenset[Path]:
    """Return the files that these programs are, and need."""
    found = {Path(path) for path in map(shutil.which, programs) if path}
    needed = set(found)
    words = ["ldd", *map(str, found)]
    said = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    needed |= {Path(one) for one in re.findall(r"(?:=> |^\s*)(/\S+) \(0x", said, re.MULTILINE)}
    if programs is PROGRAMS:
        needed |= set(Path("/usr/lib").glob("*/libfakeroot/*"))
        for folder in FOLDERS:
            needed |= {one for one in Path(folder).rglob("*") if one.is_file()}
    return frozenset(needed | {Path("/etc/makepkg.conf"), Path("/etc/pacman.conf")})


def _place(path: Path) -> str:
    """Return where a file is in a system of which all lies below usr."""
    name = str(path)[1:]
    return name if name.startswith(("usr/", "etc/")) else f"usr/{name}"


def make_base(
    folder: Path,
    version: str = "1-1",
    install: str = "",
    programs: Sequence[str] = PROGRAMS,
) -> Path:
    """Write a package that is a whole system, as far as makepkg needs one, of this machine's."""
    info = folder / "info"
    info.write_text(INFO.replace("1-1", version))
    script = folder / "install"
    script.write_text(install)
    accounts = folder / "passwd"
    accounts.write_text("root:x:0:0::/root:/bin/sh\n")
    path = folder / f"base-devel-{version}-any.pkg.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(info, ".PKGINFO")
        if install:
            tar.add(script, ".INSTALL")
        tar.add(accounts, "etc/passwd")
        for name in ("bin", "sbin", "lib", "lib64"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{'bin' if 'bin' in name else name}"
            tar.addfile(link)
        there: set[str] = set()
        for one in sorted(_closure(programs)):
            place = _place(one).replace("usr/sbin/", "usr/bin/")
            if place not in there:
                there.add(place)
                tar.add(one.resolve(), place)
    return path


class CleanRootTests(JobCase):
    """Of a repository with one package."""

    def setUp(self) -> None:
        super().setUp()
        self.folder.chmod(0o755)

    def whole(self) -> None:
        """Have the place's clean root be made of a package with all that makepkg needs."""
        repository = self.folder / "repository"
        repository.mkdir()
        self.place = self.make_place(make_repository(repository, [make_base(repository)]))

    def test_it_is_made_when_it_is_needed_and_built_over(self) -> Deferred[None]:
        self.whole()

        async def go() -> None:
            look = """
mkdir -p found
ls /usr/bin/python3 /usr/bin/git /root/* /home 2>/dev/null >found/text
touch /usr/made /etc/made 2>/dev/null && echo wrote >>found/text
"""
            done = await self.build(recipe(look + PACKAGE), root="auto")
            self.assertEqual(done.result, "built", done.log)
            self.assertEqual(done.found(), "")
            self.assertIn("installed = base-devel-1-1-any", done.read(".BUILDINFO"))
            system = self.place.roots.system
            self.assertTrue((system / "usr/bin/makepkg").is_file())
            self.assertFalse((system / "usr/made").exists())
            self.assert_nothing_left()
            before = system.stat().st_mtime
            again = await self.build(recipe(), root="clean")
            self.assertEqual(again.result, "built", again.log)
            # One of this day is not brought up to date again.
            self.assertEqual(system.stat().st_mtime, before)

        return self.do(go())

    def test_a_link_of_a_script_where_the_wall_puts_something_leads_nowhere(self) -> Deferred[None]:
        """The wall is built by root: what it makes behind a link would be made on the machine."""
        self.whole()

        async def go() -> None:
            own, outside = self.folder / "own", self.folder / "outside"
            own.mkdir()
            outside.mkdir()
            for name, script in {
                "folder": f"mv /var /var-before; ln -s /oldroot{outside} /var",
                "build": f"rmdir /build; ln -s /oldroot{outside} /build",
                "file": f"rm /etc/passwd; ln -s ../../oldroot{outside}/file /etc/passwd",
            }.items():
                install = f"post_install() {{ {script}; }}\n"
                odd = make_package(own, f"odd-{name}", {"usr/bin/odd": ""}, install=install)
                done = await self.build(recipe(), own=[odd], root="clean")
                self.assertEqual(list(outside.iterdir()), [], name)
                self.assertEqual(done.result, "refused", (name, done.log))
                self.assertIn("a link", done.reason)

        return self.do(go())

    def test_scripts_of_what_brings_it_up_to_date_run_behind_a_wall(self) -> Deferred[None]:
        """A package of a recipe may take the place of any other one, in whichever repository."""
        self.whole()

        async def go() -> None:
            said: list[bytes] = []
            await self.place.roots.update(said.append)
            system = self.place.roots.system
            outside = str(Path("/proc/self/ns/pid").readlink())
            script = """post_upgrade() {
  readlink /proc/self/ns/pid /proc/1/ns/mnt >/seen
  test -e /dev/mem -o -e /dev/kmsg -o -e /dev/loop-control && echo devices >>/seen
  mknod /device b 7 0 2>/dev/null && echo makes-devices >>/seen
  cat /proc/net/dev >>/seen
}
"""
            repository = self.folder / "repository"
            newer = make_base(repository, "2-1", script)
            words = ["repo-add", "-q", str(repository / "some.db.tar.gz"), str(newer)]
            subprocess.run(words, check=True, capture_output=True)
            await self.place.roots.update(said.append)
            log = b"".join(said).decode()
            self.assertTrue((system / "var/lib/pacman/local/base-devel-2-1").is_dir(), log)
            seen = (system / "seen").read_text()
            self.assertNotIn(outside, seen)
            self.assertNotIn("devices", seen)
            self.assertEqual([one for one in seen.split() if one.endswith(":")], ["lo:"], seen)
            self.assertNotIn("could not be brought up to date", log)

        return self.do(go())

    def test_scripts_of_what_it_is_made_of_run_behind_a_wall(self) -> Deferred[None]:
        """base-devel, and what it needs, come from the first repository that has them."""

        async def go() -> None:
            outside = self.folder / "outside"
            outside.mkdir(mode=0o777)
            place = self._of_a_base(
                f"""post_install() {{
  export outside={outside}
  {ESCAPING}
}}
""",
                PROGRAMS,
            )
            said: list[bytes] = []
            await place.roots.update(said.append)
            log = b"".join(said).decode()
            self.assertEqual(list(outside.iterdir()), [], log)
            system = place.roots.system
            self.assertEqual((system / "seen").read_text(), "0\n/\n", log)
            self.assertTrue((system / "usr/bin/makepkg").is_file())
            self.assertFalse(Path("/usr/flocon-was-here").exists())
            self.assertEqual(sorted(one.name for one in place.work.iterdir()), WORK)
            self.assertEqual(list((place.work / "entered/root").iterdir()), [])

        return self.do(go())

    def test_scripts_of_what_it_is_made_of_end_within_bounds(self) -> Deferred[None]:
        fills = "for n in $(seq 99); do head -c 50M /dev/zero >/usr/$n; done; sleep 60"
        forks = "for n in $(seq 300); do sleep 60 & done; wait"
        hoards = "for n in 1 2 3 4 5 6; do (head -c 60M /dev/zero; sleep 60) | tail & done; wait"
        bounds = Bounds(memory=256 << 20, disk=300 << 20, processes=200, time=40)

        async def go() -> None:
            self.patch(bounded, "BOUNDS", bounds)
            for script, reason in (
                (fills, "of disk"),
                (forks, "200 processes"),
                (hoards, "of memory"),
                ("sleep 60", "longer than 6 s"),
            ):
                if script == "sleep 60":
                    self.patch(bounded, "BOUNDS", replace(bounds, time=6))
                place = self._of_a_base(f"post_install() {{ {script}; }}\n")
                work = Deferred.fromCoroutine(place.roots.update(lambda _: None))
                error: Any = await self.assertFailure(work, BuildError)
                self.assertIn(reason, str(error))
                self.assert_nothing_left()

        return self.do(go())

    def test_links_of_a_script_lead_no_later_step_outside(self) -> Deferred[None]:
        """While packages are fetched for it, pacman is root of the machine, and writes there."""
        outside = self.folder / "outside"
        sync = "/var/lib/pacman/sync"
        links = {
            "folder": f"mv /var /var-before; ln -s {outside} /var",
            "databases": f"rm -rf {sync}; ln -s {outside} {sync}",
            "file": f"ln -s {outside}/file {sync}/some.db.part",
            "pipe": f"rm {sync}/some.db; mkfifo {sync}/some.db",
        }

        async def go() -> None:
            outside.mkdir(mode=0o777)
            for name, script in links.items():
                place = self._of_a_base(f"post_install() {{ {script}; }}\n")
                await place.roots.update(lambda _: None)
                work = Deferred.fromCoroutine(place.roots.update(lambda _: None))
                error: Any = await self.assertFailure(work, ToolError)
                self.assertEqual(list(outside.iterdir()), [], name)
                self.assertIn("lies where", str(error), name)

        return self.do(go())

    def test_nobody_else_runs_what_is_in_it(self) -> Deferred[None]:
        """It has programs that set a user, which a script may have put there."""

        async def go() -> None:
            kept = "cp /bin/cat /usr/bin/odd; chmod 4755 /usr/bin/odd; sleep 2"
            place = self._of_a_base(f"post_install() {{ {kept}; }}\n")
            tried: list[str] = []
            looking = LoopingCall(lambda: tried.extend(self._found_by_others(place)))
            looking.start(0.2)
            await place.roots.update(lambda _: None)
            await place.roots.update(lambda _: None)
            looking.stop()
            self.assertTrue((place.roots.system / "usr/bin/odd").stat().st_mode & 0o4000)
            self.assertEqual(tried, [])

        return self.do(go())

    def _found_by_others(self, place: Place) -> list[str]:
        """Return the programs that set a user which an ordinary user comes to."""
        # Whoever knows their names needs no list of the folder they are in.
        places = [place.roots.system, *(place.work / one for one in ("root.new", "entered/root"))]
        words = ["setpriv", "--reuid=65534", "--clear-groups", "find", *map(str, places)]
        words += ["-perm", "-4001"]
        said = subprocess.run(words, capture_output=True, text=True, check=False).stdout
        return said.splitlines()

    def _of_a_base(self, install: str, programs: Sequence[str] = OF_SCRIPTS) -> Place:
        """Return a place of its own whose clean root is made of a package with a script."""
        folder = self.folder / f"of-{len(list(self.folder.iterdir()))}"
        repository = folder / "repository"
        repository.mkdir(parents=True)
        base = make_base(repository, install=install, programs=programs)
        configuration = make_repository(repository, [base])
        return find_place(reactor, folder / "work", builder(), configuration, without_root=False)

    def test_one_of_times_to_come_is_brought_up_to_date(self) -> Deferred[None]:
        self.whole()

        async def go() -> None:
            said: list[bytes] = []
            await self.place.roots.update(said.append)
            later = time.time() + 1e9
            os.utime(self.place.roots.system, (later, later))
            said.clear()
            await self.place.roots.update(said.append, stale=3_600.0)
            self.assertIn(b"there is nothing to do", b"".join(said))

        return self.do(go())

    def test_it_is_brought_up_to_date(self) -> Deferred[None]:
        self.whole()

        async def go() -> None:
            said: list[bytes] = []
            await self.place.roots.update(said.append)
            await self.place.roots.update(said.append)
            self.assertIn(b"there is nothing to do", b"".join(said))

        return self.do(go())

"""What a job needs, installed in its root by the real pacman: and nowhere else."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred

from tests.building.case import PACKAGE, JobCase, recipe
from tests.building.packages import make_package, make_repository

TOOL = "#!/bin/sh\necho from a tool\n"
USING = """
build() { flocon-test-tool >text; }
package() { install -Dm644 text "$pkgdir/usr/share/odd/text"; }
"""
#: Its script runs as root, and is as hostile as a recipe's.
HOSTILE = """
post_install() {
  (
    id -u
    for place in /proc/sys/kernel /run/flocon/own; do
      true >"$place/made" && echo wrote "$place"
    done
    echo x >/proc/sys/kernel/hostname && echo named
    find /proc -maxdepth 1 ! -name "[0-9]*" -type f -perm /222 | while read one; do
      (printf "" >"$one") && echo may set "$one"
    done
    core=$(cat /proc/sys/kernel/core_pattern)
    (printf "%s" "$core" >/proc/sys/kernel/core_pattern) && echo may have the kernel run something
    mount -t tmpfs none /mnt && echo mounted
    unshare -U true && echo made a namespace
    cat /proc/kcore /proc/keys && echo read of the kernel
    mknod /dev/made b 254 0 && echo made a device
    true >/dev/beside && echo wrote in memory of no size
    true >/dev/null || echo has no devices
    cat /etc/shadow /root/* /home/*/* && echo read
    curl -sf -m 3 http://127.0.0.1:1/ && echo reached
    grep -v ' lo:' /proc/net/dev | grep : && echo a link
    ls /proc | grep -qx 2000 && echo others
    for one in /oldroot /proc/1/root /proc/1/cwd; do
      ls -d $one/var/tmp/flocon-build-* && echo out
    done
    echo to the end
  ) >/usr/share/script-said 2>/dev/null
}
"""


class InstallingTests(JobCase):
    """A repository of two packages, and packages of our own."""

    def setUp(self) -> None:
        super().setUp()
        self.folder.chmod(0o755)
        self.repository = self.folder / "repository"
        self.repository.mkdir()

    def _offer(self, *packages: Path) -> None:
        self.place = self.make_place(make_repository(self.repository, packages))

    def test_packages_of_repositories_are_there_with_what_they_need(self) -> Deferred[None]:
        async def go() -> None:
            self._offer(
                make_package(
                    self.repository,
                    "tool",
                    {"usr/bin/flocon-test-tool": "#!/bin/sh\nflocon-test-part\n"},
                    depends=["part"],
                ),
                make_package(self.repository, "part", {"usr/bin/flocon-test-part": TOOL}),
            )
            done = await self.build(recipe(USING), packages=["tool"])
            self.assertEqual(done.result, "built", done.log)
            self.assertEqual(done.found(), "from a tool\n")
            self.assertFalse(Path("/usr/bin/flocon-test-tool").exists())
            self.assert_nothing_left()

        return self.do(go())

    def test_packages_of_our_own_are_there(self) -> Deferred[None]:
        async def go() -> None:
            part = make_package(self.repository, "part", {"usr/bin/flocon-test-part": TOOL})
            self._offer(part)
            own = self.folder / "own"
            own.mkdir()
            tool = make_package(
                own,
                "tool",
                {"usr/bin/flocon-test-tool": "#!/bin/sh\nflocon-test-part\n"},
                depends=["part"],
            )
            done = await self.build(recipe(USING), packages=["part"], own=[tool])
            self.assertEqual(done.result, "built", done.log)
            self.assertEqual(done.found(), "from a tool\n")

        return self.do(go())

    def test_a_script_that_speaks_for_the_wall_is_not_believed(self) -> Deferred[None]:
        """What it puts in the place of a program is root's, before the recipe's user is."""
        script = """post_install() {
  printf '#!/bin/sh\\necho "bwrap: no wall"\\nexit 1\\n' >/usr/bin/setpriv
}
"""

        async def go() -> None:
            self._offer(make_package(self.repository, "tool", {}, install=script))
            done = await self.build(recipe(), packages=["tool"])
            self.assertEqual(done.result, "dependencies", (done.reason, done.log))
            self.assertIn("installed for it", done.reason)

        return self.do(go())

    def test_one_of_our_own_takes_the_place_of_one_of_a_repository(self) -> Deferred[None]:
        async def go() -> None:
            part = make_package(self.repository, "part", {"usr/bin/flocon-test-part": "exit 1\n"})
            tool = make_package(
                self.repository,
                "tool",
                {"usr/bin/flocon-test-tool": "#!/bin/sh\nflocon-test-part\n"},
                depends=["part"],
            )
            self._offer(part, tool)
            own = self.folder / "own"
            own.mkdir()
            other = make_package(
                own, "part-git", {"usr/bin/flocon-test-part": TOOL}, instead_of="part"
            )
            done = await self.build(recipe(USING), packages=["tool"], own=[other])
            self.assertEqual(done.result, "built", done.log)
            self.assertEqual(done.found(), "from a tool\n")

        return self.do(go())

    def test_what_cannot_be_installed_is_said(self) -> Deferred[None]:
        async def go() -> None:
            self._offer(make_package(self.repository, "part", {"usr/bin/flocon-test-part": TOOL}))
            done = await self.build(recipe(), packages=["missing"])
            self.assertEqual(done.result, "dependencies", done.log)
            self.assertIn("target not found: missing", done.log)
            self.assert_nothing_left()

        return self.do(go())

    def test_a_script_of_a_package_is_root_of_nothing(self) -> Deferred[None]:
        async def go() -> None:
            self._offer(make_package(self.repository, "part", {"usr/bin/flocon-test-part": TOOL}))
            own = self.folder / "own"
            own.mkdir()
            odd = make_package(own, "hostile", {"usr/bin/flocon-test-tool": TOOL}, install=HOSTILE)
            more = (
                'package() { install -Dm644 /usr/share/script-said "$pkgdir/usr/share/odd/text"; }'
            )
            done = await self.build(recipe(more), own=[odd])
            self.assertEqual(done.result, "built", done.log)
            self.assertEqual(done.found(), "0\nto the end\n")
            self.assertFalse(Path("/usr/share/script-said").exists())

        return self.do(go())

    def test_a_script_of_a_package_ends_within_the_bounds_of_its_job(self) -> Deferred[None]:
        async def go() -> None:
            self._offer(make_package(self.repository, "part", {"usr/bin/flocon-test-part": TOOL}))
            own = self.folder / "own"
            own.mkdir()
            fill = "for n in $(seq 99); do head -c 50M /dev/zero >/usr/share/$n; done; sleep 60"
            install = f"post_install() {{ {fill}; }}\n"
            odd = make_package(own, "hungry", {"usr/bin/flocon-test-tool": TOOL}, install=install)
            done = await self.build(recipe(), own=[odd], bounds={"disk": 200 << 20, "time": 40})
            self.assertEqual(done.result, "too big", (done.reason, done.log))
            self.assert_nothing_left()
            one = "post_install() { head -c 300M /dev/zero >/usr/share/one; }\n"
            odd = make_package(own, "large", {"usr/bin/flocon-test-tool": TOOL}, install=one)
            done = await self.build(recipe(), own=[odd], bounds={"disk": 200 << 20})
            self.assertRegex(done.log, "File (too large|size limit exceeded)")

        return self.do(go())

    def test_a_script_has_no_more_processes_and_memory_than_its_job(self) -> Deferred[None]:
        """It is root: what the kernel bounds of users it does not bound of it."""
        forks = "for n in $(seq 400); do sleep 60 & done; wait"
        hoards = "for n in 1 2 3 4 5 6; do (head -c 60M /dev/zero; sleep 60) | tail & done; wait"

        async def go() -> None:
            self._offer(make_package(self.repository, "part", {"usr/bin/flocon-test-part": TOOL}))
            own = self.folder / "own"
            own.mkdir()
            for script, result in ((forks, "too big"), (hoards, "too much memory")):
                odd = make_package(
                    own, "odd", {"usr/bin/o": TOOL}, install=f"post_install() {{ {script}; }}\n"
                )
                bounds = {"processes": 200, "memory": 256 << 20, "time": 30}
                done = await self.build(recipe(), own=[odd], bounds=bounds)
                self.assertEqual(done.result, result, (done.reason, done.log))
                self.assert_nothing_left()

        return self.do(go())

    def test_what_one_job_installed_the_next_has_not(self) -> Deferred[None]:
        async def go() -> None:
            self._offer(make_package(self.repository, "tool", {"usr/bin/flocon-test-tool": TOOL}))
            self.assertEqual((await self.build(recipe(USING), packages=["tool"])).result, "built")
            self.assertEqual((await self.build(recipe(USING))).result, "failed")

        return self.do(go())

    def test_a_file_that_is_no_package_is_said(self) -> Deferred[None]:
        async def go() -> None:
            self._offer(make_package(self.repository, "part", {"usr/bin/flocon-test-part": TOOL}))
            odd = self.folder / "odd-1-1-any.pkg.tar.zst"
            odd.write_bytes(b"no package")
            done = await self.build(recipe(PACKAGE), own=[odd])
            self.assertEqual(done.result, "dependencies", done.log)

        return self.do(go())

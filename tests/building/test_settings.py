"""The machine's makepkg.conf: what of it a job follows, and what is told where it is wrong."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from twisted.internet.defer import Deferred

from flocon.building import layouts, roots
from flocon.building.commands import environment, settings
from flocon.building.orders import read_order
from tests.building.case import BOUNDS, JobCase, recipe

TELLING = """
build() { echo "said $MAKEFLAGS $GNUPGHOME $TMPDIR $HOME $CARCH $SOURCE_DATE_EPOCH"; }
package() { mkdir -p "$pkgdir/usr/share/odd"; }
"""
AS_EVER = "/build/home/gnupg /tmp /build/home x86_64 1700000000"
A_USERS = """
MAKEFLAGS=-j3
PACKAGER='Somebody <some@body>'
BUILDENV=(!fakeroot distcc color ccache check sign)
BUILDDIR=/home/me/build PKGDEST=/home/me/packages SRCDEST=/home/me/sources LOGDEST=/home/me/logs
GNUPGHOME=/home/me/gnupg
TMPDIR=/home/me/tmp
export HOME=/home/me SOURCE_DATE_EPOCH=5 CARCH=i686
PKGEXT=.pkg.tar.xz
"""


class SettingsTests(JobCase):
    """A job over a machine whose makepkg.conf somebody has changed."""

    def _set(self, more: str) -> Path:
        etc = self.folder / "etc"
        etc.mkdir()
        if Path("/etc/alternatives").is_dir():
            shutil.copytree("/etc/alternatives", etc / "alternatives", symlinks=True)
        path = etc / "makepkg.conf"
        path.write_text(Path("/etc/makepkg.conf").read_text() + more)
        self.patch(roots, "machine_layout", partial(layouts.machine_layout, etc=etc))
        return path

    def test_a_users_is_followed_but_for_what_is_the_jobs(self) -> Deferred[None]:
        async def go() -> None:
            self._set(A_USERS)
            done = await self.build(recipe(TELLING))
            self.assertEqual((done.result, done.reason), ("built", ""), done.log)
            self.assertIn(f"said -j3 {AS_EVER}\n", done.log)
            self.assertIn("Entering fakeroot environment", done.log)
            self.assertEqual(done.names, ["odd-1-1-any.pkg.tar.zst"])
            self.assertIn("packager = Somebody <some@body>", done.read(".PKGINFO"))

        return self.do(go())

    def test_what_cannot_be_understood_is_said_to_be_the_settings(self) -> Deferred[None]:
        async def go() -> None:
            path = self._set("")
            whole = path.read_text()
            for more, said in (
                ("OPTIONS=(strip\n", "unexpected EOF"),
                ("readonly PKGDEST=/home/me\n", "readonly variable"),
                ("exit 0\n", ""),
            ):
                path.write_text(whole + more)
                done = await self.build(recipe(TELLING))
                self.assertEqual((done.result, done.exit), ("failed", 2), done.log)
                self.assertIn("makepkg.conf", done.reason)
                self.assertIn(said, done.log)

        return self.do(go())

    def test_what_not_everybody_may_read_is_said_not_to_be_read(self) -> Deferred[None]:
        async def go() -> None:
            self._set("").chmod(0o600)
            done = await self.build(recipe(TELLING))
            self.assertEqual((done.result, done.exit), ("failed", 2), done.log)
            self.assertIn("not everybody may read /etc/makepkg.conf", done.log)

        return self.do(go())

    def test_no_value_is_more_than_a_value(self) -> None:
        said = {"job": "1", "base": "odd", "recipe": 0, "architecture": "any", "epoch": 0}
        order = read_order({**said, "bounds": BOUNDS}, 1)
        found = environment(order, "a; 'user'", proxy=0, rights=True, processors=2)
        text = settings(found)
        self.assertIn("""export USER='a; '"'"'user'"'"'' || return\n""", text)
        self.assertNotIn("MAKEFLAGS", text)

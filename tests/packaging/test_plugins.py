"""Twisted's list of plugins is renewed by real pacman transactions, so no ordinary user complains.

The root they run in has this machine's /usr with a layer above it, in a mount namespace of its own:
scriptlets and hooks find a shell and a Python there, and what they change goes with the namespace.
"""

from __future__ import annotations

import functools
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.packaging.workshop import NOBODY, SITE, folder, need, need_package, package, succeed

# Beside flocon's plugin lies one that stands for Twisted's own: on Arch they share the folder.
_TRANSACTIONS = """
set -eu
mount -t tmpfs tmpfs "$ROOT"
cd "$ROOT"
mkdir -p usr dev proc etc tmp var/lib/pacman layers/upper layers/work
mount -t overlay -o lowerdir=/usr,upperdir=layers/upper,workdir=layers/work overlay usr
for link in bin sbin lib lib64; do ln -s usr/$link $link; done
mount --rbind /dev dev
mount --rbind /proc proc
IFS='
'
for prefix in $PREFIXES; do
  [ -e "./$prefix" ] || { mkdir -p "./$prefix" && mount --bind "$prefix" "./$prefix"; }
done
unset IFS
rm -f usr/bin/python
printf '#!/bin/sh\\nPYTHONPATH=/%s exec "%s" "$@"\\n' "$SITE" "$PYTHON" >usr/bin/python
chmod 755 usr/bin/python
printf '[options]\\nArchitecture = auto\\nLocalFileSigLevel = Never\\n' >etc/pacman.conf
mkdir -p "$SITE/twisted/plugins"
touch --date=yesterday "$SITE/twisted/plugins/other.py"

# Whatever else is called python where the tests run.
export PATH=/usr/bin:/usr/sbin
look() {
  echo "== $1"
  chroot . setpriv --reuid=$NOBODY --regid=$NOBODY --clear-groups python -c "$LOOK" || true
}
alpm() {
  echo "== pacman $1"
  pacman --root "$PWD" --dbpath "$PWD/var/lib/pacman" --config etc/pacman.conf --gpgdir tmp \\
    --logfile tmp/log --cachedir tmp --noconfirm --nodeps --nodeps "$@" 2>&1
}

alpm -U "$PACKAGE"
look installed
rm "$SITE/twisted/plugins/dropin.cache"
look before
printf '[core]\nServer = http://127.0.0.1:1/$repo\n' >>etc/pacman.conf
cp etc/pacman.conf tmp/before
flocon() {
  # It names the python that it was built with, on Arch the one there.
  sed -i '1s,.*,#!/usr/bin/python,' usr/bin/flocon
  chroot . flocon "$@"
}
flocon setup >/dev/null 2>&1
alpm -U "$PACKAGE"
look upgraded
echo "== set up"
grep localhost:19433 etc/pacman.conf
flocon --version >/dev/null
alpm -R flocon
look removed
echo "== undone"
cmp tmp/before etc/pacman.conf && ls -A etc
alpm -U "$PACKAGE" >/dev/null
flocon --version >/dev/null
sed -i 's,127.0.0.1:1/,localhost:19433/,' etc/pacman.conf
echo "== by hand"
alpm -R flocon

# Another Python: what was built for the one before is in a folder that it does not know.
python_comes() {
  mkdir -p made/usr/bin
  cp -P usr/bin/python3 made/usr/bin
  printf 'pkgname = python\npkgver = %s\narch = any\n' "$1" >made/.PKGINFO
  bsdtar --zstd -C made -cf tmp/python.pkg.tar.zst .PKGINFO usr
  alpm -U --overwrite '*' "$PWD/tmp/python.pkg.tar.zst"
}
alpm -U "$PACKAGE" >/dev/null
flocon --version >/dev/null
python_comes 3.98.0-1
mv "$SITE/flocon" tmp
python_comes 3.99.0-1
echo "== of another python"
alpm -R flocon
"""
#: As twistd looks for its commands, with the log shown.
_LOOK = """
import sys
from twisted.python import log
log.startLogging(sys.stdout)
from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
print(sorted(plugin.tapname for plugin in getPlugins(IServiceMaker)))
"""


@functools.cache
def transactions() -> dict[str, str]:
    """Return what was said at each moment, and in pacman's transactions of each kind."""
    output = succeed(
        *("unshare", "--mount", "--propagation", "private", "sh", "-c", _TRANSACTIONS),
        ROOT=str(folder()),
        SITE=SITE,
        PYTHON=sys.executable,
        PREFIXES="\n".join({sys.prefix, sys.base_prefix}),
        PACKAGE=str(package()),
        NOBODY=str(NOBODY),
        LOOK=_LOOK,
    )
    said: dict[str, str] = {}
    for part in output.split("== ")[1:]:
        name, _, text = part.partition("\n")
        said[name] = said.get(name, "") + text
    return said


class Transactions(SynchronousTestCase):
    def setUp(self) -> None:
        need_package()
        need("unshare", "chroot", "setpriv", root=True)
        self.said = transactions()

    def test_without_the_list_an_ordinary_user_complains(self) -> None:
        self.assertIn(f"Unable to write to plugin cache /{SITE}", self.said["before"])

    def test_after_install_upgrade_and_removal_nobody_complains(self) -> None:
        for moment in ("installed", "upgraded", "removed"):
            self.assertNotIn(f"plugin cache /{SITE}", self.said[moment])

    def test_the_command_comes_and_goes(self) -> None:
        for moment, there in (("installed", True), ("upgraded", True), ("removed", False)):
            self.assertEqual("'flocon'" in self.said[moment], there, self.said[moment])

    def test_installing_tells_the_next_step(self) -> None:
        self.assertIn("flocon setup", self.said["pacman -U"])
        self.assertIn("systemctl enable --now flocon", self.said["pacman -U"])

    def test_an_upgrade_leaves_pacman_led_to_the_node(self) -> None:
        self.assertIn("Server = http://localhost:19433/", self.said["set up"])

    def test_a_removal_leads_pacman_back_and_says_so(self) -> None:
        self.assertIn("-Server = http://localhost:19433/", self.removal())
        self.assertIn("what 'flocon setup --undo' took out", self.removal())
        self.assertNotIn("still led to the node", self.removal())
        self.assertEqual(self.said["undone"].split(), ["pacman.conf"])

    def test_a_removal_tells_of_lines_by_hand(self) -> None:
        last = self.said["pacman -R"].split("still led to the node that is gone")[1]
        self.assertIn("/etc/pacman.conf\n", last)

    def test_another_python_is_told_to_be_one_as_soon_as_it_comes(self) -> None:
        _, before, after = self.said["pacman -U"].split("Looking whether flocon runs")
        self.assertNotIn("build and install it anew", before)
        self.assertIn("==> flocon was built for another Python", after)

    def test_a_removal_after_that_tells_what_it_could_not_take_out_and_shows_no_traceback(
        self,
    ) -> None:
        last = self.said["pacman -R"].rpartition("does not run under the Python")[2]
        self.assertIn("still led to the node that is gone", last)
        self.assertNotIn("Traceback", self.said["pacman -R"])

    def removal(self) -> str:
        """Return what the first removal said."""
        return self.said["pacman -R"].partition("are still in /var/cache/flocon")[0]

    def test_no_scriptlet_or_hook_fails(self) -> None:
        for name in ("pacman -U", "pacman -R"):
            self.assertNotIn("error", self.said[name].lower(), name)

"""From an empty root to a node in use and back, by the very commands that the manuals name.

pacman itself makes the root: it installs what Arch's ``filesystem``, ``pacman`` and
``pacman-mirrorlist`` bring, and then, in that root, the package that real makepkg built. Only the
programs that flocon depends on are this machine's own, a layer below the root's /usr. It all runs
in a mount namespace of its own, on a LAN whose first host holds packages.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from flocon import __version__
from tests.lan.case import LanTestCase
from tests.lan.lan import MIRROR_ADDRESS
from tests.lan.repository import Package, Recipe, Repository
from tests.packaging.workshop import PACKAGING, SITE, folder, need, need_package, package

_PACMAN_CONF = """#
# /etc/pacman.conf
#
[options]
HoldPkg = pacman
Architecture = x86_64
ParallelDownloads = 5
SigLevel = Required DatabaseOptional
LocalFileSigLevel = Optional

#[testing]
#Include = /etc/pacman.d/mirrorlist

[base]
Include = /etc/pacman.d/mirrorlist

[multilib]
Include = /etc/pacman.d/mirrorlist
"""
_MIRRORLIST = f"""##
## Repository mirrorlist
##

#Server = https://mirror.example/$repo/os/$arch
Server = http://{MIRROR_ADDRESS}/$repo/os/$arch
"""
#: The address of the peer that holds packages.
FIRST = "10.77.0.1"
NODE = "http://localhost:19433/$repo/os/$arch"
_FILES = {
    "etc/pacman.conf": _PACMAN_CONF,
    "etc/pacman.d/mirrorlist": _MIRRORLIST,
    "etc/passwd": "root:x:0:0::/:/bin/sh\n",
    "etc/group": "root:x:0:root\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
#: Makes the root in $ROOT and runs $OUT/script in it; what pacman says while it makes it is shown.
_ROOT = """
set -eu
mount -t tmpfs tmpfs "$ROOT"
cd "$ROOT"
mkdir -p var/lib/pacman
pacman --root "$PWD" --dbpath "$PWD/var/lib/pacman" --cachedir "$PWD/var/cache/pacman/pkg" \\
  --logfile "$PWD/var/log/pacman.log" --hookdir "$PWD/etc/pacman.d/hooks" \\
  --config "$CONF" --noconfirm -Sy base

mkdir -p etc/pacman.d/gnupg dev proc run tmp here out .work
cp -r "$KEYRING/." etc/pacman.d/gnupg
chmod 1777 tmp
for link in bin sbin lib lib64; do ln -s usr/$link $link; done
mv usr .made
mkdir usr
mount -t overlay -o lowerdir=/usr,upperdir=.made,workdir=.work overlay usr
mount --rbind /dev dev
mount -t proc proc proc
mount --bind "$OUT" out
IFS='
'
for prefix in $PREFIXES; do
  # A checkout's python may lie in root's home.
  [ -e ".$prefix" ] || { mkdir -p ".$prefix"; mount --bind "$prefix" ".$prefix"; }
  path=".$prefix"
  while [ "$path" != . ]; do chmod a+x "$path"; path=${path%/*}; done
done
unset IFS
rm -f usr/bin/python usr/bin/twistd
printf '#!/bin/sh\\nPYTHONPATH=/%s exec "%s" -P "$@"\\n' "$SITE" "$PYTHON" >usr/bin/python
printf '#!/bin/sh\\nexec python -c "%s" "$@"\\n' \\
  "from twisted.scripts.twistd import run; run()" >usr/bin/twistd
chmod 755 usr/bin/python usr/bin/twistd
exec chroot . /usr/bin/env -i PATH=/usr/bin:/usr/sbin LC_ALL=C HOME=/ sh /out/script
"""
#: What a person types, in the order of the manuals; PID, FILE and NAME are filled in.
_SCRIPT = """
exec >/out/log 2>&1
cd /here
try() {
  name=$1
  shift
  "$@" >"/out/$name" 2>"/out/$name.err" && status=0 || status=$?
  echo "$status" >"/out/$name.status"
}
# The keyring apart, which gpg itself keeps up to date.
state() {
  find /etc -path /etc/pacman.d/gnupg -prune -o -printf '%p %y %m %U %G %l\\n' | sort
  find /etc -path /etc/pacman.d/gnupg -prune -o -type f -print | sort | xargs sha256sum
}
until_said() {
  text=$1
  shift
  for attempt in $(seq 100); do
    "$@" 2>/dev/null | grep -q "$text" && return
    sleep 0.1
  done
}

try install pacman -U --noconfirm /out/flocon.pkg.tar.zst
try old pacman -U --noconfirm /out/tool.pkg.tar.zst
# It names the python that it was built with, on Arch the one there.
sed -i '1s,.*,#!/usr/bin/python,' /usr/bin/flocon
systemd-sysusers flocon.conf
install -d -o flocon -g flocon /var/cache/flocon
try origin python -c 'import flocon; print(flocon.__file__)'
try version flocon --version
try help flocon --help
try node-help twistd flocon --help

state >/out/state-before
try dry-run flocon setup --dry-run
state >/out/state-dry
try setup flocon setup
state >/out/state-set-up
try again flocon setup
state >/out/state-again
try conf pacman-conf
try cache-server flocon setup --cache-server --dry-run
setpriv --reuid=flocon --regid=flocon --clear-groups twistd -n --pidfile= flocon >/out/node 2>&1 &
PID=$!
until_said OK curl localhost:19433/check
try refresh pacman -Sy
until_said first flocon has $NAME
try has flocon has $NAME
try contains flocon has --contains $NAME
try prefetch flocon prefetch
flocon watch >/out/watch &
WATCH=$!
sleep 2
try download pacman -Sw --noconfirm $NAME
try why flocon why $FILE
try why-name flocon why $NAME
sleep 2
kill -INT $WATCH
try upgrade pacman -Syu --noconfirm
try prefetch-no-wait flocon prefetch --no-wait
try peers flocon peers
try status flocon status
try json curl localhost:19433/status.json
try doctor flocon doctor
try get flocon get $OTHER
try get-file flocon get $FILE
try ban flocon ban first
try pardon flocon pardon first
try rejoin flocon rejoin
try peers-signal kill -USR1 $PID
until_said 'heard' cat /out/node
try rejoin-signal kill -USR2 $PID
try reload-signal kill -HUP $PID
try undo flocon setup --undo
state >/out/state-undone
try nothing flocon setup --undo
try once flocon pacman -Sw --noconfirm $ONCE
try why-once flocon why $ONCE_FILE
try both flocon setup --databases
try both-undone flocon setup --undo
state >/out/state-after
try check flocon status
kill -TERM $PID
wait $PID && echo 0 >/out/ended || echo $? >/out/ended

# Another one, with everything told, and a configuration of its own.
cp /etc/pacman.d/mirrorlist /tmp/mirrorlist
sed s,/etc/pacman.d/mirrorlist,/tmp/mirrorlist, /etc/pacman.conf >/tmp/pacman.conf
cp /tmp/pacman.conf /tmp/mirrorlist /out
printf 'name = "another"\n[presence]\nbeat = 5\n' >/tmp/flocon.toml
twistd -n --pidfile= flocon --config /tmp/flocon.toml --pacman-conf /tmp/pacman.conf \\
  --store /tmp/store --interface eth0 --lan tcp:19532 \\
  --loopback tcp:19533:interface=127.0.0.1 --debug >/out/other 2>&1 &
PID=$!
until_said OK curl localhost:19533/check
until_said first flocon --port 19533 peers
try other-setup flocon setup --server --port 19533 --pacman-conf /tmp/pacman.conf
try other-refresh pacman --config /tmp/pacman.conf -Syw --noconfirm $MORE
try other-doctor flocon --port 19533 doctor --pacman-conf /tmp/pacman.conf
try other-status flocon --port 19533 status
try other-peers flocon --json --port 19533 peers
try other-undo flocon setup --undo --pacman-conf /tmp/pacman.conf
try other-same cmp /tmp/pacman.conf /out/pacman.conf
try other-same-list cmp /tmp/mirrorlist /out/mirrorlist
kill -TERM $PID
wait $PID || :

try plain flocon pacman -Syu --noconfirm
try silent flocon status
try removal pacman -R --noconfirm flocon
"""


@dataclass(frozen=True)
class Use:
    """What the commands said, in ``out``, and the packages that went about."""

    out: Path
    downloaded: Package
    got: Package
    once: Package
    from_mirror: frozenset[str]

    def said(self, name: str) -> str:
        return (self.out / name).read_text()


class FirstUse(LanTestCase):
    _use: ClassVar[Use | None] = None

    def setUp(self) -> None:
        need_package()
        need("unshare", "chroot", "setpriv", "systemd-sysusers", "curl", root=True)
        if FirstUse._use is None:
            super().setUp()
            FirstUse._use = self.make_use()
        self.made = FirstUse._use

    def make_use(self) -> Use:
        """Make the root and run the script in it, beside a node that has packages."""
        build = (PACKAGING / "PKGBUILD").read_text()
        depends = re.search(r"(?s)\ndepends=\((.*?)\)", build)
        assert depends is not None
        base = Recipe(
            "base", "1-1", 10, provides=tuple(depends[1].split()), files=tuple(_FILES.items())
        )
        repository = Repository(self.mirror.root, "base", key=self.lab._key)
        (_, tool) = repository.add([base, Recipe("tool", "1-1", 100_000)])
        out, root = folder(), folder()
        shutil.copy(tool.path, out / "tool.pkg.tar.zst")
        shutil.copy(package(), out / "flocon.pkg.tar.zst")
        repository.bump(["tool"])
        self.use(self.lan, ["base", "multilib"])
        self.sync(self.first)
        self.hold(self.first, self.few_packages)
        self.meet(self.first.node())
        ordered = sorted(self.few_packages, key=lambda one: one.size)
        more, downloaded, got, once = ordered[-4:]
        words = {
            "NAME": downloaded.name,
            "FILE": downloaded.file_name,
            "OTHER": got.name,
            "MORE": more.name,
            "ONCE": once.name,
            "ONCE_FILE": once.file_name,
        }
        script = "".join(f"{key}={value}\n" for key, value in words.items()) + _SCRIPT
        (out / "script").write_text(script)
        places = {
            "ROOT": root,
            "OUT": out,
            "CONF": self.second.pacman_conf(node=False),
            "KEYRING": self.lan.keyring,
            "PREFIXES": "\n".join(sorted({sys.prefix, sys.base_prefix})),
            "PYTHON": sys.executable,
            "SITE": SITE,
        }
        status, output = self.second.run(
            [
                *("env", *(f"{name}={value}" for name, value in places.items())),
                *("unshare", "--mount", "--propagation", "private"),
                *("--pid", "--fork", "--kill-child", "sh", "-c", _ROOT),
            ]
        )
        self.assertEqual(status, 0, output)
        asked = frozenset(record.file_name for record in self.mirror.packages())
        return Use(out, downloaded, got, once, asked)

    def said(self, name: str, *, status: int = 0) -> str:
        """Return what a command of the script printed; it ended with ``status``."""
        output, errors = self.made.said(name), self.made.said(f"{name}.err")
        self.assertEqual(self.made.said(f"{name}.status"), f"{status}\n", output + errors)
        return output

    def errors(self, name: str) -> str:
        return self.made.said(f"{name}.err")

    def state(self, moment: str) -> set[str]:
        """Return what was below /etc: a line for each file's kind, mode and owner, and its hash."""
        lines = self.made.said(f"state-{moment}").splitlines()
        self.assertTrue(any(line.startswith("/etc/pacman.conf f 644") for line in lines))
        return set(lines)

    def test_pacman_installs_the_package_with_all_that_it_depends_on(self) -> None:
        self.assertIn("flocon setup", self.said("install"))
        self.assertEqual(self.errors("install"), "")
        self.assertEqual(self.said("origin"), f"/{SITE}/flocon/__init__.py\n")
        self.assertEqual(self.said("version"), f"flocon {__version__}\n")
        self.assertIn("--pacman-conf", self.said("node-help"))
        self.assertIn("doctor", self.said("help"))

    def test_setup_shows_the_change_makes_it_and_makes_it_once(self) -> None:
        shown = self.said("dry-run")
        self.assertIn(f"Server = {NODE}\n", shown)
        self.assertEqual(self.state("dry"), self.state("before"))
        self.assertEqual(self.said("setup"), shown)
        more = {line.split()[0] for line in self.state("set-up") - self.state("before")}
        # Beside the changed files, lines that begin with a hash.
        names = {name for name in more if name.startswith("/")}
        self.assertIn("/etc/pacman.conf.flocon-setup", names)
        self.assertEqual({Path(name).suffix for name in names}, {".flocon-setup", ".flocon-backup"})
        self.assertIn(f"+CacheServer = {NODE}\n", self.said("cache-server"))
        self.assertEqual(self.said("again"), "/etc/pacman.conf: nothing to change\n")
        self.assertEqual(self.state("again"), self.state("set-up"))
        sections = self.said("conf").split("\n[")[1:]
        self.assertEqual([one.partition("]")[0] for one in sections], ["base", "multilib"])
        for section in sections:
            servers = re.findall(r"Server = http://([^/:]+)", section)
            self.assertEqual(servers, ["localhost", MIRROR_ADDRESS])

    def test_undo_leaves_the_configuration_as_it_was_to_the_byte(self) -> None:
        self.assertIn(f"-Server = {NODE}\n", self.said("undo").replace("-Cache", "-"))
        self.assertEqual(self.state("undone"), self.state("before"))
        self.assertEqual(self.said("nothing"), "/etc/pacman.conf: nothing to change\n")
        self.assertIn("nothing to undo", self.errors("nothing"))
        self.assertIn(f"Server = {NODE}\n", self.said("both"))
        self.said("both-undone")
        self.assertEqual(self.state("after"), self.state("before"))

    def test_pacman_takes_from_the_peer_what_the_peer_has(self) -> None:
        self.said("refresh")
        self.assertIn("first", self.said("has"))
        self.assertIn(self.made.downloaded.name, self.said("contains"))
        for name in ("download", "upgrade"):
            self.said(name)
            self.assertEqual(self.errors(name), "")
        self.assertIn(f"200  from peer {FIRST}", self.said("why"))
        self.assertEqual(self.said("why-name").splitlines()[0], self.said("why").splitlines()[0])
        self.assertIn(f" from peer {FIRST}", self.made.said("watch"))
        few = {one.file_name for one in (self.made.downloaded, self.made.got, self.made.once)}
        self.assertEqual(few & self.made.from_mirror, set())

    def test_an_upgrade_was_fetched_ahead(self) -> None:
        self.assertRegex(
            self.said("prefetch"), r"^1 package, .*, is ready: all that pacman would up"
        )
        self.assertIn("upgrading tool", self.said("upgrade"))
        self.said("prefetch-no-wait")

    def test_a_node_started_by_hand_tells_of_itself_and_all_is_well(self) -> None:
        self.assertRegex(self.said("peers"), rf"^first +{re.escape(FIRST)} port 19432 .* good\n$")
        self.assertIn(f"flocon {__version__}, node ", self.said("status"))
        told = json.loads(self.said("json"))
        self.assertEqual([one["name"] for one in told["peers"]], ["first"])
        self.assertTrue(self.said("doctor").endswith("\nall is well\n"))
        log = self.made.said("node")
        self.assertNotIn("Traceback", log)
        self.assertRegex(log, r"[0-9] packages: .* from the LAN, 0 B from the WAN")
        self.assertTrue(log.rstrip().endswith("Server Shut Down."), log)

    def test_get_fetches_from_the_peer_and_from_this_machine(self) -> None:
        self.assertIn(f"from peer {FIRST}", self.said("get"))
        self.assertRegex(self.said("get-file"), "from (cache|store), .* verified")

    def test_commands_and_signals_change_the_node(self) -> None:
        self.assertRegex(self.said("ban"), r"^first at \S+ \(\w{16}\) is in quarantine for good\n$")
        self.assertRegex(self.said("pardon"), r"^first at \S+ \(\w{16}\) may be asked again\n$")
        self.said("rejoin")
        for name in ("peers-signal", "rejoin-signal", "reload-signal"):
            self.said(name)
        log = self.made.said("node")
        self.assertRegex(log, rf"first at {re.escape(FIRST)} port 19432, .* heard")
        self.assertEqual(log.count("joining the group anew"), 2)
        self.assertIn("settings read anew", log)

    def test_pacman_is_led_to_the_node_once_and_nothing_is_changed(self) -> None:
        self.said("once")
        self.assertIn(f"200  from peer {FIRST}", self.said("why-once"))
        self.assertEqual(self.state("after"), self.state("before"))

    def test_every_option_of_a_node_is_heeded(self) -> None:
        log = self.made.said("other")
        self.assertNotIn("Traceback", log)
        self.assertIn(" as another; its store is /tmp/store", log)
        self.said("other-refresh")
        self.assertRegex(log, r"#debug\] .*\.pkg\.tar\.zst: 200 from peer 10")
        self.assertEqual(set(re.findall(r"presence on (\w+)", log)), {"eth0"})
        self.assertIn(f"+Server = {NODE.replace('19433', '19533')}\n", self.said("other-setup"))
        said = self.said("other-doctor")
        self.assertIn("port 19532 is open as seen from first", said)
        self.assertIn("/tmp/store can be written", said)
        self.assertTrue(said.endswith("\nall is well\n"), said)
        self.assertIn(" as another\n", self.said("other-status"))
        self.assertEqual([one["name"] for one in json.loads(self.said("other-peers"))], ["first"])
        self.said("other-undo")
        for name in ("other-same", "other-same-list"):
            self.said(name)

    def test_without_the_node_pacman_goes_on_and_flocon_says_so(self) -> None:
        self.assertIn("there is nothing to do", self.said("plain"))
        self.assertIn("pacman goes on without the node", self.errors("plain"))
        self.said("silent", status=1)
        self.assertIn("no node answers on port 19433", self.errors("silent"))
        self.assertIn("/var/cache/flocon", self.said("removal"))

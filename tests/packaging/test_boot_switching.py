"""Changing over as docs/switching.rst says, under systemd, and back: each of its commands.

The other tools are units that give what those give at their own ports, each by its own paths;
pacman's old lines stay as they were.
"""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from tests.lan.repository import Recipe, Repository
from tests.packaging.test_boot import Booted

#: What each tool's lines lead to: its unit, its port, and the path of a repository's files.
_TOOLS = {
    "pacredir": (7077, ""),
    "pacserve": (15678, "pacman/core/x86_64"),
    "pacoloco": (9129, "repo/archlinux/core/os/x86_64"),
    "flexo": (7878, "core/os/x86_64"),
    "cpcache": (7070, "core/os/x86_64"),
    "pkgstash": (8090, "core/os/x86_64"),
}
#: What the mirror has alone, and what the proxy has in its folder as well.
_PACKAGES = ("first", "second", "third", "fourth")
_UNIT = """
[Service]
ExecStart=/usr/bin/python -m http.server {port} --bind 127.0.0.1 --directory /shared/{name}
[Install]
WantedBy=multi-user.target
"""
_SCRIPT = """
cd /shared
systemd-sysusers
mkdir -p /var/lib/pacman/local /var/cache/pacman/pkg /var/cache/pacoloco/pkgs/archlinux
cp pacman.conf /etc/pacman.conf
cp pacoloco/repo/archlinux/core/os/x86_64/fourth-* /var/cache/pacoloco/pkgs/archlinux
systemctl daemon-reload
systemctl start mirror
listens() {
  python -c 'import socket, sys, time
for port in sys.argv[1:]:
    for _ in range(100):
        try: socket.create_connection(("127.0.0.1", port)).close()
        except OSError: time.sleep(0.05)
        else: break
' "$@"
}
listens 8080
flocon() { python -m flocon.cli "$@"; }
pacman() { command pacman --noconfirm --noprogressbar "$@"; }
holds() {
  for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    flocon list 2>&1 | grep -q "$1" && return
    sleep 0.2
  done
}
states() { systemctl is-active "$@"; systemctl is-enabled "$@"; }
# What a tool's line leads to now: who answers, in whatever words.
answers() {
  rm -f head body
  # As pacman does, this reads over what only says that the answer is on its way.
  curl -fsS --max-time 9 -A pacman/7.0 -D head -o body "$1" 2>&1 || return 0
  by=$(tr -d '\r' <head | grep -i '^flocon-source: ' || tr -d '\r' <head | grep -i '^server: ')
  echo "$(wc -c <body) ${by#*: }"
}

# As it was: pacredir, and the server for other machines.
systemctl enable --now pacredir pacserve
listens 7077 15678
pacman -Sy >synced 2>&1
pacman -Sw first >was 2>&1
sha256sum /etc/pacman.conf >conf

# pacredir: the same for all, then without it, its line answered by the node.
flocon setup >set-up 2>&1
systemctl enable --now flocon
flocon doctor >examined 2>&1
pacman -Sw second >beside 2>&1
systemctl disable --now pacredir pacserve
states pacredir pacserve >stopped 2>&1
pacman -Sw third >without 2>&1
echo "rc $?" >>without
cat >/etc/flocon.toml <<'END'
[standins]
pacredir = ["tcp:7077:interface=127.0.0.1"]
pacserve = ["tcp:15678"]
END
systemctl stop flocon
systemctl enable --now flocon-pacredir.socket flocon
flocon doctor >held-in-part 2>&1
systemctl stop flocon
systemctl enable --now flocon-pacserve.socket flocon
flocon doctor >held 2>&1
holds third
answers http://127.0.0.1:7077/third-1-1-x86_64.pkg.tar.zst >by-pacredirs
answers http://localhost:15678/pacman/core/x86_64/third-1-1-x86_64.pkg.tar.zst >by-pacserves
flocon status >status 2>&1
rm -f /var/cache/pacman/pkg/*
flocon setup --undo >undone 2>&1
pacman -Sw second >by-old-line 2>&1
echo "rc $?" >>by-old-line
sha256sum --check conf >as-before

# While the node is down, nobody else has its ports, and who asks there starts it.
systemctl stop flocon
python -c 'import socket
for place in ("127.0.0.1", 7077), ("0.0.0.0", 15678):
    try: socket.create_server(place, reuse_port=True)
    except OSError as error: print(error.errno)
    else: print("taken")
' >down 2>&1
listens 7077
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  systemctl --quiet is-active flocon && break
  sleep 0.2
done
states flocon >woken 2>&1

# pacserve, once its port is its own again
: >/etc/flocon.toml
systemctl disable --now flocon-pacredir.socket
systemctl disable --now flocon-pacserve.socket
states flocon-pacredir.socket flocon-pacserve.socket >let-go 2>&1
systemctl restart flocon
systemctl enable --now pacserve
listens 15678
systemctl disable --now pacserve
states pacserve >pacserve-stopped 2>&1

# A proxy: one name of these is anybody's own.
systemctl enable --now pacoloco flexo cpcache pkgstash
listens 9129 7878 7070 8090
systemctl disable --now pacoloco
systemctl disable --now flexo
systemctl disable --now cpcache
systemctl disable --now pkgstash
states pacoloco flexo cpcache pkgstash >proxies 2>&1
cat >/etc/flocon.toml <<'END'
[mirror]
serve = true
publish = "at once"
listen = ["tcp:19434", "tcp:9129", "tcp:7878", "tcp:7070", "tcp:8090"]
[store]
adopt = ["/var/cache/pacoloco"]
END
systemctl restart flocon
systemctl enable --now flocon
flocon mirror refresh >refreshed 2>&1
flocon mirror status >mirrored 2>&1
holds fourth
flocon list >listed 2>&1
flocon list --remote >remote 2>&1
flocon has --newest fourth >newest 2>&1
for line in 9129/repo/archlinux/core/os 7878/core/os 7070/core/os 8090/core/os; do
  answers http://127.0.0.1:$line/x86_64/core.db
  answers http://127.0.0.1:$line/x86_64/fourth-1-1-x86_64.pkg.tar.zst
done >by-proxies
ls -A /var/cache/pacoloco/pkgs/archlinux >folder

# And back.
systemctl disable --now flocon.socket flocon
systemctl enable --now pacredir pacserve
listens 7077
states flocon.socket flocon pacredir pacserve >back 2>&1
rm -f /var/cache/pacman/pkg/*
pacman -Sw first >again 2>&1
echo "rc $?" >>again
journalctl -u flocon -p warning --quiet --output=cat >warnings
"""


def fill(shared: Path) -> None:
    """Make a mirror with a repository, and a unit for each tool with a folder of what it gives."""
    repository = Repository(shared / "mirror", "core")
    repository.add([Recipe(name, "1-1", 20_000) for name in _PACKAGES])
    units = {"mirror": 8080}
    for name, (port, path) in _TOOLS.items():
        units[name] = port
        shutil.copytree(repository.folder, shared / name / path, dirs_exist_ok=True)
    for name, port in units.items():
        (shared / f"{name}.service").write_text(_UNIT.format(name=name, port=port))
    (shared / "pacman.conf").write_text(
        "[options]\nArchitecture = x86_64\nSigLevel = Never\n"
        "[core]\nServer = http://127.0.0.1:7077\nServer = http://127.0.0.1:8080/$repo/os/$arch\n"
    )


class Switching(Booted):
    script = _SCRIPT
    fill = staticmethod(fill)

    def assert_fetched(self, name: str) -> None:
        said = self.said(name)
        self.assertNotIn("error", said)
        self.assertIn("rc 0", said)

    def test_before_all_else_the_old_tool_serves(self) -> None:
        self.assertNotIn("error", self.said("synced") + self.said("was"))

    def test_the_node_stands_beside_it_and_then_in_its_place(self) -> None:
        self.assertIn("19433", self.said("set-up"))
        # This system has no network but its own.
        wrong = [line for line in self.said("examined").splitlines() if line.startswith("wrong ")]
        self.assertEqual([line.split()[1] for line in wrong], ["multicast"])
        self.assertNotIn("error", self.said("beside"))
        self.assertEqual(self.said("stopped").split(), ["inactive"] * 2 + ["disabled"] * 2)
        self.assert_fetched("without")

    def test_old_lines_of_pacredir_and_pacserve_are_answered_by_the_node(self) -> None:
        for name in ("by-pacredirs", "by-pacserves"):
            self.assertRegex(self.said(name), r"^2[0-9]{4} (cache|store)$", name)
        for words in ("in place of", "pacredir on tcp:7077", "pacserve on tcp:15678"):
            self.assertIn(words, self.said("status"))
        self.assertIn("pacman.conf", self.said("undone"))
        self.assertEqual(self.said("as-before"), "/etc/pacman.conf: OK")
        self.assert_fetched("by-old-line")

    def test_systemd_holds_the_ports_in_other_tools_places_where_that_is_wanted(self) -> None:
        self.assertIn("does not hold 0.0.0.0:15678,", self.said("held-in-part"))
        self.assertNotIn("does not hold", self.said("held"))
        self.assertEqual(self.said("down").split(), [str(errno.EADDRINUSE)] * 2)
        self.assertEqual(self.said("woken").split(), ["active", "enabled"])
        self.assertEqual(self.said("let-go").split(), ["inactive"] * 2 + ["disabled"] * 2)

    def test_a_node_takes_a_proxys_place_and_what_lies_in_its_folder(self) -> None:
        self.assertEqual(self.said("pacserve-stopped").split(), ["inactive", "disabled"])
        self.assertEqual(self.said("proxies").split(), ["inactive"] * 4 + ["disabled"] * 4)
        self.assertIn("state", self.said("mirrored"))
        lines = self.said("by-proxies").splitlines()
        self.assertEqual(len(lines), 8)
        for line in lines[1::2]:
            self.assertRegex(line, r"^2[0-9]{4}\b")
        self.assertRegex(self.said("listed"), r"(?m)^fourth +1-1 ")
        self.assertRegex(self.said("newest"), r"^fourth +1-1 .*\[core\] +here")
        self.assertRegex(self.said("remote"), r"(?m)^fourth +1-1 ")
        self.assertEqual(self.said("folder"), "fourth-1-1-x86_64.pkg.tar.zst")

    def test_and_back(self) -> None:
        states = ["inactive"] * 2 + ["active"] * 2 + ["disabled"] * 2 + ["enabled"] * 2
        self.assertEqual(self.said("back").split(), states)
        self.assert_fetched("again")

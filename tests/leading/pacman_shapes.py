"""Configurations as distributions ship them, tools write them and people leave them.

Written from their shape, not copied. ``@`` in front of a path stands for the folder a test puts
them in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

OPTIONS = b"""#
# See the pacman.conf(5) manpage for option and repository directives
#
[options]
# Paths commented out are the defaults.
#RootDir     = /
#CacheDir    = /var/cache/pacman/pkg/
HoldPkg     = pacman glibc
#XferCommand = /usr/bin/curl -L -C - -f -o %o %u
Architecture = auto
CheckSpace
ParallelDownloads = 5
SigLevel    = Required DatabaseOptional
LocalFileSigLevel = Optional

"""
MIRRORLIST = b"""##
## Repository mirrorlist
## Generated on 2026-11-01
##

## Worldwide
#Server = https://world.example/$repo/os/$arch

## Germany
#Server = http://de1.example/archlinux/$repo/os/$arch
Server = https://de2.example/archlinux/$repo/os/$arch
Server = https://de3.example/archlinux/$repo/os/$arch
"""
LISTED = b"Include = @/pacman.d/mirrorlist\n"
HAND = b"http://localhost:19433/$repo/os/$arch"


@dataclass(frozen=True)
class Shape:
    """Files by name, links by name, and which repositories can and cannot ask the node.

    ``by_hand`` ones ask it already; ``changed`` are the files that Server lines go into.
    """

    files: dict[str, bytes]
    served: tuple[str, ...]
    left: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()
    changed: tuple[str, ...] = ("pacman.d/mirrorlist",)
    links: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write them below ``folder``; return where pacman.conf is."""
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.replace(b"@/", bytes(folder) + b"/"))
        for name, target in self.links.items():
            (folder / name).symlink_to(folder / target)
        return folder / "pacman.conf"


def stock(
    repositories: bytes, mirrorlist: bytes = MIRRORLIST, options: bytes = OPTIONS
) -> dict[str, bytes]:
    """Return a pacman.conf and the usual mirrorlist."""
    return {"pacman.conf": options + repositories, "pacman.d/mirrorlist": mirrorlist}


CORE = b"[core]\n" + LISTED
EXTRA = b"[extra]\n" + LISTED

SHAPES: dict[str, Shape] = {
    "arch, as installed": Shape(
        stock(
            b"# The testing repositories are disabled by default.\n#[core-testing]\n#" + LISTED
            + b"\n" + CORE + b"\n#[extra-testing]\n#" + LISTED + b"\n" + EXTRA
            + b"\n#[multilib]\n#" + LISTED
            + b"\n# An example of a custom package repository.\n#[custom]\n"
            b"#SigLevel = Optional TrustAll\n#Server = file:///home/custompkgs\n"
        ),
        ("core", "extra"),
    ),
    "arch with testing, multilib and newer options": Shape(
        stock(
            b"[core-testing]\n" + LISTED + b"\n" + CORE + b"\n[extra-testing]\n" + LISTED
            + b"\n" + EXTRA + b"\n[multilib]\n" + LISTED,
            options=OPTIONS + b"DownloadUser = alpm\nColor\nILoveCandy\n\n",
        ),
        ("core-testing", "core", "extra-testing", "extra", "multilib"),
    ),
    "a mirrorlist by reflector": Shape(
        stock(
            CORE + EXTRA,
            b"################################\n# Arch Linux mirrorlist by Reflector #\n"
            b"################################\n\n# With:       reflector @/etc/reflector.conf\n"
            b"# When:       2026-11-20 07:01:02 UTC\n# Retrieved:  2026-11-20 07:00:58 UTC\n\n"
            b"Server = https://fast.example/archlinux/$repo/os/$arch\n"
            b"Server = rsync://odd.example/archlinux/$repo/os/$arch\n"
            b"Server = https://next.example/archlinux/$repo/os/$arch\n",
        ),
        ("core", "extra"),
    ),
    "manjaro": Shape(
        stock(
            b"[core]\nSigLevel = PackageRequired\n" + LISTED + b"\n[extra]\n"
            b"SigLevel = PackageRequired\n" + LISTED + b"\n[multilib]\n"
            b"SigLevel = PackageRequired\n" + LISTED,
            b"##\n## Pacman Mirrorlist\n##\n\n## Country : Austria\n"
            b"Server = https://at.example/manjaro/stable/$repo/$arch\n\n## Country : Germany\n"
            b"Server = https://de.example/manjaro/stable/$repo/$arch\n",
            options=OPTIONS + b"SyncFirst = manjaro-system\n",
        ),
        ("core", "extra", "multilib"),
    ),
    "endeavouros": Shape(
        {
            **stock(
                b"[endeavouros]\nSigLevel = PackageRequired\n"
                b"Include = @/pacman.d/endeavouros-mirrorlist\n\n" + CORE + EXTRA
            ),
            "pacman.d/endeavouros-mirrorlist": b"### EndeavourOS\n\n## Germany\n"
            b"Server = https://eos.example/endeavouros/repo/$repo/$arch\n",
        },
        ("endeavouros", "core", "extra"),
        changed=("pacman.d/endeavouros-mirrorlist", "pacman.d/mirrorlist"),
    ),
    "artix with arch's extra": Shape(
        {
            **stock(
                b"[system]\n" + LISTED + b"\n[world]\n" + LISTED + b"\n[galaxy]\n" + LISTED
                + b"\n[extra]\nInclude = @/pacman.d/mirrorlist-arch\n",
                b"# Artix\nServer = https://artix.example/repos/$repo/os/$arch\n",
            ),
            "pacman.d/mirrorlist-arch": MIRRORLIST,
        },
        ("system", "world", "galaxy", "extra"),
        changed=("pacman.d/mirrorlist", "pacman.d/mirrorlist-arch"),
    ),
    "arch linux arm": Shape(
        stock(
            CORE + b"\n" + EXTRA + b"\n[alarm]\n" + LISTED + b"\n[aur]\n" + LISTED,
            b"#\n# Arch Linux ARM\n#\n## Geo-IP\nServer = http://arm.example/$arch/$repo\n",
            options=OPTIONS.replace(b"auto", b"aarch64"),
        ),
        ("core", "extra", "alarm", "aur"),
    ),
    "cachyos, several architectures and mirrorlists": Shape(
        {
            **stock(
                b"[cachyos-v3]\nInclude = @/pacman.d/cachyos-v3-mirrorlist\n\n"
                b"[cachyos]\nInclude = @/pacman.d/cachyos-mirrorlist\n\n" + CORE,
                options=OPTIONS.replace(b"auto", b"x86_64 x86_64_v3"),
            ),
            "pacman.d/cachyos-v3-mirrorlist": b"Server = https://c.example/repo/$arch_v3/$repo\n",
            "pacman.d/cachyos-mirrorlist": b"Server = https://c.example/repo/$arch/$repo\n",
        },
        ("cachyos-v3", "cachyos", "core"),
        changed=(
            "pacman.d/cachyos-v3-mirrorlist", "pacman.d/cachyos-mirrorlist", "pacman.d/mirrorlist"
        ),
    ),
    "unofficial repositories with own servers": Shape(
        stock(
            CORE + b"\n[archlinuxcn]\nServer = https://cn.example/$arch\n\n[some-aur]\n"
            b"SigLevel = Optional\nServer = https://a.example/$repo/$arch\n"
            b"Server = https://b.example/$repo/$arch\n"
        ),
        ("core", "archlinuxcn", "some-aur"),
        changed=("pacman.conf", "pacman.d/mirrorlist"),
    ),
    "a local repository": Shape(
        stock(CORE + b"\n[custom]\nSigLevel = Optional TrustAll\nServer = file:///home/pkgs\n"),
        ("core",),
        left=("custom",),
    ),
    "a local repository before mirrors": Shape(
        stock(b"[core]\nServer = file:///mnt/stick/$repo\n" + LISTED),
        ("core",),
    ),
    "a local repository and an own mirror": Shape(
        stock(b"[core]\nServer = file:///mnt/$repo\nServer = http://own.example/$repo\n" + LISTED),
        ("core",),
        changed=("pacman.conf",),
    ),
    "own server before the mirrorlist": Shape(
        stock(b"[core]\nServer = http://nas.example/$repo/$arch\n" + LISTED + b"\n" + EXTRA),
        ("core", "extra"),
        changed=("pacman.conf", "pacman.d/mirrorlist"),
    ),
    "ftp only": Shape(
        stock(CORE + b"[old]\nServer = ftp://ftp.example/$repo\n"), ("core",), left=("old",)
    ),
    "CRLF throughout": Shape(
        {name: text.replace(b"\n", b"\r\n") for name, text in stock(CORE + EXTRA).items()},
        ("core", "extra"),
    ),
    "no final newline anywhere": Shape(
        stock(CORE + b"[extra]\n" + LISTED.rstrip(), b"Server = http://only.example/$repo/$arch"),
        ("core", "extra"),
    ),
    "tabs and missing blanks": Shape(
        stock(
            b"\t[core]\nInclude=@/pacman.d/mirrorlist\n  [extra]  \n\tInclude\t=\t"
            b"@/pacman.d/mirrorlist\t\n",
            b"\t Server=http://tab.example/$repo/$arch  \nServer\t=http://b.example/$repo\n",
        ),
        ("core", "extra"),
    ),
    "a folder of mirrorlists": Shape(
        {
            "pacman.conf": OPTIONS + b"[core]\nInclude = @/mirrors.d/*\n",
            "mirrors.d/10-none": b"# nothing yet\n#Server = http://none.example/$repo\n",
            "mirrors.d/20-some": b"Server = http://some.example/$repo\n",
            "mirrors.d/30-more": b"Server = http://more.example/$repo\n",
        },
        ("core",),
        changed=("mirrors.d/20-some",),
    ),
    "repositories in a folder of their own": Shape(
        {
            **stock(CORE + b"Include = @/repos.d/*.conf\n"),
            "repos.d/one.conf": b"[one]\nServer = https://one.example/$arch\n",
            "repos.d/two.conf": b"[two]\nSigLevel = Never\n" + LISTED,
        },
        ("core", "one", "two"),
        changed=("repos.d/one.conf", "pacman.d/mirrorlist"),
    ),
    "a symlinked mirrorlist and pacman.conf": Shape(
        {
            "real/pacman.conf": OPTIONS + CORE,
            "real/mirrors": MIRRORLIST,
            "pacman.d/README": b"",
        },
        ("core",),
        changed=("real/mirrors",),
        links={"pacman.d/mirrorlist": "real/mirrors", "pacman.conf": "real/pacman.conf"},
    ),
    "comments that are not UTF-8": Shape(
        stock(CORE, b"# G\xfcnter's \xff\xfe mirrors\n" + MIRRORLIST), ("core",)
    ),
    "options between repositories": Shape(
        stock(
            CORE + b"[options]\nArchitecture = x86_64\n" + EXTRA + b"[options]\nColor\n",
            options=b"",
        ),
        ("core", "extra"),
    ),
    "a repository twice": Shape(
        stock(CORE + EXTRA + b"[core]\nServer = http://second.example/$repo\n"), ("core", "extra")
    ),
    "XferCommand": Shape(
        stock(CORE, options=OPTIONS + b"XferCommand = /usr/bin/curl -o %o %u\n"), ("core",)
    ),
    "a disabled and an enabled mirrorlist": Shape(
        {
            **stock(CORE + b"[later]\nInclude = @/pacman.d/later\n"),
            "pacman.d/later": b"#Server = https://later.example/$repo\n",
        },
        ("core",),
        left=("later",),
    ),
    "a stock set-up by hand in the mirrorlist": Shape(
        stock(CORE + EXTRA, b"Server=http://127.0.0.1:19433/$repo/os/$arch\n" + MIRRORLIST),
        ("core", "extra"),
        by_hand=("core", "extra"),
        changed=(),
    ),
    "set up by hand for one repository": Shape(
        stock(b"[core]\nServer = http://[::1]:19433/$repo/os/$arch\n" + LISTED
              + b"[mine]\nServer = https://mine.example\n"),
        ("core", "mine"),
        by_hand=("core",),
        changed=("pacman.conf",),
    ),
    "another program on localhost": Shape(
        stock(CORE, b"Server = http://localhost:7878/$repo/os/$arch\n" + MIRRORLIST), ("core",)
    ),
    "backups that an Include would read": Shape(
        {
            "pacman.conf": OPTIONS + b"[core]\nInclude = @/pacman.d/mirrorlist*\n",
            "pacman.d/mirrorlist": MIRRORLIST,
        },
        ("core",),
    ),
}  # fmt: skip

#: What is refused, and words that the refusal has.
REFUSED: dict[str, tuple[dict[str, bytes], str]] = {
    "empty": ({"pacman.conf": b""}, "it has no repository"),
    "options only": ({"pacman.conf": OPTIONS}, "it has no repository"),
    "every mirror commented out": (
        stock(CORE, MIRRORLIST.replace(b"\nServer", b"\n#Server")),
        "uncomment a mirror",
    ),
    "only local repositories": (
        {"pacman.conf": OPTIONS + b"[custom]\nServer = file:///home/pkgs\n"},
        "has no http mirror (file:///home/pkgs)",
    ),
    "no Architecture": (
        stock(b"[options]\n" + CORE, b"Server = http://m.example/$repo\n", options=b""),
        "write 'Architecture = auto'",
    ),
    "a relative Include": (
        {"pacman.conf": OPTIONS + b"[core]\nInclude = mirrorlist\n"},
        "pacman.conf line 17: includes 'mirrorlist'",
    ),
    "a missing Include": (
        {"pacman.conf": OPTIONS + CORE},
        "pacman.conf line 17: includes",
    ),
    "an Include of itself": (
        {"pacman.conf": OPTIONS + b"Include = @/pacman.conf\n"},
        "within too many others",
    ),
    "a line before any section": (
        stock(CORE, options=b"\xef\xbb\xbf# A byte order mark is no comment\n" + OPTIONS),
        "pacman.conf line 1: stands before the first [section]",
    ),
    "a Server without a value": (
        {"pacman.conf": OPTIONS + b"[core]\nServer\n"},
        "pacman.conf line 17: Server has no value",
    ),
    "a line pacman would cut": (
        {"pacman.conf": OPTIONS + b"#" * 5000 + b"\n[core]\nServer = http://x.example\n"},
        "pacman.conf line 16: is longer than pacman reads",
    ),
}

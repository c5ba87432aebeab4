"""What is read of a package is what real pacmans install of it; where it is not, it is refused."""

from __future__ import annotations

import base64
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import PackageError
from flocon.repository.package import Package
from flocon.repository.reading import read_package
from tests.needs import leave_out
from tests.repository.packages import (
    COMPRESS,
    File,
    archive,
    folder,
    hard_link,
    info,
    link,
    mtree,
    opened,
    tar,
)
from tests.wanted.real_pacman import pacmans

FILE = "foo-1.0-1-x86_64.pkg.tar.zst"
FILES = (folder("usr"), File("usr/tool", b"1", mode=0o755, user=7), folder("usr/p", 0o700))
LISTED = ("./usr type=dir", "./usr/tool mode=755 uid=7", "./usr/p type=dir mode=700")
#: The capabilities to read all files, and to set the clock.
READ_ALL = "\x01\x00\x00\x02\x04" + "\x00" * 15
SET_CLOCK = "\x01\x00\x00\x02\x00\x00\x00\x02" + "\x00" * 12
_CAPABILITY = "security.capability"


def said(*lines: str) -> File:
    return File(".MTREE", mtree(*lines))


def without_slash(data: bytes, path: bytes) -> bytes:
    """Return a tar whose folder ``path`` is named without the slash at its end."""
    at = data.index(path + b"/\0")
    block = bytearray(data[at : at + 512])
    block[: len(path) + 1] = path + b"\0"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return data[:at] + bytes(block) + data[at + 512 :]


def with_extension(key: str, *values: str) -> bytes:
    """Return a package with a file of which pax says a thing, however often."""
    marks = [f"{key[:-1]}{number}" for number in range(len(values))]
    extended = File("usr/tool", b"1", extensions=tuple(zip(marks, values, strict=True)))
    data = tar([File(".PKGINFO", info()), folder("usr"), extended])
    for mark in marks:
        data = data.replace(f"{mark}=".encode(), f"{key}=".encode())
    return COMPRESS["zst"](data)


def with_capabilities(first: str, second: str) -> bytes:
    """Return a package with a file that has some as bsdtar writes them: in two ways."""
    encoded = base64.b64encode(second.encode("latin-1")).decode().rstrip("=")
    ways = ((f"SCHILY.xattr.{_CAPABILITY}", first), (f"LIBARCHIVE.xattr.{_CAPABILITY}", encoded))
    tool = File("usr/tool", b"1", mode=0o755, extensions=ways)
    return archive(folder("usr"), tool)


class AsInstalled(SynchronousTestCase):
    def setUp(self) -> None:
        leave_out("" if os.geteuid() == 0 else "pacman installs for root only")
        leave_out("" if shutil.which("pacman") else "pacman is not installed")

    def read(self, data: bytes) -> Package:
        descriptor = opened(data)
        try:
            return read_package(descriptor, FILE)
        finally:
            os.close(descriptor)

    def test_what_is_taken_is_installed_as_it_was_read(self) -> None:
        for data in (
            archive(*FILES),
            archive(said(*LISTED), *FILES),
            archive(*FILES, said("./.PKGINFO size=1", *LISTED)),
            archive(File(".INSTALL", b": post_install\n"), said("./.INSTALL", *LISTED), *FILES),
            archive(*FILES, link("usr/l", "/etc"), hard_link("usr/h", "usr/tool")),
            with_extension(f"SCHILY.xattr.{_CAPABILITY}", READ_ALL),
            with_capabilities(READ_ALL, READ_ALL),
            with_extension("path", "usr/other"),
            with_extension("uid", "65534"),
        ):
            package = self.read(data)
            for pacman in pacmans():
                self.assertEqual(self.installed(pacman, data), expected(package))

    def test_what_is_installed_otherwise_is_refused(self) -> None:
        bare = tar([File(".PKGINFO", info()), *FILES], tarfile.GNU_FORMAT)
        for data in (
            archive(said(*LISTED[:1], *LISTED[2:]), *FILES),
            archive(*FILES, said(*LISTED[:2])),
            archive(said(*LISTED, "./etc/x"), *FILES),
            archive(said(*LISTED), *FILES, File(".INSTALL", b": post_install\n")),
            COMPRESS["zst"](without_slash(bare, b"usr/p")),
            with_extension(f"SCHILY.xattr.{_CAPABILITY}", READ_ALL, SET_CLOCK),
            with_capabilities(READ_ALL, SET_CLOCK),
            with_extension("uid", str(1 << 32)),
        ):
            self.assertRaises(PackageError, self.read, data)

    def installed(self, pacman: str, data: bytes) -> object:
        """Return what a pacman has made of a package: files as they lie there, and its list."""
        with tempfile.TemporaryDirectory() as made:
            place = Path(made)
            for name in ("root/usr", "root/var/lib/pacman", "cache", "gnupg"):
                (place / name).mkdir(parents=True)
            # Nobody's scripts run there.
            lines = [f"RootDir = {place}/root", f"DBPath = {place}/root/var/lib/pacman"]
            lines += [f"CacheDir = {place}/cache", f"GPGDir = {place}/gnupg", "LogFile = /dev/null"]
            lines += ["Architecture = x86_64", "SigLevel = Never", "LocalFileSigLevel = Never"]
            (place / "conf").write_text("\n".join(["[options]", *lines, ""]))
            (place / FILE).write_bytes(data)
            environment = {**os.environ, "LC_ALL": "C.UTF-8"}
            if pacman.endswith("/pacman"):
                environment["LD_LIBRARY_PATH"] = f"{os.environ['FLOCON_PACMAN_7']}/lib"
            for words in (["-U", "--noscriptlet", str(place / FILE)], ["-Qlq", "foo"]):
                done = subprocess.run(
                    [pacman, "--config", str(place / "conf"), "--noconfirm", *words],
                    env=environment, check=True, capture_output=True, text=True,
                )  # fmt: skip
            listed = sorted(
                line.removeprefix(f"{place}/root/") for line in done.stdout.splitlines()
            )
            return listed, {path: looked_at(place / "root" / path) for path in listed}


def looked_at(path: Path) -> tuple[int, int, str, bytes, bytes]:
    found = path.lstat()
    try:
        capabilities = os.getxattr(path, _CAPABILITY, follow_symlinks=False)
    except OSError:
        capabilities = b""
    return (
        stat.S_IFLNK if path.is_symlink() else found.st_mode,
        found.st_uid,
        str(path.readlink()) if path.is_symlink() else "",
        path.read_bytes() if stat.S_ISREG(found.st_mode) else b"",
        capabilities,
    )


def expected(package: Package) -> object:
    """Return the same of a package as it was read."""
    members = {one.path: one for one in package.members}
    looks = {}
    for path, one in members.items():
        at = one if one.is_link or not one.target else members[one.target]
        shown = f"{path}/" if one.is_folder else path
        looks[shown] = (
            stat.S_IFLNK if one.is_link else at.mode,
            at.user,
            one.target if one.is_link else "",
            b"1" if at.size else b"",
            at.capabilities,
        )
    return sorted(looks), looks

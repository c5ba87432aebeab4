"""What is read of a package is what would lie on a disk: libarchive's own program tells."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import PackageError
from flocon.repository.package import DESCRIBING, Package
from flocon.repository.reading import read_package
from tests.needs import leave_out
from tests.repository.packages import COMPRESS, File, info, opened, tar

_PATHS = st.sampled_from(
    "usr usr/ usr/a usr/a/ usr/a/b usr/b usr/../x /usr/a ./usr/c usr//d usr/é etc/passwd . .. x .x"
    f" .PKGINFO .INSTALL usr/{'l' * 90}".split()
)
_KINDS = st.sampled_from(
    (
        tarfile.REGTYPE,
        tarfile.AREGTYPE,
        tarfile.DIRTYPE,
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CONTTYPE,
        tarfile.FIFOTYPE,
    )
)
_TARGETS = st.sampled_from(["usr/a", "a", "/etc", "../..", "usr", ".PKGINFO", ""])
_EXTENSIONS = st.sampled_from(
    [
        (),
        (("path", "usr/other"),),
        (("path", "../other"),),
        (("linkpath", "/etc/passwd"),),
        (("size", "1"),),
        (("uid", "7"),),
        (("GNU.sparse.name", "usr/sparse"), ("GNU.sparse.realsize", "9")),
        (("GNU.sparse.map", "0,1"), ("GNU.sparse.size", "5"), ("GNU.sparse.numblocks", "1")),
        (("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "9")),
        (("SUN.holesdata", " 0 2"),),
        (("SCHILY.xattr.user.x", "y"),),
        (("hdrcharset", "BINARY"),),
        (("comment", "x"),),
    ]
)
_FILES = st.lists(
    st.builds(
        File,
        path=_PATHS,
        data=st.sampled_from([b"", b"1", b"x" * 600]),
        mode=st.sampled_from([0o644, 0o755, 0o600]),
        kind=_KINDS,
        target=_TARGETS,
        extensions=_EXTENSIONS,
    ),
    max_size=5,
)


def listed(package: Package) -> dict[str, tuple[int, str]]:
    """Return the kind of each member, and where it leads if it is a link."""
    return {
        member.path: (stat.S_IFMT(member.mode), member.target if member.is_link else "")
        for member in package.members
    }


def found_below(folder: Path) -> dict[str, tuple[int, str]]:
    found = {}
    for path in folder.rglob("*"):
        kind = stat.S_IFMT(path.lstat().st_mode)
        target = str(path.readlink()) if path.is_symlink() else ""
        found[str(path.relative_to(folder))] = kind, target
    return {path: one for path, one in found.items() if path not in DESCRIBING}


class AsExtracted(SynchronousTestCase):
    def setUp(self) -> None:
        leave_out("" if shutil.which("bsdtar") else "there is no bsdtar")

    @settings(max_examples=100)
    @given(
        _FILES,
        st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT]),
        st.sampled_from(["zst", "gz", "tar"]),
        st.booleans(),
    )
    def test_the_same_files(
        self, files: list[File], layout: int, compression: str, two_archives: bool
    ) -> None:
        data = tar([File(".PKGINFO", info()), *files], layout)
        if two_archives:
            data += tar([File("usr/behind", b"1")], layout)
        suffix = "" if compression == "tar" else f".{compression}"
        descriptor = opened(COMPRESS[compression](data))
        self.addCleanup(os.close, descriptor)
        try:
            package = read_package(descriptor, f"foo-1.0-1-x86_64.pkg.tar{suffix}")
        except PackageError:
            return
        folder = Path(self.mktemp())
        folder.mkdir()
        self.addCleanup(shutil.rmtree, folder)
        os.lseek(descriptor, 0, os.SEEK_SET)
        subprocess.run(
            ["bsdtar", "-x", "-f", "-", "-C", str(folder)],
            stdin=descriptor,
            check=True,
            capture_output=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
        wanted = listed(package)
        # Folders come with what lies in them.
        for path in list(wanted):
            for above in list(Path(path).parents)[:-1]:
                wanted.setdefault(str(above), (stat.S_IFDIR, ""))
        self.assertEqual(found_below(folder), wanted)

"""Our databases and repo-add's give pacman the same, entry by entry and as told.

Forty packages; FLOCON_TESTS=all has three hundred, of which repo-add takes half a minute.
"""

from __future__ import annotations

import gzip
import io
import os
import random
import re
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.repository.entries import Listed, list_package
from flocon.repository.reading import read_package
from flocon.repository.writing import write_database, write_files
from tests.lan.on_request import ALL
from tests.needs import leave_out
from tests.repository.packages import COMPRESS, SIGNATURE, File, archive, folder, info, link, tar
from tests.wanted.real_pacman import pacmans

PACKAGES = 300 if ALL else 40
KINDS = ("db", "files")
#: repo-adds that run at the same time.
PARTS = 4
TOOLS = ("repo-add", "bsdtar", "pacman")
#: repo-add of pacman 6.0 tells it as well; nobody reads it.
_MD5 = re.compile(rb"%MD5SUM%\n[0-9a-f]+\n\n")
_TEXTS = (
    "plain",
    "two  blanks and a\ttab",
    "quotes \" and '",
    "$HOME `id` $(id) \\n \\\\ %NAME% *",
    "Ünïcödé ж 漢字",
    "a = b, c=d # no remark",
    "-n",
    "x" * 300,
)
_RELATIONS = ("a", "b>=1.0", "c=1:2-1", "libfoo.so=1-64", "d<2", "gtk++", "e: for this = that")
_PATHS = (
    "a",
    "B",
    "_",
    "b c",
    "ü",
    "system-x\\x2dy.slice",
    "[x]",
    "a.b",
    "a-b",
    "$x",
    "漢字",
    ".hidden",
)


def recipe(dice: random.Random, number: int) -> tuple[str, bytes]:
    """Return a package's file name and bytes, with all that a .PKGINFO can say."""
    name = (
        f"{dice.choice(['lib', 'python-', 'p', '_', 'gtk++'])}{number:03}{dice.choice(['', '-x'])}"
    )
    version = dice.choice(["1.0-1", "2:1.0.r5.g1234567-1", "1_2+3~a-1.1", "20260101-10"])
    architecture = dice.choice(["x86_64", "any"])

    def some(values: tuple[str, ...]) -> list[str]:
        return dice.sample(values, dice.randint(0, len(values)))

    said = info(
        name,
        version,
        pkgbase=dice.choice(["", name, "base"]),
        pkgdesc=dice.choice(["", *_TEXTS]),
        arch=architecture,
        url=dice.choice(["", "https://example.invalid/?a=b&c=%20d"]),
        size=str(dice.randint(0, 1 << 40)),
        packager=dice.choice(["", "Söme Bödy <a@b.example>"]),
        license=some(("MIT", "GPL-2.0-or-later WITH x", "custom:a b")),
        group=some(("g1", "g 2")),
        **{key: some(_RELATIONS) for key in ("depend", "optdepend", "provides", "conflict")},
        **{key: some(_RELATIONS) for key in ("replaces", "makedepend", "checkdepend")},
        backup=some(("etc/a", "etc/b")),
    )
    files = [folder("usr"), folder(f"usr/{name}")]
    files += [File(f"usr/{name}/{path}", b"x") for path in some(_PATHS)]
    files += [link(f"usr/{name}/link", "a"), folder("etc"), folder("etc/")][: dice.randint(0, 2)]
    compression = dice.choice(list(COMPRESS)[:3])
    data = archive(File(".BUILDINFO", b"format = 2\n"), *files, said=said, compression=compression)
    return f"{name}-{version}-{architecture}.pkg.tar.{compression}", data


def members(data: bytes) -> Mapping[str, bytes]:
    """Return the files of a database by their names."""
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as opened:
        return {
            member.name: file.read()
            for member in opened
            if (file := opened.extractfile(member)) is not None
        }


def without_md5(told: str) -> list[str]:
    """Return the lines of what pacman tells, without what only pacman 6's databases have."""
    lines = [line for line in told.splitlines() if not line.startswith("MD5 Sum")]
    return [line.replace(": MD5 Sum  ", ": ") for line in lines]


class AsRepoAdd(SynchronousTestCase):
    def setUp(self) -> None:
        missing = [tool for tool in TOOLS if shutil.which(tool) is None]
        leave_out(f"there is no {', '.join(missing)}" if missing else "")
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        dice = random.Random(15)
        self.files = dict(recipe(dice, number) for number in range(PACKAGES))
        for name, data in self.files.items():
            (self.folder / name).write_bytes(data)
            (self.folder / f"{name}.sig").write_bytes(SIGNATURE + name.encode())

    def list_one(self, name: str) -> Listed:
        with (self.folder / name).open("rb") as file:
            package = read_package(file.fileno(), name)
        return list_package(package, SIGNATURE + name.encode())

    def listed(self) -> list[Listed]:
        with ThreadPoolExecutor(PARTS) as pool:
            return list(pool.map(self.list_one, self.files))

    def have_repo_add(self, part: int) -> dict[str, bytes]:
        """Return the databases that repo-add makes of each PARTS-th package, from a number on."""
        name, several = f"part{part}", list(self.files)[part::PARTS]
        subprocess.run(
            ["repo-add", "--quiet", "--nocolor", f"{name}.db.tar.gz", *several],
            cwd=self.folder,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            check=True,
            capture_output=True,
        )
        return {kind: (self.folder / f"{name}.{kind}").read_bytes() for kind in KINDS}

    def entries_of_repo_add(self) -> dict[str, dict[str, bytes]]:
        """Return what is in both databases; it takes its time, and several at once less of it."""
        with ThreadPoolExecutor(PARTS) as pool:
            parts = list(pool.map(self.have_repo_add, range(PARTS)))
        return {
            kind: {path: data for part in parts for path, data in members(part[kind]).items()}
            for kind in KINDS
        }

    def told(self, pacman: str, databases: Mapping[str, bytes], option: str) -> str:
        """Return what a pacman tells of our or repo-add's databases."""
        folder = Path(self.mktemp()).absolute()
        for name in ("db/sync", "db/local", "root"):
            (folder / name).mkdir(parents=True)
        (folder / "db/local/ALPM_DB_VERSION").write_text("9\n")
        for kind, data in databases.items():
            (folder / f"db/sync/home.{kind}").write_bytes(data)
        configuration = folder / "pacman.conf"
        lines = [
            "[options]",
            "Architecture = x86_64",
            "SigLevel = Never",
            f"RootDir = {folder}/root",
        ]
        lines += [f"DBPath = {folder}/db", "LogFile = /dev/null", "[home]", "Server = file:///x"]
        configuration.write_text("\n".join([*lines, ""]))
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        if pacman.endswith("/pacman"):
            environment["LD_LIBRARY_PATH"] = f"{os.environ['FLOCON_PACMAN_7']}/lib"
        done = subprocess.run(
            [pacman, "--config", str(configuration), "--color", "never", option],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_entry_by_entry_and_as_pacman_tells(self) -> None:
        listed = self.listed()
        ours = {"db": write_database(listed), "files": write_files(listed)}
        theirs = self.entries_of_repo_add()
        for kind in KINDS:
            found = members(ours[kind])
            self.assertEqual(found.keys(), theirs[kind].keys())
            self.assertEqual(len(found), PACKAGES * (2 if kind == "files" else 1))
            for path, data in theirs[kind].items():
                self.assertEqual(found[path].decode(), _MD5.sub(b"", data).decode(), path)
        packed = {
            kind: gzip.compress(tar(File(path, data) for path, data in entries.items()))
            for kind, entries in theirs.items()
        }
        for pacman in pacmans():
            for option in ("-Sl", "-Si", "-Fl"):
                told, wanted = (self.told(pacman, one, option) for one in (ours, packed))
                self.assertEqual(without_md5(told), without_md5(wanted))
                self.assertGreaterEqual(told.count("\n"), PACKAGES)

    def test_a_database_without_packages_is_one(self) -> None:
        ours = {"db": write_database([]), "files": write_files([])}
        for pacman in pacmans():
            for option in ("-Sl", "-Fl"):
                self.assertEqual(self.told(pacman, ours, option), "")

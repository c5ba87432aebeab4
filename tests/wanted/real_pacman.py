"""Real pacmans with random databases and random packages installed, to compare with.

pacman 6 is the machine's own, pacman 7 is taken where ``FLOCON_PACMAN_7`` names it.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from tests.needs import leave_out

ARCHITECTURE = "x86_64"
REPOSITORIES = ("core", "extra")
NAMES = tuple("abcdefgh")
GROUPS = ("group", "virtual")
#: What stands in a package for the fields of a ``desc``: newer pacmans compare the two.
PACKAGE_WORDS = {
    "DEPENDS": "depend",
    "PROVIDES": "provides",
    "CONFLICTS": "conflict",
    "REPLACES": "replaces",
    "GROUPS": "group",
}


@dataclass(frozen=True)
class Made:
    """A package with its relations, by the fields of a ``desc``."""

    name: str
    version: str
    relations: Mapping[str, Sequence[str]]
    architecture: str = ARCHITECTURE

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.version}-{self.architecture}.pkg.tar"

    def file(self) -> bytes:
        """Return the package itself, which has no file in it."""
        lines = [
            f"pkgname = {self.name}",
            f"pkgver = {self.version}",
            f"arch = {self.architecture}",
        ]
        for field, word in PACKAGE_WORDS.items():
            lines += [f"{word} = {one}" for one in self.relations.get(field, ())]
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            _add(tar, ".PKGINFO", "\n".join([*lines, "size = 10", ""]).encode())
        return packed.getvalue()

    def desc(self) -> bytes:
        file = self.file()
        fields = {
            "FILENAME": [self.file_name],
            "CSIZE": [str(len(file))],
            "ISIZE": ["10"],
            "SHA256SUM": [hashlib.sha256(file).hexdigest()],
        }
        return self._written(fields)

    def installed(self) -> bytes:
        return self._written({"SIZE": ["10"]})

    def _written(self, fields: Mapping[str, Sequence[str]]) -> bytes:
        every = {
            "NAME": [self.name],
            "VERSION": [self.version],
            "ARCH": [self.architecture],
            **fields,
            **self.relations,
        }
        blocks = (f"%{key}%\n" + "\n".join(lines) + "\n" for key, lines in every.items() if lines)
        return "\n".join(blocks).encode() + b"\n"


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


_tests = st.sampled_from(["", "", "", ">=1", ">1", "=2-1", "<2", "=1:1"])
_provided = st.sampled_from(["", "=1", "=2-1"])
_names = st.sampled_from([*NAMES, "virtual", "sh"])


def _some(suffixes: st.SearchStrategy[str], most: int) -> st.SearchStrategy[list[str]]:
    some = st.lists(st.builds(str.__add__, _names, suffixes), max_size=most, unique=True)
    return st.one_of(st.just([]), some)


relations = st.fixed_dictionaries(
    {
        "DEPENDS": _some(_tests, 2),
        "PROVIDES": _some(_provided, 2),
        "CONFLICTS": _some(_tests, 1),
        "REPLACES": _some(_tests, 1),
        "GROUPS": st.lists(st.sampled_from(GROUPS), max_size=1),
    }
)


def packages(
    least: int, versions: Sequence[str], architectures: Sequence[str] = (ARCHITECTURE,)
) -> st.SearchStrategy[list[Made]]:
    """Return a strategy for packages, each of its own name, in order."""
    one = st.builds(
        Made,
        st.sampled_from(NAMES),
        st.sampled_from(versions),
        relations,
        st.sampled_from(architectures),
    )
    several = st.lists(one, min_size=least, max_size=7, unique_by=lambda made: made.name)
    return several.map(lambda made: sorted(made, key=lambda each: each.name))


#: What a repository has, and what is installed: older, the same, and newer.
repositories = packages(3, ["1-1", "2-1", "1:1-1"], [*[ARCHITECTURE] * 20, "any", "arm"])
installed = packages(1, ["0-1", "1-1", "1.5-1", "3-1"])
ignored = st.lists(st.sampled_from([*NAMES, "[ab]"]), max_size=2, unique=True)
ignored_groups = st.sampled_from([[], [], [], [], ["g*"]])


class Pacman:
    """pacman with folders of its own below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.database_path = self.folder / "db"
        self.mirror = self.folder / "mirror"
        for name in ("db/sync", "db/local", "root", "cache", "hooks"):
            (self.folder / name).mkdir(parents=True)
        (self.database_path / "local/ALPM_DB_VERSION").write_text("9\n")
        self.configuration = self.folder / "pacman.conf"

    def write_database(self, repository: str, several: Collection[Made]) -> Path:
        """Write a database where pacman has it; return where."""
        path = self.database_path / "sync" / f"{repository}.db"
        with tarfile.open(path, "w") as tar:
            for made in several:
                _add(tar, f"{made.name}-{made.version}/desc", made.desc())
        return path

    def install(self, several: Collection[Made]) -> None:
        """Have packages installed, without pacman."""
        for made in several:
            at = self.database_path / "local" / f"{made.name}-{made.version}"
            at.mkdir()
            (at / "desc").write_bytes(made.installed())
            (at / "files").write_text("%FILES%\n")

    def configure(self, names: Collection[str] = (), groups: Collection[str] = ()) -> None:
        """Write pacman.conf, with what is ignored."""
        lines = ["[options]", f"Architecture = {ARCHITECTURE}", "SigLevel = Never"]
        lines += [f"RootDir = {self.folder}/root/", f"DBPath = {self.database_path}/"]
        lines += [f"CacheDir = {self.folder}/cache/", f"HookDir = {self.folder}/hooks/"]
        lines += ["LogFile = /dev/null"]
        lines += [f"IgnorePkg = {one}" for one in names]
        lines += [f"IgnoreGroup = {one}" for one in groups]
        for repository in REPOSITORIES:
            lines += [f"[{repository}]", f"Server = file://{self.mirror}/$repo/os/$arch"]
        self.configuration.write_text("\n".join(lines) + "\n")

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        options = ["--config", str(self.configuration), "--noconfirm", "--color", "never"]
        return run([program, *options, *arguments])

    def remove(self) -> None:
        shutil.rmtree(self.folder)


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a program of pacman's."""
    environment = {**os.environ, "LC_ALL": "C"}
    if command[0].endswith("/pacman"):
        environment["LD_LIBRARY_PATH"] = f"{os.environ['FLOCON_PACMAN_7']}/lib"
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def pacmans() -> list[str]:
    """Return the pacmans that are here; without any the test is left out."""
    if shutil.which("pacman") is None:
        leave_out("there is no pacman")
    seven = Path(os.environ.get("FLOCON_PACMAN_7", ""), "bin/pacman")
    return ["pacman", *([str(seven)] if seven.is_absolute() and seven.is_file() else [])]


def would_install(output: str) -> list[str] | None:
    """Return what pacman is about to install, by name and version; None where it ends before."""
    if "there is nothing to do" in output:
        return []
    _, found, rest = output.partition("\nPackages (")
    if not found:
        return None
    words = rest.partition(")")[2].partition("\n\n")[0].split()
    going = {at - 1 for at, word in enumerate(words) if word == "[removal]"}
    return sorted(word for at, word in enumerate(words) if at not in going and word != "[removal]")

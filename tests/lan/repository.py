"""Repositories as Arch's are: packages, signatures and databases that real pacman accepts.

Everything follows from a seed, so that two runs make the same packages (a signature carries its
time and differs). With ``repo-add`` and ``gpg`` the databases are written and signed by pacman's
own tools; ``PythonDatabase`` writes the same format where those are missing. Nothing here knows
flocon, networks or namespaces.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

KIB = 1 << 10
MIB = 1 << 20
#: The day all packages of a test were built.
BUILD_DATE = 1_700_000_000
#: Seconds between two publications of a database, so that a newer one is newer for pacman too.
PUBLICATION_STEP = 60
_WORKERS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to build: ``size`` is that of the incompressible payload, in bytes.

    ``provides`` are packages that it stands for, ``files`` further files: paths and contents.
    ``depends`` are packages that it needs, ``replaces`` those whose place it takes.
    """

    name: str
    version: str
    size: int
    architecture: str = "x86_64"
    provides: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    depends: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.version}-{self.architecture}.pkg.tar.zst"


@dataclass(frozen=True, slots=True)
class Package:
    """A built package on disk, with its signature beside it where there is a key."""

    recipe: Recipe
    path: Path
    size: int
    sha256: str

    @property
    def name(self) -> str:
        return self.recipe.name

    @property
    def file_name(self) -> str:
        return self.path.name

    @property
    def signature(self) -> Path:
        return self.path.with_name(self.path.name + ".sig")


class SigningKey:
    """A fresh gpg key in a home of its own; ``close`` ends the agent that gpg started for it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        home.mkdir(mode=0o700, parents=True)
        self._gpg("--passphrase", "", "--quick-gen-key", "flocon tests", "ed25519", "sign", "never")
        listing = self._gpg("--list-keys", "--with-colons").decode()
        self.fingerprint = next(
            line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:")
        )

    def sign(self, path: Path) -> None:
        """Write a detached binary signature beside the file, as ``NAME.sig``."""
        self._gpg("--yes", "--no-armor", "--output", f"{path}.sig", "--detach-sign", str(path))

    def make_keyring(self, folder: Path) -> None:
        """Make ``folder`` a GPGDir that trusts this key, with the ``pubring.gpg`` pacman wants."""
        folder.mkdir(parents=True)
        for name in ("pubring.gpg", "secring.gpg"):
            (folder / name).touch()
        public = self._gpg("--export", self.fingerprint)
        home = ("--homedir", str(folder))
        self._gpg(*home, "--import", content=public)
        self._gpg(*home, "--import-ownertrust", content=f"{self.fingerprint}:6:\n".encode())
        self._gpg(*home, "--check-trustdb")
        _end_agent(folder)
        for file in folder.iterdir():
            if file.is_file():
                file.chmod(0o644)
        folder.chmod(0o755)

    def close(self) -> None:
        command = ["gpgconf", "--homedir", str(self._home), "--kill", "gpg-agent"]
        subprocess.run(command, check=False, capture_output=True, timeout=10)

    def _gpg(self, *arguments: str, content: bytes = b"") -> bytes:
        command = [
            "gpg",
            "--homedir",
            str(self._home),
            "--batch",
            "--quiet",
            "--no-permission-warning",
        ]
        done = subprocess.run(
            [*command, *arguments], input=content, capture_output=True, timeout=60, check=False
        )
        if done.returncode:
            raise RuntimeError(f"gpg {arguments}: {done.stderr.decode(errors='replace')}")
        return done.stdout


def _end_agent(home: Path) -> None:
    command = ["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"]
    subprocess.run(command, check=False, capture_output=True, timeout=10)


def build(recipe: Recipe, folder: Path, seed: int) -> Package:
    """Write one package of pacman's format (.PKGINFO, .MTREE, a payload; zstd) into ``folder``."""
    payload = random.Random(f"{seed} {recipe.file_name}").randbytes(recipe.size)
    members = {
        ".PKGINFO": _package_info(recipe),
        f"usr/share/{recipe.name}/payload": payload,
        **{path: text.encode() for path, text in recipe.files},
    }
    members = {".MTREE": _mtree(members), **members}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in members.items():
            _add(tar, name, content)
    content = zstd.compress(archive.getbuffer(), 1)
    path = folder / recipe.file_name
    partial = path.with_name("." + path.name)
    partial.write_bytes(content)
    partial.rename(path)
    return Package(recipe, path, len(content), hashlib.sha256(content).hexdigest())


def _package_info(recipe: Recipe) -> bytes:
    fields = {
        "pkgname": recipe.name,
        "pkgbase": recipe.name,
        "pkgver": recipe.version,
        "pkgdesc": f"{recipe.name} for flocon's tests",
        "url": "https://example.invalid/",
        "builddate": BUILD_DATE,
        "packager": "flocon tests",
        "size": recipe.size,
        "arch": recipe.architecture,
        "license": "custom",
    }
    pairs = [*fields.items(), *(("provides", name) for name in recipe.provides)]
    pairs += [("depend", name) for name in recipe.depends]
    for name in recipe.replaces:
        pairs += [("replaces", name), ("conflict", name)]
    return "".join(f"{key} = {value}\n" for key, value in pairs).encode()


def _mtree(members: dict[str, bytes]) -> bytes:
    lines = ["#mtree", "/set type=file uid=0 gid=0 mode=644"]
    for name, content in members.items():
        md5, sha256 = (hashlib.new(kind, content).hexdigest() for kind in ("md5", "sha256"))
        digests = f"md5digest={md5} sha256digest={sha256}"
        lines.append(f"./{name} time={BUILD_DATE}.0 size={len(content)} {digests}")
    return gzip.compress("\n".join([*lines, ""]).encode(), 1, mtime=0)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mtime = BUILD_DATE
    tar.addfile(entry, io.BytesIO(content))


class DatabaseWriter(Protocol):
    """Brings ``REPO.db`` and ``REPO.files`` in a folder up to date with packages lying there."""

    def add(self, folder: Path, repository: str, packages: Sequence[Package]) -> None:
        """Add these packages to what the databases already list."""


class RepoAdd:
    """pacman's own ``repo-add``; it embeds ``%PGPSIG%`` for every package with a ``.sig``."""

    def add(self, folder: Path, repository: str, packages: Sequence[Package]) -> None:
        command = ["repo-add", "--quiet", "--nocolor", f"{repository}.db.tar.gz"]
        done = subprocess.run(
            [*command, *(package.file_name for package in packages)],
            cwd=folder,
            # Where TMPDIR names nothing, repo-add goes on and writes to the root folder.
            env={**os.environ, "LC_ALL": "C", "TMPDIR": tempfile.gettempdir()},
            capture_output=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"repo-add: {done.stderr.decode(errors='replace')}")
        for old in folder.glob("*.old"):
            old.unlink()


class PythonDatabase:
    """What ``repo-add`` writes, written without it."""

    def add(self, folder: Path, repository: str, packages: Sequence[Package]) -> None:
        added = {package.name for package in packages}
        for kind in ("db", "files"):
            path = folder / f"{repository}.{kind}.tar.gz"
            kept = {
                name: content
                for name, content in (_read_database(path) if path.exists() else {}).items()
                if name.split("/")[0].rsplit("-", 2)[0] not in added
            }
            for package in packages:
                entry = f"{package.name}-{package.recipe.version}"
                kept[f"{entry}/desc"] = _description(package)
                if kind == "files":
                    kept[f"{entry}/files"] = _file_list(package)
            _write_database(path, kept)
            _link(folder / f"{repository}.{kind}", path.name)


def _description(package: Package) -> bytes:
    recipe = package.recipe
    signature = package.signature.read_bytes() if package.signature.exists() else b""
    fields = {
        "FILENAME": package.file_name,
        "NAME": package.name,
        "BASE": package.name,
        "VERSION": recipe.version,
        "DESC": f"{package.name} for flocon's tests",
        "CSIZE": package.size,
        "ISIZE": recipe.size,
        "SHA256SUM": package.sha256,
        "PGPSIG": base64.b64encode(signature).decode(),
        "URL": "https://example.invalid/",
        "LICENSE": "custom",
        "ARCH": recipe.architecture,
        "BUILDDATE": BUILD_DATE,
        "PACKAGER": "flocon tests",
    }
    return "".join(f"%{key}%\n{value}\n\n" for key, value in fields.items() if value).encode()


def _file_list(package: Package) -> bytes:
    folders = ["usr/", "usr/share/", f"usr/share/{package.name}/"]
    return "\n".join(["%FILES%", *folders, f"{folders[-1]}payload", ""]).encode()


def _read_database(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {
            member.name: content.read()
            for member in tar
            if member.isfile() and (content := tar.extractfile(member))
        }


def _write_database(path: Path, members: dict[str, bytes]) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for folder in sorted({name.split("/")[0] for name in members}):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, BUILD_DATE
            tar.addfile(entry)
            for name in sorted(members):
                if name.startswith(folder + "/"):
                    _add(tar, name, members[name])
    partial = path.with_name("." + path.name)
    partial.write_bytes(gzip.compress(archive.getvalue(), 6, mtime=0))
    partial.rename(path)


def _link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def strip_signatures(path: Path) -> None:
    """Take every ``%PGPSIG%`` out of a database, as repositories have it that do not embed them."""
    members = _read_database(path)
    for name, content in members.items():
        if name.endswith("/desc"):
            blocks = content.split(b"\n\n")
            kept = [block for block in blocks if not block.startswith(b"%PGPSIG%")]
            members[name] = b"\n\n".join(kept)
    _write_database(path, members)


class Repository:
    """One repository of a mirror whose document root is ``mirror``, at ``NAME/os/x86_64``.

    ``key`` None makes unsigned packages. ``embed`` says whether databases carry ``%PGPSIG%``.
    """

    def __init__(
        self,
        mirror: Path,
        name: str,
        *,
        key: SigningKey | None = None,
        writer: DatabaseWriter | None = None,
        embed: bool = True,
        seed: int = 1,
    ) -> None:
        self.name = name
        self.folder = mirror / name / "os" / "x86_64"
        self.folder.mkdir(parents=True)
        self.packages: dict[str, Package] = {}
        self._key = key
        self._writer = writer or RepoAdd()
        self._embed = embed
        self._seed = seed
        # Yesterday: a mirror's database is older than the moment someone fetches it.
        self._published = int(time.time()) - 86_400

    @property
    def database(self) -> Path:
        return self.folder / f"{self.name}.db"

    @property
    def files_database(self) -> Path:
        return self.folder / f"{self.name}.files"

    def add(self, recipes: Iterable[Recipe]) -> list[Package]:
        """Build, sign and publish these; an older package of the same name leaves the mirror."""
        with ThreadPoolExecutor(_WORKERS) as pool:
            built = list(pool.map(self._build, recipes))
        for package in built:
            old = self.packages.get(package.name)
            if old and old.path != package.path:
                old.path.unlink(missing_ok=True)
                old.signature.unlink(missing_ok=True)
            self.packages[package.name] = package
        self._publish(built)
        return built

    def bump(self, names: Iterable[str]) -> list[Package]:
        """Publish the next release of these packages, with other contents."""
        return self.add([_next_release(self.packages[name].recipe) for name in names])

    def _build(self, recipe: Recipe) -> Package:
        package = build(recipe, self.folder, self._seed)
        if self._key:
            self._key.sign(package.path)
        return package

    def _publish(self, added: Sequence[Package]) -> None:
        self._writer.add(self.folder, self.name, added)
        self._published += PUBLICATION_STEP
        for kind in ("db", "files"):
            path = self.folder / f"{self.name}.{kind}.tar.gz"
            if not self._embed:
                strip_signatures(path)
            os.utime(path, (self._published, self._published))


def install(local: Path, recipes: Iterable[Recipe]) -> None:
    """Have pacman believe, by its ``DBPath/local``, that these are installed and nothing else."""
    shutil.rmtree(local)
    local.mkdir()
    (local / "ALPM_DB_VERSION").write_text("9\n")
    for recipe in recipes:
        folder = local / f"{recipe.name}-{recipe.version}"
        folder.mkdir()
        fields = {"NAME": recipe.name, "VERSION": recipe.version, "ARCH": recipe.architecture}
        text = "".join(f"%{key}%\n{value}\n\n" for key, value in fields.items())
        (folder / "desc").write_text(text)
        (folder / "files").write_text("%FILES%\n")


def _next_release(recipe: Recipe) -> Recipe:
    version, _, release = recipe.version.rpartition("-")
    return replace(recipe, version=f"{version}-{int(release) + 1}")


#: Names and versions with what file names may carry: epochs, ``+``, ``.``, ``_`` and ``@``.
_ODD = (
    ("libsigc++", "2:3.6.0-1"),
    ("gtk++", "1:0.99+r12+gabc-3"),
    ("ca-certificates@mozilla", "3.99_1-2"),
    ("python-zope.interface", "8.0-1"),
    ("texlive_extra", "1:2024.2-1"),
)


def recipes(
    count: int, *, seed: int = 1, large: Sequence[int] = (), prefix: str = ""
) -> list[Recipe]:
    """Return ``count`` recipes of lognormal size (median 250 KB, at least 4 KB) and ``large`` ones.

    ``large`` are sizes in bytes that the last recipes get instead. ``prefix`` keeps the names of
    several repositories apart.
    """
    dice = random.Random(seed)
    sizes = [
        min(max(int(dice.lognormvariate(0, 1.4) * 250_000), 4 * KIB), 4 * MIB) for _ in range(count)
    ]
    if count:
        sizes[0] = 4 * KIB
    sizes[count - len(large) :] = large
    result = []
    for number, size in enumerate(sizes):
        name, version = f"package{number:02}", f"{dice.randrange(1, 9)}.{dice.randrange(99)}-1"
        if number < len(_ODD):
            name, version = _ODD[number]
        architecture = "any" if number % 7 == 6 else "x86_64"
        result.append(Recipe(prefix + name, version, size, architecture))
    return result


def tools_missing() -> list[str]:
    """Return which of the programs are missing that a signed repository is made with."""
    return [tool for tool in ("repo-add", "gpg", "gpgconf", "bsdtar") if not shutil.which(tool)]

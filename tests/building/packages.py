"""Packages and a repository for jobs to install from, made by hand: nobody builds them."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def make_package(
    folder: Path,
    name: str,
    files: Mapping[str, str],
    *,
    install: str = "",
    depends: Sequence[str] = (),
    instead_of: str = "",
) -> Path:
    """Write a package with ``files`` (paths and texts, all programs) into ``folder``.

    It provides what it is ``instead_of``, and cannot be installed together with it.
    """
    info = f"pkgname = {name}\npkgbase = {name}\npkgver = 1-1\narch = any\nsize = 1\n"
    info += "builddate = 1700000000\n" + "".join(f"depend = {one}\n" for one in depends)
    if instead_of:
        info += f"provides = {instead_of}\nconflict = {instead_of}\n"
    path = folder / f"{name}-1-1-any.pkg.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for place, text in {".PKGINFO": info, ".INSTALL": install, **files}.items():
            if place == ".INSTALL" and not text:
                continue
            member = tarfile.TarInfo(place)
            member.size, member.mode = len(text.encode()), 0o755
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


def make_repository(folder: Path, packages: Sequence[Path]) -> Path:
    """Make a repository of ``packages``, which lie in ``folder``; return a pacman.conf of it."""
    words = ["repo-add", "-q", str(folder / "some.db.tar.gz"), *map(str, packages)]
    subprocess.run(words, check=True, capture_output=True)
    places = {name: folder / name for name in ("db", "cache", "gnupg")}
    for place in places.values():
        place.mkdir()
    configuration = folder / "pacman.conf"
    configuration.write_text(
        "[options]\nArchitecture = auto\nSigLevel = Never\n"
        f"DBPath = {places['db']}\nCacheDir = {places['cache']}\nGPGDir = {places['gnupg']}\n"
        f"[some]\nServer = file://{folder}\n"
    )
    words = ["pacman", "--config", str(configuration), "-Sy"]
    subprocess.run(words, check=True, capture_output=True)
    return configuration

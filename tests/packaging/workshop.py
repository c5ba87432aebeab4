"""What the tests of the packaging share: the tools they need, and the package built once for all.

makepkg refuses root, so it runs as nobody on a copy of the checkout. Arch's dependencies are not
looked at: a test's machine may be no Arch machine.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.needs import leave_out

PROJECT = Path(__file__).resolve().parents[2]
PACKAGING = PROJECT / "packaging"
#: "nobody" on every distribution.
NOBODY = 65534
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
#: Where wheels lie on a machine whose python is this one.
SITE = f"usr/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
#: What git does not have, and what is git's own.
_LEFT_OUT = (
    *(".git", ".venv", "__pycache__", "*.egg-info", "build", "dist", "dropin.cache"),
    *(".hypothesis", "_trial_temp*", ".*_cache", "src", "pkg", "*.pkg.tar*"),
)
#: Arch's names of what it depends on are not this machine's, and the tests are run elsewhere.
_HURRY = "--nodeps --nocheck --noconfirm --nocolor"


def need(*tools: str, modules: tuple[str, ...] = (), root: bool = False) -> None:
    """Skip where something is missing; in CI, where nothing may be, fail."""
    missing = [tool for tool in tools if not shutil.which(tool, path=PATH)]
    missing += [f"python's {name}" for name in modules if not importlib.util.find_spec(name)]
    if root and os.geteuid():
        missing.append("root")
    leave_out(f"missing: {', '.join(missing)}" if missing else "")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, its errors among its output."""
    return subprocess.run(
        arguments,
        env={**os.environ, "PATH": PATH, "LC_ALL": "C", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


def succeed(*arguments: str, **environment: str) -> str:
    """Run a program; return its output, or raise AssertionError with it."""
    done = run(*arguments, **environment)
    if done.returncode:
        raise AssertionError(f"{' '.join(arguments)}: {done.returncode}\n{done.stdout}")
    return done.stdout


def folder() -> Path:
    """Make a folder that everyone may enter and that is gone at the end."""
    path = Path(tempfile.mkdtemp(prefix="flocon-packaging-"))
    path.chmod(0o755)
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def need_package() -> None:
    """Skip or fail where the package cannot be built and installed."""
    need("makepkg", "pacman", "fakeroot", "bsdtar", "zstd", "setpriv", root=True)
    need(modules=("build", "docutils", "installer", "setuptools", "wheel"))


@dataclass(frozen=True, slots=True)
class Built:
    """What README's own line came to: the clone with the package in it, and what was new there.

    ``installed`` is what makepkg would have root do.
    """

    line: str
    clone: Path
    new: frozenset[str]
    installed: str


def copy_checkout(to: Path) -> None:
    """Copy what git has of this checkout, and nothing that was made here since."""
    left_out = shutil.ignore_patterns(*_LEFT_OUT)
    shutil.copytree(PROJECT, to, ignore=left_out, symlinks=True)


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@functools.cache
def built() -> Built:
    """Build the package in a copy of this checkout, by README's own line, as an ordinary user."""
    top = folder()
    # A blank in its path is no reason to fail.
    clone, home = top / "a clone", top / "home"
    home.mkdir()
    copy_checkout(clone)
    before = files_of(clone)
    installed = build(clone, home)
    return Built(readmes_line(_HURRY), clone, frozenset(files_of(clone) - before), installed)


def build(clone: Path, home: Path) -> str:
    """Build by README's own line; return what it would have root do."""
    tools = folder()
    # The python of the tests has what the build needs, whatever it is called. Only root installs.
    scripts = {"python": f'exec "{sys.executable}" "$@"', "sudo": f'echo "$@" >>"{home}/sudo"'}
    for name, script in scripts.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    succeed(
        *as_nobody(clone, home),
        *("env", "--unset=BUILDDIR", "--unset=PKGDEST", "sh", "-c", readmes_line(_HURRY)),
        HOME=str(home),
        PATH=f"{tools}:{PATH}",
        PKGEXT=".pkg.tar.zst",
        PACKAGER="flocon's tests <nobody@localhost>",
    )
    return (home / "sudo").read_text()


def readmes_line(more: str) -> str:
    """Return the line by which README has the package built, with more options to makepkg."""
    line = "cd packaging && makepkg -sif"
    if f"{line}\n" not in (PROJECT / "README.rst").read_text():
        raise AssertionError(f"README does not say {line!r} any more")
    return f"{line} {more}"


def as_nobody(clone: Path, *more: Path) -> list[str]:
    """Return what runs a program in ``clone`` as an ordinary user, to whom these folders belong."""
    user = ["env", f"--chdir={clone}"]
    if os.geteuid():
        return user
    for path in (clone, *more):
        succeed("chown", "--recursive", f"{NOBODY}:{NOBODY}", str(path))
    # Reading is allowed everywhere: a checkout or its python may lie in root's home.
    allowed = "+dac_read_search"
    return [
        *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
        *(f"--inh-caps={allowed}", f"--ambient-caps={allowed}", *user),
    ]


def package() -> Path:
    """Return the package's file."""
    (file,) = built_from().glob("packaging/*.pkg.tar.zst")
    return file


def built_from() -> Path:
    """Return the copy of the checkout that the package was built from."""
    return built().clone


def pacman(root: Path, *arguments: str) -> str:
    """Run pacman on ``root``; nothing of this machine's pacman is read or written."""
    state = root / "var/lib/pacman"
    state.mkdir(parents=True, exist_ok=True)
    settings = root / "var/lib/pacman.conf"
    settings.write_text(
        "[options]\nArchitecture = auto\nSigLevel = Never\nLocalFileSigLevel = Never\n"
    )
    return succeed(
        *("pacman", "--root", str(root), "--dbpath", str(state), "--config", str(settings)),
        *("--cachedir", str(root / "var/cache/pacman/pkg"), "--hookdir", str(root / "etc/hooks")),
        *("--gpgdir", str(state), "--logfile", str(root / "var/log/pacman.log"), "--noconfirm"),
        *arguments,
    )

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
from pathlib import Path

from tests.needs import leave_out

PROJECT = Path(__file__).resolve().parents[2]
PACKAGING = PROJECT / "packaging"
#: "nobody" on every distribution.
NOBODY = 65534
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
#: Where wheels lie on a machine whose python is this one.
SITE = f"usr/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
_BUILT = ("LICENSE", "README.rst", "NEWS.rst", "pyproject.toml", "setup.cfg")
_FOLDERS = ("docs", "flocon", "packaging", "tests", "twisted")


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


@functools.cache
def package() -> Path:
    """Build the package from a copy of this checkout; return the file."""
    top = folder()
    clone, work, tools = top / "clone", top / "work", top / "tools"
    for path in (clone, work, tools):
        path.mkdir()
    for name in _BUILT:
        shutil.copy(PROJECT / name, clone)
    for name in _FOLDERS:
        shutil.copytree(PROJECT / name, clone / name)
    os.chown(work, NOBODY, NOBODY)
    # The python of the tests has what the build needs, whatever it is called.
    (tools / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tools / "python").chmod(0o755)
    places = {name: str(work) for name in ("HOME", "BUILDDIR", "PKGDEST", "SRCDEST", "LOGDEST")}
    # Reading is allowed everywhere: a checkout or its python may lie in root's home.
    allowed = "+dac_read_search"
    succeed(
        *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
        *(f"--inh-caps={allowed}", f"--ambient-caps={allowed}"),
        *("env", f"--chdir={clone / 'packaging'}"),
        *("makepkg", "--nodeps", "--nocheck", "--noconfirm", "--nocolor"),
        **places,
        PATH=f"{tools}:{PATH}",
        PKGEXT=".pkg.tar.zst",
        PACKAGER="flocon's tests <nobody@localhost>",
    )
    left = run("find", str(clone), "-user", str(NOBODY)).stdout
    if left:
        raise AssertionError(f"building left in the clone: {left}")
    (built,) = work.glob("*.pkg.tar.zst")
    return built


def built_from() -> Path:
    """Return the copy of the checkout that the package was built from."""
    return package().parent.parent / "clone"


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

"""The root of one job: which folders it is made of, and what is mounted where when it is entered.

``clean`` is a layer over a system of its own, ``machine`` layers over this machine's programs.
Without a right there are no layers: this machine's programs are shown as they are, and nothing can
be installed. Whatever a job writes lies in its own folder, and goes with it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flocon.errors import ToolError
from flocon.walls.public_etc import copy_public, system_accounts

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What a root has, beside what is mounted there.
_FOLDERS = (
    "boot", "build", "dev", "mnt", "proc", "root", "run", "srv", "sys", "tmp",
    "var/cache/pacman/pkg", "var/empty", "var/lib/pacman", "var/log", "var/tmp",
)  # fmt: skip
#: This machine's programs; each may be a link instead, into the first.
_PROGRAMS = ("usr", "bin", "lib", "lib32", "lib64", "libx32", "sbin", "opt")
#: A job's own folders behind the wall (``walls.BUILD``).
_BUILD = ("home", "logs", "packages", "recipe", "report", "sources", "work")
_OPEN_TO_ALL = 0o1777


@dataclass(frozen=True, slots=True)
class Layout:
    """``folder`` is the job's; ``mounts`` as ``entering`` takes them; ``kind`` says what it is."""

    kind: str
    folder: Path
    mounts: tuple[Mapping[str, str], ...]
    #: Where the accounts are found, in order.
    accounts: tuple[Path, ...]

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def build(self) -> Path:
        return self.folder / "build"

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    @property
    def given(self) -> Path:
        """What the builder hands in, and the job only reads."""
        return self.folder / "given"

    def write_accounts(self, name: str, user: int, group: int) -> None:
        """Write down who there is behind the wall: the system's own users, and who builds."""
        lines = {
            "passwd": f"{name}:x:{user}:{group}::/build/home:/bin/bash",
            "group": f"{name}:x:{group}:",
        }
        for file, own in lines.items():
            others = system_accounts(self._accounts(file))
            number = own.split(":")[2]
            kept = [
                line
                for line in others.splitlines()
                if line.split(":")[0] != name and line.split(":")[2] != number
            ]
            (self.given / file).write_text("\n".join([*kept, own, ""]), "utf-8")

    def _accounts(self, name: str) -> Path:
        """Return where a file of accounts is, made where there is none; raise ToolError.

        Scripts of packages have been there: a link that they made is not followed.
        """
        for folder in self.accounts:
            if not folder.is_symlink() and (folder / name).is_file():
                return folder / name
        first = self.accounts[0]
        path = first / name
        try:
            if not first.is_symlink():
                first.mkdir(exist_ok=True)
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
                return path
        except OSError:
            pass
        raise ToolError("the root", f"has no {name} after what was installed")


def system_layout(folder: Path, system: Path) -> Layout:
    """Return how a clean ``system`` itself is entered to be changed, seen in ``folder`` meanwhile.

    It lies where nobody but root comes: it has programs that set a user, old ones and strangers'.
    In ``folder`` pacman's own user comes to it, in the namespace of that one run.
    """
    layout = Layout("clean", folder, (_bound(system, folder / "root"),), (system / "etc",))
    for one in (folder, layout.root, layout.given):
        one.mkdir(mode=0o755, exist_ok=True)
    return layout


def programs_layout(folder: Path) -> Layout:
    """Lay out in its new ``folder`` what another system is made with: this machine's programs."""
    return machine_layout(folder, folder / "none", rights=False)


def clean_layout(folder: Path, system: Path) -> Layout:
    """Lay out a job in its new ``folder`` over the clean ``system``."""
    _make_folders(folder)
    upper, work = folder / "upper", folder / "work"
    upper.mkdir(mode=0o755)
    work.mkdir()
    # What is mounted over has to be there, whatever the system has.
    for name in _FOLDERS:
        if not (system / name).is_dir():
            (upper / name).mkdir(parents=True, exist_ok=True)
    layer = _layer(system, upper, work, folder / "root")
    return Layout("clean", folder, (layer,), (upper / "etc", system / "etc"))


def machine_layout(
    folder: Path, databases: Path, *, rights: bool, etc: Path = Path("/etc")
) -> Layout:
    """Lay out a job in its new ``folder`` over this machine's own system.

    ``databases`` is where its pacman keeps what is installed.
    """
    _make_folders(folder)
    root = folder / "root"
    for name in _FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(_OPEN_TO_ALL)
    copy_public(etc, root / "etc")
    mounts = []
    lowers = [(Path("/", name), root / name) for name in _PROGRAMS]
    for number, (lower, at) in enumerate([*lowers, (databases, root / "var/lib/pacman")]):
        if lower.is_symlink():
            at.symlink_to(lower.readlink())
        elif lower.is_dir():
            at.mkdir(exist_ok=True)
            if not rights:
                mounts.append(_bound(lower, at))
                continue
            upper, work = folder / f"upper/{number}", folder / f"work/{number}"
            upper.mkdir(parents=True, mode=0o755)
            work.mkdir(parents=True)
            mounts.append(_layer(lower, upper, work, at))
    (root / "var/lib/pacman/local").mkdir(exist_ok=True)
    return Layout("machine", folder, tuple(mounts), (root / "etc",))


def _make_folders(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    for name in ("root", "given", "tmp", "build"):
        (folder / name).mkdir(mode=0o755)
    (folder / "tmp").chmod(_OPEN_TO_ALL)
    for name in _BUILD:
        (folder / "build" / name).mkdir(mode=0o755)


def _layer(lower: Path, upper: Path, work: Path, at: Path) -> Mapping[str, str]:
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    return {"kind": "overlay", "source": "overlay", "at": str(at), "options": options}


def _bound(source: Path, at: Path) -> Mapping[str, str]:
    return {"kind": "bind", "source": str(source), "at": str(at), "options": ""}


def hand_over(folder: Path, user: int, group: int) -> None:
    """Give a folder that nobody has touched, with all in it, to who builds."""
    os.lchown(folder, user, group)
    for here, names, others in os.walk(folder):
        for name in (*names, *others):
            os.lchown(os.path.join(here, name), user, group)  # noqa: PTH118 - many, and plain

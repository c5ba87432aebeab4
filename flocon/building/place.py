"""Where jobs run, and as whom: what a builder was told at its start, and what it found."""

from __future__ import annotations

import os
import pwd
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flocon.building.roots import Roots
from flocon.errors import BuildError, ConfigurationError
from flocon.walls.groups import own_group
from flocon.walls.kernel import lacks

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

#: Who one is behind a wall that no root has built: an ordinary number, for makepkg takes no root.
_ORDINARY = 1_000
#: Signs that would end an option of a mount.
_NOT_IN_FOLDERS = ",:\\\n"


@dataclass(frozen=True, slots=True)
class Place:
    """``user`` builds, as ``number`` and ``group_number`` behind the wall.

    ``rights`` is whether this process is root; ``group`` is its own control group, None for none.
    """

    work: Path
    user: str
    number: int
    group_number: int
    rights: bool
    roots: Roots
    group: Path | None

    @property
    def jobs(self) -> Path:
        return self.work / "jobs"


def find_place(
    reactor: Any, work: Path, user: str, configuration: Path, *, without_root: bool
) -> Place:
    """Return the place for jobs, its folders made; raise ConfigurationError where there is none."""
    rights = os.geteuid() == 0
    if not rights and not without_root:
        raise ConfigurationError(
            "--without-root",
            "this is not root, so there is no user of its own for what a recipe runs, no root to"
            " install dependencies in, and no bound on all that a job takes together",
            "start flocon-build.service; or say --without-root, and trust what is built as you"
            " trust your own programs",
        )
    if any(sign in str(work) for sign in _NOT_IN_FOLDERS) or not work.is_absolute():
        raise ConfigurationError("--work", f"{work} cannot be mounted over", "name another folder")
    number, group = _numbers(user) if rights else (_ORDINARY, _ORDINARY)
    try:
        work.mkdir(mode=0o711, parents=True, exist_ok=True)
        (work / "jobs").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            "--work", f"{work} cannot be written ({error.strerror})", "name another folder"
        ) from None
    # Asked once: later this process is in a group below it.
    own = own_group()
    roots = Roots(reactor, work, configuration, rights=rights, group=own)
    return Place(work, user, number, group, rights, roots, own)


def demand_tools() -> None:
    """Raise BuildError where what walls a job in, or makes packages, is not here.

    That is so, too, where this process is not shown what is to be covered behind a wall.

    Asked for each job: who starts without it says so, and goes on once it is installed.
    """
    packages = {"bwrap": "bubblewrap", "makepkg": "pacman", "fakeroot": "base-devel"}
    if missing := [name for name in packages if shutil.which(name) is None]:
        raise BuildError(
            f"{' and '.join(missing)} cannot be found where it is to be built",
            f"sudo pacman -S --needed {' '.join(packages[name] for name in missing)}",
        )
    if unseen := lacks():
        raise BuildError(
            f"the builder is not shown /proc/{unseen[0]}, so it cannot keep what is built from it",
            "take ProcSubset= out of the drop-ins of flocon-build.service",
        )


def _numbers(user: str) -> tuple[int, int]:
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise ConfigurationError(
            "--user", f"there is no user {user}", "make one: systemd-sysusers does for flocon-build"
        ) from None
    if account.pw_uid == 0:
        raise ConfigurationError("--user", "root is no user to build as", "name another one")
    return account.pw_uid, account.pw_gid

"""What bubblewrap is told: what is seen within a wall, and who one is there. No I/O.

There are two walls. Behind that of a recipe nothing has a right, all but the job's own folders is
read only, and only the kernel's answers and a network with nobody in it are shared. Behind that of
an installation root has what pacman needs, over a root that is thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The job's own folder behind the wall: always the same, for it stands in what is built.
BUILD = "/build"
#: The descriptor by which bubblewrap is given the filter of calls.
FILTER = 5
#: Bytes that may lie in memory by the name of a file.
_SHARED_MEMORY = 256 << 20
_SMALL, _NOTHING = 16 << 20, 4_096
#: What root has behind each of the walls: to install, and to become another user.
INSTALLING = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_SETFCAP", "CAP_SETGID",
    "CAP_SETUID", "CAP_SYS_CHROOT",
)  # fmt: skip
DROPPING = ("CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/bin/core_perl"


@dataclass(frozen=True, slots=True)
class Shown:
    """A file or folder of the machine's, and where it is seen behind the wall."""

    source: str
    at: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Kernel:
    """What is covered of /proc: files nobody reads, folders in which is nothing, the rest."""

    hidden: Sequence[str] = ()
    emptied: Sequence[str] = ()
    #: What nobody writes.
    read_only: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Wall:
    """``root`` is the folder that is the root there.

    ``system`` is a root of another system there, which alone may be written then, "" for none.
    ``user`` and ``group`` are the numbers one has there. ``rights`` is whether the one who builds
    the wall is root: else it is built in a user namespace, and whoever builds it is behind it.
    """

    root: str
    user: int
    group: int
    rights: bool
    shown: Sequence[Shown] = ()
    kernel: Kernel = field(default_factory=Kernel)
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str = "/"
    filtered: bool = False
    system: str = ""


def places_of(wall: Wall) -> list[str]:
    """Return where something is put over what the root has, as paths there."""
    return ["/dev", "/proc", "/run", *(one.at for one in wall.shown)]


def behind_recipe_wall(wall: Wall, command: Sequence[str]) -> list[str]:
    """Return what is run, so that ``command`` runs as the wall's user without any right."""
    return [
        *_common(wall, root_writable=False),
        *_rights(wall),
        "--",
        *_dropped(wall),
        *command,
    ]


def behind_installation_wall(wall: Wall, command: Sequence[str]) -> list[str]:
    """Return what is run, so that ``command`` runs as root of a root that is thrown away."""
    rights = [word for one in INSTALLING for word in ("--cap-add", one)]
    words = [*_common(wall, root_writable=not wall.system), *_of_system(wall), *_filter(wall)]
    return [*words, "--cap-drop", "ALL", *rights, "--", *command]


def _common(wall: Wall, *, root_writable: bool) -> list[str]:
    words = ["bwrap", "--die-with-parent", "--new-session", "--unshare-pid"]
    words += ["--unshare-uts", "--hostname", "flocon", "--unshare-cgroup-try"]
    words.append("--clearenv")
    for name, value in {"PATH": PATH, **wall.environment}.items():
        words += ["--setenv", name, value]
    words += ["--bind" if root_writable else "--ro-bind", wall.root, "/"]
    words += ["--dev", "/dev", "--perms", "1777", "--size", str(_SHARED_MEMORY)]
    words += ["--tmpfs", "/dev/shm", "--proc", "/proc"]  # noqa: S108 - behind the wall
    words += _of_kernel(wall)
    words += ["--perms", "0755", "--size", str(_SMALL), "--tmpfs", "/run"]
    for one in wall.shown:
        words += ["--bind" if one.writable else "--ro-bind", one.source, one.at]
    # It is memory, of no size: devices are written to, and nothing is put beside them.
    words += ["--remount-ro", "/dev"]
    return [*words, "--chdir", wall.folder]


def _of_system(wall: Wall) -> list[str]:
    """Return what a system within the root has of the kernel, as the root has."""
    if not wall.system:
        return []
    words = ["--dev", f"{wall.system}/dev", "--proc", f"{wall.system}/proc"]
    words += ["--remount-ro", f"{wall.system}/dev"]
    return [*words, *_of_kernel(wall, wall.system)]


def _of_kernel(wall: Wall, system: str = "") -> list[str]:
    kernel = wall.kernel
    covered = [("/dev/null", one) for one in kernel.hidden] + [
        (one, one) for one in kernel.read_only
    ]
    words = [word for one, at in covered for word in ("--ro-bind", one, f"{system}{at}")]
    for one in kernel.emptied:
        at = f"{system}{one}"
        words += ["--size", str(_NOTHING), "--tmpfs", at, "--remount-ro", at]
    return words


def _filter(wall: Wall) -> list[str]:
    return ["--seccomp", str(FILTER)] if wall.filtered else []


def _rights(wall: Wall) -> list[str]:
    words = _filter(wall)
    if not wall.rights:
        return [*words, "--unshare-user", "--uid", str(wall.user), "--gid", str(wall.group)]
    words += ["--cap-drop", "ALL"]
    return words + [word for one in DROPPING for word in ("--cap-add", one)]


def _dropped(wall: Wall) -> list[str]:
    if not wall.rights:
        return []
    return [
        "setpriv",
        f"--reuid={wall.user}",
        f"--regid={wall.group}",
        "--clear-groups",
        "--inh-caps=-all",
        "--bounding-set=-all",
        "--no-new-privs",
        "--",
    ]

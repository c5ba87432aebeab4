"""A copy of what of /etc is public: what everybody may read, and no recipe should not.

Where a job is built over this machine's own system it gets that copy in place of /etc.
"""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

#: Left out although everybody may read them: who this machine is, whom it knows, what it keeps.
_PRIVATE = {
    "NetworkManager",
    "cron.d",
    "crontab",
    "crypttab",
    "cups",
    "exports",
    "flocon",
    "flocon.toml",
    "fstab",
    "hostname",
    "hosts",
    "letsencrypt",
    "machine-id",
    "mtab",
    "openvpn",
    "pacman.d/gnupg",
    "pacman.d/hooks",
    "resolv.conf",
    "ssh",
    "sudoers",
    "sudoers.d",
    "systemd",
    "wireguard",
}
#: Written anew, with the system's own users alone.
_ACCOUNTS = {"group", "passwd"}
MOST_FILES = 20_000
MOST_BYTES = 256 << 20
#: Accounts' files are larger nowhere.
_LARGEST_ACCOUNTS = 1 << 20
#: The first number of a person's account; nobody's is the last but one (login.defs(5)).
_FIRST_PERSON, _NOBODY = 1_000, 65_534


def copy_public(source: Path, to: Path) -> None:
    """Copy what everybody may read of ``source`` into the new folder ``to``; raise OSError."""
    files, room = MOST_FILES, MOST_BYTES
    to.mkdir()
    for folder, names, others in os.walk(source):
        here = Path(folder)
        within = here.relative_to(source)
        names[:] = [one for one in names if _is_public(source, within / one)]
        for name in names:
            # Where it is a link, os.walk does not follow it.
            if not _copy_link(here / name, to / within / name):
                (to / within / name).mkdir()
        for name in others:
            path = here / name
            if not _is_public(source, within / name) or _copy_link(path, to / within / name):
                continue
            files -= 1
            room -= path.stat().st_size
            if files < 0 or room < 0:
                return
            with suppress(OSError):
                shutil.copyfile(path, to / within / name)
                shutil.copymode(path, to / within / name)
    for name in _ACCOUNTS:
        (to / name).write_text(system_accounts(source / name), "utf-8")


def system_accounts(path: Path) -> str:
    """Return a file of accounts (passwd(5), group(5)) without those of persons."""
    kept = []
    for line in _read(path).splitlines():
        fields = line.split(":")
        number = fields[2] if len(fields) > 2 else ""  # noqa: PLR2004 - as those pages have it
        if number.isdigit() and (int(number) < _FIRST_PERSON or int(number) == _NOBODY):
            kept.append(line)
    return "".join(f"{line}\n" for line in kept)


def _read(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return file.read(_LARGEST_ACCOUNTS).decode("utf-8", "replace")


def _is_public(source: Path, name: Path) -> bool:
    if str(name) in _PRIVATE | _ACCOUNTS:
        return False
    try:
        mode = (source / name).lstat().st_mode
    except OSError:
        return False
    if stat.S_ISDIR(mode):
        return bool(mode & stat.S_IROTH and mode & stat.S_IXOTH)
    return stat.S_ISLNK(mode) or (stat.S_ISREG(mode) and bool(mode & stat.S_IROTH))


def _copy_link(path: Path, to: Path) -> bool:
    """Copy a link as it is; return whether it was one."""
    if not path.is_symlink():
        return False
    to.symlink_to(path.readlink())
    return True

"""``flocon snapshot export``: a state as a plain folder that is carried elsewhere.

::

    DIR/REPO/os/ARCH/REPO.db, .db.sig, .files    as the mirror had them
    DIR/REPO/os/ARCH/FILE, FILE.sig              packages
    DIR/pacman.conf                              the repositories, for pacman's Include
    DIR/snapshot.json                            which state it is

pacman reads it by ``file://``, and any web server may serve it. Each file is verified while it is
copied and gets its name when it is whole; what is there and right is not copied again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from twisted.internet.threads import deferToThreadPool

from flocon.carrying.needing import Needed, Wanted, find_needed
from flocon.carrying.states import find_state, read_database, total, whereabouts
from flocon.files import escape
from flocon.machine.beneath import enter, open_regular, open_top, read_small
from flocon.pacman.syncdb import LARGEST_SIGNATURE
from flocon.snapshots.importing import named_pieces, place
from flocon.states.generation import Piece, dump
from flocon.states.policies import is_snapshot_name
from flocon.terminal.asking import Node, NodeError, package_name
from flocon.terminal.downloading import download
from flocon.terminal.printing import counted, progress, say, say_json, size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from flocon.carrying.states import State
    from flocon.pacman.entries import Entry
    from flocon.states.generation import Where

#: Tells of an exported folder which state it is; a folder without one can be imported, too.
NOTE = "snapshot.json"
CONFIGURATION = "pacman.conf"
#: How the first line of an exported CONFIGURATION ends.
_OWN = ": for a pacman.conf that has none of these repositories itself,\n"
_LONGEST_LINE = 1_000
#: Bytes that are left free on the disk of an exported folder.
SPARE = 64 << 20
_PART = ".flocon-part"
#: Bytes that are hashed at once.
_STEP = 1 << 20
_MOST_TOLD = 8


async def export(reactor: Any, options: argparse.Namespace) -> None:
    """Copy a state and its packages into a folder; exits 1 where something is lacking."""
    node = Node(reactor, options.port)
    folder: Path = options.directory
    _demand_own(folder)
    state = await find_state(node, options.name)
    wanted = Wanted(
        tuple(package_name(name) for name in options.packages),
        architecture=options.architecture,
        apart=True,
    )
    target = Target(folder)
    for where, files in state.generation.databases.items():
        for suffix, piece in named_pieces(files):
            path = f"{place(where)}/{where.repository}{suffix}"
            await target.fetch(node, f"/mirror/content/{piece.sha256}", path, piece)
    needed = await _chosen(reactor, node, state, wanted, folder)
    packages = needed.packages
    _demand_room(folder, [one for one in packages if not target.has(_path(one, packages[one]))])
    bar = progress("exporting", total(packages))
    done = 0
    try:
        for entry, where in packages.items():
            await _package(node, target, entry, where)
            done += entry.size
            bar.move(done)
    finally:
        bar.end()
    target.write(CONFIGURATION, fragment(state, folder.absolute()).encode())
    note = {"name": state.name, "generation": dump(state.generation)}
    target.write(NOTE, json.dumps(note).encode())
    told = {
        "state": state.name,
        "generation": state.generation.identity,
        "folder": str(folder.absolute()),
        "packages": len(packages),
        "bytes": total(packages),
        "copied": target.copied,
    }
    if options.json:
        say_json(told)
        return
    what = f"{counted(len(packages), 'package')}, {size(total(packages))}"
    copied = f"{counted(target.copied, 'file')} copied now"
    say(f"{named(state)}, with {what}, is in {folder.absolute()} ({copied})")
    say(f"pacman uses it with 'Include = {folder.absolute() / CONFIGURATION}'")


async def _chosen(reactor: Any, node: Node, state: State, wanted: Wanted, folder: Path) -> Needed:
    """Return the packages to copy: those that are named and what they need, or all on the LAN."""
    if wanted.packages:
        needed = await find_needed(reactor, node, state, wanted)
        where = await whereabouts(node, list(needed.packages))
        lacking = [entry.file_name for entry in needed.packages if not where[entry]]
        if lacking or needed.problems:
            told = [*needed.problems, *(f"{one} is not on the LAN" for one in lacking)]
            more = f" and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
            raise NodeError(f"nothing is exported: {'; '.join(told[:_MOST_TOLD])}{more}")
        return needed
    needed = Needed()
    for one in state.generation.databases:
        if wanted.architecture in {"", one.architecture}:
            listed = read_database(folder / place(one) / f"{one.repository}.db", one)
            entries = list(listed.entries.values())
            where = await whereabouts(node, entries)
            needed.packages.update({entry: one for entry in entries if where[entry]})
    return needed


def _path(entry: Entry, where: Where) -> str:
    return f"{place(where)}/{entry.file_name}"


def _demand_own(folder: Path) -> None:
    """Raise NodeError where a pacman.conf lies there that is not an exported one."""
    path = folder / CONFIGURATION
    try:
        descriptor = open_regular(path, os.O_RDONLY)
        with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
            is_own = file.readline(_LONGEST_LINE).endswith(_OWN)
    except FileNotFoundError:
        return
    except OSError as error:
        raise NodeError(f"{path}: {error.strerror}") from None
    if not is_own:
        problem = "was written by somebody else, and an export would write it anew"
        raise NodeError(f"{path} {problem}; name a folder that is empty, or not there yet")


def _demand_room(folder: Path, entries: Sequence[Entry]) -> None:
    free = os.statvfs(folder)
    needed = total(entries)
    if needed + SPARE > free.f_bavail * free.f_frsize:
        raise NodeError(f"{folder}: {size(needed)} are needed, and so much is not free there")


async def _package(node: Node, target: Target, entry: Entry, where: Where) -> None:
    path = _path(entry, where)
    content = Piece(entry.sha256.hex(), entry.size)
    url = f"/mirror/package/{content.sha256}/{content.size}/{escape(entry.file_name)}"
    await target.fetch(node, url, path, content)
    if target.has(f"{path}.sig"):
        return
    data = bytearray()

    def take(chunk: bytes) -> None:
        data.extend(chunk)
        if len(data) > LARGEST_SIGNATURE:
            raise NodeError(f"{entry.file_name}.sig is too long for a signature")

    signature = entry.read_signature()
    if signature is None:
        received = await download(node, f"{url}.sig", f"{entry.file_name}.sig", take)
        signature = bytes(data) if received is not None else None
    if signature:
        target.write(f"{path}.sig", signature)


def fragment(state: State, folder: Path) -> str:
    """Return what pacman.conf includes to use an exported folder."""
    lines = [
        f"# {named(state)}{_OWN.rstrip()}",
        "# by a line Include = THIS FILE. Where the folder lies elsewhere, change the paths; for",
        "# a web server that has it, write like Server = http://HOST/$repo/os/$arch.",
    ]
    for repository in state.repositories:
        lines += ["", f"[{repository}]", f"Server = file://{folder}/$repo/os/$arch"]
    return "\n".join(lines) + "\n"


def named(state: State) -> str:
    """Return what a person calls a state: "now" is another one tomorrow."""
    if is_snapshot_name(state.name):
        return f"the state {state.name}"
    day = time.localtime(state.generation.age_from)
    return time.strftime("the state of %Y-%m-%d", day)


class Target:
    """A folder that files are copied into: under their names when they are whole, not before.

    Somebody else may have put things there. So all happens beneath the folders as they were
    opened, no link is followed, and what is no file is replaced and not read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        #: Files that were not there before.
        self.copied = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            os.close(open_top(folder))
        except OSError as error:
            raise NodeError(f"{folder}: {error.strerror}") from None

    def has(self, path: str) -> bool:
        with self._beside(path) as (folder, name), suppress(OSError):
            return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        return False

    async def fetch(self, node: Node, url: str, path: str, content: Piece) -> None:
        """Copy a file from the node, unless it is there; raises NodeError.

        A signature beside it goes first: it is of what was there before.
        """
        place = self._folder / path
        with self._beside(path) as (folder, name):
            if await _is(node.reactor, folder, name, content):
                return
            with _NewFile(folder, place) as file:
                received = await download(node, url, name, file.write)
                if received is None:
                    raise NodeError(f"{name}: the LAN has it no more; run it again")
                if (received.sha256, received.bytes) != (content.sha256, content.size):
                    raise NodeError(f"{name}: another file came than is listed; run it again")
                with suppress(OSError):
                    os.unlink(f"{name}.sig", dir_fd=folder)
                file.settle()
        self.copied += 1

    def write(self, path: str, data: bytes) -> None:
        """Write a small file, in the place of another one."""
        with self._beside(path) as (folder, name):
            with suppress(OSError):
                if read_small(name, len(data), folder) == data:
                    return
            with _NewFile(folder, self._folder / path) as file:
                file.write(data)
                file.settle()
        self.copied += 1

    @contextmanager
    def _beside(self, path: str) -> Iterator[tuple[int, str]]:
        """Open the folder in which a path's file lies, made if need be; give its name there."""
        *below, name = path.split("/")
        place = self._folder
        folder = -1
        try:
            folder = open_top(place)
            for one in below:
                place /= one
                inner = enter(folder, one, 0o755)
                os.close(folder)
                folder = inner
        except OSError as error:
            if folder >= 0:
                os.close(folder)
            is_link = place.is_symlink()
            reason = "is a link; give the folder itself" if is_link else error.strerror
            raise NodeError(f"{place}: {reason}") from None
        try:
            yield folder, name
        finally:
            os.close(folder)


class _NewFile:
    """A new file for writing, also where a part of an earlier run lies; NodeError for OSError."""

    def __init__(self, folder: int, place: Path) -> None:
        self._folder = folder
        self._place = place
        self._part = place.name + _PART
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with suppress(FileNotFoundError):
                os.unlink(self._part, dir_fd=folder)
            self._file = os.fdopen(os.open(self._part, flags, 0o644, dir_fd=folder), "wb")
        except OSError as error:
            reason = error.strerror
            if error.errno == errno.EINVAL and ":" in place.name:
                reason = f"{reason}: its file system takes no ':' in a name, ext4 does"
            raise NodeError(f"{place}: {reason}") from None

    def __enter__(self) -> Self:
        return self

    def write(self, data: bytes) -> None:
        with self._told():
            self._file.write(data)

    def settle(self) -> None:
        """Give it its name, once the disk has it."""
        with self._told():
            self._file.flush()
            os.fsync(self._file.fileno())
            os.replace(
                self._part, self._place.name, src_dir_fd=self._folder, dst_dir_fd=self._folder
            )

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise NodeError(f"{self._place}: {error.strerror}") from None

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            os.unlink(self._part, dir_fd=self._folder)


async def _is(reactor: Any, folder: int, name: str, content: Piece) -> bool:
    """Whether a file is there with that content."""

    def look() -> bool:
        try:
            with os.fdopen(open_regular(name, os.O_RDONLY, folder), "rb") as file:
                same_size = os.fstat(file.fileno()).st_size == content.size
                return same_size and sha256_of(file, content.size) == content.sha256
        except OSError:
            return False

    return bool(await deferToThreadPool(reactor, reactor.getThreadPool(), look))


def sha256_of(file: BinaryIO, most: int) -> str:
    """Return the SHA-256 of a file in hex, of so many bytes: somebody may be writing to it."""
    sha256 = hashlib.sha256()
    while most and (data := file.read(min(most, _STEP))):
        sha256.update(data)
        most -= len(data)
    return sha256.hexdigest()

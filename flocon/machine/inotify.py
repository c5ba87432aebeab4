"""inotify: tells at once when something in a folder changes.

What a change means is for the caller to find out; here is only "look again, at this name". A
report may come twice, or for a name that is gone by now, but none is missing: where the kernel
lost events, or the folder itself went or came, the name is empty and the whole folder is meant.

``twisted.internet.inotify`` is not used (as of Twisted 26.10): it closes the whole notifier when
one watched folder is deleted, drops the kernel's notice of a queue overflow, and keeps one path
only where two paths lead to the same folder.

Mounting a file system over a followed folder makes no event; unmounting it does.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from twisted.python.failure import Failure

# inotify(7), <sys/inotify.h>
IN_ATTRIB = 0x4
IN_CLOSE_WRITE = 0x8
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_ONLYDIR = 0x1000000
IN_MASK_ADD = 0x20000000

#: Of an ancestor only entries that come, go, or change their permissions matter.
_ANCESTOR = (
    IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_ONLYDIR | IN_MASK_ADD
)
_FOLDER = _ANCESTOR | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF
_ITSELF = IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED
_HEAD = struct.Struct("=iIII")  # watch descriptor, mask, cookie, length of the name
_READ_SIZE = 1 << 16


@dataclass(slots=True)
class _Followed:
    """Where a folder is watched: ``own`` is its watch, or None while it is not there."""

    own: int | None = None
    #: The watch of each readable ancestor, with the name in it that leads on to the folder.
    steps: set[tuple[int, str]] = field(default_factory=set)


@implementer(IReadDescriptor)
class FolderWatch:
    """Calls ``changed(folder, file_name)`` when a followed folder changes; never polls.

    Reported are files closed after writing, moved in or out, created, deleted, and changes of
    attributes, also of folders inside (not of what they contain). ``changed(folder, "")`` means
    that anything may be different: events were lost, or the folder went away or came (back). Its
    nearest existing ancestors are watched, so a folder that is not there yet is found when it
    comes. Symbolic links are followed. The reactor must be an IReactorFDSet to be of use.
    """

    log = Logger()

    def __init__(self, reactor: object, changed: Callable[[Path, str], None]) -> None:
        self._reactor = reactor
        self._changed = changed
        self._followed: dict[Path, _Followed] = {}
        self._watches: set[int] = set()
        self._fd = -1
        self._libc = ctypes.CDLL(None, use_errno=True)

    def follow(self, folder: Path) -> bool:
        """Report changes in ``folder`` from now on; return whether that is possible right now.

        Where it returns False the folder is not there (it is followed as soon as it is) or inotify
        refuses (then the caller has to poll). Following it again looks again.
        """
        if not self._open():
            return False
        self._followed.setdefault(folder, _Followed())
        self._resolve(folder)
        return self.watched(folder)

    def watched(self, folder: Path) -> bool:
        """Return whether ``folder`` is there and reports its changes now."""
        followed = self._followed.get(folder)
        return followed is not None and followed.own is not None

    def forget(self, folder: Path) -> None:
        """Report nothing of ``folder`` any more; a folder never followed is no error."""
        if self._followed.pop(folder, None) is not None:
            self._sweep()

    def close(self) -> None:
        """Forget every folder and give the descriptor back; ``follow`` would open it anew."""
        self._followed.clear()
        self._watches.clear()
        if self._fd >= 0:
            self._fd_set().removeReader(self)
            os.close(self._fd)
            self._fd = -1

    def _fd_set(self) -> IReactorFDSet:
        reactor: IReactorFDSet = IReactorFDSet(self._reactor)
        return reactor

    def _open(self) -> bool:
        if self._fd < 0 and IReactorFDSet.providedBy(self._reactor):
            try:
                fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            except AttributeError:  # a libc without inotify
                return False
            if fd >= 0:
                self._fd = fd
                self._fd_set().addReader(self)
        return self._fd >= 0

    def _watch(self, folder: Path, mask: int) -> int:
        """Return the watch of ``folder``, or a negative errno."""
        watch: int = self._libc.inotify_add_watch(self._fd, os.fsencode(folder), mask)
        if watch < 0:
            return -ctypes.get_errno()
        self._watches.add(watch)
        return watch

    def _resolve(self, folder: Path) -> bool:
        """Watch ``folder`` and its ancestors as they are now; return whether it is another one.

        From the top down: each ancestor is watched before the next is looked up in it, so nothing
        that comes later is missed.
        """
        followed = self._followed[folder]
        before = followed.own
        path = [*reversed(folder.parents), folder]
        followed.own = None
        followed.steps = set()
        for ancestor, step in pairwise(path):
            watch = self._watch(ancestor, _ANCESTOR)
            if watch >= 0:
                followed.steps.add((watch, step.name))
            elif watch in {-errno.ENOENT, -errno.ENOTDIR}:
                break
        else:
            watch = self._watch(folder, _FOLDER)
            followed.own = watch if watch >= 0 else None
        self._sweep()
        return followed.own != before

    def _sweep(self) -> None:
        """Drop the watches that no followed folder needs."""
        needed: set[int | None] = {followed.own for followed in self._followed.values()}
        for followed in self._followed.values():
            needed.update(watch for watch, _ in followed.steps)
        for watch in [watch for watch in self._watches if watch not in needed]:
            self._watches.discard(watch)
            self._libc.inotify_rm_watch(self._fd, watch)

    # IReadDescriptor

    def fileno(self) -> int:
        return self._fd

    def logPrefix(self) -> str:
        return "inotify"

    def connectionLost(self, reason: Failure) -> None:
        """Report nothing more: the reactor stops, or the descriptor broke."""
        self.close()

    def doRead(self) -> None:
        """Report what the kernel has queued, each name once."""
        try:
            data = os.read(self._fd, _READ_SIZE)
        except BlockingIOError:
            return
        # What happened more than once, as writing does, asks for one look.
        happened: dict[tuple[int, bytes], int] = {}
        for watch, mask, entry in _events(data):
            happened[watch, entry] = happened.get((watch, entry), 0) | mask
        reports: dict[tuple[Path, str], None] = {}
        for (watch, entry), mask in happened.items():
            for report in self._judge(watch, mask, os.fsdecode(entry)):
                reports[report] = None
        for folder, name in reports:
            # An earlier report may have made the caller forget this folder.
            if folder in self._followed:
                try:
                    self._changed(folder, name)
                except Exception:  # noqa: BLE001 - raised through doRead, it would end the watch
                    self.log.failure("a change in {folder} was not handled", folder=folder)

    def _judge(self, watch: int, mask: int, name: str) -> Iterator[tuple[Path, str]]:
        if mask & IN_Q_OVERFLOW:
            for folder in list(self._followed):
                self._resolve(folder)
                yield folder, ""
            return
        if mask & IN_IGNORED:
            self._watches.discard(watch)
        for folder, followed in list(self._followed.items()):
            moved = (watch, name) in followed.steps or (
                mask & _ITSELF
                and (watch == followed.own or any(watch == step for step, _ in followed.steps))
            )
            if followed.own == watch and name:
                yield folder, name
            if moved and self._resolve(folder):
                yield folder, ""


def _events(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    start = 0
    while start < len(data):
        watch, mask, _cookie, length = _HEAD.unpack_from(data, start)
        start += _HEAD.size
        yield watch, mask, data[start : start + length].rstrip(b"\0")
        start += length

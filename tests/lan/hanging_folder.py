"""A folder that stops answering: ``python hanging_folder.py SOURCE MOUNT SECONDS``, as root.

MOUNT shows what is in SOURCE, read only, as a server of NFS would, by /dev/fuse; for SECONDS the
kernel need not ask again. Each line of standard input is an order, answered by a line once it
holds: ``hang WORD...`` leaves requests of these kinds without an answer (see ``KINDS``; ``read+N``
only from that byte on), ``hang`` all of them, and ``free`` answers what was asked meanwhile and all
that comes. ``waiting`` tells how many wait.

As with NFS, who waits cannot be had to do anything else, but can be killed. Written from fuse(4)
and linux/fuse.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import stat
import struct
import subprocess
import sys
from pathlib import Path

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 14, 15, 17, 18
FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, ACCESS, INTERRUPT = 25, 26, 27, 28, 29, 34, 36
BATCH_FORGET, DESTROY = 42, 38
#: What may hang, by the call of a program that asks for it.
KINDS = {
    "lookup": {LOOKUP},
    "stat": {LOOKUP, GETATTR},
    "open": {OPEN},
    "read": {READ},
    "statvfs": {STATFS},
    "opendir": {OPENDIR},
    "scandir": {READDIR},
    "close": {FLUSH},
}
_ALWAYS = {INIT, FORGET, BATCH_FORGET, INTERRUPT, DESTROY}
_REQUEST = struct.Struct("=IIQQIIIHH")
_ANSWER = struct.Struct("=IiQ")
_ATTRIBUTES = struct.Struct("=6Q10I")
_READ = struct.Struct("=QQII")
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MNT_DETACH = 1, 2, 4, 2
#: Seconds for which the kernel need not ask again, as with NFS.
VALID = 3
#: Bytes of a request; all but a write fit.
_LARGEST = 1 << 17


class Server:
    """Answers the kernel, or does not."""

    def __init__(self, source: Path, valid: int) -> None:
        self._paths = {1: source}
        self._numbers = {source: 1}
        self._valid = valid
        self._hanging: set[int] | None = set()
        self._from = 0
        self._waiting: dict[int, bytes] = {}
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)

    def mount(self, place: Path) -> None:
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0,allow_other"
        libc = ctypes.CDLL(None, use_errno=True)
        flags = _MS_RDONLY | _MS_NOSUID | _MS_NODEV
        given = (b"hanging", os.fsencode(place), b"fuse.hanging", flags, options.encode())
        if libc.mount(*given):
            raise OSError(ctypes.get_errno(), "mount")

    def serve(self) -> None:
        """Answer until standard input ends."""
        while True:
            ready, _, _ = select.select([self._device, 0], [], [])
            if 0 in ready:
                line = sys.stdin.readline()
                if not line:
                    return
                print(self._obey(line.split()), flush=True)
            if self._device in ready:
                try:
                    request = os.read(self._device, _LARGEST)
                except OSError as error:
                    if error.errno in {errno.ENOENT, errno.EINTR, errno.EAGAIN}:
                        continue
                    return
                self._take(request)

    def _obey(self, order: list[str]) -> str:
        match order:
            case ["hang", *words]:
                self._from = 0
                self._hanging = set() if words else None
                for word in words:
                    kind, _, first = word.partition("+")
                    self._from = int(first or 0)
                    assert self._hanging is not None
                    self._hanging |= KINDS[kind]
            case ["free"]:
                self._hanging = set()
                waiting, self._waiting = self._waiting, {}
                for request in waiting.values():
                    self._take(request)
            case ["waiting"]:
                return str(len(self._waiting))
        return "done"

    def _take(self, request: bytes) -> None:
        _, kind, unique, number, *_ = _REQUEST.unpack_from(request)
        body = request[_REQUEST.size :]
        if kind == INTERRUPT:
            (interrupted,) = struct.unpack_from("=Q", body)
            if self._waiting.pop(interrupted, None) is not None:
                self._send(interrupted, -errno.EINTR)
        elif self._hangs(kind, body):
            self._waiting[unique] = request
        elif kind not in {FORGET, BATCH_FORGET, DESTROY}:
            try:
                self._send(unique, 0, self._answer(kind, number, body))
            except OSError as error:
                self._send(unique, -(error.errno or errno.EIO))

    def _hangs(self, kind: int, body: bytes) -> bool:
        if kind in _ALWAYS:
            return False
        if self._hanging is None:
            return True
        if kind == READ and kind in self._hanging:
            _, offset, size, _ = _READ.unpack_from(body)
            return bool(offset + size > self._from)
        return kind in self._hanging

    def _send(self, unique: int, status: int, body: bytes = b"") -> None:
        try:
            os.write(self._device, _ANSWER.pack(_ANSWER.size + len(body), status, unique) + body)
        except FileNotFoundError:
            # Whoever asked is gone.
            return

    def _answer(self, kind: int, number: int, body: bytes) -> bytes:
        path = self._paths.get(number, self._paths[1])
        match kind:
            case x if x == INIT:
                return struct.pack(
                    "=4I2H2I2H8I", 7, 31, 1 << 17, 0, 16, 12, 4096, 1, 0, 0, *[0] * 8
                )
            case x if x == LOOKUP:
                return self._entry(path / os.fsdecode(body.rstrip(b"\0")))
            case x if x == GETATTR:
                valid = struct.pack("=QII", self._valid, 0, 0)
                return valid + self._attributes(number, path.lstat())
            case x if x in {OPEN, OPENDIR}:
                return struct.pack("=QII", 0, 0, 0)
            case x if x == READ:
                _, offset, size, _ = _READ.unpack_from(body)
                with path.open("rb") as file:
                    return os.pread(file.fileno(), size, offset)
            case x if x == READDIR:
                _, offset, size, _ = _READ.unpack_from(body)
                return self._entries(path, offset, size)
            case x if x == STATFS:
                return struct.pack("=5Q10I", 9, 9, 9, 9, 9, 4096, 255, 4096, *[0] * 7)
            case x if x in {ACCESS, RELEASE, RELEASEDIR, FLUSH}:
                return b""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    def _entry(self, path: Path) -> bytes:
        info = path.lstat()
        number = self._numbers.setdefault(path, len(self._numbers) + 1)
        self._paths[number] = path
        head = struct.pack("=QQQQII", number, 0, self._valid, self._valid, 0, 0)
        return head + self._attributes(number, info)

    def _attributes(self, number: int, info: os.stat_result) -> bytes:
        times = (info.st_atime_ns, info.st_mtime_ns, info.st_ctime_ns)
        return _ATTRIBUTES.pack(
            number,
            info.st_size,
            info.st_blocks,
            *(one // 10**9 for one in times),
            *(one % 10**9 for one in times),
            info.st_mode,
            info.st_nlink,
            info.st_uid,
            info.st_gid,
            0,
            4096,
            0,
        )

    def _entries(self, path: Path, offset: int, size: int) -> bytes:
        result = b""
        for place, name in list(enumerate(sorted(os.listdir(path)), 1))[offset:]:  # noqa: PTH208
            info = (path / name).lstat()
            raw = os.fsencode(name)
            head = struct.pack(
                "=QQII", info.st_ino, place, len(raw), stat.S_IFMT(info.st_mode) >> 12
            )
            entry = head + raw + bytes(-len(raw) % 8)
            if len(result) + len(entry) > size:
                break
            result += entry
        return result


class HangingFolder:
    """Such a folder at ``place``, in a process of its own; ``close`` frees who waits."""

    def __init__(self, source: Path, place: Path, valid: int = VALID) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self.place = place
        arguments = (sys.executable, __file__, str(source), str(place), str(valid))
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._answer() != "mounted":
            self._process.wait(5)
            raise OSError("nothing can be mounted here")

    def hang(self, *kinds: str) -> None:
        """Let requests of these kinds wait from now on, or all of them."""
        self._order("hang", *kinds)

    def free(self) -> None:
        """Answer again, and what waits first."""
        self._order("free")

    def waiting(self) -> int:
        """Return how many requests wait."""
        return int(self._order("waiting"))

    def _order(self, *words: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.communicate(timeout=10)
        ctypes.CDLL(None).umount2(os.fsencode(self.place), _MNT_DETACH)


def unavailable() -> str:
    """Return why there can be no such folder here, or nothing."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        return f"no FUSE here: {error.strerror}"
    return ""


def main() -> None:
    source, place, valid = sys.argv[1:]
    server = Server(Path(source), int(valid))
    server.mount(Path(place))
    print("mounted", flush=True)
    server.serve()


if __name__ == "__main__":
    main()

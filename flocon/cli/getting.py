"""``flocon get``: a package and its signature into the current folder, verified once more here.

The file appears under its name only when it is whole and right, and never in the place of another.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flocon.cli.looking import newest
from flocon.files import Kind, escape, parse_file_name
from flocon.machine.beneath import write_all
from flocon.terminal.asking import Node, NodeError, package_name
from flocon.terminal.downloading import Received, download
from flocon.terminal.printing import progress, say, say_json, size

if TYPE_CHECKING:
    from typing import Self

#: pacman takes no larger signature.
LARGEST_SIGNATURE = 16 << 10
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Expected:
    """What the node tells of a file beforehand: size and SHA-256 in hex, where they are known."""

    file_name: str
    size: int | None
    sha256: str | None


async def get(reactor: Any, options: argparse.Namespace) -> None:
    if options.newest:
        await get_newest(reactor, options)
    else:
        await get_listed(reactor, options)


async def get_newest(reactor: Any, options: argparse.Namespace) -> None:
    """Get the newest that anybody holds; what is listed where nothing newer is to be had."""
    from flocon.cli import newest  # noqa: PLC0415 - it needs much that no other command does

    name = package_name(options.name)
    instead = await newest.get(reactor, name, options)
    if instead is not None:
        listed = argparse.Namespace(**{**vars(options), "name": instead})
        await get_listed(reactor, listed)


async def get_listed(reactor: Any, options: argparse.Namespace) -> None:
    """Get a file by its name, or the version of a package that pacman would install."""
    node = Node(reactor, options.port)
    expected = await _expected(node, package_name(options.name))
    path = Path(expected.file_name)
    began = time.monotonic()
    if is_there(path, expected):
        if options.json:
            say_json({"file": path.name, "path": str(path.absolute()), "fetched": False})
        else:
            say(f"{path.absolute()} is here already")
        return
    received = await _fetch(node, expected, path)
    try:
        signed = await _fetch_signature(node, path)
    except NodeError as error:
        raise NodeError(f"{path.name} is here, but its signature is not: {error}") from None
    seconds = time.monotonic() - began
    if options.json:
        verified = expected.sha256 is not None
        say_json({**as_values(path, received, seconds), "verified": verified, "signature": signed})
        return
    state = "verified" if expected.sha256 else "not listed, so check its signature: pacman -U does"
    state += ", with its signature beside it" if signed else ""
    say(f"{as_sentence(path, received, seconds)}, {state}")
    if not signed:
        say(f"{path.name}.sig is nowhere to be had")


def as_values(path: Path, received: Received, seconds: float) -> dict[str, Any]:
    """Return JSON's values of a file that was fetched in so many seconds."""
    return {
        "file": path.name,
        "path": str(path.absolute()),
        "fetched": True,
        "bytes": received.bytes,
        "sha256": received.sha256,
        "source": received.source,
        "seconds": round(seconds, 3),
    }


def as_sentence(path: Path, received: Received, seconds: float) -> str:
    """Return the same for a person, to go on behind a comma."""
    speed = f"{size(received.bytes / max(seconds, 1e-3))}/s"
    return f"{path.absolute()}  {size(received.bytes)} from {received.source}, {speed}"


async def _expected(node: Node, name: str) -> Expected:
    """Find out what is meant by a file's name or a package's."""
    file = parse_file_name(name)
    if file is None:
        file_name = await newest(node, name)
    elif file.kind is not Kind.PACKAGE:
        raise NodeError(f"{name} is no package but what 'pacman -Sy' fetches; get is for packages")
    elif file.is_signature:
        raise NodeError(f"{name} comes with its package: flocon get {file.subject}")
    else:
        file_name = name
    told = await node.ask("/why.json", {"file": file_name})
    if told["listed"]:
        first = told["listed"][0]
        return Expected(file_name, first["size"], first["sha256"])
    here = told["here"]
    return Expected(file_name, None, here["sha256"] if here else None)


def is_there(path: Path, expected: Expected) -> bool:
    """Whether the very file is there; raises NodeError where another one is."""
    if not path.exists() and not path.is_symlink():
        return False
    if expected.sha256 is not None and path.is_file():
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == expected.sha256:
                return True
    raise NodeError(f"{path.name}: there is another file of this name here; move it away")


async def _fetch(node: Node, expected: Expected, path: Path) -> Received:
    bar = progress(path.name, expected.size)
    try:
        with NewFile(path) as file:
            received = await download(
                node, f"/{escape(path.name)}", path.name, file.write, bar.move
            )
            if received is None:
                raise NodeError(f"{path.name}: neither the LAN nor a mirror has it")
            verify(received, expected)
            file.keep()
            return received
    finally:
        bar.end()


def verify(received: Received, expected: Expected) -> None:
    wanted = expected.sha256
    if expected.size is not None and received.bytes != expected.size:
        problem = f"{received.bytes} bytes came instead of {expected.size}"
        raise NodeError(f"{expected.file_name}: {problem}; nothing is kept")
    if wanted is not None and received.sha256 != wanted:
        raise NodeError(f"{expected.file_name}: its SHA-256 is not {wanted}; nothing is kept")


async def _fetch_signature(node: Node, path: Path) -> bool:
    """Put the signature beside the package; return whether there is one."""
    signature = await read_signature(node, f"/{escape(path.name)}.sig", path.name)
    if signature is not None:
        put_beside(path, signature)
    return signature is not None


async def read_signature(node: Node, path: str, name: str) -> bytes | None:
    """Return the signature of a package ``name`` that the node has at ``path``, if it has one."""
    data = bytearray()

    def take(chunk: bytes) -> None:
        data.extend(chunk)
        if len(data) > LARGEST_SIGNATURE:
            raise NodeError(f"{name}.sig: is too long for a signature")

    received = await download(node, path, f"{name}.sig", take)
    return None if received is None else bytes(data)


def put_beside(path: Path, data: bytes) -> None:
    """Write a package's signature beside it, or leave the same one there."""
    signature = Path(path.name + ".sig")
    if signature.exists():
        if signature.read_bytes() != data:
            raise NodeError(f"{signature}: there is another file of this name here; move it away")
        return
    with NewFile(signature) as file:
        file.write(data)
        file.keep()


class NewFile:
    """A file that appears under its name when ``keep`` is called, and not in another's place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._fd, self._part = tempfile.mkstemp(prefix=".flocon-", suffix=".part", dir=".")
        except OSError as error:
            raise NodeError(f"this folder cannot be written to ({error.strerror})") from None

    def __enter__(self) -> Self:
        return self

    def fileno(self) -> int:
        return self._fd

    def write(self, data: bytes) -> None:
        try:
            write_all(self._fd, data)
        except OSError as error:
            raise NodeError(f"{self._path}: {error.strerror}") from None

    def keep(self) -> None:
        umask = os.umask(0o077)
        os.umask(umask)
        os.fchmod(self._fd, 0o666 & ~umask)
        try:
            # A link, unlike a rename, takes no other file's place.
            os.link(self._part, self._path)
        except FileExistsError:
            raise NodeError(f"{self._path}: there is a file of this name now") from None
        except OSError:
            self._rename()

    def _rename(self) -> None:
        """Do without links, which some file systems lack."""
        try:
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except OSError as error:
            raise NodeError(f"{self._path}: {error.strerror}") from None
        try:
            Path(self._part).rename(self._path)
        except OSError as error:
            # Its own name was taken for it, and nobody else can have written into that.
            self._path.unlink(missing_ok=True)
            raise NodeError(f"{self._path}: {error.strerror}; nothing is kept") from None

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        Path(self._part).unlink(missing_ok=True)

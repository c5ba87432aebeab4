"""What a state of the LAN's databases is made of, for this machine's command: by content alone.

``/mirror/content/SHA256`` is a database, its list of files or a signature of them,
``/mirror/package/SHA256/SIZE/FILE`` a package that is on the LAN, or its signature.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import TimeoutError  # noqa: A004 - Twisted's own
from twisted.web import http

from flocon.answering.held import send_opened
from flocon.answering.respond import refuse
from flocon.errors import FloconError, StoreError
from flocon.faces.pacman_request import PacmanRequest
from flocon.files import Asked, Content, FileName, Kind, parse_file_name
from flocon.machine.reactor_threads import in_thread
from flocon.pacman.entries import Entry
from flocon.states.generation import is_sha256
from flocon.store.folder import Opened, stamp_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from twisted.web.http import Request

    from flocon.faces.needs import ForPacman
    from flocon.states.generation import Piece
    from flocon.transfers.transfer import Transfer

    class Archive(Protocol):
        """Where contents lie; opening blocks, and raises StoreError."""

        def open_piece(self, piece: Piece) -> int: ...

    class Brings(Protocol):
        """Has packages brought here that peers hold."""

        def ahead(
            self, asked: Asked, entry: Entry, *, mirrors: bool, spares: bool = True
        ) -> Transfer: ...


_BEFORE = b"/mirror/"
#: Digits of a size.
_MOST_DIGITS = 15


class MirrorContents:
    """Answers what begins with ``/mirror/``; ``piece`` finds a content that a state here has.

    A node that is no mirror has no ``archive``, and packages alone.
    """

    def __init__(
        self,
        parts: ForPacman,
        *,
        archive: Archive | None,
        piece: Callable[[str], Piece | None],
        packages: Brings,
        is_at_peers: Callable[[str, Content], bool],
    ) -> None:
        self._parts = parts
        self._archive = archive
        self._piece = piece
        self._packages = packages
        self._is_at_peers = is_at_peers

    async def answer(self, request: Request) -> bool:
        """Answer if the path is one of these; return whether it was."""
        if not request.path.startswith(_BEFORE):
            return False
        match _segments(request.path[len(_BEFORE) :]):
            case ["content", sha256] if is_sha256(sha256):
                await self._content(request, sha256)
            case ["package", sha256, size, name] if is_sha256(sha256) and _is_size(size):
                content = Content(int(size), bytes.fromhex(sha256))
                await self._package(request, content, parse_file_name(name))
            case _:
                refuse(request, http.NOT_FOUND)
        return True

    async def _content(self, request: Request, sha256: str) -> None:
        piece = self._piece(sha256)
        if piece is None or self._archive is None:
            refuse(request, http.NOT_FOUND)
            return
        try:
            opened = await in_thread(self._parts.reactor, _open, self._archive, piece)
        except StoreError:
            refuse(request, http.NOT_FOUND)
            return
        await send_opened(request, opened, bytes.fromhex(sha256), lambda _: None)

    async def _package(self, request: Request, content: Content, file: FileName | None) -> None:
        """Send what is held, or have it come from who holds it; mirrors are not asked."""
        if file is None or file.kind is not Kind.PACKAGE:
            refuse(request, http.NOT_FOUND)
            return
        one = PacmanRequest(request, Asked("", "", file), self._parts)
        if await one.send_held(content, signature=file.is_signature):
            return
        if file.is_signature:
            await _signature(one, content)
        elif not self._is_at_peers(file.subject, content):
            refuse(request, http.NOT_FOUND)
        elif request.method == b"HEAD":
            request.setHeader("Content-Length", str(content.size))
            request.finish()
        else:
            entry = Entry("", file.subject, file.name, file.version, content.size, content.sha256)
            await one.follow(self._packages.ahead(one.asked, entry, mirrors=False, spares=False))


async def _signature(one: PacmanRequest, content: Content) -> None:
    """Send the signature of a package that has just come: it may not be kept yet, or found."""
    coming = one.parts.transfers.signature(one.asked.file.subject)
    signature = None
    if coming is not None and coming[0].subject.content == content:
        with suppress(FloconError, TimeoutError):
            signature = await one.in_time(coming[1])
    if signature is None:
        refuse(one.request, http.NOT_FOUND)
    else:
        one.send_bytes(signature)


def _open(archive: Archive, piece: Piece) -> Opened:
    descriptor = archive.open_piece(piece)
    return Opened(descriptor, stamp_of(os.fstat(descriptor)))


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS


def _segments(path: bytes) -> list[Any]:
    try:
        return [unquote_to_bytes(part).decode("ascii") for part in path.split(b"/")]
    except UnicodeDecodeError:
        return []

"""The face peers use, on 19432: held packages and the inventory, nothing else of this machine.

Whoever is on the LAN can ask, so a path is one of a few fixed shapes, a file is looked up by a
checked name in memory before any disk is touched, and every answer is bounded. Browsers are told
in a sentence what this is, and nothing else: on a LAN no browser says whether a person or a page of
the Internet has it ask. What is refused is counted, not logged.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from twisted.web import http

from flocon.answering.growing import send_growing, tell_content
from flocon.answering.held import CONTENT_TYPE, send_opened, whole_answer
from flocon.answering.pace import LONGEST_STAND, LONGEST_STAND_RELAYED, Yielding
from flocon.answering.respond import (
    cut,
    finish_text,
    is_for,
    is_from_browser,
    is_from_foreign_page,
    is_unhurried,
    refuse,
    respond,
)
from flocon.answering.sendfile import little_unsent
from flocon.answering.visitors import Names, lan_names
from flocon.asking.mirrors import LOOP_DETECTED, LOOP_HEADER
from flocon.errors import FloconError, StoreError
from flocon.faces.lan_databases import DatabaseAnswers
from flocon.faces.lan_inventory import InventoryAnswers
from flocon.files import Kind, parse_content, parse_file_name, parse_parts
from flocon.serving.repeating import admit
from flocon.serving.site import host_of
from flocon.transfers.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from twisted.web.http import Request

    from flocon.answering.pace import Pace, Pacer
    from flocon.faces.needs import Found, Shelf
    from flocon.files import Asked, FileName
    from flocon.neighbours.knock import Knocker
    from flocon.serving.repeating import Repeating
    from flocon.transfers.subjects import Subject

#: RFC 6585; twisted.web has no name for it.
TOO_MANY_REQUESTS = 429
#: Longest path that can name something here, escaped.
LONGEST_PATH = 1_024
#: What a person reads who opens this address in a browser. The same for everybody.
SENTENCE = (
    b"This is flocon: it gives pacman's packages to the other machines of this network. There is"
    b" nothing to see here; its status page is http://localhost:19433/ on the machine itself.\n"
)


class Lan:
    """The face for peers; see docs/protocol.rst for its paths."""

    def __init__(
        self,
        shelf: Shelf,
        pacer: Pacer | None = None,
        knocker: Knocker | None = None,
        names: Names | None = None,
    ) -> None:
        self._names = names or lan_names("")
        self._shelf = shelf
        self._pacer = pacer
        self._knocker = knocker
        self.counters: Counter[str] = Counter()
        self._inventory = InventoryAnswers(shelf)
        self._databases = DatabaseAnswers(shelf, self.counters, pacer)

    def at_once(self, channel: Repeating, path: bytes, content: bytes | None) -> bytes | None:
        """Return the whole answer to who may ask, where a small file is held and needs no disk."""
        match _segments(path):
            case ["pkg", name] if self._pacer is None or not self._pacer.is_bounded:
                file = parse_file_name(name)
            case _:
                return None
        if file is None or file.kind is not Kind.PACKAGE:
            return None
        found = self._find_offered(file)
        if found is None:
            return None
        sha256 = found.content.sha256
        if content is not None and content != sha256.hex().encode():
            return None
        read = self._shelf.opening.read_at_once(found, signature=file.is_signature, own=False)
        if read is None:
            return None
        data, modified = read
        self.counters["files"] += 1
        self._shelf.precedence.asked()
        self._count_hurried(channel.address, len(data))
        return whole_answer(data, modified, None if file.is_signature else sha256, {})

    def render(self, request: Request) -> None:
        respond(request, self._answer(request), self.counters)

    async def _answer(self, request: Request) -> None:
        if request.method not in {b"GET", b"HEAD"}:
            request.setHeader("Allow", "GET, HEAD")
            self._refuse(request, http.NOT_ALLOWED)
        elif request.path == b"/":
            finish_text(request, SENTENCE, "text/plain; charset=utf-8")
        elif not self._may_ask(request):
            self._refuse(request, http.FORBIDDEN)
        else:
            await self._find(request)

    async def _find(self, request: Request) -> None:
        """Answer by what the path names."""
        match _segments(request.path):
            case ["pkg", name]:
                admit(request)
                await self._in_turn(request, self._package(request, name))
            case ["content", sha256, name]:
                await self._in_turn(request, self._content(request, sha256, name))
            case ["inventory"]:
                self.counters["inventories"] += 1
                await self._inventory.send(request, _number(request, b"since"))
            case [("db" | "state") as kind, *which]:
                await self._database(request, kind, which)
            case ["own", *which]:
                await self._own(request, which)
            case ["knock"] if self._knocker is not None:
                await self._knock(request, self._knocker)
            case ["relay", repository, architecture, name]:
                asked = parse_parts(repository, architecture, name)
                await self._in_turn(request, self._relay(request, asked))
            case _ if request.requestHeaders.hasHeader(LOOP_HEADER):
                # A node that has this one for a mirror, or for a proxy: by this port it is none.
                self._refuse(request, LOOP_DETECTED)
            case _:
                self._refuse(request, http.NOT_FOUND)

    async def _in_turn(self, request: Request, answer: Coroutine[Any, Any, None]) -> None:
        """Answer with a file: what nobody waits for within bounds, and after all else."""
        if not is_unhurried(request):
            self._shelf.precedence.asked()
            await answer
            return
        crowd, asker = self._shelf.crowd, host_of(request.client)
        if crowd.is_full() or not crowd.has_room_for(asker):
            answer.close()
            self._refuse(request, http.SERVICE_UNAVAILABLE)
            return
        crowd.enter(asker)
        try:
            # Bytes that the kernel has cannot stand still any more.
            with little_unsent(request):
                await answer
        finally:
            crowd.leave(asker)

    def _pace(self, request: Request, longest: float = LONGEST_STAND) -> Pace | None:
        """Return what bounds how fast an answer goes, and for how long it may stand still."""
        if not is_unhurried(request):
            return self._pacer
        shelf = self._shelf
        return Yielding(shelf.reactor, shelf.precedence, self._pacer, lambda: cut(request), longest)

    def _may_ask(self, request: Request) -> bool:
        """Whether it is no browser, and meant this machine: not a name that a page gave it."""
        return not (
            is_from_browser(request)
            or is_from_foreign_page(request)
            or not is_for(self._names, request)
        )

    def _refuse(self, request: Request, status: int) -> None:
        self.counters[f"refused {status}"] += 1
        refuse(request, status)

    def _counts(self, request: Request) -> Callable[[int], None]:
        """Return what takes note of the bytes that an asker is sent."""
        count = self._shelf.traffic.to_peer if is_unhurried(request) else self._count_hurried
        return partial(count, host_of(request.client))

    def _count_hurried(self, address: str, number: int) -> None:
        self._shelf.precedence.sent(number)
        self._shelf.traffic.to_peer(address, number)

    def _find_offered(self, file: FileName) -> Found | None:
        """Return what others may be given by a name."""
        found = self._shelf.offering.find(file.subject)
        if found is None or not self._shelf.privacy.allows(file.subject, found.content):
            return None
        return found

    async def _package(self, request: Request, name: str) -> None:
        file = parse_file_name(name)
        if file is None or file.kind is not Kind.PACKAGE or not await self._held(request, file):
            self._refuse(request, http.NOT_FOUND)

    async def _content(self, request: Request, sha256: str, name: str) -> None:
        """Send a held package to another machine's pacman, which its node sent here for it."""
        named = parse_content(sha256, name)
        if named is None or not await self._held(request, *named):
            self._refuse(request, http.NOT_FOUND)

    async def give(self, request: Request, file: FileName, sha256: bytes | None = None) -> bool:
        """Send a held file as to any peer, whichever face was asked for it; or return False."""
        self._shelf.precedence.asked()
        return await self._held(request, file, sha256)

    async def _held(self, request: Request, file: FileName, sha256: bytes | None = None) -> bool:
        """Send a held file, or return False; an ``If-Match`` of another content is no match."""
        found = self._find_offered(file)
        if found is None or not _matches(request, found.content.sha256):
            return False
        if sha256 not in {None, found.content.sha256}:
            return False
        try:
            opened = await self._shelf.opening.open(found, signature=file.is_signature, own=False)
        except StoreError:
            return False
        self.counters["files"] += 1
        digest = None if file.is_signature else found.content.sha256
        await send_opened(
            request, opened, digest, self._counts(request), self._pace(request), to_stranger=True
        )
        return True

    async def _database(self, request: Request, kind: str, which: Sequence[str]) -> None:
        """Send a sync database that this node shares, or one of the state that it gives."""
        status = await self._databases.answer(request, kind, which, self._counts(request))
        if status is not None:
            self._refuse(request, status)

    async def _own(self, request: Request, which: Sequence[str]) -> None:
        """Tell of an own repository, or send a file of it."""
        from flocon.faces import lan_own  # noqa: PLC0415 - few nodes have any

        own, count = self._shelf.own_repositories(), self._counts(request)
        status = await lan_own.answer(
            own, request, which, count, pacer=self._pacer, counters=self.counters
        )
        if status is not None:
            self._refuse(request, status)

    async def _knock(self, request: Request, knocker: Knocker) -> None:
        """Tell the asker whether its own port is open as seen from here."""
        answer = await knocker.knock(request.client, _number(request, b"port"))
        if answer is None:
            self._refuse(request, TOO_MANY_REQUESTS)
            return
        self.counters["knocks"] += 1
        finish_text(request, json.dumps(answer).encode() + b"\n", "application/json")

    async def _relay(self, request: Request, asked: Asked | None) -> None:
        """Fetch for the LAN, as a file's owner: once, however many ask."""
        if asked is None or asked.file.kind is not Kind.PACKAGE:
            self._refuse(request, http.NOT_FOUND)
        elif request.requestHeaders.hasHeader(LOOP_HEADER):
            # A node that was sent here by its mirror: owners are asked by peers, of their own will.
            self._refuse(request, LOOP_DETECTED)
        elif not await self._held(request, asked.file):
            if asked.file.is_signature:
                await self._coming_signature(request, asked)
            else:
                await self._coming(request, asked)

    async def _coming(self, request: Request, asked: Asked) -> None:
        etag = request.getHeader("If-Match")
        if request.method == b"HEAD":
            listed = self._shelf.for_peers.listed(asked, etag)
            if listed is None:
                self._refuse(request, http.SERVICE_UNAVAILABLE)
            else:
                tell_content(request, *listed)
            return
        if request.getHeader("Cache-Control") == "only-if-cached":
            transfer, otherwise = self._shelf.for_peers.coming(asked, etag), http.GATEWAY_TIMEOUT
        else:
            transfer = await self._shelf.for_peers.relay(
                asked, etag, host_of(request.client), unhurried=is_unhurried(request)
            )
            otherwise = http.SERVICE_UNAVAILABLE
        if transfer is None or transfer.size is None:
            self._refuse(request, otherwise)
            return
        self.counters["relayed"] += 1
        reader = Reader(transfer, 0, verifies=True, hurried=not is_unhurried(request))
        try:
            # The head goes out before the first byte is there: the asker learns that it is served.
            # What was sent is to be what was taken, or it cannot be told who only sips.
            with little_unsent(request):
                await send_growing(
                    request,
                    transfer,
                    reader,
                    size=transfer.size,
                    count=self._counts(request),
                    pacer=self._pace(request, LONGEST_STAND_RELAYED),
                )
        finally:
            reader.close()

    async def _coming_signature(self, request: Request, asked: Asked) -> None:
        coming = self._shelf.transfers.signature(asked.file.subject)
        signature = None
        if coming is not None and self._may_tell(request, coming[0].subject):
            with suppress(FloconError):
                signature = await coming[1]
        if signature is None:
            self._refuse(request, http.NOT_FOUND)
            return
        request.setHeader("Content-Type", CONTENT_TYPE)
        request.setHeader("Content-Length", str(len(signature)))
        request.write(b"" if request.method == b"HEAD" else signature)
        self._counts(request)(len(signature))
        request.finish()

    def _may_tell(self, request: Request, subject: Subject) -> bool:
        """Whether others may hear of what is coming, and it is what is meant.

        Its repository is not the asker's to say.
        """
        content = subject.content
        if content is None or not _matches(request, content.sha256):
            return False
        return self._shelf.privacy.allows(subject.file_name, content)

    def close(self) -> None:
        """Give the written inventory's memory back; who is being sent it has it still."""
        self._inventory.close()


def _segments(path: bytes) -> list[str]:
    """Split a path and unescape each part once; empty where it cannot name anything."""
    if len(path) > LONGEST_PATH or not path.startswith(b"/"):
        return []
    try:
        return [unquote_to_bytes(part).decode("ascii") for part in path[1:].split(b"/")]
    except UnicodeDecodeError:
        return []


def _matches(request: Request, sha256: bytes) -> bool:
    wanted = request.getHeader("If-Match")
    return wanted is None or wanted == f'"{sha256.hex()}"'


def _number(request: Request, field: bytes) -> int | None:
    values: list[Any] = (request.args or {}).get(field, [])
    if len(values) == 1 and values[0].isdigit() and len(values[0]) <= 15:  # noqa: PLR2004
        return int(values[0])
    return None

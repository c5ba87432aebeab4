"""The face for machines without a node, on 19434: a mirror, as pacman knows them.

What the state that is given out lists is given, and nothing else: databases with the signatures and
lists of files of the same state, packages that are here, and those that come because of this.
Whoever is on the LAN can ask, so paths are checked as a whole (``clients.layouts``), a name is
looked up in memory before any disk is touched, each file is open once, and who asks for how much is
bounded by address. Pages of browsers have no business here. What is refused is counted, not logged.
"""

from __future__ import annotations

import time
from collections import Counter
from email.utils import formatdate
from typing import TYPE_CHECKING

from twisted.internet.defer import TimeoutError  # noqa: A004 - Twisted's own
from twisted.web import http

from flocon.answering.held import send_opened, since_of
from flocon.answering.respond import (
    finish_text,
    is_for,
    is_from_browser,
    is_from_foreign_page,
    refuse,
    respond,
)
from flocon.answering.shared import SharedFiles
from flocon.answering.visitors import Names, forwarded_for, lan_names
from flocon.asking.mirrors import LOOP_DETECTED, LOOP_HEADER, loop_mark
from flocon.asking.patience import PACMAN
from flocon.clients.given import Given, Lists
from flocon.clients.layouts import SYNCED, parse_asked
from flocon.clients.mirror_packages import MirrorPackages
from flocon.errors import StoreError
from flocon.files import Kind
from flocon.serving.repeating import admit
from flocon.serving.site import host_of
from flocon.states.generation import Where

if TYPE_CHECKING:
    from twisted.web.http import Request

    from flocon.clients.needs import ForMirror
    from flocon.files import Asked
    from flocon.pacman.entries import Entry
    from flocon.serving.repeating import Repeating
    from flocon.states.generation import Generation, Piece
    from flocon.states.publication import Published

TEXT = "text/plain; charset=utf-8"
#: What is counted as answered; all else is of what was refused.
ANSWERS = frozenset({"databases", "held", "handed over", "coming"})
#: Seconds after which a client may ask again while nothing is published yet.
RETRY = "10"
DATABASE, FILES = "db", "files"
DATABASE_SIGNATURE, FILES_SIGNATURE = "db.sig", "files.sig"


class MirrorFace:
    """Answers as a mirror does; ``names`` are those by which it may be asked for."""

    #: The wall's clock: dates are told by it.
    _now = staticmethod(time.time)

    def __init__(self, parts: ForMirror, names: Names | None = None) -> None:
        self._parts = parts
        self._names = names or lan_names("")
        self._files = SharedFiles()
        self._given = Given()
        self._lists = Lists()
        self.counters: Counter[str] = Counter()
        self._packages = MirrorPackages(parts, self._files, self.counters)

    def at_once(self, channel: Repeating, path: bytes, content: bytes | None) -> bytes | None:
        """Return the whole answer to who may ask, for what is small, listed and held."""
        asked = parse_asked(path, self._parts.layouts())
        if content is not None or asked is None or asked.file.kind is not Kind.PACKAGE:
            return None
        if self._parts.states.published is None or not self._parts.allows(asked.repository):
            return None
        client, where = channel.address, Where(asked.architecture, asked.repository)
        entry = self._entry(client, where, asked)
        if entry is None:
            return None
        answer = self._packages.at_once(entry, client, signature=asked.file.is_signature)
        if answer is not None and not asked.file.is_signature:
            self._parts.asked_for(client, where, entry)
        return answer

    def render(self, request: Request) -> None:
        respond(request, self._answer(request), self.counters)

    async def _answer(self, request: Request) -> None:
        if not is_for(self._names, request) or is_from_foreign_page(request):
            self._refuse(request, http.FORBIDDEN)
        elif request.method not in {b"GET", b"HEAD"}:
            request.setHeader("Allow", "GET, HEAD")
            self._refuse(request, http.NOT_ALLOWED)
        elif request.path == b"/":
            finish_text(request, self._sentence(request), TEXT)
        elif request.path == b"/status":
            # flexo's, for who watches over it.
            finish_text(request, b"", TEXT)
        elif is_from_browser(request):
            self._refuse(request, http.FORBIDDEN)
        elif request.getHeader(LOOP_HEADER) == loop_mark():
            # This node itself, which has itself for a mirror: it would wait for its own answer.
            self._refuse(request, LOOP_DETECTED)
        else:
            admit(request)
            await self._file(request)

    async def _file(self, request: Request) -> None:
        asked = parse_asked(request.path, self._parts.layouts())
        published = self._parts.states.published
        if asked is None:
            self._refuse(request, http.NOT_FOUND)
        elif published is None:
            # A mirror that has nothing yet is not one that lacks a file.
            request.setHeader("Retry-After", RETRY)
            self._refuse(request, http.SERVICE_UNAVAILABLE)
        elif asked.file.kind is Kind.NOTE:
            self._note(request, asked, published[1])
        elif not self._parts.allows(asked.repository):
            self._refuse(request, http.NOT_FOUND)
        elif asked.file.kind is Kind.DATABASE:
            await self._database(request, asked)
        else:
            await self._package(request, asked)

    def _note(self, request: Request, asked: Asked, published: Published) -> None:
        """Say since when the databases are what they are, or when they were read last."""
        synced = self._parts.states.state.refreshed
        second = synced if asked.file.text == SYNCED else published.since
        request.setHeader("Last-Modified", formatdate(second, usegmt=True))
        finish_text(request, f"{second}\n".encode(), TEXT)

    def _client(self, request: Request) -> str:
        """Return the address of who asks, as a proxy on this machine tells it."""
        address = host_of(request.client)
        told = request.requestHeaders.getRawHeaders("X-Forwarded-For", [])
        return forwarded_for(address, told)

    # Databases

    async def _database(self, request: Request, asked: Asked) -> None:
        client, where = self._client(request), Where(asked.architecture, asked.repository)
        published = self._parts.states.published
        if published is None or where not in published[0].databases:
            self._refuse(request, http.NOT_FOUND)
        elif asked.file.subject.endswith(".files"):
            await self._list(request, client, where, asked)
        elif asked.file.is_signature:
            given = self._parts.states.given(client, where) or published
            # A client may have one of another mirror, of a later date, and pacman asks with that.
            date = self._date(request, client, where, DATABASE_SIGNATURE, given)
            await self._send(request, client, given[0].databases[where].signature, date)
        else:
            give = self._parts.states.give if request.method == b"GET" else lambda *_: None
            given = give(client, where) or published
            date = self._date(request, client, where, DATABASE, given)
            await self._send(request, client, given[0].databases[where].database, date)

    async def _list(self, request: Request, client: str, where: Where, asked: Asked) -> None:
        """Answer with the list of files of the state whose database a client has."""
        chosen = await self._with_list(client, where, again=asked.file.is_signature)
        if chosen is None:
            self._refuse(request, http.NOT_FOUND)
        elif asked.file.is_signature:
            signature = chosen[0].databases[where].files_signature
            date = self._date(request, client, where, FILES_SIGNATURE, chosen)
            await self._send(request, client, signature, date)
        else:
            if request.method == b"GET":
                self._lists.note(client, where, chosen[0].identity)
            date = self._date(request, client, where, FILES, chosen)
            await self._send(request, client, chosen[0].databases[where].files, date)

    async def _with_list(
        self, client: str, where: Where, *, again: bool
    ) -> tuple[Generation, Published] | None:
        """Return the first state for this client that has a list of files, or can be given one.

        ``again`` is for who was given one a moment ago: it is of that state.
        """
        states, published = self._parts.states, self._parts.states.published
        if published is None:
            return None
        given = states.given(client, where) or published
        last = states.find(self._lists.of(client, where)) if again else None
        if last is not None:
            return last, published[1]
        choices = {one[0].identity: one for one in (given, published)}
        for generation, since in choices.values():
            files = generation.databases.get(where)
            if files is not None and files.files is not None:
                return generation, since
        for generation, since in choices.values():
            found = await self._fetched_list(generation, where)
            if found is not None:
                return found, since
        return None

    async def _fetched_list(self, generation: Generation, where: Where) -> Generation | None:
        """Return a state with its list, which is fetched if need be; None where that takes long."""
        fetching = self._parts.with_files(generation, where)
        try:
            return await fetching.addTimeout(PACMAN, self._parts.reactor)
        except TimeoutError:
            # It comes all the same, and is there when the client asks again.
            return None

    async def _send(
        self, request: Request, client: str, piece: Piece | None, date: int | None
    ) -> None:
        if piece is None:
            self._refuse(request, http.NOT_FOUND)
            return
        try:
            opened = await self._files.open(
                piece.sha256, lambda: self._parts.states.open_piece(piece), date
            )
        except StoreError:
            # It is listed and gone: nothing that the client has asked wrongly.
            self._refuse(request, http.SERVICE_UNAVAILABLE)
            return
        self.counters["databases"] += 1
        # A proxy between that keeps one would hand it on with the next one's signature.
        request.setHeader("Cache-Control", "no-cache")
        count = self._packages.counts(client, package=False)
        digest = bytes.fromhex(piece.sha256)
        await send_opened(request, opened, digest, count, dated=date is not None)

    def _date(
        self,
        request: Request,
        client: str,
        where: Where,
        kind: str,
        chosen: tuple[Generation, Published],
    ) -> int | None:
        """Return the second that a client's copy is to bear."""
        return self._given.date(
            client,
            where,
            kind,
            identity=chosen[0].identity,
            since=chosen[1].since,
            has=since_of(request),
            now=self._now(),
        )

    # Packages

    async def _package(self, request: Request, asked: Asked) -> None:
        client, where = self._client(request), Where(asked.architecture, asked.repository)
        entry = self._entry(client, where, asked)
        if entry is None:
            self._refuse(request, http.NOT_FOUND)
            return
        await self._packages.answer(request, asked, entry, client)
        # Not before: who asks and takes nothing has nothing wanted.
        is_given = request.method == b"GET" and request.code < http.BAD_REQUEST
        if is_given and not asked.file.is_signature:
            self._parts.asked_for(client, where, entry)

    def _entry(self, client: str, where: Where, asked: Asked) -> Entry | None:
        """Return what lists a package for a client: the state that it was given, or another."""
        states = self._parts.states
        given = states.given(client, where)
        database = None if given is None else states.catalogue.database(given[0], where)
        entry = None if database is None else database.entries.get(asked.file.subject)
        return entry or states.catalogue.entry(where, asked.file.subject)

    def _sentence(self, request: Request) -> bytes:
        """Return what a person reads who opens this address in a browser."""
        published = self._parts.states.published
        port = getattr(request.getHost(), "port", "")
        lines = [
            "This is flocon, a mirror of pacman's packages for the machines of this network.",
            "",
            f"In pacman.conf or mirrorlist:  Server = http://THIS-HOST:{port}/$repo/os/$arch",
            "",
        ]
        if published is None:
            lines.append(
                "It has no databases yet; 'flocon mirror status' on that machine says why."
            )
        else:
            lines.append(
                f"Databases, unchanged since {formatdate(published[1].since, usegmt=True)}:"
            )
            lines += [f"  {where}" for where in sorted(published[0].databases)]
        return ("\n".join(lines) + "\n").encode()

    def _refuse(self, request: Request, status: int) -> None:
        self.counters[f"refused {status}"] += 1
        refuse(request, status)

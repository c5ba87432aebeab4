"""Why it comes from there: how a file would be answered now, whom this node would ask, whom not.

Nothing is decided here: the order of sources is that of ``sources``, asked for, and ``reasons``
puts it into words.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from twisted.internet import task

from flocon.advice.search import MOST_FILES, ROWS, entry_values, held_with
from flocon.asking.addresses import without_user
from flocon.asking.source import Origin, Source
from flocon.files import Asked, FileName, Kind, parse_file_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import ModuleType
    from typing import TypeVar

    from flocon.books.recent import Recent
    from flocon.files import Content
    from flocon.holdings.offering import Offering
    from flocon.neighbours.neighbourhood import Neighbourhood
    from flocon.neighbours.quarantine import Quarantine
    from flocon.neighbours.standing import Standing
    from flocon.pacman.entries import Entry
    from flocon.pacman.watch import PacmanWatch
    from flocon.presence.peer import Peer
    from flocon.presence.presence import Presence
    from flocon.settings.settings import Settings
    from flocon.sources.candidates import Candidates
    from flocon.sources.listed import Listed
    from flocon.transfers.transfers import Transfers

    _T = TypeVar("_T")


class Why:
    """Answers ``/why.json`` and ``/recent.json``; ``contents`` gives what peers hold of a name."""

    def __init__(
        self,
        reactor: Any,
        *,
        settings: Callable[[], Settings],
        offering: Offering,
        listed: Listed,
        candidates: Candidates,
        transfers: Transfers,
        pacman: PacmanWatch,
        neighbourhood: Neighbourhood,
        presence: Presence,
        standing: Standing,
        quarantine: Quarantine,
        recent: Recent,
        contents: Callable[[str], Awaitable[Mapping[str, Content]]],
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._offering = offering
        self._listed = listed
        self._candidates = candidates
        self._transfers = transfers
        self._pacman = pacman
        self._neighbourhood = neighbourhood
        self._presence = presence
        self._standing = standing
        self._quarantine = quarantine
        self._recent = recent
        self._contents = contents
        #: Tells how the database of an own repository would be answered, "" where it is none.
        self.own_repositories: Callable[[str], str] = lambda _: ""
        #: Has those asked that tell of nothing by themselves, as for a transfer.
        self.look_up: Callable[[str, Content], Awaitable[None] | None] = lambda *_: None

    async def recent(self, _: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return what pacman asked lately, the newest first."""
        return [one.describe() for one in reversed(list(self._recent))]

    async def why(self, fields: Mapping[str, str]) -> dict[str, Any] | None:
        """Tell how ``file`` (of ``repository``, or of any) would be answered now, or was lately."""
        file = parse_file_name(fields.get("file", ""))
        if file is None:
            return None
        if file.kind is Kind.DATABASE:
            return self._why_database(file)
        asked = Asked(fields.get("repository", ""), "", file)
        await self._listed.settled()
        name = file.subject
        entry = self._listed.entry(asked)
        await self._listed.acquainted(entry)
        content = entry.content if entry else None
        here = held_with(self._offering, name, content)
        running = self._transfers.find(name, content) if content else None
        looking = self.look_up(name, content) if content else None
        if looking is not None:
            await looking
        order = self._candidates.order(name, self._candidates.servers(asked, entry), entry)
        holding = await self._contents(name)
        told: dict[str, Any] = {
            "file": name,
            "listed": [entry_values(one) for one in self._pacman.listing.find(name)],
            "here": {"origin": here.origin, "sha256": here.content.sha256.hex()} if here else None,
            "arriving": None,
            "order": await self._sliced(order, lambda source: self._candidate(source, entry)),
            "more_in_order": max(0, len(order) - MOST_FILES),
            **await self._left_out(entry, order, holding),
            "recent": [one.describe() for one in self._recent.of(name, name + ".sig")],
        }
        if running is not None:
            told["arriving"] = {
                "source": str(running.source) if running.source else "",
                "bytes": running.arrived,
                "size": running.size,
                "whole": running.verified,
            }
        told["answer"] = _reasons().answer(told)
        return told

    def _why_database(self, file: FileName) -> dict[str, Any]:
        asked = Asked(file.name, "", file)
        order = self._candidates.order(file.text, self._candidates.servers(asked, None), None)
        told: dict[str, Any] = {
            "file": file.text,
            "listed": [],
            "here": None,
            "arriving": None,
            "order": [self._candidate(source, None) for source in order],
            "left_out": [],
            "recent": [one.describe() for one in self._recent.of(file.text)],
        }
        told["answer"] = self.own_repositories(file.name) or _reasons().database_answer(
            file.name, self._settings().databases, order
        )
        return told

    def _candidate(self, source: Source, entry: Entry | None) -> dict[str, Any]:
        now = self._reactor.seconds()
        failing = self._standing.demoted(source.key, now)
        peer = self._presence.peer(source.node) if source.origin is Origin.PEER else None
        role = "parent" if source.parent else "mirror"
        if source.origin is Origin.PEER:
            role = "owner" if source.relayed else "holder"
            role = "earlier owner" if source.only_if_cached else role
            role = "foreign" if source.tool else role
        return {
            "role": role,
            "name": peer.name if peer else source.tool,
            "address": source.label,
            "url": without_user(source.url),
            "failing": failing,
            "bytes_per_second": round(self._standing.throughput(source.key)),
            "active": self._standing.active(source.key),
            "why": _reasons().reason(role, failing=failing),
        }

    async def _left_out(
        self, entry: Entry | None, order: Sequence[Source], holding: Mapping[str, Content]
    ) -> dict[str, Any]:
        """Tell of each peer that could have been meant, and why it is not asked."""
        asked = {source.node for source in order}
        able = self._neighbourhood.able(entry.repository) if entry is not None else []
        fetching = {peer.node for peer in able}
        peers = [peer for peer in self._presence.peers() if peer.node not in asked]

        def describe(peer: Peer) -> dict[str, Any]:
            held, is_able = holding.get(peer.node), peer.node in fetching
            why = self._why_not(peer, entry, held, able=is_able)
            return {"name": peer.name, "address": peer.address, "why": why}

        told = await self._sliced(sorted(peers, key=lambda peer: peer.name), describe)
        return {"left_out": told, "more_left_out": len(peers) - len(told)}

    async def _sliced(
        self, items: Sequence[_T], describe: Callable[[_T], dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Describe as many as are told, and let others run meanwhile."""
        told: list[dict[str, Any]] = []
        for start in range(0, min(len(items), MOST_FILES), ROWS):
            told += map(describe, items[start : min(start + ROWS, MOST_FILES)])
            await task.deferLater(self._reactor, 0)
        return told

    def _why_not(self, peer: Peer, entry: Entry | None, held: Content | None, *, able: bool) -> str:
        now = time.time()
        record = self._quarantine.record(peer.node, peer.address, now)
        why: str = _reasons().why_not(
            entry,
            held,
            term=record.described(now) if record else None,
            able=able,
            failing=self._standing.demoted(peer.address, self._reactor.seconds()),
        )
        return why


def _reasons() -> ModuleType:
    from flocon.advice import reasons  # noqa: PLC0415 - seldom asked

    return reasons

"""Asks the AUR about packages by its RPC: many at once, seldom, and within bounds."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flocon.asking.addresses import network_location
from flocon.asking.answer import NOT_MODIFIED
from flocon.asking.attempts import Limits
from flocon.asking.fetch import Wanted
from flocon.asking.in_time import in_time
from flocon.asking.small import fetch_small_with_head
from flocon.aur.clock import Dated
from flocon.aur.pauses import Pauses
from flocon.aur.records import AUR_SAYS, LARGEST, parse_records
from flocon.errors import (
    Broken,
    BuildError,
    ProtocolError,
    Refused,
    SourceError,
    Stalled,
    Unreachable,
)
from flocon.files import is_package_name
from flocon.log import logger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from twisted.web.iweb import IAgent

    from flocon.asking.answer import Head
    from flocon.aur.records import Record

#: Seconds of silence, in which so many bytes come of what is not; and of one question in all.
LIMITS = Limits(first_byte=20.0, stall=20.0, step=16 << 10)
LONGEST_QUESTION = 120.0
#: Bytes of a question: some hundred and fifty names.
LONGEST_URL = 4_000
#: Names that are asked for in one call.
MOST_NAMES = 3_000
#: Questions of which the answer is kept, to be asked again by its ETag, and bytes of all of them:
#: what was read of them takes ten times as many.
MOST_KEPT, MOST_BYTES_KEPT = 24, 3 << 20
#: Characters of a word that is searched for, at the least.
SHORTEST_WORD = 2
TOO_MANY = 429


class Aur:
    """The AUR's RPC at ``address``."""

    _log = logger()

    def __init__(self, reactor: Any, agent: IAgent, address: str) -> None:
        self._reactor = reactor
        self._agent = Dated(agent)
        self._address = address
        self._name = network_location(address)
        self._pauses = Pauses()
        #: By question: the ETag of its answer, what that said, and how many bytes it had.
        self._kept: OrderedDict[str, tuple[str, tuple[Record, ...], int]] = OrderedDict()

    async def info(self, names: Collection[str], *, urgent: bool = False) -> dict[str, Record]:
        """Return what the AUR says of packages by name; of one it does not know, nothing.

        ``urgent`` is for a person who waits: failures of before keep nobody from asking then.
        Raises a SourceError.
        """
        wanted = sorted({name for name in names if is_package_name(name)})
        if len(wanted) > MOST_NAMES:
            problem = f"{len(wanted)} packages are too many to ask the AUR for"
            raise BuildError(problem, f"{MOST_NAMES} are possible")
        found: dict[str, Record] = {}
        for url in self._questions(wanted):
            for record in await self._ask(url, urgent=urgent):
                found.setdefault(record.name, replace(record, told=self._agent.told))
        return {name: found[name] for name in wanted if name in found}

    async def search_provides(self, name: str, *, urgent: bool = False) -> tuple[Record, ...]:
        """Return the packages that say they provide ``name``, by votes, without their lists.

        Raises a SourceError.
        """
        if len(name) < SHORTEST_WORD or not is_package_name(name):
            return ()
        url = f"{self._address}/rpc/v5/search/{quote(name, safe='')}?by=provides"
        found = await self._ask(url, urgent=urgent)
        return tuple(sorted(found, key=lambda one: (-one.votes, one.name)))

    def _questions(self, names: Collection[str]) -> Iterator[str]:
        """Yield the addresses by which all of these names are asked for, none of them too long."""
        begin = f"{self._address}/rpc/v5/info?"
        url = begin
        for name in names:
            word = f"arg%5B%5D={quote(name, safe='')}"
            if url != begin and len(url) + 1 + len(word) > LONGEST_URL:
                yield url
                url = begin
            url += word if url == begin else f"&{word}"
        if url != begin:
            yield url

    async def _ask(self, url: str, *, urgent: bool) -> tuple[Record, ...]:
        now = self._reactor.seconds()
        self._pauses.demand_asked(self._name, now, urgent=urgent)
        if not self._pauses.take(now):
            raise Unreachable(self._name, "was asked as often today as one machine should")
        kept = self._kept.get(url)
        try:
            head, data = await self._fetch(url, kept[0] if kept else None)
        except SourceError as failure:
            self._learn(failure)
            raise
        if head.status == NOT_MODIFIED and kept is not None:
            self._pauses.answered()
            self._kept.move_to_end(url)
            return kept[1]
        return self._read(url, head, data)

    async def _fetch(self, url: str, etag: str | None) -> tuple[Head, bytes]:
        wanted = Wanted(url, self._name, none_match=etag)
        asking = fetch_small_with_head(self._agent, self._reactor, wanted, LIMITS, LARGEST)
        late = Stalled(self._name, f"took longer than {LONGEST_QUESTION:g} s")
        return await in_time(self._reactor, LONGEST_QUESTION, asking, late)

    def _read(self, url: str, head: Head, data: bytes) -> tuple[Record, ...]:
        try:
            records, others = parse_records(data)
        except ProtocolError as error:
            failure = Broken(self._name, str(error))
            # Where the AUR says itself what is wrong with a question, it is there for the others.
            if error.reason == AUR_SAYS:
                self._pauses.answered()
            else:
                self._learn(failure)
            raise failure from None
        self._pauses.answered()
        if others:
            self._log.warn(
                "{count} records of {name} are none, and left out", count=others, name=self._name
            )
        self._keep(url, head.etag, tuple(records), len(data))
        return tuple(records)

    def _keep(self, url: str, etag: str | None, records: tuple[Record, ...], size: int) -> None:
        self._kept.pop(url, None)
        if etag is not None:
            self._kept[url] = etag, records, size
        while len(self._kept) > MOST_KEPT or self._bytes_kept() > MOST_BYTES_KEPT:
            self._kept.popitem(last=False)

    def _bytes_kept(self) -> int:
        return sum(size for _, _, size in self._kept.values())

    def _learn(self, failure: SourceError) -> None:
        told, too_often = None, False
        if isinstance(failure, Refused):
            told, too_often = failure.retry_after, failure.status == TOO_MANY
        self._pauses.failed(self._reactor.seconds(), failure.detail, too_often=too_often, told=told)

"""python-zeroconf, as far as we need it: one instance of it, from its opening to its goodbye.

Everything here runs in the loop of ``responder``'s thread. What a name stands for, whether names
clash and when all of it stands still is decided elsewhere.
"""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from zeroconf import (  # type: ignore[attr-defined]  # not all is in its __all__
    AddressResolver,
    DNSOutgoing,
    DNSQuestion,
    DNSQuestionType,
    NonUniqueNameException,
    RecordUpdateListener,
    ServiceStateChange,
    current_time_millis,
)
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from flocon.mdns.services import (
    FLOCON,
    MOST_ADDRESSES,
    PACSERVE,
    TTL,
    Found,
    announced_addresses,
    in_reach,
    interfaces_of,
    label,
    lasting,
    packed,
    unpacked,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zeroconf import RecordUpdate, Zeroconf

    from flocon.machine.links import Link
    from flocon.mdns.services import Names, Network, Own
    from flocon.mdns.sieve import Sieve

KINDS = (PACSERVE, FLOCON)
#: Milliseconds that a look-up may take, and that another bearer of our host's name has to answer.
LOOK_UP_PATIENCE = 3_000
CLASH_PATIENCE = 500
#: Types of records: of a service's host and port, and of a host's addresses.
_SRV, _ADDRESSES = 33, (1, 28)
_PTR, _IN = 12, 1
#: Seconds that all goodbyes together may take.
FAREWELL = 1.5


class Library:
    """An open instance; ``heard`` and ``left`` are told of names, ``clashed`` that ours is taken.

    Opening raises OSError where UDP port 5353 cannot be had.
    """

    def __init__(
        self,
        links: Sequence[Link],
        sieve: Sieve,
        *,
        heard: Callable[[str, str], None],
        left: Callable[[str, str], None],
        clashed: Callable[[], None],
    ) -> None:
        self._links = links
        #: Networks on no link of ours whose services may be asked.
        self.networks: Sequence[Network] = ()
        self._sieve = sieve
        self._heard = heard
        self._left = left
        self._infos: dict[str, AsyncServiceInfo] = {}
        self._listener = Listener(clashed, sieve.expect)
        self._zeroconf = AsyncZeroconf(interfaces=list(interfaces_of(links)))
        self._browser: AsyncServiceBrowser | None = None

    async def begin(self) -> None:
        """Listen, and ask who is there."""
        await self._zeroconf.zeroconf.async_wait_for_start()
        self._zeroconf.zeroconf.async_add_listener(self._listener, None)
        self._browser = AsyncServiceBrowser(
            self._zeroconf.zeroconf, list(KINDS), handlers=[self._changed]
        )

    def ask(self) -> None:
        """Ask who is there, but for those that are known: the browser does so at its start alone.

        Whoever was cut off for a while, by a router that was restarted, announces itself to nobody.
        """
        now = current_time_millis()
        cache = self._zeroconf.zeroconf.cache
        out = DNSOutgoing(0)
        for kind in KINDS:
            out.add_question(DNSQuestion(kind, _PTR, _IN))
            for record in cache.async_all_by_details(kind, _PTR, _IN):
                if not record.is_stale(now):
                    out.add_answer_at_time(record, now)
        self._zeroconf.zeroconf.async_send(out)

    @property
    def remembered(self) -> int:
        """How much it remembers: names, and services of the types that are looked for."""
        cache = self._zeroconf.zeroconf.cache
        return len(cache.names()) + sum(len(cache.entries_with_name(kind)) for kind in KINDS)

    def _changed(
        self,
        zeroconf: Zeroconf,
        service_type: str,
        name: str,
        state_change: ServiceStateChange,
    ) -> None:
        """Be told of a service, by the library's own words for its arguments."""
        if state_change is ServiceStateChange.Removed:
            self._left(service_type, name)
        else:
            self._heard(service_type, name)

    # What is found

    async def look_up(self, kind: str, name: str) -> Found | None:
        """Return what a name stands for, or None where nobody says, or nobody near."""
        try:
            info = AsyncServiceInfo(kind, name)
            zeroconf = self._zeroconf.zeroconf
            known = info.load_from_cache(zeroconf)
            if not known and not await info.async_request(
                zeroconf, LOOK_UP_PATIENCE, question_type=DNSQuestionType.QM
            ):
                return None
        except Exception:  # noqa: BLE001 - a stranger chose the name: it may be anything
            self._sieve.counters["failed"] += 1
            return None
        told = info.parsed_scoped_addresses()[: 8 * MOST_ADDRESSES]
        addresses = in_reach(told, self._links, self.networks, far=kind == FLOCON)
        host = (info.server or "").removesuffix(".")
        if not addresses or not host.isprintable() or not info.port:
            return None
        return Found(label(name, kind), host, addresses, info.port, unpacked(info.text))

    # What is announced

    async def is_taken(self, names: Names) -> bool:
        """Whether another machine has our host's name."""
        resolver = AddressResolver(names.target)
        if not await resolver.async_request(
            self._zeroconf.zeroconf, CLASH_PATIENCE, question_type=DNSQuestionType.QM
        ):
            return False
        own = {str(one.ip) for link in self._links for one in link.addresses}
        found = (one.partition("%")[0] for one in resolver.parsed_scoped_addresses())
        return any(one not in own for one in found)

    async def announce(self, own: Own, names: Names) -> bool:
        """Announce this node under these names; whether nobody else has them."""
        self._listener.own(names, announced_addresses(self._links), self._links)
        told = await asyncio.gather(
            *(self._register(kind, info_of(kind, own, names, self._links)) for kind in KINDS)
        )
        if not all(told):
            await self.withdraw()
        return all(told)

    async def _register(self, kind: str, info: AsyncServiceInfo) -> bool:
        try:
            sent = await self._zeroconf.async_register_service(info)
        except NonUniqueNameException:
            return False
        self._infos[kind] = info
        await sent
        return True

    async def renew(self, own: Own, names: Names) -> None:
        """Say anew what changed of this node, under the same names."""
        self._listener.own(names, announced_addresses(self._links), self._links)
        for kind in self._infos:
            info = self._infos[kind] = info_of(kind, own, names, self._links)
            await (await self._zeroconf.async_update_service(info))

    async def withdraw(self) -> None:
        """Say goodbye under the names that were announced."""
        infos, self._infos = self._infos, {}
        self._listener.own(None, (), self._links)
        sent = [await self._zeroconf.async_unregister_service(one) for one in infos.values()]
        await asyncio.gather(*sent)

    async def be_on(self, links: Sequence[Link]) -> None:
        """Be on these links from now on; new ones are told who is here."""
        before, self._links = self._links, links
        kept = lasting(before, links)
        if kept and len(kept) < len(links):
            # The library knows links by their addresses: one that was made anew is to it as before.
            await self._zeroconf.async_update_interfaces(interfaces=list(interfaces_of(kept)))
        await self._zeroconf.async_update_interfaces(interfaces=list(interfaces_of(links)))

    async def close(self) -> None:
        """Say goodbye, and close."""
        try:
            await asyncio.wait_for(self.withdraw(), FAREWELL)
        except (TimeoutError, OSError):
            self._sieve.counters["unsent"] += 1
        if self._browser is not None:
            await self._browser.async_cancel()
        await self._zeroconf.async_close()


def info_of(kind: str, own: Own, names: Names, links: Sequence[Link]) -> AsyncServiceInfo:
    """Return what is announced of this node by a type, as the library has it."""
    return AsyncServiceInfo(
        kind,
        names.of(kind),
        port=own.port,
        properties=packed(own.texts(kind)),
        server=names.target,
        host_ttl=TTL,
        other_ttl=TTL,
        parsed_addresses=list(announced_addresses(links)),
    )


class Listener(RecordUpdateListener):
    """Sees each record that is read: whether it claims our names, and whose addresses to expect."""

    def __init__(self, clashed: Callable[[], None], expect: Callable[[str], None]) -> None:
        self._clashed = clashed
        self._expect = expect
        self._host = self._instances = ""
        self._own: frozenset[str] = frozenset()

    def own(self, names: Names | None, told: Sequence[str], links: Sequence[Link]) -> None:
        """Take these for ours: the names, and addresses that were told or are on our links."""
        self._host = "" if names is None else names.target
        self._instances = "" if names is None else names.instance.lower()
        here = {str(one.ip) for link in links for one in link.addresses}
        # What was told before comes back for a moment after a change.
        self._own = (self._own if names is not None else frozenset()) | here | frozenset(told)

    def async_update_records(self, zc: Zeroconf, now: float, records: list[RecordUpdate]) -> None:
        """Look at new records, by the library's own words for its arguments."""
        for update in records:
            record: Any = update.new
            if record.type == _SRV:
                self._expect(record.server)
                ours = self._host and record.name.lower().startswith(f"{self._instances}._")
                if ours and record.server.lower() != self._host and record.ttl:
                    self._clashed()
            elif record.type in _ADDRESSES and self._is_claim(record):
                self._clashed()

    def _is_claim(self, record: Any) -> bool:
        """Whether somebody else says that our host's name is his."""
        ours = bool(self._host) and record.name.lower() == self._host
        return ours and bool(record.ttl) and str(ip_address(record.address)) not in self._own

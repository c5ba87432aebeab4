"""What a node says of itself: to machines, to the page, to ``/metrics`` and to systemd.

It only reads. What the numbers are made of is the ledger's and the traffic's.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from flocon import __version__
from flocon.asking.source import FOR_US
from flocon.books.recent import HERE, whence
from flocon.books.units import counted, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flocon.advice.health import Health
    from flocon.ahead.ahead import Ahead, Readiness
    from flocon.books.figures import Figures
    from flocon.books.ledger import Ledger
    from flocon.books.traffic import Traffic
    from flocon.faces.doors import Doors
    from flocon.holdings.offering import Offering
    from flocon.machine.holds import Holds
    from flocon.neighbours.neighbourhood import Neighbourhood
    from flocon.neighbours.offenders import Offenders
    from flocon.neighbours.standing import Standing
    from flocon.presence.namesakes import Namesakes
    from flocon.presence.peer import Peer
    from flocon.presence.presence import Presence
    from flocon.sources.relays import Relays
    from flocon.store.accounts import Accounts
    from flocon.store.store import Store
    from flocon.transfers.transfer import Transfer
    from flocon.transfers.transfers import Transfers

#: Transfers told of, one by one, in ``/status.json``.
MOST_MOVING = 200


class Status:
    """``counters`` gives what the faces count; ``max_size`` is the store's, in bytes."""

    def __init__(
        self,
        reactor: Any,
        *,
        namesakes: Namesakes,
        doors: Doors,
        presence: Presence,
        neighbourhood: Neighbourhood,
        standing: Standing,
        offenders: Offenders,
        offering: Offering,
        accounts: Accounts,
        max_size: int,
        store: Store,
        transfers: Transfers,
        relays: Relays,
        ahead: Ahead,
        traffic: Traffic,
        ledger: Ledger,
        health: Health,
        holds: Holds,
        mirror: Callable[[], dict[str, Any] | None],
        builds: Callable[[], dict[str, Any] | None],
        own: Callable[[], list[dict[str, Any]]],
        dropped: Callable[[], Counter[str]],
        mdns: Callable[[], dict[str, Any] | None],
        followed: Callable[[], dict[str, Any] | None],
        counters: Callable[[], Counter[str]],
        parents: Callable[[], list[dict[str, Any]]] = list,
        foreign: Callable[[], list[dict[str, Any]]] = list,
        sites: Callable[[], list[dict[str, Any]]] = list,
        told_by: Callable[[str], str] = lambda _: "",
        adopted: Callable[[], list[dict[str, Any]]] = list,
        silent: Callable[[], list[dict[str, Any]]] = list,
        standins: Callable[[], list[dict[str, Any]]] = list,
    ) -> None:
        self._reactor = reactor
        self._started = reactor.seconds()
        self._namesakes = namesakes
        self._doors = doors
        self._presence = presence
        self._neighbourhood = neighbourhood
        self._standing = standing
        self._offenders = offenders
        self._offering = offering
        self._accounts = accounts
        self._max_size = max_size
        self._store = store
        self._transfers = transfers
        self._relays = relays
        self._ahead = ahead
        self._traffic = traffic
        self._ledger = ledger
        self._health = health
        self._holds = holds
        self._mirror = mirror
        self._builds = builds
        self._own = own
        self._dropped = dropped
        self._mdns = mdns
        self._followed = followed
        self._counters = counters
        self._parents = parents
        self._foreign = foreign
        self._sites = sites
        self._told_by = told_by
        self._adopted = adopted
        self._silent = silent
        self._standins = standins

    def start(self) -> None:
        """Take this moment as the one when the node started."""
        self._started = self._reactor.seconds()

    def describe(self) -> dict[str, Any]:
        """Return what ``/status.json`` says."""
        now = self._reactor.seconds()
        inventory = self._offering.inventory
        traffic, coming = self._traffic, self._ahead.prefetch.bringing
        return {
            "version": __version__,
            "node": self._namesakes.identity.node,
            "name": self._namesakes.identity.name,
            "namesake": self._namesakes.told,
            "control": self._doors.control,
            "uptime_seconds": round(now - self._started, 1),
            "peers": [self._peer_status(peer, now) for peer in self._presence.peers()],
            "inventory": {
                "files": len(inventory),
                "bytes": inventory.bytes,
                "generation": inventory.generation,
            },
            "traffic": {
                **traffic.describe(),
                "held_here_bytes": sum(self._ledger.given[kind] for kind in HERE),
                "ready_ahead_bytes": self._ledger.given["ahead"],
            },
            "takers": self._takers(),
            "takers_others_bytes": traffic.takers.others_bytes,
            "lan": self._lan_status(),
            "store": {
                "bytes": self._accounts.size,
                "max_size": self._max_size,
                "problem": self._store.problem,
            },
            "quarantine": [
                {
                    "node": record.node,
                    "address": record.address,
                    "since": _date(record.since),
                    "until": None if record.banned else _date(record.until),
                    "text": record.described(time.time()),
                    "strikes": record.strikes,
                    "why": record.why,
                }
                for record in self._offenders.quarantine.all(time.time())
            ],
            "relays": {
                "running": len(self._relays),
                "fetched_bytes": self._relays.fetched_bytes,
                "wasted_bytes": self._relays.wasted_bytes,
            },
            "answers": dict(traffic.answers),
            "transfers": len(list(self._transfers)),
            "moving": [_moving(transfer, now) for transfer in islice(self._transfers, MOST_MOVING)],
            "dropped_datagrams": dict(self._presence.counters + self._dropped()),
            "prefetch": {
                "running": bool(coming),
                "done": coming.done,
                "fetched": coming.fetched,
                "total": coming.total,
                "bytes": coming.fetched_bytes + self._ahead.arrived,
                "total_bytes": coming.total_bytes,
                "left_out": self._ahead.prefetch.left_out,
            },
            "ahead": _ahead(self._ahead.readiness()) | self._ledger.ahead.describe(),
            "reactor": self._holds.status(),
            "mirror": self._mirror(),
            "builds": self._builds(),
            "own": self._own(),
            "mdns": self._mdns(),
            "followed": self._followed(),
            "parents": self._parents(),
            "foreign": self._foreign(),
            "sites": self._sites(),
            "adopted": self._adopted(),
            "silent": self._silent(),
            "standins": self._standins(),
            **self._ledger.describe(),
        }

    def _lan_status(self) -> dict[str, int]:
        """Return what the LAN as a whole saved in 30 days: this node, and peers as they say it."""
        saved, crossed = self._ledger.month()
        told = [
            peer.savings
            for peer in self._presence.peers()
            if any(peer.savings) and not self._offenders.holds_off(peer)
        ]
        return {
            "nodes": 1 + len(told),
            "saved_bytes": saved + sum(one[0] << 20 for one in told),
            "crossed_bytes": crossed + sum(one[1] << 20 for one in told),
        }

    def _takers(self) -> list[dict[str, Any]]:
        """Return what each address took from this node, with its peer's name if nobody else has."""
        peers = self._presence.peers()
        bearers = Counter(peer.name for peer in peers)
        names: dict[str, set[str]] = {}
        for peer in peers:
            for address in self._addresses_of(peer):
                names.setdefault(address.partition("%")[0], set()).add(peer.name)
        certain = {
            address: told
            for address, told in names.items()
            if len(told) == 1 and all(bearers[name] == 1 for name in told)
        }
        return [
            {
                "address": address,
                "name": "".join(certain.get(address, ())),
                "peer": address in names,
                "bytes": count,
            }
            for address, count in self._traffic.takers.most_first()
        ]

    def _addresses_of(self, peer: Peer) -> list[str]:
        return [peer.address, *self._presence.elsewhere(peer.node)]

    def _peer_status(self, peer: Peer, now: float) -> dict[str, Any]:
        record = self._offenders.record(peer)
        replica = self._neighbourhood.holders.replica(peer.node)
        demoted = self._standing.demoted(peer.address, now)
        return {
            "node": peer.node,
            "name": peer.name,
            "address": peer.address,
            "port": peer.port,
            "far": peer.far,
            "proved": peer.proved,
            "told_by": self._name_of(self._told_by(peer.node)) if peer.far else "",
            "architectures": list(peer.architectures),
            "files": peer.files,
            "files_known": replica.files if replica else 0,
            "taken_bytes": sum(map(self._traffic.takers.of, self._addresses_of(peer))),
            "last_heard_seconds": round(self._presence.silence(now, peer), 1),
            "state": "quarantine" if record else "failing" if demoted else "good",
            "quarantine": record.described(time.time()) if record else None,
        }

    def _name_of(self, node: str) -> str:
        """Return what a node calls itself, or its id where it is not known."""
        peer = self._presence.peer(node) if node else None
        return peer.name if peer is not None else node

    def page(self) -> dict[str, Any]:
        """Return the status as a person reads it: names for addresses, and how this node is."""
        status, names = self.describe(), self._names()
        recent = [
            told
            | {
                "time": _clock(one.at),
                "whence": whence(told, lambda source: _whence(source, names)),
            }
            for one in reversed(list(self._ledger.recent))
            if not one.file_name.endswith(".sig") and (told := one.describe())
        ]
        moving = [one | {"whence": _whence(one["source"], names)} for one in status["moving"]]
        receipts = [one | {"time": _clock(one["at"], day=True)} for one in status["receipts"]]
        more = {"recent": recent, "moving": moving, "receipts": receipts}
        return status | more | {"health": self._health.describe()}

    def _names(self) -> dict[str, str]:
        """Return the name of each address that has one to itself: names are chosen by strangers."""
        peers = self._presence.peers()
        places = {(peer.name, peer.address) for peer in peers}
        bearers = Counter(name for name, _ in places)
        named = Counter(address for _, address in places)
        return {
            address: name for name, address in places if bearers[name] == 1 and named[address] == 1
        }

    def figures(self) -> Figures:
        """Return what ``/metrics`` says."""
        told = self.describe()
        own = {one["name"]: _figures_of(one) for one in told["own"]}
        standins = {one["tool"]: one["answers"] | one["refusals"] for one in told["standins"]}
        parents = {one["name"]: _figures_of_parent(one) for one in told["parents"]}
        figures = self._ledger.figures(told, self._counters())
        figures = replace(figures, own=own, standins=standins, parents=parents)
        if told["mirror"] is not None:
            from flocon.mirrors import telling  # noqa: PLC0415 - a node that is no mirror needs none

            figures = replace(figures, mirror=telling.figures(told["mirror"]))
        if told["builds"] is not None:
            from flocon.builds import sayings  # noqa: PLC0415 - nor one that builds nothing

            figures = replace(figures, builds=sayings.figures(told["builds"], time.time()))
        return figures

    def line(self) -> str:
        files, peers = len(self._offering.inventory), len(self._presence.peers())
        traffic = self._traffic
        lan, wan = traffic.from_peers_bytes >> 20, traffic.from_mirrors_bytes >> 20
        rest = f", {owners} by peers for us" if (owners := traffic.from_owners_bytes >> 20) else ""
        counts = f"{counted(peers, 'peer')}, {counted(files, 'package')} held"
        return f"{counts}; {lan} MiB from the LAN, {wan} from mirrors{rest}"


def _figures_of(repository: Mapping[str, Any]) -> dict[str, float]:
    """Return what ``/metrics`` says of an own repository."""
    return {
        "signed_timestamp_seconds": repository["signed"],
        "packages": repository["packages"],
        "copies_wanted": repository["copies"].get("wanted", 0),
        "copies_here": repository["copies"].get("here", 0),
    }


def _figures_of_parent(parent: Mapping[str, Any]) -> dict[str, float]:
    """Return what ``/metrics`` says of a caching proxy."""
    counts = ("bytes", "files", "missing", "failures", "wrong", "sent_elsewhere")
    return {name: parent[name] for name in counts}


def _ahead(readiness: Readiness) -> dict[str, Any]:
    """Return what ``/status.json`` says of the next upgrade; its text is empty if there is none."""
    return {**asdict(readiness), "text": _ready_text(readiness) if readiness.wanted else ""}


def _ready_text(told: Readiness) -> str:
    ready = f"{told.ready} of {counted(told.wanted, 'package')} ready for the next upgrade"
    parts = [f"{ready}, {size_text(told.ready_bytes)}"]
    for count, what in (
        (told.coming, "on the way"),
        (told.only_at_mirrors, "only at mirrors"),
        (told.left_out, "left out"),
    ):
        parts += [f"{count} {what}"] if count else []
    return "; ".join(parts)


def _moving(transfer: Transfer, now: float) -> dict[str, Any]:
    """Return what ``/status.json`` says of a file on its way; its rate is that since it began."""
    seconds = now - transfer.since
    rate = transfer.arrived / seconds if seconds > 0 else 0.0
    left = None
    if transfer.size is not None and rate > 0:
        left = round((transfer.size - transfer.arrived) / rate, 1)
    return {
        "file": transfer.subject.file_name,
        "bytes": transfer.arrived,
        "size": transfer.size,
        "bytes_per_second": round(rate),
        "seconds_left": left,
        "source": str(transfer.source) if transfer.source else "",
    }


def _clock(seconds: float, *, day: bool = False) -> str:
    form = "%Y-%m-%d %H:%M" if day else "%H:%M:%S"
    return time.strftime(form, time.localtime(seconds))


def _whence(source: str, names: Mapping[str, str]) -> str:
    """Return a source with the peer's name in the place of its address."""
    kind, _, place = source.partition(" ")
    if kind != "peer":
        return source
    address = place.removesuffix(FOR_US)
    return place.replace(address, names.get(address, address), 1)


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")

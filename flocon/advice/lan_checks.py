"""How the node stands among the others: whom it hears, who hears it, whether they agree.

From facts to findings: judges what the node told of its links and peers; nothing is asked or sent.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from flocon.advice.findings import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flocon.advice.facts import Facts

#: Seconds that clocks may differ.
MOST_CLOCK_ERROR = 60.0
#: Seconds by which databases may be older than a peer's: one runs pacman daily, one weekly.
STALE_AFTER = 86_400.0
#: Seconds that a database may be ahead of this clock: mirrors' clocks differ, too.
FUTURE = 3_600.0
#: Seconds in which whoever is there answers a hello.
ENOUGH_LISTENING = 5.0
FIREWALL = (
    "open 19432/tcp and 19432/udp: 'firewall-cmd --permanent --add-service=flocon && firewall-cmd"
    " --reload', 'ufw allow flocon', or see /usr/share/flocon/nftables.conf"
)


def check_links(facts: Facts) -> Iterator[Finding]:
    """Whether the interfaces are there, and connected to anything."""
    links = facts.node.get("links") if facts.node else None
    if not links:
        return
    running, silent = list(links.get("running") or ()), list(links.get("silent") or ())
    for name in links.get("missing") or ():
        there = f" ({', '.join(running)} is)" if running else ""
        yield Finding(
            "interface",
            Verdict.WRONG,
            f"there is no interface {name}, on which the node is to be present",
            f"name one that 'ip address' shows{there} with --interface, or in"
            " presence.interfaces of /etc/flocon.toml",
        )
    if running and not links.get("missing"):
        others = f" ({', '.join(silent)} not)" if silent else ""
        yield Finding("interface", Verdict.GOOD, f"{', '.join(running)} connected{others}")
    elif not running and silent:
        yield Finding(
            "interface",
            Verdict.WRONG,
            f"no carrier: {', '.join(silent)} is switched off, or connected to nothing",
            "plug the cable in, or join the Wi-Fi; 'ip link' shows the state",
        )


def check_identity(facts: Facts) -> Iterator[Finding]:
    """Whether another machine was met that had this node's id: each took the other for itself."""
    other = facts.node.get("namesake") if facts.node else None
    if not other:
        return
    path = shlex.quote(str((facts.node or {}).get("store", {}).get("path", "")) + "/node")
    who = f"{other.get('name')} at {other.get('address')}"
    yield Finding(
        "identity",
        Verdict.WARNING,
        f"{who} had this node's id, {other.get('node')}, as if both came from one image; one of"
        " the two has taken another",
        f"leave {path} out of what machines are made from",
    )


def check_multicast(facts: Facts) -> Iterator[Finding]:
    """Whether the group is joined on each link and this node's own datagrams come back."""
    if facts.node is None or facts.is_cut_off:
        return
    places = facts.rows("places")
    if not places:
        yield Finding(
            "multicast",
            Verdict.WRONG,
            "no interface that is up can multicast",
            "ip link set dev INTERFACE up multicast on",
        )
        return
    problems = list(_deaf_places(places))
    yield from problems
    if not problems:
        names = ", ".join(dict.fromkeys(str(place.get("link")) for place in places))
        yield Finding("multicast", Verdict.GOOD, f"own datagrams come back on {names}")


def _deaf_places(places: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    for place in places:
        where = f"{place.get('link')} (IPv{place.get('version')})"
        if not place.get("joined"):
            reason = f"the group is not joined on {where}"
            yield Finding("multicast", Verdict.WRONG, reason, "flocon rejoin")
        elif not place.get("own_heard"):
            sent = place.get("sent") or 0
            reason = f"of {sent} datagrams sent on {where} none came back: a firewall is in the way"
            if not sent:
                reason = f"no datagram could be sent on {where}"
            yield Finding("multicast", Verdict.WRONG, reason, FIREWALL)


def check_neighbours(facts: Facts) -> Iterator[Finding]:
    """Whether anybody is heard, and hears this node."""
    if facts.node is None or facts.is_cut_off:
        return
    peers = facts.rows("peers")
    # Whoever has this node's id is heard, and taken for itself.
    if not peers and facts.node.get("namesake"):
        return
    if not peers:
        yield _nobody(facts)
        return
    deaf = [one for one in facts.rows("knocks") if one.get("heard") is False]
    if deaf:
        yield Finding(
            "peers",
            Verdict.WRONG,
            f"this node hears {_names(deaf)}, but is not heard there",
            "on that machine: " + FIREWALL,
        )
    else:
        yield Finding("peers", Verdict.GOOD, f"{_names(peers)} heard")


def _nobody(facts: Facts) -> Finding:
    """Tell of a node that is alone: so is the first of a LAN, and one that has just begun."""
    node = facts.node or {}
    listened = float(node.get("listening_seconds", ENOUGH_LISTENING))
    if listened < ENOUGH_LISTENING:
        reason = f"nobody else is heard yet: this node listens for {listened:.0f} s now"
        return Finding("peers", Verdict.UNKNOWN, reason)
    causes = (
        "no other node runs, a firewall drops 19432/udp, or a switch with IGMP snooping has no"
        " querier"
    )
    remedy = (
        "start flocon on another machine; else give the switch a querier or end its snooping"
        " (a Linux bridge: ip link set dev BRIDGE type bridge mcast_querier 1)"
    )
    heard = any(place.get("others_heard") for place in facts.rows("places"))
    if heard or node.get("acquainted"):
        reason = f"joined and sent, but nobody is heard any more: {causes}"
        return Finding("peers", Verdict.WRONG, reason, remedy)
    reason = f"nobody else was ever heard: this is the first node of the LAN; if not, {causes}"
    return Finding("peers", Verdict.WARNING, reason, remedy)


def check_door(facts: Facts) -> Iterator[Finding]:
    """Whether the LAN port is open as seen from a peer."""
    if facts.node is None or not facts.rows("peers"):
        return
    port = facts.node.get("lan_port")
    knocks = [one for one in facts.rows("knocks") if isinstance(one.get("open"), bool)]
    closed = [one for one in knocks if not one["open"]]
    if not knocks:
        problems = [one for one in facts.rows("knocks") if one.get("problem")]
        why = f" ({problems[0]['problem']})" if problems else ""
        yield Finding(
            "port",
            Verdict.UNKNOWN,
            f"no peer could be asked to knock at port {port}{why}",
        )
    elif closed:
        yield Finding(
            "port", Verdict.WRONG, f"port {port} is closed as seen from {_names(closed)}", FIREWALL
        )
    else:
        yield Finding("port", Verdict.GOOD, f"port {port} is open as seen from {_names(knocks)}")


def check_clock(facts: Facts) -> Iterator[Finding]:
    """Whether this clock agrees with the peers', or at least with pacman's files."""
    if facts.node is None:
        return
    ahead = [
        float(one["clock_ahead_seconds"])
        for one in facts.rows("knocks")
        if isinstance(one.get("clock_ahead_seconds"), (int, float))
    ]
    remedy = "timedatectl set-ntp true"
    if ahead:
        ahead.sort()
        off = (ahead[(len(ahead) - 1) // 2] + ahead[len(ahead) // 2]) / 2
        if abs(off) > MOST_CLOCK_ERROR:
            way = "behind" if off > 0 else "ahead of"
            reason = f"this clock is {_duration(abs(off))} {way} those of the peers"
            yield Finding("clock", Verdict.WRONG, reason, remedy)
        else:
            yield Finding("clock", Verdict.GOOD, "this clock agrees with those of the peers")
        return
    newest = max(_times(facts.node.get("databases")).values(), default=0.0)
    if newest > facts.now + MOST_CLOCK_ERROR:
        reason = f"pacman's databases are {_duration(newest - facts.now)} in the future"
        yield Finding("clock", Verdict.WRONG, reason, remedy)
    else:
        yield Finding("clock", Verdict.UNKNOWN, "no peer's clock to compare with")


def check_architectures(facts: Facts) -> Iterator[Finding]:
    if facts.node is None:
        return
    own = set(facts.node.get("architectures") or ())
    others = [
        peer
        for peer in facts.rows("peers")
        if own and peer.get("architectures") and not own & set(peer["architectures"])
    ]
    if others:
        yield Finding(
            "architecture",
            Verdict.WARNING,
            f"{_names(others)} have packages of another architecture than {'/'.join(sorted(own))}:"
            " only those for any are shared",
        )
    elif facts.rows("peers"):
        yield Finding("architecture", Verdict.GOOD, "packages of the peers fit this machine")


def check_databases(facts: Facts) -> Iterator[Finding]:
    """Whether pacman's sync databases are there, and not much older than a peer's."""
    if facts.node is None:
        return
    own = _times(facts.node.get("databases"))
    unread = any(one.get("check") == "databases" for one in facts.rows("problems"))
    if not own and (unread or facts.lists_nothing or facts.has_no_pacman):
        return  # there are none to be, or check_told says what is wrong with them
    if not own and (further := facts.node.get("further")):
        yield Finding(
            "databases",
            Verdict.WARNING,
            "there is no sync database in pacman's own DBPath: only those that came through this"
            f" node for another one are known, of {', '.join(map(str, further))}",
            "pacman -Sy",
        )
        return
    if not own:
        yield Finding(
            "databases",
            Verdict.WRONG,
            "there is no sync database, so nothing is known to be right and no peer is asked",
            "pacman -Sy",
        )
        return
    ahead = {name: when - facts.now for name, when in own.items() if when > facts.now + FUTURE}
    if ahead and not _is_clock_wrong(facts):
        names = ", ".join(sorted(ahead))
        yield Finding(
            "databases",
            Verdict.WRONG,
            f"the databases of {names} are dated {_duration(max(ahead.values()))} in the future, so"
            " pacman takes no newer one",
            "pacman -Syyu",
        )
        return
    late: dict[str, float] = {}
    for knock in facts.rows("knocks"):
        for name, modified in _times(knock.get("databases")).items():
            if name in own and modified - own[name] > STALE_AFTER:
                late[name] = max(late.get(name, 0.0), modified - own[name])
    if late:
        names = ", ".join(sorted(late))
        yield Finding(
            "databases",
            Verdict.WRONG,
            f"the databases of {names} are {_duration(max(late.values()))} older than a peer's, so"
            " what is new there is not trusted here",
            "pacman -Syu",
        )
    else:
        yield Finding("databases", Verdict.GOOD, "the sync databases are as new as the peers'")


def _is_clock_wrong(facts: Facts) -> bool:
    return any(one.verdict is Verdict.WRONG for one in check_clock(facts))


def check_quarantine(facts: Facts) -> Iterator[Finding]:
    if facts.node is None:
        return
    for peer in facts.rows("peers"):
        if peer.get("quarantine"):
            yield Finding(
                "quarantine",
                Verdict.WARNING,
                f"{peer.get('name')} at {peer.get('address')} is in quarantine"
                f" {peer['quarantine']}",
                f"flocon pardon {shlex.quote(str(peer.get('address')))}",
            )


def _times(value: Any) -> dict[str, float]:
    return {str(name): float(one) for name, one in (value or {}).items()}


def _names(rows: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(f"{one.get('name')}" for one in rows)


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        # Clocks are told to the minute: two hours may be a little less.
        if seconds >= 1.95 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"

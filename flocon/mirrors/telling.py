"""What the mirror for the LAN says of itself, and what of that is not well. Decides only.

``/mirror.json`` has, all times in seconds since 1970 and None where there is none or nobody knows:

serves, problem     whether it is on; why the last refresh failed, else ""
refreshed           when a mirror was last read to its end, 0 for never
next_refresh        when the next one begins by itself
absent              databases that are to be mirrored and no mirror has, as "REPO (ARCH)"
policy, until       which state is meant ("latest", a snapshot, "3 days behind"), and till when
published, waiting  the state that clients are given, and the one that is to be next: ``_state``
missing             what is wanted of the next one and not here: packages, bytes, files (some)
wanting             what is fetched ahead: by_hand, pins, fetching, left_out, states (``fetching``)
generations         those that were read, the newest first: generation, of, last_update, made
snapshots           those kept, the newest first: name, generation, of, taken, in_use
clients             machines without a node, since the start: known, requests, packages, sent_bytes,
                    fetched_bytes (of them from the WAN), saved_bytes, last; what was refused, by
                    reason; the same of the latest
clearing            the store's: max_size, protected_bytes, cleared_packages, cleared_bytes
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.books.units import counted, size_text, time_text
from flocon.states.publication import LATEST, SNAPSHOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from flocon.states.generation import Generation, Where
    from flocon.states.publication import State

#: Keys that other parts of the mirror fill in, each by itself.
OTHERS = ("next_refresh", "absent", "wanting", "clients", "clearing")
_DAY = 86_400.0
#: Seconds after which a state is old: security updates of a week are missing in it.
OLD = 7 * _DAY
#: Seconds after which a mirror on the Internet is behind: Arch's change many times a day.
BEHIND = 2 * _DAY
#: Seconds without a new look, after which clients may miss something.
UNREAD = 2 * _DAY
#: Seconds by which clocks may differ.
CLOCKS_APART = 600.0


def describe(
    state: State,
    *,
    published: Generation | None,
    waiting: Generation | None,
    read: Sequence[Generation],
    snapshots: Mapping[str, tuple[Generation, int]],
    packages: Callable[[Generation, Where], int | None],
) -> dict[str, Any]:
    """Return what ``/mirror.json`` says of states; ``packages`` counts those that one lists."""
    now, policy = state.now, state.policy
    return {
        "refreshed": state.refreshed,
        "policy": str(policy),
        "until": policy.until or None,
        "published": None
        if published is None or now is None
        else _state(published, packages) | {"since": now.since},
        "waiting": None
        if waiting is None
        else _state(waiting, packages) | {"since": state.waiting_since},
        "generations": [
            {
                "generation": one.identity,
                "of": one.age_from,
                "last_update": one.last_update,
                "made": one.made,
            }
            for one in reversed(read)
        ],
        "snapshots": [
            {
                "name": name,
                "generation": one.identity,
                "of": one.age_from,
                "taken": taken,
                # As ``flocon snapshot list`` says it: what was said to be used, and not its state.
                "in_use": policy.kind == SNAPSHOT and policy.name == name,
            }
            for name, (one, taken) in sorted(snapshots.items(), key=lambda item: -item[1][1])
        ],
        **dict.fromkeys(OTHERS),
    }


def _state(
    generation: Generation, packages: Callable[[Generation, Where], int | None]
) -> dict[str, Any]:
    return {
        "generation": generation.identity,
        "of": generation.age_from,
        "made": generation.made,
        "source": generation.source,
        "databases": [
            {
                "repository": where.repository,
                "architecture": where.architecture,
                "packages": packages(generation, where),
                "signed": one.signature is not None,
            }
            for where, one in sorted(generation.databases.items())
        ],
    }


def missing(told: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what is wanted of the state that waits and not here, None where that is not known."""
    waiting, wanting = told["waiting"], told["wanting"]
    if waiting is None or wanting is None:
        return None
    known = wanting.get("states", {}).get(waiting["generation"])
    if known is None or known["lacks"] is None:
        return None
    return {
        "packages": known["lacks"],
        "bytes": known["lacking_bytes"],
        "files": known["lacking"],
    }


def figures(told: Mapping[str, Any]) -> dict[str, float]:
    """Return what ``/metrics`` says of it, by words that are a metric's name behind its prefix."""
    published, lacks = told["published"], told["missing"] or {"packages": 0, "bytes": 0}
    numbers: dict[str, float | None] = {
        "state_timestamp_seconds": published and published["of"],
        "published_timestamp_seconds": published and published["since"],
        "read_timestamp_seconds": told["refreshed"] or None,
        "failing": float(bool(told["problem"])),
        "waiting": float(told["waiting"] is not None),
        "missing_packages": lacks["packages"],
        "missing_bytes": lacks["bytes"],
        "snapshots": len(told["snapshots"]),
    }
    if (clearing := told["clearing"]) is not None:
        numbers["protected_bytes"] = clearing["protected_bytes"]
        numbers["cleared_bytes"] = clearing["cleared_bytes"]
    if (clients := told["clients"]) is not None:
        numbers["clients"] = clients["known"]
        numbers["client_requests"] = clients["requests"]
        numbers["client_bytes"] = clients["sent_bytes"]
        numbers["client_fetched_bytes"] = clients["fetched_bytes"]
    return {name: value for name, value in numbers.items() if value is not None}


def problems(told: Mapping[str, Any], now: float) -> Iterator[dict[str, Any]]:
    """Yield what is not well, as the doctor's ``tellers`` do."""
    found = (
        _unread(told, now),
        _unpublished(told),
        _old(told, now),
        _behind(told),
        _clock(told, now),
        _room(told),
    )
    for one in found:
        if one is not None:
            reason, remedy, wrong = one
            yield {"check": "mirror", "reason": reason, "remedy": remedy, "wrong": wrong}


Problem = tuple[str, str, bool]


def _unread(told: Mapping[str, Any], now: float) -> Problem | None:
    silent = now - told["refreshed"] if told["refreshed"] else None
    late = silent is not None and silent > UNREAD
    if told["problem"]:
        since = f" for {time_text(silent)}" if silent is not None and silent >= 1 else ""
        reason = f"the mirrors' state could not be read{since}: {told['problem']}"
        remedy = "do what it says, or see that a mirror can be reached; then flocon mirror refresh"
        return reason, remedy, late or silent is None
    if late and silent is not None:
        reason = f"no mirror was asked for a new state for {time_text(silent)}"
        return (
            reason,
            "flocon mirror refresh; or set refresh in [mirror] of /etc/flocon.toml",
            False,
        )
    return None


def _unpublished(told: Mapping[str, Any]) -> Problem | None:
    if told["published"] is not None or told["problem"] or not told["refreshed"]:
        return None
    if told["waiting"] is None:
        reason = f"clients are given no databases: there is none that is called {told['policy']}"
        return reason, "flocon snapshot use latest", True
    return None


def _old(told: Mapping[str, Any], now: float) -> Problem | None:
    published = told["published"]
    if published is None or now - published["of"] <= OLD:
        return None
    newest = told["generations"][0] if told["generations"] else published
    if newest["of"] <= published["of"]:
        # Why no newer one came is told of the mirror.
        return None
    age = f"clients are given a state that is {time_text(now - published['of'])} old"
    if told["policy"] != LATEST:
        reason = f"{age}, without the security updates since: {told['policy']} is in use"
        remedy = "see flocon snapshot diff now latest, then flocon snapshot use latest"
        return reason, remedy, False
    waiting = missing_text(told) or "what is wanted of the next one"
    return f"{age}: {waiting} is not here yet", "flocon mirror status", False


def _behind(told: Mapping[str, Any]) -> Problem | None:
    said = told["generations"][0]["last_update"] if told["generations"] else None
    # Where a mirror does not say when it changed last, nobody knows.
    if said is None or told["refreshed"] - said <= BEHIND:
        return None
    behind = time_text(told["refreshed"] - said)
    reason = f"the mirror that was read last had not changed for {behind}: it is behind"
    return reason, "put another one first in /etc/pacman.d/mirrorlist, or in flocon.toml", False


def _clock(told: Mapping[str, Any], now: float) -> Problem | None:
    published = told["published"]
    if published is None:
        return None
    ahead = max(published["since"], published["of"]) - now
    if ahead <= CLOCKS_APART:
        return None
    reason = f"the state that clients are given is of {time_text(ahead)} after this machine's time"
    return reason, "timedatectl set-ntp true", False


def _room(told: Mapping[str, Any]) -> Problem | None:
    clearing, lacks = told["clearing"], told["missing"]
    if clearing is None or clearing["protected_bytes"] is None or lacks is None:
        return None
    free = clearing["max_size"] - clearing["protected_bytes"]
    # That what is here alone is too much is told by who clears.
    if free < 0 or lacks["bytes"] <= free:
        return None
    reason = (
        f"{size_text(lacks['bytes'])} are wanted of the next state, and the store has room for"
        f" {size_text(free)} beside what has to stay"
    )
    remedy = "set max_size in [store] of /etc/flocon.toml higher, or drop snapshots"
    return reason, f"{remedy}: flocon snapshot list", False


def missing_text(told: Mapping[str, Any]) -> str:
    """Return how much of what is wanted of the next state is not here, "" where nothing is."""
    lacks = told["missing"]
    if lacks is None or not lacks["packages"]:
        return ""
    return f"{counted(lacks['packages'], 'package')}, {size_text(lacks['bytes'])}"

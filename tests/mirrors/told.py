"""What a mirror for the LAN tells of itself, as a test needs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: When it is: seconds since 1970.
NOW = 1_800_000_000
_HOUR, DAY = 3_600, 86_400


def state(age: float = _HOUR, **changed: Any) -> dict[str, Any]:
    """Return a state that a mirror had ``age`` seconds ago."""
    return {
        "generation": "0123456789abcdef",
        "of": NOW - age,
        "made": NOW - _HOUR,
        "source": "mirror.example",
        "since": NOW - _HOUR,
        "databases": [
            {"repository": "core", "architecture": "aarch64", "packages": 7, "signed": True},
            {"repository": "core", "architecture": "x86_64", "packages": None, "signed": False},
            {"repository": "extra", "architecture": "x86_64", "packages": 9, "signed": False},
        ],
        **changed,
    }


def read(age: float = _HOUR, made: float = _HOUR, *, says: bool = True) -> dict[str, Any]:
    """Return one of the states that were read; ``says`` if the mirror told when it had changed."""
    of = NOW - age
    one = {"generation": "0123456789abcdef", "of": of, "made": NOW - made}
    return {**one, "last_update": of if says else None}


def snapshot(name: str, **changed: Any) -> dict[str, Any]:
    one = {"generation": "0123456789abcdef", "of": NOW - DAY, "taken": NOW - DAY, "in_use": False}
    return {"name": name, **one, **changed}


def clients(*each: tuple[str, int, int]) -> dict[str, Any]:
    """Return clients, each by its address, what it took, and how much of that crossed the WAN."""
    return {
        **_took(5 * len(each), sum(one[1] for one in each), sum(one[2] for one in each)),
        "known": len(each),
        "latest": [{"address": one[0], **_took(5, one[1], one[2])} for one in each],
    }


def _took(requests: int, sent: int, fetched: int) -> dict[str, int]:
    return {
        "requests": requests,
        "packages": requests,
        "sent_bytes": sent,
        "fetched_bytes": fetched,
        "saved_bytes": sent - fetched,
        "last": NOW - 60,
    }


def wanting(identity: str, *, pins: Sequence[str] = (), **changed: Any) -> dict[str, Any]:
    """Return what is wanted of one state."""
    known = {"wanted": 2, "lacks": 0, "lacking": [], "lacking_bytes": 0}
    return {
        "by_hand": [],
        "pins": list(pins),
        "fetching": 0,
        "left_out": 0,
        "states": {identity: {**known, "unresolved": [], "unknown": [], **changed}},
    }


def clearing(protected: int, most: int, **changed: Any) -> dict[str, Any]:
    """Return what is told of a store of which so many bytes have to stay."""
    cleared = {"is_over": protected > most, "cleared_packages": 0, "cleared_bytes": 0}
    return {"max_size": most, "protected_bytes": protected, **cleared, **changed}


def told(**changed: Any) -> dict[str, Any]:
    """Return ``/mirror.json`` of a mirror that is well."""
    return {
        "serves": True,
        "problem": "",
        "refreshed": NOW - _HOUR,
        "next_refresh": None,
        "absent": [],
        "policy": "latest",
        "until": None,
        "published": state(),
        "waiting": None,
        "missing": None,
        "wanting": None,
        "generations": [read()],
        "snapshots": [],
        "clients": None,
        "clearing": None,
        **changed,
    }

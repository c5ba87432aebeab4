"""What the page is made to tell of: a node as it may look after a month, the same each time.

Shapes are those of ``/status.json`` with ``recent``, and of ``/search.json``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.builds.told import builds, own, watched
from tests.mirrors.told import DAY, NOW, clearing, clients, read, snapshot, state, wanting
from tests.mirrors.told import told as told_of_mirror

#: Each would make an element or run a script if it were taken for markup anywhere.
HOSTILE = (
    "</title></code><script>hostile=1</script>",
    '"><img src=//evil.example/x onerror="hostile=1">',
    "'><svg onload=hostile=1><a href=javascript:hostile=1>",
    "{{ 7 * 7 }}</textarea><iframe src=//evil.example>\u202e\x1b[31m",
)
#: As long as a peer may call itself, without a place to break it.
LONG_NAME = "a-name-as-long-as-presence-lets-a-peer-have-one" + "x" * 17
_NAMES = ("attic", "builder", "cellar", "desk", "elm", "forge", "gull", "harbour", "iris", "jay")
_PACKAGES = (
    "linux-6.12.1.arch1-1-x86_64.pkg.tar.zst",
    "glibc-2.40+r16+gaa533d58ff-2-x86_64.pkg.tar.zst",
    "ttf-noto-1:24.10.1-1-any.pkg.tar.zst",
    "zlib-1:1.3.1-2-x86_64.pkg.tar.zst",
    "haskell-microlens-platform-unordered-containers-0.4.3.5-126-x86_64.pkg.tar.zst",
    "core.db",
    "firefox-132.0.2-1-x86_64.pkg.tar.zst.sig",
)
_MIB = 1 << 20
Text = Callable[[str], str]


def told(peers: int, *, part: float = 0.3, empty: bool = False, text: Text = str) -> dict[str, Any]:
    """Return what ``Server.tell`` takes.

    ``part`` of the first file on its way has arrived; an ``empty`` node has just been started;
    ``text`` is applied to whatever a stranger can choose.
    """
    all_peers = [_peer(number, text) for number in range(peers)]
    status = {
        "version": "1.2.3",
        "node": "5f0c3a9be1d24477",
        "name": "workshop",
        "uptime_seconds": 60.0 if empty else 1_234_567.0,
        "peers": all_peers,
        "inventory": {
            "files": 0 if empty else 2_113,
            "bytes": 0 if empty else 9_876 * _MIB,
            "generation": 4,
        },
        "traffic": {
            "to_peers_bytes": 0 if empty else 41_234 * _MIB,
            "for_peers_bytes": 0 if empty else 1_234 * _MIB,
            "to_pacman_bytes": 0 if empty else 3_210 * _MIB,
            "ready_ahead_bytes": 0 if empty else 210 * _MIB,
        },
        "ahead": _ahead(part, empty=empty),
        "store": {"bytes": 0 if empty else 7_654 * _MIB, "max_size": 10_240 * _MIB, "problem": ""},
        "takers": [],
        "takers_others_bytes": 0,
        "lan": {"nodes": peers + 1, "saved_bytes": 77_777 * _MIB, "crossed_bytes": 9_999 * _MIB},
        "health": _health(peers, text, empty=empty),
        "quarantine": [_quarantined(text)] if peers > 1 else [],
        "moving": [] if empty else _moving(part, text),
        "mirror": None if empty or peers <= 1 else _mirror(text),
        "builds": None if empty or peers <= 1 else _builds(text),
        "own": [] if empty or peers <= 1 else _own(text),
        **_others(text, none=empty or peers <= 1),
        "savings": {
            "wan_bytes_per_second": 0 if empty else 6 * _MIB,
            "since": "2026-11-30" if empty else "2026-11-01",
            "days": [_day(number, empty=empty) for number in range(30)],
        },
        "receipts": [] if empty else [_receipt(number) for number in range(5)],
        "recent": [] if empty else [_answered(number, text) for number in range(40)],
    }
    return {"status": status, "files": [] if empty else _files(all_peers, text)}


def hostile(word: str) -> str:
    """Return ``word`` amid all that is hostile."""
    return HOSTILE[0] + word + "".join(HOSTILE[1:])


def _mirror(text: Text) -> dict[str, Any]:
    """Return a mirror for the LAN that is held at a snapshot, while a newer state waits."""
    given = state(3 * DAY, source=text("mirror.example"))
    wanted = wanting(given["generation"], pins=[text("linux"), "base"])
    return told_of_mirror(
        problem=text("mirror.example: refused the connection"),
        next_refresh=NOW + DAY,
        policy=text("before-the-upgrade"),
        until=NOW + 20 * DAY,
        published=given,
        waiting=state(),
        missing={"packages": 23, "bytes": 312 * _MIB, "files": [text(one) for one in _PACKAGES]},
        wanting=wanted,
        generations=[read(), read(DAY), read(3 * DAY)],
        snapshots=[snapshot(text("before-the-upgrade"), in_use=True), snapshot("x" * 64)],
        clients=clients((text("10.0.0.44"), 940 * _MIB, 120 * _MIB), ("fe80::1", 33 * _MIB, 0)),
        clearing=clearing(7_000 * _MIB, 10_240 * _MIB),
    )


def _own(text: Text) -> list[dict[str, Any]]:
    """Return an own repository that is made here, and one of which nothing is here."""
    return [own(text("home"), publishes=True), own("x", signed=0, problem=text("away"))]


def _builds(text: Text) -> dict[str, Any]:
    """Return builds of which one waits, one is held, one runs, and one failed."""
    return builds(
        watched(text("paru"), reasons=[text(f"line {number} was changed") for number in range(6)]),
        watched(text("xcursor-theme"), "held", reasons=[text("usr/bin/x is setuid")]),
        watched("running", "building", published=None),
        watched("broken", "failed", reasons=[text("build() failed with 2")]),
        watched("well", "published", version="1.0-1"),
        running={"base": text("running"), "job": "7", "step": "fetch", "since": NOW - 90},
        problem=text("the signer does not answer"),
    )


def _others(text: Text, *, none: bool) -> dict[str, Any]:
    """Return whom a node works with beside the nodes of its LAN."""
    kinds = ("parents", "foreign", "sites", "standins", "adopted", "silent")
    if none:
        return {kind: [] for kind in kinds}
    away = text("nobody listens there")
    proxy = {"kind": "pacoloco", "from": "pacman.conf", "files": 40, "bytes": 312 * _MIB}
    place = {"port": 7078, "bytes": 9 * _MIB, "silent_seconds": None}
    site = {"addresses": [text("10.1.0.5"), text("fd00:1::5")], "nodes": 12}
    face = {"endpoints": [text("tcp:15678")], "answers": {"check": 340}, "refusals": {"body": 2}}
    return {
        "parents": [
            {"name": text("nas:9129"), "state": "good", "why": "", **proxy},
            {"name": text("old:7878"), "state": "failing", "why": away, **proxy, "kind": "flexo"},
        ],
        "foreign": [
            {
                "address": text("10.0.0.81"),
                "kind": "pacredir",
                "name": text("anna"),
                "found": "mdns",
                "state": "good",
                "files": None,
                "why": "",
                **place,
            },
            {
                "address": text("10.0.0.82"),
                "kind": "pacserve",
                "name": "",
                "found": "multicast",
                "state": "failing",
                "files": 1_204,
                "why": away,
                **place,
            },
        ],
        "sites": [
            {"name": text("nas.site-b.example.org"), "state": "good", "why": "", **site},
            {"name": text("srv:site-c.example.org"), "state": "silent", "why": away, **site},
        ],
        "standins": [
            {"tool": "pacserve", "ports": [15678], "why": "", **face},
            {"tool": "pacredir", "ports": [], "why": away, **face},
        ],
        "adopted": [
            {"path": text("/var/cache/pacoloco"), "files": 120, "verified": 97, "problem": ""},
            {"path": "/srv/pkgstash", "files": 0, "verified": 0, "problem": text("cannot be read")},
        ],
        "silent": [{"path": text("/mnt/nas/pkg"), "seconds": 74.6}],
    }


def _receipt(number: int) -> dict[str, Any]:
    return {
        "time": f"2026-11-{30 - 7 * number:02d} 12:03" if number < 5 else "",
        "packages": 7 + 31 * number,
        "lan_bytes": 312 * _MIB,
        "wan_bytes": number * 20 * _MIB,
        "owner_bytes": number % 2 * 55 * _MIB,
        "held_bytes": 3 * _MIB,
        "ahead_bytes": number % 3 * 40 * _MIB,
        "seconds_saved": 52.0 * number,
        "text": "7 packages",
    }


def _ahead(part: float, *, empty: bool) -> dict[str, Any]:
    if empty:
        return {"text": ""}
    words = (
        "19 of 25 packages ready for the next upgrade, 171.0 MiB; 4 on the way; 2 only at mirrors"
    )
    arrived = int(part * 141 * _MIB)
    return {
        "text": words,
        "wanted_bytes": 320 * _MIB,
        "ready_bytes": 171 * _MIB,
        "arrived_bytes": arrived,
    }


def _health(peers: int, text: Text, *, empty: bool) -> dict[str, Any]:
    wrong = {
        "verdict": "wrong",
        "check": "port",
        "reason": text("port 19432 is closed as seen from attic"),
        "remedy": "ufw allow flocon",
    }
    warning = {
        "verdict": "warning",
        "check": "mirrors",
        "reason": text("1 of 3 mirrors out of reach: mirror.example"),
        "remedy": text("take them out of the mirrorlist, or rank the mirrors anew"),
    }
    findings = [wrong, warning] if peers > 1 else []
    return {"looked_seconds_ago": None if empty else 75.0, "findings": findings}


def _peer(number: int, text: Text) -> dict[str, Any]:
    bad, slow = number % 20 == 13, number % 20 == 4
    name = f"{_NAMES[number % 10]}{number // 10 or ''}"
    return {
        "node": text(f"{number + 1:016x}"),
        "name": text(LONG_NAME if number == 7 else name),
        "address": text("fe80::5054:ff:fe12:3456%wlp0s20f3" if number == 2 else f"10.0.0.{number}"),
        "port": 19432,
        "architectures": ["x86_64"],
        "files": 97 * number % 4_001,
        "taken_bytes": 1_234_567 * number % 9_876_543,
        "files_known": 97 * number % 4_001,
        "last_heard_seconds": number * 1.7 % 90,
        "state": "quarantine" if bad else "failing" if slow else "good",
        "far": number % 20 == 7,
        "told_by": text("attic") if number % 20 == 7 else "",
        "quarantine": text(f"for another 9 min: wrong bytes for {_PACKAGES[0]}") if bad else None,
    }


def _quarantined(text: Text) -> dict[str, Any]:
    return {
        "node": text("000000000000000e"),
        "address": text("10.0.0.13"),
        "text": text(f"for another 9 min: wrong bytes for {_PACKAGES[0]}"),
    }


def _moving(part: float, text: Text) -> list[dict[str, Any]]:
    size = 141 * _MIB
    first = {"bytes": int(part * size), "size": size, "source": text("peer 10.0.0.7")}
    more = {"bytes_per_second": 11 * _MIB, "seconds_left": 9.0, "whence": text("attic")}
    none = {"bytes_per_second": 0, "seconds_left": None, "whence": ""}
    return [
        {"file": text(_PACKAGES[0]), **first, **more},
        {"file": text(_PACKAGES[4]), "bytes": 0, "size": None, "source": "", **none},
    ]


def _day(number: int, *, empty: bool) -> dict[str, Any]:
    lan, wan = (0, 0) if empty or number % 7 == 3 else (number * 371 % 900, number * 97 % 300)
    return {
        "day": f"2026-11-{number + 1:02d}",
        "lan_bytes": lan * _MIB,
        "wan_bytes": wan * _MIB,
        "owner_bytes": wan * _MIB // 3,
        "seconds_saved": lan / 6.0,
    }


def _answered(number: int, text: Text) -> dict[str, Any]:
    failed = number % 9 == 8
    source = ("peer 10.0.0.7", "cache", "mirror geo.mirror.pkgbuild.com", "store")[number % 4]
    return {
        "file": text(_PACKAGES[number % len(_PACKAGES)]),
        "status": 404 if failed else 200,
        "source": "" if failed else text(source),
        "whence": "" if failed else text(source.replace("peer 10.0.0.7", "attic")),
        "bytes": 0 if failed else number * 977_777,
        "seconds": number * 0.37 % 20,
        "time": f"12:{59 - number:02d}:07",
        "tried": [{"source": text("peer 10.0.0.9"), "failure": text("is silent")}] * (number % 3),
    }


def _files(peers: list[dict[str, Any]], text: Text) -> list[dict[str, Any]]:
    rows = []
    for number, file in enumerate(one for one in _PACKAGES if one.endswith(".zst")):
        name, version, release, rest = file.rsplit("-", 3)
        rows.append(
            {
                "file": file,
                "name": text(name),
                "version": text(f"{version}-{release}"),
                "architecture": text(rest.partition(".")[0]),
                "size": (number + 1) * 7 * _MIB,
                "listed": [text("core")] if number % 2 else [],
                "here": "cache" if number % 3 == 0 else None,
                "sha256": f"{number:064x}",
                "holders": [{"node": one["node"], "name": one["name"]} for one in peers[number:20]],
                "more_holders": number * 3,
            }
        )
    return rows

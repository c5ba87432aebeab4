"""How the node stands on its own machine: what it reads, reaches and keeps; from facts to findings.

Judges what the node told of itself; nothing is read, asked or changed.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from flocon.advice.facts import SHUT
from flocon.advice.findings import Finding, Verdict, nothing_listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flocon.advice.facts import Facts

#: Bytes that should be free where the store lies: a large package.
LEAST_FREE = 256 << 20
#: Findings taken from the node's own parts.
MOST_TOLD = 32


def check_configuration(facts: Facts) -> Iterator[Finding]:
    """Whether the node can read what pacman, as root, reads."""
    told = facts.node.get("configuration") if facts.node else None
    if not told:
        return
    same = str(facts.named) == told.get("path")
    if facts.lists_nothing and not told.get("problem"):
        # Of the same file check_pacman tells.
        if not same:
            yield nothing_listed("configuration", told.get("path"))
        return
    path = shlex.quote(str(told.get("path", "")))
    if told.get("problem"):
        yield Finding(
            "configuration",
            Verdict.WRONG,
            f"the node cannot read pacman's configuration, and so knows no mirror of it:"
            f" {told['problem']}",
            str(told.get("remedy") or f"chmod a+r {path}"),
        )
    else:
        yield Finding("configuration", Verdict.GOOD, f"the node reads {told.get('path')}")


def check_mirrors(facts: Facts) -> Iterator[Finding]:
    """Whether what nobody on the LAN holds can be fetched."""
    if facts.node is None or "mirrors" not in facts.node:
        return
    mirrors = [one for one in facts.rows("mirrors") if not one.get("parent")]
    if not mirrors and (facts.lists_nothing or facts.rows("mirrors")):
        return
    shut = [str(one.get("mirror")) for one in mirrors if one.get("problem") == SHUT]
    if shut:
        yield Finding(
            "mirrors",
            Verdict.WRONG,
            f"{', '.join(shut)}: {SHUT}",
            "write NAME:PASSWORD@ before the host there, with @ in them as %40; .netrc is not read",
        )
    mirrors = [one for one in mirrors if one.get("problem") != SHUT]
    if shut and not mirrors:
        return
    away = [one for one in mirrors if one.get("problem")]
    told = "; ".join(f"{one.get('mirror')}: {one['problem']}" for one in away)
    if not mirrors:
        yield Finding(
            "mirrors",
            Verdict.WARNING,
            "the node knows no http or https mirror, so it has only what the LAN holds",
            "write one into /etc/pacman.d/mirrorlist, or into mirrors in /etc/flocon.toml",
        )
    elif len(away) == len(mirrors):
        yield Finding(
            "mirrors",
            Verdict.WRONG,
            f"every mirror is out of reach: {told}",
            "look whether this machine has a way out; behind a proxy, write"
            ' proxy = "http://HOST:PORT" into /etc/flocon.toml and restart the node',
        )
    elif away:
        yield Finding(
            "mirrors",
            Verdict.WARNING,
            f"{len(away)} of {len(mirrors)} mirrors out of reach: {told}",
            "take them out of the mirrorlist, or rank the mirrors anew",
        )
    else:
        names = ", ".join(str(one.get("mirror")) for one in mirrors)
        yield Finding("mirrors", Verdict.GOOD, f"the node reaches {names}")


def check_parents(facts: Facts) -> Iterator[Finding]:
    """Whether the caching proxies of the LAN answer."""
    known = [str(one.get("reason")) for one in facts.rows("problems")]
    for one in facts.rows("mirrors"):
        name = f"{one.get('mirror')} ({one.get('parent')})"
        if not one.get("parent"):
            continue
        if not one.get("problem"):
            yield Finding("parents", Verdict.GOOD, f"the node reaches {name}")
        elif not any(reason.startswith(name) for reason in known):
            # Otherwise the node has found out by itself, and tells it.
            yield Finding(
                "parents",
                Verdict.WARNING,
                f"{name}: {one['problem']}",
                "look whether it runs; one that is no more is to be taken out of pacman's"
                " configuration, or of parents in /etc/flocon.toml",
            )


#: What mends a folder that hangs.
LOOK_AFTER_IT = "look after the server that has it, or the disk; mount names them"


def check_caches(facts: Facts) -> Iterator[Finding]:
    if facts.node is None:
        return
    caches = facts.rows("caches")
    problems = [one for one in caches if one.get("problem")]
    for one in problems:
        path = str(one.get("path", ""))
        remedy = f"install -d {shlex.quote(path)}; chmod a+rX -R {shlex.quote(path)}"
        reason = f"{path}: {one['problem']}"
        if one.get("silent"):
            yield Finding("cache", Verdict.WARNING, f"{path} {one['problem']}", LOOK_AFTER_IT)
            continue
        if facts.node.get("unit") and path in facts.there and (hider := _hider(path)):
            setting, value = hider
            reason = f"{path}: the node's own unit hides it ({setting})"
            remedy = (
                f"systemctl edit flocon, write [Service] and below it {setting}={value};"
                " then systemctl restart flocon"
            )
        yield Finding("cache", Verdict.WRONG, reason, remedy)
    if not caches:
        yield Finding("cache", Verdict.UNKNOWN, "the node knows no cache of pacman's")
    elif not problems:
        paths = ", ".join(str(one.get("path", "")) for one in caches)
        yield Finding("cache", Verdict.GOOD, f"the node reads {paths}")


def _verdict(one: Mapping[str, Any]) -> Verdict:
    """Return how bad a part takes it: what it does without may well not be wanted."""
    if one.get("optional"):
        return Verdict.UNKNOWN
    return Verdict.WRONG if one.get("wrong") else Verdict.WARNING


def _hider(path: str) -> tuple[str, str] | None:
    """Return the setting of a unit that hides a path, and the value that does not."""
    for setting, value, places in (
        ("PrivateTmp", "no", ("/tmp", "/var/tmp")),  # noqa: S108 - names, not files
        ("ProtectHome", "read-only", ("/home", "/root", "/run/user")),
    ):
        if any(path == place or path.startswith(f"{place}/") for place in places):
            return setting, value
    return None


def check_store(facts: Facts) -> Iterator[Finding]:
    if facts.node is None:
        return
    store = facts.node.get("store") or {}
    path, free = str(store.get("path", "")), int(store.get("free_bytes") or 0)
    if store.get("problem"):
        yield Finding(
            "store",
            Verdict.WRONG,
            f"the node keeps nothing: {store['problem']}",
            f"{store.get('remedy') or _ownership(path)}; then start the node again",
        )
    elif free < LEAST_FREE:
        yield Finding(
            "store",
            Verdict.WRONG,
            f"{path} has {free >> 20} MiB left, so what comes in is not kept",
            "paccache -r, or set store.path in /etc/flocon.toml to a larger disk",
        )
    else:
        yield Finding("store", Verdict.GOOD, f"{path} can be written and has room")


def _ownership(path: str) -> str:
    quoted = shlex.quote(path)
    return f"install -d -o flocon {quoted}; chown -R flocon {quoted}"


def check_told(facts: Facts) -> Iterator[Finding]:
    """Pass on what the node's parts have found out for themselves."""
    for one in facts.rows("problems")[:MOST_TOLD]:
        yield Finding(
            str(one.get("check", "node")),
            _verdict(one),
            str(one.get("reason", "")),
            str(one.get("remedy", "")),
        )

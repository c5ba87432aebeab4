"""``flocon repo join``: trust an own repository of the LAN on this machine, and lead pacman to it.

The keys come from nodes of the LAN, and a person compares their fingerprints: until then nothing is
trusted. First the node is given the keys, then pacman's keyring, then pacman.conf: whatever is
missing after a run that was killed, another one does.
"""

from __future__ import annotations

import os
import shlex
import sys
from base64 import b64decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flocon.errors import ConfigurationError, RepositoryError
from flocon.files import ARCH, is_repository
from flocon.joined.finding import MOST_ASKED, UNASKED
from flocon.joined.keys import LARGEST_KEYS, PublicKey, as_fingerprint, read_keys, shown
from flocon.joined.published import KEYS
from flocon.leading import section
from flocon.leading.pacman_conf import behind
from flocon.machine.beneath import write_small
from flocon.machine.reading import read_plain
from flocon.publishing.trusting import (
    certified,
    demand_tools,
    revoked,
    tell_of_revoked,
    trust,
    trust_no_more,
    united,
)
from flocon.settings.options import load
from flocon.settings.settings import DEFAULT_PACMAN_CONF, LOOPBACK_PORT
from flocon.terminal.asking import Node, NodeError
from flocon.terminal.deciding import agree
from flocon.terminal.printing import complain, put, say, say_json, say_rows

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

#: Seconds in which nodes of the LAN tell of their keys.
PATIENCE = 15.0
#: Forms of one key, beside the first, that are looked at: one of each node that is asked. Were it
#: fewer, who tells what others leave out could be crowded out.
MOST_OTHERS = MOST_ASKED


@dataclass(slots=True)
class Found:
    """A key that was found, and who says that it is the repository's."""

    key: PublicKey
    said_by: list[str] = field(default_factory=list)
    #: The key as others have it, where that differs.
    others: list[PublicKey] = field(default_factory=list)


async def join(reactor: Any, options: argparse.Namespace) -> None:
    """Trust a repository, or with ``--undo`` trust it no more."""
    name = options.name
    keys = load({"config": options.config} if options.config else {}).repo.keys
    if not is_repository(name) or name == "options":
        raise RepositoryError(
            f"{name!r} is no repository's name", "see what 'flocon repo list' has"
        )
    if name in ARCH and not options.undo:
        raise RepositoryError(
            f"{name} is Arch's own repository: joined, all machines would take its packages"
            " from whoever has the key",
            "have whoever made it give it another name",
        )
    node = Node(reactor, options.port)
    if options.undo:
        await _undo(node, options, keys / f"{name}{KEYS}")
    else:
        await _join(node, options, keys / f"{name}{KEYS}")


async def _join(node: Node, options: argparse.Namespace, path: Path) -> None:
    name = options.name
    demand_tools()
    if not options.dry_run:
        demand_ours(path, options.pacman_conf)
    told = await node.ask("/own.json", {"name": name}, patience=PATIENCE)
    found, asked = find(told["found"])
    unite(found)
    if not found:
        raise RepositoryError(
            f"no node of the LAN has keys of an own repository {name}",
            "start the node of the machine that makes it, and look at"
            f" '{again(options, 'peers', port_alone=True)}'",
        )
    pinned = _pinned(path)
    wanted = [as_fingerprint(one) for one in options.fingerprint]
    if not wanted:
        demand_all_asked(told["found"])
    bad = revoked([one.key for one in found.values()])
    chosen = choose(found, asked, wanted, pinned, bad)
    if options.json:
        say_json({"name": name, "keys": [_told(one) for one in found.values()]})
    else:
        _show(name, found, chosen, pinned, bad)
    change = section.put_in(options.pacman_conf, name, port=options.port, dry_run=True)
    put(change.diff)
    if options.dry_run:
        complain("nothing is changed; without --dry-run this would be, and the keys be trusted")
        return
    if not options.fingerprint and pinned != set(chosen):
        ask(options, name, chosen)
    data = b"".join(found[one].key.data for one in chosen)
    # First: of a run that was killed another one knows by the file what is to go.
    renounce(options.pacman_conf, pinned - set(chosen), path)
    _write(path, data)
    trust(options.pacman_conf, data, chosen)
    tell_of_revoked(options.pacman_conf, [found[one].key for one in found if one in bad])
    section.put_in(options.pacman_conf, name, port=options.port, dry_run=False)
    await tell_node(node)
    tell_of_order(options.pacman_conf, name)
    undo = again(options, "repo", "join", name, "--undo")
    complain(f"next: 'pacman -Sy', and what {name} has can be installed; '{undo}' takes it back")


async def _undo(node: Node, options: argparse.Namespace, path: Path) -> None:
    name = options.name
    if not options.dry_run:
        demand_ours(path, options.pacman_conf)
    pinned = _pinned(path)
    if pinned:
        demand_tools()
    change = section.take_out(options.pacman_conf, name, port=options.port, dry_run=options.dry_run)
    put(change.diff)
    if options.dry_run:
        complain("nothing is changed; without --dry-run this would be, and its keys not be trusted")
        return
    renounce(options.pacman_conf, pinned, path)
    _remove(path)
    await tell_node(node)
    if change or pinned:
        complain(f"{name} is not trusted any more; what was installed of it stays")
    else:
        put(f"{options.pacman_conf}: nothing to change\n")


def renounce(pacman_conf: Path, gone: Collection[str], path: Path) -> None:
    """Have pacman trust keys no more, but for those by which another repository was joined.

    pacman takes a key that it trusts for whichever repository: one that was stolen must not stay.
    """
    others = (one for one in path.parent.glob(f"*{KEYS}") if one != path)
    needed = {key for one in others for key in _pinned(one)}
    if leaving := sorted(set(gone) - needed):
        trust_no_more(pacman_conf, leaving)
        complain(f"not trusted any more: {', '.join(map(shown, leaving))}")


def tell_of_order(pacman_conf: Path, name: str) -> None:
    """Say where the section stands before Arch's, as somebody has moved it there."""
    if hidden := behind(section.repositories_of(pacman_conf), name):
        complain(
            f"[{name}] stands before {', '.join(f'[{one}]' for one in hidden)}: pacman takes its"
            " packages instead of Arch's of the same name; move it to the end, unless that is meant"
        )


def again(options: argparse.Namespace, *words: str, port_alone: bool = False) -> str:
    """Return a command that is about the same node and the same files as this one."""
    said = ["flocon", *words]
    if options.pacman_conf != DEFAULT_PACMAN_CONF and not port_alone:
        said += ["--pacman-conf", str(options.pacman_conf)]
    if options.config and not port_alone:
        said += ["--config", str(options.config)]
    if options.port != LOOPBACK_PORT:
        said += ["--port", str(options.port)]
    return shlex.join(said)


async def tell_node(node: Node) -> None:
    """Have the node look whose keys are trusted, and what is published, if it runs."""
    try:
        await node.tell("repo", "look")
    except NodeError as error:
        complain(f"the node was not told ({error}); it looks when it is started or reloaded")


# What was found


def find(rows: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Found], int]:
    """Return what nodes say of a repository's keys, by fingerprint, and how many of them said any.

    What they sent is looked at again: the fingerprints are those of the keys themselves.
    """
    found: dict[str, Found] = {}
    asked = 0
    for row in rows:
        where = row["address"] or "this machine"
        named = f"{row['node']} ({where})"
        if row["problem"]:
            complain(f"{named} tells no key: {row['problem']}")
        asked += bool(row["keys"])
        for one in row["keys"]:
            for key in read_keys(b64decode(one["key"], validate=True)):
                known = found.setdefault(key.fingerprint, Found(key))
                known.said_by.append(named)
                if key not in (known.key, *known.others) and len(known.others) < MOST_OTHERS:
                    known.others.append(key)
    return found, asked


def unite(found: Mapping[str, Found]) -> None:
    """Have each key have all that any node has of it.

    Who answers first could else leave out that it is revoked, or which one takes its place.
    """
    several = {name: (one.key, *one.others) for name, one in found.items() if one.others}
    for name, key in united(several).items():
        found[name].key = key


def demand_all_asked(rows: Iterable[Mapping[str, Any]]) -> None:
    """Raise RepositoryError where some that say they have it were not asked.

    Somebody who is many nodes would else be all that agree.
    """
    if any(row["problem"] == UNASKED for row in rows):
        raise RepositoryError(
            "more nodes say that they have it than are asked for its key",
            "compare with 'flocon repo key' where the repository is made, and name it by"
            " --fingerprint",
        )


def choose(
    found: Mapping[str, Found],
    asked: int,
    wanted: Sequence[str],
    pinned: set[str],
    bad: Collection[str] = (),
) -> list[str]:
    """Return the fingerprints that are to be trusted; raises RepositoryError where it is unclear.

    Those that were named; else those on which all nodes agree, and what these, or the keys that are
    trusted already, have certified: so one is announced that is to take their place. None of
    those that are revoked, which are ``bad``.
    """
    if named := [one for one in wanted if one in bad]:
        raise RepositoryError(
            f"the key {shown(named[0])} is revoked",
            "take the one that 'flocon repo key' shows where the repository is made",
        )
    if wanted:
        missing = [one for one in wanted if one not in found]
        if missing:
            there = ", ".join(map(shown, found))
            raise RepositoryError(
                f"no node has the key {shown(missing[0])}; found was {there}",
                "compare with 'flocon repo key' where the repository is made",
            )
        return list(dict.fromkeys(wanted))
    agreed = [one for one in found if len(found[one].said_by) == asked]
    base = {*agreed, *(pinned & set(found))}
    announced = certified([one.key for one in found.values()], base) if base else set()
    chosen = [one for one in found if (one in base or one in announced) and one not in bad]
    if not chosen:
        raise RepositoryError(
            "the nodes of this LAN do not agree on its key: " + "; ".join(_sayings(found)),
            "compare with 'flocon repo key' where the repository is made, and name it by"
            " --fingerprint",
        )
    return chosen


def _sayings(found: Mapping[str, Found]) -> list[str]:
    return [f"{shown(one)} say {', '.join(found[one].said_by)}" for one in found]


def _told(one: Found) -> dict[str, Any]:
    return {
        "fingerprint": one.key.fingerprint,
        "names": list(one.key.names),
        "said_by": one.said_by,
    }


def _show(
    name: str,
    found: Mapping[str, Found],
    chosen: Sequence[str],
    pinned: set[str],
    bad: Collection[str],
) -> None:
    say(f"{name}: found on the LAN")
    for fingerprint, one in found.items():
        state = "trusted already" if fingerprint in pinned else "new"
        state = state if fingerprint in chosen else "another, not taken"
        state = "revoked, not taken" if fingerprint in bad else state
        rows = [("key", shown(fingerprint)), ("", state)]
        rows += [("called", called) for called in one.key.names[:1]]
        rows += [("says", who) for who in one.said_by]
        say_rows(rows, indent=2)
    if pinned and not pinned & set(chosen):
        complain(
            "the key that was trusted here so far is none of these: unless it was replaced,"
            " somebody else gives a repository this name"
        )


def ask(options: argparse.Namespace, name: str, chosen: Sequence[str]) -> None:
    """Ask a person; raises RepositoryError unless the answer is yes."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise RepositoryError(
            "nobody is there to compare the key",
            f"name it: {again(options, 'repo', 'join', name, *_named(chosen))}",
        )
    complain(f"compare with 'flocon repo key' where {name} is made")
    if not agree("Trust it, for packages that pacman installs as root?"):
        raise RepositoryError("nothing is trusted, and nothing changed", "")


def _named(chosen: Sequence[str]) -> list[str]:
    return [word for one in chosen for word in ("--fingerprint", shown(one))]


def _pinned(path: Path) -> set[str]:
    """Return the fingerprints of the keys that are trusted already."""
    try:
        return {one.fingerprint for one in read_keys(read_plain(path, LARGEST_KEYS))}
    except (OSError, RepositoryError):
        return set()


def demand_ours(*paths: Path) -> None:
    """Raise ConfigurationError where this user may not write: nobody compares keys for nothing."""
    for path in paths:
        there = next(one for one in (path, *path.parents) if one.exists())
        if not os.access(there, os.W_OK, effective_ids=True):
            raise ConfigurationError(str(path), "cannot be written", "run this as root")


def _write(path: Path, data: bytes) -> None:
    """Put the keys where the node reads them."""
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_small(path, data, 0o644)
    except OSError as error:
        raise _not_ours(path, error) from None


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _not_ours(path, error) from None


def _not_ours(path: Path, error: OSError) -> ConfigurationError:
    problem = f"cannot be written ({error.strerror})"
    return ConfigurationError(str(path), problem, "run this as root")

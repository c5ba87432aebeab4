"""``flocon status`` of others than nodes of this LAN: proxies, other tools' machines, far nodes.

Each is a row or a few, and none where there is nothing to tell.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from flocon.terminal.printing import counted, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Row = tuple[str, str]

#: Of many, so many are told one by one; ``--json`` has all.
_MOST = 5
_GOOD = "good"
_KINDS = ("pacredir", "pacserve", "paclan")


def rows(status: Mapping[str, Any]) -> Iterator[Row]:
    """Yield what ``status`` tells of others, by what they are to this node."""
    yield from _parents(status.get("parents", ()))
    yield from _foreign(status.get("foreign", ()))
    yield from _networks(status)
    yield from _standins(status.get("standins", ()))
    yield from _adopted(status.get("adopted", ()))
    yield from _silent(status.get("silent", ()))


def _headed(head: str, lines: Sequence[str]) -> Iterator[Row]:
    """Yield lines below one word; of many the first ones, and how many are left out."""
    shown = list(lines[:_MOST])
    if len(lines) > _MOST:
        shown.append(f"and {len(lines) - _MOST} more")
    yield from zip((head, *[""] * len(shown)), shown, strict=False)


def _state(one: Mapping[str, Any]) -> str:
    """Return how it is: its state, and why, where that is not a good one."""
    why = f": {one['why']}" if one.get("why") and one["state"] != _GOOD else ""
    return f"{one['state']}{why}"


def _parents(parents: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    lines = [
        f"{one['name']} ({one['kind']}), gave {size(one['bytes'])}, {_state(one)}"
        for one in sorted(parents, key=_trouble_first)
    ]
    yield from _headed("parents", lines)


def _foreign(places: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    """Yield how many machines of each tool there are, and which of them are left alone."""
    kinds = Counter(one["kind"] for one in places)
    if not kinds:
        return
    counts = [f"{kinds[kind]} with {kind}" for kind in (*_KINDS, *kinds) if kinds[kind]]
    gave = size(sum(one["bytes"] for one in places))
    told = f"{', '.join(dict.fromkeys(counts))}; gave {gave}"
    bad = [
        f"{one['kind']} at {one['address']} is {_state(one)}"
        for one in places
        if one["state"] not in {_GOOD, "unknown"}
    ]
    yield from _headed("other tools", [told, *bad])


def _networks(status: Mapping[str, Any]) -> Iterator[Row]:
    """Yield how many nodes are in other networks, by whom they are known, and who is silent."""
    far = [one for one in status["peers"] if one.get("far")]
    sites = status.get("sites", ())
    if not far and not sites:
        return
    told_by = Counter(one.get("told_by") or "" for one in far)
    by = [f"{count} told by {who}" for who, count in sorted(told_by.items()) if who]
    lines = [", ".join([f"{counted(len(far), 'node')} in other networks", *by[:_MOST]])]
    lines += [
        f"{one['name']} is {_state(one)}"
        for one in sorted(sites, key=_trouble_first)
        if one["state"] != _GOOD
    ]
    yield from _headed("far", lines)


def _standins(standins: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    lines = []
    for one in standins:
        answers = counted(sum(one["answers"].values()), "answer")
        why = f": {one['why']}" if one["why"] else ""
        how = answers if one["ports"] else f"not open{why}"
        lines.append(f"{one['tool']} on {', '.join(one['endpoints'])}, {how}")
    yield from _headed("in place of", lines)


def _adopted(folders: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    """Yield how much of other tools' folders is offered."""
    lines = []
    for one in folders:
        held = (
            f"{one['verified']} of {counted(one['files'], 'file')} verified, {size(one['bytes'])}"
        )
        lines.append(f"{one['path']}, {one['problem'] or held}")
    yield from _headed("adopted", lines)


def _silent(folders: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    """Yield the folders that hang."""
    lines = [f"{one['path']} has not answered for {one['seconds']:.0f} s" for one in folders]
    yield from _headed("silent", lines)


def _trouble_first(one: Mapping[str, Any]) -> tuple[bool, str]:
    return one["state"] == _GOOD, str(one["name"])

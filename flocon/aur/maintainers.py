"""Who maintained what, and since when: the AUR tells who does now, and nothing of before. No I/O.

Times are in seconds since 1970, and those of our own looks: what changed between two looks was seen
at the second one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flocon.aur.records import Record

#: Bases that are remembered, and earlier maintainers of each.
MOST_BASES = 10_000
MOST_EARLIER = 16
_MOST_CO_MAINTAINERS = 200


@dataclass(frozen=True, slots=True)
class Earlier:
    """Somebody ("" for nobody) who maintained it, until then."""

    maintainer: str
    until: int


@dataclass(frozen=True, slots=True)
class Known:
    """Who maintains a base.

    ``maintainer`` is "" for an orphan, ``since`` when it was first seen so. ``taken_over`` is when
    another one than before was seen last, be it after a time without any, 0 for never;
    ``joined`` when a co-maintainer was seen last who was none before.
    """

    maintainer: str
    co_maintainers: tuple[str, ...]
    since: int
    taken_over: int = 0
    joined: int = 0
    earlier: tuple[Earlier, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What was seen of a base to be otherwise than before."""

    base: str
    before: Known
    after: Known

    def __str__(self) -> str:
        old, new = self.before.maintainer, self.after.maintainer
        told = []
        if old != new:
            told.append(f"maintained by {new or 'nobody'}, and by {old or 'nobody'} before")
        came = sorted({*self.after.co_maintainers} - {*self.before.co_maintainers})
        went = sorted({*self.before.co_maintainers} - {*self.after.co_maintainers})
        if came:
            told.append(f"co-maintained by {', '.join(came)} too")
        if went:
            told.append(f"co-maintained by {', '.join(went)} no more")
        return f"{self.base} is {'; '.join(told)}"


class Maintainers:
    """Those of the bases that were seen."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}

    def of(self, base: str) -> Known | None:
        """Return who maintains it, None where it was never seen."""
        return self._known.get(base)

    def observe(self, records: Iterable[Record], now: float) -> list[Change]:
        """Learn what the AUR says now; return what is otherwise than before, by base."""
        changes = []
        seen: dict[str, Record] = {}
        for record in records:
            seen.setdefault(record.base, record)
        for base, record in sorted(seen.items()):
            before = self._known.get(base)
            if before is None and len(self._known) >= MOST_BASES:
                continue
            after = _after(before, record, int(now))
            self._known[base] = after
            if before is not None and after != before:
                changes.append(Change(base, before, after))
        return changes

    def move(self, seconds: int) -> None:
        """Have all of it be so much later: the clock was set ahead by as much, or back."""

        def moved(time: int) -> int:
            return max(1, time + seconds) if time else 0

        self._known = {
            base: replace(
                known,
                since=moved(known.since),
                taken_over=moved(known.taken_over),
                joined=moved(known.joined),
                earlier=tuple(Earlier(one.maintainer, moved(one.until)) for one in known.earlier),
            )
            for base, known in self._known.items()
        }

    def forget(self, base: str) -> None:
        self._known.pop(base, None)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return {
            base: {
                "maintainer": known.maintainer,
                "co_maintainers": list(known.co_maintainers),
                "since": known.since,
                "taken_over": known.taken_over,
                "joined": known.joined,
                "earlier": [[one.maintainer, one.until] for one in known.earlier],
            }
            for base, known in self._known.items()
        }

    @classmethod
    def read(cls, value: Any) -> Maintainers:
        """Return what ``to_json`` gave, without what of it is damaged."""
        made = cls()
        items = list(value.items())[:MOST_BASES] if isinstance(value, dict) else []
        for base, said in items:
            try:
                made._known[base] = _read(said)
            except (TypeError, ValueError, KeyError):
                continue
        return made


def _after(before: Known | None, record: Record, now: int) -> Known:
    co_maintainers = tuple(sorted(set(record.co_maintainers)))[:_MOST_CO_MAINTAINERS]
    if before is None:
        return Known(record.maintainer, co_maintainers, now)
    after = replace(before, co_maintainers=co_maintainers)
    if {*co_maintainers} - {*before.co_maintainers, before.maintainer}:
        after = replace(after, joined=now)
    if record.maintainer == before.maintainer:
        return after
    earlier = (Earlier(before.maintainer, now), *before.earlier)[:MOST_EARLIER]
    # An orphan is taken over by who adopts it, be it the one who left it.
    taken_over = now if record.maintainer else before.taken_over
    return replace(
        after, maintainer=record.maintainer, since=now, taken_over=taken_over, earlier=earlier
    )


def _read(said: Mapping[str, Any]) -> Known:
    co_maintainers = tuple(_text(one) for one in said["co_maintainers"])
    earlier = tuple(Earlier(_text(who), _time(until)) for who, until in said["earlier"])
    return Known(
        _text(said["maintainer"]),
        co_maintainers[:_MOST_CO_MAINTAINERS],
        _time(said["since"]),
        _time(said["taken_over"]),
        _time(said["joined"]),
        earlier[:MOST_EARLIER],
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _time(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError
    return value

"""The services of one type that are there now, within a bound: told as a whole when that changes.

A name is heard first and means nothing yet; what it stands for is looked up, again every few
minutes, since a machine that was switched off says no goodbye.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flocon.mdns.services import Found

#: Seconds after which what a name stands for is looked up again: it may be remembered for 120.
LOOK_AGAIN = 240.0
#: The same once something of it changed: what it was before is forgotten within ten.
SETTLED = 12.0
#: Seconds after which a name that stands for nothing is looked up again, doubled each time.
TRY_AGAIN = 15.0
LONGEST_PAUSE = 3_600.0


class _Name:
    """A name that was heard: what it stands for, if anything, and when to look again."""

    __slots__ = ("due", "failures", "found", "is_fresh")

    def __init__(self, now: float) -> None:
        self.found: Found | None = None
        self.due = now
        self.failures = 0
        self.is_fresh = True

    def stirred(self, now: float) -> None:
        """Learn that something of it changed: of no account where it stands for nothing."""
        if self.found is not None:
            self.due = min(self.due, now)
            self.is_fresh = True

    def looked_up(self, now: float, found: Found | None) -> None:
        self.found = found
        if found is None:
            self.due = now + min(TRY_AGAIN * 2**self.failures, LONGEST_PAUSE)
            self.failures = min(self.failures + 1, 16)
        else:
            self.due = now + (SETTLED if self.is_fresh else LOOK_AGAIN)
            self.failures = 0
        self.is_fresh = False


class Directory:
    """Keeps at most ``most`` names; ``left_out`` counts those for which there was no room."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._names: dict[str, _Name] = {}
        self._told: tuple[Found, ...] = ()
        self.left_out = 0

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def heard(self, now: float, name: str) -> None:
        """Learn that a name is there, or that something of it changed."""
        known = self._names.get(name)
        if known is not None:
            known.stirred(now)
        elif self._has_room():
            self._names[name] = _Name(now)
        else:
            self.left_out += 1

    def _has_room(self) -> bool:
        """Whether there is room; a name that stands for nothing makes way."""
        if len(self._names) < self._most:
            return True
        empty = next(
            (name for name, one in self._names.items() if one.found is None and one.failures), None
        )
        if empty is None:
            return False
        del self._names[empty]
        return True

    def left(self, name: str) -> None:
        """Learn of a goodbye, or that nothing was heard for too long."""
        self._names.pop(name, None)

    def clear(self) -> None:
        self._names.clear()

    def due(self, now: float) -> list[str]:
        """Return the names to be looked up now."""
        return [name for name, one in self._names.items() if one.due <= now]

    def deadline(self) -> float | None:
        """Return when a name is to be looked up next."""
        return min((one.due for one in self._names.values()), default=None)

    def looked_up(self, now: float, name: str, found: Found | None) -> None:
        """Learn what a name stands for now; None for nothing that is of use."""
        if name in self._names:
            self._names[name].looked_up(now, found)

    def all(self) -> tuple[Found, ...]:
        """Return what is there, by name."""
        found = (one.found for _, one in sorted(self._names.items()))
        return tuple(one for one in found if one is not None)

    @property
    def has_news(self) -> bool:
        """Whether what is there was not told so before."""
        return self.all() != self._told

    def news(self) -> tuple[Found, ...] | None:
        """Return what is there if it was not told so before."""
        there = self.all()
        if there == self._told:
            return None
        self._told = there
        return there

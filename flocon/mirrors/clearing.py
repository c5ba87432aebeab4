"""Clears the store of a mirror for the LAN: when, and what is said of it.

What goes is ``keeping``'s to decide and what never goes ``protection``'s; how it is removed the
store's. Nothing goes by itself in the first minutes: until then it is not known what peers hold,
and so not what is wanted.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredLock

from flocon.books.units import counted, size_text, time_text
from flocon.files import known_as
from flocon.log import logger
from flocon.machine.reactor_threads import in_thread
from flocon.machine.threads import Delay
from flocon.mirrors.keeping import Package, Rules, Why, plan, with_newest_pins
from flocon.mirrors.protection import BEING_SENT, PINNED, Protection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Protocol

    from flocon.mirrors.keeping import Going, Plan
    from flocon.mirrors.protection import Guard
    from flocon.settings.settings import Mirror as MirrorSettings

    class InStore(Protocol):
        """A package of the store."""

        @property
        def file_name(self) -> str: ...

        @property
        def size(self) -> int: ...

        @property
        def sha256(self) -> bytes | None: ...

        @property
        def used(self) -> float: ...

        @property
        def is_open(self) -> bool: ...

    class Shelf(Protocol):
        """The store, as far as it is cleared; ``protect`` has packages stay there."""

        def protect(
            self, protects: Callable[[str], bool], now: Callable[[str], bool] | None = None
        ) -> None: ...

        def sha256(self, name: str) -> bytes | None: ...

        def stored(self) -> Sequence[InStore]: ...

        async def remove(self, names: Iterable[str]) -> list[str]: ...


#: Seconds after the start, after a change, and after the last time, until it is cleared by itself.
FIRST, SOON, AGAIN = 900.0, 60.0, 3_600.0
#: Packages of which a person is told one by one.
MOST_TOLD = 200


class Clearing:
    """Clears by the ``settings`` in force; ``max_size`` is the store's, in bytes."""

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        *,
        settings: Callable[[], MirrorSettings],
        max_size: int,
        shelf: Shelf,
        protection: Protection,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._max_size = max_size
        self._shelf = shelf
        self._protection = protection
        self._wall = wall
        self._lock = DeferredLock()
        self._may_begin = False
        self._first = Delay(reactor, self._begin)
        self._soon = Delay(reactor, self._clear_now)
        self._again = Delay(reactor, self._clear_now)
        #: What was found the last time, None before.
        self.plan: Plan | None = None
        self._was_over = False
        #: Called when something went: there is room for what there was none for.
        self.freed: Callable[[], None] = lambda: None
        self.cleared: Counter[str] = Counter()

    def start(self) -> None:
        """Clear by itself from now on."""
        self._first.begin(FIRST)

    def stop(self) -> Deferred[None]:
        """Begin nothing more; fires when what is being done has ended."""
        for delay in (self._first, self._soon, self._again):
            delay.stop()
        self._may_begin = False
        ended: Deferred[None] = self._lock.run(lambda: None)
        return ended

    def changed(self) -> None:
        """Note that something else may be protected now."""
        self._protection.changed()
        if self._may_begin:
            self._soon.begin(SOON)

    def _begin(self) -> None:
        self._may_begin = True
        self._clear_now()

    def _clear_now(self) -> None:
        self._again.begin(AGAIN)
        work = Deferred.fromCoroutine(self.clear())
        work.addErrback(lambda failure: self._log.failure("clearing the store failed", failure))

    async def clear(self) -> Plan:
        """Remove what need not stay; return what went, and what stays."""
        return await self._lock.run(lambda: Deferred.fromCoroutine(self._clear()))

    async def _clear(self) -> Plan:
        found = await self.look()
        removed = set(await self._shelf.remove(one.package.file_name for one in found.going))
        gone = tuple(one for one in found.going if one.package.file_name in removed)
        if gone:
            taken = sum(one.package.size for one in gone)
            self.cleared.update({"packages": len(gone), "bytes": taken})
            self._log.info(
                "{count} removed from the store, {size}: {reasons}",
                count=counted(len(gone), "package"),
                size=size_text(taken),
                reasons=", ".join(_by_reason(gone, self._rules())),
            )
            self.freed()
        return found.after(gone)

    async def look(self) -> Plan:
        """Return what would go."""
        version, rules, now = self._protection.version, self._rules(), self._wall()
        stored = self._shelf.stored()
        found, known = await in_thread(
            self._reactor, _look, stored, self._protection.reason, rules, now
        )
        self._protection.take(version, known)
        self.plan = found
        self._say_when_over(found)
        return found

    def _rules(self) -> Rules:
        settings = self._settings()
        return Rules(settings.keep, settings.max_age, self._max_size)

    def _say_when_over(self, found: Plan) -> None:
        if found.is_over and not self._was_over:
            self._log.warn("{problem}; {remedy}", problem=_problem(found), remedy=_REMEDY)
        self._was_over = found.is_over

    # What is told of it

    def describe(self) -> dict[str, Any]:
        """Return what is told of it as JSON's values."""
        found = self.plan
        return {
            "max_size": self._max_size,
            "protected_bytes": None if found is None else found.protected,
            "is_over": found is not None and found.is_over,
            "cleared_packages": self.cleared["packages"],
            "cleared_bytes": self.cleared["bytes"],
        }

    def tell(self) -> Iterator[dict[str, Any]]:
        """Yield what the doctor is to tell of it."""
        if self.plan is not None and self.plan.is_over:
            yield {
                "check": "mirror",
                "reason": _problem(self.plan),
                "remedy": _REMEDY,
                "wrong": False,
            }

    async def clean(self, *, dry: bool) -> str:
        """Clear now, or say only what would go; return sentences for a person."""
        found = await (self.look() if dry else self.clear())
        return "\n".join(_report(found, self._rules(), dry=dry))


def begin(
    reactor: Any,
    *,
    settings: Callable[[], MirrorSettings],
    max_size: int,
    shelf: Shelf,
    guards: Mapping[str, Guard],
) -> Clearing:
    """Have what ``guards`` know stay in the store from now on, and the rest cleared in time."""
    protection = Protection(shelf.sha256, guards)
    shelf.protect(protection, protection.now)
    clearing = Clearing(
        reactor, settings=settings, max_size=max_size, shelf=shelf, protection=protection
    )
    clearing.start()
    return clearing


def _look(
    stored: Sequence[InStore],
    reason: Callable[[str, bytes | None], str],
    rules: Rules,
    now: float,
) -> tuple[Plan, dict[str, tuple[bytes, str]]]:
    """Return what goes, and of what is in the store why it is protected; for a thread."""
    reasons = {one.file_name: reason(one.file_name, one.sha256) for one in stored}
    packages = with_newest_pins(
        [Package(one.file_name, one.size, one.used, reasons[one.file_name]) for one in stored],
        rules.keep,
        PINNED,
    )
    contents = {one.file_name: one.sha256 for one in stored}
    known = {
        one.file_name: (sha256, one.protection)
        for one in packages
        if (sha256 := contents[one.file_name]) is not None
    }
    is_open = {one.file_name for one in stored if one.is_open}
    now_protected = [
        Package(one.file_name, one.size, one.used, BEING_SENT)
        if one.file_name in is_open and not one.protection
        else one
        for one in packages
    ]
    return plan(now_protected, rules, now), known


_REMEDY = (
    "drop a snapshot or pins, or let store.max_size in flocon.toml be larger; until then nothing"
    " new is kept"
)


def _problem(found: Plan) -> str:
    return (
        f"what this mirror must keep takes {size_text(found.protected)}, more than the store's"
        f" {size_text(found.max_size)}"
    )


def _report(found: Plan, rules: Rules, *, dry: bool) -> Iterator[str]:
    count = counted(len(found.going), "package")
    size = size_text(sum(one.package.size for one in found.going))
    would = "would go" if dry else "removed"
    if not found.going:
        yield "nothing to clear: all that is in the store stays"
    else:
        yield f"{count} {would}, {size}: {', '.join(_by_reason(found.going, rules))}"
    for one in found.going[:MOST_TOLD] if dry else ():
        yield f"  {known_as(one.package.file_name)}: {_why(one.why, rules)}"
    if dry and len(found.going) > MOST_TOLD:
        yield f"  and {counted(len(found.going) - MOST_TOLD, 'package')} more"
    yield f"{size_text(found.staying)} stay, of which {size_text(found.protected)} are protected"
    if found.is_over:
        yield f"{_problem(found)}; {_REMEDY}"


def _by_reason(going: Sequence[Going], rules: Rules) -> Iterator[str]:
    """Yield how many go for each reason."""
    counts = Counter(one.why for one in going)
    return (f"{counts[why]} {_why(why, rules)}" for why in Why if counts[why])


def _why(why: Why, rules: Rules) -> str:
    if why is Why.OLDER:
        return f"older than the newest {counted(rules.keep, 'version')}"
    if why is Why.UNUSED:
        return f"unused for {time_text(rules.max_age)}"
    return "used least lately, and the store is full"

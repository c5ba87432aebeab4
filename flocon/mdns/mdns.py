"""mDNS as the node knows it: a thread that is told what to announce, and tells what it finds.

Only this is imported by others, and it only where there is a library that is new enough.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet import defer

from flocon.log import logger
from flocon.mdns.responder import Responder
from flocon.mdns.rests import reason_of
from flocon.mdns.services import Wish
from flocon.mdns.sieve import Sieve
from flocon.mdns.sifting import SiftingLoop

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred

    from flocon.mdns.services import Found

#: Seconds that the farewell may take before the node ends without it.
FAREWELL = 2.0


class Mdns:
    """``changed`` is called in the reactor's thread with a type and all that is there of it."""

    _log = logger()

    def __init__(self, reactor: Any, changed: Callable[[str, tuple[Found, ...]], None]) -> None:
        self._reactor = reactor
        self._changed = changed
        self._sieve = Sieve()
        self._loop = SiftingLoop(self._sieve, self._failed)
        self._responder: Responder | None = None
        self._wish = Wish()
        self._ended: Deferred[None] = defer.Deferred()
        self._stopping = False
        self._has_told = False
        self._thread = threading.Thread(target=self._run, name="mdns", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> Deferred[None]:
        """Say goodbye; fires once that is done, or would take too long."""
        if not self._stopping:
            self._stopping = True
            self._call(self._stop_responder)
            call = self._reactor.callLater(FAREWELL, self._end)
            self._ended.addBoth(lambda _: call.cancel() if call.active() else None)
        return self._ended

    def ask(self, wish: Wish) -> None:
        """Be present and announce as wished."""
        if wish != self._wish and not self._stopping:
            self._wish = wish
            self._call(self._ask_responder, wish)

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Have something called in the thread, unless that has ended."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    def describe(self) -> dict[str, Any]:
        """Return how it stands: by which names this node is known, or why by none; counters."""
        responder, counters = self._responder, dict(self._sieve.counters)
        names = None if responder is None else responder.names
        return {
            "announced": "" if names is None else names.instance,
            "host": "" if names is None else names.target.removesuffix("."),
            "clashed": responder is not None and responder.has_clashed,
            "why": "" if responder is None else responder.why,
            "failing": responder is not None and responder.is_failing,
            "own_heard": counters.pop("own", 0),
            "left_out": 0 if responder is None else responder.left_out,
            "datagrams": counters,
        }

    # In the thread

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._respond())
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise it to
            self._failed(error)
        finally:
            self._loop.close()
            self._reactor.callFromThread(self._end)

    async def _respond(self) -> None:
        self._loop.set_exception_handler(self._unhandled)
        responder = Responder(self._loop, self._sieve, tell=self._found, failed=self._failed)
        self._responder = responder
        responder.ask(self._wish)
        if self._stopping:
            responder.stop()
        await responder.run()

    def _ask_responder(self, wish: Wish) -> None:
        if self._responder is not None:
            self._responder.ask(wish)

    def _stop_responder(self) -> None:
        if self._responder is not None:
            self._responder.stop()

    def _unhandled(self, _: object, context: dict[str, Any]) -> None:
        self._failed(context.get("exception") or RuntimeError(context.get("message", "")))

    def _found(self, kind: str, found: tuple[Found, ...]) -> None:
        self._reactor.callFromThread(self._changed, kind, found)

    def _failed(self, error: BaseException) -> None:
        """Have the first failure told, the others counted: a stranger may cause them."""
        self._sieve.counters["failures"] += 1
        if not self._has_told:
            self._has_told = True
            self._reactor.callFromThread(
                self._log.warn,
                "mDNS does not work as it should: {why}; further failures are counted",
                why=reason_of(error),
                kind=type(error).__name__,
            )

    # In the reactor's thread

    def _end(self) -> None:
        if not self._ended.called:
            self._ended.callback(None)

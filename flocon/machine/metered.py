"""Whether the machine's connection costs by the byte: what NetworkManager says, where it runs.

systemd-networkd has no such property to read (systemd 257), so a machine under it counts as
unmetered, and its operator writes ``relay = false``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred

from flocon.errors import ToolError
from flocon.log import logger
from flocon.machine.process import run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from twisted.internet.interfaces import IDelayedCall

    from flocon.machine.process import ProcessReactor

TIMEOUT = 5.0
#: Seconds between two looks.
AGAIN = 300.0
#: Seconds after a change of the interfaces: NetworkManager finds out a little after the kernel.
SETTLING = 3.0
_PROPERTY = (
    "org.freedesktop.NetworkManager",
    "/org/freedesktop/NetworkManager",
    "org.freedesktop.NetworkManager",
    "Metered",
)
#: NMMetered: 1 is "yes", 3 is "guessed, yes".
_METERED = ("u 1", "u 3")


async def is_metered(reactor: ProcessReactor) -> bool | None:
    """Ask NetworkManager over D-Bus, with systemd's ``busctl``; None where nobody can tell."""
    try:
        outcome = await run(
            reactor,
            ["busctl", "--system", "--auto-start=no", "get-property", *_PROPERTY],
            seconds=TIMEOUT,
        )
    except ToolError:
        return None
    if outcome.status:
        return None
    return outcome.output.decode("ascii", "replace").strip() in _METERED


class MeteredWatch(Service):
    """Knows whether the link is metered, and calls ``changed`` whenever that is another answer.

    Until the first answer, and where nobody can tell, it is not.
    """

    _log = logger()

    def __init__(
        self,
        reactor: ProcessReactor,
        changed: Callable[[bool], None],
        ask: Callable[[ProcessReactor], Awaitable[bool | None]] = is_metered,
    ) -> None:
        self._reactor = reactor
        self._changed = changed
        self._ask = ask
        self._call: IDelayedCall | None = None
        self._looking: Deferred[None] | None = None
        self.metered = False
        #: Whether that was asked yet; then ``found_out`` is called, once.
        self.known = False
        self.found_out: Callable[[], None] = lambda: None

    def startService(self) -> None:
        super().startService()
        self._look()

    def link_changed(self) -> None:
        """Look in a moment: the machine may be somewhere else now."""
        if self.running:
            self._look_in(SETTLING)

    def _look_in(self, seconds: float) -> None:
        if self._call is not None:
            self._call.cancel()
        self._call = self._reactor.callLater(seconds, self._look)

    def _look(self) -> None:
        self._call = None
        self._look_in(AGAIN)
        if self._looking is None:
            self._looking = Deferred.fromCoroutine(self._take_look())
            self._looking.addBoth(self._looked)

    async def _take_look(self) -> None:
        metered = bool(await self._ask(self._reactor))
        if metered != self.metered:
            self.metered = metered
            self._changed(metered)
        if not self.known:
            self.known = True
            self.found_out()

    def _looked(self, result: Any) -> None:
        self._looking = None
        if result is not None and not result.check(CancelledError):
            self._log.failure("asking whether the link is metered failed", result)

    def stopService(self) -> Deferred[None] | None:
        super().stopService()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        looking, ended = self._looking, Deferred[None]()
        if looking is None:
            return None
        # The program that was asked is waited for.
        looking.addBoth(ended.callback)
        looking.cancel()
        return ended

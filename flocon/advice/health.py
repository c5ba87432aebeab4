"""How this node is, for its own page: what ``flocon doctor`` would find, looked for now and then.

Part of the front door, as ``why`` is. Nothing is looked for while nobody looks at the page, and
the page never waits for it: it shows what was found last, and how long ago.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from twisted.internet import defer
from twisted.internet.threads import deferToThreadPool

from flocon.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from pathlib import Path

    from flocon.advice.findings import Finding

#: Seconds after which it is looked anew, if somebody looks at the page then.
AGAIN = 300.0


class Health:
    """``examine`` gives what the doctor judges; ``port`` and ``pacman_conf`` are what it reads."""

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        examine: Callable[[Mapping[str, str]], Coroutine[Any, Any, dict[str, Any]]],
        *,
        port: int,
        pacman_conf: Path,
    ) -> None:
        self._reactor = reactor
        self._examine = examine
        self._port = port
        self._pacman_conf = pacman_conf
        self._findings: list[Finding] = []
        self._looked: float | None = None
        self._looking: defer.Deferred[None] | None = None

    def describe(self) -> dict[str, Any]:
        """Return what was found last; look anew where that is long ago."""
        now = self._reactor.seconds()
        if self._looking is None and (self._looked is None or now - self._looked >= AGAIN):
            self._looking = defer.Deferred.fromCoroutine(self._look())
            self._looking.addErrback(self._failed)
            self._looking.addBoth(self._ended)
        return {
            "looked_seconds_ago": None if self._looked is None else round(now - self._looked, 1),
            "findings": [one.describe() for one in self._findings],
        }

    async def _look(self) -> None:
        told = await self._examine({})
        threads = self._reactor.getThreadPool()
        self._findings = await deferToThreadPool(self._reactor, threads, self._judge, told)
        self._looked = self._reactor.seconds()

    def _judge(self, told: Mapping[str, Any]) -> list[Finding]:
        """Return what is not well; in a thread, since files are read."""
        # Seldom asked for, and much code.
        from flocon.advice import doctor, facts, gathering  # noqa: PLC0415
        from flocon.advice.findings import Verdict  # noqa: PLC0415

        # The environment is pacman's, and not this node's.
        known = facts.Facts(
            port=self._port,
            node=told,
            configuration=gathering.configuration_at(self._pacman_conf),
            version=gathering.version_of_pacman(),
            environment={},
            now=time.time(),
            named=self._pacman_conf,
        )
        worth = {Verdict.WRONG, Verdict.WARNING}
        return [one for one in doctor.examine(known) if one.verdict in worth]

    def _failed(self, failure: Any) -> None:
        if not failure.check(defer.CancelledError):
            self._log.failure("looking how this node is failed", failure)
        self._looked = self._reactor.seconds()

    def _ended(self, _: object) -> None:
        self._looking = None

    def stop(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()

"""What time it is by the AUR's clock: each answer of a web server says it.

This machine's own may be wrong, from its start on, and the AUR dates what it has by its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.web.http import stringToDatetime
from twisted.web.iweb import IAgent
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.web.http_headers import Headers
    from twisted.web.iweb import IBodyProducer, IResponse


@implementer(IAgent)
class Dated:
    """Asks by ``agent``; ``told`` is the date of the last answer, 0 where that had none."""

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent
        self.told = 0

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,  # noqa: N803 - as the interface has it
    ) -> Deferred[IResponse]:
        self.told = 0
        asked: Any = self._agent.request(method, uri, headers, bodyProducer)
        return asked.addCallback(self._learn)  # type: ignore[no-any-return]

    def _learn(self, response: Any) -> Any:
        self.told = _seconds(response.headers.getRawHeaders(b"Date") or [])
        return response


def _seconds(said: list[bytes]) -> int:
    """Return the seconds since 1970 of one date, 0 for anything else."""
    try:
        (one,) = said
        return max(0, int(stringToDatetime(one)))
    except (ValueError, OverflowError, IndexError, KeyError):
        return 0
